"""Windows of a film and the weight of each frame in them, by true time or by count as POVQA does. No picture is touched.

By time: windows are [start + k s, start + (k+1) s), the last one cut at the end; a rest shorter than a twentieth of a
window, mostly rounding of the length that a file tells, joins the window before it. The weight of a frame is the integral
of the method's density over the part of its time on display that lies in the window, so it does not depend on the frame
rate. With a window [a, b) and the half-life h of WAE:

    WA    1                      WAR   t - a
    WAE   2^(-(b - t) / h)       BBLF  (1 - last_share) x WAE + last_share x the frame on display at the end

By count: POVQA's code as it is (arXiv 2510.01009, video_preprocessing.py), constants included.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from typing import Generic, Literal, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from store.errors import InputError

Floats = NDArray[np.float64]
METHODS = ("WA", "WAE", "WAR", "BBLF")
# POVQA's gamma of .85 a frame at 24 frames a second: log(1/2) / log(.85) / 24 s.
HALF_LIFE_S = 0.178
POVQA_GAMMA, POVQA_BLEND = 0.85, 0.7
_SHORTEST_S, _LONGEST_HALF_LIFE_S = 0.001, 3600.0
# Less than the tick of any common file (1/90,000 s): rounding of a time stamp, and not time on display.
_CRUMB_S = 1e-6
LEAST_REST = 0.05  # of a window: a shorter rest at the end is no window of its own


class OnDisplay(Protocol):
    """A frame as far as windows need to know it."""

    @property
    def start_s(self) -> float:
        """Return when it appears."""

    @property
    def end_s(self) -> float:
        """Return when the next one takes its place."""

    @property
    def sound(self) -> bool:
        """Return whether it does not rest on damage."""


F = TypeVar("F", bound=OnDisplay)


@dataclass(frozen=True)
class PoolSettings:
    """How windows are cut and their frames weighted.

    Raises InputError when a value is out of its range, or one is asked for that POVQA's way does not have.
    """

    window_s: float = 1.0
    weights: Literal["time", "povqa"] = "time"
    half_life_s: float = HALF_LIFE_S  # of WAE and BBLF; `povqa` has .85 a frame
    last_share: float = 0.3  # of the last frame in BBLF; `povqa` has .3
    linear_light: bool = False  # average light instead of coded levels
    cut_at_shots: bool = False  # let no window blend two shots

    def __post_init__(self) -> None:
        if not _SHORTEST_S <= self.window_s < math.inf:
            raise InputError(f"A window of {self.window_s:g} s cannot be: give a number of seconds, {_SHORTEST_S} or more.")
        if self.weights not in ("time", "povqa"):
            raise InputError(f"Weights by {self.weights!r} are not known: give 'time' or 'povqa'.")
        if not _SHORTEST_S <= self.half_life_s <= _LONGEST_HALF_LIFE_S:
            raise InputError(f"A half-life of {self.half_life_s:g} s is out of range: give {_SHORTEST_S} to {_LONGEST_HALF_LIFE_S:g} s.")
        if not 0 <= self.last_share <= 1:
            raise InputError(f"The last frame's share is {self.last_share:g}: give 0 to 1.")
        if self.weights == "povqa" and (self.linear_light or self.cut_at_shots):
            raise InputError("POVQA averages coded levels and never cuts at shots: turn linear light and cuts off, or weigh by time.")


@dataclass(frozen=True, eq=False)
class Window:
    """What one window holds; without a frame when nothing undamaged was on display, and then `times_s` is empty."""

    number: int  # from 0, in order of time
    start_s: float
    end_s: float  # where it really ends: at a cut, or with the film, if that is earlier
    times_s: Floats  # (n,) when its frames begin, the first maybe before the window
    weights: Mapping[str, Floats]  # by method, (n,) each, sum 1
    damaged: int = field(kw_only=True, default=0)  # frames left out because they rest on damage
    is_cut: bool = field(kw_only=True, default=False)  # begins or ends at a shot change


class Part(NamedTuple, Generic[F]):
    """What one frame gives to one window: the part of its time on display that lies in it."""

    number: int  # of the window
    opened_s: float  # where the window begins
    begin_s: float
    end_s: float
    frame: F | None  # None: nothing is on display
    is_cut: bool = False


@dataclass(frozen=True)
class Span:
    """A frame without a picture."""

    start_s: float
    end_s: float
    sound: bool = True


def windows_of(times_s: ArrayLike, end_s: float, settings: PoolSettings, start_s: float = 0.0, fps: float | None = None) -> list[Window]:
    """Return the windows of [start_s, end_s) with their frames and the weights of all methods, without a picture.

    times_s: (n,) when each frame begins, ascending; the last one stays until `end_s`. fps: by which `povqa` counts; None is
    the average. Shot changes are not known here. Raises InputError as `parts_of` does.
    """
    if fps is None and settings.weights == "povqa":
        fps = average_fps(times_s, end_s)
    edges = [*np.asarray(times_s, dtype=np.float64).tolist(), end_s]
    frames = ((Span(begin_s, stop_s), False) for begin_s, stop_s in pairwise(edges))
    groups = groupby(parts_of(frames, settings, start_s, end_s, fps), key=lambda part: part.number)
    return [window_of(list(parts), METHODS, settings) for _, parts in groups]


def average_fps(times_s: ArrayLike, end_s: float) -> float:
    """Return frames a second over a whole film, to 6 decimals: n over the time on display, which a header says too where the rate is constant.

    times_s: (n,) when each frame begins. Raises InputError when there is no frame or no time.
    """
    times_s = np.asarray(times_s, dtype=np.float64)
    if not len(times_s) or not times_s[0] < end_s < math.inf:
        raise InputError(f"{len(times_s)} frames until {end_s:g} s have no frame rate: give a film with frames.")
    # Unrounded, 25 a second come out as 25.000000000000004 for some lengths, and half a second has 13 frames in place of 12.
    return round(len(times_s) / (end_s - float(times_s[0])), 6)


def window_of(parts: Sequence[Part[F]], methods: Iterable[str], settings: PoolSettings) -> Window:
    """Return the window that these parts, at least one, make up, with the weights of these methods."""
    used = [part for part in parts if part.frame is not None and part.frame.sound]
    spans_s = np.array([(part.begin_s, part.end_s) for part in used]).reshape(-1, 2)
    return Window(
        number=parts[0].number,
        start_s=parts[0].opened_s,
        end_s=parts[-1].end_s,
        times_s=np.array([part.frame.start_s for part in used if part.frame is not None]),
        weights={method: weights_of(method, spans_s, parts[0].opened_s, settings) for method in methods},
        damaged=sum(part.frame is not None and not part.frame.sound for part in parts),
        is_cut=any(part.is_cut for part in parts),
    )


# ---- weights -------------------------------------------------------------------------------------------------------


def weights_of(method: str, spans_s: Floats, opened_s: float, settings: PoolSettings) -> Floats:
    """Return the weights of n frames in a window that begins at `opened_s`: (n,), sum 1.

    spans_s: (n, 2) begin and end of each one's time on display within the window.
    """
    if not len(spans_s):
        return np.empty(0)
    row, counted = "WAE" if method == "BBLF" else method, settings.weights == "povqa"
    raw = povqa_raw(row, len(spans_s)) if counted else time_raw(row, spans_s, opened_s, settings.half_life_s)
    weights: Floats = raw / raw.sum()
    if method == "BBLF":
        share = 1 - POVQA_BLEND if counted else settings.last_share
        weights *= 1 - share
        weights[-1] += share
    return weights


def time_raw(method: str, spans_s: Floats, opened_s: float, half_life_s: float, unit_s: float = 1.0) -> Floats:
    """Return the integrals of the density of WA, WAE or WAR over each span, (n,): the weights before they sum to 1.

    WAE counts from the end of the last span, so that there is always a weight that is not 0. unit_s: in what time is
    counted; with the length of a frame, frames of one length have whole numbers for weights in WA and WAR.
    """
    begin_s, end_s = spans_s.T
    length: Floats = (end_s - begin_s) / unit_s
    if method == "WA":
        return length
    if method == "WAR":
        middle: Floats = ((begin_s - opened_s) + (end_s - opened_s)) / unit_s
        return length * middle
    rate = math.log(2) / half_life_s
    faded: Floats = np.exp((end_s - end_s[-1]) * rate) * -np.expm1(-length * unit_s * rate) / (rate * unit_s)
    return faded


def povqa_raw(method: str, count: int) -> Floats:
    """Return the weights of WA, WAE or WAR in POVQA's code for a window of `count` frames, before they sum to 1."""
    if method == "WA":
        return np.linspace(0.1, 1.0, count)
    if method == "WAR":
        return np.linspace(1, count, count) ** 2
    return np.array([POVQA_GAMMA ** (count - 1 - i) for i in range(count)])


