"""The routes of the page Compare: the next two texts, choosing between them, taking it back, as JSON beside Gradio."""

import dataclasses
from typing import Annotated, Any
from urllib.parse import unquote

from fastapi import APIRouter, Body, Depends, Header

from curation.choices import Choice, read_choice, read_undo
from curation.comparing import choose, compare_screen, take_back
from curation.ui.access import Access, Person
from curation.ui.desk_routes import refuse_other_person
from curation.ui.own_page import from_own_page
from curation.ui.sentences import SentenceRoute
from store.database import open_store

Json = dict[str, Any]


def build_compare_router(access: Access) -> APIRouter:
    """Return the routes under /api/compare; each acts for the signed-in person only."""
    router = APIRouter(prefix="/api/compare", route_class=SentenceRoute)
    Annotator = Annotated[Person, Depends(access.person)]

    @router.get("/next")
    def show_next(person: Annotator) -> Json:
        return _screen(access, person)

    @router.post("/choose", dependencies=[Depends(from_own_page)])
    def keep(person: Annotator, body: Annotated[Any, Body()], x_annotator: Annotated[str, Header()]) -> Json:
        refuse_other_person(person, unquote(x_annotator))
        return _kept(access, person, read_choice(body))

    @router.post("/undo", dependencies=[Depends(from_own_page)])
    def undo(person: Annotator, body: Annotated[Any, Body()], x_annotator: Annotated[str, Header()]) -> Json:
        refuse_other_person(person, unquote(x_annotator))
        return _kept(access, person, read_undo(body))

    return router


def _kept(access: Access, person: Person, act: Choice) -> Json:
    """Keep an act and return its place in the log with what the page shows now, which is read outside the writer's thread."""
    keep = take_back if act.outcome is None else choose
    kept = access.writer.run(lambda db: keep(db, person.name, act))
    return {"sequence": kept.sequence, "saved_at": kept.server_at} | _screen(access, person)


def _screen(access: Access, person: Person) -> Json:
    with open_store(access.data) as db:
        return dataclasses.asdict(compare_screen(db, person.name))
