"""A film pooled into POVQA's folder: all methods from one decode, whole or not at all, and going on where it was killed.

A run that was killed is asked for again by the same command: it goes on at the first window that is not whole for every method,
and in the end the folder equals, bit for bit, that of an unbroken run. Going on costs the decode from the key frame before that
window; with POVQA's windows, which count frames, and with cuts at shots, the decode from the film's beginning.
"""

import contextlib
import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store.encodings import read_text
from store.errors import InputError, StorageError
from store.media import digest_of, frame_times, plane_shape, planes_to_rgb, read_frames, shown_frames
from store.media_files import replacing
from training.pool_journal import Journal, open_journal
from training.pool_layout import FOLDERS, KEY_FOLDER, Chunk, KeyFrame, annotated_key_frames, metadata, summary
from training.pool_spoken import Spoken, spoken_in
from training.pooling import Pooled, PoolSettings, average_fps, pool
from training.windows import window_count

Size = int | tuple[int, int]
Tell = Callable[[int, int], None]  # windows done, windows in all as far as is known
JPEG_QUALITY: dict[str, Any] = {"quality": 95, "subsampling": 0}  # as OpenCV's default, but colours keep their resolution
_KEYS_AT_ONCE = 64
_ENDS = {".jpg": b"\xff\xd9", ".png": b"IEND\xaeB`\x82"}  # what a whole picture ends with


@dataclass(frozen=True)
class PoolOrder:
    """What is to be pooled, how, and into which folder."""

    video: Path
    out: Path
    methods: tuple[str, ...]
    settings: PoolSettings
    size: Size  # longest side in pixels, or (width, height)
    png: bool = False  # bit for bit what was pooled, in files three to five times as large
    fast: bool = False  # averages YUV planes and turns only the result into a picture
    subtitles: Path | None = None
    keys: tuple[KeyFrame, ...] = ()
    annotations: Path | None = None

    @property
    def folder(self) -> Path:
        """The film's folder."""
        return self.out / self.video.stem

    @property
    def suffix(self) -> str:
        """The ending of the pictures."""
        return ".png" if self.png else ".jpg"

    @property
    def seeks(self) -> bool:
        """Whether a window can be pooled without those before it."""
        return self.settings.weights == "time" and not self.settings.cut_at_shots

    def picture(self, method: str, number: int) -> Path:
        """Return where a window's picture lies."""
        return self.folder / FOLDERS[method] / f"frame{number:05d}{self.suffix}"


@dataclass(frozen=True, eq=False)
class _Film:
    times_s: NDArray[np.float64]  # (n,) when each frame begins
    end_s: float
    fps: float
    digest: str


def pool_to_files(order: PoolOrder, tell: Tell = lambda done, total: None) -> dict[str, Any]:
    """Pool a film into its folder, or go on doing so, and return the summary, which is written last.

    A damaged film is pooled without the frames that rest on damage; the summary counts them and names their windows. Cost: one
    decode for all methods, two readings of the file; memory does not grow with the film.

    Raises NotFoundError when a file is not there, InputError when one cannot be read or the window is longer than the film,
    ConflictError when the folder holds other pictures or another process fills it, StorageError when the disk is full.
    """
    times_s, end_s = frame_times(order.video)
    # To the millisecond, so that the length that the sentence tells is itself a window that is taken.
    if round(order.settings.window_s, 3) > round(end_s, 3):
        raise InputError(f"{order.video.name} lasts {end_s:.3f} s, less than one window of {order.settings.window_s:g} s: give a shorter --window.")
    film = _Film(times_s, end_s, average_fps(times_s, end_s), digest_of(order.video))
    spoken = Spoken() if order.subtitles is None else spoken_in(order.subtitles, order.video.stem, end_s)
    keys = (*order.keys, *_annotated(order.annotations))
    with _disk_errors(order), _open_folder(order, film) as journal:
        _pool_rest(order, film, journal, tell)
        found = _write_key_frames(order, film, keys)
        told = _summary(order, film, journal.chunks, spoken, (found, len(keys)))
        for method in order.methods:
            _write_json(order.folder / f"metadata_text_centric_{FOLDERS[method]}.json", metadata(journal.chunks, spoken.cues, order.suffix))
        _write_json(order.folder / "run_summary.json", told)
    return told


