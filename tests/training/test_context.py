"""The user's turn: nothing outside the window, nothing twice, nothing cut, nothing after the pause."""

import itertools
import math
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from store.errors import InputError
from store.frame_plan import evenly
from tests.training.scenes import PROMPT, plans, quarters, scenes, text_of, turn, words, written
from training.context import PRESETS, Block, ContextPlan, Line, Moment, Scene, build_context
from training.context_text import NOTE, line_text, nearest_line

SAID = (Line(1.0, 2.5, "Come in."), Line(2.5, 4.0, "I did not\nexpect you."), Line(9.5, 11.0, "Where is the key?"), Line(12.0, 13.5, "On the table."))
FILM = Scene(24.0, SAID, pause_s=12.5, window_start_s=2.0, window_end_s=20.0)
PICTURES = PRESETS["train-16"]
quick = settings(max_examples=80, deadline=None)


def shown_after(context: Any, pause_s: float) -> bool:
    return any(moment.end_s > pause_s for moment in context.moments) or any(line.end_s > pause_s for line in context.lines)


# What is shown


@quick
@given(scenes(), plans())
def test_no_picture_shows_anything_outside_the_window_or_twice(scene: Scene, plan: ContextPlan) -> None:
    context = turn(scene, plan)
    start_s, end_s = scene.span_s
    assert 0 <= start_s < end_s <= (scene.length_s or math.inf)
    assert all(start_s <= moment.start_s < end_s and moment.end_s <= end_s for moment in context.moments)
    assert len(set(context.moments)) == len(context.moments)
    assert sum(moment.kind != "key" for moment in context.moments) <= plan.frames
    assert sum(moment.kind == "key" for moment in context.moments) == (
        plan.keyframe != "none" and scene.pause_s is not None and start_s <= scene.pause_s <= end_s
    )


@quick
@given(scenes(), plans())
def test_pictures_and_windows_follow_the_order_of_time_and_each_picture_stands_once(scene: Scene, plan: ContextPlan) -> None:
    context = turn(scene, plan)
    times = [moment.time_s for moment in context.moments]
    assert times == sorted(times)
    windows = [moment for moment in context.moments if moment.kind == "window"]
    assert all(earlier.end_s <= later.start_s for earlier, later in itertools.pairwise(windows))
    pictures = [block for block in context.blocks if block.kind != "text"]
    assert pictures == ([Block("video")] if plan.layout == "video" else [Block("image", moment=at) for at in range(len(times))])
    assert context.blocks[-1] == Block("text", PROMPT)


@quick
@given(scenes(), plans(max_lines=100))
def test_every_line_of_the_window_is_printed_once_and_whole_and_no_other(scene: Scene, plan: ContextPlan) -> None:
    context = turn(scene, plan)
    inside = {line for line in scene.lines if line.overlaps(*scene.span_s)}
    assert set(context.lines) == inside and len(context.lines) == len(inside)
    printed = [text for text in text_of(context).split("\n") if ' s: "' in text]
    assert sorted(printed) == sorted(map(line_text, inside))


@quick
@given(scenes(), plans(), st.integers(0, 9))
def test_the_order_in_which_lines_are_given_changes_nothing_and_a_line_given_twice_is_one(scene: Scene, plan: ContextPlan, seed: int) -> None:
    assume(len({(line.start_s, line.end_s) for line in scene.lines}) == len(scene.lines))
    shuffled = list(scene.lines * 2)
    random.Random(seed).shuffle(shuffled)
    assert turn(replace(scene, lines=tuple(shuffled)), plan) == turn(scene, plan)


@quick
@given(scenes(), plans(layout="interleaved", line_radius_s=2.0))
def test_a_note_that_nothing_is_said_is_true_and_no_line_is_out_of_its_place(scene: Scene, plan: ContextPlan) -> None:
    context = turn(scene, plan)
    cards = [later.text.split("\n")[1:-1] for block, later in itertools.pairwise(context.blocks) if block.kind == "image"]
    for moment, under in zip(context.moments, cards, strict=True):
        assert (NOTE in under) <= (nearest_line(scene.lines, moment.time_s, 2.0) is None and bool(scene.lines) and plan.max_lines > 0)
    for line in context.lines:
        [at] = [at for at, under in enumerate(cards) if line_text(line) in under] if context.moments else [0]
        said = [line.start_s <= moment.time_s <= line.end_s for moment in context.moments]
        apart = [abs(moment.time_s - line.centre_s) for moment in context.moments]
        assert not context.moments or at == (said.index(True) if any(said) else apart.index(min(apart)))


