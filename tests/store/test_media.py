"""Real small files through the media layer: the frames asked for and no others."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from store.errors import InputError
from store.media import probe, read_frames, shown_frames
from store.proxy import make_proxy
from tests.clips import Extras, cut_clip, drop_first_group, make_clip, number_in
from tests.store.kinds import KINDS, LATE, OPEN_GROUPS, UNEVEN, give_edits, shown_in

# ---- exact frames --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "codec", "extras"), KINDS, ids=[kind[0] for kind in KINDS])
def test_every_asked_time_brings_the_frame_on_display(clips: Callable[..., Path], name: str, codec: str, extras: Extras) -> None:
    path = clips(name, codec, extras)
    found = probe(path)
    assert (found.health, found.health_reason, found.frame_count) == ("ok", None, 70)
    random = np.random.default_rng(1)
    for asked in (random.uniform(0, found.duration_s, 30), random.uniform(0, found.duration_s, 2), found.frame_times, found.frame_times[[69]]):
        frames = read_frames(path, asked)
        on_display = np.searchsorted(found.frame_times, asked + 1e-5, side="right") - 1
        assert [number_in(picture) for picture in frames.pixels] == on_display.clip(0).tolist()
        assert np.array_equal(frames.times_s, found.frame_times[on_display.clip(0)])


def test_frame_times_are_those_that_were_written(clips: Callable[..., Path]) -> None:
    assert probe(clips("uneven.mp4", extras={"times_s": UNEVEN})).frame_times == pytest.approx(UNEVEN, abs=1e-9)
    assert probe(clips("vp8.webm", "libvpx", {"times_s": UNEVEN})).frame_times == pytest.approx(UNEVEN, abs=1e-9)
    assert probe(clips("even.mp4")).frame_times == pytest.approx(np.arange(70) / 25, abs=1e-9)


def test_counting_frames_by_an_average_rate_would_be_wrong(clips: Callable[..., Path]) -> None:
    """The control: were this right too, the tests above would show nothing."""
    found = probe(clips("uneven.mp4", extras={"times_s": UNEVEN}))
    asked = np.random.default_rng(2).uniform(0, UNEVEN[-1], 100)
    by_rate = (asked * found.frame_count / found.duration_s).astype(int)
    on_display = np.searchsorted(UNEVEN, asked, side="right") - 1
    assert np.mean(by_rate == on_display) < 0.5
    assert shown_in(clips("uneven.mp4"), asked) == on_display.tolist()


def test_jumping_and_taking_the_next_frame_would_be_wrong(clips: Callable[..., Path]) -> None:
    """The control: what a plain seek brings is another frame."""
    path = clips("open groups.mp4", extras={"options": OPEN_GROUPS})
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        container.seek(round(1.0 / stream.time_base), stream=stream)
        first = next(container.decode(stream))
        assert number_in(first.to_ndarray(format="rgb24")) != 25
    assert shown_in(path, [1.0]) == [25]


def test_frames_hidden_by_an_edit_list_are_neither_counted_nor_read(clips: Callable[..., Path], tmp_path: Path) -> None:
    cut = tmp_path / "cut.mp4"
    cut_clip(clips("even.mp4"), cut, start_s=0.72)
    with av.open(str(cut)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        assert sum(packet.is_discard for packet in packets) == 6, "the control: frames 12 to 17 are in the file"
    found = probe(cut)
    assert found.frame_times == pytest.approx(np.arange(52) / 25, abs=1e-6)
    assert found.health == "ok" and found.playable
    assert shown_in(cut, found.frame_times) == list(range(18, 70))
    assert shown_in(cut, [0.1]) == [20]


def test_an_edit_list_of_several_stretches_is_followed_even_back(tmp_path: Path) -> None:
    path = tmp_path / "edited.mp4"
    make_clip(path, seconds=4, options={"g": "12", "bf": "0", "preset": "veryfast"})
    give_edits(path, [(0.0, 1.0), (2.72, 3.6), (0.2, 0.6)])
    with av.open(str(path)) as container:
        keys = [packet.pts for packet in container.demux(video=0) if packet.is_keyframe]
    assert keys != sorted(keys), "the control: key frames before a stretch have times from within the one before"
    found = probe(path)
    assert (found.health, found.playable) == ("ok", True)
    shown = [*range(25), *range(68, 90), *range(5, 15)]
    assert shown_in(path, found.frame_times) == shown
    assert found.frame_times == pytest.approx(np.arange(57) / 25, abs=1e-6)
    assert [number_in(frame.pixels) for frame in shown_frames(path)] == shown
    assert [number for time in found.frame_times[::-1] for number in shown_in(path, [time])] == shown[::-1], "one by one, by jumps"


@pytest.mark.parametrize("ending", [".mkv", ".ts"])
def test_frames_whose_key_frame_was_cut_away_are_left_out_and_the_rest_is_whole(clips: Callable[..., Path], tmp_path: Path, ending: str) -> None:
    cut = tmp_path / f"cut{ending}"
    drop_first_group(clips(f"open groups{ending}", extras={"options": OPEN_GROUPS}), cut)
    with av.open(str(cut)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        assert packets[0].is_keyframe and packets[1].pts < packets[0].pts, "the control: frames before the first key frame"
    found = probe(cut)
    assert (found.health, found.health_reason) == ("ok", None)
    assert found.frame_times[0] > 0.03
    shown = shown_in(cut, found.frame_times)
    assert shown == list(range(shown[0], 70))
    assert shown_in(cut, [0.0, found.frame_times[0] - 1e-3, 1.0]) == [shown[0]] * 2 + shown_in(cut, [1.0]), "until then the first one is on display"
    make_proxy(cut, tmp_path / "proxy.mp4")
    assert probe(tmp_path / "proxy.mp4").frame_times == pytest.approx(found.frame_times, abs=1e-3)
    assert shown_in(tmp_path / "proxy.mp4", found.frame_times) == shown


def test_order_and_repeats_are_the_askers(clips: Callable[..., Path]) -> None:
    assert shown_in(clips("even.mp4"), [2.0, 0.0, 2.0, 1.99, 0.5]) == [50, 0, 50, 49, 12]


def test_a_time_that_a_browser_cut_to_microseconds_still_means_its_frame(clips: Callable[..., Path]) -> None:
    path = clips("thirds.mp4", extras={"times_s": (np.arange(70) / 30).tolist()})
    times_s = probe(path).frame_times
    assert shown_in(path, np.floor(times_s * 1e6) / 1e6) == list(range(70))


def test_only_times_within_the_file_are_read(clips: Callable[..., Path]) -> None:
    path = clips("even.mp4")
    assert shown_in(path, [2.8, 2.83]) == [69, 69]
    for wrong in ([-0.1], [2.9], [float("nan")]):
        with pytest.raises(InputError, match=r"times from 0 to 2\.8 s"):
            read_frames(path, wrong)


def test_pictures_are_turned_stretched_and_shrunk_as_shown(clips: Callable[..., Path]) -> None:
    turned = clips("turned.mp4", extras={"rotation": 90})
    found = probe(turned)
    assert (found.width, found.height, found.rotation) == (64, 160, 270)
    pixels = read_frames(turned, [1.0]).pixels
    assert pixels.shape == (1, 160, 64, 3)
    assert number_in(np.rot90(pixels[0], -1)) == 25
    assert read_frames(turned, [0.0], size=80).pixels.shape == (1, 80, 32, 3)
    assert read_frames(turned, [0.0], size=900).pixels.shape == (1, 160, 64, 3), "nothing is enlarged"
    wide = clips("wide.mp4", extras={"pixel_shape": Fraction(4, 3)})
    assert (probe(wide).width, probe(wide).height) == (213, 64)
    assert read_frames(wide, [0.0]).pixels.shape == (1, 64, 213, 3)
    exact = read_frames(turned, [1.0], (50, 90)).pixels
    assert exact.shape == (1, 90, 50, 3), "a size given exactly is that of the turned picture"
    assert number_in(np.rot90(exact[0], -1)) == 25
    assert read_frames(wide, [0.0], 100).pixels.shape == (1, 30, 100, 3)
    assert number_in(read_frames(wide, [1.0], (50, 90)).pixels[0]) == 25
    with pytest.raises(InputError, match="1 or more"):
        read_frames(wide, [0.0], size=0)


# ---- what a probe says ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "codec", "extras", "said"),
    [
        ("even.mp4", "libx264", {}, ("mp4", "h264", None, True)),
        ("even.mov", "libx264", {"sound": "aac"}, ("mov", "h264", "aac", True)),
        ("av1.mp4", "libsvtav1", {}, ("mp4", "av1", None, True)),
        ("vp9.webm", "libvpx-vp9", {"sound": "libopus"}, ("webm", "vp9", "opus", True)),
        ("wrong ending.avi.mp4", "libx264", {"sound": "libmp3lame"}, ("mp4", "h264", "mp3", True)),
        ("hevc.mp4", "libx265", {}, ("mp4", "hevc", None, False)),
        ("ten bits.mp4", "libx264", {"pixel_format": "yuv420p10le"}, ("mp4", "h264", None, False)),
        ("divx.avi", "mpeg4", {"options": {"g": "12", "bf": "2"}}, ("avi", "mpeg4", None, False)),
        ("odd.mp4", "libx264", {"size": (161, 65), "pixel_format": "yuv444p"}, ("mp4", "h264", None, False)),
        ("film.mkv", "libx264", {}, ("matroska", "h264", None, False)),
        ("late.webm", "libvpx", LATE, ("webm", "vp8", None, False)),
    ],
)
def test_a_probe_names_the_streams_and_whether_a_browser_plays_them(clips: Callable[..., Path], name: str, codec: str, extras: Extras, said: object) -> None:
    found = probe(clips(name, codec, extras))
    assert (found.container, found.video_codec, found.audio_codec, found.playable) == said


def test_the_clock_starts_with_the_file_and_not_with_the_container(clips: Callable[..., Path]) -> None:
    late = clips("late.webm", "libvpx", LATE)
    with av.open(str(late)) as container:
        assert container.start_time > 8e6, "the control: the container starts late"
    assert probe(late).frame_times == pytest.approx(UNEVEN, abs=1e-4)
    assert shown_in(late, [0.0, UNEVEN[40]]) == [0, 40]


def test_pictures_that_begin_after_the_sound_keep_their_times(clips: Callable[..., Path]) -> None:
    path = clips("late picture.mp4", extras={"times_s": tuple(t + 0.5 for t in UNEVEN), "sound": "aac", "sound_s": (0.0, 3.0)})
    found = probe(path)
    assert found.frame_times == pytest.approx(np.array(UNEVEN) + 0.5, abs=1e-3)
    assert found.playable
    assert shown_in(path, [0.0]) == [0], "until then the first frame is on display"


def test_after_the_last_picture_it_stays_while_the_sound_goes_on(clips: Callable[..., Path]) -> None:
    path = clips("long sound.mp4", extras={"sound": "aac", "sound_s": (0.0, 5.0)})
    assert probe(path).duration_s == pytest.approx(2.8, abs=0.05)
    assert shown_in(path, [4.9]) == [69]
