"""Frames from the cache are the frames that were read; it keeps to its limit, trusts no damaged file, and may be shared."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from store import frame_cache
from store.errors import InputError, StorageError
from store.frame_cache import FrameCache, Size
from store.media import Frames, read_frames
from tests.clips import make_clip

ROOT = Path(__file__).resolve().parents[2]
NOWHERE = Path("nowhere.mp4")


class Reader:
    """Stands in for the decoder: pictures that depend on their times, and a note of each call."""

    def __init__(self, shape: tuple[int, int] = (24, 32)) -> None:
        self.shape = shape
        self.calls: list[float] = []

    def __call__(self, path: Path, times_s: NDArray[np.float64], size: Size) -> Frames:
        self.calls.append(float(times_s[0]))
        return pictures(times_s, self.shape)


def pictures(times_s: NDArray[np.float64], shape: tuple[int, int]) -> Frames:
    noise = [np.random.default_rng(int(time_s * 1000)).integers(0, 256, (*shape, 3), dtype=np.uint8) for time_s in times_s]
    return Frames(np.stack(noise), times_s - 0.001)


def same(one: Frames, other: Frames) -> bool:
    return np.array_equal(one.pixels, other.pixels) and np.array_equal(one.times_s, other.times_s)


def bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def test_real_frames_come_back_as_they_were_read_without_the_file(tmp_path: Path) -> None:
    make_clip(tmp_path / "clip.mp4")
    cache = FrameCache(tmp_path / "frames", None)
    read = read_frames(tmp_path / "clip.mp4", [1.5, 0.2, 0.2], 80)
    first = cache.frames("d" * 64, tmp_path / "clip.mp4", [1.5, 0.2, 0.2], 80)
    (tmp_path / "clip.mp4").unlink()
    again = FrameCache(tmp_path / "frames", None).frames("d" * 64, tmp_path / "clip.mp4", [1.5, 0.2, 0.2], 80)
    assert same(first, read)
    assert same(again, read)


def test_pixels_are_mapped_contiguous_and_not_writable(tmp_path: Path) -> None:
    cache = FrameCache(tmp_path, None, Reader())
    for frames in (cache.frames("d", NOWHERE, [1.0, 2.0]), cache.frames("d", NOWHERE, [1.0, 2.0])):
        assert isinstance(frames.pixels.base, np.memmap)
        assert frames.pixels.flags.c_contiguous
        with pytest.raises(ValueError, match="read-only"):
            frames.pixels[0] = 0


def test_an_entry_is_an_npy_file_that_numpy_reads(tmp_path: Path) -> None:
    frames = FrameCache(tmp_path, None, Reader()).frames("d", NOWHERE, [1.0, 2.0])
    (entry,) = tmp_path.iterdir()
    assert np.array_equal(np.load(entry), frames.pixels)


def test_file_times_size_and_reader_each_make_another_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader()
    cache = FrameCache(tmp_path, None, reader)
    asked: list[tuple[str, list[float], Size]] = [("d", [1.0], None), ("e", [1.0], None), ("d", [1.0 + 1e-12], None), ("d", [1.0, 1.0], None)]
    asked += [("d", [1.0], 8), ("d", [1.0], (8, 8))]
    for _ in range(2):
        for digest, times_s, size in asked:
            cache.frames(digest, NOWHERE, times_s, size)
    assert len(reader.calls) == len(asked)
    monkeypatch.setattr(frame_cache, "READER_VERSION", frame_cache.READER_VERSION + 1)
    cache.frames("d", NOWHERE, [1.0])
    assert len(reader.calls) == len(asked) + 1


@given(asked=st.lists(st.integers(1, 5), max_size=30), room=st.integers(0, 4))
@example(asked=[1, 2, 1, 3, 1], room=2)  # by age alone, 1 would be read again
@settings(max_examples=20)
def test_the_entry_asked_for_longest_ago_goes_first(tmp_path_factory: pytest.TempPathFactory, asked: list[int], room: int) -> None:
    folder, reader = tmp_path_factory.mktemp("lru"), Reader((2, 2))
    FrameCache(folder, None, reader).frames("d", NOWHERE, [9.0])
    limit = room * bytes_in(folder)
    next(folder.iterdir()).unlink()
    cache = FrameCache(folder, limit, reader)
    model: OrderedDict[int, None] = OrderedDict()
    misses = [9.0]
    for second in asked:
        assert same(cache.frames("d", NOWHERE, [second]), pictures(np.array([second]), (2, 2)))
        if second not in model:
            misses.append(float(second))
        model[second] = None
        model.move_to_end(second)
        while len(model) > room:
            model.popitem(last=False)
        assert bytes_in(folder) <= limit
    assert reader.calls == misses


def test_without_a_limit_nothing_goes_and_nothing_is_touched(tmp_path: Path) -> None:
    cache = FrameCache(tmp_path, None, Reader())
    cache.frames("d", NOWHERE, [1.0])
    (entry,) = tmp_path.iterdir()
    os.utime(entry, (1, 1))
    cache.frames("d", NOWHERE, [1.0])
    assert entry.stat().st_mtime == 1


def test_frames_that_somebody_holds_stay_readable_when_their_entry_goes(tmp_path: Path) -> None:
    cache = FrameCache(tmp_path, 0, Reader())
    held = cache.frames("d", NOWHERE, [1.0, 2.0])
    assert not list(tmp_path.iterdir())
    assert same(held, pictures(np.array([1.0, 2.0]), (24, 32)))


@given(data=st.data())
@settings(max_examples=30)
def test_an_entry_that_is_cut_off_or_begins_otherwise_is_read_anew(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder, reader = tmp_path_factory.mktemp("damaged"), Reader()
    cache = FrameCache(folder, None, reader)
    good = cache.frames("d", NOWHERE, [1.0, 2.0])
    (entry,) = folder.iterdir()
    content = bytearray(entry.read_bytes())
    if data.draw(st.booleans(), "cut off"):
        del content[data.draw(st.integers(0, len(content) - 1), "length") :]
    else:
        at = data.draw(st.integers(0, 120), "place")
        content[at : at + 8] = data.draw(st.binary(min_size=8, max_size=8), "noise")
    entry.unlink()  # or `good`, which maps it, would change with it
    entry.write_bytes(content)
    assert same(cache.frames("d", NOWHERE, [1.0, 2.0]), good)
    assert np.array_equal(np.load(entry), good.pixels)


def test_the_control_a_changed_pixel_is_not_noticed(tmp_path: Path) -> None:
    reader = Reader()
    cache = FrameCache(tmp_path, None, reader)
    cache.frames("d", NOWHERE, [1.0])
    (entry,) = tmp_path.iterdir()
    content = bytearray(entry.read_bytes())
    content[200] ^= 1
    entry.write_bytes(content)
    assert not same(cache.frames("d", NOWHERE, [1.0]), pictures(np.array([1.0]), (24, 32)))
    assert len(reader.calls) == 1


def test_on_a_full_disk_the_error_says_so_and_nothing_half_written_stays(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    cache = FrameCache(tmp_path, None, Reader((400, 400)))
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(StorageError, match="no room on the disk"):
            cache.frames("d", NOWHERE, [1.0])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert not list(tmp_path.iterdir())
    assert cache.frames("d", NOWHERE, [1.0]).pixels.shape == (1, 400, 400, 3), "the control"


def test_what_a_killed_process_left_is_cleared_and_what_is_being_written_is_not(tmp_path: Path) -> None:
    for name, age_s in ((".old.npy.0.part", 7200), (".new.npy.0.part", 5)):
        (tmp_path / name).write_bytes(bytes(1000))
        os.utime(tmp_path / name, (time.time() - age_s,) * 2)
    FrameCache(tmp_path, 0, Reader()).frames("d", NOWHERE, [1.0])
    assert [path.name for path in tmp_path.iterdir()] == [".new.npy.0.part"]


def test_a_limit_below_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="-1 bytes"):
        FrameCache(tmp_path, -1)


SHARED = """
import random, sys
from pathlib import Path
import numpy as np
from store.frame_cache import FrameCache
from tests.store.test_frame_cache import NOWHERE, Reader, pictures, same
reader = Reader()
cache = FrameCache(Path(sys.argv[1]), int(sys.argv[2]), reader)
held = []
for second in random.Random(sys.argv[3]).choices(range(12), k=100):
    times_s = np.array([second, second + 0.5])
    held = [*held[-3:], (times_s, cache.frames("d", NOWHERE, times_s))]
    assert all(same(frames, pictures(asked, reader.shape)) for asked, frames in held)
sys.stdout.write(str(len(reader.calls)))
"""


def test_two_processes_share_a_folder_that_is_too_small_for_both(tmp_path: Path) -> None:
    FrameCache(tmp_path, None, Reader()).frames("d", NOWHERE, [0.0, 0.5])
    limit = 5 * bytes_in(tmp_path)
    command = [sys.executable, "-c", SHARED, str(tmp_path), str(limit)]
    both = [subprocess.Popen([*command, seed], cwd=ROOT, stdout=subprocess.PIPE, text=True) for seed in "ab"]
    misses = [int(process.communicate()[0]) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert all(0 < missed < 100 for missed in misses), "each found some there and some not"
    assert bytes_in(tmp_path) <= limit
    assert all(path.suffix == ".npy" for path in tmp_path.iterdir())
