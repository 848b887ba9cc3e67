"""Copies that a browser plays: the same frames at the same times."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from store.media import probe, read_frames
from store.proxy import make_proxy
from tests.clips import Extras, make_clip, number_in, spoil
from tests.store.kinds import LATE, OPEN_GROUPS, UNEVEN, shown_in

ROOT = Path(__file__).resolve().parents[2]

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


@pytest.mark.parametrize("fps", [(24, 24, 24), (240, 5, 60), (0.4, 30, 1)])
def test_the_first_frame_of_each_second_of_a_proxy_is_a_key_frame(tmp_path: Path, fps: tuple[float, ...]) -> None:
    """One stretch of two seconds after the other, each at its own rate; by count of frames the key frames would lie elsewhere."""
    times_s = np.concatenate([2 * part + np.arange(0, 2, 1 / rate) for part, rate in enumerate(fps)]).round(6)
    original, proxy = tmp_path / "original.mkv", tmp_path / "proxy.mp4"
    make_clip(original, times_s=times_s.round(3).tolist(), codec="libx265", options={"x265-params": "keyint=7:log-level=none"})
    make_proxy(original, proxy)
    with av.open(str(proxy)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        keys = {number for number, packet in enumerate(packets) if packet.is_keyframe}
        made_s = [float(packet.pts * packet.time_base) for packet in packets]
    assert made_s == pytest.approx(times_s, abs=1.5e-3)
    seconds = np.floor(np.array(made_s) + 1e-6)
    firsts = {0, *(np.flatnonzero(np.diff(seconds)) + 1).tolist()}
    assert firsts <= keys and len(keys) <= len(firsts) + 2, "the encoder adds some where the picture changes at once"
    assert not firsts <= set(range(0, len(packets), 30)), "the control"


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
from store.proxy import make_proxy
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
