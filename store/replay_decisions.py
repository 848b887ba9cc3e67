"""What the log says of decisions and of the guidelines: "decide", "ask" and "settle" as rows of the tables. Pure; no SQL.

The same functions set the tables when an operation comes in and replay the log, so that the two cannot part.
"""

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from store.records import Decision, DecisionFlag, GuidelineIssue, Operation
from store.rows import digest_id


@dataclass(frozen=True)
class Ruling:
    """A decision with the flags that stand after it, as rows."""

    decision: Decision
    flags: tuple[DecisionFlag, ...] = ()


def replay_rulings(operations: Iterable[Operation]) -> dict[str, Ruling]:
    """Return what the operations of kind "decide" amount to, by decision id: the last one on a candidate stands."""
    rulings = (ruling_of(operation) for operation in operations if operation.kind == "decide")
    return {ruling.decision.id: ruling for ruling in rulings}


def replay_issues(operations: Iterable[Operation]) -> dict[str, GuidelineIssue]:
    """Return what the operations of kinds "ask" and "settle" amount to, by the question's id: the last answer stands."""
    found: dict[str, GuidelineIssue] = {}
    for operation in operations:
        if operation.kind == "ask":
            asked = issue_of(operation)
            found[asked.id] = asked
        elif operation.kind == "settle":
            issue_id = json.loads(operation.payload)["issue_id"]
            found[issue_id] = settled(found[issue_id], operation)
    return found


def ruling_of(operation: Operation) -> Ruling:
    """Return the decision that an operation of kind "decide" makes; its payload holds verdict, reason, overrides and flags."""
    payload: dict[str, Any] = json.loads(operation.payload)
    decision = Decision(
        id=decision_id(operation.candidate_id or ""),
        candidate_id=operation.candidate_id or "",
        adjudicator=operation.annotator,
        verdict=payload["verdict"],
        reason=payload["reason"],
        overrides=payload["overrides"],
        operation_sequence=operation.sequence,
        decided_at=operation.server_at,
    )
    return Ruling(decision, tuple(DecisionFlag(decision_id=decision.id, position=place, **flag) for place, flag in enumerate(payload["flags"])))


def issue_of(operation: Operation) -> GuidelineIssue:
    """Return the question that an operation of kind "ask" puts; its payload holds the question."""
    question = json.loads(operation.payload)["question"]
    return GuidelineIssue(
        digest_id("guideline issue", operation.id), operation.annotator, operation.candidate_id, question, operation.server_at, None, None, None
    )


def settled(issue: GuidelineIssue, operation: Operation) -> GuidelineIssue:
    """Return the question with the answer that an operation of kind "settle" gives; its payload holds the question's id and the answer."""
    return dataclasses.replace(issue, answer=json.loads(operation.payload)["answer"], answered_by=operation.annotator, answered_at=operation.server_at)


def decision_id(candidate_id: str) -> str:
    """Return the id of the one decision on a candidate."""
    return digest_id("decision", candidate_id)
