"""Video files: what is in them, when each frame is shown, and exact frames.

Times are seconds on the clip's clock: presentation time less the file's start, which is where picture or sound begins,
whichever is first.

What Chromium 156 does, seen with `currentTime` and the `mediaTime` of requestVideoFrameCallback: it counts from the zero
of the container and not from the file's start. Both clocks agree where a file starts at 0: with edit lists and the
frames that they hide, with late or early sound, with a first frame at 0.033 s. Where a file starts later (first frame
at 8.333 s, nothing before it) `currentTime` begins at 8.333; such a file counts as not playable, and its proxy starts
at 0. Before the first frame that one is on display; after the last one, while sound goes on, the last.
It cuts times to whole microseconds: seeking to the exact start of a frame often shows the one before. A player should
seek into the middle of a frame.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from store.containers import Probe, boxes_of, browser_plays, container_name
from store.errors import InputError
from store.frame_index import Bools, FrameIndex, Ints, frames_on_display, frames_that_came, frames_within, keep_frames, runs_for, sound_frames
from store.media_files import digest_of, keep, media_path, open_source
from store.pictures import Painter, PictureRows, Pixels, PlaneShape, Size, quarter_turns
from store.video import Video, bring_out, canvas_of, every_frame, first_frame, frames_through, opened, streams

__all__ = [
    "Frames",
    "PlaneShape",
    "Probe",
    "ShownFrame",
    "digest_of",
    "frame_times",
    "keep",
    "media_path",
    "plane_shape",
    "planes_to_rgb",
    "probe",
    "read_frames",
    "shown_frames",
]

_LOST_TAIL_S = 0.5  # a file that ends this much before the time that it names is cut off
_MATCH_S = 1e-3


@dataclass(frozen=True, eq=False)
class Frames:
    """Pictures read from a video, and when each of them begins."""

    pixels: NDArray[np.uint8]  # (n, height, width, 3) RGB as shown: rotation and pixel shape applied
    times_s: NDArray[np.float64]  # (n,) on the clip's clock


@dataclass(frozen=True, eq=False)
class ShownFrame:
    """A frame and its whole time on display, on the clip's clock; it may begin before and end after the span asked for."""

    start_s: float
    end_s: float
    pixels: NDArray[np.uint8]  # (height, width, 3) RGB as shown, or the flat planes of `plane_shape`
    sound: bool  # False: it rests on damage, or stands for frames that did not come out


def read_frames(path: Path | str, times_s: ArrayLike, size: Size = None) -> Frames:
    """Return the frames that a browser shows at the given times: the last one that has begun, never a neighbour.

    times_s: (n,) seconds on the clip's clock, in any order, repeats allowed. Before the first frame that one is read;
    past the last one the last, up to one frame's length after the end of picture and sound. size: pixels to which the
    longer side is shrunk (nothing is enlarged), or exactly (width, height). Cost: one read of the packet list, and
    decoding on one core from the key frame before each wanted frame; AVI, which keeps no presentation times, is decoded
    twice from its beginning. Memory: the result and a few frames.

    Raises NotFoundError when there is no file; InputError when it is no readable video, when a time lies outside it,
    when pictures cannot have that size, and when a wanted frame rests on damage.
    """
    with opened(path) as video:
        return _read(video, frames_on_display(video.index, times_s), Painter(video.canvas, size))


def _read(video: Video, numbers: Ints, painter: Painter) -> Frames:
    """Return the frames of these numbers, (n,); for those cut off from their key frame the first one after it, which is on display until then."""
    index = video.index
    rows = PictureRows(painter, index.positions[numbers])
    cut_off = [position for run in runs_for(index, np.unique(numbers)) for position in bring_out(video, run, rows.take)]
    if cut_off:
        first = int(np.argmin(index.early))
        return _read(video, np.where(np.isin(index.positions[numbers], cut_off), first, numbers), painter)
    return Frames(rows.pixels, index.times_s[numbers])


def shown_frames(path: Path | str, start_s: float = 0.0, end_s: float | None = None, size: Size = None, planes: bool = False) -> Iterator[ShownFrame]:
    """Yield every frame that is on display somewhere in [start_s, end_s), in the order shown, without a gap between them.

    Seconds on the clip's clock; None: the end of the last frame. The first frame of a file counts from 0, the last one
    until picture and sound have ended. size as in `read_frames`. planes: flat YUV planes in place of pictures, exact as
    they are stored when no size is given; with a size the quick way, where edges of blocks are not smoothed in frames
    that no other one needs. A frame is valid until the next one is asked for. Where frames do not come out of a damaged
    file, the one before stays on display, as players do it, marked as not sound. Cost: one decode on one core from the
    key frame before `start_s`, after one read of the packet list (AVI: two decodes); memory: a few frames, and 60 bytes
    for each frame of the file.

    Raises, when the first frame is asked for, what `read_frames` raises, and InputError when the span is empty or no
    frame of it decodes.
    """
    with opened(path) as video:
        index = video.index
        numbers = frames_within(index, start_s, end_s)
        painter = Painter(video.canvas, size)
        paint = painter.planes if planes else painter.picture
        coming = frames_through(video, numbers, is_rough=planes and size is not None)
        yield from _tiled(index, numbers, ((number, paint(frame), sound) for number, frame, sound in coming))


