"""Whatever a file does to its decoder, the caller gets a sentence in time and lives on; each danger is seen to be one without the guard."""

import contextlib
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.errors import ConflictError, InputError, NotFoundError
from store.guard import ChildTraceback, GuardedWorker, Limits, all_pixels, guarded, limits_for
from store.guard_child import pack, receive, send, unpack
from store.media import digest_of, probe
from tests.clips import make_clip, shorten, spoil
from tests.store import hostile

ROOT = Path(__file__).resolve().parents[2]
SHORT = Limits(seconds=1.0)
SMALL = Limits(memory_bytes=384 << 20)


@pytest.fixture(scope="module")
def worker() -> Iterator[GuardedWorker]:
    with GuardedWorker() as worker:
        yield worker


def unguarded(statement: str, *arguments: Path) -> "subprocess.Popen[str]":
    """Run a statement in a Python without a guard and return when it begins; `hostile`, `probe`, `digest_of` and `paths` are there for it."""
    script = (
        "import sys; from pathlib import Path; from tests.store import hostile; from store.media import digest_of, probe; "
        f"paths = [Path(each) for each in sys.argv[1:]]; print('begun', flush=True); print({statement})"
    )
    process = subprocess.Popen([sys.executable, "-c", script, *map(str, arguments)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    return process


def hangs(process: "subprocess.Popen[str]") -> bool:
    """Return whether a process is still at work after a while, and kill it."""
    try:
        process.wait(0.5)
    except subprocess.TimeoutExpired:
        return True
    finally:
        process.kill()
        process.communicate()
    return False


def is_gone(pid: int, within_s: float = 10.0) -> bool:
    """Return whether a process ends in time."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], within_s)[0])
    finally:
        os.close(handle)


# ---- what a call gives ---------------------------------------------------------------------------------------------


def test_a_worker_keeps_its_child_and_guarded_takes_a_new_one(worker: GuardedWorker) -> None:
    assert worker.call(os.getpid) == worker.call(os.getpid) != os.getpid()
    assert guarded(os.getpid) != worker.call(os.getpid)


def test_large_arrays_come_back_as_they_are_and_can_be_written_to(worker: GuardedWorker) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 512, 512, 3), dtype=np.uint8)
    back = worker.call(hostile.echo, {"pixels": pixels, "turned": pixels[:, ::-1], "none": np.empty((0, 4))})
    assert np.array_equal(back["pixels"], pixels)
    assert np.array_equal(back["turned"], pixels[:, ::-1])
    assert back["none"].shape == (0, 4)
    back["pixels"][0] = 0


def test_an_array_travels_beside_the_pickle_so_that_it_is_not_copied() -> None:
    pixels = np.zeros(1 << 20, dtype=np.uint8)
    head, body = pack(pixels)
    assert len(head) < 1000
    assert np.shares_memory(np.frombuffer(body, np.uint8), pixels)
    parts = [bytearray(head), bytearray(body)]
    assert np.shares_memory(unpack(parts), np.frombuffer(parts[1], np.uint8))


@given(st.recursive(st.none() | st.integers() | st.text() | st.binary(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8))
@settings(max_examples=25)
def test_any_value_comes_through_the_wire_as_it_was(value: Any) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        send(ours, pack(value))
        assert unpack(receive(theirs)) == value


def test_an_answer_larger_than_the_memory_of_a_child_is_not_believed() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        send(ours, pack(bytes(5000)))
        with pytest.raises(EOFError):
            receive(theirs, most_bytes=4000)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(b"\xff" * 4)
        with pytest.raises(EOFError):
            receive(theirs, most_bytes=1 << 30)


def test_a_user_error_keeps_its_type_and_its_sentence(worker: GuardedWorker) -> None:
    with pytest.raises(ConflictError, match=r"^It is there already: take another name\.$") as raised:
        worker.call(hostile.refuse)
    assert type(raised.value) is ConflictError
    with pytest.raises(NotFoundError, match=r"nowhere\.mp4"):
        worker.call(digest_of, Path("nowhere.mp4"))


def test_a_bug_keeps_its_type_and_tells_where_it_was(worker: GuardedWorker) -> None:
    with pytest.raises(ZeroDivisionError) as raised:
        worker.call(hostile.divide)
    assert isinstance(raised.value.__cause__, ChildTraceback)
    assert "1 / (1 - 1)" in str(raised.value.__cause__)


def test_an_exception_of_a_library_comes_in_words_and_does_not_bring_the_library_along(worker: GuardedWorker) -> None:
    with pytest.raises(RuntimeError, match=r"InvalidDataError: .*bad data") as raised:
        worker.call(hostile.raise_of_library)
    assert type(raised.value) is RuntimeError
    with pytest.raises(RuntimeError, match="SystemExit: 4"):
        worker.call(hostile.end_python)


def test_a_relative_path_means_the_same_file_in_the_child(worker: GuardedWorker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here.bin").write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    assert guarded(digest_of, Path("here.bin")) == digest_of(Path("here.bin"))


# ---- what a child may not do ---------------------------------------------------------------------------------------


def test_a_child_that_loops_is_killed_in_time_and_the_worker_lives_on(worker: GuardedWorker) -> None:
    assert hangs(unguarded("hostile.loop()")), "the control"
    before = worker.call(os.getpid)
    with pytest.raises(InputError, match=r"loop was given up after 1 s, .* Convert it"):
        worker.call(hostile.loop, limits=SHORT)
    assert is_gone(before)
    assert worker.call(os.getpid) != before


def test_a_child_that_takes_memory_without_end_is_stopped(worker: GuardedWorker) -> None:
    assert unguarded("hostile.swallow()").communicate()[0] == f"{4 << 30}\n", "the control"
    with pytest.raises(InputError, match=r"swallow needs more than 2 GiB of memory"):
        worker.call(hostile.swallow)
    assert worker.call(hostile.swallow, 128 << 20, limits=SMALL) == 128 << 20
    with pytest.raises(InputError, match=r"more than 0\.375 GiB"):
        worker.call(hostile.swallow, 384 << 20, limits=SMALL)
    assert worker.call(hostile.swallow, 1 << 30) == 1 << 30, "the limit is the call's own"


def test_mapped_files_do_not_count_as_memory(worker: GuardedWorker, tmp_path: Path) -> None:
    with (tmp_path / "large.npy").open("wb") as large:
        large.truncate(3 << 30)
    assert worker.call(hostile.map_file, tmp_path / "large.npy", limits=SMALL) == 3 << 30
    by_addresses = f"__import__('resource').setrlimit({resource.RLIMIT_AS}, ({SMALL.memory_bytes},) * 2) or hostile.map_file(paths[0])"
    control = unguarded(by_addresses, tmp_path / "large.npy")
    control.communicate()
    assert control.returncode == 1, "the control: the other limit counts them"


def test_a_child_that_dies_by_a_signal_is_a_sentence_that_names_it(worker: GuardedWorker) -> None:
    control = unguarded("hostile.crash()")
    control.communicate()
    assert control.returncode == -signal.SIGSEGV
    with pytest.raises(InputError, match=r"crash makes the program that reads it crash \(SIGSEGV\)"):
        worker.call(hostile.crash)
    with pytest.raises(InputError, match=r"was killed twice: the machine may have too little memory"):
        worker.call(hostile.crash, signal.SIGKILL)


def test_a_child_that_leaves_without_a_word_is_a_sentence_too(worker: GuardedWorker) -> None:
    with pytest.raises(InputError, match="exit status 3"):
        worker.call(hostile.leave)
    assert worker.call(os.getpid)


def test_no_file_pays_for_what_an_earlier_one_left_in_the_child() -> None:
    with GuardedWorker() as worker:
        assert worker.call(hostile.leak, 240 << 20, limits=SMALL) == 240 << 20
        assert worker.call(hostile.leak, 240 << 20, limits=SMALL) == 240 << 20, "a fresh child: nothing lies there from the first call"
        with pytest.raises(InputError, match="memory"):
            worker.call(hostile.leak, 384 << 20, limits=SMALL)


def test_threads_have_a_child_each_and_a_failure_in_one_does_not_disturb_the_others() -> None:
    def use(fails: bool) -> None:
        with contextlib.suppress(InputError):
            pids.append(worker.call(hostile.crash) if fails else worker.call(os.getpid))

    pids: list[Any] = []
    with GuardedWorker() as worker:
        threads = [threading.Thread(target=use, args=(number % 3 == 0,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(pids) == 4
    assert all(is_gone(pid) for pid in pids)


# ---- nobody stays behind -------------------------------------------------------------------------------------------


def test_a_child_that_somebody_kills_costs_no_file(worker: GuardedWorker) -> None:
    before = worker.call(os.getpid)
    os.kill(before, signal.SIGKILL)
    assert worker.call(os.getpid) != before


def test_closing_ends_what_children_started() -> None:
    with GuardedWorker() as worker:
        sleeper = worker.call(hostile.start_sleeper)
        assert not is_gone(sleeper, 0.1), "the control"
    assert is_gone(sleeper)


def test_closing_ends_calls_of_other_threads(tmp_path: Path) -> None:
    def call() -> None:
        with pytest.raises(RuntimeError, match="closed"):
            worker.call(hostile.tell_and_loop, tmp_path / "pipe")
        told.append("closed")

    os.mkfifo(tmp_path / "pipe")
    told: list[str] = []
    with GuardedWorker() as worker:
        thread = threading.Thread(target=call)
        thread.start()
        looping = int((tmp_path / "pipe").read_text())  # waits until the child is at work
    thread.join()
    assert told
    assert is_gone(looping)


@pytest.mark.parametrize("dies", [True, False], ids=["guard", "the control"])
def test_a_killed_app_leaves_no_decoder_behind(tmp_path: Path, dies: bool) -> None:
    os.mkfifo(tmp_path / "pipe")
    script = "import sys; from pathlib import Path; from store import guard; from tests.store.hostile import tell_and_loop\n"
    if not dies:
        script += "guard._PROGRAM = 'import store.guard_child as child; child._die_with_parent = int; child.main()'\n"
    script += "guard.guarded(tell_and_loop, Path(sys.argv[1]))"
    app = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "pipe")], cwd=ROOT)
    looping = int((tmp_path / "pipe").read_text())
    app.kill()
    app.wait()
    try:
        assert is_gone(looping, 10.0 if dies else 0.5) == dies
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(looping, signal.SIGKILL)


# ---- files ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["pipe", "/dev/zero"])
def test_what_is_no_file_is_given_up_in_time(worker: GuardedWorker, tmp_path: Path, name: str) -> None:
    path = tmp_path / name  # an absolute name stays as it is
    if not path.exists():
        os.mkfifo(path)
    assert hangs(unguarded("digest_of(paths[0])", path)), "the control"
    with pytest.raises(InputError, match=f"{path.name} was given up"):
        worker.call(digest_of, path, limits=SHORT)
    with contextlib.suppress(InputError):
        assert worker.call(probe, path, limits=SHORT).health == "unreadable"


def test_a_header_that_claims_pictures_too_large_for_memory_is_refused(worker: GuardedWorker, tmp_path: Path) -> None:
    for side, said in ((8_000, "needs more than 0.375 GiB of memory"), (30_000, "No frame")):
        hostile.make_huge(tmp_path / f"{side}.gif", side)
        assert said in (reason(worker, tmp_path / f"{side}.gif") or "")
    peak_mb = "[probe(paths[0]).health, __import__('resource').getrusage(0).ru_maxrss >> 10]"
    told = json.loads(unguarded(peak_mb, tmp_path / "8000.gif").communicate()[0].replace("'", '"'))
    assert told[0] == "ok", "the control"
    assert told[1] > 400


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_truncated_and_spoilt_files_are_told_as_they_are_without_the_guard(worker: GuardedWorker, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"clip.{ending}"
    make_clip(path)
    assert reason(worker, path) is None
    spoil(path, 0.5)
    assert reason(worker, path) == probe(path).health_reason is not None
    for share in (0.6, 0.1, 0.0):
        shorten(path, share)
        assert reason(worker, path) == probe(path).health_reason is not None


def test_garbage_with_the_name_of_a_video_is_unreadable(worker: GuardedWorker, tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / "garbage.mp4").write_bytes([b"", b"\0\0\0\x18ftypmp42"][number % 2] + np.random.default_rng(number).bytes(100_000))
        assert "garbage.mp4" in (reason(worker, tmp_path / "garbage.mp4") or "")


def reason(worker: GuardedWorker, path: Path) -> str | None:
    """Return what is wrong with a file as a guarded probe tells it, or None when it is whole."""
    try:
        return worker.call(probe, path, limits=SMALL).health_reason
    except InputError as problem:
        return str(problem)


def test_limits_grow_with_what_is_to_be_read_from_a_floor_up_to_a_day() -> None:
    assert limits_for(0).seconds == 60
    assert limits_for(100_000_000).seconds == 260
    film = limits_for(2 << 30, all_pixels(2 * 3600 * 24, 1920, 1080))
    assert 2 * 3600 < film.seconds < 24 * 3600, "two hours of 1080p, which decode in a quarter of an hour"
    assert limits_for(0, all_pixels(1000, 1, 1)).seconds == limits_for(0, all_pixels(1000, 100, 200)).seconds > 60
    assert limits_for(1 << 40, all_pixels(1 << 40, 65_535, 65_535)).seconds == 24 * 3600
    assert all_pixels(None, None, None) == 0