@contextlib.contextmanager
def _open_folder(order: PoolOrder, film: _Film) -> Iterator[Journal]:
    for method in order.methods:
        (order.folder / FOLDERS[method]).mkdir(parents=True, exist_ok=True)
    with open_journal(order.folder, _asked(order, film), lambda chunk: _has_pictures(order, chunk)) as journal:
        yield journal


@contextlib.contextmanager
def _disk_errors(order: PoolOrder) -> Iterator[None]:
    """Turn what the operating system says about the folder into a StorageError that says what to do."""
    try:
        yield
    except OSError as problem:
        told = f"{order.folder} cannot be written ({problem.strerror or problem})"
        raise StorageError(f"{told}: make room or give a folder that you may write to; the same command then goes on.") from problem


# ---- pictures ------------------------------------------------------------------------------------------------------


def _pool_rest(order: PoolOrder, film: _Film, journal: Journal, tell: Tell) -> None:
    """Write the windows that are missing, each with its line in the journal behind it."""
    settings = order.settings
    counted = math.ceil(len(film.times_s) / max(1, round(film.fps * settings.window_s)))
    total = window_count(film.end_s, settings.window_s) if settings.weights == "time" else counted
    tell(len(journal.chunks), total)
    if journal.is_complete:
        return
    shape = plane_shape(order.video, order.size) if order.fast else None
    for window in _windows_from(order, film, len(journal.chunks)):
        for method, pixels in window.pictures.items():
            _write_picture(order.picture(method, window.number + 1), pixels if shape is None else planes_to_rgb(pixels, shape))
        journal.add(_chunk(window, settings, film))
        tell(len(journal.chunks), total)
    journal.complete()


def _windows_from(order: PoolOrder, film: _Film, number: int) -> Iterator[Pooled]:
    """Yield the windows from this one on, counted from 0."""
    # Only decoding begins later: the windows are cut from 0, so that their edges are the same numbers as in an unbroken run.
    from_s = number * order.settings.window_s if order.seeks else 0.0
    if from_s >= film.end_s:
        return
    frames = shown_frames(order.video, from_s, film.end_s, order.size, planes=order.fast)
    for window in pool(frames, order.methods, order.settings, 0.0, film.end_s, film.fps):
        if window.number >= number:
            yield window


def _chunk(window: Pooled, settings: PoolSettings, film: _Film) -> Chunk:
    number, frames = window.number + 1, len(window.times_s)
    first, last = np.searchsorted(film.times_s, [window.times_s[0], window.times_s[-1]], side="right") if frames else (0, 0)
    chunk = Chunk(number, round(window.start_s, 3), round(window.end_s, 3), frames, max(1, int(first)), max(1, int(last)), window.damaged, window.is_cut)
    if settings.weights == "time":
        return chunk
    # As POVQA labels them: windows of whole seconds, and a range that begins anew with each.
    start_s = window.number * settings.window_s
    return replace(chunk, start_s=round(start_s, 3), end_s=round(start_s + settings.window_s, 3), first_frame=number, last_frame=window.number + frames)


