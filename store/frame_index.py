"""Which packet holds which frame, and what must be decoded to show it. Pure numpy: no file is touched.

A file lists its packets in the order in which they are decoded; frames are shown in another order. A packet's place in
decode order is its *position*, and a frame's place in the order shown is its *number*. The list takes 34 bytes a packet
and the index some 50 more: 9 MB for an hour at 30 frames a second.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from store.errors import InputError

TOLERANCE_S = 1e-5  # browsers report times cut to whole microseconds, which may fall just before the frame shown
NO_TIME = -(2**63)  # ticks; FFmpeg's own mark
_GAP_PACKETS = 8  # a gap that is cheaper to decode than to jump

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Seconds = NDArray[np.float64]

# What a container says about each packet of a video stream: when it is shown and decoded (ticks or NO_TIME), how long it lasts
# (ticks, 0: unknown), its bytes, whether decoding may begin there, and whether it is decoded but kept from being shown (edit list).
PACKET = np.dtype([("pts", "<i8"), ("dts", "<i8"), ("lasts", "<i8"), ("size", "<i8"), ("key", "?"), ("hidden", "?")])
Packets = NDArray[np.void]  # (p,) of PACKET, in decode order


class Clock(NamedTuple):
    """How ticks of a stream become seconds of the clip."""

    tick_s: Fraction
    sound_begin_s: float | None  # on the stream's clock; None: no sound
    sound_end_s: float | None


@dataclass(frozen=True, eq=False)
class FrameIndex:
    """The frames of one video stream (n of them) in the order shown, tied to the packets (p of them) that hold them."""

    packets: Packets  # (p,)
    positions: Ints  # (n,) the packet of each frame
    ticks: Ints  # (n,) when each frame is shown, ascending
    tick_s: Fraction
    start_s: float  # on the stream's clock: what the clip's clock calls 0
    last_s: float  # how long the last frame stays
    end_s: float  # on the clip's clock: the end of picture and sound
    timed: bool  # False: packets do not tell when they are shown, so decoding begins at the first one

    @cached_property
    def times_s(self) -> Seconds:
        """When each frame is shown on the clip's clock: (n,) float64 seconds, ascending."""
        return self.ticks.astype(np.float64) * self.tick_s.numerator / self.tick_s.denominator - self.start_s

    @property
    def picture_end_s(self) -> float:
        """When the last frame has been shown for its own time, on the clip's clock."""
        return float(self.times_s[-1] + self.last_s)

    @cached_property
    def starts(self) -> Ints:
        """The packet (n,) from which decoding must begin to get each frame.

        It is the last key packet that is neither after the frame in decode order nor shown after it: a frame that
        follows a key packet but is shown before it (an open group) needs what came earlier.
        """
        keys, pts = self._keys, self.packets["pts"]
        if not self.timed or not len(keys):
            return np.zeros(len(self.positions), dtype=np.int64)
        which = np.searchsorted(keys, self.positions, side="right") - 1
        open_ones = np.flatnonzero(which > 0)
        while len(open_ones := open_ones[pts[keys[which[open_ones]]] > pts[self.positions[open_ones]]]):
            which[open_ones] -= 1
            open_ones = open_ones[which[open_ones] > 0]
        return np.where(which > 0, keys[which], 0)

    @cached_property
    def _keys(self) -> Ints:
        return np.flatnonzero(self.packets["key"])

    @cached_property
    def early_packets(self) -> Bools:
        """Which packets (p,) are shown before the first key packet: what they rest on may have been cut away."""
        if not self.timed or not len(self._keys):
            return np.zeros(len(self.packets), dtype=np.bool_)
        early: Bools = self.packets["pts"] < self.packets["pts"][self._keys[0]]
        return early

    @cached_property
    def early(self) -> Bools:
        """Which frames (n,) are shown before the first key packet."""
        return self.early_packets[self.positions]

    @cached_property
    def numbers(self) -> Ints:
        """The number (p,) of the frame that each packet holds, or -1."""
        numbers = np.full(len(self.packets), -1, dtype=np.int64)
        numbers[self.positions] = np.arange(len(self.positions))
        return numbers

    @cached_property
    def settled(self) -> Ints:
        """The number (n,) of the frame with which all is known about each: the last one shown of those decoded before it."""
        return np.maximum.accumulate(self.numbers)[self.positions]

    def place(self, pts: int | None, size: int) -> int:
        """Return the position of the packet with this time and size, or -1 when none has them."""
        found = np.flatnonzero((self.packets["pts"] == (NO_TIME if pts is None else pts)) & (self.packets["size"] == size))
        return int(found[-1]) if len(found) else -1

    def is_at(self, position: int, pts: int | None, size: int) -> bool:
        """Return whether the packet at a position has this time and size."""
        if position >= len(self.packets):
            return False
        listed = self.packets[position]
        return bool(listed["pts"] == (NO_TIME if pts is None else pts) and listed["size"] == size)

    def key_before(self, position: int) -> int:
        """Return the last key packet before a packet, or 0 when there is none."""
        which = int(np.searchsorted(self._keys, position, side="left")) - 1
        return int(self._keys[which]) if which > 0 else 0

    def leads(self, position: int, key: int) -> bool:
        """Return whether a packet follows a key packet, is shown before it, and so needs what came before that: none after it needs it."""
        pts = self.packets["pts"]
        return bool(pts[position] < pts[key]) and not self.packets["key"][key + 1 : position + 1].any()

    def is_sound(self, number: int, damage: Collection[int]) -> bool:
        """Return whether a frame does not rest on a damaged packet, as `sound_frames` says for all of them."""
        position, start = int(self.positions[number]), int(self.starts[number])
        return position not in damage and not any(start <= hurt < position and not self.early_packets[hurt] for hurt in damage)


