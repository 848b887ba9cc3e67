"""Ways to pool a whole film into windows of a second: ours and the peers'. Each returns how many pictures it made."""

import subprocess
from collections.abc import Iterator
from functools import partial
from itertools import islice

import av
import numpy as np
from numpy.typing import NDArray

from benchmarks.films import RATE
from store.media import frame_times, plane_shape, planes_to_rgb, shown_frames
from training.pooling import METHODS, PoolSettings, pool

SETTINGS = PoolSettings()


def one_pass(path: str, side_px: int) -> int:
    """Pool by all four methods in one decode."""
    return _pooled(path, METHODS, side_px)


def pass_a_method(path: str, side_px: int) -> int:
    """Pool by all four methods, a decode each."""
    return sum(_pooled(path, (method,), side_px) for method in METHODS)


def _pooled(path: str, methods: tuple[str, ...], side_px: int) -> int:
    _, end_s = frame_times(path)
    return sum(len(window.pictures) for window in pool(shown_frames(path, size=side_px), methods, SETTINGS, 0.0, end_s))


def planes(path: str, side_px: int) -> int:
    """Pool the planes of the video by all four methods in one decode, and convert the result: the fast mode."""
    return sum(len(pictures) for pictures in _from_planes(path, side_px))


def _from_planes(path: str, side_px: int) -> Iterator[dict[str, NDArray[np.uint8]]]:
    _, end_s = frame_times(path)
    shape = plane_shape(path, side_px)
    for window in pool(shown_frames(path, size=side_px, planes=True), METHODS, SETTINGS, 0.0, end_s):
        yield {method: planes_to_rgb(flat, shape) for method, flat in window.pictures.items()}


def difference(path: str, side_px: int) -> tuple[float, int]:
    """Return by how many levels of 255 the pictures of the fast mode differ from the exact ones: mean and most."""
    _, end_s = frame_times(path)
    exact = pool(shown_frames(path, size=side_px), METHODS, SETTINGS, 0.0, end_s)
    found = [
        np.abs(window.pictures[method].astype(int) - fast[method])
        for window, fast in zip(exact, _from_planes(path, side_px), strict=True)
        for method in METHODS
    ]
    return float(np.mean([one.mean() for one in found])), max(int(one.max()) for one in found)


def reading_alone(path: str, side_px: int) -> int:
    """Decode and shrink every frame, and pool nothing: what the reader costs."""
    return sum(1 for _ in shown_frames(path, size=side_px))


def decord_numpy(path: str, side_px: int) -> int:
    """Pool by four weights in one pass with decord and numpy."""
    import decord

    width, height = _shrunk(path, side_px)
    film = decord.VideoReader(path, width=width, height=height, num_threads=1)
    return _summed(film[number].asnumpy() for number in range(len(film)))


def pyav_numpy(path: str, side_px: int) -> int:
    """Pool by four weights in one pass with plain PyAV and numpy."""
    width, height = _shrunk(path, side_px)
    with av.open(path) as film:
        stream = film.streams.video[0]
        stream.thread_type, stream.thread_count = "NONE", 1
        return _summed(frame.to_ndarray(format="rgb24", width=width, height=height) for frame in film.decode(stream))


def ffmpeg_numpy(path: str, side_px: int) -> int:
    """Pool by four weights in one pass with frames that the ffmpeg command writes to a pipe, and numpy."""
    width, height = _shrunk(path, side_px)
    command = ["ffmpeg", "-v", "error", "-nostdin", "-threads", "1", "-i", path, "-vf", f"scale={width}:{height}", "-pix_fmt", "rgb24", "-f", "rawvideo", "-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        read = partial(process.stdout.read, width * height * 3)
        return _summed(np.frombuffer(pixels, np.uint8).reshape(height, width, 3) for pixels in iter(read, b""))


def _shrunk(path: str, side_px: int) -> tuple[int, int]:
    with av.open(path) as film:
        width, height = film.streams.video[0].width, film.streams.video[0].height
    return round(width * side_px / max(width, height)), round(height * side_px / max(width, height))


def _summed(frames: Iterator[NDArray[np.uint8]]) -> int:
    """Make four pictures of each 30 frames, windows by count: uniform, exponential, ramp, and the exponential with the last frame."""
    count = 0
    while len(window := list(islice(frames, RATE))):
        rank = np.arange(len(window), dtype=np.float32)
        fading = np.float32(0.85) ** rank[::-1] / (np.float32(0.85) ** rank).sum()
        weights = np.stack([np.full_like(rank, 1 / len(rank)), fading, (rank + 1) / (rank + 1).sum(), 0.7 * fading])
        weights[3, -1] += 0.3
        sums = np.zeros((len(weights), *window[0].shape), np.float32)
        for frame, shares in zip(window, weights.T, strict=True):
            levels = frame.astype(np.float32)
            for total, share in zip(sums, shares, strict=True):
                total += share * levels
        count += len(np.rint(sums).astype(np.uint8))
    return count
