"""What a clip offers a model: where it lies in its file, how long it lasts, and how large its pictures are read."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from store.errors import InputError, UserError
from store.media import Probe, media_path, probe
from training.families import oblong, too_oblong
from training.rows import ClipSpan


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


def stretch_of(clip: ClipSpan, found: Sized, longest_side_px: int) -> Stretch:
    """Return how a clip lies in its file, and the size in which its pictures are read.

    Raises InputError when size or end are not known, when the clip lies behind the file's end, and for a picture that the model refuses.
    """
    if found.width is None or found.height is None:
        raise InputError(found.health_reason or "The size of its video is not known.")
    width, height = scaled_size(found.width, found.height, longest_side_px)
    if oblong(height, width):
        raise too_oblong(height, width)
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
