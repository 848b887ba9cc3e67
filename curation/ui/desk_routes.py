"""The desk's own routes: the next item, the operations and the finished items, as JSON beside Gradio."""

import dataclasses
from collections.abc import Collection
from typing import Annotated, Any
from urllib.parse import unquote

import sqlite_utils
from fastapi import APIRouter, Body, Depends, Header, HTTPException, Query
from fastapi.responses import JSONResponse

from curation.desk import DeskItem, finished_items, hold_items, item_for, next_item, tally
from curation.recording import DeskOperation, StaleWorkError, read_operation, record
from curation.ui.access import Access, Person
from curation.ui.own_page import from_own_page
from curation.ui.sentences import SentenceRoute, status_of
from store.database import open_store
from store.queue import progress_of

Json = dict[str, Any]


def build_desk_router(access: Access) -> APIRouter:
    """Return the routes under /api/desk; each acts for the signed-in person only."""
    router = APIRouter(prefix="/api/desk", route_class=SentenceRoute)
    Annotator = Annotated[Person, Depends(access.person)]

    @router.get("/item")
    def show_next(person: Annotator, besides: Annotated[list[str], Query()] = []) -> Json:  # noqa: B006 - FastAPI copies it
        return access.writer.run(lambda db: _screen(db, person.name, besides))

    @router.get("/item/{assignment_id}")
    def show(assignment_id: str, person: Annotator) -> Json:
        return access.writer.run(lambda db: _screen(db, person.name, (), item_for(db, person.name, assignment_id)))

    @router.get("/recent")
    def show_recent(person: Annotator) -> Json:
        with open_store(access.data) as db:
            return {"items": [dataclasses.asdict(one) for one in finished_items(db, person.name)]}

    @router.post("/operations", dependencies=[Depends(from_own_page)])
    def keep(person: Annotator, body: Annotated[Any, Body()], x_annotator: Annotated[str, Header()]) -> JSONResponse:
        _refuse_other_person(person, unquote(x_annotator))
        operation = read_operation(body)
        try:
            return JSONResponse(access.writer.run(lambda db: _kept(db, person.name, operation)))
        except StaleWorkError as stale:
            current = {"work": dataclasses.asdict(stale.work) if stale.work else None, "sequence": stale.sequence}
            return JSONResponse({"error": str(stale), "current": current}, status_of(stale))

    @router.post("/heartbeat", dependencies=[Depends(from_own_page)])
    def hold(person: Annotator, assignment_ids: Annotated[list[str], Body(embed=True, max_length=8)]) -> Json:
        return {"held": access.writer.run(lambda db: hold_items(db, person.name, assignment_ids))}

    return router


def _kept(db: sqlite_utils.Database, annotator: str, operation: DeskOperation) -> Json:
    """Keep the operation and return what the page needs after it: the item as it is now, or the next one."""
    saved = dataclasses.asdict(record(db, annotator, operation))
    if operation.kind in ("answer", "reopen"):
        return saved | {"item": dataclasses.asdict(item_for(db, annotator, operation.assignment_id))}
    return saved if operation.kind == "draft" else saved | _screen(db, annotator, (operation.assignment_id,))


def _screen(db: sqlite_utils.Database, annotator: str, besides: Collection[str], item: DeskItem | None = None) -> Json:
    """Return what the page draws: an item and the one after it, both leased, or what the annotator did when nothing waits."""
    item = item or next_item(db, annotator, besides)
    if item is None:
        done, still_open = progress_of(db, annotator)
        finished = {"done": done, "open": still_open, "verdicts": tally(db, annotator)}
        return {"annotator": annotator, "next": None, "upcoming": None, "finished": finished}
    coming = next_item(db, annotator, (*besides, item.assignment_id))
    return {"annotator": annotator, "next": dataclasses.asdict(item), "upcoming": dataclasses.asdict(coming) if coming else None, "finished": None}


def _refuse_other_person(person: Person, expected: str) -> None:
    """Refuse work of one person under the name of another who signed in since. Raises HTTPException 401."""
    if person.name != expected:
        raise HTTPException(401, f"This page is {expected[:40]}'s, but {person.name} is signed in here now. Sign in as {expected[:40]} again.")
