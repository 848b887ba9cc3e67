"""Real small files through the media layer: the frames asked for and no others, and a plain word for every bad file."""

import contextlib
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from store.errors import InputError, NotFoundError
from store.media import make_proxy, probe, read_frames
from tests.clips import Extras, cut_clip, drop_first_group, make_clip, make_sound, number_in, shorten, spoil, uneven_times

ROOT = Path(__file__).resolve().parents[2]
OPEN_GROUPS = {"g": "12", "bf": "3", "preset": "veryfast", "x264-params": "open-gop=1:b-pyramid=2"}
INTRA_REFRESH = {"g": "12", "preset": "veryfast", "x264-params": "intra-refresh=1"}
FRAGMENTED = {"movflags": "frag_keyframe+empty_moov"}
UNEVEN = tuple(uneven_times(70).tolist())
LATE: Extras = {"times_s": tuple(t + 8.3 for t in UNEVEN)}

# What a data set may bring: name of the file, encoder, the rest.
KINDS: list[tuple[str, str, Extras]] = [
    ("even.mp4", "libx264", {}),
    ("uneven.mp4", "libx264", {"times_s": UNEVEN}),
    ("open groups.mp4", "libx264", {"options": OPEN_GROUPS}),
    ("open-uneven.mkv", "libx264", {"options": OPEN_GROUPS, "times_s": UNEVEN}),
    ("intra refresh.mp4", "libx264", {"options": INTRA_REFRESH}),
    ("fragmented.mp4", "libx264", {"options": OPEN_GROUPS, "file_options": FRAGMENTED}),
    ("ten bits.mp4", "libx264", {"pixel_format": "yuv420p10le"}),
    ("odd.mp4", "libx264", {"size": (161, 65), "pixel_format": "yuv444p"}),
    ("hevc.mp4", "libx265", {}),
    ("hevc.mkv", "libx265", {"times_s": UNEVEN}),
    ("av1.mp4", "libsvtav1", {}),
    ("vp8.webm", "libvpx", {"times_s": UNEVEN}),
    ("vp9.webm", "libvpx-vp9", {"sound": "libopus"}),
    ("stream.ts", "libx264", {"options": OPEN_GROUPS, "sound": "aac"}),
    ("flash.flv", "libx264", {}),
    ("without times.avi", "libx264", {}),
    ("divx.avi", "mpeg4", {"options": {"g": "12", "bf": "2"}}),
    ("moving.gif", "gif", {"pixel_format": "rgb8"}),
]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a maker of clips that makes each one once."""
    folder = tmp_path_factory.mktemp('it\'s a "folder"')

    def clip(name: str, codec: str = "libx264", extras: Extras | None = None) -> Path:
        path = folder / name
        if not path.exists():
            make_clip(path, seconds=2.8, codec=codec, **(extras or {}))
        return path

    return clip


def shown_in(path: Path, times_s: object) -> list[int]:
    return [number_in(picture) for picture in read_frames(path, times_s).pixels]  # type: ignore[arg-type]


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
    assert read_frames(turned, [0.0], longest_side=80).pixels.shape == (1, 80, 32, 3)
    assert read_frames(turned, [0.0], longest_side=900).pixels.shape == (1, 160, 64, 3), "nothing is enlarged"
    wide = clips("wide pixels.mp4", extras={"pixel_shape": Fraction(4, 3)})
    assert (probe(wide).width, probe(wide).height) == (213, 64)
    assert read_frames(wide, [0.0]).pixels.shape == (1, 64, 213, 3)
    with pytest.raises(InputError, match="1 or more"):
        read_frames(wide, [0.0], longest_side=0)


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


def empty(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("1\nThis is not a film.\n", encoding="utf-8")


def noise(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(50_000))


def sound(path: Path) -> None:
    make_sound(path)


def without_index(path: Path) -> None:
    make_clip(path)
    shorten(path, 0.6)


def still(path: Path) -> None:
    make_clip(path.with_suffix(".gif"), seconds=0.04, codec="gif", pixel_format="rgb8")
    path.with_suffix(".gif").rename(path)


def list_of_files(path: Path) -> None:
    make_clip(path.with_name("other.mp4"))
    path.write_text("ffconcat version 1.0\nfile other.mp4\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (empty, "is empty"),
        (text, "not a video that can be read"),
        (noise, "not a video that can be read"),
        (sound, "no moving picture"),
        (without_index, "no index"),
        (still, "still picture"),
        (list_of_files, "not taken for a video"),
    ],
)
def test_what_is_no_video_is_unreadable_with_a_sentence_and_never_raises(tmp_path: Path, make: Callable[[Path], None], said: str) -> None:
    path = tmp_path / 'a "bad" file\'s name.mp4'
    make(path)
    found = probe(path)
    assert (found.health, found.playable, len(found.frame_times)) == ("unreadable", False, 0)
    assert found.health_reason is not None and said in found.health_reason and path.name in found.health_reason
    for attempt in (lambda: read_frames(path, [0.0]), lambda: make_proxy(path, tmp_path / "proxy.mp4")):
        with pytest.raises(InputError, match=said):
            attempt()
    assert not (tmp_path / "proxy.mp4").exists()


def test_a_file_that_lists_others_would_be_followed_without_the_guard(tmp_path: Path) -> None:
    """The control: left to itself the library opens the other file."""
    path = tmp_path / "list.mp4"
    list_of_files(path)
    with av.open(str(path)) as container:
        assert container.format.name == "concat"


def test_a_missing_file_is_another_matter(tmp_path: Path) -> None:
    for attempt in (probe, lambda path: read_frames(path, [0.0]), lambda path: make_proxy(path, tmp_path / "proxy.mp4")):
        with pytest.raises(NotFoundError, match=r"gone\.mp4"):
            attempt(tmp_path / "gone.mp4")


# ---- damage --------------------------------------------------------------------------------------------------------

CUT_OFF: list[tuple[str, str, Extras, str]] = [
    ("front.mp4", "libx264", {"file_options": {"movflags": "faststart"}}, "are listed and"),
    ("fragments.mp4", "libx264", {"file_options": FRAGMENTED}, "are listed and"),
    ("film.mkv", "libx264", {}, "names a length of 2.80 s"),
    ("film.webm", "libvpx", {}, "names a length of 2.80 s"),
    ("film.avi", "mpeg4", {}, "names a length of"),
]


@pytest.mark.parametrize(("name", "codec", "extras", "said"), CUT_OFF, ids=[kind[0] for kind in CUT_OFF])
def test_a_file_cut_off_is_damaged_and_keeps_its_sound_frames(tmp_path: Path, name: str, codec: str, extras: Extras, said: str) -> None:
    path = tmp_path / name
    make_clip(path, seconds=2.8, codec=codec, **extras)
    assert probe(path).health == "ok", "the control"
    shorten(path, 0.6)
    found = probe(path)
    assert (found.health, found.playable) == ("damaged", False)
    assert said in str(found.health_reason)
    assert found.frame_count is not None and 15 < found.frame_count < 70
    assert found.duration_s < 2.6
    assert shown_in(path, found.frame_times) == list(range(found.frame_count))
    with pytest.raises(InputError, match="There is no frame"):
        read_frames(path, [2.7])


def test_noise_inside_a_file_spoils_frames_up_to_the_next_key_frame_and_no_spoilt_one_is_read(tmp_path: Path) -> None:
    path = tmp_path / "noise.mp4"
    times_s = make_clip(path, seconds=2.8, file_options={"movflags": "faststart"})
    whole = read_frames(path, times_s).pixels
    spoil(path, 0.5)
    found = probe(path)
    assert found.health == "damaged" and "do not decode soundly" in str(found.health_reason)
    kept = np.isin(times_s, found.frame_times)
    assert 40 < kept.sum() < 70
    assert np.array_equal(read_frames(path, found.frame_times).pixels, whole[kept])
    lost = times_s[~kept]
    for time in (lost[0], lost[-1]):
        with pytest.raises(InputError, match="does not decode"):
            read_frames(path, [time])
    assert not probe(path, decode=False).health_reason, "without decoding it is not seen"
    with av.open(str(path)) as container:
        marked = 0
        with contextlib.suppress(av.FFmpegError):
            marked = sum(frame.is_corrupt for frame in container.decode(video=0))
        assert marked < len(lost), "the control: the decoder's own marks are too few"


# ---- proxies -------------------------------------------------------------------------------------------------------

UNPLAYABLE = [
    ("open-uneven.mkv", "libx264", {"options": OPEN_GROUPS, "times_s": UNEVEN}),
    ("hevc.mkv", "libx265", {"times_s": UNEVEN}),
    ("ten bits.mp4", "libx264", {"pixel_format": "yuv420p10le"}),
    ("odd.mp4", "libx264", {"size": (161, 65), "pixel_format": "yuv444p"}),
    ("without times.avi", "libx264", {}),
    ("stream.ts", "libx264", {"options": OPEN_GROUPS, "sound": "aac"}),
    ("late.webm", "libvpx", LATE),
    ("moving.gif", "gif", {"pixel_format": "rgb8"}),
    ("late picture.mkv", "libx264", {"times_s": tuple(t + 0.5 for t in UNEVEN), "sound": "ac3", "sound_s": (0.0, 3.0)}),
    ("late sound.mkv", "libx264", {"times_s": UNEVEN, "sound": "pcm_s16le", "sound_s": (1.0, 3.0)}),
]


@pytest.mark.parametrize(("name", "codec", "extras"), UNPLAYABLE, ids=[kind[0] for kind in UNPLAYABLE])
def test_a_proxy_plays_and_has_the_same_frames_at_the_same_times(clips: Callable[..., Path], tmp_path: Path, name: str, codec: str, extras: Extras) -> None:
    original = clips(name, codec, extras)
    before, target = original.read_bytes(), tmp_path / "a folder" / "proxy.mp4"
    make_proxy(original, target)
    said, made = probe(original), probe(target)
    assert not said.playable and made.playable
    assert (made.container, made.video_codec, made.audio_codec) == ("mp4", "h264", "aac" if said.audio_codec else None)
    assert made.width is not None and made.height is not None and made.width % 2 == made.height % 2 == 0
    assert len(made.frame_times) == len(said.frame_times)
    assert made.frame_times == pytest.approx(said.frame_times, abs=1e-3)
    assert made.duration_s == pytest.approx(said.duration_s, abs=2e-3)
    assert shown_in(target, made.frame_times) == list(range(70))
    assert original.read_bytes() == before
    assert [path.name for path in target.parent.iterdir()] == ["proxy.mp4"]


def test_a_proxy_of_a_turned_clip_is_shown_turned(clips: Callable[..., Path], tmp_path: Path) -> None:
    make_proxy(clips("turned hevc.mp4", "libx265", {"rotation": 90}), tmp_path / "proxy.mp4")
    made = probe(tmp_path / "proxy.mp4")
    assert (made.width, made.height) == (64, 160)
    assert number_in(np.rot90(read_frames(tmp_path / "proxy.mp4", [1.0]).pixels[0], -1)) == 25


def test_sound_in_a_proxy_stays_beside_its_pictures(clips: Callable[..., Path], tmp_path: Path) -> None:
    original = clips("late sound.mkv", extras={"times_s": UNEVEN, "sound": "pcm_s16le", "sound_s": (1.0, 3.0)})
    make_proxy(original, tmp_path / "proxy.mp4")
    with av.open(str(tmp_path / "proxy.mp4")) as container:
        loudness = [(frame.time, float(np.abs(frame.to_ndarray()).max())) for frame in container.decode(audio=0)]
    heard = [time for time, loud in loudness if loud > 0.1]
    assert heard[0] == pytest.approx(1.0, abs=0.05)
    assert heard[-1] == pytest.approx(3.0, abs=0.05)


def test_a_proxy_of_a_damaged_file_holds_its_sound_frames(tmp_path: Path) -> None:
    path = tmp_path / "noise.mp4"
    make_clip(path, seconds=2.8, file_options={"movflags": "faststart"})
    spoil(path, 0.5)
    make_proxy(path, tmp_path / "proxy.mp4")
    said, made = probe(path), probe(tmp_path / "proxy.mp4")
    assert (made.health, made.playable) == ("ok", True)
    assert made.frame_times == pytest.approx(said.frame_times, abs=1e-3)
    assert shown_in(tmp_path / "proxy.mp4", made.frame_times) == np.rint(made.frame_times * 25).astype(int).tolist()


def test_a_full_disk_while_a_proxy_is_made_is_told_and_nothing_stays(clips: Callable[..., Path], tmp_path: Path) -> None:
    script = """
import resource, sys
from pathlib import Path
from store.errors import StorageError
from store.media import make_proxy
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
try:
    make_proxy(Path(sys.argv[1]), Path(sys.argv[2]))
    print("made")
except StorageError as problem:
    print(problem)
"""
    original, target = clips("hevc.mp4", "libx265"), tmp_path / "proxies" / "proxy.mp4"

    def with_room(size: int) -> str:
        command = [sys.executable, "-c", script, str(original), str(target), str(size)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    assert "no room on the disk" in with_room(3000)
    assert list(target.parent.iterdir()) == []
    assert with_room(3_000_000) == "made", "the control: enough room"
