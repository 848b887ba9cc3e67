"""The desk's own routes: the next item, the operations and the finished items, as JSON beside Gradio."""

import dataclasses
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit

import sqlite_utils
from fastapi import APIRouter, Body, Depends, Header, HTTPException, Request
from fastapi.responses import JSONResponse

from curation.desk import DeskItem, finished_items, item_for, next_item, tally, upcoming_media
from curation.recording import StaleWorkError, read_operation, record
from curation.ui.access import Access, Person
from curation.ui.sentences import SentenceRoute, status_of
from store.database import open_store
from store.errors import RefusedError
from store.queue import progress_of

Json = dict[str, Any]


def build_desk_router(access: Access) -> APIRouter:
    """Return the routes under /api/desk; each acts for the signed-in person only."""
    router = APIRouter(prefix="/api/desk", route_class=SentenceRoute)
    Annotator = Annotated[Person, Depends(access.person)]

    @router.get("/item")
    def show_next(person: Annotator, besides: str | None = None) -> Json:
        with open_store(access.data) as db:
            return _screen(db, person.name, next_item(db, person.name, besides))

    @router.get("/item/{candidate_id}")
    def show(candidate_id: str, person: Annotator) -> Json:
        with open_store(access.data) as db:
            return _screen(db, person.name, item_for(db, person.name, candidate_id))

    @router.get("/recent")
    def show_recent(person: Annotator) -> Json:
        with open_store(access.data) as db:
            return {"items": [dataclasses.asdict(one) for one in finished_items(db, person.name)]}

    @router.post("/operations", dependencies=[Depends(_from_own_page)])
    def keep(person: Annotator, body: Annotated[Any, Body()], x_annotator: Annotated[str, Header()]) -> JSONResponse:
        _refuse_other_person(person, unquote(x_annotator))
        operation = read_operation(body)
        with open_store(access.data) as db:
            try:
                answer = dataclasses.asdict(record(db, person.name, operation))
            except StaleWorkError as stale:
                current = {"work": dataclasses.asdict(stale.work) if stale.work else None, "sequence": stale.sequence}
                return JSONResponse({"error": str(stale), "current": current}, status_of(stale))
            if operation.kind != "draft":
                answer |= _screen(db, person.name, next_item(db, person.name))
        return JSONResponse(answer)

    return router


def _screen(db: sqlite_utils.Database, annotator: str, item: DeskItem | None) -> Json:
    """Return what the page draws: an item and the file to load ahead, or what the annotator did when nothing waits."""
    if item is None:
        done, total = progress_of(db, annotator)
        return {"annotator": annotator, "next": None, "upcoming": None, "finished": {"done": done, "total": total, "verdicts": tally(db, annotator)}}
    return {"annotator": annotator, "next": dataclasses.asdict(item), "upcoming": upcoming_media(db, annotator, item.candidate_id), "finished": None}


def _from_own_page(request: Request) -> None:
    """Refuse what a foreign page could make a browser send. Raises RefusedError."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise RefusedError("Operations are sent as application/json.")
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise RefusedError(f"This request came from {origin[:80]}, not from Eyewitness itself. Open Eyewitness in its own window.")


def _refuse_other_person(person: Person, expected: str) -> None:
    """Refuse work of one person under the name of another who signed in since. Raises HTTPException 401."""
    if person.name != expected:
        raise HTTPException(401, f"This page is {expected[:40]}'s, but {person.name} is signed in here now. Sign in as {expected[:40]} again.")