@pytest.mark.parametrize(
    ("start_s", "end_s", "frame"),
    [
        (3.9, 5.3, 2),  # said at 5 s, though 3 s is near too
        (2.9, 5.5, 1),  # said at 3 s and at 5 s: the first one
        (3.1, 4.5, 1),  # said at no frame: its middle is nearest to 3 s
        (7.5, 7.9, 3),
    ],
)
def test_a_line_stands_with_the_first_frame_at_which_it_is_said_else_with_the_nearest(start_s: float, end_s: float, frame: int) -> None:
    context = turn(Scene(8.0, (Line(start_s, end_s, "I lent him the knife."),)), ContextPlan("interleaved", frames=4, max_lines=9))
    assert [moment.time_s for moment in context.moments] == [1, 3, 5, 7]
    [at] = [at for at, block in enumerate(context.blocks) if "knife" in block.text]
    assert context.blocks[at - 1] == Block("image", moment=frame)


def test_a_line_is_printed_with_the_first_frame_that_has_it_and_not_again() -> None:
    scene = Scene(12.0, (Line(0.0, 12.0, "A long speech."),))
    assert text_of(turn(scene, replace(PICTURES, frames=6))).count("A long speech.") == 1
    repeated = turn(scene, replace(PICTURES, frames=6, candidates="povqa"))
    assert text_of(repeated).count("A long speech.") == 6, "the control"


def test_where_no_subtitles_are_known_or_asked_for_no_frame_says_that_nothing_is_said() -> None:
    assert NOTE in text_of(turn(FILM, PICTURES)), "the control"
    assert NOTE not in text_of(turn(replace(FILM, lines=()), PICTURES))
    unasked = turn(FILM, replace(PICTURES, max_lines=0))
    assert NOTE not in text_of(unasked)
    assert not unasked.lines and not unasked.dropped


def test_a_frame_beside_a_line_that_max_lines_left_out_does_not_say_that_nothing_is_said() -> None:
    scene = Scene(10.0, (Line(1.0, 2.0, "first"), Line(7.0, 8.0, "second")), pause_s=7.5)
    context = turn(scene, ContextPlan("interleaved", frames=10, max_lines=1))
    near = [at for at, moment in enumerate(context.moments) if abs(moment.time_s - 1.5) <= 2]
    cards = [context.blocks[2 + 2 * at].text for at in near]
    assert cards and not any(NOTE in card for card in cards)


def test_beyond_max_lines_the_nearest_to_the_pause_stay_and_not_the_first_ones() -> None:
    lines = tuple(Line(second, second + 0.5, f"line {second}") for second in range(0, 60, 2))
    context = turn(Scene(60.0, lines, pause_s=40.2), replace(PICTURES, max_lines=4))
    assert [line.start_s for line in context.lines] == [36, 38, 40, 42]
    assert context.dropped_counts[("line", "max_lines is 4")] == 26
    middle = turn(Scene(60.0, lines), replace(PICTURES, max_lines=2))
    assert [line.start_s for line in middle.lines] == [28, 30]


def test_a_silence_takes_no_place_among_the_lines() -> None:
    lines = (Line(1.0, 2.0, " \n"), *(Line(5.0 * n, 5.0 * n + 1, f"line {n}") for n in range(1, 5)))
    context = turn(Scene(40.0, lines), replace(PICTURES, max_lines=4))
    assert len(context.lines) == 4 and not context.dropped
    theirs = turn(Scene(40.0, lines), replace(PRESETS["povqa"], max_lines=4, layout="block"))
    assert len([line for line in theirs.lines if line.text]) < 3, "the control: gaps are counted"


# Selections


@given(st.floats(0, 50), st.integers(1, 40), st.integers(1, 60), st.sampled_from((3.0, 12.5, 24000 / 1001, 30.0)))
def test_no_frame_of_the_film_is_shown_twice_though_more_are_asked_for(start_s: float, frames_there: int, asked: int, fps: float) -> None:
    scene = Scene(start_s + frames_there / fps, window_start_s=start_s, fps=fps)
    plan = replace(PRESETS["video"], frames=asked)
    on_display = [math.floor((moment.time_s - start_s) * fps) for moment in turn(scene, plan).moments]
    assert len(set(on_display)) == len(on_display) == min(asked, frames_there)
    unaware = turn(replace(scene, fps=None), plan).moments
    assert len(unaware) == asked, "the control: repeats, where the rate is not known"


