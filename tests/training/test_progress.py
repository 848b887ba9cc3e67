"""What a run says while it trains, what it refuses to go on with, and how it words its end."""

import errno
import math
import os
import shutil
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from training import run, sft  # isort: skip  # first: it repairs torchvision before transformers is used
from store.errors import InputError
from training.dpo import PairProgress
from training.events import EventLog, read_events
from training.plan import Stopped, TrainingError
from training.run import Cancelled, Recorder, ending
from training.status import read_result

MARGINS = {"rewards/chosen": 0.0, "rewards/rejected": 0.0, "rewards/margins": 0.0, "rewards/accuracies": 0.5, "logps/chosen": -9.0, "logps/rejected": -9.0}


class Notes:
    """A reporter that keeps what it hears."""

    def __init__(self, stop: bool = False) -> None:
        self.heard: list[dict[str, Any]] = []
        self.stop = stop

    def emit(self, kind: str, **values: Any) -> None:
        self.heard.append({"kind": kind, **values})

    def stop_asked(self) -> bool:
        return self.stop


def log(progress: sft.Progress, step: int, **logs: float) -> None:
    progress.on_log(None, SimpleNamespace(global_step=step), None, logs=logs)  # type: ignore[arg-type]


def test_a_step_tells_what_was_learnt_from_so_far_and_what_the_process_holds() -> None:
    notes = Notes()
    progress = sft.Progress(notes)
    progress.count(items=2, learnt=10, tokens=100)
    log(progress, 1, loss=2.0, learning_rate=1e-4, grad_norm=1.0, num_tokens=7.0)
    progress.count(items=2, learnt=8, tokens=160)
    log(progress, 2, loss=1.5, learning_rate=1e-4, grad_norm=1.0, num_tokens=8.0)
    log(progress, 2, eval_loss=1.0)
    told = [(step["step"], step["loss"], step["items"], step["learnt"], step["tokens"]) for step in notes.heard]
    assert told == [(1, 2.0, 2, 10, 100), (2, 1.5, 4, 18, 260)], "our own count: the library would count the mask of a pack"
    assert (progress.first["step"], progress.latest["step"]) == (1, 2)
    assert all(step["host_bytes"] > 2**20 for step in notes.heard)
    assert progress.seen == {"items": 4, "tokens": 18}


def test_the_time_of_a_step_holds_the_making_of_its_batches_and_not_what_comes_between_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [0.0]
    monkeypatch.setattr("training.progress.time.monotonic", lambda: now_s[0])
    notes = Notes()
    progress = sft.Progress(notes)

    def lasting(seconds: float) -> float:
        now_s[0] += seconds
        return seconds

    collate = progress.timed(lasting)
    for step, saving_s in ((1, 100.0), (2, 0.0)):
        assert collate(0.5) == 0.5
        progress.on_step_begin(None, None, None)  # type: ignore[arg-type]
        lasting(2.0)
        progress.count(items=1, learnt=1, tokens=10)
        progress.on_step_end(None, None, None)  # type: ignore[arg-type]
        log(progress, step, loss=1.0)
        lasting(saving_s)
    assert [(told["seconds"], told["reading_seconds"], told["tokens_per_s"]) for told in notes.heard] == [(2.5, 0.5, 4.0)] * 2


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_no_number_ends_the_run_after_it_was_told(loss: float, tmp_path: Path) -> None:
    events = EventLog(tmp_path / "events.jsonl")
    progress = sft.Progress(SimpleNamespace(emit=events.emit, stop_asked=lambda: False))  # type: ignore[arg-type]
    log(progress, 1, loss=1.0, grad_norm=math.inf)
    with pytest.raises(TrainingError, match="at step 2"):
        log(progress, 2, loss=loss, grad_norm=math.nan)
    told = read_events(tmp_path / "events.jsonl").events
    assert [(step["loss"], step["grad_norm"]) for step in told] == [(1.0, None), (None, None)]


@pytest.mark.parametrize("stop", [False, True])
def test_a_stop_is_heeded_at_the_end_of_a_step_with_a_checkpoint(stop: bool) -> None:
    control = SimpleNamespace(should_save=False, should_training_stop=False)
    sft.Progress(Notes(stop)).on_step_end(None, None, control, model=None)  # type: ignore[arg-type]
    assert (control.should_save, control.should_training_stop) == (stop, stop)


def test_a_reference_that_is_not_the_policys_start_ends_a_dpo_run_at_once() -> None:
    good = PairProgress(Notes())
    log(good, 1, loss=1.7, preference_loss=math.log(2), **MARGINS)
    log(good, 2, loss=1.6, preference_loss=0.3, **MARGINS)
    assert good.latest["preference_loss"] == 0.3, "later it may be what it likes"
    for start in (0.5, 0.9, math.nan):
        with pytest.raises(TrainingError, match="reference is not the policy's start"):
            log(PairProgress(Notes()), 1, loss=1.7, preference_loss=start, **MARGINS)


class OutOfMemoryError(RuntimeError):
    """Named as torch names it."""


@pytest.mark.parametrize(
    ("error", "outcome", "words"),
    [
        (None, "finished", "All steps are done"),
        (Stopped(), "stopped", "nothing to save"),
        (Cancelled(), "stopped", "Cancelled"),
        (KeyboardInterrupt(), "stopped", "Cancelled"),
        (InputError("Row 3 is too long. Shorten it."), "failed", "Row 3 is too long. Shorten it."),
        (TrainingError("The loss became nan."), "failed", "The loss became nan."),
        (OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB\nmore"), "failed", "fewer frames"),
        (MemoryError(), "failed", "Out of memory while at: training"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "failed", "Out of memory"),
        (ValueError("first line\nsecond line"), "failed", "ValueError while at: training. first line"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "failed", "the disk is full"),
        (RuntimeError("SafetensorError: I/O error: No space left on device (os error 28)"), "failed", "the disk is full"),
        (ZeroDivisionError(), "failed", "It gives no reason."),
    ],
)
def test_the_end_of_a_run_is_worded_for_the_person_at_the_screen(error: BaseException | None, outcome: str, words: str, tmp_path: Path) -> None:
    found, reason = ending(error, "training", tmp_path)
    assert found == outcome and words in reason and "\n" not in reason


def test_an_error_on_a_disk_without_room_names_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error = RuntimeError("PytorchStreamWriter failed writing file")
    assert "the disk is full" not in ending(error, "training", tmp_path)[1], "the control"
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=0))
    assert "the disk is full" in ending(error, "training", tmp_path)[1]


def test_whatever_happens_the_run_leaves_a_result(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), Recorder(tmp_path) as recorder:
        recorder.emit("phase", phase="dividing")
        raise ZeroDivisionError("by nothing")
    result = read_result(tmp_path)
    assert result is not None and result["outcome"] == "failed" and "while at: dividing. by nothing" in result["reason"]
    assert result["versions"]["torch"]
    assert read_events(tmp_path / "events.jsonl").events[-1]["kind"] == "end"


def test_an_order_to_end_that_comes_while_the_result_is_written_does_not_break_into_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> dict[str, str | None]:
        os.kill(os.getpid(), signal.SIGTERM)
        return {}

    monkeypatch.setattr(run, "versions", interrupted)
    with Recorder(tmp_path) as recorder:
        recorder.figures = {"steps": 3}
    result = read_result(tmp_path)
    assert result is not None and (result["outcome"], result["steps"]) == ("finished", 3)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL, "as it was before"
    with Recorder(tmp_path):
        os.kill(os.getpid(), signal.SIGTERM)
    assert (read_result(tmp_path) or {})["outcome"] == "stopped", "the control: before that, the order is heeded"
