"""One pass over a file: every frame on display, each for its whole time, the same pictures as those read one by one."""

import contextlib
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from store.errors import InputError, NotFoundError
from store.media import ShownFrame, frame_times, plane_shape, planes_to_rgb, probe, read_frames, shown_frames
from tests.clips import Extras, cut_clip, drop_first_group, make_clip, number_in, shorten, spoil
from tests.store.kinds import FRAMES, KINDS, LATE, OPEN_GROUPS, UNEVEN, make_coloured

EACH_KIND = pytest.mark.parametrize(("name", "codec", "extras"), KINDS, ids=[kind[0] for kind in KINDS])


def kept(path: Path, *span: float, **how: object) -> list[ShownFrame]:
    """Return what is on display, each with its own pixels, after checking that nothing lies between one and the next."""
    found = [replace(frame, pixels=frame.pixels.copy()) for frame in shown_frames(path, *span, **how)]  # type: ignore[arg-type]
    assert all(before.end_s == after.start_s for before, after in pairwise(found))
    return found


def numbers(found: Sequence[ShownFrame]) -> list[int]:
    return [number_in(frame.pixels) for frame in found]


@EACH_KIND
def test_one_pass_shows_what_reading_frame_by_frame_shows(clips: Callable[..., Path], name: str, codec: str, extras: Extras) -> None:
    path = clips(name, codec, extras)
    times_s, end_s = frame_times(path)
    assert (len(times_s), end_s) == (FRAMES, pytest.approx(probe(path).duration_s))
    found = kept(path)
    assert [frame.start_s for frame in found] == [0.0, *times_s[1:]]
    assert all(frame.sound for frame in found)
    one_by_one = read_frames(path, times_s).pixels
    assert all(np.array_equal(frame.pixels, pixels) for frame, pixels in zip(found, one_by_one, strict=True))
    assert numbers(found) == list(range(FRAMES)), "the control: the frames differ from each other"


@EACH_KIND
def test_a_span_shows_what_is_on_display_somewhere_in_it(clips: Callable[..., Path], name: str, codec: str, extras: Extras) -> None:
    path = clips(name, codec, extras)
    times_s, end_s = frame_times(path)
    random = np.random.default_rng(3)
    for span in (sorted(random.uniform(0, end_s, 2).tolist()), [times_s[30], times_s[31]], [times_s[69], end_s]):
        first, last = np.searchsorted(times_s, [span[0] + 1e-5, span[1] - 1e-5], side="right") - 1
        found = kept(path, *span)
        assert numbers(found) == list(range(first, last + 1))
        assert found[0].start_s <= span[0] + 1e-5 and found[-1].end_s >= span[1] - 1e-5


def test_frames_hidden_by_an_edit_list_are_not_shown(clips: Callable[..., Path], tmp_path: Path) -> None:
    cut = tmp_path / "cut.mp4"
    cut_clip(clips("even.mp4"), cut, start_s=0.72)
    with av.open(str(cut)) as container:
        assert sum(packet.size > 0 for packet in container.demux(video=0)) == 58, "the control: six more are in the file"
    assert numbers(kept(cut)) == list(range(18, FRAMES))
    assert numbers(kept(cut, 0.1, 0.3)) == list(range(20, 26))


@pytest.mark.parametrize("ending", [".mkv", ".ts"])
def test_frames_whose_key_frame_was_cut_away_are_left_out_and_the_next_counts_from_0(clips: Callable[..., Path], tmp_path: Path, ending: str) -> None:
    cut = tmp_path / f"cut{ending}"
    drop_first_group(clips(f"open groups{ending}", extras={"options": OPEN_GROUPS}), cut)
    whole = probe(cut).frame_times
    found = kept(cut)
    assert all(frame.sound for frame in found)
    assert found[0].start_s == 0.0 < whole[0]
    assert [frame.end_s for frame in found[:-1]] == pytest.approx(whole[1:])
    assert numbers(found) == list(range(FRAMES - len(whole), FRAMES))


def test_the_first_frame_counts_from_0_and_the_last_one_until_the_sound_ends(clips: Callable[..., Path]) -> None:
    late = clips("late picture.mp4", extras={"times_s": tuple(t + 0.5 for t in UNEVEN), "sound": "aac", "sound_s": (0.0, 3.0)})
    assert kept(late)[0].start_s == 0.0 and frame_times(late)[0][0] == pytest.approx(0.5, abs=1e-3)
    long = clips("long sound.mp4", extras={"sound": "aac", "sound_s": (0.0, 5.0)})
    last = kept(long)[-1]
    assert (last.start_s, last.end_s) == (pytest.approx(2.76), pytest.approx(5.0, abs=0.03))
    assert frame_times(long)[1] == pytest.approx(2.8, abs=1e-3)
    assert numbers(kept(long, 4.0, 4.5)) == [69], "and it alone is on display then"
    assert numbers(kept(clips("late.webm", "libvpx", LATE), 0.0, UNEVEN[3])) == [0, 1, 2]


