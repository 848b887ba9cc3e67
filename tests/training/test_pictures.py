"""Moments of a clip as pixels: which frame, which blend, from where in the file, and that they are decoded once."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.errors import InputError, NotFoundError
from store.media import media_path, read_frames, shown_frames
from tests.training.conftest import FRAME_COUNT, FRAMES_A_SECOND, HEIGHT, WIDTH, Studio
from training.context import Context, ContextPlan, Moment
from training.frames import Stretch
from training.pictures import decode_all, pictures_of
from training.views import View

PLAN = ContextPlan()
POOLED = ContextPlan(layout="block", pooling="WA", window_s=0.5)
END_S = FRAME_COUNT / FRAMES_A_SECOND


def stretch(studio: Studio, start_s: float = 0.0, end_s: float = END_S, colour: str = "red") -> Stretch:
    return Stretch(studio.digests[colour], start_s, end_s, WIDTH, HEIGHT)


def frame(time_s: float, kind: str = "frame") -> Moment:
    return Moment(time_s, time_s, kind)


def pictures(studio: Studio, at: Stretch, moments: Sequence[Moment], plan: ContextPlan = PLAN) -> np.ndarray:
    return pictures_of(media_path(studio.data, at.digest), at, moments, plan, (studio.data / "frames", None))


def true_blend(studio: Studio, at: Stretch, start_s: float, end_s: float) -> np.ndarray:
    """Return the mean of what is on display between two moments of the clip, each frame by its time."""
    shown = [
        (min(one.end_s, at.start_s + end_s) - max(one.start_s, at.start_s + start_s), one.pixels.astype(float))
        for one in shown_frames(media_path(studio.data, at.digest), at.start_s + start_s, at.start_s + end_s, (WIDTH, HEIGHT))
    ]
    return sum(max(0.0, weight) * pixels for weight, pixels in shown) / (end_s - start_s)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.floats(0.01, 1.2), min_size=1, max_size=5), st.floats(0.0, 0.7))
def test_a_frame_is_the_one_on_display_at_its_moment_of_the_clip(shared_studio: Studio, times_s: list[float], start_s: float) -> None:
    at = stretch(shared_studio, start_s)
    seen = pictures(shared_studio, at, [frame(time_s, "key" if number else "frame") for number, time_s in enumerate(times_s)])
    true = read_frames(media_path(shared_studio.data, at.digest), [start_s + time_s for time_s in times_s], (WIDTH, HEIGHT)).pixels
    assert np.array_equal(seen, true) and not seen.flags.writeable
    if start_s > 2 / FRAMES_A_SECOND:
        assert not np.array_equal(seen[0], pictures(shared_studio, stretch(shared_studio), [frame(times_s[0])])[0]), "the control: the clip's start counts"


@pytest.mark.parametrize("start_s", [0.0, 0.3])
def test_windows_blend_what_was_on_display_in_them_and_nothing_else(shared_studio: Studio, start_s: float) -> None:
    at = stretch(shared_studio, start_s)
    # On a grid that does not begin at 0, with a hole, the last one cut short as by a pause, and a key frame before them.
    moments = [frame(0.9, "key"), Moment(0.2, 0.7, "window"), Moment(1.2, 1.35, "window")]
    seen = pictures(shared_studio, at, moments, POOLED)
    assert np.array_equal(seen[0], pictures(shared_studio, at, [frame(0.9)])[0]), "a key frame is never blended"
    for picture, moment in zip(seen[1:], moments[1:], strict=True):
        assert np.abs(picture - true_blend(shared_studio, at, moment.start_s, moment.end_s)).max() <= 0.51
    longer = true_blend(shared_studio, at, 1.2, 1.7)
    assert np.abs(seen[2] - longer).max() > 5, "the control: a window that is not cut shows what comes after"


def test_windows_by_count_are_those_of_povqa(shared_studio: Studio) -> None:
    at = stretch(shared_studio)
    plan = ContextPlan(layout="block", pooling="WAR", window_s=0.5, candidates="povqa")
    (second,) = pictures(shared_studio, at, [Moment(0.5, 1.0, "window")], plan)
    frames = [one.pixels.astype(float) for one in shown_frames(media_path(shared_studio.data, at.digest), size=(WIDTH, HEIGHT))]
    weights = np.arange(1, 7) ** 2
    true = sum(weight * pixels for weight, pixels in zip(weights, frames[6:12], strict=True)) / weights.sum()
    assert np.abs(second - true).max() <= 1.0, "12 frames a second: six a window, truncated"
    assert np.abs(pictures(shared_studio, at, [Moment(0.5, 1.0, "window")], POOLED)[0] - true).max() > 5, "the control"


def test_what_was_decoded_is_there_without_the_video_and_another_wish_is_another_entry(studio: Studio) -> None:
    at, moments = stretch(studio, colour="blue"), [frame(0.1), frame(1.0)]
    first, blended = pictures(studio, at, moments), pictures(studio, at, [Moment(0.0, 0.5, "window")], POOLED)
    media_path(studio.data, at.digest).unlink()
    assert np.array_equal(pictures(studio, at, moments), first)
    assert np.array_equal(pictures(studio, at, [Moment(0.0, 0.5, "window")], POOLED), blended)
    with pytest.raises(NotFoundError):
        pictures(studio, at, [frame(0.1), frame(1.1)])
    for plan in (ContextPlan(pooling="WAR", window_s=0.5), ContextPlan(pooling="WA", window_s=0.25)):
        with pytest.raises(NotFoundError):
            pictures(studio, at, [Moment(0.0, 0.5, "window")], plan)


def test_a_window_behind_the_end_of_the_file_is_refused(shared_studio: Studio) -> None:
    at = stretch(shared_studio, end_s=60.0)
    with pytest.raises(InputError, match="times from 0 to 2 s"):
        pictures(shared_studio, at, [Moment(0.0, 0.5, "window"), Moment(30.0, 30.5, "window")], POOLED)


def test_where_counting_frames_leaves_fewer_windows_than_the_clock_the_last_stands_for_the_rest(shared_studio: Studio) -> None:
    by_count = replace(POOLED, candidates="povqa")
    last, behind = pictures(shared_studio, stretch(shared_studio), [Moment(1.5, 2.0, "window"), Moment(2.0, 2.001, "window")], by_count)
    assert np.array_equal(last, behind)


def test_a_window_with_a_damaged_frame_is_refused(studio: Studio) -> None:
    at = stretch(studio)
    media = media_path(studio.data, at.digest)
    content = bytearray(media.read_bytes())
    middle = content.index(b"mdat") + len(content) // 3
    content[middle : middle + 200] = bytes(200)
    pictures(studio, at, [Moment(0.0, 2.0, "window")], POOLED)  # the control, while the file is whole
    media.unlink()
    media.write_bytes(content)
    with pytest.raises(InputError, match="damage"):
        pictures(studio, at, [Moment(0.5, 1.5, "window")], replace(POOLED, window_s=1.0))


def test_all_clips_that_cannot_be_read_are_told_at_once_and_each_set_is_read_once(studio: Studio, tmp_path: Path) -> None:
    good, late = stretch(studio), stretch(studio, start_s=50.0, end_s=60.0)

    def view(at: Stretch) -> View:
        return View(at, Context((), (frame(0.5),), (), (), 0))

    done: list[int] = []
    decode_all(studio.data, [("a", view(good)), ("b", view(good))], PLAN, done.append)
    assert done == [1]
    with pytest.raises(InputError, match="2 clips could not be read") as refused:
        decode_all(studio.data, [("a", view(late)), ("b", view(good)), ("c", view(stretch(studio, 55.0, 60.0)))], PLAN, done.append)
    assert "a:" in str(refused.value) and "c:" in str(refused.value)
