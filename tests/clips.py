"""Makers of small videos with PyAV, for any test. Each frame carries its number as a bar code that survives encoding,
scaling and turning, so that a test can say which frame it was given.

    times_s = make_clip(tmp_path / "clip.mp4", seconds=2, fps=25)              # constant rate, H.264
    make_clip(path, times_s=uneven_times(60), codec="libvpx-vp9", sound="libopus")
    cut_clip(source, target, start_s=0.7)                                      # hidden frames behind an edit list
    number_in(read_frames(path, [1.0]).pixels[0])                              # -> 25
"""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TypedDict, Unpack

import av
import numpy as np
from numpy.typing import NDArray

BITS = 10
TICK_S = Fraction(1, 90_000)
SOUND_HZ = 48_000


class Extras(TypedDict, total=False):
    """What a clip can have besides its length and rate."""

    times_s: Sequence[float]  # when each frame is shown, ascending; replaces seconds and fps
    size: tuple[int, int]  # stored width and height in pixels; (160, 64)
    pixel_format: str  # "yuv420p"
    options: dict[str, str]  # of the encoder; H.264 has a key frame every 12 frames
    file_options: dict[str, str]  # of the file format
    rotation: int  # degrees counterclockwise that a player is asked to turn
    pixel_shape: Fraction  # width of a pixel over its height
    sound: str  # encoder of a tone as long as the pictures; none
    sound_s: tuple[float, float]  # where the tone begins and ends


def make_clip(path: Path, seconds: float = 2.0, fps: float = 25, codec: str = "libx264", **extras: Unpack[Extras]) -> NDArray[np.float64]:
    """Write a clip in the format that the file's ending names, and return when its frames are shown: (n,) seconds."""
    times_s = np.asarray(extras.get("times_s", np.arange(round(seconds * fps)) / fps), dtype=np.float64)
    pts = np.rint(times_s * float(1 / TICK_S)).astype(np.int64)
    with av.open(str(path), "w", options=extras.get("file_options", {})) as out:
        stream = out.add_stream(codec, rate=round(fps), options=extras.get("options", _defaults(codec)))
        stream.width, stream.height = extras.get("size", (160, 64))
        stream.pix_fmt = extras.get("pixel_format", "yuv420p")
        if codec.startswith("libvpx"):
            stream.codec_context.thread_count = 1  # its threads wait for each other in loops, which takes minutes beside other work
        stream.codec_context.time_base = Fraction(1, round(fps)) if path.suffix == ".avi" else TICK_S
        if "pixel_shape" in extras:
            stream.codec_context.sample_aspect_ratio = extras["pixel_shape"]
        if extras.get("rotation"):
            stream.set_display_rotation(extras["rotation"])
        tone = out.add_stream(extras["sound"], rate=SOUND_HZ, layout="mono") if "sound" in extras else None
        if tone:
            for frame in tone_frames(*extras.get("sound_s", (0.0, float(times_s[-1])))):
                out.mux(tone.encode(frame))
            out.mux(tone.encode(None))
        for number, tick in enumerate(pts.tolist()):
            frame = av.VideoFrame.from_ndarray(bars(number, stream.width, stream.height), format="gray")
            picture = frame.reformat(format=stream.pix_fmt)
            picture.pts, picture.time_base = tick, TICK_S
            out.mux(stream.encode(picture))
        out.mux(stream.encode(None))
    return times_s


def _defaults(codec: str) -> dict[str, str]:
    if codec == "libx264":
        return {"g": "12", "bf": "2", "preset": "veryfast"}
    if codec == "libx265":
        return {"preset": "ultrafast", "x265-params": "keyint=12:log-level=none"}
    if codec == "libsvtav1":
        return {"preset": "12", "g": "12", "svtav1-params": "lp=1"}
    return {"g": "12", "deadline": "realtime", "cpu-used": "8"} if codec.startswith("libvpx") else {"g": "12"}


