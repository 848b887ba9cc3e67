"""SRT and WebVTT files as spoken lines. Pure.

The readers on the registry (srt, pysubs2, webvtt-py) drop or swallow a broken cue without a word; ours tells its line.
"""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass

from curation.datasets.drafts import Rejection
from curation.datasets.fields import BadField, clock, shown, span
from curation.datasets.sources import TextFile

SUFFIXES = (".srt", ".vtt")
TAG = re.compile(r"</?[a-zA-Z][^>]*>|<\d\d:[\d:.]+>|\{\\[^}]*\}")
HEADS = ("WEBVTT", "NOTE", "STYLE", "REGION")


@dataclass(frozen=True)
class Cue:
    """A spoken line on the clock of the file, and the line of the subtitle file where its times stand."""

    line: int
    start_s: float
    end_s: float
    text: str


def read_cues(file: TextFile) -> Iterator[Cue | Rejection]:
    """Yield the cues in the order of the file; a cue that says nothing is passed over, a broken one is a Rejection."""
    for block in _blocks(file.text):
        place = next((number for number, (_, text) in enumerate(block) if "-->" in text), None)
        if place is None:
            # A number of its own, a comment or a style; anything else is text that no time belongs to.
            line, text = block[0]
            if not (text.strip().isdigit() or text.startswith(HEADS)):
                yield Rejection(file.name, line, "times", f"{shown(text)} has no line of times before it, as in 00:00:01,000 --> 00:00:02,500.")
            continue
        line, times = block[place]
        said = html.unescape(TAG.sub("", "\n".join(text for _, text in block[place + 1 :]))).strip()
        try:
            start, _, rest = times.partition("-->")
            # WebVTT puts the cue's place on the screen behind its end.
            end = (rest.split() or [""])[0]
            start_s, end_s = span("times", clock("times", start), clock("times", end))
        except BadField as bad:
            yield Rejection(file.name, line, bad.field, bad.reason)
            continue
        if said and "\0" not in said:
            yield Cue(line, start_s, end_s, said)


def on_clip(cues: list[Cue], start_s: float, end_s: float | None) -> list[Cue]:
    """Return the cues that are heard in a clip, on the clip's clock and cut at its ends."""
    last_s = end_s if end_s is not None else float("inf")
    heard = (cue for cue in cues if cue.end_s > start_s and cue.start_s < last_s)
    return [Cue(cue.line, max(cue.start_s - start_s, 0.0), min(cue.end_s, last_s) - start_s, cue.text) for cue in heard]


def _blocks(text: str) -> Iterator[list[tuple[int, str]]]:
    """Yield the runs of lines between empty ones, each line with its number; a second line of times begins a new run."""
    block: list[tuple[int, str]] = []
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), start=1):
        is_new = "-->" in line and any("-->" in before for _, before in block)
        if (not line.strip() or is_new) and block:
            yield block
            block = []
        if line.strip():
            block.append((number, line))
    if block:
        yield block
