"""What the log of operations amounts to: each operation of an annotator as rows of the tables. Pure; no SQL.

The same function sets the tables when an operation comes in and replays the log, so that the two cannot part.
"""

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from store.records import Annotation, ClaimTick, Flag, Operation
from store.rows import digest_id

# Operations on an item; the others speak of comparisons, decisions and the guidelines.
WORK_KINDS = ("draft", "answer", "submit", "skip", "release", "reopen")
# Of these, the ones that carry the whole state of the work.
STATE_KINDS = ("draft", "submit", "skip")


@dataclass(frozen=True)
class Work:
    """An annotation with its flags and claim ticks, as rows."""

    annotation: Annotation
    flags: tuple[Flag, ...]
    ticks: tuple[ClaimTick, ...]


def replay_work(operations: Iterable[Operation]) -> dict[str, Work]:
    """Return what the operations on items amount to, by annotation id: what the tables hold."""
    found: dict[str, Work] = {}
    for operation in operations:
        if operation.kind in WORK_KINDS:
            key = annotation_id(operation)
            if after := outcome(found.get(key), operation):
                found[key] = after
    return found


def outcome(before: Work | None, operation: Operation) -> Work | None:
    """Return the work that the operation leaves, or None when it leaves it as it is.

    What was submitted stands until it is submitted again or reopened: a draft after it is in the log only.
    """
    final = before is not None and before.annotation.state == "final"
    if operation.kind == "release" or (operation.kind == "draft" and final):
        return None
    payload: dict[str, Any] = json.loads(operation.payload)
    if operation.kind == "answer":
        return _answered(before, operation, payload)
    if operation.kind == "reopen":
        return _reopened(before, operation)
    return _stated(before, operation, payload)


def annotation_id(operation: Operation) -> str:
    """Return the id of the annotation that the operation speaks of."""
    return annotation_key(operation.candidate_id or "", operation.annotator, operation.round)


def annotation_key(candidate_id: str, annotator: str, round_: int) -> str:
    """Return the id of an annotator's annotation of a candidate; that of round 1 is as it was before there were rounds."""
    parts = (candidate_id, annotator) if round_ == 1 else (candidate_id, annotator, round_)
    return digest_id("annotation", *parts)


def _stated(before: Work | None, operation: Operation, payload: dict[str, Any]) -> Work:
    """Return the work that a draft, a submission or a skip states in full; only the answer given blind is carried over."""
    begun = before.annotation if before else None
    annotation = Annotation(
        id=annotation_id(operation),
        candidate_id=operation.candidate_id or "",
        annotator=operation.annotator,
        round=operation.round,
        state="final" if operation.kind == "submit" else "draft",
        verdict="skip" if operation.kind == "skip" else payload["verdict"],
        no_error=payload["no_error"],
        omission=payload.get("omission"),
        factual_consistency=payload["factual_consistency"],
        logical_coherence=payload["logical_coherence"],
        note=payload["note"],
        edited_text=payload["edited_text"],
        skip_reason=payload.get("skip_reason") if operation.kind == "skip" else None,
        blind_answer=begun.blind_answer if begun else None,
        blind_answer_index=begun.blind_answer_index if begun else None,
        seconds_spent=payload["seconds_spent"],
        watched_share=payload["watched_share"],
        operation_sequence=operation.sequence,
        updated_at=operation.server_at,
    )
    flags = tuple(Flag(**{**_NO_OTHER, **flag, "annotation_id": annotation.id}) for flag in payload["flags"])
    return Work(annotation, flags, tuple(ClaimTick(annotation.id, **tick) for tick in payload.get("ticks", ())))


def _answered(before: Work | None, operation: Operation, payload: dict[str, Any]) -> Work:
    work = before or _stated(None, operation, {**_NOT_BEGUN, "seconds_spent": payload["seconds_spent"]})
    told = {"blind_answer": payload["answer"], "blind_answer_index": payload["answer_index"]}
    return dataclasses.replace(work, annotation=_touched(work.annotation, operation, **told))


def _reopened(before: Work | None, operation: Operation) -> Work | None:
    if before is None:
        return None
    verdict = None if before.annotation.verdict == "skip" else before.annotation.verdict
    return dataclasses.replace(before, annotation=_touched(before.annotation, operation, state="draft", verdict=verdict, skip_reason=None))


def _touched(annotation: Annotation, operation: Operation, **changes: Any) -> Annotation:
    return dataclasses.replace(annotation, operation_sequence=operation.sequence, updated_at=operation.server_at, **changes)


_NO_OTHER: dict[str, Any] = {
    "other_start": None,
    "other_end": None,
    "other_quote": "",
    "other_start_s": None,
    "other_end_s": None,
    "claimed_order": None,
    "true_order": None,
    "props_up": "",
}  # what a flag of the first version lacks
_NOT_BEGUN: dict[str, Any] = {
    "verdict": None,
    "no_error": False,
    "factual_consistency": None,
    "logical_coherence": None,
    "note": "",
    "edited_text": None,
    "watched_share": 0.0,
    "flags": (),
}
