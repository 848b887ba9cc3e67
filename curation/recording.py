"""What each operation of an annotator means: kept in the log and in the tables at once."""

import json
from dataclasses import dataclass, replace

import sqlite_utils

from curation.desk import Subject, subject_of
from curation.work import WorkState, check_submitted, read_sound_work, read_work, work_from_json, work_to_json
from curation.work_fields import read_id, read_number, read_text, read_whole
from curation.work_flags import read_fields
from store.annotations import foreign_flags, put_work, work_of
from store.candidates import add_candidate, candidate_of, generator_of
from store.database import transaction
from store.errors import ConflictError, InputError
from store.oplog import NewOperation, append_operation, find_operation, last_operation
from store.queue import renew_lease, set_assignment_state
from store.records import Candidate, Operation
from store.replay import STATE_KINDS, WORK_KINDS, annotation_id, outcome

# What each kind leaves of the lease; a draft and an answer renew it.
STATE_AFTER = {"submit": "final", "skip": "skipped", "release": "released"}


@dataclass(frozen=True)
class DeskOperation:
    """An act as the browser sends it; its work is not read yet."""

    id: str
    kind: str
    assignment_id: str
    base_sequence: int
    client_at: str | None
    text_sha256: str | None
    work: object


@dataclass(frozen=True)
class Saved:
    """What the server answers to an operation that is kept."""

    sequence: int
    saved_at: str


@dataclass(frozen=True)
class BlindAnswer:
    """What an annotator answers before the given answer is shown."""

    answer: str | None
    answer_index: int | None
    seconds_spent: float


class StaleWorkError(ConflictError):
    """Another window changed the same work; carries what is kept now."""

    def __init__(self, sentence: str, work: WorkState | None, sequence: int, state: str) -> None:
        super().__init__(sentence)
        self.work, self.sequence, self.state = work, sequence, state


def read_operation(raw: object) -> DeskOperation:
    """Return the operation that JSON data describes, its work not yet read. Raises InputError when it is not one."""
    wanted = {"id", "kind", "assignment_id", "base_sequence", "client_at", "text_sha256", "state"}
    if not isinstance(raw, dict) or set(raw) != wanted:
        raise InputError(f"An operation has exactly these fields: {', '.join(sorted(wanted))}. Reload the page: it may be older than the server.")
    operation_id = read_id(raw["id"], "An operation")
    if raw["kind"] not in WORK_KINDS:
        raise InputError(f"The operation {ascii(raw['kind'])[:40]} is not known. Use one of: {', '.join(WORK_KINDS)}.")
    told = [raw["assignment_id"], raw["client_at"] or "", raw["text_sha256"] or ""]
    if not all(isinstance(text, str) and text.isascii() for text in told):
        raise InputError("An operation names its item, and its moment and the digest of the text or null. Reload the page.")
    if isinstance(raw["base_sequence"], bool) or not isinstance(raw["base_sequence"], int) or raw["base_sequence"] < 0:
        raise InputError("base_sequence has to be the number that the last answer gave, or 0. Reload the page.")
    moment = (raw["client_at"] or "")[:40] or None
    return DeskOperation(operation_id, raw["kind"], raw["assignment_id"], raw["base_sequence"], moment, raw["text_sha256"], raw["state"])


def record(db: sqlite_utils.Database, annotator: str, operation: DeskOperation) -> Saved:
    """Keep an operation in the log and in the tables, both or neither; a repeated id changes nothing and is answered as before.

    Raises InputError for work that is not sound (a skip leaves out what is not), NotFoundError for an item that was not given to the
    annotator, StaleWorkError when another window was there first, ConflictError when the lease ran out and others took the place. One
    immediate transaction.
    """
    with transaction(db):
        subject = subject_of(db, annotator, operation.assignment_id)
        kept = find_operation(db, operation.id)
        if kept is None:
            kept = _append(db, subject, operation)
        elif (kept.annotator, kept.candidate_id, kept.round, kept.kind) != (annotator, subject.candidate.id, subject.assignment.round, operation.kind):
            raise ConflictError("Another operation has this id already. Reload the page; what you typed is kept in this browser.")
    return Saved(kept.sequence, kept.server_at)


def _append(db: sqlite_utils.Database, subject: Subject, operation: DeskOperation) -> Operation:
    payload = _payload(db, subject, operation)
    _refuse_stale(db, subject, operation)
    _hold(db, subject, operation)
    lease = subject.assignment
    made = NewOperation(operation.id, lease.annotator, lease.candidate_id, operation.kind, payload, lease.round, operation.client_at)
    kept = append_operation(db, made)
    _set_tables(db, subject.candidate, kept)
    if operation.kind in STATE_AFTER:
        set_assignment_state(db, lease.id, STATE_AFTER[operation.kind])
    return kept