def test_pictures_are_turned_and_come_in_the_size_asked_for(clips: Callable[..., Path]) -> None:
    turned = clips("turned.mp4", extras={"rotation": 90})
    (frame,) = kept(turned, 1.0, 1.01, size=(48, 200))
    assert frame.pixels.shape == (200, 48, 3)
    assert number_in(np.rot90(frame.pixels, -1)) == 25
    assert np.array_equal(frame.pixels, read_frames(turned, [1.0], (48, 200)).pixels[0])


# ---- planes --------------------------------------------------------------------------------------------------------


@EACH_KIND
def test_planes_become_the_same_picture(clips: Callable[..., Path], name: str, codec: str, extras: Extras) -> None:
    path = clips(name, codec, extras)
    like = plane_shape(path)
    found = kept(path, planes=True)
    assert numbers([replace(frame, pixels=planes_to_rgb(frame.pixels, like)) for frame in found]) == list(range(FRAMES))
    plain = name not in {"odd.mp4", "ten bits.mp4", "moving.gif"}  # those are not 4:2:0 with 8 bits
    for size in (None, 100, (50, 70)):
        picture = planes_to_rgb(found[30].pixels, like, size)
        expected = read_frames(path, [frame_times(path)[0][30]], size).pixels[0]
        assert np.array_equal(picture, expected) if plain else abs((picture.astype(int) - expected).mean()) < 0.5


@EACH_KIND
@pytest.mark.parametrize("size", [100, (90, 70)])
def test_planes_of_a_size_become_nearly_the_same_picture(
    clips: Callable[..., Path], name: str, codec: str, extras: Extras, size: int | tuple[int, int]
) -> None:
    path = clips(name, codec, extras)
    like = plane_shape(path, size)
    found = kept(path, planes=True, size=size)
    pictures = [planes_to_rgb(frame.pixels, like) for frame in found]
    expected = read_frames(path, frame_times(path)[0], size).pixels
    assert abs((np.array(pictures, dtype=int) - expected).mean()) < 0.5
    assert [number_in(picture) for picture in pictures] == list(range(FRAMES))
    assert planes_to_rgb(found[0].pixels, like, (40, 30)).shape == (30, 40, 3)
    with pytest.raises(InputError, match="values of uint8"):
        planes_to_rgb(found[0].pixels, plane_shape(path), size)


def test_colours_in_planes_lie_where_they_lay(tmp_path: Path) -> None:
    path = tmp_path / "colours.mp4"
    make_coloured(path, codec="libx264", pixel_format="yuv420p")
    (frame, *_) = shown_frames(path, planes=True)
    like = plane_shape(path)
    expected = read_frames(path, [0.0], 100).pixels[0]
    assert np.array_equal(planes_to_rgb(frame.pixels, like, 100), expected)
    elsewhere = planes_to_rgb(frame.pixels, replace(like, siting="unspecified"), 100)
    assert not np.array_equal(elsewhere, expected), "the control: where nothing is said they are taken to lie elsewhere"


def test_planes_are_luma_then_colour_without_padding(clips: Callable[..., Path]) -> None:
    like = plane_shape(clips("odd.mp4", extras={"size": (161, 65), "pixel_format": "yuv444p"}))
    assert like.planes == ((65, 161), (33, 81), (33, 81))
    (frame, *_) = shown_frames(clips("even.mp4"), planes=True)
    luma = frame.pixels[: 160 * 64].reshape(64, 160)
    assert number_in(np.dstack([luma] * 3)) == 0


def test_turned_and_stretched_planes_come_out_as_shown(clips: Callable[..., Path]) -> None:
    turned = clips("turned.mp4", extras={"rotation": 90})
    (frame,) = kept(turned, 1.0, 1.01, planes=True)
    assert np.array_equal(planes_to_rgb(frame.pixels, plane_shape(turned)), read_frames(turned, [1.0]).pixels[0])
    (small,) = kept(turned, 1.0, 1.01, planes=True, size=80)
    like = plane_shape(turned, 80)
    assert like.planes[0] == (32, 80), "planes are not turned"
    assert number_in(np.rot90(planes_to_rgb(small.pixels, like), -1)) == 25


