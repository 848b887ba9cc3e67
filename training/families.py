"""The families of models that can be trained: how each cuts pictures into tokens, what it writes for a video, and how it is told from a model's name.

The rules are those of the families' own processors, so that tokens are counted before one is loaded.
"""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from store.errors import InputError

PAIR = 2  # frames of a video that share their tokens
TICKS = 1_000_000  # ticks a second in which frame times are told to a processor, which takes whole numbers only
MARKS = ("<|vision_start|>", "<|vision_end|>")
VIDEO_PAD = "<|video_pad|>"
_MOST_OBLONG = 200  # times longer than wide, or the models refuse
# Tokens' areas: of a picture at least and at most. A picture is not blown up more than it must be.
_PICTURE = (4, 4096)
# Qwen3-VL limits all frames of a video together: 4,096 to 25,165,824 pixels in its published video_preprocessor_config.json.
_WHOLE_VIDEO = (4, 24_576)


@dataclass(frozen=True)
class Family:
    """Models that share their classes and the way they see."""

    name: str  # model_type in config.json
    title: str  # as people write it
    token_px: int  # pixels a side of the square for which one token stands: patches, merged two by two
    stamped: bool  # whether each pair of a video's frames stands between marks of its own, behind its time in words

    def limits(self, video: bool) -> tuple[int, int]:
        """Return the pixels (at least, at most) to which the processor scales a picture, a frame of a video, or with `stamped` all its frames together."""
        low, high = _WHOLE_VIDEO if video and self.stamped else _PICTURE
        return low * self.token_px**2, high * self.token_px**2

    def grid_size(self, height: int, width: int) -> tuple[int, int]:
        """Return (height, width) in pixels as the model sees a picture: multiples of token_px within the limits.

        The rule is `smart_resize` of the Qwen2-VL image processor. Raises InputError when one side is more than 200 times the other.
        """
        return self._fit(height, width, 1, self.limits(video=False))

    def video_grid_size(self, frames: int, height: int, width: int) -> tuple[int, int]:
        """Return (height, width) in pixels as the model sees each frame of a video of an even number of frames.

        The rule is `smart_resize` of the family's video processor. Raises InputError when one side is more than 200 times the other.
        """
        if not self.stamped:
            return self.grid_size(height, width)
        if min(height, width) < self.token_px:
            grow = max(self.token_px / height, self.token_px / width)
            height, width = int(height * grow), int(width * grow)
        return self._fit(height, width, frames, self.limits(video=True))

    def picture_tokens(self, height: int, width: int) -> int:
        """Return how many tokens a picture of this size (pixels) takes, without the marks around it."""
        return self._tokens(*self.grid_size(height, width))

    def video_tokens(self, frames: int, height: int, width: int) -> int:
        """Return how many tokens `frames` frames of this size (pixels) take as one video, without marks and times; an odd last frame counts twice."""
        pairs = -(-frames // PAIR)
        return pairs * self._tokens(*self.video_grid_size(pairs * PAIR, height, width))

    def video_text(self, times_s: Sequence[float]) -> str:
        """Return what the processor puts in the place of a video's mark, with one mark instead of many for each stretch of picture tokens.

        times_s: of the frames. Where all frames are one stretch, their times are no text.
        """
        return "".join(f"{stamp}{MARKS[0]}{VIDEO_PAD}{MARKS[1]}" for stamp in self.stamps(times_s)) if self.stamped else VIDEO_PAD

    def stamps(self, times_s: Sequence[float]) -> list[str]:
        """Return the times that are written before the pairs of frames; none for a family without them."""
        if not self.stamped:
            return []
        told = [tick / TICKS for tick in ticks_of(times_s)]
        return [f"<{(first + last) / 2:.1f} seconds>" for first, last in zip(told[::PAIR], told[1::PAIR], strict=True)]

    def _fit(self, height: int, width: int, frames: int, limits: tuple[int, int]) -> tuple[int, int]:
        if oblong(height, width):
            raise too_oblong(height, width)
        low, high = limits
        side = self.token_px
        rows, columns = round(height / side) * side, round(width / side) * side
        if frames * rows * columns > high:
            shrink = math.sqrt(frames * height * width / high)
            return max(side, math.floor(height / shrink / side) * side), max(side, math.floor(width / shrink / side) * side)
        if frames * rows * columns < low:
            grow = math.sqrt(low / (frames * height * width))
            return math.ceil(height * grow / side) * side, math.ceil(width * grow / side) * side
        return rows, columns

    def _tokens(self, height: int, width: int) -> int:
        return (height // self.token_px) * (width // self.token_px)


QWEN2_5_VL = Family("qwen2_5_vl", "Qwen2.5-VL", 28, stamped=False)
QWEN3_VL = Family("qwen3_vl", "Qwen3-VL", 32, stamped=True)
FAMILIES = {family.name: family for family in (QWEN2_5_VL, QWEN3_VL)}
TITLES = " and ".join(family.title for family in FAMILIES.values())
PIPELINES = {"pipeline-check": QWEN2_5_VL, "pipeline-check-qwen3": QWEN3_VL}
_QWEN3_NAME = re.compile(r"qwen-?3[-_.]?vl", re.IGNORECASE)


def family_of(source: str) -> Family:
    """Return the family of a model: a pipeline check, a folder or a hub id.

    A hub id whose config.json was never fetched is told by its name, and where that says nothing taken for Qwen2.5-VL: the start of a run
    compares it with the model's own files. Raises InputError for a folder of another kind of model.
    """
    if source in PIPELINES:
        return PIPELINES[source]
    folder = Path(source).expanduser()
    if folder.is_dir():
        return _family_in(folder / "config.json", source)
    fetched = _fetched_config(source)
    if fetched is not None:
        return _family_in(fetched, source)
    return QWEN3_VL if _QWEN3_NAME.search(source.rpartition("/")[2]) else QWEN2_5_VL


def family_named(kind: object, source: str) -> Family:
    """Return the family whose model_type `kind` is. Raises InputError when there is none; `source` is the model it was found in."""
    found = FAMILIES.get(kind) if isinstance(kind, str) else None
    if found is None:
        raise InputError(f"The model {source} is a {kind}, and only {TITLES} can be trained here. Choose one.")
    return found


def ticks_of(times_s: Sequence[float]) -> list[int]:
    """Return the times of a video's frames in ticks, the last one twice where their number is odd: frames go in pairs."""
    ticks = [round(time_s * TICKS) for time_s in times_s]
    return ticks + ticks[-1:] * (len(ticks) % PAIR)


def oblong(height: int, width: int) -> bool:
    """Return whether a picture has a shape that the models refuse."""
    return max(height, width) > _MOST_OBLONG * min(height, width)


def too_oblong(height: int, width: int) -> InputError:
    """Return the error for a picture of a shape that the models refuse."""
    return InputError(f"A picture of {width} x {height} pixels is more than {_MOST_OBLONG} times longer than wide. Leave this clip out.")


def _family_in(path: Path, source: str) -> Family:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read, so the kind of the model {source} is not known. Download the model again. {error}") from error
    return family_named(said.get("model_type") if isinstance(said, dict) else None, source)


def _fetched_config(source: str) -> Path | None:
    # Imported here: few callers name a hub model.
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        path = try_to_load_from_cache(source, "config.json")
    except HFValidationError:
        return None
    return Path(path) if isinstance(path, str) else None
