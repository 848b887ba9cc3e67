"""What is in a file, told from its first bytes, its boxes and its streams. Pure: no decoder is needed."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

_HEAD_BYTES = 128
# A pair that is not here may still play in some browser; then a proxy is made without need, which harms nobody.
_PLAYED = {
    "mp4": ({"h264", "vp9", "av1"}, {"aac", "mp3", "opus"}),
    "mov": ({"h264"}, {"aac", "mp3"}),
    "webm": ({"vp8", "vp9", "av1"}, {"opus", "vorbis"}),
}
_EIGHT_BITS = {"yuv420p", "yuvj420p"}
_PIXELS = {"h264": _EIGHT_BITS, "vp8": _EIGHT_BITS, "vp9": _EIGHT_BITS | {"yuv420p10le"}, "av1": _EIGHT_BITS | {"yuv420p10le"}}
_MP4_BOXES = {b"ftyp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"sidx", b"styp", b"mfra", b"uuid", b"pnot"}


@dataclass(frozen=True, eq=False)
class Probe:
    """What is in a file, field for field as in `Media`, and when its frames are shown. Unknown is None."""

    container: str | None = None
    video_codec: str | None = None
    audio_codec: str | None = None
    width: int | None = None  # as shown: rotation and pixel shape applied
    height: int | None = None
    rotation: int = 0  # degrees clockwise that the file asks a player to turn: 0, 90, 180 or 270
    duration_s: float | None = None  # end of the last frame shown
    frame_count: int | None = None  # frames shown that do not rest on damage
    frame_times: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))  # (frame_count,) s, ascending
    playable: bool = False  # a browser plays the file as it is, on the clip's clock
    health: str = "ok"  # "ok", "damaged" (watch only) or "unreadable"
    health_reason: str | None = None


@dataclass(frozen=True)
class Boxes:
    """The outermost boxes of an MP4 or QuickTime file."""

    kinds: tuple[str, ...]
    cut_off: bool  # the file ends inside one of them


def browser_plays(container: str, video_codec: str, pixel_format: str, audio_codec: str | None) -> bool:
    """Return whether every current browser plays these streams; the file's extension says nothing about it.

    Conservative: H.264 and VP8 with 8 bits, VP9 and AV1 with 8 or 10, all 4:2:0, with sound in the codecs usual beside
    them or none. Every accepted combination was seen to play in Chromium 156; it also plays H.264 in Matroska, 4:2:2,
    4:4:4 and 10 bit, and pictures beside sound that stays silent (AC-3), which other browsers do not.
    """
    videos, audios = _PLAYED.get(container, (set[str](), set[str]()))
    fits = video_codec in videos and pixel_format in _PIXELS.get(video_codec, set())
    return fits and (audio_codec is None or audio_codec in audios)


def shown_size(width: int, height: int, pixel_shape: Fraction, quarter_turns: int) -> tuple[int, int]:
    """Return width and height as shown, rounded as Chromium does: one side is stretched until pixels are square.

    pixel_shape: width of a pixel over its height; quarter_turns: by which the picture is turned afterwards.
    """
    if pixel_shape > 1:
        width = int(width * pixel_shape + Fraction(1, 2))
    elif pixel_shape > 0:
        height = int(height / pixel_shape + Fraction(1, 2))
    return (height, width) if quarter_turns % 2 else (width, height)


def container_name(demuxer: str, brand: str, head: bytes) -> str:
    """Return the short name of a container: "mp4", "mov", "webm", "matroska", "avi", ...

    demuxer: FFmpeg's name, which does not tell MP4 from QuickTime nor WebM from Matroska; brand: the MP4 major brand;
    head: the first bytes of the file (EBML header, RFC 8794).
    """
    if demuxer.startswith("mov,"):
        return "mov" if brand.strip() in {"", "qt"} else "mp4"
    if demuxer.startswith("matroska,"):
        # DocType is element 0x4282; its length byte is 0x80 + 4 for "webm".
        return "webm" if b"\x42\x82\x84webm" in head[:_HEAD_BYTES] else "matroska"
    return demuxer.split(",")[0]


def boxes_of(source: BinaryIO) -> Boxes:
    """Return the outermost boxes of an open MP4 or QuickTime file (ISO/IEC 14496-12, 4.2); reads 16 bytes a box.

    Bytes after the last known box are ignored: some programs leave padding there.
    """
    size = source.seek(0, 2)
    found = list(_boxes(source, size))
    return Boxes(tuple(kind for kind, _ in found), cut_off=bool(found) and found[-1][1] > size)


def _boxes(source: BinaryIO, size: int) -> Iterator[tuple[str, int]]:
    """Yield the kind of each box and where it ends."""
    at = 0
    while at + 8 <= size:
        source.seek(at)
        head = source.read(16)
        length, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if kind not in _MP4_BOXES:
            return
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        at = size if length == 0 else at + max(length, 8)
        yield kind.decode(), at
