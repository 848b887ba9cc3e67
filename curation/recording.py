"""What each operation of an annotator means: kept in the log and in the tables at once, and replayed from the log alone."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import sqlite_utils

from curation.desk import Subject, subject_of
from curation.work import ID_PATTERN, WorkState, check_submitted, read_sound_work, read_work, work_from_json, work_to_json
from store.annotations import annotation_of, foreign_flags, put_annotation
from store.candidates import add_candidate, candidate_of, generator_of
from store.database import transaction
from store.errors import ConflictError, InputError
from store.oplog import append_operation, find_operation, last_operation
from store.queue import assignment_of, renew_lease, set_assignment_state
from store.records import Annotation, Candidate, Flag, Operation
from store.rows import digest_id

KINDS = ("draft", "submit", "skip")


@dataclass(frozen=True)
class DeskOperation:
    """An act as the browser sends it; its work is not read yet."""

    id: str
    kind: str
    candidate_id: str
    base_sequence: int
    client_at: str | None
    work: object


@dataclass(frozen=True)
class Saved:
    """What the server answers to an operation that is kept."""

    sequence: int
    saved_at: str


class StaleWorkError(ConflictError):
    """Another window changed the same work; carries what is kept now."""

    def __init__(self, sentence: str, work: WorkState | None, sequence: int) -> None:
        super().__init__(sentence)
        self.work, self.sequence = work, sequence


def read_operation(raw: object) -> DeskOperation:
    """Return the operation that JSON data describes, its work not yet read. Raises InputError when it is not one."""
    wanted = {"id", "kind", "candidate_id", "base_sequence", "client_at", "state"}
    if not isinstance(raw, dict) or set(raw) != wanted:
        raise InputError(f"An operation has exactly these fields: {', '.join(sorted(wanted))}. Reload the page: it may be older than the server.")
    if not isinstance(raw["id"], str) or not ID_PATTERN.fullmatch(raw["id"]):
        raise InputError("An operation's id has to be 8 to 64 letters, digits, - or _. Reload the page.")
    if raw["kind"] not in KINDS:
        raise InputError(f"The operation {ascii(raw['kind'])[:40]} is not known. Use one of: {', '.join(KINDS)}.")
    if not isinstance(raw["candidate_id"], str) or not isinstance(raw["client_at"], str | None):
        raise InputError("An operation names its candidate, and its moment or null. Reload the page.")
    if isinstance(raw["base_sequence"], bool) or not isinstance(raw["base_sequence"], int) or raw["base_sequence"] < 0:
        raise InputError("base_sequence has to be the number that the last answer gave, or 0. Reload the page.")
    return DeskOperation(raw["id"], raw["kind"], raw["candidate_id"], raw["base_sequence"], (raw["client_at"] or "")[:40] or None, raw["state"])


def record(db: sqlite_utils.Database, annotator: str, operation: DeskOperation) -> Saved:
    """Keep an operation in the log and in the tables, both or neither; a repeated id changes nothing and is answered as before.

    Raises InputError for work that is not sound (a skip leaves out what is not), NotFoundError for an item that was not given to the
    annotator, StaleWorkError when another window was there first, ConflictError when the lease ran out and others took the place. One
    immediate transaction.
    """
    with transaction(db):
        kept = find_operation(db, operation.id)
        if kept is None:
            kept = _append(db, annotator, operation)
        elif (kept.annotator, kept.candidate_id, kept.kind) != (annotator, operation.candidate_id, operation.kind):
            raise ConflictError("Another operation has this id already. Reload the page; what you typed is kept in this browser.")
    return Saved(kept.sequence, kept.server_at)


def replay(operations: Iterable[Operation]) -> dict[str, tuple[Annotation, tuple[Flag, ...]]]:
    """Return the annotations and flags that the log amounts to, by annotation id: what the tables hold. Pure."""
    found: dict[str, tuple[Annotation, tuple[Flag, ...]]] = {}
    for operation in operations:
        before = found.get(_annotation_id(operation))
        if after := outcome(before[0] if before else None, operation):
            found[after[0].id] = after
    return found


def outcome(before: Annotation | None, operation: Operation) -> tuple[Annotation, tuple[Flag, ...]] | None:
    """Return the annotation and flags that the operation leaves, or None when it leaves them as they are. Pure.

    What was submitted stands until it is submitted again: a draft after it is in the log only.
    """
    if operation.kind == "draft" and before is not None and before.state == "final":
        return None
    work = work_from_json(operation.payload)
    annotation = Annotation(
        id=_annotation_id(operation),
        candidate_id=operation.candidate_id,
        annotator=operation.annotator,
        state="final" if operation.kind == "submit" else "draft",
        verdict="skip" if operation.kind == "skip" else work.verdict,
        no_error=work.no_error,
        factual_consistency=work.factual_consistency,
        logical_coherence=work.logical_coherence,
        note=work.note,
        edited_text=work.edited_text,
        seconds_spent=work.seconds_spent,
        watched_share=work.watched_share,
        operation_sequence=operation.sequence,
        updated_at=operation.server_at,
    )
    return annotation, tuple(
        Flag(flag.id, annotation.id, flag.kind, flag.text_start, flag.text_end, flag.quote, flag.start_s, flag.end_s, flag.severity, flag.comment)
        for flag in work.flags
    )


def _append(db: sqlite_utils.Database, annotator: str, operation: DeskOperation) -> Operation:
    subject = subject_of(db, annotator, operation.candidate_id)
    work = _read(db, annotator, operation, subject)
    _refuse_stale(db, annotator, operation)
    _hold(db, annotator, operation)
    append_operation(db, operation.id, annotator, operation.candidate_id, operation.kind, work_to_json(work), operation.client_at)
    kept = last_operation(db, operation.candidate_id, annotator)
    assert kept is not None, "it was appended just now, in this transaction"
    _set_tables(db, subject.candidate, kept)
    return kept


def _read(db: sqlite_utils.Database, annotator: str, operation: DeskOperation, subject: Subject) -> WorkState:
    """Return the operation's work. Nothing in it may stand in the way of a skip: what is not sound is left out of that."""
    if operation.kind == "skip":
        work = read_sound_work(operation.work, subject.candidate.text, subject.length_s)
        foreign = foreign_flags(db, digest_id("annotation", operation.candidate_id, annotator), [flag.id for flag in work.flags])
        return replace(work, flags=tuple(flag for flag in work.flags if flag.id not in foreign))
    work = read_work(operation.work, subject.candidate.text, subject.length_s)
    if operation.kind == "submit":
        check_submitted(work)
    return work


