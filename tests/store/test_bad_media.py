"""Files that are no video, that are damaged, or that are odd: a plain word for every one, and never a wrong frame."""

import contextlib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from store.errors import InputError, NotFoundError
from store.media import probe, read_frames, shown_frames
from store.proxy import make_proxy
from tests.clips import Extras, make_clip, make_sound, shorten, spoil
from tests.store.kinds import FRAGMENTED, KINDS, shown_in


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


@pytest.mark.parametrize(("name", "codec", "extras"), KINDS, ids=[kind[0] for kind in KINDS])
def test_whatever_bytes_are_spoilt_there_is_a_verdict_and_the_time_is_filled(
    clips: Callable[..., Path], tmp_path: Path, name: str, codec: str, extras: Extras
) -> None:
    whole, path = clips(name, codec, extras).read_bytes(), tmp_path / name
    for seed in range(6):
        random = np.random.default_rng(seed)
        content = bytearray(whole)
        for at in random.integers(0 if seed % 2 else 1000, len(content) - 50, 4).tolist():
            content[at : at + 30] = random.bytes(30) if seed % 3 else b""
        path.write_bytes(bytes(content))
        found = probe(path)
        assert found.health in {"ok", "damaged", "unreadable"}
        if found.health == "unreadable":
            continue
        shown = list(shown_frames(path))
        assert shown[0].start_s == 0.0 and all(before.end_s == after.start_s for before, after in pairwise(shown))
        assert sum(frame.sound for frame in shown) >= 1
        for time in random.uniform(0, shown[-1].end_s, 3):
            with contextlib.suppress(InputError):
                assert len(read_frames(path, [time]).pixels) == 1
