"""Status is read from files and from (process number, creation time), and from nothing else."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import psutil
import pytest

from store.errors import NotFoundError
from store.rows import utc_now
from tests.training.conftest import wait_until
from training.events import EventLog
from training.process import ProcessMark, write_mark
from training.status import STALLED_AFTER_S, log_tail, read_status


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "manifest.json").write_text("{}")
    return tmp_path


@pytest.fixture
def child() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that stands for a run's: it says when it is ready, ignores SIGTERM, and works on until it is killed."""
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def mark_of(process: "subprocess.Popen[bytes]") -> ProcessMark:
    mark = ProcessMark.of(process.pid)
    assert mark is not None
    return mark


def test_a_run_that_was_not_started_waits_and_one_that_never_came_up_is_crashed(directory: Path) -> None:
    assert read_status(directory).state == "waiting"
    (directory / "launched").touch()
    assert read_status(directory).state == "waiting"
    assert read_status(directory, now_s=time.time() + 3600).state == "crashed"


def test_a_process_of_the_same_number_but_another_creation_is_not_the_run(directory: Path, child: "subprocess.Popen[bytes]") -> None:
    mark = mark_of(child)
    write_mark(directory / "process.json", mark)
    assert read_status(directory).state == "running", "the control"
    write_mark(directory / "process.json", replace(mark, create_time=mark.create_time - 100))
    assert read_status(directory).state == "crashed"


def test_a_run_whose_process_waits_to_be_reaped_is_dead(directory: Path, child: "subprocess.Popen[bytes]") -> None:
    write_mark(directory / "process.json", mark_of(child))
    os.kill(child.pid, signal.SIGKILL)
    wait_until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE)
    assert read_status(directory).state == "crashed"


def test_a_run_without_news_or_without_progress_is_stalled(directory: Path, child: "subprocess.Popen[bytes]") -> None:
    write_mark(directory / "process.json", mark_of(child))
    log = EventLog(directory / "events.jsonl")
    log.emit("phase", phase="training")
    log.emit("step", step=7)
    status = read_status(directory)
    assert (status.state, status.phase, status.step) == ("running", "training", 7)
    assert read_status(directory, now_s=time.time() + STALLED_AFTER_S + 5).state == "stalled", "no news"
    log._progress_s -= STALLED_AFTER_S + 5
    log.heartbeat()
    assert read_status(directory).state == "stalled", "signs of life, and nothing moves"
    log.emit("step", step=8)
    assert read_status(directory).state == "running"


@pytest.mark.parametrize("outcome", ["finished", "stopped", "failed"])
def test_the_result_has_the_last_word_even_while_the_process_is_ending(directory: Path, child: "subprocess.Popen[bytes]", outcome: str) -> None:
    write_mark(directory / "process.json", mark_of(child))
    (directory / "result.json").write_text(json.dumps({"outcome": outcome, "reason": "So it was.", "steps": 3}))
    status = read_status(directory)
    assert (status.state, status.reason, status.step, status.ended) == (outcome, "So it was.", 3, True)


@pytest.mark.parametrize(("code", "word"), [(-9, "SIGKILL"), (-11, "SIGSEGV"), (3, "code 3")])
def test_a_crash_says_how_the_process_ended(directory: Path, code: int, word: str) -> None:
    write_mark(directory / "process.json", ProcessMark(2**22 - 3, 1.0, utc_now()))
    (directory / "exit.json").write_text(json.dumps({"code": code}))
    (directory / "log.txt").write_text("line\nSegmentation fault\n")
    status = read_status(directory)
    assert status.state == "crashed" and word in status.reason


def test_a_cancelled_run_says_what_it_has_left(directory: Path) -> None:
    write_mark(directory / "process.json", ProcessMark(2**22 - 3, 1.0, utc_now()))
    (directory / "stop").write_text("cancel")
    checkpoint = directory / "checkpoints" / "checkpoint-10"
    checkpoint.mkdir(parents=True)
    assert read_status(directory).reason == "Cancelled before the first checkpoint: nothing is saved.", "a torn checkpoint is none"
    (checkpoint / "trainer_state.json").write_text("{}")
    assert "last checkpoint holds is kept" in read_status(directory).reason
    (directory / "adapter").mkdir()
    (directory / "adapter" / "adapter_config.json").write_text("{}")
    assert "the adapter was saved" in read_status(directory).reason


def test_a_run_that_could_not_even_write_its_result_names_the_full_disk(directory: Path) -> None:
    write_mark(directory / "process.json", ProcessMark(2**22 - 3, 1.0, utc_now()))
    (directory / "log.txt").write_text("OSError: [Errno 28] No space left on device\n")
    assert "the disk is full" in read_status(directory).reason


def test_reading_a_status_changes_nothing(directory: Path, child: "subprocess.Popen[bytes]") -> None:
    write_mark(directory / "process.json", mark_of(child))
    EventLog(directory / "events.jsonl").emit("phase", phase="training")
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in directory.iterdir()}
    for _ in range(3):
        read_status(directory)
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in directory.iterdir()} == before


def test_a_process_that_does_not_heed_is_killed_and_a_stranger_is_left_alone(child: "subprocess.Popen[bytes]") -> None:
    mark = mark_of(child)
    replace(mark, create_time=mark.create_time - 100).end_group(patience_s=0.1)
    assert mark.alive, "another creation time: not ours to end"
    mark.end_group(patience_s=0.3)
    assert mark.wait(5.0), "it ignores SIGTERM and cannot ignore SIGKILL"


def test_a_mark_is_written_whole(tmp_path: Path) -> None:
    mark = mark_of_self = ProcessMark.of(os.getpid())
    assert mark_of_self is not None and mark is not None
    write_mark(tmp_path / "process.json", mark)
    assert json.loads((tmp_path / "process.json").read_text()) == asdict(mark)
    assert [path.name for path in tmp_path.iterdir()] == ["process.json"], "no temporary file is left"


def test_the_log_shows_its_last_lines_and_only_the_end_of_a_progress_bar(tmp_path: Path) -> None:
    assert log_tail(tmp_path) == ""
    (tmp_path / "log.txt").write_bytes(b"x" * 200_000 + b"\nfirst\n 0%\r50%\r100%\nbad \xff byte\n")
    assert log_tail(tmp_path, lines=3) == "first\n100%\nbad \ufffd byte"


def test_a_directory_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="holds no run"):
        read_status(tmp_path)
