"""Devices are given in order, one to a run, and for as long as the run lives; who waits is told on whom."""

import json
import os
import threading
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.process import ProcessMark
from tests.training.conftest import Studio, sft_config, wait_until
from training import turns
from training.jobs import cancel, launch
from training.status import log_tail, read_lease, read_status
from training.turns import CPU, Device, advance, enqueue, find_devices, parse_devices, why_it_waits

GPUS = (Device("0", "GPU 0 (NVIDIA L4)"), Device("1", "GPU 1 (NVIDIA L4)"))
GPU_ANSWER = """0, GPU-aaa, NVIDIA H200, 143771, 1000
1, GPU-bbb, NVIDIA L4, 23034, 20000
2, GPU-ccc, NVIDIA L4, 23034, 20000
[Not Supported], what is this
"""
PROCESS_ANSWER = """GPU-bbb, 4711, /usr/bin/python, with a comma, 19500
GPU-bbb, 4712, /opt/game, [N/A]
GPU-aaa, 99, /usr/lib/desktop, 900
"""


def make(data: Path, name: str) -> Path:
    """Make what stands for a run's directory: the queue asks for no more."""
    directory = data / "runs" / name
    directory.mkdir(parents=True)
    (directory / "manifest.json").write_text(json.dumps({"run": {"name": f"run {name}"}}))
    return directory


def queued(data: Path, name: str, model: str = "pipeline-check") -> Path:
    directory = make(data, name)
    enqueue(directory, sft_config(model=model))
    return directory


