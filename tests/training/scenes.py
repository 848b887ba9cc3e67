"""Scenes and plans for the tests of the context builder, and a turn written out so that a person can read it."""

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from training.context import Context, ContextPlan, Line, Moment, Scene, build_context

PROMPT = "Watch the clip, then answer.\n\nQuestion: Where is the key?"
PICTURE = 64  # tokens
WORDS = ("key", "door", "no", "yes\nsir", "wait  here", "über", "我们走", '"quoted"')

# Quarters of a second: exact as binary numbers, so that edges meet.
quarters = st.integers(0, 480).map(lambda quarter: quarter / 4)


def words(text: str) -> int:
    return len(text.split())


def turn(scene: Scene, plan: ContextPlan, prompt: str = PROMPT, count: Callable[[str], int] = words) -> Context:
    return build_context(scene, prompt, plan, count, PICTURE)


def text_of(context: Context) -> str:
    return "".join(block.text for block in context.blocks)


def written(context: Context) -> str:
    """Return the turn as text, with a mark for each picture."""
    parts = [block.text if block.kind == "text" else _mark(context, block.moment) for block in context.blocks]
    return "".join(parts)


def _mark(context: Context, at: int | None) -> str:
    if at is None:
        return f"[video of {len(context.moments)} frames]\n"
    moment = context.moments[at]
    return f"[picture: {shows(moment)}]\n"


def shows(moment: Moment) -> str:
    return f"{moment.start_s:g}-{moment.end_s:g} s blended" if moment.kind == "window" else f"{moment.start_s:g} s"


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    """Draw a clip of up to 60 s with up to 12 lines, a window that reaches into it and a pause anywhere, near or in it."""
    length = draw(st.integers(1, 240)) / 4
    lines = [
        Line(start - 2, start - 2 + draw(st.integers(0, 60)) / 4, f"{number} {draw(st.sampled_from(WORDS))}")
        for number, start in enumerate(draw(st.lists(quarters, max_size=12)))
    ]
    start = draw(st.none() | st.floats(-5, length - 0.2))
    end = draw(st.none() | st.floats(max(start or 0.0, 0.0) + 0.1, length + 20))
    pause = draw(st.none() | st.floats(-2, length + 2) | st.sampled_from([0.0, length, length / 2]))
    return Scene(length, tuple(lines), pause, start, end)


def plans(**fixed: Any) -> st.SearchStrategy[ContextPlan]:
    """Return plans of every kind; those that contradict themselves are not drawn."""
    fields: dict[str, st.SearchStrategy[Any]] = {
        "layout": st.sampled_from(["video", "interleaved", "block"]),
        "selection": st.sampled_from(["uniform", "near_ts", "all"]),
        "frames": st.integers(1, 20),
        "pooling": st.sampled_from(["none", "WA", "BBLF"]),
        "window_s": st.sampled_from([0.5, 1.0, 3.0, 100.0]),
        "keyframe": st.sampled_from(["none", "in_order"]),
        "hint": st.booleans(),
        "max_lines": st.sampled_from([0, 3, 100]),
        "line_radius_s": st.sampled_from([0.0, 2.0]),
    }
    return st.builds(ContextPlan, **{**fields, **{name: st.just(value) for name, value in fixed.items()}})
