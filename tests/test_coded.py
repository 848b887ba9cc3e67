"""The bar-coded clips of the benchmarks: each kind is what it says, and our reader shows each frame at its time."""

from pathlib import Path

import av
import numpy as np
import pytest

from store.media import read_frames
from tests.clips import bars
from tests.coded import KINDS, LATE_S, RATE, UNREADABLE, CodedClip, coded_clips, number_shown

COUNT = 90


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, CodedClip]:
    return {clip.path.name: clip for clip in coded_clips(tmp_path_factory.mktemp("coded"), COUNT)}


def packets_of(path: Path) -> list[av.Packet]:
    with av.open(str(path)) as film:
        return [packet for packet in film.demux(video=0) if packet.size]


def test_the_bar_code_reads_back_on_every_kind(clips: dict[str, CodedClip]) -> None:
    assert len(clips) == len(KINDS) == 11
    for clip in clips.values():
        assert [number_shown(picture, clip.quarter_turns) for picture in read_frames(clip.path, clip.middles_s).pixels] == clip.numbers.tolist(), clip.kind


def test_the_time_between_two_frames_shows_the_earlier_one(clips: dict[str, CodedClip]) -> None:
    for clip in clips.values():
        before = clip.times_s[1:] - 0.002  # Matroska's ticks are 1 ms
        shown = [number_shown(picture, clip.quarter_turns) for picture in read_frames(clip.path, before).pixels]
        assert shown == clip.numbers[:-1].tolist(), clip.kind
        assert shown != clip.numbers[1:].tolist(), "the control: the next frame would be another number"


def test_each_kind_has_the_difficulty_that_it_is_named_for(clips: dict[str, CodedClip]) -> None:
    assert sum(packet.is_discard for packet in packets_of(clips["cut.mp4"].path)) > 0
    assert not any(packet.is_discard for packet in packets_of(clips["constant.mp4"].path))
    for name in ("open.mp4", "hevc.mp4"):
        assert leading_frames(clips[name].path) > 0, name
    assert leading_frames(clips["constant.mp4"].path) == 0
    late = packets_of(clips["late.mkv"].path)
    assert min(float(packet.pts * packet.time_base) for packet in late) == pytest.approx(LATE_S, abs=0.001)
    assert np.ptp(np.diff(clips["random.mp4"].times_s)) > 0.1
    assert set(np.rint(np.diff(clips["slowing.mp4"].times_s) * RATE)) == {1, 3}
    assert b"moof" in clips["fragmented.mp4"].path.read_bytes() and b"moof" not in clips["constant.mp4"].path.read_bytes()
    assert read_frames(clips["turned.mp4"].path, [0.0]).pixels.shape[1:3] == (160, 64)
    codecs = {name: codec_of(clips[name].path) for name in ("constant.mp4", "hevc.mp4", "vp9.webm", "av1.mp4")}
    assert list(codecs.values()) == ["h264", "hevc", "vp9", "av1"]


def codec_of(path: Path) -> str:
    with av.open(str(path)) as film:
        return str(film.streams.video[0].codec_context.codec.canonical_name)


def leading_frames(path: Path) -> int:
    """Return how many packets follow a later key packet in the file and are shown before it."""
    key, count = 0, 0
    for number, packet in enumerate(packets_of(path)):
        key = packet.pts if packet.is_keyframe else key
        count += number > 0 and packet.pts < key
    return count


def test_a_picture_without_a_clear_code_is_no_number() -> None:
    grey = np.full((64, 160, 3), 128, dtype=np.uint8)
    assert number_shown(grey, 0) == UNREADABLE
    coded = np.repeat(bars(37, 160, 64)[:, :, None], 3, axis=2)
    assert number_shown(coded, 0) == 37
    assert number_shown(np.rot90(coded), 1) == 37
    assert number_shown(np.rot90(coded), 3) != 37, "the control: turned the wrong way it is another number"


def test_the_clips_are_the_same_each_time(clips: dict[str, CodedClip], tmp_path: Path) -> None:
    kind = "cut without encoding (edit list)"
    again = KINDS[kind](tmp_path, COUNT, kind)
    assert again.path.read_bytes() == clips["cut.mp4"].path.read_bytes()
