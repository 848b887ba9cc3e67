"""Side, length and swapped repeats: whether choices between two texts follow something other than their words. Pure.

Interval: Wilson's, see rates.py. Test: exact binomial, two-sided, against one half. Power: normal approximation of the same test (Fleiss, Levin and
Paik, Statistical Methods for Rates and Proportions, 3rd ed., section 2.2). Choices of one person on many pairs are taken as independent.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from curation.study.rates import rate_of
from store.records import Comparison

LEVEL = 0.05  # of the test; the alarm is raised below it
POWER = 0.8
ALIKE = 0.1  # texts are of a length when the shorter lacks at most this share of the longer's words
BIASES = (0.60, 0.55, 0.52)


@dataclass(frozen=True)
class Share:
    """How many of `n`, with what chance alone would make of it; None where there is nothing to count."""

    hits: int
    n: int
    share: float | None
    low: float | None  # Wilson, 95 %
    high: float | None
    p: float | None  # against one half

    @property
    def alarm(self) -> bool:
        """Whether chance alone would seldom depart this far from one half."""
        return self.p is not None and self.p < LEVEL


@dataclass(frozen=True)
class SideReport:
    """What the choices of round 1 say of side and length, and those of round 2 of the same pairs swapped."""

    left: Share  # of the choices for one of the two texts: those for the left one
    longer: Share  # of those between texts of different lengths: those for the one with more words
    longer_alike: Share  # the same where the lengths differ by at most ALIKE
    swapped: Share  # of the pairs that the same person saw twice: those with the same word on both
    undecided: int  # ties and "both bad" of round 1


def side_report(comparisons: Iterable[Comparison], texts: Mapping[str, str]) -> SideReport:
    """Return the report over all comparisons; `texts` holds the text of each candidate in them, by id."""
    told = list(comparisons)
    words = {one: len(text.split()) for one, text in texts.items()}
    first = [one for one in told if one.round == 1]
    decided = [one for one in first if one.outcome in ("a", "b")]
    uneven = [one for one in decided if words[one.a_id] != words[one.b_id]]
    alike = [one for one in uneven if abs(words[one.a_id] - words[one.b_id]) <= ALIKE * max(words[one.a_id], words[one.b_id])]
    return SideReport(
        left=share_of([_better(one) == one.left_id for one in decided]),
        longer=share_of([_longer_won(one, words) for one in uneven]),
        longer_alike=share_of([_longer_won(one, words) for one in alike]),
        swapped=share_of(_stood(told)),
        undecided=len(first) - len(decided),
    )


def share_of(told: Sequence[bool]) -> Share:
    """Return the share of true ones with its interval and its p."""
    hits, n = sum(told), len(told)
    rate = rate_of(hits, n, "nothing of this kind was chosen yet")
    return Share(hits, n, rate.share, rate.low, rate.high, binomial_p(hits, n) if n else None)


def binomial_p(hits: int, n: int) -> float:
    """Return the chance that a fair coin thrown `n` times departs from n / 2 at least as far as `hits` does, in whole numbers: exact.

    Grows with n squared: 5 ms at 10,000, half a second at 100,000.
    """
    fewer = min(hits, n - hits)
    if 2 * fewer == n:
        return 1.0
    tail = ways = 1
    for taken in range(fewer):
        ways = ways * (n - taken) // (taken + 1)
        tail += ways
    return 2 * tail / (1 << n)


def votes_needed(share: float, power: float = POWER, level: float = LEVEL) -> int:
    """Return how many choices the two-sided test against one half needs to see a true share with this power, to the nearest whole number.

    By the normal approximation; the exact test has a little less power there, 0.76 for 0.80 at 194.
    """
    normal = NormalDist()
    spread = normal.inv_cdf(1 - level / 2) * 0.5 + normal.inv_cdf(power) * math.sqrt(share * (1 - share))
    return round((spread / (share - 0.5)) ** 2)


def _stood(comparisons: Iterable[Comparison]) -> list[bool]:
    """Return, for each pair that one person saw in both rounds, whether the word was the same."""
    rounds: dict[tuple[str, str, str], dict[int, str]] = {}
    for one in comparisons:
        rounds.setdefault((one.annotator, one.a_id, one.b_id), {})[one.round] = one.outcome
    return [told[1] == told[2] for told in rounds.values() if len(told) == 2]


def _better(comparison: Comparison) -> str:
    return comparison.a_id if comparison.outcome == "a" else comparison.b_id


def _longer_won(comparison: Comparison, words: Mapping[str, int]) -> bool:
    return words[_better(comparison)] == max(words[comparison.a_id], words[comparison.b_id])
