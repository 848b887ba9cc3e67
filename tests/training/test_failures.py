"""The nine ways in which peers lose a run, from a browser that is closed to a run1 that is run10's beginning, and what is left to resume.

Where the training itself does not matter a stand-in runs: real keeper, recorder, checkpoints and resume around steps that learn nothing.
"""

import http.client
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil
import pytest

from store.database import open_store
from store.errors import ConflictError, RefusedError, StorageError
from store.process import ProcessMark, Rung, read_mark, write_mark
from store.records import Run
from tests.training.conftest import Studio, sft_config, wait_until
from tests.training.stand_in import SAVES_EVERY, command, stand_in
from training import jobs, turns
from training.checkpoints import verified
from training.events import last_event, read_events
from training.jobs import attempts_of, cancel, known_runs, launch, resume, resume_problem, start_run, stop_and_save
from training.keeper import REPOSITORY, await_end
from training.status import is_alive, log_tail, read_result, read_status
from training.turns import CPU, advance, enqueue

QUICK = (Rung(0.0, signal.SIGTERM, False), Rung(5.0, signal.SIGKILL, True))


def steps_of(directory: Path) -> list[int]:
    return [event["step"] for event in read_events(directory / "events.jsonl").events if event["kind"] == "step"]


def reach(directory: Path, step: int) -> None:
    """Wait until the run has done this step."""
    wait_until(lambda: max(steps_of(directory), default=0) >= step or read_status(directory).ended, lambda: log_tail(directory))
    assert read_status(directory).state == "running", f"{read_status(directory)}\n{log_tail(directory)}"


def leader(directory: Path) -> ProcessMark:
    mark = read_mark(directory / "process.json")
    assert mark is not None
    return mark


@pytest.fixture
def run(studio: Studio) -> Iterator[Run]:
    made = studio.make(sft_config())
    yield made
    if studio.directory(made).exists() and not read_status(studio.directory(made)).ended:
        cancel(studio.directory(made), QUICK)


@pytest.fixture
def resumed_as_stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is started through the queue is a stand-in of 20 steps too."""
    monkeypatch.setattr(jobs, "advance", lambda data: advance(data, lambda: (CPU,), partial(stand_in_of_steps, 20)))


def stand_in_of_steps(steps: int, directory: Path) -> None:
    stand_in(directory, "--steps", str(steps))


def test_a_run_whose_browser_is_closed_in_the_middle_goes_on_however_much_it_writes(studio: Studio, run: Run) -> None:
    directory = studio.directory(run)
    with serving(directory) as address:
        browser = http.client.HTTPConnection(*address)
        browser.request("POST", "/start")
        answer = browser.getresponse()
        assert answer.read(1) == b"x", "the page shows the log as it comes"
        browser.close()
        status = studio.ended(directory)
    assert status.state == "finished", log_tail(directory)
    assert (directory / "log.txt").stat().st_size >= 2**20, "far more than a pipe holds that nobody reads"


@contextmanager
def serving(directory: Path) -> Iterator[tuple[str, int]]:
    """Yield the address of a server that starts the run at a POST and then sends its log for as long as somebody listens."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            stand_in(directory, "--steps", "10", "--noise", str(2**20))
            self.send_response(200)
            self.end_headers()
            wait_until((directory / "events.jsonl").exists)
            wait_until(lambda: (directory / "log.txt").stat().st_size > 0)
            self.wfile.write((directory / "log.txt").read_bytes()[:1000])

        def log_message(self, *told: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield "127.0.0.1", server.server_port
    finally:
        server.shutdown()
        server.server_close()


def test_an_app_that_is_killed_and_started_again_finds_its_run_and_can_stop_it(studio: Studio, run: Run) -> None:
    directory = studio.directory(run)
    app = "import os, signal, sys\nfrom pathlib import Path\nfrom tests.training.stand_in import stand_in\nstand_in(Path(sys.argv[1]))\n"
    killed = subprocess.run([sys.executable, "-c", app + "os.kill(os.getpid(), signal.SIGKILL)", str(directory)], cwd=REPOSITORY, check=False)
    assert killed.returncode == -signal.SIGKILL, "the app died before its run had done a step"
    reach(directory, 1)
    with open_store(studio.data) as db:
        assert [known.id for known in known_runs(db, studio.data)] == [run.id]
    stop_and_save(directory)
    assert studio.ended(directory).state == "stopped"
    wait_until((directory / "exit.json").exists)
    assert json.loads((directory / "exit.json").read_text())["code"] == 0, "how it ended was put down without the app"


def test_a_trainer_that_is_killed_is_crashed_leaves_no_worker_behind_and_goes_on_from_its_checkpoint(
    studio: Studio, run: Run, resumed_as_stand_in: None
) -> None:
    directory = studio.directory(run)
    stand_in(directory, "--worker")
    reach(directory, SAVES_EVERY + 1)
    with pytest.raises(ConflictError, match="is running: there is nothing to resume"):
        resume(studio.data, run.id)
    worker = psutil.Process(int((directory / "worker").read_text()))
    os.kill(leader(directory).pid, signal.SIGKILL)
    status = studio.ended(directory)
    assert status.state == "crashed" and "SIGKILL" in status.reason and "Resume goes on" in status.reason
    wait_until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)
    before = steps_of(directory)

    resume(studio.data, run.id)
    assert studio.ended(directory).state == "finished", log_tail(directory)
    resumed = next(event for event in read_events(directory / "events.jsonl").events if event["kind"] == "resumed")
    assert (resumed["attempt"], resumed["checkpoint"]) == (2, f"checkpoint-{resumed['step']}")
    assert steps_of(directory) == before + list(range(resumed["step"] + 1, 21)), "one file of events for both attempts"
    (attempt,) = attempts_of(directory)
    assert {path.name for path in attempt.iterdir()} >= {"exit.json", "process.json", "launched"}
    with pytest.raises(ConflictError, match="is finished"):
        resume(studio.data, run.id)


