"""Which packet holds which frame: properties over made-up streams, checked against the plain definition."""

import sys
import tracemalloc
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from store.errors import InputError
from store.frame_index import (
    NO_TIME,
    Clock,
    FrameIndex,
    frames_on_display,
    frames_that_came,
    frames_within,
    index_by_count,
    index_by_time,
    keep_frames,
    packet_list,
    run_through,
    runs_for,
    sound_frames,
)

Row = tuple[int, int, int, int, bool, bool]

MS = Clock(Fraction(1, 1000), None, None)


def packet(pts: int = NO_TIME, *, key: bool = False, hidden: bool = False, dts: int = NO_TIME, lasts: int = 40) -> Row:
    return pts, dts, lasts, 100, key, hidden


def timed(*rows: Row, clock: Clock = MS) -> FrameIndex:
    return index_by_time(packet_list(rows), clock)


@st.composite
def streams(draw: st.DrawFn) -> FrameIndex:
    """Streams whose groups begin with a key packet; some groups are open: frames after the key are shown before it."""
    packets: list[Row] = []
    at = draw(st.integers(0, 50))
    for number in range(draw(st.integers(1, 6))):
        leading = draw(st.integers(0, 2)) if number else 0
        times = [at + draw(st.integers(1, 60)) * (place + 1) for place in range(leading)]
        at = max(times, default=at) + draw(st.integers(1, 60))
        packets += [packet(at, key=True), *(packet(time) for time in times)]
        trailing = [at + step for step in np.cumsum(draw(st.lists(st.integers(1, 60), max_size=6))).tolist()]
        at = max(trailing, default=at)
        packets += [packet(time) for time in draw(st.permutations(trailing))]
    return timed(*packets)


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
        assert index.packets["key"][start]
        assert start <= position
        assert index.packets["pts"][start] <= index.packets["pts"][position]
        later_keys = [p for p in range(start + 1, position + 1) if index.packets["key"][p]]
        assert all(index.packets["pts"][position] < index.packets["pts"][key] for key in later_keys), "no nearer one would do"


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
    assert [index.is_sound(number, damage) for number in range(len(index.ticks))] == expected, "one by one as all at once"


@given(streams())
def test_a_frame_is_settled_when_all_that_is_decoded_before_it_has_been_shown(index: FrameIndex) -> None:
    for number, position in enumerate(index.positions.tolist()):
        assert index.settled[number] == max(n for n, p in enumerate(index.positions.tolist()) if p <= position)


@given(streams(), st.data())
def test_a_span_holds_the_frames_on_display_in_it_and_one_run_brings_them_out(index: FrameIndex, data: st.DataObject) -> None:
    start_s, end_s = sorted(data.draw(st.lists(st.floats(0, index.end_s), min_size=2, max_size=2)))
    assume(end_s - start_s > 1e-3)
    numbers = frames_within(index, start_s, end_s)
    asked = frames_on_display(index, np.linspace(start_s, end_s - 1e-4, 50))
    assert set(asked.tolist()) <= set(numbers)
    assert all(index.times_s[number] < end_s for number in numbers[1:])
    run = run_through(index, numbers)
    for number in numbers:
        assert run.start <= index.starts[number] <= index.positions[number] < run.stop
        assert index.positions[number] in run.wanted


@pytest.mark.parametrize("span", [(0.02, 0.02), (0.05, 0.01), (float("nan"), 0.05), (0.0, float("nan")), (0.0, 9.0), (-1.0, 0.05)])
def test_a_span_that_holds_no_frame_is_refused(span: tuple[float, float]) -> None:
    index = timed(packet(0, key=True), packet(40))
    assert frames_within(index, 0.0, None) == range(2)
    with pytest.raises(InputError):
        frames_within(index, *span)


def test_times_that_go_back_are_two_recordings_and_no_index() -> None:
    rows = [packet(0, key=True), packet(40), packet(80, key=True), packet(120)]
    assert len(timed(*rows).ticks) == 4
    with pytest.raises(InputError, match=r"go back, from 0\.080 to 0\.000 s"):
        timed(*rows, *rows)


