"""The preset `povqa` beside a second reading of its rules, and the faults that it has and ours does not."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.scenes import scenes, text_of, turn
from training.context import PRESETS, ContextPlan, Line, Scene
from training.context_text import NOTE

POVQA = PRESETS["povqa"]
OURS = ContextPlan("interleaved", frames=59, pooling="BBLF", keyframe="in_order", hint=True, max_lines=256)
quick = settings(max_examples=80, deadline=None)
Segment = dict[str, object]


# A second reading of the rules, in the form of their files.


def metadata(scene: Scene) -> list[Segment]:
    """Return what their metadata file holds: subtitles and gaps in order, each with the numbers of the chunks of 1 s that it overlaps."""
    chunks = [(float(second), second + 1.0) for second in range(max(1, int(-(-(scene.length_s or 0) // 1))))]
    last_end, segments = 0.0, []

    def add(start: float, end: float, text: str) -> None:
        hanging = [number for number, (begin, finish) in enumerate(chunks) if max(start, begin) < min(end, finish)]
        segments.append({"text": text, "start": start, "end": end, "chunks": hanging})

    for line in sorted(scene.lines, key=lambda line: line.start_s):
        if line.start_s >= line.end_s:
            continue
        if line.start_s > last_end + 1e-3:
            add(last_end, line.start_s, "")
        add(line.start_s, line.end_s, line.text)
        last_end = max(last_end, line.end_s)
    if (scene.length_s or 0) > last_end + 1e-3:
        add(last_end, scene.length_s or 0, "")
    return segments


def overlapping(scene: Scene) -> list[Segment]:
    start, end = scene.span_s
    return [one for one in metadata(scene) if max(start, one["start"]) < min(end, one["end"])]  # type: ignore[type-var,call-overload]


def candidates(scene: Scene) -> list[int]:
    return sorted(number for one in overlapping(scene) for number in one["chunks"])  # type: ignore[attr-defined]


def picked(numbers: list[int], selection: str, count: int, pause: float) -> list[int]:
    if selection == "all":
        return numbers[:count]
    if selection == "near_ts":
        order = sorted(range(len(numbers)), key=lambda at: (abs(numbers[at] - pause), at))
        return [numbers[at] for at in sorted(order[:count])]
    if len(numbers) <= count:
        return numbers
    step = (len(numbers) - 1) / (count - 1)
    return [numbers[round(at * step)] for at in range(count)]


@quick
@given(scenes(), st.sampled_from(["uniform", "near_ts", "all"]), st.integers(2, 20))
def test_the_chunks_are_those_that_their_rules_take(scene: Scene, selection: str, count: int) -> None:
    context = turn(scene, replace(POVQA, selection=selection, frames=count, keyframe="none"))
    pause = sum(scene.span_s) / 2 if scene.pause_s is None else scene.pause_s
    assert [moment.start_s for moment in context.moments] == picked(candidates(scene), selection, count, pause)


@quick
@given(scenes(), st.integers(1, 10))
def test_the_lines_are_the_first_ones_and_the_last_with_gaps_counted(scene: Scene, most: int) -> None:
    segments = overlapping(scene)
    kept = segments if len(segments) <= most else [*segments[: most - 1], segments[-1]]
    context = turn(scene, replace(POVQA, layout="block", max_lines=most))
    assert [(line.start_s, line.end_s, line.text) for line in context.lines] == [(one["start"], one["end"], one["text"]) for one in kept]
    lost = [one for one in segments if one not in kept and one["text"]]
    assert sum(one.kind == "line" for one in context.dropped) == len(lost)


@quick
@given(scenes())
def test_each_frame_has_one_line_the_one_being_said_or_the_nearest_within_two_seconds(scene: Scene) -> None:
    context = turn(scene, replace(POVQA, keyframe="none", max_lines=8))
    segments = overlapping(scene)
    kept = segments if len(segments) <= 8 else [*segments[:7], segments[-1]]
    under = [later.text for block, later in zip(context.blocks, context.blocks[1:], strict=False) if block.kind == "image"]
    for moment, text in zip(context.moments, under, strict=True):
        spans = [(float(one["start"]), float(one["end"]), str(one["text"])) for one in kept]  # type: ignore[arg-type]
        inside = [one for one in spans if one[0] <= moment.start_s <= one[1]]
        near = inside or [one for one in spans if abs((one[0] + one[1]) / 2 - moment.start_s) <= 2.0]
        body = text.split("\n")[1:-1]
        assert len(body) == 1
        if not near:
            assert body == [NOTE]
            continue
        best = min(near, key=lambda one: abs((one[0] + one[1]) / 2 - moment.start_s))
        assert body[0].endswith("no speech" if not best[2] else f'"{" ".join(best[2].split())}"')


def test_the_question_stands_before_the_pictures_and_the_key_frame_after_them() -> None:
    context = turn(Scene(60.0, pause_s=30.0), replace(POVQA, frames=5))
    assert [block.kind for block in context.blocks[:4]] == ["text", "text", "text", "image"]
    assert "Question: Where is the key?" in context.blocks[2].text
    assert [moment.kind for moment in context.moments] == ["window"] * 5 + ["key"]
    assert context.moments[-1].time_s < context.moments[-2].start_s


# What it gets wrong, and ours does not.


def talk() -> tuple[Line, ...]:
    """A dialogue with a pause of some seconds after every second line, as films have."""
    return tuple(Line(second + 0.2, second + 2.4, f"line {second}") for second in range(0, 90, 5)) + tuple(
        Line(second + 2.0, second + 3.1, f"answer {second}") for second in range(0, 90, 10)
    )


def test_povqa_shows_chunks_from_outside_the_window_and_some_twice_and_ours_neither() -> None:
    leaks = repeats = 0
    for start_s in range(0, 80, 7):
        scene = Scene(92.0, talk(), start_s + 5.0, start_s + 0.5, start_s + 10.5)
        theirs = [moment for moment in turn(scene, POVQA).moments if moment.kind == "window"]
        ours = [moment for moment in turn(scene, OURS).moments if moment.kind == "window"]
        leaks += sum(moment.end_s <= scene.span_s[0] or moment.start_s >= scene.span_s[1] for moment in theirs)
        repeats += len(theirs) - len(set(theirs))
        assert len(ours) == len(set(ours)) == 10
        assert all(scene.span_s[0] <= moment.start_s and moment.end_s <= scene.span_s[1] for moment in ours)
    assert leaks >= 12 and repeats >= 24, "the control: at least one leak and two repeats a window"


def test_whatever_is_left_at_the_end_is_a_chunk_of_povqas_and_none_of_ours() -> None:
    scene = Scene(10.02)
    theirs, ours = (turn(scene, replace(plan, keyframe="none")).moments for plan in (POVQA, OURS))
    assert [moment.start_s for moment in theirs] == candidates(scene) == list(range(11))
    assert len(ours) == 10 and (ours[-1].start_s, ours[-1].end_s) == (9.0, 10.02)


def test_a_long_silence_pulls_minutes_into_povqas_context() -> None:
    scene = Scene(300.0, (Line(0.0, 2.0, "Look."), Line(250.0, 252.0, "Gone.")), 20.0, 10.0, 20.0)
    theirs = [moment for moment in turn(scene, POVQA).moments if moment.kind == "window"]
    assert max(moment.end_s for moment in theirs) == 250.0
    assert max(moment.end_s for moment in turn(scene, OURS).moments) <= 20.0


def test_povqa_shows_eight_lines_of_a_dialogue_and_ours_all_of_them() -> None:
    scene = Scene(92.0, talk(), 46.0)
    theirs, ours = turn(scene, POVQA), turn(scene, OURS)
    spoken = [line for line in theirs.lines if line.text]
    assert len(spoken) <= 8 < len(ours.lines) == len(talk())
    assert text_of(theirs).count(NOTE) > 30, "most of its frames say that nothing is said near them"
    assert len([one for one in theirs.dropped if one.kind == "line"]) == len(talk()) - len(spoken), "and here the preview tells which are lost"


def test_povqa_shows_what_comes_after_the_pause() -> None:
    scene = Scene(92.0, talk(), 46.0, 0.0, 92.0)
    assert max(moment.end_s for moment in turn(scene, POVQA).moments) == 92.0
    assert max(moment.end_s for moment in turn(scene, replace(OURS, pause_causal=True)).moments) <= 46.0
