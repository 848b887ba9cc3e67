"""The routes of the page Adjudicate: what waits, one text with all that was said of it, decisions and answers, as JSON beside Gradio."""

import dataclasses
from typing import Annotated, Any
from urllib.parse import unquote

import sqlite_utils
from fastapi import APIRouter, Body, Depends, Header, Query

from curation.adjudicating import decide, read_decision
from curation.disputes import decided, dispute_item, disputes, ranked
from curation.guidelines import ask_of, issues, settle
from curation.ui.access import Access, Person
from curation.ui.desk_routes import refuse_other_person
from curation.ui.own_page import from_own_page
from curation.ui.sentences import SentenceRoute
from store.database import open_store

Json = dict[str, Any]
MOST_LISTED = 200


def build_adjudication_router(access: Access) -> APIRouter:
    """Return the routes under /api/adjudication, for adjudicators and admins."""
    router = APIRouter(prefix="/api/adjudication", route_class=SentenceRoute)
    Adjudicator = Annotated[Person, Depends(access.adjudicator)]
    own_page = [Depends(from_own_page)]

    @router.get("/items")
    def show_list(person: Adjudicator) -> Json:
        with open_store(access.data) as db:
            waiting, count = disputes(db, person.name, MOST_LISTED)
            settled = decided(db, MOST_LISTED)
            return {"count": count, "waiting": [dataclasses.asdict(one) for one in waiting], "decided": [dataclasses.asdict(one) for one in settled]}

    @router.get("/next")
    def show_next(person: Adjudicator, besides: Annotated[list[str], Query()] = []) -> Json:  # noqa: B006 - FastAPI copies it
        with open_store(access.data) as db:
            return _next(db, person, besides)

    @router.get("/item/{candidate_id}")
    def show(candidate_id: str, person: Adjudicator) -> Json:
        with open_store(access.data) as db:
            return {"person": person.name, "next": dataclasses.asdict(dispute_item(db, person.name, candidate_id))}

    @router.post("/decide", dependencies=own_page)
    def keep(person: Adjudicator, body: Annotated[Any, Body()], x_annotator: Annotated[str, Header()]) -> Json:
        refuse_other_person(person, unquote(x_annotator))
        operation = read_decision(body)
        return dataclasses.asdict(access.writer.run(lambda db: decide(db, person.name, operation)))

    @router.get("/issues")
    def show_issues(person: Adjudicator) -> Json:
        with open_store(access.data) as db:
            return {"issues": [dataclasses.asdict(one) for one in issues(db)]}

    @router.post("/ask", dependencies=own_page)
    def keep_question(person: Adjudicator, body: Annotated[Any, Body()], x_annotator: Annotated[str, Header()]) -> Json:
        refuse_other_person(person, unquote(x_annotator))
        return {"id": access.writer.run(lambda db: ask_of(db, person.name, body)).id}

    @router.post("/settle", dependencies=own_page)
    def keep_answer(person: Adjudicator, body: Annotated[Any, Body()], x_annotator: Annotated[str, Header()]) -> Json:
        refuse_other_person(person, unquote(x_annotator))
        return {"id": access.writer.run(lambda db: settle(db, person.name, body)).id}

    return router


def _next(db: sqlite_utils.Database, person: Person, besides: list[str]) -> Json:
    """Return the worst text that waits, those put off only after all others, and the one after it; None when nothing waits."""
    waiting = list(ranked(db))
    first, second = ([one for one in waiting if one not in besides] + [one for one in waiting if one in besides] + [None, None])[:2]
    shown = {name: dataclasses.asdict(dispute_item(db, person.name, one)) if one else None for name, one in (("next", first), ("upcoming", second))}
    return {"person": person.name, **shown, "count": len(waiting), "open_questions": sum(one.answer is None for one in issues(db))}
