"""Which moments a selection takes, and in which order a budget gives them up."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.errors import InputError
from training.selection import choose, coarse_to_fine, nearest, uniform, windows_in

COUNTS = st.integers(0, 90)
TIMES = st.lists(st.integers(0, 400).map(lambda quarter: quarter / 4), max_size=40, unique=True).map(sorted)
FOCUS = st.integers(-40, 440).map(lambda quarter: quarter / 4)


def povqa_uniform(total: int, count: int) -> list[int]:
    """Their rule as it is written down: round(i (N - 1) / (k - 1)), neighbours that repeat dropped."""
    step = (total - 1) / (count - 1)
    return [index for index, _ in itertools.groupby(round(number * step) for number in range(count))]


@given(COUNTS, COUNTS)
def test_uniform_takes_as_many_as_there_are_distinct_and_in_order(total: int, count: int) -> None:
    taken = uniform(total, count)
    assert len(taken) == min(total, count)
    assert taken == sorted(set(taken)) and set(taken) <= set(range(total))


@given(st.integers(2, 90), st.integers(2, 90))
def test_uniform_has_both_ends_equal_steps_and_is_povqas_rule(total: int, count: int) -> None:
    taken = uniform(total, count)
    assert (taken[0], taken[-1]) == (0, total - 1)
    steps = [later - earlier for earlier, later in itertools.pairwise(taken)]
    assert max(steps) - min(steps) <= 2, "rounding moves each end of a step by a half at most"
    assert taken == (povqa_uniform(total, count) if total > count else list(range(total)))


def test_the_step_is_rounded_as_povqas_is() -> None:
    assert uniform(30, 15)[7] == povqa_uniform(30, 15)[7] == 15
    assert round(7 * 29 / 14) == 14, "the control: multiplied first it is another picture"


@pytest.mark.parametrize(("total", "middle"), [(1, 0), (2, 0), (3, 1), (60, 29)])
def test_one_of_many_is_the_middle_where_povqa_divides_by_zero(total: int, middle: int) -> None:
    assert uniform(total, 1) == [middle]
    with pytest.raises(ZeroDivisionError):
        povqa_uniform(total, 1)


@given(TIMES, FOCUS, COUNTS)
def test_near_ts_takes_the_nearest_and_of_two_equally_near_the_first(times: list[float], focus: float, count: int) -> None:
    taken = nearest(times, focus, count)
    assert taken == sorted(set(taken)) and len(taken) == min(len(times), count)
    left = [at for at in range(len(times)) if at not in taken]
    assert all((abs(times[near] - focus), near) < (abs(times[far] - focus), far) for near in taken for far in left)


@given(TIMES, FOCUS, COUNTS)
def test_all_takes_every_one_and_thins_evenly_beyond_the_count(times: list[float], focus: float, count: int) -> None:
    taken = choose("all", times, focus, count)
    assert len(taken) == min(len(times), count)
    assert taken == choose("uniform", times, focus, count)
    assert choose("near_ts", times, focus, count) == nearest(times, focus, count)


@given(st.integers(0, 1000), st.integers(1, 2000), st.integers(1, 300))
def test_windows_tile_the_span_without_a_hole_or_a_sliver(start: int, length: int, window: int) -> None:
    start_s, end_s, window_s = start / 10, (start + length) / 10, window / 10
    windows = windows_in(start_s, end_s, window_s)
    assert (windows[0][0], windows[-1][1]) == (start_s, end_s)
    assert all(earlier[1] == later[0] for earlier, later in itertools.pairwise(windows))
    whole, rest = divmod(length, window)
    assert len(windows) == max(1, whole + (20 * rest > window)), "tenths are no binary numbers, and still no window is a rounding error"
    assert len(windows) == 1 or all(0.05 * window_s < end - begin < 1.051 * window_s for begin, end in windows)
    kept = windows_in(start_s, end_s, window_s, least_rest=1e-6)
    assert len(kept) == -(-length // window), "as POVQA cuts: whatever is left is a window"


def test_a_window_longer_than_the_span_is_the_span_and_too_many_are_refused() -> None:
    assert windows_in(2.0, 5.0, 60.0) == [(2.0, 5.0)]
    with pytest.raises(InputError, match="Take longer windows"):
        windows_in(0.0, 36_000.0, 0.01)


def hole(times: list[float], shown: list[float]) -> float:
    """Return how far the loneliest time is from what is shown."""
    return max(min(abs(time - one) for one in shown) for time in times)


@given(TIMES.filter(len).map(lambda times: times[:9]), FOCUS)
def test_every_beginning_of_coarse_to_fine_covers_at_most_twice_as_badly_as_the_best_choice(times: list[float], focus: float) -> None:
    order = coarse_to_fine(times, focus)
    assert sorted(order) == list(range(len(times)))
    assert abs(times[order[0]] - focus) == min(abs(time - focus) for time in times)
    for count in range(1, len(times) + 1):
        best = min(hole(times, list(some)) for some in itertools.combinations(times, count))
        assert hole(times, [times[at] for at in order[:count]]) <= 2 * best


def test_nearest_first_would_leave_a_hole() -> None:
    times = [float(second) for second in range(60)]
    by_distance = sorted(times, key=lambda time: abs(time - 30))[:8]
    coarse = [times[at] for at in coarse_to_fine(times, 30.0)[:8]]
    assert (hole(times, by_distance), hole(times, coarse)) == (26.0, 7.0), "the control, and ours"


@given(TIMES, FOCUS, st.lists(FOCUS, min_size=1, max_size=3))
def test_what_is_shown_already_is_covered_already(times: list[float], focus: float, shown: list[float]) -> None:
    order = coarse_to_fine(times, focus, shown)
    assert sorted(order) == list(range(len(times)))
    if order:
        assert min(abs(times[order[0]] - one) for one in shown) == hole(times, shown)


def test_the_same_moment_twice_is_no_trouble() -> None:
    assert sorted(coarse_to_fine([1.0, 1.0, 2.0], 1.0)) == [0, 1, 2]
