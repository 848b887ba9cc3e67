"""The words around the pictures, all in one place, and the user's turn that they make with pictures, lines and question."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from training.context_plan import Block, ContextPlan, Line, Moment

FRAMES = "Frames of a video clip, each with its time from the start of the clip."
BLENDS = " A frame with two times blends what was seen between them."
SPOKEN = " Words in quotation marks were said at the times before them."
VIDEO_TIMES = "The frames of the video were seen at these times from the start of the clip: {times} s."
SAID = "What is said:"
FRAME = "frame {number}, {time} s"
PAUSED = ", where the clip is paused"
LINE = '{time} s: "{text}"'
SILENCE = "{time} s: no speech"
NOTE = "(nothing is said near this time)"
HINT = "The question is asked while the clip is paused at {time} s{frame}."
HINT_FRAME = ", at frame {number}"


@dataclass(frozen=True)
class Shown:
    """What of a scene stands in the user's turn."""

    moments: tuple[Moment, ...]  # in the order in which they are shown
    lines: tuple[Line, ...]  # in order of time
    heard: tuple[Line, ...]  # all that is said, shown or not: a note that nothing is said must be true
    pause_s: float | None  # told in the hint; None: no hint
    notes: bool  # whether frames without a line near them say so


def compose(shown: Shown, prompt: str, plan: ContextPlan) -> tuple[Block, ...]:
    """Return the blocks of the user's turn; the prompt is the last one, or, for `povqa` interleaved, the one before the pictures."""
    question = [*_text(_hint(shown)), Block("text", prompt)]
    if not shown.moments and not shown.lines:
        return tuple(question)
    if plan.layout == "video" and shown.moments:
        return (Block("video"), *_text(_video_text(shown)), *question)
    if plan.layout == "block" or not shown.moments:
        return (*_images(shown), *_text([*_header(shown), *_cards(shown), *_said(shown)]), *question)
    if plan.candidates == "povqa":
        return (*_text(_header(shown)), *_text(_hint(shown)), Block("text", f"{prompt}\n"), *_interleaved(shown, plan))
    return (*_text(_header(shown)), *_interleaved(shown, plan), *question)


def lines_at(shown: Shown, plan: ContextPlan) -> list[list[Line]]:
    """Return for each moment the lines that are printed with it when pictures and lines are interleaved.

    A line is printed once: with the first moment at which it is being said, else with the moment closest to its centre. `povqa`: each
    moment prints its own `nearest_line`, again and again, and a line that none has is lost.
    """
    times = [_time_of(moment, plan) for moment in shown.moments]
    if plan.candidates == "povqa":
        own = [nearest_line(shown.lines, time_s, plan.line_radius_s) for time_s in times]
        return [[line] if line else [] for line in own]
    under: list[list[Line]] = [[] for _ in times]
    for line in shown.lines:
        closest = min(range(len(times)), key=lambda at: abs(times[at] - line.centre_s))
        under[next((at for at, time_s in enumerate(times) if line.start_s <= time_s <= line.end_s), closest)].append(line)
    return under


def nearest_line(lines: Sequence[Line], time_s: float, radius_s: float) -> Line | None:
    """Return the line being said at a time, by the closest centre; else the one with the closest centre within the radius; else None."""
    being_said = [line for line in lines if line.start_s <= time_s <= line.end_s]
    near = being_said or [line for line in lines if abs(line.centre_s - time_s) <= radius_s]
    return min(near, key=lambda line: abs(line.centre_s - time_s), default=None)


def notes_at(shown: Shown, plan: ContextPlan, under: Sequence[Sequence[Line]]) -> set[int]:
    """Return which moments say that nothing is said near them: none of `lines_at` is printed with them, and none near them is left out."""
    return {
        at
        for at, moment in enumerate(shown.moments)
        if shown.notes and not under[at] and nearest_line(shown.heard, _time_of(moment, plan), plan.line_radius_s) is None
    }


def line_text(line: Line) -> str:
    """Return the line as it is printed: whole, its white space squeezed; one that began before the clip is printed from 0 s."""
    times = f"{_seconds(line.start_s)}-{_seconds(line.end_s)}"
    text = " ".join(line.text.split())
    return LINE.format(time=times, text=text) if text else SILENCE.format(time=times)


def moment_text(moment: Moment) -> str:
    """Return the time of a moment, or of both its ends, with one decimal."""
    return _seconds(moment.start_s) if moment.kind != "window" else f"{_seconds(moment.start_s)}-{_seconds(moment.end_s)}"


def _interleaved(shown: Shown, plan: ContextPlan) -> list[Block]:
    under = lines_at(shown, plan)
    silent = notes_at(shown, plan, under)
    blocks: list[Block] = []
    for at, card in enumerate(_cards(shown)):
        note = [NOTE] if at in silent else []
        blocks += [Block("image", moment=at), *_text([card, *map(line_text, under[at]), *note])]
    return blocks


def _images(shown: Shown) -> list[Block]:
    return [Block("image", moment=at) for at in range(len(shown.moments))]


def _cards(shown: Shown) -> list[str]:
    return [
        FRAME.format(number=number, time=moment_text(moment)) + (PAUSED if moment.kind == "key" else "") for number, moment in enumerate(shown.moments, start=1)
    ]


def _header(shown: Shown) -> list[str]:
    if not shown.moments:
        return []
    return [FRAMES + _blends(shown) + (SPOKEN if shown.lines else "")]


def _blends(shown: Shown) -> str:
    return BLENDS if any(moment.kind == "window" for moment in shown.moments) else ""


def _said(shown: Shown) -> list[str]:
    return [SAID, *map(line_text, shown.lines)] if shown.lines else []


def _video_text(shown: Shown) -> list[str]:
    # The processor is told how far apart the frames stand, so their times are printed only where that does not say it all.
    told = shown.lines or shown.pause_s is not None or not _evenly_spaced(shown.moments)
    times = [VIDEO_TIMES.format(times=", ".join(map(moment_text, shown.moments))) + _blends(shown)] if told else []
    return [*times, *_said(shown)]


def _evenly_spaced(moments: Sequence[Moment]) -> bool:
    times = [moment.time_s for moment in moments]
    steps = [later - earlier for earlier, later in pairwise(times)]
    return not steps or max(steps) - min(steps) <= 1e-6 * max(1.0, max(steps))


def _hint(shown: Shown) -> list[str]:
    if shown.pause_s is None:
        return []
    key = next((number for number, moment in enumerate(shown.moments, start=1) if moment.kind == "key"), None)
    return [HINT.format(time=_seconds(shown.pause_s), frame=HINT_FRAME.format(number=key) if key else "")]


def _text(lines: Sequence[str]) -> list[Block]:
    return [Block("text", "".join(f"{line}\n" for line in lines))] if lines else []


def _time_of(moment: Moment, plan: ContextPlan) -> float:
    return moment.start_s if plan.candidates == "povqa" else moment.time_s


def _seconds(time_s: float) -> str:
    return f"{max(0.0, time_s):.1f}"