@quick
@given(st.floats(0, 500), st.floats(0.1, 500), st.integers(1, 60))
def test_uniform_frames_are_the_middles_of_equal_parts(start_s: float, length_s: float, count: int) -> None:
    scene = Scene(None, window_start_s=start_s, window_end_s=start_s + length_s)
    context = turn(scene, ContextPlan(frames=count))
    assert [moment.time_s for moment in context.moments] == evenly(*scene.span_s, count).tolist()


@quick
@given(scenes(), st.sampled_from(["WA", "BBLF"]), st.integers(2, 20))
def test_pooled_uniform_windows_have_both_ends_and_cover_whole_windows(scene: Scene, pooling: str, count: int) -> None:
    moments = turn(scene, ContextPlan(frames=count, pooling=pooling)).moments
    start_s, end_s = scene.span_s
    assert (moments[0].start_s, moments[-1].end_s) == (start_s, end_s)
    assert len(moments) == min(count, max(1, math.ceil(round(end_s - start_s, 6) - 0.05)))
    assert all(moment.kind == "window" for moment in moments)


@quick
@given(scenes(), plans(selection="near_ts", keyframe="none"))
def test_near_ts_shows_the_windows_nearest_to_the_pause_or_to_the_middle_where_nobody_paused(scene: Scene, plan: ContextPlan) -> None:
    focus_s = sum(scene.span_s) / 2 if scene.pause_s is None else scene.pause_s
    every = turn(scene, replace(plan, selection="all", frames=768)).moments
    shown = turn(scene, plan).moments
    assert len(shown) == min(len(every), plan.frames)
    assert max(abs(one.time_s - focus_s) for one in shown) <= min((abs(one.time_s - focus_s) for one in every if one not in shown), default=math.inf)


def test_all_shows_every_window_and_reports_those_beyond_the_number_of_frames() -> None:
    plan = ContextPlan("block", "all", frames=18)
    whole, thinned = turn(FILM, plan), turn(FILM, replace(plan, frames=6))
    assert [moment.time_s for moment in whole.moments] == [2.5 + second for second in range(18)]
    assert not whole.dropped
    assert len(thinned.moments) == 6 and thinned.moments[0].time_s == 2.5 and thinned.moments[-1].time_s == 19.5
    assert thinned.dropped_counts == {("frame", "frames is 6"): 12}


# The pause


@quick
@given(scenes(), plans(pause_causal=True))
def test_nothing_after_the_pause_is_shown_when_the_plan_says_so(scene: Scene, plan: ContextPlan) -> None:
    assume(scene.pause_s is None or scene.pause_s > scene.span_s[0])
    context = turn(scene, plan)
    if scene.pause_s is None:
        assert context == turn(scene, replace(plan, pause_causal=False))
        return
    assert not shown_after(context, scene.pause_s)
    later = [line for line in scene.lines if line.end_s > scene.pause_s]
    assert not [line for line in later if line_text(line) in text_of(context)]
    after = replace(scene, lines=tuple(line for line in scene.lines if line.start_s < scene.pause_s))
    assert turn(after, plan).blocks == context.blocks, "whatever begins after the pause changes nothing"


def test_without_pause_causal_the_same_scene_tells_what_comes_after() -> None:
    plan = replace(PICTURES, frames=6)
    assert shown_after(turn(FILM, plan), 12.5), "the control"
    context = turn(FILM, replace(plan, pause_causal=True))
    assert not shown_after(context, 12.5)
    assert [(one.what, one.reason) for one in context.dropped] == [('12.0-13.5 s: "On the table."', "it ends after the pause")]
    assert context.moments[-1] == Moment(12.5, 12.5, "key"), "the paused moment itself"


def test_not_even_a_note_that_is_missing_tells_that_somebody_speaks_after_the_pause() -> None:
    plan = ContextPlan("interleaved", frames=10, max_lines=9, pause_causal=True)

    def notes(*lines: Line) -> int:
        return text_of(turn(Scene(20.0, (Line(1.0, 2.0, "Hello."), *lines), pause_s=10.0), plan)).count(NOTE)

    assert notes(Line(10.1, 11.9, "Now.")) == notes() == 6
    assert notes(Line(9.9, 12.1, "Now.")) == 5, "the control: somebody speaks already, though not to the end"


def test_a_pause_before_the_window_leaves_nothing_to_show() -> None:
    for pause_s in (-3.0, 1.0, 2.0):
        with pytest.raises(InputError, match="nothing may be shown"):
            turn(replace(FILM, pause_s=pause_s), replace(PICTURES, pause_causal=True))
        assert turn(replace(FILM, pause_s=pause_s), PICTURES).moments