def _refuse_stale(db: sqlite_utils.Database, annotator: str, operation: DeskOperation) -> None:
    last = last_operation(db, operation.candidate_id, annotator)
    if operation.base_sequence == (last.sequence if last else 0):
        return
    raise StaleWorkError(
        "You changed this item in another window meanwhile. Keep what is here, or take what is there.",
        work_from_json(last.payload) if last else None,
        last.sequence if last else 0,
    )


def _hold(db: sqlite_utils.Database, annotator: str, operation: DeskOperation) -> None:
    """Renew the lease; an item that was skipped is taken up again."""
    held = assignment_of(db, operation.candidate_id, annotator)
    if held and held.state == "final" and operation.kind == "skip":
        raise InputError("This item is submitted already and cannot be skipped. Submit it again with another verdict instead.")
    if held and held.state == "skipped":
        set_assignment_state(db, operation.candidate_id, annotator, "released")
    if not renew_lease(db, operation.candidate_id, annotator):
        raise ConflictError("Your hold on this item ran out, and others have finished it meanwhile. Your work on it stays in this browser; take the next item.")


def _set_tables(db: sqlite_utils.Database, candidate: Candidate, operation: Operation) -> None:
    """Make annotation, flags, assignment and an edited text what the operation says. Raises ConflictError for a flag id that is taken."""
    after = outcome(annotation_of(db, candidate.id, operation.annotator), operation)
    if after is None:
        return
    annotation, flags = after
    if foreign_flags(db, annotation.id, [flag.id for flag in flags]):
        raise ConflictError("A flag's id belongs to another item. Reload the page and set the flag again.")
    put_annotation(db, annotation, flags)
    if operation.kind != "draft":
        set_assignment_state(db, candidate.id, operation.annotator, "final" if operation.kind == "submit" else "skipped")
    if operation.kind == "submit" and annotation.edited_text is not None and annotation.edited_text != candidate.text:
        _keep_edit(db, candidate, operation.annotator, annotation.edited_text)


def _keep_edit(db: sqlite_utils.Database, original: Candidate, annotator: str, text: str) -> None:
    writer = generator_of("person", annotator)
    add_candidate(db, candidate_of(original.kind, original.clip_id, original.qa_id, writer, text, parent_id=original.id), writer)


def _annotation_id(operation: Operation) -> str:
    return digest_id("annotation", operation.candidate_id, operation.annotator)
