"""From a scene, a plan and a budget to the user's turn: which pictures, which lines, in which order, and what was left out.

Pure: no picture is read and no tokenizer loaded. docs/context.md shows what comes out. The rules, in the order in which they act:

- Window: [window_start_s, window_end_s) cut to the clip; without one the whole clip. No picture shows anything outside it, and a
  line is taken when some of it is said within it. With `pause_causal` it ends at the pause: only the key frame shows the pause
  itself, and a line that is not over by then is left out whole, since nobody can tell which of its words came before.
- Pictures: `frames` at most. "uniform" without pooling shows the middles of equal parts. Otherwise the window is cut into windows of
  `window_s` as `pool` cuts a film, and all ("all"), evenly spread ones, first and last among them ("uniform"), or those whose middles are nearest to the
  pause ("near_ts"; without a pause to the window's middle) are shown: pooled, whole; without pooling, by their middle.
- Key frame: the paused moment, on top of `frames`. A frame within 20 ms of it is not shown besides. A pause at the very end of the
  window is shown by the picture 1 ms before it; a pause outside the window has no key frame and no hint.
- Lines: at most `max_lines`, each whole and once; beyond it those nearest to the pause (else to the window's middle) stay.
- Budget: hint, key frame, then frames and lines by relevance, then notes; see training.context_budget.

`povqa` takes candidates and lines as that code does (training.povqa_context) and prints each frame's line with each frame.
"""

import math
from collections.abc import Callable, Sequence
from functools import cache

from store.errors import InputError
from store.frame_plan import evenly
from training.context_budget import line_order, missing, tokens_of, within_budget
from training.context_plan import PRESETS, Block, Context, ContextPlan, Dropped, Line, Moment, Scene
from training.context_text import Shown, compose, line_text, lines_at, moment_text
from training.povqa_context import ROUNDING, chunks_on, head_and_last, overlapping, pick_chunks, segments_of
from training.selection import choose, windows_in

__all__ = ["PRESETS", "Block", "Context", "ContextPlan", "Dropped", "Line", "Moment", "Scene", "build_context"]

# Two moments closer than this are one frame at up to 50 frames a second.
_SAME_S = 0.02
# Past the last frame nothing is on display; so far before the end a frame is.
_BEFORE_END_S = 0.001


