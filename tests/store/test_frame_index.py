"""Which packet holds which frame: properties over made-up streams, checked against the plain definition."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.errors import InputError
from store.frame_index import (
    Clock,
    FrameIndex,
    Packet,
    frames_on_display,
    frames_that_came,
    index_by_count,
    index_by_time,
    keep_frames,
    runs_for,
    sound_frames,
)

MS = Clock(Fraction(1, 1000), None, None)


def packet(pts: int | None, *, key: bool = False, hidden: bool = False, dts: int | None = None, lasts: int = 40) -> Packet:
    return Packet(pts, dts, lasts, 100, key, hidden)


@st.composite
def streams(draw: st.DrawFn) -> FrameIndex:
    """Streams whose groups begin with a key packet; some groups are open: frames after the key are shown before it."""
    packets: list[Packet] = []
    at = draw(st.integers(0, 50))
    for number in range(draw(st.integers(1, 6))):
        leading = draw(st.integers(0, 2)) if number else 0
        times = [at + draw(st.integers(1, 60)) * (place + 1) for place in range(leading)]
        at = max(times, default=at) + draw(st.integers(1, 60))
        packets += [packet(at, key=True), *(packet(time) for time in times)]
        trailing = [at + step for step in np.cumsum(draw(st.lists(st.integers(1, 60), max_size=6))).tolist()]
        at = max(trailing, default=at)
        packets += [packet(time) for time in draw(st.permutations(trailing))]
    return index_by_time(packets, MS)


@given(streams(), st.data())
def test_on_display_is_the_last_frame_that_has_begun(index: FrameIndex, data: st.DataObject) -> None:
    asked = data.draw(st.lists(st.floats(0, index.end_s), min_size=1, max_size=20))
    for time, number in zip(asked, frames_on_display(index, asked), strict=True):
        begun = [n for n, begins in enumerate(index.times_s) if begins <= time + 1e-5]
        assert number == max(begun, default=0)


@given(streams())
def test_each_frame_is_on_display_at_its_own_time_even_cut_to_microseconds(index: FrameIndex) -> None:
    cut = np.floor(index.times_s * 1e6) / 1e6
    assert frames_on_display(index, cut).tolist() == list(range(len(index.ticks)))


@given(streams())
def test_decoding_begins_at_a_key_packet_that_is_neither_later_nor_shown_later(index: FrameIndex) -> None:
    for position, start in zip(index.positions.tolist(), index.starts.tolist(), strict=True):
        assert index.packets[start].key
        assert start <= position
        assert not index.shown_earlier(position, start)
        later_keys = [p for p in range(start + 1, position + 1) if index.packets[p].key]
        assert all(index.shown_earlier(position, key) for key in later_keys), "no nearer one would do"


@given(streams(), st.data())
def test_runs_bring_out_every_wanted_frame_once_and_go_forwards(index: FrameIndex, data: st.DataObject) -> None:
    numbers = np.array(data.draw(st.lists(st.integers(0, len(index.ticks) - 1), min_size=1)), dtype=np.int64)
    runs = runs_for(index, numbers)
    brought = [position for run in runs for position in run.wanted]
    assert sorted(brought) == sorted(set(index.positions[numbers].tolist()))
    assert all(run.start <= index.starts[np.flatnonzero(index.positions == p)[0]] <= p < run.stop for run in runs for p in run.wanted)
    assert all(before.stop <= after.start for before, after in pairwise(runs))


@given(streams(), st.data())
def test_damage_spoils_what_is_decoded_after_it_up_to_the_next_start(index: FrameIndex, data: st.DataObject) -> None:
    damage = data.draw(st.sets(st.integers(0, len(index.packets) - 1)))
    expected = [not any(start <= hurt <= position for hurt in damage) for start, position in zip(index.starts, index.positions, strict=True)]
    assert sound_frames(index, damage).tolist() == expected


def test_damage_before_the_first_key_frame_is_shown_spoils_only_itself() -> None:
    index = index_by_time([packet(80, key=True), packet(0), packet(40), packet(120)], MS)
    assert index.early.tolist() == [True, True, False, False]
    assert sound_frames(index, {1}).tolist() == [False, True, True, True]
    assert sound_frames(index, {0}).tolist() == [False, False, False, False], "the control: the key packet serves them all"


def test_hidden_packets_are_decoded_but_not_shown() -> None:
    index = index_by_time([packet(-80, key=True, hidden=True), packet(-40, hidden=True), packet(0), packet(40)], MS)
    assert index.times_s.tolist() == [0.0, 0.04]
    assert index.starts.tolist() == [0, 0]


def test_of_packets_with_one_time_the_last_is_shown() -> None:
    index = index_by_time([packet(0, key=True), packet(40), packet(40), packet(80)], MS)
    assert index.positions.tolist() == [0, 2, 3]


def test_counted_frames_take_the_times_in_order() -> None:
    packets = [packet(None, dts=dts, key=not dts) for dts in (0, 40, 80, 120)]
    index = index_by_count(packets, [0, 2, 1, 3], MS)
    assert index.positions.tolist() == [0, 2, 1, 3]
    assert index.times_s.tolist() == [0.0, 0.04, 0.08, 0.12]
    assert index.starts.tolist() == [0, 0, 0, 0], "it has to be counted from the first packet"


@pytest.mark.parametrize(
    ("first_ms", "sound_s", "times_s"),
    [
        (0, None, [0.0, 0.04]),
        (8333, None, [0.0, 0.04]),  # nothing before the first frame: it is the start
        (33, (0.0, 2.0), [0.033, 0.073]),  # the sound is the start
        (33, (-0.02, 2.0), [0.033, 0.073]),  # a codec's run-up is not heard
        (5000, (4.9, 7.0), [0.1, 0.14]),
        (0, (0.5, 2.0), [0.0, 0.04]),
    ],
)
def test_the_clips_clock_starts_with_picture_or_sound(first_ms: int, sound_s: tuple[float, float] | None, times_s: list[float]) -> None:
    clock = Clock(Fraction(1, 1000), *(sound_s or (None, None)))
    index = index_by_time([packet(first_ms, key=True), packet(first_ms + 40)], clock)
    assert index.times_s == pytest.approx(times_s)


@pytest.mark.parametrize("asked", [[-0.001], [float("nan")], [float("inf")], [0.5], [0.0, 9.0], [], [[0.0]], 0.0])
def test_times_outside_the_file_are_refused(asked: object) -> None:
    index = index_by_time([packet(0, key=True), packet(40)], MS)
    with pytest.raises(InputError):
        frames_on_display(index, asked)  # type: ignore[arg-type]


def test_the_refusal_names_the_value_and_the_range() -> None:
    index = index_by_time([packet(0, key=True), packet(40)], MS)
    with pytest.raises(InputError, match=r"no frame at 0\.5 s: ask for times from 0 to 0\.08 s"):
        frames_on_display(index, [0.01, 0.5])
    assert frames_on_display(index, [0.119]).tolist() == [1], "one frame's length past the end is forgiven"


def test_while_sound_goes_on_the_last_frame_stays() -> None:
    index = index_by_time([packet(0, key=True), packet(40)], Clock(Fraction(1, 1000), 0.0, 3.0))
    assert frames_on_display(index, [2.9]).tolist() == [1]


def test_a_frame_that_comes_out_after_a_later_one_has_a_wrong_time() -> None:
    index = index_by_time([packet(0, key=True), packet(90), packet(40), packet(120)], MS)
    assert frames_that_came(index, [0, 1, 2, 3]).tolist() == [True, False, True, True]
    assert frames_that_came(index, [0, 2, 3]).tolist() == [True, True, False, True], "and what does not come out is not there"


def test_the_last_kept_frame_stays_until_the_next_one_would_have_come() -> None:
    index = index_by_time([packet(0, key=True), packet(40), packet(100, lasts=10)], MS)
    assert keep_frames(index, np.array([True, True, True])).last_s == pytest.approx(0.01)
    assert keep_frames(index, np.array([True, True, False])).last_s == pytest.approx(0.06)
    with pytest.raises(InputError, match="No frame"):
        keep_frames(index, np.zeros(3, dtype=bool))


def test_streams_without_frames_or_times_are_refused() -> None:
    with pytest.raises(InputError, match="No frame"):
        index_by_time([packet(0, key=True, hidden=True)], MS)
    with pytest.raises(InputError, match="no time stamps"):
        index_by_count([packet(None, key=True)], [0], MS)
