"""Ways to read frames, ours and the peers': each returns pictures of the frames asked for, in the order asked.

decord is asked by the number of the frame among those shown, by the time stamps that it tells of itself, and by time
times average rate, as much code does; `ffmpeg -ss` by the time at which the frame begins, and amid its display; plain PyAV and ours amid its display.
"""

import ctypes
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

from benchmarks.films import run_ffmpeg
from store.media import read_frames
from tests.coded import number_shown

Picture = NDArray[np.uint8]
BATCH = 60  # frames in one call, as an evaluation reads them
EARLY_S = 0.001  # so that `ffmpeg -ss`, which takes whole microseconds, does not pass the frame


class Asked(NamedTuple):
    """Frames of one file, by all the names that a reader may want."""

    numbers: list[int]  # in the order shown
    begins_s: list[float]  # when each is first shown, from the file's start
    middles_s: list[float]
    size: tuple[int, int] | None = None  # width and height wanted; None: as stored


def ours(path: str, asked: Asked) -> Iterable[Picture]:
    """Read with store.media, a batch at a time."""
    for batch in _batches(len(asked.numbers)):
        yield from read_frames(path, asked.middles_s[batch], max(asked.size) if asked.size else None).pixels


def decord_batch(path: str, asked: Asked) -> Iterator[Picture]:
    """Read with decord's get_batch by number, each batch by a reader of its own."""
    for batch in _batches(len(asked.numbers)):
        yield from _in_batch(_decord(path, asked), np.array(asked.numbers[batch]))


def decord_times(path: str, asked: Asked) -> Iterator[Picture]:
    """Read with decord's get_batch the frames that by decord's own time stamps are on display."""
    for batch in _batches(len(asked.numbers)):
        reader = _decord(path, asked)
        begins_s = reader.get_frame_timestamp(range(len(reader)))[:, 0]
        yield from _in_batch(reader, np.searchsorted(begins_s, asked.middles_s[batch]) - 1)


def decord_rate(path: str, asked: Asked) -> Iterator[Picture]:
    """Read with decord's get_batch the frames whose number is time times average rate."""
    for batch in _batches(len(asked.numbers)):
        reader = _decord(path, asked)
        numbers = (np.array(asked.middles_s[batch]) * reader.get_avg_fps()).astype(int)
        yield from _in_batch(reader, numbers.clip(0, len(reader) - 1))


def _in_batch(reader, numbers: NDArray[np.int64]) -> NDArray[np.uint8]:  # noqa: ANN001 # decord ships no types
    """Return the pictures of these numbers, asked for in ascending order, as one asks for uniform frames."""
    order = np.argsort(numbers)
    pictures: NDArray[np.uint8] = reader.get_batch(numbers[order].tolist()).asnumpy()
    return pictures[np.argsort(order)]


def decord_each(path: str, asked: Asked) -> Iterator[Picture]:
    """Read with one decord reader by number, frame by frame."""
    reader = _decord(path, asked)
    return (reader[number].asnumpy() for number in asked.numbers)


def _decord(path: str, asked: Asked):  # noqa: ANN202 # decord ships no types
    import decord

    width, height = asked.size or (-1, -1)
    return decord.VideoReader(path, width=width, height=height, num_threads=1)


def pyav_seek(path: str, asked: Asked) -> Iterator[Picture]:
    """Read with plain PyAV: seek to the time, decode until a frame is past it, take the one before."""
    with av.open(path) as film:
        stream = film.streams.video[0]
        stream.thread_type, stream.thread_count = "NONE", 1
        start_s = float((stream.start_time or 0) * stream.time_base)
        for middle_s in asked.middles_s:
            at_s = middle_s + start_s
            film.seek(int(at_s / stream.time_base), stream=stream)
            shown = None
            for frame in film.decode(stream):
                if shown is not None and frame.time > at_s:
                    break
                shown = frame
            assert shown is not None, f"nothing decodes after a seek to {at_s} s"
            width, height = asked.size or (shown.width, shown.height)
            yield shown.to_ndarray(format="rgb24", width=width, height=height)