def build_context(
    scene: Scene,
    prompt: str,
    plan: ContextPlan,
    count_text: Callable[[str], int],
    tokens_per_picture: int,
    of_video: Callable[[Sequence[Moment]], int] | None = None,
) -> Context:
    """Return the user's turn for a question about a scene; the module's docstring tells the rules. Equal arguments give equal contexts.

    `count_text` returns the tokens of a text, `tokens_per_picture` are those of one picture, and `of_video` returns those of a video that shows
    these moments, both without the two marks around it; by default a video takes its pictures in twos, as Qwen2.5-VL does.
    In the report stands whatever was in the window and asked for and is not shown; what a selection passes over is not.

    Raises InputError when the prompt is empty or alone over the budget, when a picture costs nothing, and when `pause_causal` leaves nothing.
    """
    if not prompt.strip():
        raise InputError("The prompt is empty, so nothing is asked. Give the question.")
    if tokens_per_picture < 1:
        raise InputError(f"tokens_per_picture is {tokens_per_picture}, and must be 1 or more.")
    count = cache(count_text)
    wanted, given_up = _as_povqa(scene, plan) if plan.candidates == "povqa" else _by_time(scene, plan)

    def cost(shown: Shown) -> int:
        def video() -> int:
            return of_video(shown.moments) if of_video else tokens_per_picture * -(-len(shown.moments) // 2)

        return tokens_of(compose(shown, prompt, plan), count, tokens_per_picture, video)

    shown = within_budget(wanted, plan, _focus_s(scene), cost)
    printed, lost = _printed(shown, plan)
    dropped = (*given_up, *missing(wanted, shown, plan), *lost)
    return Context(compose(shown, prompt, plan), shown.moments, printed, dropped, cost(shown))


def _by_time(scene: Scene, plan: ContextPlan) -> tuple[Shown, list[Dropped]]:
    """Return what the plan asks for where there is no budget, and what it gives up by itself."""
    start_s, end_s = scene.span_s
    cut_s = scene.pause_s if plan.pause_causal and scene.pause_s is not None else math.inf
    if cut_s <= start_s:
        raise InputError(
            f"The clip is paused at {scene.pause_s:g} s, at or before the window's start at {start_s:g} s, so that nothing may be shown. "
            "Correct the pause or the window, or do not ask for pause_causal."
        )
    frames, dropped = _frames(start_s, min(end_s, cut_s), scene, plan)
    moments, lost = _with_key(frames, _key(scene, plan, (start_s, end_s)), plan)
    lines, unsaid = _lines(scene, plan, cut_s)
    heard = [line for line in scene.lines if line.text.strip() and line.start_s < cut_s]
    notes = plan.layout == "interleaved" and plan.max_lines > 0 and bool(heard)
    pause_s, untold = _hint(scene, plan)
    return Shown(tuple(moments), tuple(lines), tuple(heard), pause_s, notes), [*dropped, *lost, *untold, *unsaid]


def _as_povqa(scene: Scene, plan: ContextPlan) -> tuple[Shown, list[Dropped]]:
    """Return the same as POVQA's code takes it."""
    length_s = scene.span_s[1] if scene.length_s is None else scene.length_s
    chunks = windows_in(0.0, length_s, plan.window_s, least_rest=ROUNDING)
    segments = overlapping(segments_of(scene.lines, length_s), scene.span_s)
    picked = pick_chunks(plan.selection, chunks_on(segments, chunks), _focus_s(scene), plan.frames)
    moments, lost = _with_key([_picture(chunk, plan) for chunk in picked], _key(scene, plan, (0.0, length_s)), plan)
    lines, capped = head_and_last(segments, plan.max_lines)
    reason = f"povqa keeps the first {plan.max_lines - 1} lines and the last, gaps counted"
    unsaid = [Dropped("line", line_text(line), reason) for line in capped if line.text.strip()]
    notes = plan.layout == "interleaved" and plan.max_lines > 0
    pause_s, untold = _hint(scene, plan)
    return Shown(tuple(moments), tuple(lines), tuple(lines), pause_s, notes), [*lost, *untold, *unsaid]


def _frames(start_s: float, end_s: float, scene: Scene, plan: ContextPlan) -> tuple[list[Moment], list[Dropped]]:
    if plan.frames == 0:
        return [], []
    if plan.selection == "uniform" and plan.pooling == "none":
        return [Moment(time_s, time_s, "frame") for time_s in evenly(start_s, end_s, _count(start_s, end_s, scene, plan)).tolist()], []
    pictures = [_picture(window, plan) for window in windows_in(start_s, end_s, plan.window_s)]
    chosen = set(choose(plan.selection, [picture.time_s for picture in pictures], _focus_s(scene), plan.frames))
    passed_over = [picture for at, picture in enumerate(pictures) if at not in chosen] if plan.selection == "all" else []
    dropped = [Dropped("frame", f"{moment_text(picture)} s", f"frames is {plan.frames}") for picture in passed_over]
    return [picture for at, picture in enumerate(pictures) if at in chosen], dropped


def _count(start_s: float, end_s: float, scene: Scene, plan: ContextPlan) -> int:
    """Return how many frames are asked of a stretch: not more than it has, or one would be shown again."""
    if scene.fps is None:
        return plan.frames
    return min(plan.frames, max(1, math.floor((end_s - start_s) * scene.fps + ROUNDING)))


def _picture(window: tuple[float, float], plan: ContextPlan) -> Moment:
    if plan.pooling != "none":
        return Moment(*window, "window")
    middle_s = (window[0] + window[1]) / 2
    return Moment(middle_s, middle_s, "frame")


def _key(scene: Scene, plan: ContextPlan, span_s: tuple[float, float]) -> Moment | Dropped | None:
    """Return the key frame, or why there is none although the plan asks for one and the viewer paused."""
    if plan.keyframe == "none" or scene.pause_s is None:
        return None
    start_s, end_s = span_s
    if not start_s <= scene.pause_s <= end_s:
        return _outside("key", scene.pause_s, span_s)
    time_s = min(scene.pause_s, max(start_s, end_s - _BEFORE_END_S))
    return Moment(time_s, time_s, "key")


def _with_key(frames: list[Moment], key: Moment | Dropped | None, plan: ContextPlan) -> tuple[list[Moment], list[Dropped]]:
    """Return the pictures in the order in which they are shown, the key frame among them, and what it makes needless."""
    if not isinstance(key, Moment):
        return frames, [key] if key else []
    same = [frame for frame in frames if frame.kind == "frame" and abs(frame.time_s - key.time_s) < _SAME_S and plan.candidates == "time"]
    dropped = [Dropped("frame", f"{moment_text(frame)} s", "the key frame shows it") for frame in same]
    moments = [*(frame for frame in frames if frame not in same), key]
    return moments if plan.keyframe == "last" else sorted(moments, key=lambda moment: moment.time_s), dropped


def _lines(scene: Scene, plan: ContextPlan, cut_s: float) -> tuple[list[Line], list[Dropped]]:
    """Return the lines of the window that the plan shows, in order of time, and those that it does not."""
    if plan.max_lines == 0:
        return [], []
    inside = dict.fromkeys(line for line in scene.lines if line.text.strip() and line.overlaps(*scene.span_s))
    said = sorted(inside, key=lambda line: (line.start_s, line.end_s))
    over = [line for line in said if line.end_s <= cut_s]
    kept = set(line_order(over, _focus_s(scene))[: plan.max_lines])
    dropped = [Dropped("line", line_text(line), "it ends after the pause") for line in said if line.end_s > cut_s]
    dropped += [Dropped("line", line_text(line), f"max_lines is {plan.max_lines}") for at, line in enumerate(over) if at not in kept]
    return [line for at, line in enumerate(over) if at in kept], dropped


def _printed(shown: Shown, plan: ContextPlan) -> tuple[tuple[Line, ...], list[Dropped]]:
    """Return the lines that the blocks print and those that they do not: `povqa` prints only what is near a frame."""
    if plan.candidates == "time" or plan.layout != "interleaved" or not shown.moments:
        return shown.lines, []
    near = {line for lines in lines_at(shown, plan) for line in lines}
    lost = [Dropped("line", line_text(line), "povqa prints one line a frame") for line in shown.lines if line not in near and line.text.strip()]
    return tuple(line for line in shown.lines if line in near), lost


def _focus_s(scene: Scene) -> float:
    """Return what relevance is measured from: the pause, else the middle of the window."""
    return sum(scene.span_s) / 2 if scene.pause_s is None else scene.pause_s


def _hint(scene: Scene, plan: ContextPlan) -> tuple[float | None, list[Dropped]]:
    """Return the pause that the hint tells, if it does, and the hint that it does not."""
    if not plan.hint or scene.pause_s is None:
        return None, []
    start_s, end_s = scene.span_s
    if start_s <= scene.pause_s <= end_s:
        return scene.pause_s, []
    return None, [_outside("hint", scene.pause_s, scene.span_s)]


def _outside(kind: str, pause_s: float, span_s: tuple[float, float]) -> Dropped:
    return Dropped(kind, f"{pause_s:.1f} s", f"the pause lies outside {span_s[0]:.1f}-{span_s[1]:.1f} s")
