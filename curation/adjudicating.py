"""The adjudicator's word on a disputed text: what a decision needs, and how it is kept in the log and in the tables at once."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import sqlite_utils

from curation.clip_view import clip_view
from curation.disputes import KEPT, LEAST_VOICES, VERDICTS, majority, newest, text_of, voices_on
from curation.work import check_flags
from curation.work_fields import read_choice, read_id, read_text, read_whole
from curation.work_flags import FlagState, read_fields, read_flags
from store.database import transaction
from store.decisions import put_ruling, ruling_on
from store.errors import ConflictError, InputError, NotFoundError
from store.oplog import NewOperation, append_operation, find_operation
from store.records import Operation
from store.replay import Work
from store.replay_decisions import ruling_of


@dataclass(frozen=True)
class DecideOperation:
    """A decision as the browser sends it; its flags are not read yet."""

    id: str
    candidate_id: str
    base_sequence: int
    client_at: str | None
    verdict: str
    reason: str
    flags: object


@dataclass(frozen=True)
class Decided:
    """What the server answers to a decision that is kept: now the names may be known, in the order of the numbers."""

    sequence: int
    decided_at: str
    names: tuple[str, ...]


def read_decision(raw: object) -> DecideOperation:
    """Return the decision that JSON data describes, its flags not yet read. Raises InputError when it is not one."""
    given = read_fields(raw, DecideOperation, "A decision")
    decision_id = read_id(given["id"], "A decision")
    if not isinstance(given["candidate_id"], str) or not isinstance(given["client_at"], str | None):
        raise InputError("A decision names its text, and its moment or null. Reload the page.")
    base = read_whole(given["base_sequence"], "base_sequence", 0, 2**53)
    verdict = read_choice(given["verdict"], VERDICTS, "verdict")
    reason = read_text(given["reason"], "reason").strip()
    return DecideOperation(decision_id, given["candidate_id"], base, (given["client_at"] or "")[:40] or None, verdict, reason, given["flags"])


def decide(db: sqlite_utils.Database, adjudicator: str, operation: DecideOperation) -> Decided:
    """Keep a decision in the log and in the tables, both or neither; a repeated id changes nothing and is answered as before.

    Raises InputError for a decision that is not sound, one over a strict majority without a reason among them; NotFoundError when there is
    nothing to decide; ConflictError when somebody annotated or decided the text meanwhile. One immediate transaction.
    """
    with transaction(db):
        kept = find_operation(db, operation.id)
        if kept is None:
            kept = _append(db, adjudicator, operation)
        elif (kept.annotator, kept.candidate_id, kept.kind) != (adjudicator, operation.candidate_id, "decide"):
            raise ConflictError("Another operation has this id already. Reload the page; what you typed is kept in this browser.")
        names = tuple(voice.annotation.annotator for voice in voices_on(db, operation.candidate_id))
    return Decided(kept.sequence, kept.server_at, names)


def _append(db: sqlite_utils.Database, adjudicator: str, operation: DecideOperation) -> Operation:
    candidate = text_of(db, operation.candidate_id)
    before, voices = ruling_on(db, candidate.id), voices_on(db, candidate.id)
    if before is None and len(voices) < LEAST_VOICES:
        raise NotFoundError("Fewer than two people have judged this text, so that there is nothing to decide. Take the next one.")
    if operation.base_sequence != newest(before, voices):
        raise ConflictError("Somebody annotated or decided this text meanwhile. Look at it again; what you typed is kept.")
    flags = read_flags(operation.flags, candidate.text, clip_view(db, candidate).length_s)
    overrides = _check(operation, flags, voices)
    told = [{name: getattr(flag, name) for name in KEPT} for flag in flags]
    payload = {"verdict": operation.verdict, "reason": operation.reason, "overrides": overrides, "flags": told}
    text = json.dumps(payload, ensure_ascii=False, allow_nan=False, sort_keys=True)
    kept = append_operation(db, NewOperation(operation.id, adjudicator, candidate.id, "decide", text, client_at=operation.client_at))
    put_ruling(db, ruling_of(kept))
    return kept


def _check(operation: DecideOperation, flags: Sequence[FlagState], voices: Sequence[Work]) -> bool:
    """Return whether the decision overrides a strict majority. Raises InputError when it says too little."""
    told = majority(voices)
    overrides = told is not None and told != operation.verdict
    if overrides and not operation.reason:
        count = sum(voice.annotation.verdict == told for voice in voices)
        raise InputError(f"{count} of {len(voices)} annotators said {told!r}, and you say {operation.verdict!r}. Give a reason for overriding them.")
    if operation.verdict == "reject" and not flags and not operation.reason:
        raise InputError("A rejection needs a ground. Take over a flag or set one, or give a reason.")
    check_flags(flags)
    return overrides