def test_shrunk_planes_of_a_large_picture_keep_its_colours(tmp_path: Path) -> None:
    """Unnamed colours are BT.709 from 720 lines on, and no fewer lines of planes may change that."""
    path = tmp_path / "large.mkv"
    make_coloured(path, size=(64, 720), pixel_format="yuv420p")
    (frame, *_) = shown_frames(path, planes=True, size=(32, 360))
    off = planes_to_rgb(frame.pixels, plane_shape(path, (32, 360))) - read_frames(path, [0.0], (32, 360)).pixels[0].astype(int)
    assert np.abs(off.mean(axis=(0, 1))).max() < 0.3


@pytest.mark.parametrize("planes", [np.zeros(15_359, np.uint8), np.zeros(15_360, np.float32), np.zeros((96, 160), np.uint8)])
def test_planes_of_another_shape_are_refused(clips: Callable[..., Path], planes: np.ndarray) -> None:
    like = plane_shape(clips("even.mp4"))
    assert planes_to_rgb(np.zeros(15_360, np.uint8), like).shape == (64, 160, 3)
    with pytest.raises(InputError, match="15360 values of uint8"):
        planes_to_rgb(planes, like)


# ---- damage and refusals -------------------------------------------------------------------------------------------


def test_frames_that_rest_on_damage_are_marked_and_the_others_are_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "noise.mp4"
    times_s = make_clip(path, seconds=2.8, file_options={"movflags": "faststart"})
    whole = read_frames(path, times_s).pixels
    spoil(path, 0.5)
    sound = [frame for frame in kept(path) if frame.sound]
    good_s = probe(path).frame_times
    assert [frame.start_s for frame in sound] == good_s.tolist()
    assert 40 < len(sound) < FRAMES
    assert np.array_equal([frame.pixels for frame in sound], whole[np.isin(times_s, good_s)])
    with av.open(str(path)) as container, contextlib.suppress(av.FFmpegError):
        marked = sum(frame.is_corrupt for frame in container.decode(video=0))
        assert marked < FRAMES - len(sound), "the control: the decoder's own marks are too few"


def test_where_frames_are_gone_the_one_before_stays_and_is_marked(tmp_path: Path) -> None:
    path = tmp_path / "front.mp4"
    make_clip(path, seconds=2.8, codec="mjpeg", pixel_format="yuvj420p", file_options={"movflags": "faststart"})
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    for number in (0, 20, 21, 69):
        at, size = places[number]
        content[at : at + size] = bytes(size)
    path.write_bytes(bytes(content))
    found = kept(path)
    assert (found[0].start_s, found[-1].end_s) == (0.0, 2.8)
    gone = [(round(frame.start_s * 25), round(frame.end_s * 25), number_in(frame.pixels)) for frame in found if not frame.sound]
    assert gone == [(0, 1, 1), (20, 22, 19), (69, 70, 68)]
    with pytest.raises(InputError, match=r"No frame from 0\.8"):
        kept(path, 0.81, 0.85)


def test_a_file_cut_off_is_shown_as_far_as_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "film.mkv"
    make_clip(path, seconds=2.8)
    shorten(path, 0.6)
    found = kept(path)
    assert numbers(found) == list(range(len(found))) and 15 < len(found) < FRAMES


def test_spans_and_files_that_hold_nothing_are_refused(clips: Callable[..., Path], tmp_path: Path) -> None:
    path = clips("even.mp4")
    for span in [(1.0, 1.0), (2.0, 1.0), (-1.0, 1.0), (0.0, 9.0), (float("nan"), 1.0), (0.0, float("inf"))]:
        with pytest.raises(InputError):
            next(shown_frames(path, *span))
    for look in (lambda missing: next(shown_frames(missing)), frame_times, plane_shape):
        with pytest.raises(NotFoundError):
            look(tmp_path / "gone.mp4")


# ---- cost ----------------------------------------------------------------------------------------------------------


def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    long = tmp_path / "long.mp4"
    make_clip(long, seconds=40, fps=50, options={"g": "50", "preset": "ultrafast"})

    def most_bytes(seconds: float) -> int:
        tracemalloc.start()
        for _ in shown_frames(long, 0.0, seconds):
            pass
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    most_bytes(1.0)  # what is loaded and kept at the first call
    short, all_of_it = most_bytes(4.0), most_bytes(40.0)
    assert all_of_it < 1.2 * short + 100_000
    frames = len(frame_times(long)[0])
    assert frames * 160 * 64 * 3 > 20 * all_of_it, "the control: what all pictures together would take"