class Run(NamedTuple):
    """A stretch of packets to decode in one go, and the packets in it whose frames are wanted."""

    start: int
    stop: int  # exclusive
    wanted: Collection[int]


def packet_list(rows: Iterable[tuple[int, int, int, int, bool, bool]]) -> Packets:
    """Return the packets of a stream in decode order, as compact columns; rows as in PACKET."""
    return np.fromiter(rows, dtype=PACKET)


def index_by_time(packets: Packets, clock: Clock) -> FrameIndex:
    """Return the index of a stream whose packets say when they are shown.

    Of packets with the same time the last one counts: VP8 puts a frame that only serves others just before the shown one.
    Raises InputError when no packet is shown, and when the times of key packets go back: two recordings behind each other.
    """
    keys_s = packets["pts"][packets["key"] & ~packets["hidden"]] * float(clock.tick_s)
    back = np.flatnonzero(np.diff(keys_s) < 0)
    if len(back):
        before_s, after_s = keys_s[back[0]], keys_s[back[0] + 1]
        raise InputError(f"The time stamps of the file go back, from {before_s:.3f} to {after_s:.3f} s: cut it there, or convert it to MP4.")
    shown = np.flatnonzero(~packets["hidden"])
    in_time = shown[np.argsort(packets["pts"][shown], kind="stable")]
    last_of_its_time = np.append(np.diff(packets["pts"][in_time]) != 0, True)[: len(in_time)]
    positions = in_time[last_of_its_time]
    return _index(packets, positions, packets["pts"][positions], clock, timed=True)


def index_by_count(packets: Packets, shown: Iterable[int], clock: Clock) -> FrameIndex:
    """Return the index of a stream whose packets come at fixed times but do not say when they are shown, as in AVI.

    shown: the packets whose frames came out of a decoder, in that order: the k-th one is shown at the k-th time.
    Raises InputError when there is none, or when packets have no time at all.
    """
    order = np.fromiter(shown, dtype=np.int64)
    dts, pts = packets["dts"][order], packets["pts"][order]
    times = np.where(dts != NO_TIME, dts, pts)
    if (times == NO_TIME).any():
        raise InputError("The file holds no time stamps: convert it to MP4.")
    return _index(packets, order, np.sort(times), clock, timed=False)


def _index(packets: Packets, positions: Ints, ticks: Ints, clock: Clock, *, timed: bool) -> FrameIndex:
    if not len(positions):
        raise InputError("No frame of the file is shown or can be decoded: copy it again or convert it.")
    first_s = float(int(ticks[0]) * clock.tick_s)
    # Sound before 0 is the run-up of its codec and is not heard.
    begin_s = first_s if clock.sound_begin_s is None else max(0.0, clock.sound_begin_s)
    start_s = min(first_s, begin_s)
    gap = int(packets["lasts"][positions[-1]]) or (int(np.median(np.diff(ticks))) if len(ticks) > 1 else 0)
    picture_end_s = float((int(ticks[-1]) + gap) * clock.tick_s)
    return FrameIndex(
        packets=packets,
        positions=positions.astype(np.int64),
        ticks=ticks.astype(np.int64),
        tick_s=clock.tick_s,
        start_s=start_s,
        last_s=float(gap * clock.tick_s),
        end_s=max(picture_end_s, clock.sound_end_s or 0.0) - start_s,
        timed=timed,
    )


