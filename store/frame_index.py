"""Which packet holds which frame, and what must be decoded to show it. Pure numpy: no file is touched.

A file lists its packets in the order in which they are decoded; frames are shown in another order. A packet's place in
decode order is its *position*, and a frame's place in the order shown is its *number*.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from store.errors import InputError

TOLERANCE_S = 1e-5  # browsers report times cut to whole microseconds, which may fall just before the frame shown
_GAP_PACKETS = 8  # a gap that is cheaper to decode than to jump

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Seconds = NDArray[np.float64]


class Packet(NamedTuple):
    """What a container says about one packet of a video stream; times in ticks."""

    pts: int | None  # when it is shown
    dts: int | None  # when it is decoded
    duration: int  # 0: unknown
    size: int  # bytes
    key: bool  # decoding may begin here
    hidden: bool  # decoded, but an edit list keeps it from being shown


class Clock(NamedTuple):
    """How ticks of a stream become seconds of the clip."""

    tick_s: Fraction
    sound_begin_s: float | None  # on the stream's clock; None: no sound
    sound_end_s: float | None


@dataclass(frozen=True, eq=False)
class FrameIndex:
    """The frames of one video stream (n of them) in the order shown, tied to the packets (p of them) that hold them."""

    packets: Sequence[Packet]  # p, in decode order
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
        return self.ticks * self.tick_s.numerator / self.tick_s.denominator - self.start_s

    @cached_property
    def starts(self) -> Ints:
        """The packet (n,) from which decoding must begin to get each frame.

        It is the last key packet that is neither after the frame in decode order nor shown after it: a frame that
        follows a key packet but is shown before it (an open group) needs what came earlier.
        """
        return np.array([self._start(position) for position in self.positions.tolist()], dtype=np.int64)

    @cached_property
    def _keys(self) -> list[int]:
        return [position for position, packet in enumerate(self.packets) if packet.key]

    @cached_property
    def early(self) -> Bools:
        """Which frames (n,) are shown before the first key packet: what they rest on may have been cut away."""
        return np.array([self._is_early(position) for position in self.positions.tolist()], dtype=np.bool_)

    def _is_early(self, position: int) -> bool:
        return self.timed and bool(self._keys) and self.shown_earlier(position, self._keys[0])

    def spreads(self, damage: Iterable[int]) -> Ints:
        """Return the damaged packets (m,), ascending, that other frames rest on: early ones serve none that is shown later."""
        return np.array(sorted(position for position in damage if not self._is_early(position)), dtype=np.int64)

    @cached_property
    def _places(self) -> dict[tuple[int | None, int], int]:
        return {(packet.pts, packet.size): position for position, packet in enumerate(self.packets)}

    def place(self, pts: int | None, size: int) -> int:
        """Return the position of the packet with this time and size, or -1 when none has them."""
        return self._places.get((pts, size), -1)

    def is_at(self, position: int, pts: int | None, size: int) -> bool:
        """Return whether the packet at a position has this time and size."""
        if position >= len(self.packets):
            return False
        listed = self.packets[position]
        return (listed.pts, listed.size) == (pts, size)

    def _start(self, position: int) -> int:
        if not self.timed:
            return 0
        key = self.key_before(position + 1)
        while key > 0 and self.shown_earlier(position, key):
            key = self.key_before(key)
        return key

    def key_before(self, position: int) -> int:
        """Return the last key packet before a packet, or 0 when there is none."""
        which = int(np.searchsorted(self._keys, position, side="left")) - 1
        return self._keys[which] if which > 0 else 0

    def shown_earlier(self, position: int, key: int) -> bool:
        """Return whether one packet is shown before another."""
        return (self.packets[position].pts or 0) < (self.packets[key].pts or 0)


class Run(NamedTuple):
    """A stretch of packets to decode in one go, and the packets in it whose frames are wanted."""

    start: int
    stop: int  # exclusive
    wanted: frozenset[int]


def index_by_time(packets: Sequence[Packet], clock: Clock) -> FrameIndex:
    """Return the index of a stream whose packets say when they are shown.

    Of packets with the same time the last one counts: VP8 puts a frame that only serves others just before the shown one.
    Raises InputError when no packet is shown.
    """
    shown = {packet.pts or 0: position for position, packet in enumerate(packets) if not packet.hidden}
    ticks = sorted(shown)
    return _index(packets, [shown[tick] for tick in ticks], ticks, clock, timed=True)


def index_by_count(packets: Sequence[Packet], shown: Iterable[int], clock: Clock) -> FrameIndex:
    """Return the index of a stream whose packets come at fixed times but do not say when they are shown, as in AVI.

    shown: the packets whose frames came out of a decoder, in that order: the k-th one is shown at the k-th time.
    Raises InputError when there is none, or when packets have no time at all.
    """
    order = list(shown)
    times = [_first_known(packets[position]) for position in order]
    if None in times:
        raise InputError("The file holds no time stamps: convert it to MP4.")
    return _index(packets, order, sorted(time for time in times if time is not None), clock, timed=False)


def _first_known(packet: Packet) -> int | None:
    return packet.dts if packet.dts is not None else packet.pts


def _index(packets: Sequence[Packet], positions: list[int], ticks: list[int], clock: Clock, *, timed: bool) -> FrameIndex:
    if not positions:
        raise InputError("No frame of the file is shown or can be decoded: copy it again or convert it.")
    first_s = float(ticks[0] * clock.tick_s)
    # Sound before 0 is the run-up of its codec and is not heard.
    begin_s = first_s if clock.sound_begin_s is None else max(0.0, clock.sound_begin_s)
    start_s = min(first_s, begin_s)
    gap = packets[positions[-1]].duration or (int(np.median(np.diff(ticks))) if len(ticks) > 1 else 0)
    picture_end_s = float((ticks[-1] + gap) * clock.tick_s)
    return FrameIndex(
        packets=packets,
        positions=np.array(positions, dtype=np.int64),
        ticks=np.array(ticks, dtype=np.int64),
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


def runs_for(index: FrameIndex, numbers: Ints) -> list[Run]:
    """Return the stretches to decode, in file order, that bring out the frames of these numbers."""
    pairs = sorted(zip(index.starts[numbers].tolist(), index.positions[numbers].tolist(), strict=True))
    runs: list[Run] = []
    for start, position in pairs:
        last = runs[-1] if runs else None
        if last and start < last.stop + _GAP_PACKETS:
            runs[-1] = Run(last.start, max(last.stop, position + 1), last.wanted | {position})
        else:
            runs.append(Run(start, position + 1, frozenset({position})))
    return runs


def sound_frames(index: FrameIndex, damage: set[int]) -> Bools:
    """Return which frames (n,) do not rest on a damaged packet.

    One damaged packet spoils every frame decoded after it, up to the next key packet: decoders hide that by repeating
    what they have, and mark only a part of what they spoil.
    """
    hurt = index.spreads(damage)
    before = np.searchsorted(hurt, index.starts, side="left")
    up_to = np.searchsorted(hurt, index.positions, side="right")
    return np.equal(before, up_to) & ~np.isin(index.positions, sorted(damage))


def frames_that_came(index: FrameIndex, came: Iterable[int]) -> Bools:
    """Return which frames (n,) a decoder brought out, and not after a later one.

    came: the packets of the frames in the order in which they came out. A frame that comes out late has a wrong time.
    """
    number_of = {position: number for number, position in enumerate(index.positions.tolist())}
    kept = np.zeros(len(index.positions), dtype=np.bool_)
    latest = -1
    for number in (number_of.get(position, -1) for position in came):
        if number > latest:
            kept[number], latest = True, number
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
