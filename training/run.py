"""The child: `python -m training.run DIRECTORY` does the run in DIRECTORY from its files and leaves its results there.

It never opens the database, so the directory can be carried to another machine, run there by this command, and carried back.
"""

import argparse
import contextlib
import errno
import json
import os
import shutil
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from store.errors import ConflictError, UserError
from store.process import ProcessMark, read_mark, write_mark, write_whole
from training.carrying import TRAINING
from training.checkpoints import verified
from training.config import RunConfig
from training.events import FILE_NAME, EventLog
from training.jobs import attempts_of, load_config
from training.plan import Reporter, RunPlan, Stopped, TrainingError, plan_run
from training.status import FREE_THE_DISK, cancelled_reason, disk_is_full, has_checkpoint, read_result

HEARTBEAT_S = 5.0
# By stage; each takes plan and reporter and returns the figures of the result.
TRAINERS = {
    "sft": ("training.sft", "train_sft"),
    "dpo": ("training.dpo", "train_dpo"),
    "evaluate": ("training.evaluate", "evaluate_run"),
    "write": ("training.writing", "write_run"),
}
LIBRARIES = ("torch", "transformers", "trl", "peft", "accelerate", "bitsandbytes", "av", "numpy")


class Cancelled(BaseException):
    """Somebody wants the process to end now. No Exception, so that no library takes it for an error and goes on."""


class Recorder:
    """Speaks for the run: events, heartbeat, and at the end, whatever the end was, result.json."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._log = EventLog(directory / FILE_NAME)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._started_s = time.monotonic()
        self._heeded_before: Any = signal.SIG_DFL
        self.phase = "starting"
        self.figures: dict[str, Any] = {}

    def __enter__(self) -> "Recorder":
        """Put down the process's mark and begin the heartbeat."""
        mark = ProcessMark.of(os.getpid())
        if mark is not None:
            write_mark(self._directory / "process.json", mark)
        self._heeded_before = signal.signal(signal.SIGTERM, _cancel)
        self._thread.start()
        return self

    def emit(self, kind: str, **values: Any) -> None:
        """Append an event; a phase is remembered for the reason of a failure."""
        if kind == "phase":
            self.phase = values["phase"]
        self._log.emit(kind, **values)

    def stop_asked(self) -> bool:
        """Return whether the stop file is there."""
        return (self._directory / "stop").exists()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        """Write result.json last; the error, if any, goes on and leaves its traceback in the log."""
        # Whoever wants it to end now has what he wants: an order that comes this late would only break into the writing.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self._ended.set()
        self._thread.join()
        outcome, reason = ending(error, self.phase, self._directory)
        if error is None and self.figures.get("stopped_early"):
            # What a stage has left when it is stopped it knows better itself.
            outcome, reason = "stopped", self.figures.get("reason", "Stopped as asked; checkpoint and adapter are saved.")
        result = {"outcome": outcome, "reason": reason, **self.figures}
        result |= {"seconds": round(time.monotonic() - self._started_s, 1), "versions": versions()}
        # The result matters more than its event, and on a full disk a few bytes may be all that is left.
        with contextlib.suppress(OSError):
            self._log.emit("end", outcome=outcome, reason=reason)
        write_whole(self._directory / "result.json", json.dumps(result, indent=1, ensure_ascii=False) + "\n")
        self._log.close()
        signal.signal(signal.SIGTERM, self._heeded_before)
        return outcome == "stopped"

    def _beat(self) -> None:
        while not self._ended.wait(HEARTBEAT_S):
            self._log.heartbeat()


def ending(error: BaseException | None, phase: str, directory: Path) -> tuple[str, str]:
    """Return the outcome and, in a sentence for the person at the screen, why the run ended so."""
    if error is None:
        return "finished", "All steps are done."
    if isinstance(error, Stopped):
        kept = "what the last checkpoint holds is kept." if has_checkpoint(directory) else "there was nothing to save."
        return "stopped", f"Stopped as asked, before the first step: {kept}"
    if isinstance(error, Cancelled | KeyboardInterrupt):
        return "stopped", cancelled_reason(directory)
    if isinstance(error, UserError | TrainingError):
        return "failed", str(error)
    first = str(error).strip().split("\n")[0]
    if out_of_memory(error):
        return "failed", (
            f"Out of memory while at: {phase}. {first} "
            "Ways out, the best first: fewer frames, a smaller longest side, batch size 1 with more accumulation, nf4, a smaller model."
        )
    if _disk_full(error, directory):
        return "failed", f"While at: {phase}, the disk is full. {FREE_THE_DISK} {first}"
    return "failed", f"{type(error).__name__} while at: {phase}. {first or 'It gives no reason.'} The log has the whole traceback."


