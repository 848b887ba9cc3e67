"""At which moments frames are taken: properties over spans of any place and length."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.errors import InputError
from store.frame_plan import evenly, paced

starts, lengths = st.floats(0, 1e4), st.floats(0.01, 1e4)


@given(starts, lengths, st.integers(1, 64))
def test_even_moments_stand_apart_evenly_and_inside_the_span(start: float, length: float, count: int) -> None:
    times = evenly(start, start + length, count)
    assert times.shape == (count,)
    assert start < times[0] and times[-1] < start + length
    assert np.allclose(np.diff(times), length / count, rtol=1e-6, atol=1e-9)
    assert times.mean() == pytest.approx(start + length / 2)


@given(starts, st.floats(0.01, 100), st.floats(0.1, 240))
def test_paced_moments_begin_at_the_start_and_the_next_one_would_be_past_the_end(start: float, length: float, fps: float) -> None:
    end = start + length
    times = paced(start, end, fps)
    assert times[0] == start and times[-1] < end
    assert start + len(times) / fps >= end
    assert np.allclose(np.diff(times), 1 / fps, rtol=1e-6, atol=1e-9)


def test_an_end_that_falls_on_a_moment_is_left_out() -> None:
    assert paced(0, 1, 30).shape == (30,)
    assert paced(0, 3600, 29.97).shape == (107_892,)
    assert paced(5, 5.1, 1).tolist() == [5.0]


@pytest.mark.parametrize("span", [(1.0, 1.0), (2.0, 1.0), (math.nan, 1.0), (0.0, math.nan), (0.0, math.inf), (-math.inf, 0.0)])
def test_a_span_that_holds_no_moment_is_refused(span: tuple[float, float]) -> None:
    for plan in (lambda: evenly(*span, 3), lambda: paced(*span, 3.0)):
        with pytest.raises(InputError, match="give a start before the end"):
            plan()


@pytest.mark.parametrize("count", [0, -1, 10**12])
def test_a_count_of_frames_that_cannot_be_meant_is_refused(count: int) -> None:
    with pytest.raises(InputError, match="ask for 1 to"):
        evenly(0, 1, count)


@pytest.mark.parametrize("fps", [0.0, -1.0, math.nan, math.inf, 1e12])
def test_a_pace_that_cannot_be_meant_is_refused(fps: float) -> None:
    with pytest.raises(InputError, match="more than 0"):
        paced(0, 1, fps)
