"""The guidelines and what they leave open: annotators ask, an adjudicator answers, and everybody reads the answer."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlite_utils

from curation.work_fields import read_id, read_text
from curation.work_flags import read_fields
from store.candidates import get_candidate
from store.database import transaction
from store.decisions import get_issue, list_issues, put_issue
from store.errors import ConflictError, InputError, NotFoundError
from store.oplog import NewOperation, append_operation, find_operation
from store.queue import find_assignment
from store.records import GuidelineIssue, Operation
from store.replay_decisions import issue_of, settled

GUIDELINES = Path(__file__).resolve().parents[1] / "assets" / "guidelines.md"
BEGINNING = 90  # characters of a text in a list
LONGEST_QUESTION = 2000


@dataclass(frozen=True)
class Asked:
    """A question that an annotator sends, with the item that raised it or None."""

    id: str
    question: str
    assignment_id: str | None


@dataclass(frozen=True)
class AskedOf:
    """A question that an adjudicator sends, with the text that raised it or None."""

    id: str
    question: str
    candidate_id: str | None


@dataclass(frozen=True)
class Answered:
    """An answer to a question."""

    id: str
    issue_id: str
    answer: str


@dataclass(frozen=True)
class OpenQuestion:
    """A question as an annotator reads it; nothing says who asked."""

    question: str
    answer: str | None


@dataclass(frozen=True)
class IssueView:
    """A question as an adjudicator reads it, with the text that raised it; nothing says who asked."""

    id: str
    question: str
    asked_at: str
    candidate_id: str | None
    beginning: str | None
    answer: str | None
    answered_by: str | None
    answered_at: str | None


def markdown() -> str:
    """Return the guidelines as they are written."""
    return GUIDELINES.read_text(encoding="utf-8")


def questions_for(db: sqlite_utils.Database, annotator: str) -> list[OpenQuestion]:
    """Return the questions that are answered, and those that the annotator asked: an open one may say what somebody thinks of an item."""
    return [OpenQuestion(issue.question, issue.answer) for issue in list_issues(db) if issue.answer is not None or issue.asked_by == annotator]


def issues(db: sqlite_utils.Database) -> list[IssueView]:
    """Return all questions, the open ones first, each group in the order they were asked; one look-up a question."""
    return [_view(db, issue) for issue in sorted(list_issues(db), key=lambda issue: issue.answer is not None)]


def ask(db: sqlite_utils.Database, annotator: str, raw: object) -> GuidelineIssue:
    """Keep a question of an annotator in the log and in the tables, both or neither; a repeated id changes nothing.

    Raises InputError for one that is not sound, NotFoundError for an item that was not given to the annotator.
    """
    asked = _read(raw, Asked, "A question", "assignment_id")
    held = find_assignment(db, asked["assignment_id"]) if asked["assignment_id"] is not None else None
    if asked["assignment_id"] is not None and (held is None or held.annotator != annotator):
        raise NotFoundError("This item was not given to you. Ask again without it.")
    return _ask(db, annotator, asked["id"], asked["question"], held.candidate_id if held else None)


def ask_of(db: sqlite_utils.Database, adjudicator: str, raw: object) -> GuidelineIssue:
    """Keep a question that an adjudicator makes, such as an annotator's note; see `ask`."""
    asked = _read(raw, AskedOf, "A question", "candidate_id")
    if asked["candidate_id"] is not None and get_candidate(db, asked["candidate_id"]) is None:
        raise NotFoundError("There is no such text. Load the page again.")
    return _ask(db, adjudicator, asked["id"], asked["question"], asked["candidate_id"])


def settle(db: sqlite_utils.Database, adjudicator: str, raw: object) -> GuidelineIssue:
    """Keep an answer in the log and in the tables, both or neither, in place of an earlier one; a repeated id changes nothing.

    Raises InputError for an answer that is not sound, NotFoundError for an unknown question.
    """
    given = _read(raw, Answered, "An answer", "issue_id")
    answer = _read_words(given["answer"], "answer")
    with transaction(db):
        issue = get_issue(db, given["issue_id"])
        if issue is None:
            raise NotFoundError("There is no such question. Load the page again.")
        payload = {"issue_id": issue.id, "answer": answer}
        kept, new = _keep(db, NewOperation(given["id"], adjudicator, issue.candidate_id, "settle", json.dumps(payload, ensure_ascii=False)))
        if not new:
            return issue
        put_issue(db, settled(issue, kept))
        return settled(issue, kept)


def _ask(db: sqlite_utils.Database, person: str, operation_id: str, raw: object, candidate_id: str | None) -> GuidelineIssue:
    question = _read_words(raw, "question")
    with transaction(db):
        kept, new = _keep(db, NewOperation(operation_id, person, candidate_id, "ask", json.dumps({"question": question}, ensure_ascii=False)))
        if new:
            put_issue(db, issue_of(kept))
    return issue_of(kept)


def _keep(db: sqlite_utils.Database, made: NewOperation) -> tuple[Operation, bool]:
    """Return the operation as it stands in the log, and whether it is new there. Raises ConflictError when its id is another one's."""
    kept = find_operation(db, made.id)
    if kept is None:
        return append_operation(db, made), True
    if (kept.annotator, kept.kind, kept.candidate_id, kept.payload) != (made.annotator, made.kind, made.candidate_id, made.payload):
        raise ConflictError("Another operation has this id already. Reload the page and send it again.")
    return kept, False


def _read(raw: object, kind: type, name: str, about: str) -> dict[str, Any]:
    """Return JSON data that has the fields of `kind`, its own id among them; `about` is text or None. Raises InputError."""
    given = read_fields(raw, kind, name)
    read_id(given["id"], name)
    if not isinstance(given[about], str | None):
        raise InputError(f"{name} says what it is about by its id, or null. Reload the page.")
    return given


def _read_words(raw: object, name: str) -> str:
    words = read_text(raw, name).strip()
    if not words or len(words) > LONGEST_QUESTION:
        raise InputError(f"The {name} has {len(words)} characters. Write 1 to {LONGEST_QUESTION}.")
    return words


def _view(db: sqlite_utils.Database, issue: GuidelineIssue) -> IssueView:
    raised = get_candidate(db, issue.candidate_id) if issue.candidate_id else None
    beginning = raised.text[:BEGINNING] if raised else None
    return IssueView(issue.id, issue.question, issue.asked_at, issue.candidate_id, beginning, issue.answer, issue.answered_by, issue.answered_at)
