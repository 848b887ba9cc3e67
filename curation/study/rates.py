"""Shares with their n and interval, and middles with their n: unknown is None with a reason, never a number. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

import numpy as np

Z_95 = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True)
class Rate:
    """A share of n with Wilson's 95 % interval; None, with the reason, when n is 0."""

    share: float | None
    low: float | None
    high: float | None
    n: int
    reason: str | None = None


@dataclass(frozen=True)
class Middle:
    """Median and 90th percentile of n numbers; None, with the reason, when there are none."""

    median: float | None
    p90: float | None
    n: int
    reason: str | None = None


def rate_of(hits: int, n: int, reason: str) -> Rate:
    """Return hits / n with its interval; without any, `reason` says why there is none.

    Wilson, Probable inference, JASA 22 (1927): keeps near its 95 % also for small n and shares near 0 or 1, where Wald's does not.
    """
    if n == 0:
        return Rate(None, None, None, 0, reason)
    share, z2 = hits / n, Z_95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    reach = Z_95 * sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return Rate(share, 0.0 if hits == 0 else centre - reach, 1.0 if hits == n else centre + reach, n)


def middle_of(values: Sequence[float], reason: str) -> Middle:
    """Return median and 90th percentile of the values (linear between neighbours); without any, `reason` says why there is none."""
    if not values:
        return Middle(None, None, 0, reason)
    median, p90 = np.quantile(np.asarray(values, dtype=float), [0.5, 0.9])
    return Middle(float(median), float(p90), len(values))
