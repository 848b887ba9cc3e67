"""Open video files: which frames they hold, and decoding those that are wanted. PyAV is imported inside functions.

In what comes out of the decoder the `pts` of a frame is the position of its packet; its time is looked up in the index.
"""

import contextlib
import errno
import os
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from store.containers import boxes_of
from store.errors import InputError
from store.frame_index import NO_TIME, Clock, FrameIndex, Packets, Run, index_by_count, index_by_time, packet_list, run_through
from store.media_files import open_source
from store.pictures import Canvas

if TYPE_CHECKING:
    import av
    from av.container import InputContainer

# Formats that name other files (playlists, concat lists) are left out: a given file must not open another one.
_FORMATS = "mov,matroska,avi,flv,mpegts,mpeg,asf,gif,ogg"
_SKIPPING_CODECS = {"h264", "hevc"}  # their decoders can leave out, packet by packet, frames that no other one needs


@dataclass(frozen=True, eq=False)
class Video:
    """An open file with the index of its frames."""

    path: Path
    container: "InputContainer"
    stream: "av.VideoStream"
    index: FrameIndex
    canvas: Canvas
    reach_s: float  # end of the last packet of any stream, on the container's clock


class Judged(NamedTuple):
    """A frame that came out, and whether it rests on damage."""

    number: int
    frame: "av.VideoFrame"
    sound: bool


# ---- opening -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def opened(path: Path | str) -> Iterator[Video]:
    """Yield an open video with its index. Cost: reading the file once; AVI, which keeps no presentation times, is decoded.

    Raises NotFoundError when there is no file, InputError with a sentence when it is no video.
    """
    path = Path(path)
    with streams(path) as (container, stream):
        canvas = canvas_of(stream)
        packets, spans_s = _list_packets(container, stream)
        heard_s = [spans_s[audio.index] for audio in container.streams.audio if audio.index in spans_s]
        clock = Clock(
            tick_s=stream.time_base or Fraction(1),
            sound_begin_s=min((begin_s for begin_s, _ in heard_s), default=None),
            sound_end_s=max((end_s for _, end_s in heard_s), default=None),
        )
        if container.format.name == "avi" or (packets["pts"] == NO_TIME).any():
            index = index_by_count(packets, (frame.pts or 0 for frame in every_frame(path, set())), clock)
        else:
            index = index_by_time(packets, clock)
        if container.format.name == "gif" and len(index.ticks) == 1:
            raise InputError(f"{path.name} is a still picture or a malformed GIF (one frame): give a video.")
        yield Video(path, container, stream, index, canvas, max((end_s for _, end_s in spans_s.values()), default=0.0))


@contextlib.contextmanager
def streams(path: Path) -> "Iterator[tuple[InputContainer, av.VideoStream]]":
    """Yield a container and its first video stream, ready to be decoded on one core."""
    import av

    with open_source(path) as source:
        if not source.read(1):
            raise InputError(f"{path.name} is empty (0 bytes): copy it again.")
    options = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}
    try:
        # An absolute path, so that a name such as "concat:a.mp4" is not taken for a protocol.
        container = av.open(str(path.absolute()), options=options, metadata_errors="replace")
    except av.FFmpegError as problem:
        raise InputError(_why_unreadable(path, problem.strerror)) from problem
    with container:
        stream = _picture_stream(path, container)
        stream.codec_context.thread_type = "NONE"  # so that an error belongs to the packet just given
        stream.codec_context.thread_count = 1
        yield container, stream


def canvas_of(stream: "av.VideoStream") -> Canvas:
    """Return the size of a stream's pictures, before any is decoded."""
    return Canvas(stream.codec_context.width, stream.codec_context.height, stream.sample_aspect_ratio or Fraction(1))


def _why_unreadable(path: Path, said: str | None) -> str:
    with open_source(path) as source:
        boxes = boxes_of(source)
    if said == os.strerror(errno.EINVAL):  # how a format outside _FORMATS is refused
        return f"{path.name} is a picture, a playlist or another kind of file that is not taken for a video: give a video."
    if boxes.kinds and "moov" not in boxes.kinds:
        return f"{path.name} has no index (moov): the file was cut off or never finished. Copy or record it again."
    return f"{path.name} is not a video that can be read ({said}): check that it is a video file and whole."


