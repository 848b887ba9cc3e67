"""What a run says while it trains, what it refuses to go on with, and how it words its end."""

import errno
import math
import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from training import sft  # isort: skip  # first: it repairs torchvision before transformers is used
from store.errors import InputError
from training.dpo import PairProgress, sigmoid_loss
from training.events import EventLog, read_events
from training.plan import Stopped, TrainingError
from training.run import Cancelled, Recorder, ending
from training.status import read_result


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


def test_a_step_tells_the_tokens_since_the_last_one() -> None:
    notes = Notes()
    progress = sft.Progress(notes)
    log(progress, 1, loss=2.0, learning_rate=1e-4, grad_norm=1.0, num_tokens=100.0)
    log(progress, 2, loss=1.5, learning_rate=1e-4, grad_norm=1.0, num_tokens=260.0)
    log(progress, 2, eval_loss=1.0)
    assert [(step["step"], step["loss"], step["tokens"]) for step in notes.heard] == [(1, 2.0, 100), (2, 1.5, 260)]
    assert all(step["tokens_per_s"] > 0 for step in notes.heard)
    assert (progress.first["step"], progress.latest["step"]) == (1, 2)


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
    sft.Progress(Notes(stop)).on_step_end(None, None, control)  # type: ignore[arg-type]
    assert (control.should_save, control.should_training_stop) == (stop, stop)


def test_a_reference_that_is_not_the_policys_start_ends_a_dpo_run_at_once() -> None:
    margins = {"rewards/chosen": 0.0, "rewards/rejected": 0.0}
    good = PairProgress(Notes(), ("sigmoid", "sft"))
    log(good, 1, loss=1.7, **margins, **{"rewards/margins": 0.0})
    assert good.first["preference_loss"] == pytest.approx(math.log(2))
    log(good, 2, loss=1.6, **margins, **{"rewards/margins": 3.0})
    assert good.latest["preference_loss"] == pytest.approx(math.log(1 + math.exp(-3)))
    for margin in (0.5, -0.5, math.nan):
        with pytest.raises(TrainingError, match="reference is not the policy's start"):
            log(PairProgress(Notes(), ("sigmoid",)), 1, loss=1.7, **margins, **{"rewards/margins": margin})


def test_a_loss_without_a_sigmoid_term_is_not_shown_as_one() -> None:
    progress = PairProgress(Notes(), ("ipo",))
    log(progress, 1, loss=25.0, **{"rewards/margins": 0.0})
    assert "preference_loss" not in progress.first


def test_the_sigmoid_loss_does_not_overflow() -> None:
    assert sigmoid_loss(0.0) == pytest.approx(math.log(2))
    assert sigmoid_loss(-5000.0) == pytest.approx(5000.0)
    assert sigmoid_loss(5000.0) == pytest.approx(0.0)


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
