"""What a clip offers a model: how long it lasts, how large its pictures are, and how many tokens they take."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from store.errors import InputError, UserError
from store.media import Probe, media_path, probe
from training.rows import ClipSpan

# Qwen2.5-VL: patches of 14 pixels, merged two by two; a video takes its frames in pairs.
TOKEN_SIDE_PX = 28
FRAMES_A_TOKEN = 2
MIN_PIXELS = 4 * TOKEN_SIDE_PX**2
MAX_PIXELS = 4096 * TOKEN_SIDE_PX**2


class Sized(Protocol):
    """What is known of a video file; a Media of the store and a Probe are such."""

    @property
    def width(self) -> int | None:
        """Pixels, as shown."""

    @property
    def height(self) -> int | None:
        """Pixels, as shown."""

    @property
    def duration_s(self) -> float | None:
        """End of the last frame."""

    @property
    def frame_count(self) -> int | None:
        """Frames shown."""

    @property
    def health_reason(self) -> str | None:
        """Why something is not known."""


@dataclass(frozen=True)
class Stretch:
    """A clip as its file has it: where it ends, and the size in which its pictures are read."""

    digest: str
    start_s: float  # on the file's own clock
    end_s: float
    width: int  # pixels
    height: int
    fps: float | None = None  # frames a second on average; None: not known

    @property
    def length_s(self) -> float:
        """How long the clip lasts."""
        return self.end_s - self.start_s


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


def picture_tokens(height: int, width: int) -> int:
    """Return how many tokens a picture of this size (pixels) takes in Qwen2.5-VL, and a pair of frames of a video too."""
    rows, columns = grid_size(height, width)
    return (rows // TOKEN_SIDE_PX) * (columns // TOKEN_SIDE_PX)


def video_tokens(frames: int, height: int, width: int) -> int:
    """Return how many tokens `frames` frames of this size (pixels) take as one video."""
    return -(-frames // FRAMES_A_TOKEN) * picture_tokens(height, width)


def stretch_of(clip: ClipSpan, found: Sized, longest_side_px: int) -> Stretch:
    """Return how a clip lies in its file, and the size in which its pictures are read.

    Raises InputError when size or end are not known, when the clip lies behind the file's end, and for a picture that the model refuses.
    """
    if found.width is None or found.height is None:
        raise InputError(found.health_reason or "The size of its video is not known.")
    width, height = scaled_size(found.width, found.height, longest_side_px)
    grid_size(height, width)
    ends_s = [end_s for end_s in (clip.end_s, found.duration_s) if end_s is not None]
    if not ends_s:
        raise InputError(found.health_reason or "How long the file lasts is not known, so its end must be given.")
    if found.duration_s is not None and found.duration_s <= clip.start_s:
        raise InputError(f"It starts at {clip.start_s:g} s, and the file lasts {found.duration_s:g} s. Correct its span.")
    fps = found.frame_count / found.duration_s if found.frame_count and found.duration_s else None
    # Data sets round up: the file has the last word on where it ends.
    return Stretch(clip.digest, clip.start_s, min(ends_s), width, height, fps)


def look_at(root: Path, clips: Iterable[ClipSpan], longest_side_px: int, on_progress: Callable[[int], None]) -> dict[ClipSpan, Stretch]:
    """Return how each clip lies in its file; reads the list of packets of each file once and decodes one frame.

    `root` is a run directory or a data directory: media lie in both alike. `on_progress` hears how many clips are done.
    Raises InputError with all unreadable clips at once, so that one run tells the whole of what is to be mended.
    """
    found: dict[str, Probe] = {}
    stretches: dict[ClipSpan, Stretch] = {}
    problems: dict[str, None] = {}
    for number, clip in enumerate(dict.fromkeys(clips), start=1):
        try:
            if clip.digest not in found:
                # Not decoded: damage, if any, shows when the frames are read.
                found[clip.digest] = probe(media_path(root, clip.digest), decode=False)
            stretches[clip] = stretch_of(clip, found[clip.digest], longest_side_px)
        except UserError as error:
            problems[f"{clip.id}: {error}"] = None
        on_progress(number)
    if problems:
        raise unreadable(problems)
    return stretches


def unreadable(problems: Iterable[str]) -> InputError:
    """Return the error that names the first twenty of the clips that could not be read, "clip: why" each."""
    named = list(problems)
    shown = "\n".join(named[:20])
    return InputError(f"{len(named)} clips could not be read; mend or leave out their rows.\n{shown}")


def _down(side: float) -> int:
    return math.floor(side / TOKEN_SIDE_PX) * TOKEN_SIDE_PX


def _up(side: float) -> int:
    return math.ceil(side / TOKEN_SIDE_PX) * TOKEN_SIDE_PX
