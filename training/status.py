"""What has become of a run: a pure reading of its directory and of (process number, creation time)."""

import json
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from store.errors import NotFoundError
from training.events import FILE_NAME, last_event
from training.process import read_mark

# A run that says nothing, or makes no progress, for so long is shown as stalled.
STALLED_AFTER_S = 180.0
# Between the order to launch and the child's first word lies the start of an interpreter.
LAUNCH_TAKES_S = 60.0
# A disk with less than this left is full to a run: not even the smallest checkpoint fits.
FULL_BELOW_BYTES = 2**20
FREE_THE_DISK = "Make room, for example by deleting the checkpoints of old runs, then start a new run."
ENDED = ("finished", "stopped", "failed", "crashed")


@dataclass(frozen=True)
class RunStatus:
    """The state of a run with a sentence that says why."""

    state: str  # "waiting", "running", "stalled", "finished", "stopped", "failed" or "crashed"
    reason: str
    phase: str | None = None
    step: int | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self.state in ENDED


def read_status(directory: Path, now_s: float | None = None) -> RunStatus:
    """Return the status of the run in `directory` at `now_s` (seconds since 1970; default: now). Changes nothing.

    Raises NotFoundError when the directory holds no run.
    """
    if not (directory / "manifest.json").exists():
        raise NotFoundError(f"{directory} holds no run. It may have been deleted; load the page again.")
    ended = read_result(directory)
    if ended is None:
        process = read_mark(directory / "process.json")
        if process is None:
            return _before_start(directory, _now(now_s))
        if process.alive:
            return _alive(directory, _now(now_s))
        # The result may have been written between the two looks.
        ended = read_result(directory)
    return _dead(directory) if ended is None else RunStatus(str(ended["outcome"]), str(ended["reason"]), step=ended.get("steps"))


def read_result(directory: Path) -> dict[str, Any] | None:
    """Return what the run left as its result, or None while there is none."""
    path = directory / "result.json"
    if not path.exists():
        return None
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return result


def cancelled_reason(directory: Path) -> str:
    """Return the sentence that says what a cancelled run has left."""
    if (directory / "adapter" / "adapter_config.json").exists():
        return "Cancelled; the adapter was saved before and is kept."
    # The trainer writes this file last: a checkpoint without it is torn.
    if any((directory / "checkpoints").glob("checkpoint-*/trainer_state.json")):
        return "Cancelled; what the last checkpoint holds is kept."
    return "Cancelled before the first checkpoint: nothing is saved."


def disk_is_full(directory: Path) -> bool:
    """Return whether the disk that holds `directory` has less room left than any checkpoint takes."""
    return shutil.disk_usage(directory).free < FULL_BELOW_BYTES


def log_tail(directory: Path, lines: int = 15) -> str:
    """Return the last lines that the run wrote to its log; reads at most 64 KiB."""
    path = directory / "log.txt"
    if not path.exists():
        return ""
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - 65_536))
        # A progress bar rewrites its line with carriage returns; only what it last showed is of use.
        text = stream.read().decode("utf-8", errors="replace")
    return "\n".join(line.rsplit("\r", 1)[-1] for line in text.rstrip().split("\n")[-lines:])


def _now(now_s: float | None) -> float:
    return time.time() if now_s is None else now_s


def _before_start(directory: Path, now_s: float) -> RunStatus:
    launched = directory / "launched"
    if not launched.exists():
        return RunStatus("waiting", "The run is made and has not been started.")
    if now_s - launched.stat().st_mtime < LAUNCH_TAKES_S:
        return RunStatus("waiting", "The process is being started.")
    return RunStatus("crashed", "The start was ordered and no process came of it; the app may have been killed just then. Start a new run.")


def _alive(directory: Path, now_s: float) -> RunStatus:
    event = last_event(directory / FILE_NAME) or {}
    phase, step = event.get("phase"), event.get("step")
    since_s = max(0.0, now_s - float(event.get("at", now_s))) + float(event.get("idle_s", 0.0))
    if since_s > STALLED_AFTER_S:
        return RunStatus("stalled", f"The process is there, but nothing has moved for {since_s:.0f} s. Wait, or cancel.", phase, step)
    doing = "It is starting." if phase is None else f"It is at: {phase}."
    if (directory / "stop").exists():
        doing = "It was asked to stop and will save first."
    return RunStatus("running", doing, phase, step)


def _dead(directory: Path) -> RunStatus:
    event = last_event(directory / FILE_NAME) or {}
    step = event.get("step")
    stop = directory / "stop"
    if stop.exists() and stop.read_text() == "cancel":
        return RunStatus("stopped", cancelled_reason(directory), step=step)
    code = _exit_code(directory)
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        more = " Most often the machine ran out of memory." if name == "SIGKILL" else ""
        return RunStatus("crashed", f"The process was ended from outside by {name} and left no result.{more}", step=step)
    last = log_tail(directory, lines=1)
    if disk_is_full(directory) or "No space left on device" in last:
        return RunStatus("crashed", f"The process is gone and could leave no result: the disk is full. {FREE_THE_DISK}", step=step)
    ended = "The process is gone and left no result." if code is None else f"The process ended with code {code} and left no result."
    return RunStatus("crashed", f"{ended} Last line of its log: {last}" if last else ended, step=step)


def _exit_code(directory: Path) -> int | None:
    path = directory / "exit.json"
    return int(json.loads(path.read_text())["code"]) if path.exists() else None
