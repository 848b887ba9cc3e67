"""At which moments of a span frames are taken. Pure numpy: no file is touched."""

import math

import numpy as np
from numpy.typing import NDArray

from store.errors import InputError

_MOST_FRAMES = 10_000_000  # 11 hours at 240 frames a second: more is a mistake of units


def evenly(start_s: float, end_s: float, count: int) -> NDArray[np.float64]:
    """Return the midpoints of `count` equal parts of a span: (count,) seconds, ascending, none at an end.

    Raises InputError when the span is empty, endless or not a number, or `count` is below 1.
    """
    _check_span(start_s, end_s)
    if not 1 <= count <= _MOST_FRAMES:
        raise InputError(f"{count} frames of a span were asked for: ask for 1 to {_MOST_FRAMES:,}.")
    return start_s + (np.arange(count, dtype=np.float64) + 0.5) * ((end_s - start_s) / count)


def paced(start_s: float, end_s: float, fps: float) -> NDArray[np.float64]:
    """Return `fps` moments a second from the start of a span on: (n,) seconds start_s + k/fps, all before the end.

    Raises InputError when the span is empty, endless or not a number, when `fps` is not above 0, or when there would be
    ten million moments or more.
    """
    _check_span(start_s, end_s)
    if not 0 < fps < math.inf or (end_s - start_s) * fps > _MOST_FRAMES:
        raise InputError(f"{fps:g} frames a second were asked for: ask for more than 0, and for at most {_MOST_FRAMES:,} in the span.")
    times_s = start_s + np.arange(math.ceil((end_s - start_s) * fps) + 1, dtype=np.float64) / fps
    return times_s[times_s < end_s]


def _check_span(start_s: float, end_s: float) -> None:
    if not -math.inf < start_s < end_s < math.inf:
        raise InputError(f"A span from {start_s:g} to {end_s:g} s holds no moment: give a start before the end.")