def bars(number: int, width: int, height: int) -> NDArray[np.uint8]:
    """Return a grey picture (height, width) of a number: a column a bit, and below it the opposite."""
    bits = np.array([number >> bit & 1 for bit in range(BITS)], dtype=bool)
    row = bits[np.arange(width) * BITS // width]
    picture = np.where(row, 220, 30).astype(np.uint8)
    return np.vstack([np.tile(picture, (height // 2, 1)), np.tile(250 - picture, (height - height // 2, 1))])


def number_in(pixels: NDArray[np.uint8]) -> int:
    """Return the number that a picture (height, width, 3) shows; fails when it shows none clearly."""
    grey = pixels.mean(axis=2)
    half = grey.shape[0] // 2
    middles = ((np.arange(BITS) + 0.5) * grey.shape[1] / BITS).astype(int)
    upper = grey[half // 4 : half * 3 // 4].mean(axis=0)[middles]
    lower = grey[half + half // 4 : half + half * 3 // 4].mean(axis=0)[middles]
    assert (abs(upper - lower) > 60).all(), f"no bar code: {upper - lower}"
    return int(sum(1 << bit for bit in range(BITS) if upper[bit] > lower[bit]))


def uneven_times(count: int, seed: int = 0) -> NDArray[np.float64]:
    """Return (count,) seconds from 0 with gaps of 10 to 150 ms, whole milliseconds so that every format holds them."""
    gaps = np.random.default_rng(seed).integers(10, 150, count - 1)
    return np.concatenate([[0], np.cumsum(gaps)]) / 1000


def tone_frames(begin_s: float, end_s: float) -> list[av.AudioFrame]:
    """Return a 440 Hz tone in frames of 960 samples, timed from `begin_s`."""
    frames = []
    for at in range(0, round((end_s - begin_s) * SOUND_HZ), 960):
        wave = 0.3 * np.sin(2 * np.pi * 440 * (at + np.arange(960)) / SOUND_HZ)
        frame = av.AudioFrame.from_ndarray(wave[None].astype(np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.time_base = SOUND_HZ, Fraction(1, SOUND_HZ)
        frame.pts = at + round(begin_s * SOUND_HZ)
        frames.append(frame)
    return frames


def make_sound(path: Path) -> None:
    """Write half a second of sound without pictures."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=SOUND_HZ, layout="mono")
        for frame in [*tone_frames(0, 0.5), None]:
            out.mux(stream.encode(frame))


def cut_clip(source: Path, target: Path, start_s: float) -> None:
    """Copy an MP4 from `start_s` on without encoding: what lies between the key frame and there is hidden by an edit list."""
    with av.open(str(source)) as film, av.open(str(target), "w") as out:
        stream = film.streams.video[0]
        copy = out.add_stream_from_template(stream)
        shift = round(start_s / stream.time_base)
        film.seek(shift, stream=stream)
        for packet in film.demux(stream):
            if packet.dts is not None:
                packet.pts -= shift
                packet.dts -= shift
                packet.stream = copy
                out.mux(packet)


def drop_first_group(source: Path, target: Path) -> None:
    """Copy a video from its second key frame on without encoding, with the frames that lean on what came before."""
    with av.open(str(source)) as film, av.open(str(target), "w") as out:
        copy = out.add_stream_from_template(film.streams.video[0])
        groups = 0
        for packet in film.demux(video=0):
            groups += packet.is_keyframe
            if groups > 1 and packet.dts is not None:
                packet.stream = copy
                out.mux(packet)


def shorten(path: Path, share: float) -> None:
    """Cut a file off after a share of its bytes."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def spoil(path: Path, at: float, count: int = 40) -> None:
    """Overwrite `count` bytes of a file with noise, from a share of its length on."""
    content = bytearray(path.read_bytes())
    begin = int(len(content) * at)
    content[begin : begin + count] = np.random.default_rng(0).bytes(count)
    path.write_bytes(bytes(content))


def with_subtitles(path: Path, codec: str, packets: list[tuple[float, float, bytes]], starts_s: float = 0.0) -> Path:
    """Write a clip of 3 s, first frame at `starts_s`, with a subtitle stream of these packets (start, length in seconds, content)."""
    plain = path.with_name("plain.mkv")
    make_clip(plain, times_s=[starts_s + k / 5 for k in range(15)], options={"bf": "0"})  # no B-frames, which shift all times of a MKV
    with av.open(str(plain)) as source, av.open(str(path), "w") as out:
        picture = out.add_stream_from_template(source.streams.video[0])
        lines = out.add_stream(codec)
        lines.metadata["language"] = "ger"
        lines.codec_context.subtitle_header = b"[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name\nStyle: Default\n\n[Events]\n"
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = picture
                out.mux(packet)
        for start_s, lasts_s, content in packets:
            packet = av.Packet(content)
            packet.stream, packet.time_base = lines, Fraction(1, 1000)
            packet.pts = packet.dts = round((starts_s + start_s) * 1000)
            packet.duration = round(lasts_s * 1000)
            out.mux(packet)
    return path
