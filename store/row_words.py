"""What a row of a curated set says and shows: its prompt, its reply, its stretch of the clip and what is spoken there."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

from store.errors import InputError
from store.records import Clip, QAPair, Subtitle

PROMPTS = Path(__file__).resolve().parent.parent / "assets" / "prompts"
KINDS = ("narrative", "rationale", "answer")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def load_prompts() -> dict[str, str]:
    """Return kind -> the prompt text of its file. Raises InputError when one that needs the question has no place for it."""
    prompts = {kind: (PROMPTS / f"{kind}.md").read_text(encoding="utf-8") for kind in KINDS}
    for kind, text in prompts.items():
        if kind != "narrative" and "$question" not in text:
            raise InputError(f"{PROMPTS / kind}.md does not say $question, so no row would hold its question. Put it back.")
    return prompts


def prompt_for(prompts: Mapping[str, str], kind: str, qa: QAPair | None) -> str:
    """Return what the user says in a row of this kind; the options of the question are lettered."""
    return Template(prompts[kind]).substitute(question=_question(qa) if qa else "").strip()


def final_answer(qa: QAPair) -> str | None:
    """Return the given answer with its letter when it is one of the options; None when the data set withholds it."""
    index = right_option(qa)
    return qa.answer if index is None else f"{_letter(index)}. {qa.options[index]}"


def right_option(qa: QAPair) -> int | None:
    """Return which option the given answer is, or None when there are none, or the data set withholds it."""
    if qa.answer_index is None and qa.answer in qa.options:
        return qa.options.index(qa.answer)
    return qa.answer_index


def span_of(clip: Clip, qa: QAPair | None) -> tuple[float, float | None]:
    """Return where to look: the question's window when it has one (it counts from the clip's start), else the whole clip."""
    if qa is None or qa.window_end_s is None:
        return clip.start_s, clip.end_s
    start_s, end_s = clip.start_s + (qa.window_start_s or 0.0), clip.start_s + qa.window_end_s
    end_s = end_s if clip.end_s is None else min(end_s, clip.end_s)
    return (start_s, end_s) if start_s < end_s else (clip.start_s, clip.end_s)


def context_of(clip: Clip, qa: QAPair | None, lines: Sequence[Subtitle]) -> dict[str, Any]:
    """Return the lines that are spoken in the row's span, the pause and, where the span is the question's own window, that window.

    Seconds from the row's start: a line that has begun before it starts below 0.
    """
    start_s, end_s = span_of(clip, qa)
    shift_s, length_s = start_s - clip.start_s, math.inf if end_s is None else _seconds(end_s - start_s)
    heard = [(_seconds(line.start_s - shift_s), _seconds(line.end_s - shift_s), line.text.strip()) for line in lines]
    return {
        "lines": [list(line) for line in sorted(heard) if line[0] < length_s and line[1] > 0 and line[2]],
        "pause_s": None if qa is None or qa.pause_s is None else _seconds(qa.pause_s - shift_s),
        "window_s": [0.0, length_s] if end_s is not None and (start_s, end_s) != (clip.start_s, clip.end_s) else None,
    }


def _seconds(value_s: float) -> float:
    # To the microsecond: what a subtraction leaves behind is no time.
    return round(value_s, 6)


def _question(qa: QAPair) -> str:
    options = [f"{_letter(index)}. {option}" for index, option in enumerate(qa.options)]
    return "\n".join([qa.question.strip(), *(["Options:", *options] if options else [])])


def _letter(index: int) -> str:
    return LETTERS[index] if index < len(LETTERS) else str(index + 1)
