"""Video files: what is in them, when each frame is shown, exact frames, and copies that a browser plays.

The only module that imports PyAV, and only inside its functions. Times are seconds on the clip's clock: presentation
time less the file's start, which is where picture or sound begins, whichever is first.

What Chromium 156 does, seen with `currentTime` and the `mediaTime` of requestVideoFrameCallback: it counts from the zero
of the container and not from the file's start. Both clocks agree where a file starts at 0: with edit lists and the
frames that they hide, with late or early sound, with a first frame at 0.033 s. Where a file starts later (first frame
at 8.333 s, nothing before it) `currentTime` begins at 8.333; such a file counts as not playable, and its proxy starts
at 0. Before the first frame that one is on display; after the last one, while sound goes on, the last.
It cuts times to whole microseconds: seeking to the exact start of a frame often shows the one before. A player should
seek into the middle of a frame.
"""

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from store.containers import Probe, boxes_of, browser_plays, container_name, shown_size
from store.errors import InputError
from store.frame_index import (
    Bools,
    Clock,
    FrameIndex,
    Ints,
    Packet,
    Run,
    frames_on_display,
    frames_that_came,
    index_by_count,
    index_by_time,
    keep_frames,
    runs_for,
    sound_frames,
)
from store.media_files import digest_of, keep, media_path, open_source, replacing

if TYPE_CHECKING:
    import av
    from av.container import InputContainer, OutputContainer

__all__ = ["Frames", "Probe", "digest_of", "keep", "make_proxy", "media_path", "probe", "read_frames"]

# Formats that name other files (playlists, concat lists) are left out: a given file must not open another one.
_FORMATS = "mov,matroska,avi,flv,mpegts,mpeg,asf,gif,ogg"
_SKIPPING_CODECS = {"h264", "hevc"}  # their decoders can leave out, packet by packet, frames that no other one needs
_BT709, _UNNAMED_COLOURS = 1, 2  # as FFmpeg numbers colour matrices
_HD_LINES = 720  # from here on players take an unnamed colour matrix for BT.709, below for BT.601
_LOST_TAIL_S = 0.5  # a file that ends this much before the time that it names is cut off
_MATCH_S = 1e-3
# Without B-frames the track's length is right too: with them, a gap before the last frame is lost from it.
_PROXY_VIDEO = {"preset": "veryfast", "crf": "20", "g": "30", "bf": "0"}
_PROXY_FILE = {"movflags": "faststart", "movie_timescale": "240000"}  # ticks/s in which a late start is written down
_PROXY_SOUND_HZ, _AAC_FRAME = 48_000, 1024  # samples


@dataclass(frozen=True, eq=False)
class Frames:
    """Pictures read from a video, and when each of them begins."""

    pixels: NDArray[np.uint8]  # (n, height, width, 3) RGB as shown: rotation and pixel shape applied
    times_s: NDArray[np.float64]  # (n,) on the clip's clock


@dataclass(frozen=True, eq=False)
class _Video:
    """An open file with the index of its frames."""

    path: Path
    container: "InputContainer"
    stream: "av.VideoStream"
    index: FrameIndex
    reach_s: float  # end of the last packet of any stream, on the container's clock


def probe(path: Path | str, decode: bool = True) -> Probe:
    """Return what is in a file, when its frames are shown, whether a browser plays it and whether it is whole.

    Frame times come from the list of packets; hidden packets are left out. A damaged file keeps only the frames that do
    not rest on damage. Frames at the very beginning that a cut left without their key frame are left out and are no damage.
    With `decode` false only the first frame is decoded, and damage inside frames is not seen.
    Bad content never raises: health is then "unreadable", with a sentence. Cost: reading the file once (0.1 s for
    a 30 s clip) and, with `decode`, decoding it on one core (1 to 2 s for 30 s of 720p, 4 s of 1080p; more than an hour
    for a film).

    Raises NotFoundError when there is no file.
    """
    try:
        with _opened(path) as video:
            return _probed(video, decode)
    except InputError as problem:
        return Probe(health="unreadable", health_reason=str(problem))


