"""Frames of clips for a model: which moments, how large, how many tokens, and a store of decoded frames for one run."""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from store.errors import InputError, UserError
from store.media import media_path, probe, read_frames
from training.rows import ClipSpan

# Qwen2.5-VL: patches of 14 pixels, merged two by two, over pairs of frames.
TOKEN_SIDE_PX = 28
FRAMES_A_TOKEN = 2
MIN_PIXELS = 4 * TOKEN_SIDE_PX**2
MAX_PIXELS = 4096 * TOKEN_SIDE_PX**2


@dataclass(frozen=True)
class ClipFrames:
    """Decoded frames of one span, on disk as a (frames, height, width, 3) uint8 array."""

    path: Path
    span_s: float
    frames: int
    height: int
    width: int

    @property
    def tokens(self) -> int:
        """The tokens that stand for these frames in a row."""
        return visual_tokens(self.frames, self.height, self.width)

    def pixels(self) -> NDArray[np.uint8]:
        """Return the frames, mapped from disk and not writable."""
        pixels: NDArray[np.uint8] = np.load(self.path, mmap_mode="r")
        return pixels


def midpoints(start_s: float, end_s: float, count: int) -> NDArray[np.float64]:
    """Return the midpoints, in seconds, of `count` equal parts of the span; shape (count,), ascending, none at an end."""
    return start_s + (np.arange(count, dtype=np.float64) + 0.5) * ((end_s - start_s) / count)


def scaled_size(width: int, height: int, longest_side_px: int) -> tuple[int, int]:
    """Return (width, height) after scaling down to the longest side; smaller pictures stay as they are."""
    scale = min(1.0, longest_side_px / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def grid_size(height: int, width: int) -> tuple[int, int]:
    """Return (height, width) in pixels as Qwen2.5-VL sees a picture: multiples of 28 within the pixel limits.

    The rule is `smart_resize` of the Qwen2-VL processor, so that tokens can be counted without loading it.
    Raises InputError when one side is more than 200 times the other, which the model refuses.
    """
    if max(height, width) > 200 * min(height, width):
        raise InputError(f"A picture of {width} x {height} pixels is more than 200 times longer than wide. Leave this clip out.")
    rows, columns = round(height / TOKEN_SIDE_PX) * TOKEN_SIDE_PX, round(width / TOKEN_SIDE_PX) * TOKEN_SIDE_PX
    if rows * columns > MAX_PIXELS:
        shrink = math.sqrt(height * width / MAX_PIXELS)
        rows, columns = (max(TOKEN_SIDE_PX, _down(side / shrink)) for side in (height, width))
    elif rows * columns < MIN_PIXELS:
        grow = math.sqrt(MIN_PIXELS / (height * width))
        rows, columns = (_up(side * grow) for side in (height, width))
    return rows, columns


def visual_tokens(frames: int, height: int, width: int) -> int:
    """Return how many tokens `frames` pictures of this size (pixels) take in Qwen2.5-VL."""
    rows, columns = grid_size(height, width)
    return -(-frames // FRAMES_A_TOKEN) * (rows // TOKEN_SIDE_PX) * (columns // TOKEN_SIDE_PX)


def decode_all(root: Path, clips: Sequence[ClipSpan], count: int, longest_side_px: int, on_progress: Callable[[int], None]) -> dict[ClipSpan, ClipFrames]:
    """Decode `count` frames of every clip into `root`/frames, each once; about 0.2 s a clip, and 3 bytes a pixel on disk.

    `root` is a run directory or a data directory: media lie in both alike.

    `on_progress` hears how many clips are done. What is there already is not decoded again.
    Raises InputError with all unreadable clips at once, so that one run tells the whole of what is to be mended.
    """
    folder = root / "frames"
    folder.mkdir(exist_ok=True)
    decoded: dict[ClipSpan, ClipFrames] = {}
    problems: dict[str, None] = {}
    for number, clip in enumerate(dict.fromkeys(clips), start=1):
        try:
            decoded[clip] = _decode(media_path(root, clip.digest), folder, clip, count, longest_side_px)
        except UserError as error:
            problems[f"{clip.id}: {error}"] = None
        on_progress(number)
    if problems:
        shown = "\n".join(list(problems)[:20])
        raise InputError(f"{len(problems)} clips could not be read; mend or leave out their rows.\n{shown}")
    return decoded


def _decode(media: Path, folder: Path, clip: ClipSpan, count: int, longest_side_px: int) -> ClipFrames:
    end_s = _end_s(media, clip)
    key = hashlib.sha256(f"{clip.digest} {clip.start_s!r} {end_s!r} {count} {longest_side_px}".encode()).hexdigest()
    path = folder / f"{key[:32]}.npy"
    if not path.exists():
        pixels = read_frames(media, [float(t) for t in midpoints(clip.start_s, end_s, count)], longest_side_px).pixels
        part = path.with_suffix(".part")
        with part.open("wb") as stream:
            np.save(stream, np.ascontiguousarray(pixels))
        part.rename(path)
    frames, height, width, _ = np.load(path, mmap_mode="r").shape
    grid_size(height, width)
    return ClipFrames(path, end_s - clip.start_s, frames, height, width)


def _end_s(media: Path, clip: ClipSpan) -> float:
    if clip.end_s is not None:
        return clip.end_s
    # Not decoded: damage, if any, shows when the frames are read.
    found = probe(media, decode=False)
    if found.duration_s is None:
        raise InputError(found.health_reason or "How long the file lasts is not known, so its end must be given.")
    if found.duration_s <= clip.start_s:
        raise InputError(f"It starts at {clip.start_s:g} s, and the file lasts {found.duration_s:g} s. Correct its span.")
    return found.duration_s


def _down(side: float) -> int:
    return math.floor(side / TOKEN_SIDE_PX) * TOKEN_SIDE_PX


def _up(side: float) -> int:
    return math.ceil(side / TOKEN_SIDE_PX) * TOKEN_SIDE_PX
