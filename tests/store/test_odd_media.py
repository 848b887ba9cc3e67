"""Files that are whole but odd: each gives the right frames, or a clear sentence."""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from store.errors import InputError
from store.media import frame_times, probe, read_frames, shown_frames
from store.proxy import make_proxy
from tests.clips import Extras, make_clip, number_in
from tests.store.kinds import FRAMES, shown_in

RATES = tuple((np.arange(FRAMES) / 240).tolist())

# What encoders can write, if seldom: every one is read frame by frame.
ODD: list[tuple[str, str, Extras]] = [
    ("quick.mp4", "libx264", {"times_s": RATES}),
    ("grey.mkv", "ffv1", {"pixel_format": "gray"}),
    ("grey 10 bits.mp4", "libx264", {"pixel_format": "gray10le"}),
    ("see through.mkv", "ffv1", {"pixel_format": "yuva420p"}),
    ("see through.mov", "png", {"pixel_format": "rgba"}),
    ("ten bits 4-2-2.mkv", "libx265", {"pixel_format": "yuv422p10le", "options": {"x265-params": "keyint=12:log-level=none"}}),
    ("twelve bits.mkv", "ffv1", {"pixel_format": "yuv444p12le"}),
    ("rgb.avi", "rawvideo", {"pixel_format": "bgr24"}),
    ("odd 4-2-0.mkv", "ffv1", {"size": (161, 65)}),
    ("tall pixels.mp4", "libx264", {"size": (161, 65), "pixel_format": "yuv444p", "rotation": 270}),
    ("no ending", "libx264", {}),
]


@pytest.mark.parametrize(("name", "codec", "extras"), ODD, ids=[kind[0] for kind in ODD])
def test_odd_kinds_are_read_frame_by_frame(tmp_path: Path, name: str, codec: str, extras: Extras) -> None:
    path = tmp_path / (name if "." in name else "clip.mp4")
    make_clip(path, seconds=2.8, codec=codec, **extras)
    path = path.rename(tmp_path / name)
    turns = extras.get("rotation", 0) // 90
    found = probe(path)
    assert (found.health, found.frame_count) == ("ok", FRAMES)
    pixels = read_frames(path, found.frame_times).pixels
    assert [number_in(np.rot90(picture, -turns)) for picture in pixels] == list(range(FRAMES))
    assert [number_in(np.rot90(frame.pixels, -turns)) for frame in shown_frames(path)] == list(range(FRAMES))


@pytest.mark.parametrize(("name", "codec", "pixel_format"), [("a.mov", "png", "rgb24"), ("a.avi", "rawvideo", "bgr24"), ("a.mp4", "libx264", "yuv444p")])
@pytest.mark.parametrize("size", [(1, 1), (1, 3), (2, 1)])
def test_pictures_of_a_few_pixels_are_read(tmp_path: Path, name: str, codec: str, pixel_format: str, size: tuple[int, int]) -> None:
    path = tmp_path / name
    make_clip(path, seconds=0.2, codec=codec, size=size, pixel_format=pixel_format)
    found = probe(path)
    assert (found.health, found.width, found.height, found.frame_count) == ("ok", *size, 5)
    assert read_frames(path, [0.0, 0.1]).pixels.shape == (2, *size[::-1], 3)
    assert read_frames(path, [0.1], (8, 4)).pixels.shape == (1, 4, 8, 3)
    assert len(list(shown_frames(path, planes=True))) == 5


def test_one_frame_is_on_display_all_the_time(tmp_path: Path) -> None:
    path = tmp_path / "one.mp4"
    make_clip(path, times_s=[0.0])
    (frame,) = shown_frames(path)
    assert (frame.start_s, frame.end_s) == (0.0, pytest.approx(0.04, abs=0.01))
    assert number_in(frame.pixels) == 0
    assert shown_in(path, [0.0, 0.02]) == [0, 0]


