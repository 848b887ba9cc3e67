"""Texts that people dispute, and decisions on them, put into a store without a page."""

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Any

import sqlite_utils

from curation.adjudicating import Decided, decide, read_decision
from curation.disputes import dispute_item
from curation.recording import DeskOperation, record
from curation.work import NOT_BEGUN
from store.annotations import put_work, work_of
from store.database import transaction
from store.records import Candidate
from store.rows import digest_id, utc_now
from tests.curation.annotating import NO_OTHER, annotate


def flag_json(candidate: Candidate, kind: str, words: tuple[int, int] | None = (0, 2), comment: str = "", number: int = 0) -> dict[str, Any]:
    """Return a flag as a page sends it."""
    start, end = words or (None, None)
    quote = candidate.text[start:end] if words else ""
    place = {"text_start": start, "text_end": end, "quote": quote, "start_s": 0.5, "end_s": 1.5}
    return {"id": digest_id("flag", kind, words, number), "kind": kind, **place, "severity": 2, "comment": comment, **NO_OTHER}


def decision_json(db: sqlite_utils.Database, candidate: Candidate, verdict: str, **changes: Any) -> dict[str, Any]:
    """Return a decision on the text as it stands, as a page sends it."""
    base = dispute_item(db, "judge", candidate.id).sequence
    given = {"id": digest_id("decision", candidate.id, verdict, base), "candidate_id": candidate.id, "base_sequence": base, "client_at": None}
    return {**given, "verdict": verdict, "reason": "", "flags": [], **changes}


def rule(db: sqlite_utils.Database, candidate: Candidate, verdict: str, kinds: Sequence[str] = (), reason: str = "The clip says so.") -> Decided:
    """Decide a text, with a flag of each of these kinds."""
    flags = [flag_json(candidate, kind, comment="it is so", number=number) for number, kind in enumerate(kinds)]
    return decide(db, "judge", read_decision(decision_json(db, candidate, verdict, flags=flags, reason=reason)))


def dispute(db: sqlite_utils.Database, candidate: Candidate, verdicts: str = "aar", **said: Any) -> Candidate:
    """Let "ann", "bo", "cy" ... judge the text, one letter of `verdicts` each: a, r, u or s. `said` is what all of them say besides."""
    names = {"a": "accept", "r": "reject", "u": "unsure", "s": "skip"}
    for annotator, letter in zip(("ann", "bo", "cy", "di", "ed"), verdicts, strict=False):
        annotate(db, candidate, annotator, names[letter], ["other"] if letter == "r" else [])
        work = work_of(db, candidate.id, annotator)
        assert work is not None
        with transaction(db):
            put_work(db, dataclasses.replace(work, annotation=dataclasses.replace(work.annotation, **said)))
    return candidate


def say(
    db: sqlite_utils.Database, candidate: Candidate, annotator: str, verdict: str, flags: Sequence[tuple[str, str, float, float, int, str]] = (), **said: Any
) -> None:
    """Submit an annotation as the desk does; a flag is (kind, quote, start_s, end_s, severity, comment)."""
    assignment_id = digest_id("assignment", candidate.id, annotator, 1)
    lease = {"id": assignment_id, "candidate_id": candidate.id, "annotator": annotator, "round": 1, "state": "leased", "leased_at": utc_now()}
    work = dataclasses.asdict(NOT_BEGUN) | {"verdict": verdict, "no_error": verdict == "accept" and not flags, "watched_share": 1.0, "seconds_spent": 41.0}
    work |= {"ticks": [], **said, "flags": [_said(candidate, annotator, *flag) for flag in flags]}
    sha256 = hashlib.sha256(candidate.text.encode("utf-8")).hexdigest()
    with transaction(db):
        db.table("assignment").insert(lease | {"expires_at": "2100-01-01T00:00:00.000+00:00"}, ignore=True)
    record(db, annotator, DeskOperation(digest_id("say", assignment_id), "submit", assignment_id, 0, None, sha256, work))


def _said(candidate: Candidate, annotator: str, kind: str, quote: str, start_s: float, end_s: float, severity: int, comment: str) -> dict[str, Any]:
    start = candidate.text.index(quote)
    words = {"text_start": start, "text_end": start + len(quote), "quote": quote} if quote else {"text_start": None, "text_end": None, "quote": ""}
    made_id = digest_id("say", candidate.id, annotator, kind, quote)
    return {"id": made_id, "kind": kind, **words, "start_s": start_s, "end_s": end_s, "severity": severity, "comment": comment, **NO_OTHER}
