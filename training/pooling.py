"""Pooled frames: each window of a film as one picture a method, all methods in one pass over the decoded frames.

`time` weighs by seconds and rounds to the nearest level: sums in 32-bit floats of ten frames at a time, so memory does
not grow with the film or the window. `povqa` gives the numbers of POVQA's code: 32-bit floats frame after frame (NumPy 1,
which it pins), truncated; it holds the frames of one window, as that code does. Which frame counts how much: windows.py.

Linear light averages what a screen shows: levels are decoded by the sRGB curve (IEC 61966-2-1), averaged, and coded
again. BT.709's own curve is a camera's, and no screen undoes it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from store.errors import InputError
from store.media import ShownFrame
from training.shots import shot_changes
from training.windows import METHODS, POVQA_BLEND, Part, PoolSettings, Span, Window, average_fps, parts_of, povqa_raw, time_raw, window_of, windows_of

__all__ = ["METHODS", "PoolSettings", "Pooled", "average_fps", "pool", "windows_of"]

Picture = NDArray[np.uint8]
Levels = NDArray[np.float32]
_HELD = 10  # frames that are summed up at once
_BLOCK = 8192  # values: in the processor's cache, and with ten frames too few for BLAS to start threads


@dataclass(frozen=True, eq=False)
class Pooled(Window):
    """A window and its pictures; none when nothing undamaged was on display."""

    pictures: Mapping[str, Picture]  # by method, in the shape of the frames


def pool(
    frames: Iterable[ShownFrame],
    methods: Iterable[str],
    settings: PoolSettings,
    start_s: float = 0.0,
    end_s: float | None = None,
    fps: float | None = None,
) -> Iterator[Pooled]:
    """Yield the windows of [start_s, end_s) in order, each as soon as its last frame has gone by.

    frames: all that are on display in the span, in order of time, pictures or flat planes of one size; each is used only
    until the next is asked for. Those that are not sound are left out and counted. end_s: None is the end of the last
    frame, where windows end anyway; only a known end lets a short rest join the window before (windows.py). fps: the
    film's frame rate, for `povqa` only.
    Cost: 0.2 to 0.3 ms a frame of 448x252 for all four methods, 0.5 to 1 ms with `povqa`, 2 ms in linear light. Memory: as
    much as some 25 frames; with cuts at shots those of an eighth of a second more, with `povqa` those of a window.

    Raises InputError when no method is given or one is not known, the span is empty, `povqa` has no frame rate, linear
    light is asked of planes, or the frames change their size.
    """
    methods = tuple(dict.fromkeys(methods))
    if not methods:
        raise InputError(f"No pooling method is given: choose from {', '.join(METHODS)}.")
    if unknown := [method for method in methods if method not in METHODS]:
        raise InputError(f"There is no pooling method {unknown[0]!r}: choose from {', '.join(METHODS)}.")
    marked = shot_changes(frames) if settings.cut_at_shots else ((frame, False) for frame in frames)
    return _pooled(parts_of(marked, settings, start_s, end_s, fps), methods, settings)


def _pooled(parts: Iterator[Part[ShownFrame]], methods: Sequence[str], settings: PoolSettings) -> Iterator[Pooled]:
    sums: _TimedSums | _CountedSums = _CountedSums() if settings.weights == "povqa" else _TimedSums(methods, settings)
    for _, group in groupby(parts, key=attrgetter("number")):
        gone_by: list[Part[Span]] = []
        for part in group:
            if part.frame is not None and part.frame.sound:
                sums.add(part.frame.pixels, part)
            gone_by.append(_without_picture(part))
        window = window_of(gone_by, methods, settings)
        pictures = {method: sums.picture(method) for method in methods} if len(window.times_s) else {}
        sums.begin_anew()
        yield Pooled(**vars(window), pictures=pictures)


def _without_picture(part: Part[ShownFrame]) -> Part[Span]:
    frame = None if part.frame is None else Span(part.frame.start_s, part.frame.end_s, part.frame.sound)
    return Part(part.number, part.opened_s, part.begin_s, part.end_s, frame, part.is_cut)


def _blocks(values: int) -> Iterator[slice]:
    return (slice(start, start + _BLOCK) for start in range(0, values, _BLOCK))


def _check_shape(pixels: Picture, shape: tuple[int, ...], at_s: float) -> None:
    if pixels.shape != shape:
        raise InputError(f"At {at_s:.3f} s the picture changes from {shape} to {pixels.shape} values: read it in one exact size.")


# ---- by time -------------------------------------------------------------------------------------------------------


class _TimedSums:
    """Weighted sums of the frames of one window, one for each of WA, WAE and WAR that is asked for."""

    def __init__(self, methods: Sequence[str], settings: PoolSettings) -> None:
        self._rows = [row for row in METHODS[:3] if row in methods or (row == "WAE" and "BBLF" in methods)]
        self._settings = settings
        self._shape: tuple[int, ...] = ()
        self._held = np.empty((_HELD, 0), np.uint8)
        self._sums = np.empty((len(self._rows), 0), np.float32)
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget the frames of the window before."""
        self._spans_s: list[tuple[float, float]] = []  # of the frames held
        self._opened_s = 0.0  # the window's begin
        self._summed_to_s: float | None = None  # end of the last frame in the sums
        self._last = 0  # where the last frame is held
        self._unit_s = 1.0
        self._totals = np.zeros((len(self._rows), 1))

    def add(self, pixels: Picture, part: Part[ShownFrame]) -> None:
        """Take in a frame by what it gives to the window."""
        if not self._shape:
            self._make_room(pixels)
        _check_shape(pixels, self._shape, part.begin_s)
        if len(self._spans_s) == _HELD:
            self._sum_up()
        self._held[len(self._spans_s)] = pixels.reshape(-1)
        self._spans_s.append((part.begin_s, part.end_s))
        self._opened_s = part.opened_s

    def picture(self, method: str) -> Picture:
        """Return the window's picture by a method; there is a frame in it."""
        self._sum_up()
        row = self._rows.index("WAE" if method == "BBLF" else method)
        total, share = np.float32(self._totals[row, 0]), np.float32(self._settings.last_share)
        coded = np.empty(self._shape, np.uint8)
        for block in _blocks(coded.size):
            mean = self._sums[row, block] / total
            if method == "BBLF":
                mean += share * (self._levels(self._held[self._last, block]) - mean)
            coded.reshape(-1)[block] = self._coded(mean)
        return coded

    def _make_room(self, pixels: Picture) -> None:
        if pixels.ndim == 1 and self._settings.linear_light:
            raise InputError("Light cannot be averaged in YUV planes: read pictures, or turn linear light off.")
        self._shape = pixels.shape
        self._held = np.empty((_HELD, pixels.size), np.uint8)
        self._sums = np.empty((len(self._rows), pixels.size), np.float32)

    def _sum_up(self) -> None:
        """Add the frames held to the sums; what WAE has summed already fades by the time that has gone by since."""
        if not self._spans_s:
            return
        spans_s = np.array(self._spans_s)
        is_first = self._summed_to_s is None
        if self._summed_to_s is None:
            self._unit_s = float((spans_s[:, 1] - spans_s[:, 0]).max())
        elif "WAE" in self._rows:
            row, fade = self._rows.index("WAE"), 2 ** ((self._summed_to_s - spans_s[-1, 1]) / self._settings.half_life_s)
            self._sums[row] *= np.float32(fade)
            self._totals[row] *= fade
        raw = np.stack([time_raw(row, spans_s, self._opened_s, self._settings.half_life_s, self._unit_s) for row in self._rows])
        self._totals += raw.sum(axis=1, keepdims=True)
        weights = raw.astype(np.float32)
        for block in _blocks(self._sums.shape[1]):
            sums = weights @ self._levels(self._held[: len(spans_s), block])
            self._sums[:, block] = sums if is_first else self._sums[:, block] + sums
        self._last, self._summed_to_s, self._spans_s = len(spans_s) - 1, self._spans_s[-1][1], []

    def _levels(self, values: Picture) -> Levels:
        return _LIGHT.take(values, mode="clip") if self._settings.linear_light else values.astype(np.float32)

    def _coded(self, mean: Levels) -> NDArray[np.float32] | NDArray[np.intp]:
        return np.searchsorted(_BETWEEN, mean) if self._settings.linear_light else np.rint(mean, out=mean)