def test_a_file_without_frames_says_so(tmp_path: Path) -> None:
    make_clip(tmp_path / "one.mp4", times_s=[0.0])
    for name, said in (("none.mkv", "not a video that can be read"), ("none.mp4", "no moving picture")):
        with av.open(str(tmp_path / "one.mp4")) as film, av.open(str(tmp_path / name), "w") as out:
            out.add_stream_from_template(film.streams.video[0])
            out.start_encoding()
        found = probe(tmp_path / name)
        assert found.health == "unreadable" and said in str(found.health_reason)
        with pytest.raises(InputError, match=said):
            next(shown_frames(tmp_path / name))


def test_a_length_that_the_file_does_not_name_is_read_from_its_packets(tmp_path: Path) -> None:
    path = tmp_path / "live.mkv"
    make_clip(path, seconds=2.8, file_options={"live": "1"})
    with av.open(str(path)) as container:
        assert container.duration is None, "the control"
    found = probe(path)
    assert (found.health, found.frame_count, found.duration_s) == ("ok", FRAMES, pytest.approx(2.8, abs=2e-3))
    assert shown_in(path, found.frame_times) == list(range(FRAMES))


def test_a_file_that_starts_before_its_zero_starts_at_ours(tmp_path: Path) -> None:
    path = tmp_path / "early.mkv"
    make_clip(path, times_s=(np.arange(FRAMES) / 25 - 1).tolist(), codec="ffv1", file_options={"avoid_negative_ts": "disabled"})
    with av.open(str(path)) as container:
        assert container.start_time == -1_000_000, "the control"
    found = probe(path)
    assert found.frame_times == pytest.approx(np.arange(FRAMES) / 25, abs=1e-3)
    assert found.health == "ok" and not found.playable
    assert shown_in(path, found.frame_times) == list(range(FRAMES))
    make_proxy(path, tmp_path / "proxy.mp4")
    assert shown_in(tmp_path / "proxy.mp4", found.frame_times) == list(range(FRAMES))


def test_two_recordings_behind_each_other_are_not_taken_for_one(tmp_path: Path) -> None:
    one, two = tmp_path / "one.ts", tmp_path / "two.ts"
    make_clip(one, seconds=1)
    two.write_bytes(one.read_bytes() * 2)
    assert probe(one).health == "ok"
    for look in (lambda: read_frames(two, [0.0]), lambda: next(shown_frames(two)), lambda: make_proxy(two, tmp_path / "proxy.mp4")):
        with pytest.raises(InputError, match="time stamps of the file go back"):
            look()
    found = probe(two)
    assert found.health == "unreadable" and "go back" in str(found.health_reason)


def test_a_stream_that_changes_its_size_keeps_the_first_one(tmp_path: Path) -> None:
    first, second, both = (tmp_path / f"{name}.ts" for name in ("first", "second", "both"))
    make_clip(first, times_s=(np.arange(25) / 25).tolist())
    make_clip(second, times_s=(np.arange(30, 55) / 25).tolist(), size=(320, 128))
    with av.open(str(first)) as film, av.open(str(second)) as other, av.open(str(both), "w") as out:
        copy = out.add_stream_from_template(film.streams.video[0])
        for packet in [*film.demux(video=0), *other.demux(video=0)]:
            if packet.size:
                packet.stream = copy
                out.mux(packet)
    found = probe(both)
    assert (found.health, found.frame_count, found.width, found.height) == ("ok", 50, 160, 64)
    assert shown_in(both, found.frame_times) == [*range(25), *range(25)], "the second clip counts from 0 again"
    assert [frame.pixels.shape for frame in shown_frames(both)] == [(64, 160, 3)] * 50
    assert {len(frame.pixels) for frame in shown_frames(both, planes=True)} == {160 * 64 * 3 // 2}


@pytest.mark.parametrize("name", ["clip.jpg", "clip.txt", "clip.mp3", "clip.avi"])
def test_the_ending_of_a_name_says_nothing(clips: Callable[..., Path], tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(clips("even.mp4").read_bytes())
    assert probe(tmp_path / name).container == "mp4"
    assert shown_in(tmp_path / name, frame_times(tmp_path / name)[0]) == list(range(FRAMES))
