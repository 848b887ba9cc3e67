"""Bar-coded clips of every kind that a data set brings: which frame is on display when is known from how they are made.

for clip in coded_clips(folder, count=300):
    pixels = read_frames(clip.path, clip.middles_s).pixels
    assert [number_shown(picture, clip.quarter_turns) for picture in pixels] == clip.numbers.tolist()
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from tests.clips import cut_clip, make_clip, number_in, uneven_times

RATE = 30  # frames/s
LATE_S = 2.0
UNREADABLE = -1
_X264 = {"preset": "veryfast", "g": "48", "bf": "3"}


@dataclass(frozen=True, eq=False)
class CodedClip:
    """A clip whose n shown frames carry numbers, and when each of them begins on the clip's own clock."""

    kind: str
    path: Path
    times_s: NDArray[np.float64]  # (n,) the first one 0
    numbers: NDArray[np.int64]  # (n,) the bar code of each frame
    quarter_turns: int = 0  # counterclockwise, that a player makes

    @property
    def middles_s(self) -> NDArray[np.float64]:
        """The middle of each frame's time on display: (n,) seconds; the last frame stays for one frame's length."""
        ends_s = np.append(self.times_s[1:], self.times_s[-1] + 1 / RATE)
        return (self.times_s + ends_s) / 2


def number_shown(pixels: NDArray[np.uint8], quarter_turns: int) -> int:
    """Return the number in a picture (height, width, 3) that was turned, or should have been; UNREADABLE when none is clear."""
    upright = np.rot90(pixels, -quarter_turns) if pixels.shape[0] > pixels.shape[1] else pixels
    try:
        return number_in(upright)
    except AssertionError:
        return UNREADABLE


def coded_clips(folder: Path, count: int = 300) -> list[CodedClip]:
    """Make one clip of each kind with about `count` frames, at most 1,024; the same files each time. Cost: 3 s for 300 frames."""
    folder.mkdir(parents=True, exist_ok=True)
    return [maker(folder, count, kind) for kind, maker in KINDS.items()]


def _even(count: int) -> NDArray[np.float64]:
    return np.arange(count) / RATE


def _uneven(count: int) -> NDArray[np.float64]:
    return uneven_times(count)


def _slowing(count: int) -> NDArray[np.float64]:
    """Return times at 30 frames/s for the first half and 10 for the second, as screen recordings have them."""
    return np.concatenate([[0], np.cumsum(np.where(np.arange(1, count) < count // 2, 1, 3))]) / RATE


def _plain(name: str, codec: str = "libx264", times: Callable[[int], NDArray[np.float64]] = _even, **extras: object) -> "Maker":
    """Return the maker of a clip whose frames are all shown, from 0 on or from the first one's time on."""

    def make(folder: Path, count: int, kind: str) -> CodedClip:
        path = folder / name
        times_s = times(count)
        made_s = make_clip(path, fps=RATE, codec=codec, times_s=times_s.tolist(), **{"options": _X264, **extras})  # type: ignore[arg-type]
        return CodedClip(kind, path, made_s - made_s[0], np.arange(count), int(extras.get("rotation", 0)) // 90)  # type: ignore[call-overload]

    return make


def _cut(folder: Path, count: int, kind: str) -> CodedClip:
    """Make a clip that was cut between two key frames without encoding: what lies before the cut is in the file, hidden."""
    whole, path = folder / "whole.mp4", folder / "cut.mp4"
    make_clip(whole, fps=RATE, times_s=_even(count).tolist(), options=_X264)
    first = count // 3
    cut_clip(whole, path, start_s=first / RATE)
    return CodedClip(kind, path, _even(count - first), np.arange(first, count))


Maker = Callable[[Path, int, str], CodedClip]
KINDS: Mapping[str, Maker] = MappingProxyType(
    {
        "H.264 mp4, constant rate": _plain("constant.mp4"),
        "variable rate, random": _plain("random.mp4", times=_uneven),
        "variable rate, 30 then 10 frames/s": _plain("slowing.mp4", times=_slowing),
        "mkv that starts at 2 s": _plain("late.mkv", times=lambda count: _even(count) + LATE_S),
        "cut without encoding (edit list)": _cut,
        "open groups, H.264": _plain("open.mp4", options={**_X264, "x264-params": "open-gop=1:b-pyramid=normal"}),
        "open groups, HEVC (x265's default)": _plain("hevc.mp4", "libx265", options={"g": "48", "x265-params": "log-level=none"}),
        "fragmented mp4": _plain("fragmented.mp4", file_options={"movflags": "frag_keyframe+empty_moov"}),
        "VP9 webm": _plain("vp9.webm", "libvpx-vp9", options={"g": "48", "deadline": "realtime", "cpu-used": "8"}),
        "AV1 mp4": _plain("av1.mp4", "libsvtav1", options={"preset": "12", "g": "48", "svtav1-params": "lp=1"}),
        "turned by a quarter": _plain("turned.mp4", rotation=90),
    }
)