# ---- windows -------------------------------------------------------------------------------------------------------


def window_count(length_s: float, window_s: float, least_rest: float = LEAST_REST) -> int:
    """Return into how many windows a span is cut, 1 or more: a rest shorter than this share of a window is none of its own."""
    # Rounded, so that a span is cut the same on the clip's clock and on the file's.
    return max(1, math.ceil(round(length_s / window_s, 6) - least_rest))


def parts_of(
    frames: Iterable[tuple[F, bool]], settings: PoolSettings, start_s: float = 0.0, end_s: float | None = None, fps: float | None = None
) -> Iterator[Part[F]]:
    """Yield what each frame gives to each window of the span, window after window.

    frames: in order of time, each with whether a new shot begins with it; where they overlap, the earlier one counts.
    end_s: None is the end of the last frame; as that is not known beforehand, a rest is a window then, however short. fps: the
    frame rate that the file's header names, by which `povqa` counts.

    Raises InputError when the span is empty or not a number, or `povqa` is to count without a frame rate.
    """
    end_s = math.inf if end_s is None else end_s
    if not -math.inf < start_s < end_s:
        raise InputError(f"A span from {start_s:g} to {end_s:g} s holds no window: give a start before the end.")
    if settings.weights == "time":
        return _parts_by_time(frames, settings.window_s, start_s, end_s)
    if fps is None or not 0 < fps < math.inf:
        raise InputError(f"POVQA's windows are counted in frames, and the frame rate given is {fps}: give the one of the file's header, above 0.")
    return _parts_by_count(frames, max(1, round(fps * settings.window_s)), start_s, end_s)


