"""What POVQA's public code (arXiv 2510.01009) takes as candidates, leaks and repeats included, to compare with it.

Written from the description of its behaviour: metadata_text_centric_*.json hangs every chunk of the film on every subtitle or gap
that it overlaps, and a question takes all chunks of all segments that overlap its window.
"""

from collections.abc import Sequence

from training.context_plan import Line
from training.selection import nearest, uniform

ROUNDING = 1e-6  # of a chunk: that code keeps every longer rest as a chunk
_GAP_S = 1e-3
Span = tuple[float, float]


def segments_of(lines: Sequence[Line], end_s: float) -> list[Line]:
    """Return the lines in order of time with the gaps between them, and up to `end_s`, as lines without text; lines of no length fall out."""
    segments: list[Line] = []
    last_s = 0.0
    for line in sorted((line for line in lines if line.start_s < line.end_s), key=lambda line: line.start_s):
        if line.start_s > last_s + _GAP_S:
            segments.append(Line(last_s, line.start_s, ""))
        segments.append(line)
        last_s = max(last_s, line.end_s)
    return [*segments, Line(last_s, end_s, "")] if end_s > last_s + _GAP_S else segments


def overlapping(segments: Sequence[Line], window: Span) -> list[Line]:
    """Return the segments of which some lies in the window, whole."""
    return [segment for segment in segments if max(segment.start_s, window[0]) < min(segment.end_s, window[1])]


def chunks_on(segments: Sequence[Line], chunks: Sequence[Span]) -> list[Span]:
    """Return every chunk that hangs on a segment, by its start: one that hangs on two stands twice, and none is cut to a window.

    Cost: segments x chunks.
    """
    hanging = [chunk for segment in segments for chunk in chunks if max(segment.start_s, chunk[0]) < min(segment.end_s, chunk[1])]
    return sorted(hanging, key=lambda chunk: chunk[0])


def pick_chunks(selection: str, chunks: Sequence[Span], pause_s: float, count: int) -> list[Span]:
    """Return at most `count` of the chunks: "uniform" and "near_ts" (by the chunk's start) as ours, "all" the first ones."""
    if selection == "all":
        return list(chunks[:count])
    picked = nearest([start_s for start_s, _ in chunks], pause_s, count) if selection == "near_ts" else uniform(len(chunks), count)
    return [chunks[at] for at in picked]


def head_and_last(segments: Sequence[Line], count: int) -> tuple[list[Line], list[Line]]:
    """Return the segments that are kept and those that are not: when there are more than `count`, gaps counted, the first `count` - 1 and the last stay."""
    if len(segments) <= count or count == 0:
        return list(segments[:count]), []
    return [*segments[: count - 1], segments[-1]], list(segments[count - 1 : -1])