def read_frames(path: Path | str, times_s: ArrayLike, longest_side: int | None = None) -> Frames:
    """Return the frames that a browser shows at the given times: the last one that has begun, never a neighbour.

    times_s: (n,) seconds on the clip's clock, in any order, repeats allowed. Before the first frame that one is read;
    past the last one the last, up to one frame's length after the end of picture and sound. longest_side: pixels to
    which the longer side is shrunk; nothing is enlarged. Cost: one read of the packet list, and decoding on one core
    from the key frame before each wanted frame; AVI, which keeps no presentation times, is decoded twice from its
    beginning. Memory: the result and a few frames.

    Raises NotFoundError when there is no file; InputError when it is no readable video, when a time lies outside it,
    and when a wanted frame rests on damage.
    """
    if longest_side is not None and longest_side < 1:
        raise InputError(f"longest_side is {longest_side} px; it must be 1 or more.")
    with _opened(path) as video:
        numbers = frames_on_display(video.index, times_s)
        pictures = _Pictures(video, numbers, longest_side)
        for run in runs_for(video.index, np.unique(numbers)):
            _bring_out(video, run, pictures.take)
        return Frames(pictures.pixels, video.index.times_s[numbers])


def make_proxy(source: Path | str, target: Path) -> None:
    """Write a copy of a video that every browser plays: H.264 and AAC in MP4, with the frame times of the original.

    Variable frame rate is kept, the copy starts at 0, sizes become even, pixels square, and a rotation is carried on.
    The copy appears whole or not at all. Of a damaged file the frames that do not rest on damage are copied. Cost: one
    decode and one encode (7 s for 30 s of 720p), twice for a damaged file; memory: a few frames.

    Raises NotFoundError when there is no file, InputError when nothing in it decodes or it cannot be converted,
    StorageError when the disk is full or the folder cannot be written.
    """
    with _opened(source) as video, replacing(target) as part:
        index = video.index
        sound = _encode(video, index, part)
        if not sound.all():
            index = keep_frames(index, sound)
            _encode(video, index, part)
        with _opened(part) as copy:
            made_s = copy.index.times_s
        if len(made_s) != len(index.ticks) or np.abs(made_s - index.times_s).max() > _MATCH_S:
            raise InputError(f"{video.path.name} has frame times that MP4 does not hold: convert it by other means.")


# ---- opening -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _opened(path: Path | str) -> Iterator[_Video]:
    """Yield an open video with its index. Raises InputError with a sentence when there is none."""
    path = Path(path)
    with _streams(path) as (container, stream):
        packets, spans_s = _list_packets(container, stream)
        heard_s = [spans_s[audio.index] for audio in container.streams.audio if audio.index in spans_s]
        clock = Clock(
            tick_s=stream.time_base or Fraction(1),
            sound_begin_s=min((begin_s for begin_s, _ in heard_s), default=None),
            sound_end_s=max((end_s for _, end_s in heard_s), default=None),
        )
        if container.format.name == "avi" or any(packet.pts is None for packet in packets):
            index = index_by_count(packets, [frame.pts or 0 for frame in _every_frame(path, set())], clock)
        else:
            index = index_by_time(packets, clock)
        if container.format.name == "gif" and len(index.ticks) == 1:
            raise InputError(f"{path.name} is a still picture or a malformed GIF (one frame): give a video.")
        yield _Video(path, container, stream, index, max((end_s for _, end_s in spans_s.values()), default=0.0))


@contextlib.contextmanager
def _streams(path: Path) -> "Iterator[tuple[InputContainer, av.VideoStream]]":
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

    streams = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    if not streams:
        raise InputError(f"{path.name} holds no moving picture, only sound or other data: give a video.")
    if streams[0].codec_context is None:
        raise InputError(f"{path.name} is in a video format that no decoder here knows: convert it to H.264.")
    return streams[0]