def _parts_by_time(frames: Iterable[tuple[F, bool]], window_s: float, start_s: float, end_s: float) -> Iterator[Part[F]]:
    last = math.inf if end_s == math.inf else window_count(end_s - start_s, window_s) - 1

    def edge_of(cell: int) -> float:
        # A product and no sum: it does not drift.
        return start_s + (cell + 1) * window_s if cell < last else math.inf

    number = cell = 0
    opened_s, after_cut = start_s, False
    for frame, begin_s, stop_s, new_shot in _stretches(frames, start_s, end_s):
        edge_s = edge_of(cell)
        if new_shot and opened_s + _CRUMB_S < begin_s < edge_s - _CRUMB_S:
            yield Part(number, opened_s, begin_s, begin_s, None, is_cut=True)
            number, opened_s, after_cut = number + 1, begin_s, True
        while True:
            if begin_s < edge_s - _CRUMB_S:
                yield Part(number, opened_s, begin_s, stop_s if stop_s < edge_s - _CRUMB_S else edge_s, frame, after_cut)
            if stop_s <= edge_s + _CRUMB_S:
                break
            number, cell, opened_s, begin_s, after_cut = number + 1, cell + 1, edge_s, edge_s, False
            edge_s = edge_of(cell)


def _stretches(frames: Iterable[tuple[F, bool]], start_s: float, end_s: float) -> Iterator[tuple[F | None, float, float, bool]]:
    """Yield the span piece by piece: what is on display (None for nothing), from when to when, and whether a shot begins."""
    reached_s = start_s
    for frame, new_shot in frames:
        begin_s, stop_s = max(frame.start_s, reached_s), min(frame.end_s, end_s)
        if stop_s - begin_s < _CRUMB_S:
            continue
        if begin_s - reached_s >= _CRUMB_S:
            yield None, reached_s, begin_s, False
        yield frame, begin_s, stop_s, new_shot
        reached_s = stop_s


def _parts_by_count(frames: Iterable[tuple[F, bool]], count: int, start_s: float, end_s: float) -> Iterator[Part[F]]:
    """Yield windows of `count` frames, as many as there are in the last; they begin and end where their frames really do."""
    shown, opened_s = 0, start_s
    for frame, _ in frames:
        if frame.end_s > start_s and frame.start_s < end_s:
            opened_s = opened_s if shown % count else frame.start_s
            yield Part(shown // count, opened_s, frame.start_s, frame.end_s, frame)
            shown += 1
