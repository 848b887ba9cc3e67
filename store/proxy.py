"""Copies of videos that every browser plays: H.264 and AAC in MP4, with the frame times of the original. PyAV is imported inside functions."""

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from store.errors import InputError
from store.frame_index import Bools, FrameIndex, frames_that_came, keep_frames, sound_frames
from store.media_files import replacing
from store.pictures import quarter_turns
from store.video import Video, decode, demuxed, first_frame, opened, streams

if TYPE_CHECKING:
    import av
    from av.container import OutputContainer

_BT709 = 1  # as FFmpeg numbers colour matrices
_MATCH_S = 1e-3
_AS_IT_LIKES, _KEY = 0, 1  # as FFmpeg numbers kinds of frames; without one the original's choice would be copied
# Key frames come by the clock and at cuts, so that "g", their distance in frames, is out of reach.
# Without B-frames the track's length is right too: with them, a gap before the last frame is lost from it.
_VIDEO = {"preset": "veryfast", "crf": "20", "g": "100000", "bf": "0"}
_FILE = {"movflags": "faststart", "movie_timescale": "240000"}  # ticks/s in which a late start is written down
_SOUND_HZ, _AAC_FRAME = 48_000, 1024  # samples


def make_proxy(source: Path | str, target: Path) -> None:
    """Write a copy of a video that every browser plays: H.264 and AAC in MP4, with the frame times of the original.

    Variable frame rate is kept, the copy starts at 0, sizes become even, pixels square, and a rotation is carried on.
    The copy appears whole or not at all. Of a damaged file the frames that do not rest on damage are copied. Cost: one
    decode and one encode (7 s for 30 s of 720p), twice for a damaged file; memory: a few frames.

    Raises NotFoundError when there is no file, InputError when nothing in it decodes or it cannot be converted,
    StorageError when the disk is full or the folder cannot be written.
    """
    with opened(source) as video, replacing(target) as part:
        index = video.index
        sound = _encode(video, index, part)
        if not sound.all():
            index = keep_frames(index, sound)
            _encode(video, index, part)
        with opened(part) as copy:
            made_s = copy.index.times_s
        if len(made_s) != len(index.ticks) or np.abs(made_s - index.times_s).max() > _MATCH_S:
            raise InputError(f"{video.path.name} has frame times that MP4 does not hold: convert it by other means.")


def _encode(video: Video, index: FrameIndex, part: Path) -> Bools:
    """Write the frames of the index and the first sound to a new file; return which (n,) came out free of damage."""
    import av

    damage: set[int] = set()
    came: list[int] = []
    position = 0
    try:
        with (
            streams(video.path) as (container, stream),
            av.open(str(part), "w", format="mp4", options=_FILE) as out,
        ):
            audio = [each for each in container.streams.audio if each.codec_context][:1]
            picture = _PictureTrack(out, video, index)
            # Where the first frame is not at 0, something has to be: silence, if there is no sound.
            heard: list[av.AudioStream | None] = [*audio] or [None] * bool(index.times_s[0] > 0)
            sounds = [_SoundTrack(out, each, index.start_s) for each in heard]
            for packet in demuxed(container, stream, *audio):
                if packet.stream_index != stream.index:
                    sounds[0].add(packet)
                    continue
                came += picture.add(decode(stream, packet, position, damage))
                position += 1
            came += picture.add(decode(stream, None, position - 1, damage))
            picture.finish()
            for sound in sounds:
                sound.finish()
    except (OSError, MemoryError):
        raise
    except av.FFmpegError as problem:
        raise InputError(f"{video.path.name} cannot be converted to H.264 ({problem.strerror}).") from problem
    return sound_frames(index, damage) & frames_that_came(index, came)


class _PictureTrack:
    """The H.264 track of a proxy: the frames of an index at their times, in the size shown."""

    def __init__(self, out: "OutputContainer", video: Video, index: FrameIndex) -> None:
        from av.video.reformatter import VideoReformatter

        tick_s = index.tick_s
        if abs(index.start_s / tick_s - round(index.start_s / tick_s)) > 1e-6:
            tick_s = Fraction(1, 90_000)  # the start is the sound's: finer ticks keep the frames in place
        pts = np.rint(index.times_s / float(tick_s)).astype(np.int64).tolist()
        lasts = [*np.diff(pts).tolist(), max(1, round(index.last_s / tick_s))]
        self._pts = dict(zip(index.positions.tolist(), pts, strict=True))
        self._lasts = dict(zip(pts, lasts, strict=True))
        self._latest = -1
        self._second = -1  # of the last key frame
        self._tick_s = tick_s
        self._reformatter = VideoReformatter()
        self._out = out
        self._stream = out.add_stream("libx264", rate=video.stream.average_rate or 25, options=_VIDEO)
        turns = quarter_turns(first_frame(video.path))
        width, height = video.canvas.shown(turns=0)
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
        second = int(self._latest * self._tick_s)
        # A key frame each second lets players and readers jump: by the clock, as a count of frames says nothing where the rate varies.
        picture.pict_type = _KEY if second > self._second else _AS_IT_LIKES
        self._second = second
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
        self._stream = out.add_stream("aac", rate=_SOUND_HZ, layout=layout)
        self._resampler: av.AudioResampler | None = None
        self._shape: tuple[int, str, str] | None = None  # rate, layout and format that the resampler was made for

    def add(self, packet: "av.Packet[av.stream.Stream] | None") -> None:
        """Decode and encode a packet of sound; one that does not decode is left out."""
        import av

        try:
            frames = self._source.codec_context.decode(packet) if self._source else []
        except MemoryError:
            raise
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
            first = max(0, round(frame.pts * frame.time_base * _SOUND_HZ))
            # async fills gaps with silence, so that sound stays beside its pictures.
            options = {"async": "1", "first_pts": str(first if self._shape else 0)}
            self._shape = shape
            # A frame size keeps it from handing frames through untouched, gaps and all.
            self._resampler = av.AudioResampler("fltp", self._stream.layout.name, _SOUND_HZ, _AAC_FRAME, options)
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
        frame.sample_rate, frame.time_base, frame.pts = _SOUND_HZ, Fraction(1, _SOUND_HZ), round(self._start_s * _SOUND_HZ)
        return frame