def test_a_disk_that_is_full_spoils_only_the_checkpoint_that_was_being_written(studio: Studio, run: Run, resumed_as_stand_in: None) -> None:
    directory = studio.directory(run)
    second = directory / "checkpoints" / f"checkpoint-{2 * SAVES_EVERY}"
    second.mkdir(parents=True)
    (second / "optimizer.pt").symlink_to("/dev/full")
    stand_in(directory)
    status = studio.ended(directory)
    assert status.state == "failed" and "the disk is full" in status.reason
    (second / "optimizer.pt").unlink()  # room was made
    resume(studio.data, run.id)
    assert studio.ended(directory).state == "finished", log_tail(directory)
    assert last_event(directory / "events.jsonl")["outcome"] == "finished"  # type: ignore[index]
    assert min(steps_of(directory)[2 * SAVES_EVERY :]) == SAVES_EVERY + 1, "it went on from the checkpoint before"
    assert (attempts_of(directory)[0] / second.name).is_dir(), "the torn one is out of the way"


def test_a_run_that_cannot_even_write_its_result_frees_its_device(studio: Studio, run: Run) -> None:
    directory = studio.directory(run)
    limited = "import resource, sys\nfrom pathlib import Path\nfrom tests.training.stand_in import stand_in\n"
    limited += "resource.setrlimit(resource.RLIMIT_FSIZE, (350, 350))\nstand_in(Path(sys.argv[1]))"
    (directory / "lease.json").write_text('{"device": "cpu"}')
    subprocess.run([sys.executable, "-c", limited, str(directory)], cwd=REPOSITORY, check=True)
    status = studio.ended(directory)
    assert status.state == "crashed" and read_result(directory) is None
    waiting = studio.directory(studio.make(sft_config(seed=3)))
    enqueue(waiting, sft_config())
    assert advance(studio.data, lambda: (CPU,), lambda directory: None) == [waiting.name]


def test_a_process_that_was_given_a_dead_runs_number_is_neither_taken_for_the_run_nor_harmed(studio: Studio, run: Run) -> None:
    directory = studio.directory(run)
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    try:
        mark = ProcessMark.of(stranger.pid)
        assert mark is not None
        (directory / "launched").touch()
        (directory / "lease.json").write_text('{"device": "cpu"}')
        write_mark(directory / "process.json", mark)
        assert read_status(directory).state == "running", "the control: with its own creation time it would be"
        assert turns._taken(studio.data) == {"cpu": "a run"}
        for name in ("process.json", "keeper.json"):
            write_mark(directory / name, replace(mark, create_time=mark.create_time - 3600))
        assert read_status(directory).state == "crashed"
        assert turns._taken(studio.data) == {}, "it holds no device"
        with pytest.raises(ConflictError):
            cancel(directory, QUICK)
        leader(directory).end(QUICK)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_two_tabs_that_press_start_at_once_start_one_run_and_one_process(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Path] = []

    def start(directory: Path) -> None:
        started.append(directory)
        stand_in(directory, "--steps", "3")

    monkeypatch.setattr(jobs, "advance", lambda data: advance(data, lambda: (CPU,), start))
    order, made, gate = studio.order(sft_config()), [], threading.Barrier(6)

    def press() -> None:
        gate.wait()
        with open_store(studio.data) as db:
            made.append(start_run(db, studio.data, order))

    threads = [threading.Thread(target=press) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 6 and len(set(made)) == 1
    assert started == [studio.directory(made[0])]
    assert studio.ended(started[0]).state == "finished", log_tail(started[0])
    with open_store(studio.data) as db:
        assert start_run(db, studio.data, order) == made[0], "and pressed once more after its end it starts nothing"
    assert len(started) == 1


@pytest.mark.parametrize("moment", ["scoring", "saving"])
def test_a_stop_while_the_run_scores_or_saves_loses_nothing(shared_studio: Studio, moment: str) -> None:
    config = sft_config(max_steps=4, checkpoint_steps=2)
    directory = shared_studio.directory(shared_studio.make(config))
    launch(directory, command(directory, "--at", moment))
    status = shared_studio.ended(directory)
    assert status.state in ("stopped", "finished"), f"{status}\n{log_tail(directory)}"
    assert (directory / "adapter" / "adapter_model.safetensors").exists()
    result = read_result(directory)
    assert result is not None and result["validation"]["after"] is None
    assert result["steps"] == {"scoring": 4, "saving": 3}[moment], "the step that was under way is done"
    found = verified(directory, config)
    assert (found.step, found.problems) == (result["steps"], ()), "what was being saved is whole"


def test_a_run_that_does_not_heed_a_stop_is_ended_by_its_keeper_with_all_of_its_group(tmp_path: Path) -> None:
    deaf = "import signal, subprocess, sys, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    deaf += "print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']).pid, flush=True)\ntime.sleep(600)"
    process = subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    worker = psutil.Process(int(process.stdout.readline()))
    ladder = (Rung(0.0, signal.SIGTERM, False), Rung(0.1, signal.SIGTERM, True), Rung(0.2, signal.SIGKILL, True))
    looks = iter([False, False, True])
    assert await_end(process, lambda: next(looks), lambda: ladder, look_every_s=0.05) == -signal.SIGKILL
    wait_until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)
    process.stdout.close()


