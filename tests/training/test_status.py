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
from store.process import ProcessMark, Rung, patient_ladder, write_mark
from store.rows import utc_now
from tests.training.conftest import wait_until
from training.events import EventLog
from training.status import STALLED_AFTER_S, is_alive, log_tail, read_status, step_time_s


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
    assert f"py-spy dump --pid {child.pid}" in read_status(directory).reason
    log.emit("step", step=8)
    assert read_status(directory).state == "running"


def test_what_an_earlier_attempt_said_does_not_make_a_run_that_goes_on_look_stalled(directory: Path, child: "subprocess.Popen[bytes]") -> None:
    old = {"kind": "step", "step": 7, "at": time.time() - 1e6}
    (directory / "events.jsonl").write_text(json.dumps(old) + "\n")
    write_mark(directory / "process.json", mark_of(child))
    assert read_status(directory).state == "running"
    assert read_status(directory, now_s=time.time() + STALLED_AFTER_S + 5).state == "stalled", "and one that never says a word does"


def test_a_run_waits_for_its_turn_with_the_reason_and_can_be_taken_out_of_the_queue(directory: Path) -> None:
    (directory / "queued.json").write_text(json.dumps({"at": utc_now(), "needs": "cpu", "reason": "It waits: for you."}))
    assert (read_status(directory).state, read_status(directory).reason) == ("queued", "It waits: for you.")
    (directory / "stop").write_text("cancel")
    assert read_status(directory).state == "stopped" and "before it was started" in read_status(directory).reason


def test_a_run_whose_keeper_has_yet_to_put_down_its_end_is_not_called_crashed(directory: Path, child: "subprocess.Popen[bytes]") -> None:
    write_mark(directory / "process.json", ProcessMark(2**22 - 3, 1.0, utc_now()))
    write_mark(directory / "keeper.json", mark_of(child))
    assert read_status(directory).state == "running"
    (directory / "exit.json").write_text(json.dumps({"code": -9}))
    assert read_status(directory).state == "crashed", "now it is known"


def test_a_run_of_another_machine_or_boot_is_crashed_and_names_the_machine(directory: Path, child: "subprocess.Popen[bytes]") -> None:
    write_mark(directory / "process.json", replace(mark_of(child), host="node-7"))
    assert read_status(directory).state == "crashed" and "node-7" in read_status(directory).reason
    assert not is_alive(directory)
    EventLog(directory / "events.jsonl").heartbeat()
    assert "works on node-7" in read_status(directory).reason, "machines may share a disk, and what gives signs of life lives"
    assert read_status(directory, now_s=time.time() + 3600).state == "crashed"
    write_mark(directory / "process.json", replace(mark_of(child), host=None, boot_id=None))
    assert read_status(directory).state == "running", "a mark of before these were kept"


def test_a_run_that_did_not_heed_a_stop_and_was_killed_for_it_is_stopped(directory: Path) -> None:
    write_mark(directory / "process.json", ProcessMark(2**22 - 3, 1.0, utc_now()))
    (directory / "exit.json").write_text(json.dumps({"code": -9}))
    assert read_status(directory).state == "crashed", "the control"
    (directory / "stop").write_text("save")
    assert read_status(directory).state == "stopped" and "ended by SIGKILL before it had saved" in read_status(directory).reason


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
    (checkpoint / "manifest.json").write_text("{}")
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
    ladder = (Rung(0.0, signal.SIGTERM, True), Rung(0.1, signal.SIGKILL, True))
    for stranger in (replace(mark, create_time=mark.create_time - 100), replace(mark, host="elsewhere"), replace(mark, boot_id="another boot")):
        assert not stranger.alive and stranger.end(ladder)
        assert mark.alive, "not ours to end"
    assert mark.end(ladder), "it ignores SIGTERM and cannot ignore SIGKILL"


def test_a_signal_for_the_group_of_a_process_that_leads_none_reaches_that_process_alone() -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    mark = mark_of(process)
    assert os.getpgid(process.pid) == os.getpgid(0) != process.pid, "it is in the tests' own group"
    mark.send(signal.SIGTERM, whole_group=True)
    assert process.wait() == -signal.SIGTERM, "and the tests go on"


def test_the_ladder_is_climbed_rung_by_rung_and_each_rung_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[str, bool]] = []
    monkeypatch.setattr(ProcessMark, "send", lambda mark, number, whole_group: sent.append((number.name, whole_group)))
    mark, done = ProcessMark(1, 1.0, utc_now()), 0
    for since_s, heard in ((59.0, 0), (60.0, 1), (89.0, 1), (90.0, 2), (99.0, 2), (100.0, 3), (1000.0, 3)):
        done = mark.climb(patient_ladder(3.0), since_s, done)
        assert (done, len(sent)) == (heard, heard), since_s
    assert sent == [("SIGTERM", False), ("SIGTERM", True), ("SIGKILL", True)]
    assert patient_ladder(100.0)[0].after_s == 200.0, "two steps of a slow run"


def test_the_time_of_a_step_is_read_from_the_end_of_the_events(directory: Path) -> None:
    assert step_time_s(directory) is None
    log = EventLog(directory / "events.jsonl")
    for number in range(400):
        log.emit("step", step=number, padding="é" * 50)
    assert step_time_s(directory, tail_bytes=1000) is not None, "from the middle of a line on"
    lines = (directory / "events.jsonl").read_text().splitlines()[:2]
    (directory / "events.jsonl").write_text("".join(json.dumps(json.loads(line) | {"at": at}) + "\n" for line, at in zip(lines, (5.0, 7.5), strict=True)))
    assert step_time_s(directory) == 2.5
    with (directory / "events.jsonl").open("a") as stream:
        for kind, at in (("resumed", 90_000.0), ("step", 90_001.0)):
            stream.write(json.dumps({"kind": kind, "at": at}) + "\n")
    assert step_time_s(directory) is None, "a day between two attempts is no step's"


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