def _list_packets(container: "InputContainer", stream: "av.VideoStream") -> tuple[list[Packet], dict[int, tuple[float, float]]]:
    """Return the packets of the video, and begin and end of each stream in seconds; nothing is decoded."""
    packets: list[Packet] = []
    spans: dict[int, tuple[int, int]] = {}
    for packet in _demuxed(container, *container.streams):
        lasts = packet.duration or 0
        if packet.stream_index == stream.index:
            packets.append(Packet(packet.pts, packet.dts, lasts, packet.size, packet.is_keyframe, packet.is_discard))
        if packet.pts is not None and not packet.is_discard:
            begin, end = spans.get(packet.stream_index, (packet.pts, packet.pts))
            spans[packet.stream_index] = min(begin, packet.pts), max(end, packet.pts + lasts)
    tick_s = {each.index: each.time_base or Fraction(1) for each in container.streams}
    return packets, {i: (float(begin * tick_s[i]), float(end * tick_s[i])) for i, (begin, end) in spans.items()}


def _demuxed(container: "InputContainer", *streams: "av.stream.Stream") -> "Iterator[av.Packet[av.stream.Stream]]":
    """Yield the packets of these streams as far as the file can be read."""
    import av

    # IndexError: PyAV raises it after the last packet when a stream appeared on the way that was not there at first.
    with contextlib.suppress(av.FFmpegError, IndexError):
        for packet in container.demux(*streams):
            if packet.size:
                yield packet


# ---- decoding ------------------------------------------------------------------------------------------------------


def _decode(stream: "av.VideoStream", packet: "av.Packet[av.stream.Stream] | None", position: int, damage: set[int]) -> "list[av.VideoFrame]":
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
    except av.FFmpegError:
        damage.add(position)
        return []
    damage.update(frame.pts or 0 for frame in frames if frame.is_corrupt)
    return frames


def _every_frame(path: Path, damage: set[int]) -> "Iterator[av.VideoFrame]":
    """Yield all frames of a file in the order shown, `pts` being the position of their packet."""
    with _streams(path) as (container, stream):
        position = 0
        for position, packet in enumerate(_demuxed(container, stream)):
            yield from _decode(stream, packet, position, damage)
        yield from _decode(stream, None, position, damage)


def _bring_out(video: _Video, run: Run, take: "Callable[[av.VideoFrame], None]") -> None:
    """Decode a run and hand over its wanted frames; where one does not come out whole, begin at an earlier key packet.

    Raises InputError when that does not help.
    """
    lost: frozenset[int] = frozenset()
    for start in sorted({run.start, video.index.key_before(run.start), 0}, reverse=True):
        came: set[int] = set()
        damage: set[int] = set()
        for frame in _run_frames(video, run._replace(start=start), damage):
            if start and not came and frame.pts != start:
                break  # with intra refresh a key packet has no whole picture, and what follows it is guesswork
            came.add(frame.pts or 0)
            if frame.pts in run.wanted:
                take(frame)
        sound = set(video.index.positions[sound_frames(video.index, damage)].tolist())
        lost = run.wanted - (came & sound)
        if not lost:
            return
    when_s = video.index.times_s[np.isin(video.index.positions, sorted(lost))].min()
    raise InputError(
        f"The frame at {when_s:.3f} s of {video.path.name} does not decode: the file is damaged there. Replace the file, or leave this stretch out."
    )


def _run_frames(video: _Video, run: Run, damage: set[int]) -> "Iterator[av.VideoFrame]":
    """Yield the frames of a run in the order shown, `pts` being the position of their packet; more than the wanted."""
    with _packets_from(video, run.start) as (stream, packets):
        codec = stream.codec_context
        skips = codec.codec.canonical_name in _SKIPPING_CODECS
        for position, packet in packets:
            if position >= run.stop:
                break
            if run.start and video.index.shown_earlier(position, run.start):
                continue  # it needs frames from before the run; nothing after it needs it
            if skips:
                codec.skip_frame = "DEFAULT" if position in run.wanted else "NONREF"
            yield from _decode(stream, packet, position, damage)
        yield from _decode(stream, None, run.stop - 1, damage)


@contextlib.contextmanager
def _packets_from(video: _Video, start: int) -> "Iterator[tuple[av.VideoStream, Iterator[tuple[int, av.Packet[av.stream.Stream]]]]]":
    """Yield a stream and its packets with their positions, from `start` on; nothing where a jump misses `start`."""
    if start:
        yield video.stream, _after_jump(video, start)
    else:
        with _streams(video.path) as (container, stream):
            yield stream, enumerate(_demuxed(container, stream))