def test_the_key_frame_stands_in_order_of_time_and_a_frame_that_equals_it_is_not_shown_besides() -> None:
    scene = Scene(10.0, pause_s=4.51)
    context = turn(scene, ContextPlan("interleaved", frames=10, keyframe="in_order", hint=True))
    assert [moment.kind for moment in context.moments] == ["frame"] * 4 + ["key"] + ["frame"] * 5
    assert context.dropped_counts == {("frame", "the key frame shows it"): 1}
    assert context.blocks[-2].text == "The question is asked while the clip is paused at 4.5 s, at frame 5.\n"
    apart = turn(replace(scene, pause_s=4.6), ContextPlan("interleaved", frames=10, keyframe="in_order"))
    assert len(apart.moments) == 11, "the control"


def test_the_key_frame_comes_last_where_the_plan_says_so() -> None:
    context = turn(FILM, replace(PICTURES, frames=4, keyframe="last"))
    assert [moment.kind for moment in context.moments] == ["frame"] * 4 + ["key"]
    assert context.moments[-1].time_s < context.moments[-2].time_s
    assert "frame 5, 12.5 s, where the clip is paused" in text_of(context)


@pytest.mark.parametrize(("pause_s", "key_s"), [(2.0, 2.0), (19.9995, 19.999), (20.0, 19.999)])
def test_a_pause_at_either_end_of_the_window_has_a_key_frame_inside_it(pause_s: float, key_s: float) -> None:
    context = turn(replace(FILM, pause_s=pause_s), PICTURES)
    [key] = [moment for moment in context.moments if moment.kind == "key"]
    assert key.time_s == pytest.approx(key_s) and 2.0 <= key.time_s < 20.0


@pytest.mark.parametrize("pause_s", [-1.0, 1.9, 20.1, 400.0])
def test_a_pause_outside_the_window_has_no_key_frame_and_no_hint_and_is_reported(pause_s: float) -> None:
    context = turn(replace(FILM, pause_s=pause_s), PICTURES)
    assert all(moment.kind == "frame" for moment in context.moments)
    assert "paused" not in text_of(context)
    assert context.dropped_counts == {(kind, "the pause lies outside 2.0-20.0 s"): 1 for kind in ("key", "hint")}


def test_a_scene_without_a_pause_has_neither_key_frame_nor_hint_and_that_is_no_loss() -> None:
    context = turn(replace(FILM, pause_s=None), PICTURES)
    assert len(context.moments) == 16 and not context.dropped
    assert "paused" not in text_of(context)


# Layouts and presets


def test_the_preset_video_is_what_training_has_shown_so_far() -> None:
    assert PRESETS["video"] == ContextPlan()
    context = turn(replace(FILM, window_start_s=None, window_end_s=None), PRESETS["video"])
    assert context.blocks == (Block("video"), Block("text", PROMPT))
    assert [moment.start_s for moment in context.moments] == evenly(0.0, 24.0, 16).tolist()
    assert context.tokens == 8 * 64 + 2 + words(PROMPT), "the frames of a video are read in twos"


def test_a_video_tells_its_times_where_the_processor_does_not_tell_them_all() -> None:
    times = "at these times from the start of the clip"
    for plan in (ContextPlan(frames=4, max_lines=9), ContextPlan(frames=4, hint=True), ContextPlan(frames=4, keyframe="in_order")):
        assert times in text_of(turn(FILM, plan))
    assert times not in text_of(turn(FILM, ContextPlan(frames=4))), "equal steps and nothing else to place in time"
    assert "blends what was seen" in text_of(turn(FILM, ContextPlan(frames=4, pooling="WA", max_lines=9)))
    assert "blends what was seen" not in text_of(turn(FILM, ContextPlan(frames=4, max_lines=9))), "the control"


def test_a_block_has_all_pictures_first_and_then_frames_and_lines_as_lists() -> None:
    context = turn(FILM, replace(PICTURES, layout="block", frames=2))
    assert [block.kind for block in context.blocks] == ["image"] * 3 + ["text"] * 3
    assert context.blocks[3].text.split("\n")[1:4] == ["frame 1, 6.5 s", "frame 2, 12.5 s, where the clip is paused", "frame 3, 15.5 s"]
    assert context.blocks[3].text.index("What is said:") < context.blocks[3].text.index("Come in.") < context.blocks[3].text.index("On the table.")


def test_blind_baselines_are_plans_too() -> None:
    only_lines = turn(FILM, ContextPlan("interleaved", frames=0, max_lines=99))
    assert not only_lines.moments and len(only_lines.lines) == 4
    assert "Frames" not in text_of(only_lines)
    nothing = turn(FILM, ContextPlan("block", frames=0))
    assert nothing.blocks == (Block("text", PROMPT),)
    only_key = turn(FILM, ContextPlan("block", frames=0, keyframe="in_order"))
    assert [moment.kind for moment in only_key.moments] == ["key"]


