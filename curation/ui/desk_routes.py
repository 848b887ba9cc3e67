"""The desk's own routes: the next item, the operations and the finished items, as JSON beside Gradio.

Who waits for the writer holds no thread meanwhile; what is read is read and put into JSON in a thread, beside the event loop.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote

from fastapi import APIRouter, Body, Depends, Header, HTTPException, Query
from fastapi.responses import JSONResponse
from pydantic import StringConstraints
from starlette.concurrency import run_in_threadpool

from curation.desk import finished_items, hold_items, item_for, lease_items, tally
from curation.recording import STATE_AFTER, DeskOperation, Saved, StaleWorkError, read_operation, record
from curation.ui.access import Access, Person
from curation.ui.own_page import from_own_page
from curation.ui.sentences import SentenceRoute, status_of
from store.database import open_store

ItemId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


def build_desk_router(access: Access) -> APIRouter:
    """Return the routes under /api/desk; each acts for the signed-in person only."""
    router = APIRouter(prefix="/api/desk", route_class=SentenceRoute)
    Annotator = Annotated[Person, Depends(access.person)]

    @router.get("/item")
    async def show_next(person: Annotator, besides: Annotated[list[str], Query()] = []) -> JSONResponse:  # noqa: B006 - FastAPI copies it
        leased = await access.writer.run_async(lambda db: lease_items(db, person.name, besides))
        return await run_in_threadpool(_screen, access.data, person.name, leased)

    @router.get("/item/{assignment_id}")
    async def show(assignment_id: str, person: Annotator) -> JSONResponse:
        leased = await access.writer.run_async(lambda db: lease_items(db, person.name, (), assignment_id))
        return await run_in_threadpool(_screen, access.data, person.name, leased)

    @router.get("/recent")
    def show_recent(person: Annotator) -> JSONResponse:
        with open_store(access.data) as db:
            return JSONResponse({"items": [dataclasses.asdict(one) for one in finished_items(db, person.name)]})

    @router.post("/operations", dependencies=[Depends(from_own_page)])
    async def keep(person: Annotator, body: Annotated[Any, Body()], x_annotator: Annotated[str, Header()]) -> JSONResponse:
        refuse_other_person(person, unquote(x_annotator))
        try:
            return await _kept(access, person.name, read_operation(body))
        except StaleWorkError as stale:
            current = {"work": dataclasses.asdict(stale.work) if stale.work else None, "sequence": stale.sequence, "state": stale.state}
            return JSONResponse({"error": str(stale), "current": current}, status_of(stale))

    @router.post("/heartbeat", dependencies=[Depends(from_own_page)])
    async def hold(person: Annotator, assignment_ids: Annotated[list[ItemId], Body(embed=True, max_length=8)]) -> JSONResponse:
        return JSONResponse({"held": await access.writer.run_async(lambda db: hold_items(db, person.name, assignment_ids))})

    return router


async def _kept(access: Access, annotator: str, operation: DeskOperation) -> JSONResponse:
    """Keep the operation and return what the page needs after it: the item as it is now, or the next ones."""
    if operation.kind in STATE_AFTER:
        besides = (operation.assignment_id,)
        saved, leased = await access.writer.run_async(lambda db: (record(db, annotator, operation), lease_items(db, annotator, besides)))
        return await run_in_threadpool(_screen, access.data, annotator, leased, saved)
    saved = await access.writer.run_async(lambda db: record(db, annotator, operation))
    if operation.kind == "draft":
        return JSONResponse(dataclasses.asdict(saved))
    # The item after it may have asked the same question: it comes anew, too.
    leased = await access.writer.run_async(lambda db: lease_items(db, annotator, (), operation.assignment_id))
    return await run_in_threadpool(_items, access.data, annotator, leased, saved)


def _items(data: Path, annotator: str, leased: Sequence[str], saved: Saved) -> JSONResponse:
    with open_store(data) as db:
        item, upcoming = [*(dataclasses.asdict(item_for(db, annotator, one)) for one in leased), None][:2]
    return JSONResponse(dataclasses.asdict(saved) | {"item": item, "upcoming": upcoming})


def _screen(data: Path, annotator: str, leased: Sequence[str], saved: Saved | None = None) -> JSONResponse:
    """Return what the page draws: an item and the one after it, or what the annotator did when nothing waits. Read beside the writer, not by it."""
    with open_store(data) as db:
        items = [dataclasses.asdict(item_for(db, annotator, one)) for one in leased]
        finished = None if items else dataclasses.asdict(tally(db, annotator))
    shown, upcoming = [*items, None, None][:2]
    told = {"annotator": annotator, "next": shown, "upcoming": upcoming, "finished": finished}
    return JSONResponse(told if saved is None else dataclasses.asdict(saved) | told)


def refuse_other_person(person: Person, expected: str) -> None:
    """Refuse work of one person under the name of another who signed in since. Raises HTTPException 401."""
    if person.name != expected:
        raise HTTPException(401, f"This page is {expected[:40]}'s, but {person.name} is signed in here now. Sign in as {expected[:40]} again.")
