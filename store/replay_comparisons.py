"""What the log says of texts beside each other: each operation of kind "compare" as a row of the table. Pure; no SQL.

The same function sets the table when a choice comes in and replays the log, so that the two cannot part.
"""

import json
from collections.abc import Iterable
from typing import Any

from store.records import Comparison, Operation
from store.rows import digest_id

# Acts that leave no row: the annotator passed the pair by, or (None) took the act before back.
SKIPPED, TAKEN_BACK = "skip", None


def replay_comparisons(operations: Iterable[Operation]) -> dict[str, Comparison]:
    """Return what the operations of kind "compare" amount to, by comparison id: the last one on a pair stands."""
    found: dict[str, Comparison] = {}
    for operation in operations:
        if operation.kind != "compare":
            continue
        made = comparison_of(operation)
        if made is None:
            found.pop(comparison_id(operation), None)
        else:
            found[made.id] = made
    return found


def comparison_of(operation: Operation) -> Comparison | None:
    """Return the row that an operation of kind "compare" leaves, or None: it leaves none, and one that is there goes.

    Its payload holds subject, kind, both candidates, the one on the left, the outcome ("a", "b", "tie", "both_bad", "skip" or null) and seconds.
    """
    told: dict[str, Any] = json.loads(operation.payload)
    if told["outcome"] in (SKIPPED, TAKEN_BACK):
        return None
    return Comparison(
        id=comparison_id(operation),
        annotator=operation.annotator,
        subject_id=told["subject_id"],
        kind=told["kind"],
        a_id=told["a_id"],
        b_id=told["b_id"],
        left_id=told["left_id"],
        round=operation.round,
        outcome=told["outcome"],
        seconds_spent=told["seconds_spent"],
        created_at=operation.server_at,
    )


def comparison_id(operation: Operation) -> str:
    """Return the id of the row that an operation of kind "compare" speaks of."""
    told = json.loads(operation.payload)
    return comparison_key(operation.annotator, told["a_id"], told["b_id"], operation.round)


def comparison_key(annotator: str, a_id: str, b_id: str, round_: int) -> str:
    """Return the id of an annotator's comparison of two candidates; that of round 1 is as it was before there were rounds."""
    parts = (annotator, a_id, b_id) if round_ == 1 else (annotator, a_id, b_id, round_)
    return digest_id("comparison", *parts)
