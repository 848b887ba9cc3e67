"""Windows by true time and by count, and the weights of their frames, without a picture."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.errors import InputError
from training.windows import METHODS, PoolSettings, Span, Window, average_fps, parts_of, window_count, window_of, windows_of

TIME, POVQA = PoolSettings(), PoolSettings(weights="povqa")
BY_TIME = ("WA", "WAE", "WAR")
lengths_s = st.lists(st.integers(5, 700).map(lambda ms: ms / 1000), min_size=1, max_size=40)
settings_by_time = st.builds(
    PoolSettings, window_s=st.integers(30, 3000).map(lambda ms: ms / 1000), half_life_s=st.floats(0.01, 10), last_share=st.floats(0, 1)
)


def starts_of(lengths: list[float], start_s: float = 0.0) -> tuple[np.ndarray, float]:
    """Return when each frame begins and when the last one ends."""
    edges = start_s + np.concatenate([[0.0], np.cumsum(lengths)])
    return edges[:-1], float(edges[-1])


def steady(fps: float, count: int, settings: PoolSettings = TIME) -> list[Window]:
    return windows_of(np.arange(count) / fps, count / fps, settings)


def by_frame(window: Window, method: str, times_s: np.ndarray) -> np.ndarray:
    """Return the weight of each of the frames that begin at these times; a piece of a frame counts for it."""
    owner = np.searchsorted(times_s, window.times_s + 1e-9, side="right") - 1
    return np.bincount(owner, window.weights[method], minlength=len(times_s))


@given(lengths_s, settings_by_time, st.floats(-5, 5))
def test_weights_are_none_below_zero_and_sum_to_one_in_each_window(lengths: list[float], settings: PoolSettings, start_s: float) -> None:
    times_s, end_s = starts_of(lengths, start_s)
    for window in windows_of(times_s, end_s, settings, start_s):
        for method in METHODS:
            assert window.weights[method].min() >= 0
            assert window.weights[method].sum() == pytest.approx(1)


@given(lengths_s, settings_by_time, st.floats(-5, 5))
def test_windows_tile_the_span_on_a_grid_that_does_not_drift(lengths: list[float], settings: PoolSettings, start_s: float) -> None:
    times_s, end_s = starts_of(lengths, start_s)
    windows = windows_of(times_s, end_s, settings, start_s)
    assert [window.number for window in windows] == list(range(len(windows)))
    assert windows[-1].end_s == pytest.approx(end_s, abs=1e-5)
    for window in windows:
        assert window.start_s == start_s + window.number * settings.window_s
    assert all(one.end_s == other.start_s for one, other in pairwise(windows))


@given(lengths_s, settings_by_time, st.lists(st.tuples(st.integers(0, 39), st.floats(0.05, 0.95)), min_size=1, max_size=5))
def test_showing_a_frame_as_two_changes_no_weight(lengths: list[float], settings: PoolSettings, splits: list[tuple[int, float]]) -> None:
    times_s, end_s = starts_of(lengths)
    ends_s = np.append(times_s[1:], end_s)
    more = [times_s[i % len(lengths)] + share * (ends_s - times_s)[i % len(lengths)] for i, share in splits]
    split = windows_of(np.unique(np.concatenate([times_s, more])), end_s, settings)
    whole = windows_of(times_s, end_s, settings)
    assert [(one.start_s, one.end_s) for one in split] == [(one.start_s, one.end_s) for one in whole]
    for one, other in zip(split, whole, strict=True):
        for method in METHODS:
            assert by_frame(one, method, times_s) == pytest.approx(by_frame(other, method, times_s), abs=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_the_control_by_povqas_count_each_frame_shown_twice_changes_the_weights(method: str) -> None:
    once, twice = steady(24, 24, POVQA), steady(48, 48, POVQA)
    assert len(once) == len(twice) == 1
    assert np.abs(by_frame(twice[0], method, once[0].times_s) - once[0].weights[method]).max() > 5e-4
    once, twice = steady(24, 24), steady(48, 48)
    assert by_frame(twice[0], method, once[0].times_s) == pytest.approx(once[0].weights[method], abs=1e-9)


@given(lengths_s, settings_by_time)
def test_weights_are_the_integral_of_the_density_over_the_time_on_display(lengths: list[float], settings: PoolSettings) -> None:
    times_s, end_s = starts_of(lengths)
    for window in windows_of(times_s, end_s, settings):
        inside = times_s[(times_s > window.start_s) & (times_s < window.end_s)]
        edges = np.sort(np.concatenate([np.linspace(window.start_s, window.end_s, 4_001), inside]))
        moments, lasts = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
        density = {
            "WA": np.ones_like(moments),
            "WAE": 2 ** (-(window.end_s - moments) / settings.half_life_s),
            "WAR": moments - window.start_s,
        }
        owner = np.searchsorted(times_s, moments, side="right") - 1
        for method, height in density.items():
            expected = np.bincount(owner, height * lasts, minlength=len(times_s)) / (height @ lasts)
            assert by_frame(window, method, times_s) == pytest.approx(expected, abs=2e-4)


@given(lengths_s, settings_by_time)
def test_bblf_is_the_blend_of_wae_with_the_last_frame(lengths: list[float], settings: PoolSettings) -> None:
    for window in windows_of(*starts_of(lengths), settings):
        expected = (1 - settings.last_share) * window.weights["WAE"]
        expected[-1] += settings.last_share
        assert window.weights["BBLF"] == pytest.approx(expected)


@given(st.integers(1, 240), settings_by_time)
def test_later_frames_of_one_length_weigh_no_less(fps: int, settings: PoolSettings) -> None:
    window = windows_of(np.arange(fps) / fps, 1.0, PoolSettings(half_life_s=settings.half_life_s, last_share=settings.last_share))[0]
    for method in METHODS:
        assert (np.diff(window.weights[method]) >= -1e-12).all()
    assert window.weights["WA"] == pytest.approx(np.full(fps, 1 / fps))


def test_frames_of_one_length_have_the_weights_that_can_be_worked_out_by_hand() -> None:
    window = windows_of([0, 0.25, 0.5, 0.75], 1.0, PoolSettings(half_life_s=0.25, last_share=0.5))[0]
    assert window.weights["WA"].tolist() == [0.25] * 4
    assert window.weights["WAR"] == pytest.approx(np.array([1, 3, 5, 7]) / 16)
    assert window.weights["WAE"] == pytest.approx(np.array([1, 2, 4, 8]) / 15)
    assert window.weights["BBLF"] == pytest.approx(np.array([1, 2, 4, 23]) / 30)


def test_a_frame_that_straddles_an_edge_counts_in_both_windows_each_for_its_part() -> None:
    first, second = windows_of([0.0, 0.8, 1.4], 2.0, TIME)
    assert first.times_s.tolist() == [0.0, 0.8] and second.times_s.tolist() == [0.8, 1.4]
    assert first.weights["WA"] == pytest.approx([0.8, 0.2])
    assert second.weights["WA"] == pytest.approx([0.4, 0.6])
    assert first.weights["WAR"] == pytest.approx([0.64, 0.36])


def test_one_frame_is_the_whole_of_every_window_that_it_lasts_through() -> None:
    windows = windows_of([0.0], 2.5, TIME)
    assert [(window.start_s, window.end_s) for window in windows] == [(0, 1), (1, 2), (2, 2.5)]
    assert all(window.weights[method].tolist() == [1.0] for window in windows for method in METHODS)


def test_a_window_longer_than_the_film_ends_with_it() -> None:
    (window,) = steady(25, 50, PoolSettings(window_s=3600))
    assert (window.start_s, window.end_s, len(window.times_s)) == (0, 2, 50)


def test_the_last_frame_of_a_long_window_has_weight_however_short_the_half_life() -> None:
    (window,) = windows_of([0.0, 3590.0], 3600.0, PoolSettings(window_s=1e6, half_life_s=0.001))
    assert window.weights["WAE"].tolist() == [0, 1]


@given(lengths_s, settings_by_time, st.floats(-5, 5))
def test_a_short_rest_joins_the_window_before_and_loses_no_frame(lengths: list[float], settings: PoolSettings, start_s: float) -> None:
    times_s, end_s = starts_of(lengths, start_s)
    windows = windows_of(times_s, end_s, settings, start_s)
    assert len(windows) == window_count(end_s - start_s, settings.window_s)
    assert len(windows) == 1 or all(0.0499 < (one.end_s - one.start_s) / settings.window_s < 1.0501 for one in windows)
    assert {time_s for window in windows for time_s in window.times_s} == {time_s for time_s in times_s if time_s < end_s}


@pytest.mark.parametrize(("end_s", "count"), [(30.0, 30), (30.002, 30), (30.0499, 30), (30.06, 31), (29.999, 30), (0.002, 1)])
def test_a_film_that_ends_two_thousandths_late_has_no_window_of_two_thousandths(end_s: float, count: int) -> None:
    windows = windows_of(np.arange(0, end_s, 1 / 24), end_s, TIME)
    assert len(windows) == count and windows[-1].end_s == pytest.approx(end_s)
    assert windows[-1].weights["WA"].sum() == pytest.approx(1)
    unknown = list(parts_of(((Span(t, min(t + 1 / 24, end_s)), False) for t in np.arange(0, end_s, 1 / 24).tolist()), TIME))
    assert unknown[-1].number + 1 == math.ceil(end_s), "the control: where the end is not known beforehand each rest is a window"


def test_a_span_is_cut_the_same_on_any_clock() -> None:
    spans_s = [((start + length) / 100 - start / 100, length / 100) for start in range(1, 3000, 7) for length in range(105, 4000, 100)]
    assert all(window_count(moved_s, 1.0) == window_count(length_s, 1.0) for moved_s, length_s in spans_s)
    assert any(math.ceil(moved_s - 0.05) != math.ceil(length_s - 0.05) for moved_s, length_s in spans_s), "the control: unrounded"


@pytest.mark.parametrize("fps", [24, 25, 30000 / 1001, 60, 24000 / 1001])
def test_rounding_of_time_stamps_brings_no_neighbour_in(fps: float) -> None:
    times_s = np.arange(2000) / fps
    for jitter in (0, 1e-10, -1e-10):
        windows = windows_of(times_s + jitter, 2000 / fps, PoolSettings(window_s=10 / fps))
        assert {len(window.times_s) for window in windows} == {10}
        assert [window.times_s[-1] for window in windows] == (times_s + jitter)[9::10].tolist()


def test_frames_that_overlap_or_go_back_count_once() -> None:
    frames = [Span(0.0, 0.6), Span(0.4, 0.8), Span(0.1, 0.7), Span(0.8, 1.0)]
    window = window_of(list(parts_of(((frame, False) for frame in frames), TIME)), METHODS, TIME)
    assert window.times_s.tolist() == [0.0, 0.4, 0.8]
    assert window.weights["WA"] == pytest.approx([0.6, 0.2, 0.2])


def told(frames: list[tuple[Span, bool]], settings: PoolSettings = TIME, start_s: float = 0.0, end_s: float | None = None) -> list[Window]:
    parts = list(parts_of(frames, settings, start_s, end_s, fps=10))
    return [window_of([part for part in parts if part.number == number], METHODS, settings) for number in range(parts[-1].number + 1)]


def test_damaged_frames_are_left_out_and_counted_and_a_window_of_them_alone_is_empty() -> None:
    frames = [(Span(i / 10, (i + 1) / 10, sound=not 8 <= i < 20), False) for i in range(25)]
    first, second, third = told(frames)
    assert (first.damaged, second.damaged, third.damaged) == (2, 10, 0)
    assert first.weights["WA"] == pytest.approx(np.full(8, 1 / 8))
    assert len(second.times_s) == 0 and all(len(weights) == 0 for weights in second.weights.values())
    assert third.times_s[0] == 2.0


def test_time_with_nothing_on_display_is_told_and_not_filled() -> None:
    windows = told([(Span(0.5, 0.9), False), (Span(3.2, 3.7), False)])
    assert [len(window.times_s) for window in windows] == [1, 0, 0, 1]
    assert [(window.start_s, window.end_s) for window in windows] == [(0, 1), (1, 2), (2, 3), (3, 3.7)]


def test_a_shot_change_splits_its_window_and_none_at_an_edge() -> None:
    frames = [(Span(i / 10, (i + 1) / 10), i in (4, 10, 20, 26)) for i in range(30)]
    windows = told(frames)
    assert [(window.start_s, window.end_s) for window in windows] == [(0, 0.4), (0.4, 1), (1, 2), (2, 2.6), (2.6, 3)]
    assert [window.is_cut for window in windows] == [True, True, False, True, True]
    assert windows[1].weights["WAR"] == pytest.approx(np.array([1, 3, 5, 7, 9, 11]) / 36), "the ramp begins anew"


def test_an_hour_of_30000_1001_frames_a_second_drifts_by_nothing_and_with_povqa_by_three_seconds_and_a_half() -> None:
    count = 3600 * 30
    times_s, end_s = np.arange(count) * 1001 / 30000, count * 1001 / 30000
    ours, theirs = windows_of(times_s, end_s, TIME), windows_of(times_s, end_s, POVQA, fps=30000 / 1001)
    assert len(theirs) == 3600 and {len(window.times_s) for window in theirs} == {30}
    assert max(abs(window.start_s - window.number * 1.0) for window in ours) == 0
    assert all(window.start_s - 0.0334 < window.times_s[0] and window.times_s[-1] < window.end_s for window in ours)
    assert theirs[-1].end_s - 3600 == pytest.approx(3.6)
    assert max(window.start_s - window.number for window in theirs) == pytest.approx(3.6, abs=0.01)


# Measured from POVQA's public code by others: share of the last frame, centre of mass from 0 to 1, effective frames.
PUBLISHED = {
    3: {"WA": (0.606, 0.773, 2.07), "WAE": (0.389, 0.554, 2.95), "WAR": (0.643, 0.786, 2.00), "BBLF": (0.572, 0.688, 2.38)},
    24: {"WA": (0.076, 0.648, 19.3), "WAE": (0.153, 0.775, 11.8), "WAR": (0.118, 0.755, 13.6), "BBLF": (0.407, 0.843, 5.1)},
    30: {"WA": (0.061, 0.646, 24.2), "WAE": (0.151, 0.813, 12.2), "WAR": (0.095, 0.754, 17.0), "BBLF": (0.406, 0.869, 5.2)},
    60: {"WA": (0.030, 0.641, 48.8), "WAE": (0.150, 0.904, 12.3), "WAR": (0.049, 0.752, 33.6), "BBLF": (0.405, 0.933, 5.2)},
}


@pytest.mark.parametrize("count", PUBLISHED)
@pytest.mark.parametrize("method", METHODS)
def test_povqas_weights_are_those_of_its_code(count: int, method: str) -> None:
    weights = steady(count, count, POVQA)[0].weights[method]
    last, centre, effective = PUBLISHED[count][method]
    assert weights[-1] == pytest.approx(last, abs=6e-4)
    assert weights @ np.linspace(0, 1, count) == pytest.approx(centre, abs=6e-4)
    assert 1 / (weights @ weights) == pytest.approx(effective, abs=0.06)


def test_povqas_windows_are_counted_and_the_rest_is_kept() -> None:
    windows = windows_of(np.arange(25) / 10, 2.5, POVQA, fps=9.6)
    assert [len(window.times_s) for window in windows] == [10, 10, 5]
    assert [len(window.times_s) for window in windows_of(np.arange(3), 3.0, POVQA, fps=0.4)] == [1, 1, 1]
    assert average_fps(np.arange(25) / 10, 2.5) == pytest.approx(10)


def test_half_a_second_of_25_frames_a_second_has_12_frames_whatever_the_films_length() -> None:
    settings = PoolSettings(window_s=0.5, weights="povqa")
    unrounded = set()
    for count in range(13, 2000):
        times_s, end_s = np.arange(count) / 25, count * 0.04
        assert len(windows_of(times_s[:13], end_s, settings, fps=average_fps(times_s, end_s))[0].times_s) == 12
        unrounded.add(round(count / end_s * 0.5))
    assert unrounded == {12, 13}, "the control"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("window_s", value) for value in (0, -1, math.nan, math.inf, 1e-9)),
        *(("half_life_s", value) for value in (0, -1, math.nan, math.inf)),
        *(("last_share", value) for value in (-0.1, 1.1, math.nan)),
        ("weights", "frames"),
    ],
)
def test_a_setting_that_means_nothing_is_refused_with_its_value(field: str, value: float | str) -> None:
    with pytest.raises(InputError, match=r"give .+\.$") as refused:
        PoolSettings(**{field: value})
    assert (value if isinstance(value, str) else f"{value:g}") in str(refused.value)


def test_what_povqa_does_not_do_is_not_quietly_left_out() -> None:
    for wanted in ("linear_light", "cut_at_shots"):
        with pytest.raises(InputError, match="POVQA"):
            PoolSettings(weights="povqa", **{wanted: True})
    with pytest.raises(InputError, match="frame rate"):
        list(parts_of([(Span(0, 1), False)], POVQA))


@pytest.mark.parametrize(("start_s", "end_s"), [(0, 0), (2, 1), (math.nan, 1), (0, math.nan), (-math.inf, 1)])
def test_a_span_that_holds_nothing_is_refused(start_s: float, end_s: float) -> None:
    with pytest.raises(InputError, match="start before the end"):
        windows_of([0.0], end_s, TIME, start_s)