def _write_picture(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write a picture through a temporary name. The disk is not waited for: what a power cut leaves half is seen at its end."""
    from PIL import Image

    part = path.with_name(f".{path.name}.part")
    Image.fromarray(pixels).save(part, **({"format": "PNG"} if path.suffix == ".png" else {"format": "JPEG", **JPEG_QUALITY}))
    part.replace(path)


def _has_pictures(order: PoolOrder, chunk: Chunk) -> bool:
    return not chunk.frames or all(_is_whole(order.picture(method, chunk.number)) for method in order.methods)


def _is_whole(path: Path) -> bool:
    end = _ENDS[path.suffix]
    with contextlib.suppress(OSError), path.open("rb") as stream:
        stream.seek(-len(end), os.SEEK_END)
        return stream.read() == end
    return False


def _write_key_frames(order: PoolOrder, film: _Film, keys: Sequence[KeyFrame]) -> int:
    """Write the key frames that the film has, and return how many those are: none behind its end or on damage.

    Those of a command before this one go, so that the folder holds what its summary tells.
    """
    inside = [key for key in keys if key.time_s <= film.end_s]
    if inside:
        (order.folder / KEY_FOLDER).mkdir(exist_ok=True)
    for old in (order.folder / KEY_FOLDER).glob("KEY_*"):
        old.unlink()
    found = 0
    for first in range(0, len(inside), _KEYS_AT_ONCE):
        for key, pixels in _key_pictures(order, inside[first : first + _KEYS_AT_ONCE]):
            _write_picture(order.folder / KEY_FOLDER / f"{key.name}{order.suffix}", pixels)
            found += 1
    return found


def _key_pictures(order: PoolOrder, keys: Sequence[KeyFrame]) -> Iterator[tuple[KeyFrame, NDArray[np.uint8]]]:
    """Yield the key frames that decode, with their pictures; where one does not, each half is tried on its own."""
    try:
        pixels = read_frames(order.video, [key.time_s for key in keys], order.size).pixels
    except InputError:
        half = len(keys) // 2
        for part in (keys[:half], keys[half:]) if half else ():
            yield from _key_pictures(order, part)
    else:
        yield from zip(keys, pixels, strict=True)


# ---- what stands beside them ---------------------------------------------------------------------------------------


def _annotated(path: Path | None) -> tuple[KeyFrame, ...]:
    if path is None:
        return ()
    text, _ = read_text(path)
    try:
        return annotated_key_frames(json.loads(text))
    except ValueError as error:
        raise InputError(f"{path.name} is not JSON ({error}): give POVQA's annotations of the film.") from error


def _asked(order: PoolOrder, film: _Film) -> dict[str, Any]:
    """Return what the pictures depend on, as JSON gives it back."""
    asked = {"film": film.digest, "methods": order.methods, "size": order.size, "png": order.png, "fast": order.fast, **asdict(order.settings)}
    return dict(json.loads(json.dumps(asked)))


def _summary(order: PoolOrder, film: _Film, chunks: Sequence[Chunk], spoken: Spoken, keys: tuple[int, int]) -> dict[str, Any]:
    shown = [chunk for chunk in chunks if chunk.frames]
    by_time = order.settings.weights == "time"
    settings = {
        "movie": order.video.stem,
        "video_path": str(order.video),
        "fps_used_or_native": film.fps,
        "chunk_seconds": order.settings.window_s,
        "resize_to": _shown_size(order, shown),
        "avg_method": "all" if set(order.methods) == set(FOLDERS) else ",".join(FOLDERS[method] for method in order.methods),
        # By time a frame may lie in two windows.
        "frames_processed": max((chunk.last_frame for chunk in shown), default=0) if by_time else sum(chunk.frames for chunk in shown),
        "has_subtitles": bool(spoken.cues),
        "key_frames_found": keys[0],
        "key_frames_total_in_annotations": keys[1],
        "annotation_file": None if order.annotations is None else str(order.annotations),
        "output_dir": str(order.folder),
    }
    ours = {
        **_asked(order, film),
        "jpeg_quality": None if order.png else JPEG_QUALITY,
        "subtitles": None if order.subtitles is None else str(order.subtitles),
        "subtitle_encoding": spoken.encoding,
        "subtitle_problems": list(spoken.problems),
    }
    return summary(settings, chunks, ours)


def _shown_size(order: PoolOrder, chunks: Sequence[Chunk]) -> list[int] | None:
    """Return width and height of the pictures."""
    from PIL import Image

    if not chunks:
        return None
    with Image.open(order.picture(order.methods[0], chunks[0].number)) as picture:
        return list(picture.size)


def _write_json(path: Path, value: Any) -> None:
    with replacing(path) as part:
        part.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