def _after_jump(video: _Video, start: int) -> "Iterator[tuple[int, av.Packet[av.stream.Stream]]]":
    """Yield the packets from `start` on, as long as they are the listed ones: demuxers jump by rough tables."""
    import av

    key = video.index.packets[start]
    with contextlib.suppress(av.FFmpegError):
        video.container.seek(key.pts or 0 if key.dts is None else key.dts, stream=video.stream)
    position = -1
    for packet in _demuxed(video.container, video.stream):
        position = position + 1 if position >= 0 else video.index.place(packet.pts, packet.size)
        if position < 0 or not video.index.is_at(position, packet.pts, packet.size):
            return
        if position >= start:
            yield position, packet


# ---- pictures ------------------------------------------------------------------------------------------------------


class _Pictures:
    """The array that wanted frames are written to, one conversion a frame however often it was asked for."""

    def __init__(self, video: _Video, numbers: Ints, longest_side: int | None) -> None:
        """numbers: (n,) the frame asked for in each row of the result."""
        from av.video.reformatter import VideoReformatter

        self._video = video
        self._wanted = video.index.positions[numbers]
        self._longest_side = longest_side
        self._reformatter = VideoReformatter()
        self.pixels = np.empty((0, 0, 0, 3), dtype=np.uint8)

    def take(self, frame: "av.VideoFrame") -> None:
        """Write a frame to every row that asks for it."""
        turns = _quarter_turns(frame)
        width, height = _size_of(self._video.stream, turns)
        share = min(1.0, (self._longest_side or max(width, height)) / max(width, height))
        width, height = max(1, round(width * share)), max(1, round(height * share))
        if not len(self.pixels):
            self.pixels = np.empty((len(self._wanted), height, width, 3), dtype=np.uint8)
        if turns % 2:
            width, height = height, width
        shrunk = self._reformatter.reformat(frame, width, height, "rgb24", src_colorspace=_matrix_of(frame), threads=1)
        self.pixels[self._wanted == frame.pts] = np.rot90(shrunk.to_ndarray(), turns)


def _quarter_turns(frame: "av.VideoFrame") -> int:
    """Return how many quarter turns counterclockwise a player makes, 0-3."""
    return round(frame.rotation / 90) % 4


def _size_of(stream: "av.VideoStream", quarter_turns: int) -> tuple[int, int]:
    """Return width and height as shown."""
    return shown_size(stream.codec_context.width, stream.codec_context.height, stream.sample_aspect_ratio or Fraction(1), quarter_turns)


def _matrix_of(frame: "av.VideoFrame") -> int | None:
    """Return the colour matrix to assume; None: the one that the frame names, or BT.601."""
    return _BT709 if frame.colorspace == _UNNAMED_COLOURS and frame.height >= _HD_LINES else None


# ---- probing -------------------------------------------------------------------------------------------------------


def _probed(video: _Video, decode: bool) -> Probe:
    container, stream, index = video.container, video.stream, video.index
    turns, sound = _watch(video, decode)
    index = keep_frames(index, sound)
    with open_source(video.path) as source:
        kind = container_name(container.format.name, container.metadata.get("major_brand", ""), source.read(128))
    audio = [each.codec_context.codec.canonical_name for each in container.streams.audio if each.codec_context]
    video_codec = stream.codec_context.codec.canonical_name
    reason = _damage_of(video, sound | video.index.early)
    width, height = _size_of(stream, turns)
    plays = browser_plays(kind, video_codec, stream.codec_context.pix_fmt or "", audio[0] if audio else None)
    return Probe(
        container=kind,
        video_codec=video_codec,
        audio_codec=audio[0] if audio else None,
        width=width,
        height=height,
        rotation=-turns % 4 * 90,
        duration_s=float(index.times_s[-1] + index.last_s),
        frame_count=len(index.ticks),
        frame_times=index.times_s,
        playable=plays and reason is None and _keeps_time(video),
        health="ok" if reason is None else "damaged",
        health_reason=reason,
    )


def _watch(video: _Video, decode: bool) -> tuple[int, Bools]:
    """Decode all frames or the first, and return its quarter turns and which frames (n,) do not rest on damage."""
    damage: set[int] = set()
    came: list[int] = []
    turns = 0
    for frame in _every_frame(video.path, damage):
        turns = turns if came else _quarter_turns(frame)
        came.append(frame.pts or 0)
        if not decode:
            return turns, np.ones(len(video.index.ticks), dtype=np.bool_)
    return turns, sound_frames(video.index, damage) & frames_that_came(video.index, came)


