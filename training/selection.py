"""Which of many moments are shown: over a window, near a pause, and in which order they are given up. Pure numbers, seconds."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from store.errors import InputError
from training.windows import LEAST_REST, window_count

_MOST_WINDOWS = 1_000_000


def windows_in(start_s: float, end_s: float, window_s: float, least_rest: float = LEAST_REST) -> list[tuple[float, float]]:
    """Return the windows [start + i x window_s, start + (i + 1) x window_s) of a span, the last one up to its end, as `pool` cuts them.

    They leave no hole, none is empty, and a window longer than the span is the span. A rest shorter than `least_rest` of a window
    joins the window before. Raises InputError for more than a million.
    """
    count = window_count(end_s - start_s, window_s, least_rest)
    if count > _MOST_WINDOWS:
        raise InputError(f"Windows of {window_s:g} s cut {end_s - start_s:g} s into {count:,} pieces; {_MOST_WINDOWS:,} are the most. Take longer windows.")
    edges = [start_s + number * window_s for number in range(count)] + [end_s]
    return list(pairwise(edges))


def uniform(total: int, count: int) -> list[int]:
    """Return min(count, total) distinct indices below `total`, ascending: the first, the last, and equal steps rounded between; one alone is the middle.

    With two and more it is POVQA's rule, round(i x (N - 1) / (k - 1)), which divides by zero for one.
    """
    if count >= total:
        return list(range(total))
    if count == 1:
        return [(total - 1) // 2]
    # Longer than 1, so no two round to the same index; divided first, as POVQA does, since 7 x (29 / 14) is not quite 7 x 29 / 14.
    step = (total - 1) / max(1, count - 1)
    return [round(number * step) for number in range(count)]


def nearest(times_s: Sequence[float], focus_s: float, count: int) -> list[int]:
    """Return the indices of the min(count, total) times nearest to the focus, ascending; of two equally near the first."""
    return sorted(sorted(range(len(times_s)), key=lambda at: abs(times_s[at] - focus_s))[:count])


def choose(selection: str, times_s: Sequence[float], focus_s: float, count: int) -> list[int]:
    """Return min(count, total) distinct indices of `times_s`, ascending, by "uniform", "near_ts" or "all".

    "near_ts": those nearest to the focus. "all": every one, and when they are more than `count`, thinned as by "uniform".
    """
    return nearest(times_s, focus_s, count) if selection == "near_ts" else uniform(len(times_s), count)


def coarse_to_fine(times_s: Sequence[float], focus_s: float, shown_s: Sequence[float] = ()) -> list[int]:
    """Return all indices in an order of which every beginning covers the whole, coarsely at first.

    The first is the time nearest to the focus, unless `shown_s` are on display already; each next is the farthest from all
    before it, of equally far ones the nearest to the focus. So at each length the largest distance to what is shown is at
    most twice what any choice of that many could reach (Gonzalez 1985, farthest-first traversal). Cost: n x n.
    """
    by_focus = sorted(range(len(times_s)), key=lambda at: (abs(times_s[at] - focus_s), times_s[at]))
    times = np.array([times_s[at] for at in by_focus], dtype=np.float64)
    gaps: NDArray[np.float64] = np.full(len(times), math.inf)
    for moment_s in shown_s:
        gaps = np.minimum(gaps, np.abs(times - moment_s))
    order = []
    for _ in by_focus:
        # argmax takes the first of equals, and they stand by their distance to the focus.
        at = int(np.argmax(gaps))
        order.append(by_focus[at])
        gaps = np.minimum(gaps, np.abs(times - times[at]))
        gaps[at] = -1.0
    return order
