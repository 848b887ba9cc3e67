"""The nouns of the context builder: a scene, a plan for showing it, and what comes out. No picture, no tokenizer.

All times are seconds on the clip's own clock: 0 is where the clip starts.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from store.errors import InputError
from training.windows import METHODS

LAYOUTS = ("video", "interleaved", "block")
SELECTIONS = ("uniform", "near_ts", "all")
POOLINGS = ("none", *METHODS)
KEYFRAMES = ("none", "in_order", "last")
CANDIDATES = ("time", "povqa")


@dataclass(frozen=True)
class Line:
    """What is said from `start_s` to `end_s`; one that began before the clip starts below 0, one of no length is an instant."""

    start_s: float
    end_s: float
    text: str

    def __post_init__(self) -> None:
        """Raise InputError when a time is no number or the end lies before the start."""
        if not (math.isfinite(self.start_s) and math.isfinite(self.end_s)):
            raise InputError(f"The line {self.text[:40]!r} lasts from {self.start_s} s to {self.end_s} s. Give two numbers, or leave it out.")
        if self.end_s < self.start_s:
            raise InputError(
                f"The line {self.text[:40]!r} ends at {self.end_s:g} s, before its start at {self.start_s:g} s. Correct its times, or leave it out."
            )

    @property
    def centre_s(self) -> float:
        """The middle of the line."""
        return (self.start_s + self.end_s) / 2

    def overlaps(self, start_s: float, end_s: float) -> bool:
        """Whether some of the line is said within [start_s, end_s); an instant counts at its start."""
        return self.start_s < end_s and (self.end_s > start_s or self.start_s >= start_s)


@dataclass(frozen=True)
class Scene:
    """A clip as a question about it finds it. Lines may stand in any order and may overlap."""

    length_s: float | None  # None: not known; then the window's end must be given and stands for it
    lines: tuple[Line, ...] = ()
    pause_s: float | None = None  # where the viewer paused to ask; it may lie outside the window, and then no picture shows it
    window_start_s: float | None = None  # None: the clip's start
    window_end_s: float | None = None  # None: the clip's end
    fps: float | None = None  # frames a second that the file has on average; None: not known

    def __post_init__(self) -> None:
        """Raise InputError when a time is no number, or no stretch of the clip is left in the window."""
        named = {"length": self.length_s, "pause": self.pause_s, "window's start": self.window_start_s, "window's end": self.window_end_s}
        for name, value in named.items():
            if value is not None and not math.isfinite(value):
                raise InputError(f"The {name} is {value} s, which is no moment. Give seconds of the clip, or leave it out.")
        if self.fps is not None and not 0 < self.fps < math.inf:
            raise InputError(f"The frame rate is {self.fps} frames a second, and must be above 0. Correct it, or leave it out.")
        problem = self._span_problem()
        if problem:
            raise InputError(problem)

    @property
    def span_s(self) -> tuple[float, float]:
        """The window [start, end), cut to the clip."""
        end_s = min(end for end in (self.length_s, self.window_end_s) if end is not None)
        return max(0.0, self.window_start_s or 0.0), end_s

    def _span_problem(self) -> str | None:
        if self.length_s is None and self.window_end_s is None:
            return "How long the clip lasts is not known, and no window ends. Give one of the two."
        if self.length_s is not None and self.length_s <= 0:
            return f"The clip lasts {self.length_s:g} s, and must last longer than 0 s."
        asked = 0.0 if self.window_start_s is None else self.window_start_s
        if self.window_end_s is not None and self.window_end_s <= asked:
            return f"The window ends at {self.window_end_s:g} s, at or before its start at {asked:g} s. Correct the window, or leave it out."
        start_s, end_s = self.span_s
        if end_s <= start_s:
            return f"The window from {asked:g} s lies outside the clip, which lasts from 0 s to {end_s:g} s. Correct the window, or leave it out."
        return None


@dataclass(frozen=True)
class ContextPlan:
    """How a scene is shown; the defaults show 16 frames as one video and no lines. docs/context.md tells the rules."""

    layout: str = "video"  # "video" (one video), "interleaved" (pictures, each with what is said then), "block" (pictures, then all text)
    selection: str = "uniform"  # "uniform" over the window, "near_ts" (nearest to the pause) or "all" (every window of window_s)
    frames: int = 16  # pictures, at most; the key frame comes on top
    pooling: str = "none"  # "none" (a picture is one frame) or "WA", "WAE", "WAR", "BBLF" (a picture blends a window)
    window_s: float = 1.0  # seconds that a pooled picture covers, the last one up to a twentieth more; and the grid of near_ts and all
    keyframe: str = "none"  # the paused moment: "none", "in_order" of time, or "last"
    hint: bool = False  # whether a line before the question tells where the clip is paused
    pause_causal: bool = False  # whether nothing after the pause is shown; without a pause it changes nothing
    max_lines: int = 0  # lines, at most; beyond it the nearest to the pause (else to the window's middle) stay
    line_radius_s: float = 2.0  # seconds between a frame and the middle of a line within which the frame does not say that nothing is said
    budget_tokens: int | None = None  # of the user's turn, pictures included; None: no limit
    candidates: str = "time"  # "time", or "povqa" to choose pictures and lines as that code does, leaks and repeats included

    def __post_init__(self) -> None:
        """Raise InputError when a value is outside its range or two values contradict each other."""
        problem = next((one for one in (*_ranges(self), _contradiction(self)) if one), None)
        if problem:
            raise InputError(problem)


@dataclass(frozen=True)
class Moment:
    """What one picture shows: an instant ("frame", "key": start_s == end_s) or a blend of [start_s, end_s) ("window")."""

    start_s: float
    end_s: float
    kind: str

    @property
    def time_s(self) -> float:
        """The middle: what a frame or key frame shows, exactly."""
        return (self.start_s + self.end_s) / 2


@dataclass(frozen=True)
class Block:
    """One piece of the user's turn."""

    kind: str  # "text", "image" or "video"
    text: str = ""  # of a text
    moment: int | None = None  # of an image: which of the context's moments; a video shows all of them


