"""What kinds of video a data set may bring; `tests/clips.py` makes each of them small."""

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from store.media import read_frames
from tests.clips import Extras, number_in, uneven_times

OPEN_GROUPS = {"g": "12", "bf": "3", "preset": "veryfast", "x264-params": "open-gop=1:b-pyramid=2"}
INTRA_REFRESH = {"g": "12", "preset": "veryfast", "x264-params": "intra-refresh=1"}
FRAGMENTED = {"movflags": "frag_keyframe+empty_moov"}
FRAMES = 70
UNEVEN = tuple(uneven_times(FRAMES).tolist())
LATE: Extras = {"times_s": tuple(t + 8.3 for t in UNEVEN)}

# What a data set may bring: name of the file, encoder, the rest.
KINDS: list[tuple[str, str, Extras]] = [
    ("even.mp4", "libx264", {}),
    ("uneven.mp4", "libx264", {"times_s": UNEVEN}),
    ("open groups.mp4", "libx264", {"options": OPEN_GROUPS}),
    ("open-uneven.mkv", "libx264", {"options": OPEN_GROUPS, "times_s": UNEVEN}),
    ("intra refresh.mp4", "libx264", {"options": INTRA_REFRESH}),
    ("fragmented.mp4", "libx264", {"options": OPEN_GROUPS, "file_options": FRAGMENTED}),
    ("ten bits.mp4", "libx264", {"pixel_format": "yuv420p10le"}),
    ("odd.mp4", "libx264", {"size": (161, 65), "pixel_format": "yuv444p"}),
    ("wide pixels.mp4", "libx264", {"pixel_shape": Fraction(4, 3), "options": OPEN_GROUPS}),
    ("hevc.mp4", "libx265", {}),
    ("hevc.mkv", "libx265", {"times_s": UNEVEN}),
    ("av1.mp4", "libsvtav1", {}),
    ("vp8.webm", "libvpx", {"times_s": UNEVEN}),
    ("vp9.webm", "libvpx-vp9", {"sound": "libopus"}),
    ("stream.ts", "libx264", {"options": OPEN_GROUPS, "sound": "aac"}),
    ("flash.flv", "libx264", {}),
    ("without times.avi", "libx264", {}),
    ("divx.avi", "mpeg4", {"options": {"g": "12", "bf": "2"}}),
    ("moving.gif", "gif", {"pixel_format": "rgb8"}),
]


def shown_in(path: Path, times_s: object) -> list[int]:
    """Return the numbers of the frames that are read at these times."""
    return [number_in(picture) for picture in read_frames(path, times_s).pixels]  # type: ignore[arg-type]


def make_coloured(path: Path, size: tuple[int, int] = (128, 96), codec: str = "ffv1", pixel_format: str = "yuv444p") -> NDArray[np.uint8]:
    """Write ten equal frames of coloured patches of 4 x 4 pixels, and return their YUV 4:4:4: (3, height, width)."""
    width, height = size
    patches = np.random.default_rng(0).integers([[[80]], [[100]], [[100]]], [[[180]], [[156]], [[156]]], (3, height // 4, width // 4))
    yuv = np.kron(patches, np.ones((1, 4, 4))).astype(np.uint8)
    halved = [plane[:: 1 + (place > 0), :: 1 + (place > 0)].reshape(-1, width) for place, plane in enumerate(yuv)]
    picture = av.VideoFrame.from_ndarray(np.vstack(halved), "yuv420p") if "420" in pixel_format else av.VideoFrame.from_ndarray(yuv, "yuv444p")
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        for _ in range(10):
            out.mux(stream.encode(picture.reformat(format=pixel_format)))
        out.mux(stream.encode(None))
    return yuv


def give_edits(path: Path, edits_s: Sequence[tuple[float, float]]) -> None:
    """Have an MP4 of one track, its moov box at the end, show only these stretches of its pictures, one after the other."""
    content = bytearray(path.read_bytes())

    def box(*kinds: bytes) -> list[int]:
        """Return where each of these boxes begins, the next inside the one before (ISO/IEC 14496-12)."""
        begins, at, end = [], 0, len(content)
        for kind in kinds:
            while content[at + 4 : at + 8] != kind:
                at += int.from_bytes(content[at : at + 4], "big")
                assert at < end, kind
            begins.append(at)
            at, end = at + 8, at + int.from_bytes(content[at : at + 4], "big")
        return begins

    movie, media = (box(*kinds)[-1] + 20 for kinds in ((b"moov", b"mvhd"), (b"moov", b"trak", b"mdia", b"mdhd")))
    movie_ticks, media_ticks = (int.from_bytes(content[at : at + 4], "big") for at in (movie, media))
    *around, edits = box(b"moov", b"trak", b"edts", b"elst")
    first = int.from_bytes(content[edits + 20 : edits + 24], "big")  # where the pictures of the media begin
    entries = [struct.pack(">IiI", round((end - begin) * movie_ticks), first + round(begin * media_ticks), 1 << 16) for begin, end in edits_s]
    content[edits : edits + 28] = struct.pack(">I4sII", 16 + 12 * len(entries), b"elst", 0, len(entries)) + b"".join(entries)
    for at in around:
        size = int.from_bytes(content[at : at + 4], "big") + 12 * (len(entries) - 1)
        content[at : at + 4] = size.to_bytes(4, "big")
    path.write_bytes(bytes(content))