@pytest.fixture
def living(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The names of the runs whose process lives."""
    names: set[str] = set()
    monkeypatch.setattr(turns, "is_alive", lambda directory: directory.name in names)
    return names


def starter(living: set[str]):
    def start(directory: Path) -> None:
        (directory / "launched").open("x").close()
        living.add(directory.name)

    return start


def test_the_oldest_waiting_run_gets_the_device_and_the_others_are_told_on_whom_they_wait(tmp_path: Path, living: set[str]) -> None:
    first, second, third = (queued(tmp_path, name) for name in ("z", "m", "a"))
    assert advance(tmp_path, lambda: (CPU,), starter(living)) == ["z"]
    assert read_lease(first) == "cpu"
    assert read_status(second).reason == "It waits: the processor is used by the run run z. It is the next."
    assert read_status(third).reason == "It waits: the processor is used by the run run z. Before it: run m."
    assert advance(tmp_path, lambda: (CPU,), starter(living)) == [], "asking again changes nothing"
    living.clear()
    assert advance(tmp_path, lambda: (CPU,), starter(living)) == ["m"], "a lease counts only while its run lives"


def test_a_run_that_needs_a_gpu_waits_for_one_and_lets_others_pass(tmp_path: Path, living: set[str]) -> None:
    needy = queued(tmp_path, "first", "Qwen/Qwen2.5-VL-3B-Instruct")
    queued(tmp_path, "second")
    assert advance(tmp_path, lambda: (CPU,), starter(living)) == ["second"]
    assert "needs a GPU, and nvidia-smi names none" in read_status(needy).reason
    assert advance(tmp_path, lambda: GPUS, starter(living)) == ["first"]
    assert read_lease(needy) == "0"


def test_a_run_that_was_cancelled_in_the_queue_is_passed_over_and_stays_stopped(tmp_path: Path, living: set[str]) -> None:
    waiting = queued(tmp_path, "only")
    cancel(waiting)
    assert read_status(waiting).state == "stopped"
    assert advance(tmp_path, lambda: (CPU,), starter(living)) == []
    assert not (waiting / "launched").exists()


@pytest.mark.parametrize("left", ["result.json", "process.json"])
def test_a_run_that_somebody_does_by_hand_or_has_done_elsewhere_is_not_started_again(tmp_path: Path, living: set[str], left: str) -> None:
    carried = queued(tmp_path, "a")
    mark = ProcessMark.of(os.getpid())
    assert mark is not None
    told = {"result.json": {"outcome": "finished", "reason": "All steps are done."}, "process.json": asdict(mark)}
    (carried / left).write_text(json.dumps(told[left]))
    assert advance(tmp_path, lambda: (CPU,), starter(living)) == []
    assert read_status(carried).state in ("finished", "running") and not (carried / "lease.json").exists()
    (carried / left).unlink()
    assert advance(tmp_path, lambda: (CPU,), starter(living)) == ["a"], "the control"


def test_a_gpu_that_others_hold_is_left_alone_and_the_process_is_named(tmp_path: Path, living: set[str]) -> None:
    held = Device("0", "GPU 0 (NVIDIA L4)", "python (process 4711, 19,500 MiB)")
    waiting = queued(tmp_path, "run")
    assert advance(tmp_path, lambda: (held,), starter(living)) == []
    assert "GPU 0 (NVIDIA L4) is held by python (process 4711, 19,500 MiB), which is no run of this project" in read_status(waiting).reason
    assert advance(tmp_path, lambda: (Device("0", "GPU 0"),), starter(living)) == ["run"], "the control"


def test_nvidia_smis_answers_are_read_with_who_holds_what() -> None:
    free, held, hidden = parse_devices(GPU_ANSWER, PROCESS_ANSWER, None)
    assert free == Device("0", "GPU 0 (NVIDIA H200)"), "a desktop is no reason to wait"
    assert held.held_by == "python, with a comma (process 4711, 19,500 MiB), game (process 4712, it does not tell how much)"
    assert "nvidia-smi does not name (20,000 MiB)" in hidden.held_by, "in a container others' processes are not seen, but their memory is"
    assert parse_devices("", "", None) == ()


@pytest.mark.parametrize(("visible", "names"), [(None, ["0", "1", "2"]), ("2, 0", ["0", "2"]), ("GPU-bbb", ["1"]), ("", []), ("-1", [])])
def test_only_gpus_that_the_caller_left_visible_are_given_away(visible: str | None, names: list[str]) -> None:
    assert [device.name for device in parse_devices(GPU_ANSWER, "", visible)] == names


def test_without_nvidia_smi_or_with_one_that_fails_there_is_the_processor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_devices() == (CPU,)
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\nexit 9\n")
    program.chmod(0o755)
    assert find_devices() == (CPU,)
    program.write_text("#!/bin/sh\ncase $1 in --query-gpu*) echo 0, GPU-a, NVIDIA L4, 100, 90;; *) echo GPU-a, 12, python, 80;; esac\n")
    assert find_devices() == (Device("0", "GPU 0 (NVIDIA L4)", "python (process 12, 80 MiB)"),), "the control"


def test_why_it_waits_counts_what_is_before() -> None:
    told = why_it_waits(GPUS, {"0": "A", "1": "B"}, ["C", "D"])
    assert told == "It waits: GPU 0 (NVIDIA L4) is used by the run A; GPU 1 (NVIDIA L4) is used by the run B. Before it: C, D."


@given(acts=st.lists(st.one_of(st.just("order"), st.just("advance"), st.integers(0, 9)), max_size=30), devices=st.integers(1, 2))
def test_whatever_happens_a_device_has_one_run_and_runs_start_in_order(tmp_path_factory: pytest.TempPathFactory, acts: list, devices: int) -> None:
    data, living, started, made = tmp_path_factory.mktemp("turns"), set[str](), list[str](), 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(turns, "is_alive", lambda directory: directory.name in living)
        patch.setattr(turns, "write_whole", lambda path, text: path.write_text(text))  # without a flush to the disk each time
        for act in [*acts, "advance"]:
            if act == "order":
                (queued(data, f"{made:03}") / "queued.json").write_text(json.dumps({"at": f"{made:03}", "needs": "cpu", "reason": ""}))
                made += 1
            elif act == "advance":
                started += advance(data, lambda: GPUS[:devices], starter(living))
                held = [read_lease(data / "runs" / name) for name in living]
                assert len(held) == len(set(held)) <= devices
                assert len(living) == devices or len(started) == made, "no device is idle while a run waits"
            elif started:
                living.discard(started[act % len(started)])
    assert started == sorted(started) and len(started) == len(set(started))


def test_many_who_advance_at_once_start_each_run_once(tmp_path: Path, living: set[str]) -> None:
    for number in range(6):
        queued(tmp_path, str(number))
    started: list[str] = []
    threads = [threading.Thread(target=lambda: started.extend(advance(tmp_path, lambda: GPUS, starter(living)))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(started) == ["0", "1"], "two devices; open('x') in the starter would have raised for a second start"


def test_when_a_run_ends_its_keeper_gives_the_device_to_the_next(studio: Studio) -> None:
    first, second = (studio.directory(studio.make(sft_config())) for _ in range(2))
    (second / "dataset" / "rows.jsonl").unlink()  # so that it fails at once, without a library
    for directory in (first, second):
        enqueue(directory, sft_config())
    go = studio.data / "go"
    wait = f"import pathlib, time\nfor _ in range(2000): pathlib.Path({str(go)!r}).exists() or time.sleep(0.05)"
    assert advance(studio.data, lambda: (CPU,), lambda directory: launch(directory, ("python3", "-c", wait))) == [first.name]
    assert advance(studio.data) == [] and read_status(second).state == "queued"
    go.touch()
    wait_until(lambda: read_status(second).ended, lambda: log_tail(first))
    assert "Freeze the set again" in read_status(second).reason, log_tail(second)
    assert json.loads((first / "exit.json").read_text())["code"] == 0 and read_status(first).state == "crashed", "it left no result"