@dataclass(frozen=True)
class Dropped:
    """Something that was wanted and is not shown."""

    kind: str  # "frame", "key", "hint", "line" or "note"
    what: str  # which one, with its time
    reason: str


@dataclass(frozen=True)
class Context:
    """The user's turn, whole, and what is not in it."""

    blocks: tuple[Block, ...]  # in the order of the turn; texts that stand side by side are joined as they are
    moments: tuple[Moment, ...]  # in the order in which the model sees them
    lines: tuple[Line, ...]  # those that are printed, in order of time
    dropped: tuple[Dropped, ...]
    tokens: int  # of the blocks, by the counts that were given

    @property
    def dropped_counts(self) -> Mapping[tuple[str, str], int]:
        """How much was dropped by (kind, reason)."""
        return Counter((one.kind, one.reason) for one in self.dropped)


def _ranges(plan: ContextPlan) -> list[str | None]:
    return [
        _one_of("layout", plan.layout, LAYOUTS),
        _one_of("selection", plan.selection, SELECTIONS),
        _one_of("pooling", plan.pooling, POOLINGS),
        _one_of("keyframe", plan.keyframe, KEYFRAMES),
        _one_of("candidates", plan.candidates, CANDIDATES),
        _between("frames", plan.frames, 0, 768),
        _between("window_s", plan.window_s, 0.01, 3600),
        _between("max_lines", plan.max_lines, 0, 10_000),
        _between("line_radius_s", plan.line_radius_s, 0, 3600),
        None if plan.budget_tokens is None else _between("budget_tokens", plan.budget_tokens, 1, 10_000_000),
    ]


def _contradiction(plan: ContextPlan) -> str | None:
    if plan.layout == "video" and plan.frames == 0:
        return "A video has at least one frame, and frames is 0. Raise it, or choose the layout interleaved or block."
    if plan.layout == "video" and plan.keyframe == "last":
        return "A video runs in the order of time, so its key frame cannot come last. Choose in_order, or the layout interleaved or block."
    if plan.candidates == "povqa" and plan.pause_causal:
        return "The candidates povqa take whole stretches around the window, after the pause too. Choose the candidates time to show nothing after it."
    return None


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> str | None:
    return None if value in choices else f"{name} is {value!r}, and must be one of {', '.join(choices)}."


def _between(name: str, value: float, low: float, high: float) -> str | None:
    # Written so that NaN, which compares false with everything, is out of range.
    return None if low <= value <= high else f"{name} is {value:g}, and must lie between {low:g} and {high:g}."


_TRAIN = ContextPlan(layout="interleaved", frames=16, keyframe="in_order", hint=True, max_lines=256)

PRESETS: Mapping[str, ContextPlan] = MappingProxyType(
    {
        "video": ContextPlan(),
        "train-16": _TRAIN,
        "evaluate-59-key": ContextPlan(layout="interleaved", frames=59, keyframe="in_order", hint=True, max_lines=256),
        "povqa": ContextPlan(layout="interleaved", frames=59, pooling="BBLF", keyframe="last", hint=True, max_lines=8, candidates="povqa"),
    }
)