def _picture_stream(path: Path, container: "InputContainer") -> "av.VideoStream":
    """Return the stream that a browser shows: the first one that is not a cover picture."""
    from av.stream import Disposition

    moving = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    if not moving:
        raise InputError(f"{path.name} holds no moving picture, only sound or other data: give a video.")
    if moving[0].codec_context is None:
        raise InputError(f"{path.name} is in a video format that no decoder here knows: convert it to H.264.")
    return moving[0]


def _list_packets(container: "InputContainer", stream: "av.VideoStream") -> tuple[Packets, dict[int, tuple[float, float]]]:
    """Return the packets of the video, and begin and end of each stream in seconds; nothing is decoded."""
    spans: dict[int, tuple[int, int]] = {}

    def rows() -> Iterator[tuple[int, int, int, int, bool, bool]]:
        for packet in demuxed(container, *container.streams):
            pts, lasts, which = packet.pts, packet.duration or 0, packet.stream_index
            if pts is not None and not packet.is_discard:
                begin, end = spans.get(which, (pts, pts))
                spans[which] = min(begin, pts), max(end, pts + lasts)
            if which == stream.index:
                dts = packet.dts
                yield (NO_TIME if pts is None else pts, NO_TIME if dts is None else dts, lasts, packet.size, packet.is_keyframe, packet.is_discard)

    packets = packet_list(rows())
    tick_s = {each.index: each.time_base or Fraction(1) for each in container.streams}
    return packets, {i: (float(begin * tick_s[i]), float(end * tick_s[i])) for i, (begin, end) in spans.items()}


def demuxed(container: "InputContainer", *which: "av.stream.Stream") -> "Iterator[av.Packet[av.stream.Stream]]":
    """Yield the packets of these streams as far as the file can be read."""
    import av

    # IndexError: PyAV raises it after the last packet when a stream appeared on the way that was not there at first.
    with contextlib.suppress(av.FFmpegError, IndexError):
        for packet in container.demux(*which):
            if packet.size:
                yield packet


# ---- decoding ------------------------------------------------------------------------------------------------------


def decode(stream: "av.VideoStream", packet: "av.Packet[av.stream.Stream] | None", position: int, damage: set[int]) -> "list[av.VideoFrame]":
    """Decode one packet, or drain the decoder with None; `pts` of a frame becomes the position of its packet.

    Adds to `damage` the positions of packets that fail and of frames that the decoder marks as corrupt.
    """
    import av

    if packet is not None:
        if packet.is_corrupt:
            damage.add(position)
        packet.pts = position  # decoders only hand it on, and the real time can be missing or wrong
    try:
        frames = stream.codec_context.decode(packet)
    except MemoryError:
        raise  # PyAV's is an FFmpegError too, but of the machine: where tables of a file lie about sizes, opening and listing fail already
    except av.FFmpegError:
        damage.add(position)
        return []
    for frame in frames:
        if frame.is_corrupt:
            damage.add(frame.pts or 0)
    return frames


def every_frame(path: Path, damage: set[int]) -> "Iterator[av.VideoFrame]":
    """Yield all frames of a file in the order shown, `pts` being the position of their packet."""
    with streams(path) as (container, stream):
        position = 0
        for position, packet in enumerate(demuxed(container, stream)):
            yield from decode(stream, packet, position, damage)
        yield from decode(stream, None, position, damage)


def first_frame(path: Path) -> "av.VideoFrame":
    """Return the first frame of a file that comes out. Raises InputError when none does."""
    for frame in every_frame(path, set()):
        return frame
    raise InputError(f"No frame of {path.name} can be decoded: copy it again or convert it.")


def bring_out(video: Video, run: Run, take: "Callable[[av.VideoFrame], None]") -> set[int]:
    """Decode a run and hand over its wanted frames; where one does not come out whole, begin at an earlier key packet.

    Returns the packets of wanted frames that did not come because what they rest on was cut away before the first key
    packet. Raises InputError when others do not come.
    """
    index = video.index
    lost: set[int] = set()
    for start in _earlier_starts(index, run.start):
        came: set[int] = set()
        damage: set[int] = set()
        for frame in _run_frames(video, run._replace(start=start), damage):
            came.add(frame.pts or 0)
            if frame.pts in run.wanted:
                take(frame)
        lost = {position for position in run.wanted if position not in came or not index.is_sound(int(index.numbers[position]), damage)}
        if not lost:
            return lost
    spoilt = [int(index.numbers[position]) for position in lost if not index.early_packets[position] or index.early.all()]
    if spoilt:
        raise InputError(
            f"The frame at {index.times_s[min(spoilt)]:.3f} s of {video.path.name} does not decode: the file is damaged there. "
            "Replace the file, or leave this stretch out."
        )
    return lost


