"""The guidelines on the desk, and asking what they leave open, as JSON beside Gradio."""

import dataclasses
from typing import Annotated, Any
from urllib.parse import unquote

from fastapi import APIRouter, Body, Depends, Header

from curation.guidelines import ask, markdown, questions_for
from curation.ui.access import Access, Person
from curation.ui.desk_routes import refuse_other_person
from curation.ui.own_page import from_own_page
from curation.ui.sentences import SentenceRoute
from store.database import open_store

Json = dict[str, Any]


def build_guideline_router(access: Access) -> APIRouter:
    """Return the routes under /api/desk/guidelines; nothing in them says who asked."""
    router = APIRouter(prefix="/api/desk/guidelines", route_class=SentenceRoute)
    Annotator = Annotated[Person, Depends(access.person)]

    @router.get("")
    def show(person: Annotator) -> Json:
        with open_store(access.data) as db:
            return {"markdown": markdown(), "issues": [dataclasses.asdict(one) for one in questions_for(db, person.name)]}

    @router.post("/ask", dependencies=[Depends(from_own_page)])
    def keep(person: Annotator, body: Annotated[Any, Body()], x_annotator: Annotated[str, Header()]) -> Json:
        refuse_other_person(person, unquote(x_annotator))
        kept = access.writer.run(lambda db: ask(db, person.name, body))
        return {"question": kept.question, "answer": kept.answer}

    return router