def _light(level: NDArray[np.float64]) -> Levels:
    """Return the light of coded levels 0 to 1 by the sRGB curve."""
    return np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4).astype(np.float32)


_LIGHT = _light(np.arange(256) / 255)
_BETWEEN = _light((np.arange(255) + 0.5) / 255)  # what is darker than entry i belongs to level i or less


# ---- as POVQA's code -----------------------------------------------------------------------------------------------


class _CountedSums:
    """The frames of one window, and their averages bit by bit as POVQA's code makes them."""

    def __init__(self) -> None:
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget the frames of the window before."""
        self._frames: list[Picture] = []

    def add(self, pixels: Picture, part: Part[ShownFrame]) -> None:
        """Keep a copy of a frame."""
        if self._frames:
            _check_shape(pixels, self._frames[0].shape, part.begin_s)
        self._frames.append(pixels.copy())

    def picture(self, method: str) -> Picture:
        """Return the window's picture by a method; there is a frame in it."""
        if method == "BBLF":
            return _blended(self.picture("WAE"), self._frames[-1])
        raw = povqa_raw(method, len(self._frames))
        # WA is divided by the sum of its weights at the end, the others before.
        weights, total = (raw, raw.sum()) if method == "WA" else (raw / raw.sum(), 1.0)
        pooled = np.empty(self._frames[0].shape, np.uint8)
        flat = [frame.reshape(-1) for frame in self._frames]
        for block in _blocks(pooled.size):
            sums = np.zeros_like(flat[0][block], np.float32)
            for frame, weight in zip(flat, weights.astype(np.float32), strict=True):
                sums += weight * frame[block].astype(np.float32)
            pooled.reshape(-1)[block] = (sums / np.float32(total)).astype(np.uint8)
        return pooled


def _blended(blurred: Picture, last: Picture) -> Picture:
    """Return what OpenCV's addWeighted makes of two pictures: fused multiply-add in 32-bit floats, then to the nearest."""
    share = np.float32(POVQA_BLEND)
    rest = last.astype(np.float32) * np.float32(1 - POVQA_BLEND)
    # A product of 8 and 24 bits and a sum of two such are exact in 64: only the sum is rounded to 32, as when fused.
    mixed = (blurred.astype(np.float64) * np.float64(share) + rest).astype(np.float32)
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