def frames_on_display(index: FrameIndex, asked_s: ArrayLike) -> Ints:
    """Return the number of the frame that a browser shows at each asked time: the last one that has begun.

    asked_s: (m,) seconds on the clip's clock, in any order. Before the first frame that one is shown; after the last
    one the last, up to one frame's length past the end of picture and sound.
    Raises InputError when no time is asked for, or one is not a number, negative, or past the end.
    """
    asked = np.asarray(asked_s, dtype=np.float64)
    if asked.ndim != 1 or not len(asked):
        raise InputError(f"Frames are read at a list of times in seconds; one of shape {asked.shape} was given.")
    limit_s = index.end_s + index.last_s + TOLERANCE_S
    outside = asked[~((asked >= -TOLERANCE_S) & (asked <= limit_s))]
    if len(outside):
        raise InputError(f"There is no frame at {outside[0]:.6g} s: ask for times from 0 to {index.end_s:.6g} s.")
    numbers = np.searchsorted(index.times_s, asked + TOLERANCE_S, side="right") - 1
    return np.clip(numbers, 0, len(index.ticks) - 1).astype(np.int64)


def frames_within(index: FrameIndex, start_s: float, end_s: float | None) -> range:
    """Return the numbers of the frames that are on display somewhere in [start_s, end_s), on the clip's clock.

    None: up to the end of the last frame. Raises InputError when the span is empty or not within the file.
    """
    until_s = index.picture_end_s if end_s is None else end_s
    first = int(frames_on_display(index, [start_s, until_s])[0])
    if not start_s < until_s:
        raise InputError(f"A span from {start_s:.6g} to {until_s:.6g} s holds no frame: give a start before the end.")
    begun = int(np.searchsorted(index.times_s, until_s - TOLERANCE_S, side="left"))
    return range(first, max(first + 1, begun))


def runs_for(index: FrameIndex, numbers: Ints) -> list[Run]:
    """Return the stretches to decode, in file order, that bring out the frames of these numbers."""
    pairs = sorted(zip(index.starts[numbers].tolist(), index.positions[numbers].tolist(), strict=True))
    runs: list[tuple[int, int, set[int]]] = []
    for start, position in pairs:
        if runs and start < runs[-1][1] + _GAP_PACKETS:
            first, stop, wanted = runs[-1]
            runs[-1] = first, max(stop, position + 1), wanted | {position}
        else:
            runs.append((start, position + 1, {position}))
    return [Run(start, stop, frozenset(wanted)) for start, stop, wanted in runs]


def run_through(index: FrameIndex, numbers: range) -> Run:
    """Return the one stretch to decode that brings out all frames of these numbers."""
    positions, starts = (column[numbers.start : numbers.stop] for column in (index.positions, index.starts))
    stop = int(positions.max()) + 1
    return Run(int(starts.min()), stop, range(int(positions.min()), stop))


def sound_frames(index: FrameIndex, damage: Collection[int]) -> Bools:
    """Return which frames (n,) do not rest on a damaged packet.

    One damaged packet spoils every frame decoded after it, up to the next key packet: decoders hide that by repeating
    what they have, and mark only a part of what they spoil. Early packets serve no frame that is shown later.
    """
    hurt = np.array(sorted(damage), dtype=np.int64)
    spreads = hurt[~index.early_packets[hurt]]
    before = np.searchsorted(spreads, index.starts, side="left")
    up_to = np.searchsorted(spreads, index.positions, side="right")
    return np.equal(before, up_to) & ~np.isin(index.positions, hurt)


def frames_that_came(index: FrameIndex, came: Iterable[int]) -> Bools:
    """Return which frames (n,) a decoder brought out, and not after a later one.

    came: the packets of the frames in the order in which they came out. A frame that comes out late has a wrong time.
    """
    numbers = index.numbers[np.fromiter(came, dtype=np.int64)]
    latest_before = np.maximum.accumulate(np.append(-1, numbers))[:-1]
    kept = np.zeros(len(index.positions), dtype=np.bool_)
    kept[numbers[numbers > latest_before]] = True
    return kept


def keep_frames(index: FrameIndex, kept: Bools) -> FrameIndex:
    """Return the index with only the frames where `kept` (n,) holds; the packets stay as they are.

    Raises InputError when no frame is kept.
    """
    numbers = np.flatnonzero(kept)
    if not len(numbers):
        raise InputError("No frame of the file can be decoded: copy it again or convert it.")
    last = int(numbers[-1])
    last_s = index.last_s if last == len(kept) - 1 else float(index.times_s[last + 1] - index.times_s[last])
    return replace(index, positions=index.positions[kept], ticks=index.ticks[kept], last_s=last_s)