def test_a_run_for_which_the_system_starts_no_process_can_be_started_again(studio: Studio, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = studio.directory(run)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", "/there/is/no/python")
        with pytest.raises(StorageError, match="could not be started"):
            launch(directory)
    assert read_status(directory).state == "waiting"
    stand_in(directory, "--steps", "1")
    assert studio.ended(directory).state == "finished"


def test_a_run_that_is_stopped_before_its_keeper_has_started_it_is_not_started(studio: Studio, run: Run) -> None:
    directory = studio.directory(run)
    (directory / "stop").write_text("cancel")
    stand_in(directory)
    wait_until((directory / "exit.json").exists)
    assert studio.ended(directory).state == "stopped"
    assert json.loads((directory / "exit.json").read_text())["code"] is None and not (directory / "process.json").exists()


def test_run1_is_ended_and_run10_is_not(studio: Studio, run: Run) -> None:
    one, ten = (studio.directory(run).rename(studio.data / "runs" / "run1"), studio.data / "runs" / "run10")
    other = studio.directory(studio.make(sft_config(seed=2))).rename(ten)
    try:
        for directory in (one, other):
            stand_in(directory)
        for directory in (one, other):
            reach(directory, 1)
        cancel(one, QUICK)
        assert read_status(one).state == "stopped" and not is_alive(one)
        done = max(steps_of(ten))
        reach(ten, done + 2)
    finally:
        cancel(ten, QUICK)


def test_a_run_without_a_whole_checkpoint_is_not_resumed_and_says_why(studio: Studio, run: Run) -> None:
    directory = studio.directory(run)
    stand_in(directory)
    reach(directory, 2 * SAVES_EVERY)
    cancel(directory, QUICK)
    wait_until(lambda: not is_alive(directory))
    for path in (directory / "checkpoints").glob("checkpoint-*"):
        with (path / "optimizer.pt").open("a") as stream:
            stream.write("!")
    problem = resume_problem(studio.data, run.id)
    assert problem is not None and "checkpoint-5 holds another optimizer.pt than was saved" in problem
    with pytest.raises(RefusedError, match="no checkpoint to go on from"):
        resume(studio.data, run.id)
    assert read_status(directory).state == "stopped" and not attempts_of(directory), "a refusal moves nothing"


def test_a_resume_that_was_cut_short_at_any_file_can_be_pressed_again(studio: Studio, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = studio.directory(run)
    stand_in(directory)
    reach(directory, SAVES_EVERY)
    stop_and_save(directory)
    studio.ended(directory)
    monkeypatch.setattr(jobs, "advance", lambda data: [])
    rename, left = Path.rename, [0]

    def cut_short(path: Path, target: Path) -> Path:
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1
        return rename(path, target)

    os.utime(directory / "launched", (0, 0))  # it was launched long ago
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", cut_short)
        for moves in (0, 1, 0, 2, 0, 1, 0, 2):
            left[0] = moves
            with pytest.raises(KeyboardInterrupt):
                resume(studio.data, run.id)
            assert read_status(directory).state in ("stopped", "crashed")
    resume(studio.data, run.id)
    assert read_status(directory).state == "queued"
    assert sorted(path.name for attempt in attempts_of(directory) for path in attempt.iterdir()) == sorted(
        ["adapter", "exit.json", "keeper.json", "launched", "process.json", "result.json", "stop"]
    )
