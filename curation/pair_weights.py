"""How much a preference pair weighs in the loss: by how sure people are that one text is better, and how bad the other one is."""

from collections.abc import Iterable, Mapping, Sequence

from curation.pairing import Evidence
from curation.votes import Votes
from store.records import Flag

FORMULA = (
    "w = clip((2P - 1) x s / 3, 0.1, 1), then divided by the mean of all w, so that the mean weight is 1; "
    "P = (k + 1) / (n + 2) for k of n votes that speak for the pair, s = the highest severity (0-3) of the flags on the rejected text"
)
LEAST, MOST = 0.1, 1.0
_WORST = 3  # the highest severity


def highest_severities(flags: Iterable[Flag]) -> dict[str, int]:
    """Return annotation id -> the highest severity of its flags, 0 to 3."""
    highest: dict[str, int] = {}
    for flag in flags:
        highest[flag.annotation_id] = max(flag.severity, highest.get(flag.annotation_id, 0))
    return highest


def severity_on(votes: Votes, by_annotation: Mapping[str, int]) -> int | None:
    """Return the highest severity of the flags that stand on a text: those of the decision, or, without one, of its votes; None without flags."""
    found = [flag.severity for flag in votes.ruling.flags] if votes.ruling else [by_annotation[one] for one in votes.ids if one in by_annotation]
    return max(found, default=None)


def pair_strength(evidence: Evidence, severity: int | None) -> float | None:
    """Return the weight of a pair before the mean is made 1, or None when its evidence has no votes on both texts or no severity.

    Only verdicts have both: an edit has the word of its author, and of two texts side by side nobody says how bad one is. P is the mean of
    the posterior of a share under a uniform prior (Laplace's rule of succession); a decision speaks as if all had voted so.
    """
    if severity is None or not (evidence.rejected_of or evidence.rejected_by_decision) or not (evidence.chosen_of or evidence.chosen_by_decision):
        return None
    chosen = _votes(evidence.chosen_for, evidence.chosen_of, evidence.chosen_by_decision)
    rejected = _votes(evidence.rejected_for, evidence.rejected_of, evidence.rejected_by_decision)
    sure = (chosen[0] + rejected[0] + 1) / (chosen[1] + rejected[1] + 2)
    return min(MOST, max(LEAST, (2 * sure - 1) * severity / _WORST))


def with_mean_one(strengths: Sequence[float | None]) -> list[float]:
    """Return a weight for each pair: the known ones divided by their mean, the others 1, so that the mean of all is 1."""
    known = [one for one in strengths if one is not None]
    mean = sum(known) / len(known) if known else 1.0
    return [1.0 if one is None else one / mean for one in strengths]


def _votes(spoke_for: int, asked: int, decided: bool) -> tuple[int, int]:
    return (max(asked, 1), max(asked, 1)) if decided else (spoke_for, asked)
