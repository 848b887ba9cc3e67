"""What a model that is asked over a network sees of a clip: `python -m training.showing FOLDER`, a process of its own that answers JSON lines.

    {"id", "media": path, "digest", "start_s", "end_s", "said": {lines, pause_s, window_s}, "prompt", "view": {fields of ContextPlan, "longest_px"}}
    -> {"id", "parts": [{"words"} | {"picture": file, "time_s"}], "shown_s", "dropped": [[kind, what, reason]]} or {"id", "problem"}

Built as any row of a training run. Such a model takes no video of single frames, so the layout "video" shows these as pictures, and in each layout
a picture stands behind its time in square brackets, as it can be cited. Pictures are JPEG files in FOLDER, named by all that decides what they
show, whole or not there; the one used longest ago goes first. Loads neither torch nor transformers: 0.15 s of CPU to start, and 75 MB.
"""

import argparse
import hashlib
import resource
import signal
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from store.errors import InputError
from store.frame_cache import READER_VERSION
from store.guard import Limits
from store.media import Probe, probe
from store.media_files import replacing
from store.used_files import make_room, note_use
from training.asking import NO_REPLY
from training.context import Context, ContextPlan, Moment
from training.context_text import moment_text
from training.frames import Stretch, stretch_of
from training.lines import answer_lines
from training.pictures import Pixels, decoded
from training.rows import ClipSpan, Message, Row, RowContext, context_of
from training.views import view_of

JPEG_QUALITY = 90  # without halving the colours' resolution
PICTURES_BYTES = 1 << 30  # in a folder, at most
LONGEST_PX = (28, 4096)


class Shows:
    """Tells what clips show, and keeps the pictures in a folder."""

    def __init__(self, folder: Path, limit_bytes: int = PICTURES_BYTES) -> None:
        self._folder, self._limit_bytes = folder, limit_bytes

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return parts, moments and what is left out; the pictures lie in the folder then. Cost: their decoding, 1 ms when they lie there.

        Raises InputError or NotFoundError when the video cannot be read or nothing of it can be shown.
        """
        try:
            return self._answer(request)
        except MemoryError:
            raise InputError("Its video needs more memory than reading a clip may take. Convert it to a smaller size, or leave this clip out.") from None

    def _answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        plan, longest_px = plan_of(request["view"])
        if plan.budget_tokens is not None:
            raise InputError("How many tokens a picture takes is not known of this model, so budget_tokens means nothing. Leave it out, or show fewer frames.")
        media, clip = Path(request["media"]), ClipSpan("", request["digest"], request["start_s"], request["end_s"])
        stretch = stretch_of(clip, probed(media), longest_px)
        row = row_of(clip, request["prompt"], context_of(request["said"], "What is said in the clip"))
        context = view_of(row, stretch, plan, len).context
        return {
            "parts": parts_of(context, self._files(media, stretch, context.moments, plan)),
            "shown_s": [round(moment.time_s, 6) for moment in context.moments],
            "dropped": [[one.kind, one.what, one.reason] for one in context.dropped],
        }

    def _files(self, media: Path, stretch: Stretch, moments: Sequence[Moment], plan: ContextPlan) -> list[Path]:
        files = [self._folder / f"{_name(stretch, moment, moments, plan)}.jpg" for moment in moments]
        lacking = {moment: file for moment, file in zip(moments, files, strict=True) if not file.exists()}
        if lacking:
            # Windows are blended in one pass, from the first of them on.
            wanted = moments if any(moment.kind == "window" for moment in lacking) else list(lacking)
            for moment, pixels in zip(wanted, decoded(media, stretch, wanted, plan), strict=True):
                if moment in lacking:
                    _write(lacking[moment], pixels)
        for file in files:
            note_use(file)
        if lacking:
            make_room(self._folder, self._limit_bytes, keep=files)
        return files


@lru_cache(maxsize=64)
def probed(media: Path) -> Probe:
    """Return what is known of a file that never changes, not decoded; files asked for lately are not read again. Raises what `probe` raises."""
    return probe(media, decode=False)


def plan_of(view: Mapping[str, Any]) -> tuple[ContextPlan, int]:
    """Return how a scene is shown, and the longest side of its pictures in pixels. Raises InputError for a view that is none."""
    unknown = sorted(set(view) - {field.name for field in fields(ContextPlan)} - {"longest_px"})
    if unknown:
        raise InputError(f"{unknown[0]!r} is nothing that a view tells. Leave it out.")
    longest_px = view.get("longest_px")
    if not isinstance(longest_px, int) or not LONGEST_PX[0] <= longest_px <= LONGEST_PX[1]:
        raise InputError(f"longest_px is {longest_px!r}, and must be a whole number from {LONGEST_PX[0]} to {LONGEST_PX[1]}.")
    try:
        return ContextPlan(**{name: value for name, value in view.items() if name != "longest_px"}), longest_px
    except TypeError as error:
        raise InputError(f"A value of the view is of the wrong type: {error}. Correct it.") from error


def row_of(clip: ClipSpan, prompt: str, context: RowContext) -> Row:
    """Return a row that asks this; its id is always the same, so that a seed alone decides what is drawn."""
    return Row("asked", "test", "answer", clip, (Message("user", prompt),), NO_REPLY, None, context)


def parts_of(context: Context, files: Sequence[Path]) -> list[dict[str, Any]]:
    """Return words and pictures in their order; files: one for each of the context's moments."""
    parts: list[dict[str, Any]] = []
    words = ""
    for block in context.blocks:
        if block.kind == "text":
            words += block.text
            continue
        for at in range(len(files)) if block.moment is None else (block.moment,):
            moment = context.moments[at]
            parts += [{"words": f"{words}[{moment_text(moment)} s]"}, {"picture": str(files[at]), "time_s": round(moment.time_s, 6)}]
            words = ""
    return [*parts, {"words": words}] if words else parts


def _name(stretch: Stretch, moment: Moment, moments: Sequence[Moment], plan: ContextPlan) -> str:
    decides: tuple[Any, ...] = (READER_VERSION, JPEG_QUALITY, stretch.digest, stretch.width, stretch.height, stretch.start_s + moment.time_s)
    if moment.kind == "window":
        decides += (stretch, moment, tuple(moments), plan.pooling, plan.window_s, plan.candidates)
    return hashlib.sha256(repr(decides).encode()).hexdigest()


def _write(file: Path, pixels: Pixels) -> None:
    from PIL import Image

    with replacing(file) as part:
        Image.fromarray(pixels).save(part, "JPEG", quality=JPEG_QUALITY, subsampling=0)


def main() -> None:
    """Answer until standard input ends. A request over the limit of time ends the process, one over the limit of memory is a problem."""
    parser = argparse.ArgumentParser(prog="python -m training.showing", description="Tell what clips show: JSON lines in, JSON lines out.")
    parser.add_argument("folder", type=Path, help="where the pictures are kept")
    parser.add_argument("--seconds", type=float, default=300.0, help="that one request may take")
    options = parser.parse_args()
    shows = Shows(options.folder)

    def answer(request: Mapping[str, Any]) -> dict[str, Any]:
        # The kernel ends what hangs in a decoder, which no thread of this process could, and also when nobody is left who waits for it.
        signal.setitimer(signal.ITIMER_REAL, options.seconds)
        try:
            return shows.answer(request)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash is expected here, and its picture of memory is large
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    asked = Limits().memory_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (asked if most < 0 else min(asked, most), most))
    answer_lines(answer)


if __name__ == "__main__":
    main()