def _damage_of(video: _Video, sound: Bools) -> str | None:
    """Return a sentence that says how a file is damaged, or None when it is whole."""
    index, duration = video.index, video.container.duration
    found = []
    if video.container.format.name.startswith("mov,"):
        listed = len(video.stream.index_entries)
        with open_source(video.path) as source:
            cut_off = boxes_of(source).cut_off
        if listed > len(index.packets):
            found.append(f"{listed} packets are listed and {len(index.packets)} are there")
        elif cut_off:
            found.append("it ends in the middle of a box")
    if not found and duration is not None and duration / 1e6 - video.reach_s > _LOST_TAIL_S:
        found.append(f"it names a length of {duration / 1e6:.2f} s and ends at {video.reach_s:.2f} s")
    if not sound.all():
        first_s = index.times_s[np.flatnonzero(~sound)[0]]
        found.append(f"{np.sum(~sound)} of {len(sound)} frames do not decode soundly, the first at {first_s:.3f} s")
    return f"{video.path.name} is damaged: {'; '.join(found)}." if found else None


def _keeps_time(video: _Video) -> bool:
    """Return whether a browser's clock is the clip's clock, and all frames can be sought to."""
    duration = video.container.duration
    reaches_end = duration is not None and duration / 1e6 + _MATCH_S >= video.index.times_s[-1]
    return reaches_end and abs(video.index.start_s) < 1e-6


# ---- proxies -------------------------------------------------------------------------------------------------------


def _encode(video: _Video, index: FrameIndex, part: Path) -> Bools:
    """Write the frames of the index and the first sound to a new file; return which (n,) came out free of damage."""
    import av

    damage: set[int] = set()
    came: list[int] = []
    position = 0
    try:
        with (
            _streams(video.path) as (container, stream),
            av.open(str(part), "w", format="mp4", options=_PROXY_FILE) as out,
        ):
            audio = [each for each in container.streams.audio if each.codec_context][:1]
            picture = _PictureTrack(out, video, index)
            # Where the first frame is not at 0, something has to be: silence, if there is no sound.
            heard: list[av.AudioStream | None] = [*audio] or [None] * bool(index.times_s[0] > 0)
            sounds = [_SoundTrack(out, each, index.start_s) for each in heard]
            for packet in _demuxed(container, stream, *audio):
                if packet.stream_index != stream.index:
                    sounds[0].add(packet)
                    continue
                came += picture.add(_decode(stream, packet, position, damage))
                position += 1
            came += picture.add(_decode(stream, None, position - 1, damage))
            picture.finish()
            for sound in sounds:
                sound.finish()
    except OSError:
        raise
    except av.FFmpegError as problem:
        raise InputError(f"{video.path.name} cannot be converted to H.264 ({problem.strerror}).") from problem
    return sound_frames(index, damage) & frames_that_came(index, came)