def _tiled(index: FrameIndex, numbers: range, coming: Iterable[tuple[int, Pixels, bool]]) -> Iterator[ShownFrame]:
    """Yield what is on display while these frames should be, end to end, from those that came: (number, pixels, sound)."""
    ends_s, early = np.append(index.times_s[1:], index.end_s), index.early
    due, begin_s = numbers.start, float(index.times_s[numbers.start]) if numbers.start else 0.0
    on_display: Pixels | None = None
    for number, pixels, sound in coming:
        if early[number] and not sound:
            continue  # what it rests on was cut away with its key frame: the file begins after it
        if not early[due:number].all():
            gone_s = float(index.times_s[number])
            yield ShownFrame(begin_s, gone_s, pixels if on_display is None else on_display, sound=False)
            begin_s = gone_s
        yield ShownFrame(begin_s, float(ends_s[number]), pixels, sound)
        due, begin_s, on_display = number + 1, float(ends_s[number]), pixels
    if on_display is None:
        raise InputError(f"No frame from {begin_s:.3f} s on decodes: the file is damaged there. Replace the file, or leave this stretch out.")
    if due < numbers.stop:
        yield ShownFrame(begin_s, float(ends_s[numbers.stop - 1]), on_display, sound=False)


def frame_times(path: Path | str) -> tuple[NDArray[np.float64], float]:
    """Return when each frame of a file begins, (n,) seconds on the clip's clock, and when the last one ends.

    From the list of packets alone: nothing is decoded (but AVI), and frames that rest on damage are among them.
    Raises NotFoundError when there is no file, InputError when it is no readable video.
    """
    with opened(path) as video:
        return video.index.times_s, video.index.picture_end_s


def plane_shape(path: Path | str, size: Size = None) -> PlaneShape:
    """Return how the flat planes that `shown_frames` yields in this size are to be read; decodes up to the first frame.

    Raises NotFoundError when there is no file, InputError when it is no readable video or nothing in it decodes.
    """
    path = Path(path)
    with streams(path) as (_, stream):
        return Painter(canvas_of(stream), size).shape(first_frame(path), stream.codec_context.codec.canonical_name)


def planes_to_rgb(planes: NDArray[np.uint8], like: PlaneShape, size: Size = None) -> NDArray[np.uint8]:
    """Return flat planes, (m,) as `like` says, as the picture shown: (height, width, 3) RGB.

    size: as in `read_frames`; None: the one of `like`. Planes as they are stored give, bit for bit, the picture that
    `read_frames` gives of the same frame when the file holds 4:2:0 with 8 bits. Pooled planes differ from pooled
    pictures where colours of single frames are cut off at 0 or 255.
    Raises InputError when the planes are not of this shape, or a picture cannot have that size.
    """
    return Painter(like.canvas, like.size if size is None else size).from_planes(planes, like)


# ---- probing -------------------------------------------------------------------------------------------------------


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
        with opened(path) as video:
            return _probed(video, decode)
    except InputError as problem:
        return Probe(health="unreadable", health_reason=str(problem))


def _probed(video: Video, decode: bool) -> Probe:
    container, stream, index = video.container, video.stream, video.index
    turns, sound = _watch(video, decode)
    index = keep_frames(index, sound)
    with open_source(video.path) as source:
        kind = container_name(container.format.name, container.metadata.get("major_brand", ""), source.read(128))
    audio = [each.codec_context.codec.canonical_name for each in container.streams.audio if each.codec_context]
    video_codec = stream.codec_context.codec.canonical_name
    reason = _damage_of(video, sound | video.index.early)
    width, height = video.canvas.shown(turns)
    plays = browser_plays(kind, video_codec, stream.codec_context.pix_fmt or "", audio[0] if audio else None)
    return Probe(
        container=kind,
        video_codec=video_codec,
        audio_codec=audio[0] if audio else None,
        width=width,
        height=height,
        rotation=-turns % 4 * 90,
        duration_s=index.picture_end_s,
        frame_count=len(index.ticks),
        frame_times=index.times_s,
        playable=plays and reason is None and _keeps_time(video),
        health="ok" if reason is None else "damaged",
        health_reason=reason,
    )


def _watch(video: Video, decode: bool) -> tuple[int, Bools]:
    """Decode all frames or the first, and return its quarter turns and which frames (n,) do not rest on damage."""
    if not decode:
        return quarter_turns(first_frame(video.path)), np.ones(len(video.index.ticks), dtype=np.bool_)
    damage: set[int] = set()
    came: list[int] = []
    turns = 0
    for frame in every_frame(video.path, damage):
        turns = turns if came else quarter_turns(frame)
        came.append(frame.pts or 0)
    return turns, sound_frames(video.index, damage) & frames_that_came(video.index, came)


def _damage_of(video: Video, sound: Bools) -> str | None:
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


def _keeps_time(video: Video) -> bool:
    """Return whether a browser's clock is the clip's clock, and all frames can be sought to."""
    duration = video.container.duration
    reaches_end = duration is not None and duration / 1e6 + _MATCH_S >= video.index.times_s[-1]
    return bool(reaches_end and abs(video.index.start_s) < 1e-6)