def frames_through(video: Video, numbers: range, is_rough: bool = False) -> Iterator[Judged]:
    """Yield the frames of these numbers that come out, in the order shown, decoding once and holding a few at a time.

    Where the first one does not come out whole, decoding begins at an earlier key packet. is_rough: edges of blocks are
    not smoothed in frames that no other one needs, for 7 % of the time.
    """
    run = run_through(video.index, numbers)
    if not run.start:
        video.container.close()  # the beginning is read from the file opened anew; the tables of a film take megabytes
    for start in _earlier_starts(video.index, run.start):
        coming = (each for each in _judged(video, run._replace(start=start), is_rough) if each.number in numbers)
        first = next(coming, None)
        if first and (not start or (first.number == numbers.start and first.sound)):
            yield first
            yield from coming
            return


def _judged(video: Video, run: Run, is_rough: bool) -> Iterator[Judged]:
    """Yield the frames of a run once it is known whether they rest on damage; those that come too late are left out."""
    index = video.index
    damage: set[int] = set()
    waiting: deque[tuple[int, av.VideoFrame]] = deque()
    latest = -1
    for frame in _run_frames(video, run, damage, is_rough):
        number = int(index.numbers[frame.pts or 0])
        if number <= latest:
            continue
        latest = number
        waiting.append((number, frame))
        while waiting and index.settled[waiting[0][0]] <= latest:
            yield _judge(index, *waiting.popleft(), damage)
    for number, frame in waiting:
        yield _judge(index, number, frame, damage)


def _judge(index: FrameIndex, number: int, frame: "av.VideoFrame", damage: set[int]) -> Judged:
    sound = not damage or index.is_sound(number, damage)
    if damage:
        damage -= {hurt for hurt in damage if hurt < index.starts[number]}  # no frame that comes rests on it
    return Judged(number, frame, sound)


def _earlier_starts(index: FrameIndex, start: int) -> list[int]:
    """Return where decoding may begin: at a key packet, at the one before it, at the beginning of the file."""
    return sorted({start, index.key_before(start), 0}, reverse=True)


def _run_frames(video: Video, run: Run, damage: set[int], is_rough: bool = False) -> "Iterator[av.VideoFrame]":
    """Yield the frames of a run in the order shown, more than the wanted; none when its start has no whole picture."""
    begun = False
    for frame in _decoded_run(video, run, damage, is_rough):
        if run.start and not begun and frame.pts != run.start:
            return  # with intra refresh a key packet has no whole picture, and what follows it is guesswork
        begun = True
        yield frame


def _decoded_run(video: Video, run: Run, damage: set[int], is_rough: bool) -> "Iterator[av.VideoFrame]":
    with _packets_from(video, run.start) as (stream, packets):
        codec = stream.codec_context
        if is_rough and not codec.is_open:
            codec.options = {"skip_loop_filter": "noref"}
        skips = codec.codec.canonical_name in _SKIPPING_CODECS
        for position, packet in packets:
            if position >= run.stop:
                break
            if run.start and video.index.leads(position, run.start):
                continue
            if skips:
                codec.skip_frame = "DEFAULT" if position in run.wanted else "NONREF"
            yield from decode(stream, packet, position, damage)
        yield from decode(stream, None, run.stop - 1, damage)


@contextlib.contextmanager
def _packets_from(video: Video, start: int) -> "Iterator[tuple[av.VideoStream, Iterator[tuple[int, av.Packet[av.stream.Stream]]]]]":
    """Yield a stream and its packets with their positions, from `start` on; nothing where a jump misses `start`."""
    if start:
        yield video.stream, _after_jump(video, start)
    else:
        with streams(video.path) as (container, stream):
            yield stream, enumerate(demuxed(container, stream))


def _after_jump(video: Video, start: int) -> "Iterator[tuple[int, av.Packet[av.stream.Stream]]]":
    """Yield the packets from `start` on, as long as they are the listed ones: demuxers jump by rough tables."""
    import av

    key = video.index.packets[start]
    with contextlib.suppress(av.FFmpegError):
        video.container.seek(int(key["pts"] if key["dts"] == NO_TIME else key["dts"]), stream=video.stream)
    position = -1
    for packet in demuxed(video.container, video.stream):
        position = position + 1 if position >= 0 else video.index.place(packet.pts, packet.size)
        if position < 0 or not video.index.is_at(position, packet.pts, packet.size):
            return
        if position >= start:
            yield position, packet