class _PictureTrack:
    """The H.264 track of a proxy: the frames of an index at their times, in the size shown."""

    def __init__(self, out: "OutputContainer", video: _Video, index: FrameIndex) -> None:
        from av.video.reformatter import VideoReformatter

        tick_s = index.tick_s
        if abs(index.start_s / tick_s - round(index.start_s / tick_s)) > 1e-6:
            tick_s = Fraction(1, 90_000)  # the start is the sound's: finer ticks keep the frames in place
        pts = np.rint(index.times_s / float(tick_s)).astype(np.int64).tolist()
        lasts = [*np.diff(pts).tolist(), max(1, round(index.last_s / tick_s))]
        self._pts = dict(zip(index.positions.tolist(), pts, strict=True))
        self._lasts = dict(zip(pts, lasts, strict=True))
        self._latest = -1
        self._tick_s = tick_s
        self._reformatter = VideoReformatter()
        self._out = out
        self._stream = out.add_stream("libx264", rate=video.stream.average_rate or 25, options=_PROXY_VIDEO)
        turns, _ = _watch(video, decode=False)
        width, height = _size_of(video.stream, 0)
        self._stream.width, self._stream.height = width + width % 2, height + height % 2
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = tick_s
        self._stream.set_display_rotation(turns * 90)

    def add(self, frames: "list[av.VideoFrame]") -> list[int]:
        """Encode those of the frames that the index names and that do not come too late; return the positions of all."""
        came = [frame.pts or 0 for frame in frames]
        for frame, position in zip(frames, came, strict=True):
            if self._pts.get(position, -1) > self._latest:
                self._latest = self._pts[position]
                self._encode(frame)
        return came

    def _encode(self, frame: "av.VideoFrame") -> None:
        codec = self._stream.codec_context
        picture = self._reformatter.reformat(
            frame,
            codec.width,
            codec.height,
            "yuv420p",
            dst_colorspace=_BT709 if frame.format.is_rgb else None,
            dst_color_range="MPEG",
        )
        if not codec.is_open:
            codec.color_range, codec.colorspace = picture.color_range, picture.colorspace
            codec.color_primaries, codec.color_trc = picture.color_primaries, picture.color_trc
        picture.pts, picture.time_base = self._latest, self._tick_s
        picture.pict_type = 0  # or the encoder would copy the original's choice of key frames
        self._write(picture)

    def _write(self, picture: "av.VideoFrame | None") -> None:
        for packet in self._stream.encode(picture):
            packet.duration = self._lasts[packet.pts]  # or the last frame would stay as long as an average one
            self._out.mux(packet)

    def finish(self) -> None:
        """Write what the encoder still holds."""
        self._write(None)


class _SoundTrack:
    """The AAC track of a proxy: sound on the clip's clock, silence where there is none."""

    def __init__(self, out: "OutputContainer", source: "av.AudioStream | None", start_s: float) -> None:
        self._source = source
        self._start_s = start_s
        self._out = out
        layout = "stereo" if source and source.codec_context.channels > 1 else "mono"
        self._stream = out.add_stream("aac", rate=_PROXY_SOUND_HZ, layout=layout)
        self._resampler: av.AudioResampler | None = None
        self._shape: tuple[int, str, str] | None = None  # rate, layout and format that the resampler was made for

    def add(self, packet: "av.Packet[av.stream.Stream] | None") -> None:
        """Decode and encode a packet of sound; one that does not decode is left out."""
        import av

        try:
            frames = self._source.codec_context.decode(packet) if self._source else []
        except av.FFmpegError:
            return
        for frame in frames:
            self._encode(frame)

    def _encode(self, frame: "av.AudioFrame") -> None:
        import av

        if frame.pts is None or frame.time_base is None:
            return
        frame.pts -= round(self._start_s / frame.time_base)
        shape = (frame.sample_rate, frame.layout.name, frame.format.name)
        if shape != self._shape:
            self._write(None)
            first = max(0, round(frame.pts * frame.time_base * _PROXY_SOUND_HZ))
            # async fills gaps with silence, so that sound stays beside its pictures.
            options = {"async": "1", "first_pts": str(first if self._shape else 0)}
            self._shape = shape
            # A frame size keeps it from handing frames through untouched, gaps and all.
            self._resampler = av.AudioResampler("fltp", self._stream.layout.name, _PROXY_SOUND_HZ, _AAC_FRAME, options)
        self._write(frame)

    def _write(self, frame: "av.AudioFrame | None") -> None:
        for piece in self._resampler.resample(frame) if self._resampler else []:
            self._out.mux(self._stream.encode(piece))

    def finish(self) -> None:
        """Write what the decoder, the resampler and the encoder still hold."""
        self.add(None)
        if not self._shape:
            self._encode(self._silence())
        self._write(None)
        self._out.mux(self._stream.encode(None))

    def _silence(self) -> "av.AudioFrame":
        """Return a moment of silence at 0: where no sound decodes, it still says where the clip's clock begins."""
        import av

        frame = av.AudioFrame("fltp", self._stream.layout.name, _AAC_FRAME)
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        frame.sample_rate, frame.time_base, frame.pts = _PROXY_SOUND_HZ, Fraction(1, _PROXY_SOUND_HZ), round(self._start_s * _PROXY_SOUND_HZ)
        return frame
