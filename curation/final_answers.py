"""The final answer that a text ends on, and whether it is the given one. Pure."""

import re

from store.records import QAPair, Signal
from store.row_words import final_answer, right_option

# On a line of its own, as a row has it, or behind the last sentence: beside texts of people it would tell who wrote.
ANSWER = re.compile(r"(?:\n|^|(?<=[.!?])[ \t])[ \t]*final answer:[ \t]*(?P<answer>[^\n]*)\s*$", re.IGNORECASE)
ANSWERED_RIGHT = "writer_answered_right"


def split_answer(text: str) -> tuple[str, str | None]:
    """Return a text without the final answer that stands on its last line, and that answer; None when there is none."""
    found = ANSWER.search(text)
    return (text[: found.start()].strip(), found["answer"].strip()) if found else (text.strip(), None)


def is_right(answer: str, qa: QAPair) -> bool | None:
    """Return whether an answer is the given one: its letter, its words or both; None when the data set withholds it."""
    given, option = final_answer(qa), right_option(qa)
    if given is None:
        return None
    spellings = {given, *([] if option is None else [given.split(".", 1)[0], qa.options[option]])}
    return _bare(answer) in {_bare(one) for one in spellings}


def right_signals(candidate_id: str, answer: str | None, qa: QAPair | None) -> tuple[Signal, ...]:
    """Return the signal that says whether the answer that a text ended on is the given one; none when that is not known."""
    right = is_right(answer, qa) if qa and answer else None
    return () if right is None else (Signal(candidate_id, ANSWERED_RIGHT, float(right)),)


def _bare(answer: str) -> str:
    return " ".join(answer.split()).strip(" .()").lower()
