"""A stretch of a clip pooled four ways, as the JSON that the page Frames shows; `pooled_preview` runs in a child process."""

import base64
import hashlib
import io
import json
import math
import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store.errors import InputError
from store.frame_cache import READER_VERSION
from store.media import ShownFrame, frame_times, shown_frames
from training.pooling import METHODS, Pooled, PoolSettings, average_fps, pool
from training.windows import window_count

FORM = 2  # of the JSON; another number makes what is kept of old previews count no more
SIZES_PX = (160, 224, 320, 448, 640)
SHOWN_PX = 320
MOST_WINDOWS = 5
LONGEST_S = 30.0  # of video that one preview decodes
MOST_COLUMNS = 32
_CRUMB = 1e-6  # of a window: what rounding may leave of one
THUMB_PX = 64
_QUALITY = {"quality": 90, "subsampling": 0}
_THUMB_QUALITY = {"quality": 75}


@dataclass(frozen=True)
class PreviewOrder:
    """What is to be pooled. `start_s` and `end_s` bound the clip on the file's clock; `first` counts its windows from 0."""

    digest: str
    start_s: float
    end_s: float | None  # None: to the end of the file
    first: int
    settings: PoolSettings
    size_px: int  # longest side of a picture

    def __post_init__(self) -> None:
        if self.size_px not in SIZES_PX:
            raise InputError(f"A size of {self.size_px} px is not offered: choose one of {', '.join(map(str, SIZES_PX))}.")
        if self.first < 0:
            raise InputError(f"Window {self.first + 1} does not exist: windows are counted from 1.")
        if self.settings.window_s > LONGEST_S:
            raise InputError(f"A window of {self.settings.window_s:g} s is longer than this page decodes at once: give at most {LONGEST_S:g} s.")

    @property
    def count(self) -> int:
        """The most windows that are shown at once, those that shots cut in two counted once."""
        return min(MOST_WINDOWS, int(LONGEST_S // self.settings.window_s))

    @property
    def key(self) -> str:
        """The name under which the result is kept: the same for everybody who asks for the same."""
        told = repr((FORM, READER_VERSION, self.digest, self.start_s, self.end_s, self.first, self.settings, self.size_px))
        return hashlib.sha256(told.encode("utf-8")).hexdigest()


@dataclass(frozen=True)
class _Stretch:
    """The windows that are shown, as a span of the file's clock, and how many windows the clip has."""

    start_s: float
    end_s: float
    total: int
    fps: float
    frames_each: int | None  # of all windows but the last, where they are counted in frames


def pooled_preview(path: Path, order: PreviewOrder) -> bytes:
    """Return the windows of an order as JSON text: times and weights of their frames, and a picture a method as a data URL.

    Times are seconds on the clip's clock. Cost: one read of the file's packet list, and one decode of the stretch on one core.
    Raises NotFoundError or InputError when the file cannot be read or has no such window.
    """
    stretch = _stretch(path, order)
    thumbs: dict[float, str] = {}
    frames = _noted(shown_frames(path, stretch.start_s, stretch.end_s, order.size_px), thumbs)
    pooled = list(pool(frames, METHODS, order.settings, stretch.start_s, stretch.end_s, stretch.fps))
    names = _names(pooled, order, stretch.total)
    windows = [_window(one, name, order, thumbs) for one, name in zip(pooled, names, strict=True)]
    told = {"windows": windows, "first": order.first, "count": order.count, "total": stretch.total, "frames_each": stretch.frames_each, "methods": METHODS}
    return json.dumps(told, allow_nan=False).encode("utf-8")


def _stretch(path: Path, order: PreviewOrder) -> _Stretch:
    """Return where the windows asked for lie. Raises InputError when the clip has none of them, or lies behind its file's end."""
    times_s, file_end_s = frame_times(path)
    end_s = file_end_s if order.end_s is None else min(order.end_s, file_end_s)
    if order.start_s >= end_s:
        raise InputError(f"The clip begins at {order.start_s:g} s, and its file ends at {file_end_s:g} s: import it with other times.")
    window_s, fps, frames_each = order.settings.window_s, average_fps(times_s, file_end_s), None
    if order.settings.weights == "povqa":
        frames_each = max(1, round(fps * window_s))
        inside = times_s[(np.append(times_s[1:], file_end_s) > order.start_s) & (times_s < end_s)]
        starts: NDArray[np.float64] = inside[::frames_each]
    else:
        starts = np.asarray(order.start_s + window_s * np.arange(window_count(end_s - order.start_s, window_s)), dtype=np.float64)
    if order.first >= len(starts):
        raise InputError(f"The clip has {len(starts)} windows of {window_s:g} s; number {order.first + 1} lies behind them.")
    shown = np.append(starts[order.first :], end_s)[: order.count + 1].tolist()
    return _Stretch(shown[0], shown[-1], len(starts), fps, frames_each)


def _noted(frames: Iterable[ShownFrame], thumbs: dict[float, str]) -> Iterator[ShownFrame]:
    """Yield the frames, and keep a small picture of each under the time when it begins."""
    for frame in frames:
        thumbs[frame.start_s] = _picture(frame.pixels, _THUMB_QUALITY, THUMB_PX)
        yield frame


def _names(pooled: Sequence[Pooled], order: PreviewOrder, total: int) -> list[str]:
    """Return what the windows are called: by their place in the clip, "3" and "3b" where a shot ends within the third; "3zb" follows "3z"."""
    if order.settings.weights == "povqa":
        return [str(order.first + one.number + 1) for one in pooled]
    places = [min(total, int((one.start_s - order.start_s) / order.settings.window_s + _CRUMB) + 1) for one in pooled]
    return [f"{place}{_letters(places[:index].count(place))}" for index, place in enumerate(places)]


def _letters(count: int) -> str:
    """Return what tells a window from the `count` before it in the same place: nothing for the first one, then b to z, zb to zz, ..."""
    rounds, letter = divmod(count - 1, 25)
    return "" if count == 0 else "z" * rounds + string.ascii_lowercase[1 + letter]


def _window(pooled: Pooled, name: str, order: PreviewOrder, thumbs: Mapping[float, str]) -> dict[str, Any]:
    """Return a window as JSON; one in which nothing undamaged is on display has no frame and no picture."""
    return {
        "name": name,
        "start_s": _rounded(pooled.start_s - order.start_s),
        "end_s": _rounded(pooled.end_s - order.start_s),
        "is_cut": pooled.is_cut,
        "frames": len(pooled.times_s),
        "damaged": pooled.damaged,
        "columns": _columns(pooled, order.start_s, thumbs),
        "pictures": {method: _picture(pixels, _QUALITY) for method, pixels in pooled.pictures.items()},
        "like_frames": {method: _like_frames(weights) for method, weights in pooled.weights.items() if len(weights)},
    }


def _columns(pooled: Pooled, start_s: float, thumbs: Mapping[float, str]) -> list[dict[str, Any]]:
    """Return the window's frames in at most MOST_COLUMNS groups of as many neighbours, each with the sum of its weights a method."""
    count = len(pooled.times_s)
    size = max(1, math.ceil(count / MOST_COLUMNS))
    groups = [slice(start, min(start + size, count)) for start in range(0, count, size)]
    return [
        {
            "time_s": _rounded(float(pooled.times_s[group.start]) - start_s),
            "frames": group.stop - group.start,
            "weights": {method: round(float(weights[group].sum()), 6) for method, weights in pooled.weights.items()},
            "thumb": thumbs.get(float(pooled.times_s[group.start])),
        }
        for group in groups
    ]


def _like_frames(weights: NDArray[np.float64]) -> float:
    """Return over how many frames of equal weight the picture is spread: 1 / sum of squares (Kish's effective sample size)."""
    return round(float(1 / np.square(weights).sum()), 1)


def _rounded(time_s: float) -> float:
    return round(time_s, 6)


def _picture(pixels: NDArray[np.uint8], quality: dict[str, int], longest_px: int | None = None) -> str:
    """Return a picture as the data URL of a JPEG; with `longest_px` shrunk to it."""
    from PIL import Image  # here, because the app imports this module and never makes a picture itself

    image = Image.fromarray(pixels)
    if longest_px:
        image.thumbnail((longest_px, longest_px), Image.Resampling.BOX)
    told = io.BytesIO()
    image.save(told, "JPEG", **quality)
    return "data:image/jpeg;base64," + base64.b64encode(told.getvalue()).decode("ascii")