def versions() -> dict[str, str | None]:
    """Return the versions of the libraries that decide what a run does; None: not installed."""
    found: dict[str, str | None] = {"python": sys.version.split()[0]}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def prepare_environment(config: RunConfig) -> None:
    """Set what the libraries read from the environment at their import; what the caller has set stays."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    # One process, one GPU: the trainers refuse to share a model between several.
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")
    if config.random_weights:
        # Matrices this small cost more to hand to a second thread than to multiply.
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    # What the libraries will rename one day is nothing to the reader of a run's log.
    warnings.simplefilter("ignore", FutureWarning)
    if config.random_weights or Path(config.model).is_dir():
        os.environ.setdefault("HF_HUB_OFFLINE", "1")


def run(directory: Path) -> None:
    """Do the run in `directory`. Raises ConflictError when it was done already or is being done."""
    mark = read_mark(directory / "process.json")
    if read_result(directory) is not None:
        raise ConflictError(f"The run in {directory} has ended already. Make a new one.")
    if mark is not None and mark.alive and mark.pid != os.getpid():
        raise ConflictError(f"The run in {directory} is being done by process {mark.pid}.")
    with Recorder(directory) as recorder:
        config = load_config(directory)
        prepare_environment(config)
        try:
            plan = replace(plan_run(directory, config, recorder), resume_from=go_on_from(directory, config, recorder))
            recorder.emit("phase", phase="loading the libraries")
            recorder.figures = _trainer_of(config.stage)(plan, recorder)
        finally:
            # Caches only: the media beside them can be decoded again.
            for cache in ("frames", "features"):
                shutil.rmtree(directory / cache, ignore_errors=True)


def go_on_from(directory: Path, config: RunConfig, reporter: Reporter) -> Path | None:
    """Return the checkpoint from which a later attempt of the run goes on, and tell it; None at the first attempt.

    A run that trains nothing goes on from what it has written down. Raises TrainingError when none of a training run's checkpoints verifies.
    """
    attempts = attempts_of(directory)
    if not attempts:
        return None
    if config.stage not in TRAINING:
        reporter.emit("resumed", step=0, attempt=len(attempts) + 1, checkpoint=None)
        return None
    found = verified(directory, config)
    if found.folder is None:
        raise TrainingError(f"No checkpoint of the earlier attempt verifies: {'; '.join(found.problems) or 'there is none'}. Start a new run.")
    reporter.emit("resumed", step=found.step, attempt=len(attempts) + 1, checkpoint=found.folder.name)
    return found.folder


def main() -> None:
    """Read the command line and do the run; a refusal is a sentence and exit code 2."""
    parser = argparse.ArgumentParser(prog="python -m training.run", description="Do the run in DIRECTORY and leave its results there.")
    parser.add_argument("directory", type=Path, help="a run directory that the app has made")
    directory = parser.parse_args().directory.resolve()
    try:
        run(directory)
    except ConflictError as error:
        parser.error(str(error))


def _trainer_of(stage: str) -> Callable[[RunPlan, Recorder], dict[str, Any]]:
    # Not at the top: these imports read the environment that was just set, and take seconds that a wrong row should not cost.
    module, name = TRAINERS[stage]
    trainer: Callable[[RunPlan, Recorder], dict[str, Any]] = getattr(import_module(module), name)
    return trainer


def _cancel(number: int, frame: FrameType | None) -> None:
    # Once is enough: a second one would break into the writing of the result.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Cancelled


def _disk_full(error: BaseException, directory: Path) -> bool:
    # The libraries that write weights turn the system's error into one of their own, with or without its words.
    told = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    cause = error.__cause__ or error.__context__
    return told or "No space left on device" in str(error) or disk_is_full(directory) or (cause is not None and _disk_full(cause, directory))


def out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory ran out, on a GPU or off it."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & {"OutOfMemoryError", "MemoryError"}) or "can't allocate memory" in str(error)


if __name__ == "__main__":
    main()