def test_training_and_evaluation_differ_in_the_number_of_frames_alone() -> None:
    assert replace(PRESETS["train-16"], frames=59) == PRESETS["evaluate-59-key"]
    scene = Scene(120.0, pause_s=60.3)
    assert [len(turn(scene, PRESETS[name]).moments) for name in ("train-16", "evaluate-59-key")] == [17, 60]


def test_no_file_name_stands_in_a_turn_and_a_line_from_before_the_clip_is_printed_from_its_start() -> None:
    context = turn(Scene(4.0, (Line(-3.0, 0.5, "before"),)), ContextPlan("interleaved", frames=1, max_lines=1))
    assert '0.0-0.5 s: "before"' in written(context)
    assert not any(ending in written(context) for ending in (".jpg", ".png", ".mp4"))


# Bad input


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"window_start_s": 5.0, "window_end_s": 5.0}, "at or before its start"),
        ({"window_start_s": 6.0, "window_end_s": 5.0}, "at or before its start"),
        ({"window_end_s": -5.0}, "at or before its start"),
        ({"window_start_s": 10.0}, "outside the clip"),
        ({"window_start_s": 30.0, "window_end_s": 40.0}, "outside the clip"),
        ({"window_start_s": -9.0, "window_end_s": -5.0}, "outside the clip"),
        ({"window_start_s": math.nan}, "no moment"),
        ({"window_end_s": math.inf}, "no moment"),
        ({"pause_s": math.nan}, "no moment"),
        ({"length_s": math.nan}, "no moment"),
        ({"length_s": math.inf}, "no moment"),
        ({"fps": math.nan}, "must be above 0"),
        ({"fps": 0.0}, "must be above 0"),
        ({"length_s": 0.0}, "longer than 0"),
        ({"length_s": -1.0}, "longer than 0"),
        ({"length_s": None}, "not known"),
        ({"length_s": None, "window_start_s": 1.0}, "not known"),
    ],
)
def test_a_scene_that_cannot_be_is_refused_in_a_sentence(values: dict[str, Any], word: str) -> None:
    with pytest.raises(InputError, match=word) as caught:
        Scene(**{"length_s": 10.0, **values})
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize(("start_s", "end_s"), [(3.0, 2.0), (math.nan, 1.0), (0.0, math.nan), (0.0, math.inf)])
def test_a_line_that_cannot_be_is_refused(start_s: float, end_s: float) -> None:
    with pytest.raises(InputError, match="leave it out"):
        Line(start_s, end_s, "hello")


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"frames": -1}, "frames is -1"),
        ({"frames": 0}, "at least one frame"),
        ({"window_s": 0.0}, "window_s"),
        ({"window_s": math.nan}, "window_s"),
        ({"line_radius_s": -1.0}, "line_radius_s"),
        ({"line_radius_s": math.nan}, "line_radius_s"),
        ({"max_lines": -1}, "max_lines"),
        ({"budget_tokens": 0}, "budget_tokens"),
        ({"layout": "grid"}, "layout is 'grid'"),
        ({"selection": "random"}, "selection"),
        ({"pooling": "MEAN"}, "pooling"),
        ({"keyframe": "first"}, "keyframe"),
        ({"keyframe": "last"}, "cannot come last"),
        ({"candidates": "all"}, "candidates"),
        ({"candidates": "povqa", "pause_causal": True}, "after the pause"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(values: dict[str, Any], word: str) -> None:
    with pytest.raises(InputError, match=word):
        ContextPlan(**values)


def test_an_empty_question_and_pictures_for_nothing_are_refused() -> None:
    with pytest.raises(InputError, match="prompt is empty"):
        build_context(FILM, " \n", PICTURES, words, 64)
    with pytest.raises(InputError, match="tokens_per_picture is 0"):
        build_context(FILM, PROMPT, PICTURES, words, 0)


def test_a_window_that_reaches_past_the_clip_is_cut_there_and_an_unknown_length_ends_with_the_window() -> None:
    assert Scene(10.0, window_start_s=-5.0, window_end_s=99.0).span_s == (0.0, 10.0)
    assert Scene(None, window_end_s=7.0).span_s == (0.0, 7.0)
    assert Scene(10.0, window_start_s=9.0).span_s == (9.0, 10.0)


@given(quarters, quarters)
def test_a_line_of_no_length_is_said_where_it_stands(at: float, start: float) -> None:
    assert Line(at, at, "!").overlaps(start, start + 5) == (start <= at < start + 5)
