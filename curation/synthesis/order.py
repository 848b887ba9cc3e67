"""In which order the QA pairs of a clip happen, as far as their evidence tells, and how well a telling keeps to it. Pure.

Of two pairs it is certain which comes first when the hulls of their evidence do not overlap: the one ends before, or when, the other begins. On the
validation data of NExT-GQA this decides 5,416 of 9,964 pairs of pairs. Everything else (overlap, no evidence) is left open and never counted as an error.
"""

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from curation.synthesis.arms import Arm
from curation.synthesis.subjects import Subject, Told

Span = tuple[float, float]  # seconds, start before end


@dataclass(frozen=True)
class OrderScore:
    """How a telling stands to the certain order, in pairs of pairs. Shares are None where there is nothing to count; `reason` says why."""

    concordant: int  # told as they happened
    discordant: int  # told the other way round
    untold: int  # their order is certain, and the telling has none: one is missing, or both are told at once

    @property
    def inversion_rate(self) -> float | None:
        """Return the share of the told that is told the wrong way round."""
        told = self.concordant + self.discordant
        return self.discordant / told if told else None

    @property
    def tau(self) -> float | None:
        """Return Kendall's tau on what is certain and told: 1 all as it happened, -1 all reversed."""
        told = self.concordant + self.discordant
        return (self.concordant - self.discordant) / told if told else None

    @property
    def coverage(self) -> float | None:
        """Return the share of what is certain that is told at all: who tells less has fewer chances to err."""
        certain = self.concordant + self.discordant + self.untold
        return (certain - self.untold) / certain if certain else None

    @property
    def reason(self) -> str | None:
        """Return why there is no rate; None: there is one."""
        if self.concordant + self.discordant:
            return None
        return f"None of the {self.untold} orders that are certain is told." if self.untold else "No two QA pairs have an order that is certain."


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return a key that sorts names as people number them: "2" before "10"."""
    return tuple((0, int(piece), "") if piece.isdecimal() else (1, 0, piece) for piece in re.split(r"(\d+)", name) if piece)


def hull(spans: Sequence[Span]) -> Span | None:
    """Return the stretch from the first start to the last end; None when there are no spans."""
    return (min(start for start, _ in spans), max(end for _, end in spans)) if spans else None


def is_before(first: Sequence[Span], second: Sequence[Span], delta_s: float = 0.0) -> bool:
    """Return whether `first` is certainly over when `second` begins, give or take `delta_s` seconds. Without spans nothing is certain."""
    return (0, 1) in _certain((first, second), delta_s)


def certain_order(pairs: Sequence[Told], delta_s: float = 0.0) -> frozenset[tuple[int, int]]:
    """Return (earlier, later) for each two places into `pairs` whose order is certain. Cost grows with the square of the pairs.

    It is closed under transitivity, as it is an order of intervals: what ends before a begin is over before all that begins later.
    """
    return _certain([pair.spans for pair in pairs], delta_s)


def _certain(events: Sequence[Sequence[Span]], delta_s: float) -> frozenset[tuple[int, int]]:
    hulls = [(place, span) for place, spans in enumerate(events) if (span := hull(spans)) is not None]
    return frozenset((i, j) for i, one in hulls for j, other in hulls if one[1] - delta_s <= other[0] and one[0] < other[0])


def told_order(pairs: Sequence[Told], arm: Arm) -> tuple[int, ...]:
    """Return the places into `pairs` in the order in which the arm lists them.

    By time: as their evidence begins. A pair without evidence stays behind the pair that it stands behind; at the front, it stays at the front.
    """
    if arm.order == "file":
        return tuple(range(len(pairs)))
    groups: list[tuple[Span, list[int]]] = [((float("-inf"), 0.0), [])]
    for place, pair in enumerate(pairs):
        if (span := hull(pair.spans)) is None:
            groups[-1][1].append(place)
        else:
            groups.append((span, [place]))
    return tuple(place for _, places in sorted(groups, key=lambda group: group[0]) for place in places)


def numbered(subject: Subject, arm: Arm) -> tuple[Told, ...]:
    """Return the pairs with a known answer as the arm lists them; the k-th is called Qk, from 1."""
    known = [pair for pair in subject.pairs if pair.answer is not None]
    return tuple(known[place] for place in told_order(known, arm))


def plan_order(pairs: Sequence[Told], delta_s: float = 0.0) -> tuple[int, ...]:
    """Return the places in an order that breaks nothing that is certain; what is open stands as in `pairs`. Cost grows with the cube of the pairs."""
    return _sorted_by(certain_order(pairs, delta_s), len(pairs))


def plan_lines(pairs: Sequence[Told], delta_s: float = 0.0) -> tuple[str, ...]:
    """Return the plan as a numbered list: pair k of `pairs` is called Qk (from 1), and each line says which pairs must be told before it.

    Only the nearest are named (the transitive reduction): two lines have a certain order just when the words lead from the one to the other.
    """
    later = certain_order(pairs, delta_s)
    lines = []
    for number, place in enumerate(_sorted_by(later, len(pairs)), start=1):
        earlier = [other for other in range(len(pairs)) if (other, place) in later]
        nearest = [f"Q{other + 1}" for other in earlier if not any((other, between) in later for between in earlier)]
        lines.append(f"{number}. Q{place + 1}" + (f" (after {', '.join(nearest)})" if nearest else ""))
    return tuple(lines)


def _sorted_by(later: Set[tuple[int, int]], count: int) -> tuple[int, ...]:
    waiting, order = list(range(count)), []
    while waiting:
        following = next(place for place in waiting if not any((other, place) in later for other in waiting))
        waiting.remove(following)
        order.append(following)
    return tuple(order)


def score(spans: Mapping[str, Sequence[Span]], told: Mapping[str, float], delta_s: float = 0.0) -> OrderScore:
    """Return how the telling stands to the certain order of these events. `told` says where each is told, in any number that grows along the telling.

    Of two that are told at one place the telling gives no order. Cost grows with the square of the events.
    """
    places = [told.get(event) for event in spans]
    certain = [(places[one], places[other]) for one, other in _certain(list(spans.values()), delta_s)]
    ordered = [(one, other) for one, other in certain if one is not None and other is not None and one != other]
    concordant = sum(one < other for one, other in ordered)
    return OrderScore(concordant, len(ordered) - concordant, len(certain) - len(ordered))