def _payload(db: sqlite_utils.Database, subject: Subject, operation: DeskOperation) -> str:
    """Return what the log keeps of the operation: the work in full, the answer given blind, or nothing. Raises InputError."""
    if operation.kind not in ("answer", *STATE_KINDS):
        return "{}"
    if operation.kind == "answer":
        return json.dumps(vars(_read_answer(operation.work, subject)), ensure_ascii=False)
    if operation.kind != "skip" and subject.asks_first:
        raise InputError("Answer the question first: the text is shown after that.")
    # A skip needs no text: it may be on its way since before the text was shown.
    seen = None if subject.asks_first else subject.text_sha256
    if operation.text_sha256 != seen and (operation.kind, operation.text_sha256) != ("skip", None):
        raise ConflictError("The words on your page are not those of this item. Reload the page; what you typed is kept in this browser.")
    return work_to_json(_read(db, subject, operation))


def _read_answer(raw: object, subject: Subject) -> BlindAnswer:
    given = read_fields(raw, BlindAnswer, "The answer")
    options = subject.question.options if subject.question else ()
    answer = None if given["answer"] is None else read_text(given["answer"], "answer").strip() or None
    index = None if given["answer_index"] is None else read_whole(given["answer_index"], "number of the answer", 0, len(options) - 1)
    if not subject.asks_first:
        raise InputError("This item does not ask for an answer, or has it already. Reload the page.")
    if (answer is None) == (index is None):
        raise InputError("Choose one of the options, or type an answer.")
    return BlindAnswer(answer, index, read_number(given["seconds_spent"], "time spent in seconds", 1e7))


def _read(db: sqlite_utils.Database, subject: Subject, operation: DeskOperation) -> WorkState:
    """Return the operation's work. Nothing in it may stand in the way of a skip but a missing reason: what is not sound is left out of that."""
    if operation.kind == "skip":
        work = read_sound_work(operation.work, subject.candidate.text, subject.length_s)
        if not (work.skip_reason or "").strip():
            raise InputError("Say why you skip the item: choose one of the reasons, or type one.")
        foreign = foreign_flags(db, subject.annotation_id, [flag.id for flag in work.flags])
        return replace(work, flags=tuple(flag for flag in work.flags if flag.id not in foreign))
    work = read_work(operation.work, subject.candidate.text, subject.length_s)
    if operation.kind == "submit":
        check_submitted(work)
    return work


def _refuse_stale(db: sqlite_utils.Database, subject: Subject, operation: DeskOperation) -> None:
    lease = subject.assignment
    last = last_operation(db, lease.candidate_id, lease.annotator, lease.round, WORK_KINDS)
    if operation.base_sequence == (last.sequence if last else 0):
        return
    stated = last_operation(db, lease.candidate_id, lease.annotator, lease.round, STATE_KINDS)
    raise StaleWorkError(
        "You changed this item in another window meanwhile. Keep what is here, or take what is there.",
        work_from_json(stated.payload) if stated else None,
        last.sequence if last else 0,
        lease.state,
    )


def _hold(db: sqlite_utils.Database, subject: Subject, operation: DeskOperation) -> None:
    """Renew the lease; an item that was skipped, or is reopened, is taken up again."""
    lease = subject.assignment
    if lease.state == "final" and operation.kind in ("skip", "release"):
        raise InputError("This item is submitted already and cannot be skipped or given back. Submit it again with another verdict instead.")
    if operation.kind == "reopen" and lease.state not in ("final", "skipped"):
        raise InputError("This item is open already. Reload the page.")
    if lease.state == "skipped":
        set_assignment_state(db, lease.id, "released")
    if lease.state == "final" and operation.kind == "reopen":
        set_assignment_state(db, lease.id, "leased")
    if not renew_lease(db, lease.id):
        raise ConflictError("Your hold on this item ran out, and others have finished it meanwhile. Your work on it stays in this browser; take the next item.")


def _set_tables(db: sqlite_utils.Database, candidate: Candidate, operation: Operation) -> None:
    """Make annotation, flags, ticks and an edited text what the operation says. Raises ConflictError for a flag id that is taken."""
    after = outcome(work_of(db, candidate.id, operation.annotator, operation.round), operation)
    if after is None:
        return
    if foreign_flags(db, annotation_id(operation), [flag.id for flag in after.flags]):
        raise ConflictError("A flag's id belongs to another item. Reload the page and set the flag again.")
    put_work(db, after)
    edited = after.annotation.edited_text
    if operation.kind == "submit" and operation.round == 1 and edited is not None and edited != candidate.text:
        _keep_edit(db, candidate, operation.annotator, edited)


def _keep_edit(db: sqlite_utils.Database, original: Candidate, annotator: str, text: str) -> None:
    writer = generator_of("person", annotator)
    add_candidate(db, candidate_of(original.kind, original.clip_id, original.qa_id, writer, text, parent_id=original.id), writer)