def test_an_hour_of_packets_is_listed_in_a_few_megabytes() -> None:
    frames = 3600 * 30
    tracemalloc.start()
    index = index_by_time(packet_list(packet(40 * number, key=number % 250 == 0) for number in range(frames)), MS)
    assert index.starts[-1] == 107_750 and index.settled[-1] == frames - 1 and index.place(40, 100) == 1
    kept, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 12e6 and most < 30e6
    assert frames * sys.getsizeof(packet(0)) > 8e6, "the control: the tuples alone, without the numbers in them"


def test_damage_before_the_first_key_frame_is_shown_spoils_only_itself() -> None:
    index = timed(packet(80, key=True), packet(0), packet(40), packet(120))
    assert index.early.tolist() == [True, True, False, False]
    assert sound_frames(index, {1}).tolist() == [False, True, True, True]
    assert sound_frames(index, {0}).tolist() == [False, False, False, False], "the control: the key packet serves them all"


def test_hidden_packets_are_decoded_but_not_shown() -> None:
    index = timed(packet(-80, key=True, hidden=True), packet(-40, hidden=True), packet(0), packet(40))
    assert index.times_s.tolist() == [0.0, 0.04]
    assert index.starts.tolist() == [0, 0]


def test_of_packets_with_one_time_the_last_is_shown() -> None:
    index = timed(packet(0, key=True), packet(40), packet(40), packet(80))
    assert index.positions.tolist() == [0, 2, 3]


def test_counted_frames_take_the_times_in_order() -> None:
    packets = packet_list(packet(dts=dts, key=not dts) for dts in (0, 40, 80, 120))
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
    index = timed(packet(first_ms, key=True), packet(first_ms + 40), clock=clock)
    assert index.times_s == pytest.approx(times_s)


@pytest.mark.parametrize("asked", [[-0.001], [float("nan")], [float("inf")], [0.5], [0.0, 9.0], [], [[0.0]], 0.0])
def test_times_outside_the_file_are_refused(asked: object) -> None:
    index = timed(packet(0, key=True), packet(40))
    with pytest.raises(InputError):
        frames_on_display(index, asked)  # type: ignore[arg-type]


def test_the_refusal_names_the_value_and_the_range() -> None:
    index = timed(packet(0, key=True), packet(40))
    with pytest.raises(InputError, match=r"no frame at 0\.5 s: ask for times from 0 to 0\.08 s"):
        frames_on_display(index, [0.01, 0.5])
    assert frames_on_display(index, [0.119]).tolist() == [1], "one frame's length past the end is forgiven"


def test_while_sound_goes_on_the_last_frame_stays() -> None:
    index = timed(packet(0, key=True), packet(40), clock=Clock(Fraction(1, 1000), 0.0, 3.0))
    assert frames_on_display(index, [2.9]).tolist() == [1]


def test_a_frame_that_comes_out_after_a_later_one_has_a_wrong_time() -> None:
    index = timed(packet(0, key=True), packet(90), packet(40), packet(120))
    assert frames_that_came(index, [0, 1, 2, 3]).tolist() == [True, False, True, True]
    assert frames_that_came(index, [0, 2, 3]).tolist() == [True, True, False, True], "and what does not come out is not there"


def test_the_last_kept_frame_stays_until_the_next_one_would_have_come() -> None:
    index = timed(packet(0, key=True), packet(40), packet(100, lasts=10))
    assert keep_frames(index, np.array([True, True, True])).last_s == pytest.approx(0.01)
    assert keep_frames(index, np.array([True, True, False])).last_s == pytest.approx(0.06)
    with pytest.raises(InputError, match="No frame"):
        keep_frames(index, np.zeros(3, dtype=bool))


def test_streams_without_frames_or_times_are_refused() -> None:
    with pytest.raises(InputError, match="No frame"):
        timed(packet(0, key=True, hidden=True))
    with pytest.raises(InputError, match="no time stamps"):
        index_by_count(packet_list([packet(key=True)]), [0], MS)