def pyav_through(path: str, asked: Asked) -> Iterator[Picture]:
    """Read with plain PyAV from the beginning: decode all up to the last one asked for, which must ascend."""
    wanted = set(asked.numbers)
    with av.open(path) as film:
        stream = film.streams.video[0]
        stream.thread_type, stream.thread_count = "NONE", 1
        for number, frame in enumerate(film.decode(stream)):
            if number in wanted:
                width, height = asked.size or (frame.width, frame.height)
                yield frame.to_ndarray(format="rgb24", width=width, height=height)
            if number == max(wanted):
                return


def ffmpeg_begin(path: str, asked: Asked) -> Iterator[Picture]:
    """Read with `ffmpeg -ss` and the time at which the frame begins, a process a frame."""
    return (_ffmpeg(path, max(0.0, begin_s - EARLY_S)) for begin_s in asked.begins_s)


def ffmpeg_amid(path: str, asked: Asked) -> Iterator[Picture]:
    """Read with `ffmpeg -ss` and a time amid the frame's display."""
    return (_ffmpeg(path, middle_s) for middle_s in asked.middles_s)


def ffmpeg_select(path: str, asked: Asked) -> list[Picture]:
    """Read with the select filter of one ffmpeg, ascending, in the size asked for."""
    assert asked.size is not None
    width, height = asked.size
    chosen = "+".join(f"eq(n,{number})" for number in asked.numbers)
    filters = f"select='{chosen}',scale={width}:{height}"
    pixels = run_ffmpeg("-threads", "1", "-i", path, "-vf", filters, "-fps_mode", "passthrough", "-pix_fmt", "rgb24", "-f", "rawvideo", "-")
    return list(np.frombuffer(pixels, np.uint8).reshape(-1, height, width, 3))


def _ffmpeg(path: str, at_s: float) -> Picture:
    return _picture_of(run_ffmpeg("-threads", "1", "-ss", f"{at_s:.6f}", "-i", path, "-frames:v", "1", "-f", "image2pipe", "-c:v", "ppm", "-"))


def _picture_of(ppm: bytes) -> Picture:
    """Return the picture (height, width, 3) in a binary PPM; one black pixel when there is none."""
    if not ppm:
        return np.zeros((1, 1, 3), dtype=np.uint8)
    _, size, _, pixels = ppm.split(b"\n", 3)
    width, height = map(int, size.split())
    return np.frombuffer(pixels, dtype=np.uint8).reshape(height, width, 3)


def _batches(count: int) -> Iterator[slice]:
    return (slice(begin, begin + BATCH) for begin in range(0, count, BATCH))


_ALL = (ours, decord_batch, decord_each, decord_times, decord_rate, pyav_seek, pyav_through, ffmpeg_begin, ffmpeg_amid, ffmpeg_select)
READERS: Mapping[str, Callable[[str, Asked], Iterable[Picture]]] = MappingProxyType({reader.__name__: reader for reader in _ALL})


def numbers_read(reader: str, path: str, quarter_turns: int, *asked: list[int] | list[float]) -> list[int]:
    """Return the bar codes of the pictures that a reader gives."""
    return [number_shown(picture, quarter_turns) for picture in READERS[reader](path, Asked(*asked))]  # type: ignore[arg-type]


def count_read(reader: str, path: str, *asked: object) -> int:
    """Return how many pictures a reader gives; they are all held until the last one is there."""
    return len(list(READERS[reader](path, Asked(*asked))))  # type: ignore[arg-type]


def wheel_of_decord() -> dict[str, str]:
    """Return what decord and the libavcodec in its wheel say of themselves: version, avcodec, licence."""
    import decord

    (path,) = Path(decord.__file__).parent.with_name("decord.libs").glob("libavcodec*")
    library = ctypes.CDLL(str(path))
    library.avcodec_license.restype = ctypes.c_char_p
    number = library.avcodec_version()
    told = library.avcodec_license().decode()
    return {"version": decord.__version__, "avcodec": f"{number >> 16}.{number >> 8 & 255}.{number & 255}", "licence": told}
