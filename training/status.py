"""What has become of a run: a pure reading of its directory and of (process number, creation time)."""

import json
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from store.errors import NotFoundError
from store.process import ProcessMark, read_mark
from training.events import FILE_NAME, last_event, read_events

# A run that says nothing, or makes no progress, for so long is shown as stalled.
STALLED_AFTER_S = 180.0
# Between the order to launch and the keeper's mark lies the start of an interpreter.
LAUNCH_TAKES_S = 60.0
# A disk with less than this left is full to a run: not even the smallest checkpoint fits.
FULL_BELOW_BYTES = 2**20
FREE_THE_DISK = "Make room, for example by deleting the checkpoints of old runs, then start a new run or resume this one."
ENDED = ("finished", "stopped", "failed", "crashed")
# So ended, a run has an adapter that may be used, if it has one.
USABLE = ("finished", "stopped")
RESUMABLE = ("stopped", "failed", "crashed")


@dataclass(frozen=True)
class RunStatus:
    """The state of a run with a sentence that says why."""

    state: str  # "waiting", "queued", "running", "stalled", or one of ENDED
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
    now_s = time.time() if now_s is None else now_s
    ended = read_result(directory)
    if ended is None:
        process = read_mark(directory / "process.json")
        if process is None:
            return _before_start(directory, now_s)
        if process.alive or _speaks_elsewhere(directory, process, now_s):
            return _alive(directory, process, now_s)
        if _is_kept(directory) and not (directory / "exit.json").exists():
            return RunStatus("running", "The process has ended, and how is being put down.")
        # The result may have been written between the two looks.
        ended = read_result(directory)
    return _dead(directory) if ended is None else RunStatus(str(ended["outcome"]), str(ended["reason"]), step=ended.get("steps"))


def read_result(directory: Path) -> dict[str, Any] | None:
    """Return what the run left as its result, or None while there is none."""
    return _read_object(directory / "result.json")


def read_queued(directory: Path) -> dict[str, Any] | None:
    """Return when the run was put in the queue (`at`), what it `needs` and the `reason` why it waits, or None when it was not."""
    return _read_object(directory / "queued.json")


def read_lease(directory: Path) -> str | None:
    """Return the device that the run was given, "0" for the first GPU or "cpu", or None when it was given none."""
    lease = _read_object(directory / "lease.json")
    return None if lease is None else str(lease["device"])


def is_alive(directory: Path) -> bool:
    """Return whether the run's process works, also after its result, or is about to be started."""
    process = read_mark(directory / "process.json")
    if process is not None:
        return process.alive
    return _is_kept(directory) or _is_being_launched(directory, time.time())


def step_time_s(directory: Path, tail_bytes: int = 16_384) -> float | None:
    """Return the seconds between the last two steps of the present attempt, as the end of the events tells, or None before there are two."""
    path = directory / FILE_NAME
    if not path.exists():
        return None
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - tail_bytes))
        if stream.tell():
            stream.readline()  # the rest of a line that began before
        offset = stream.tell()
    steps: list[float] = []
    for event in read_events(path, offset).events:
        if event["kind"] == "resumed":
            steps.clear()
        elif event["kind"] == "step":
            steps.append(event["at"])
    return steps[-1] - steps[-2] if len(steps) > 1 else None


def cancelled_reason(directory: Path) -> str:
    """Return the sentence that says what a cancelled run has left."""
    stop = directory / "stop"
    ended = "It was asked to stop, took too long and was ended" if stop.exists() and stop.read_text() == "save" else "Cancelled"
    if (directory / "adapter" / "adapter_config.json").exists():
        return f"{ended}; the adapter was saved before and is kept."
    if has_checkpoint(directory):
        return f"{ended}; what the last checkpoint holds is kept."
    return f"{ended} before the first checkpoint: nothing is saved."


def has_checkpoint(directory: Path) -> bool:
    """Return whether the run has saved a checkpoint to its end: its manifest is written last."""
    return any((directory / "checkpoints").glob("checkpoint-*/manifest.json"))


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


def _before_start(directory: Path, now_s: float) -> RunStatus:
    kept = _is_kept(directory)
    if (directory / "stop").exists():
        if kept or _is_being_launched(directory, now_s):
            return RunStatus("waiting", "It is asked to stop before it has begun.")
        return RunStatus("stopped", "Cancelled before it was started: there was nothing to save.")
    if kept or _is_being_launched(directory, now_s):
        return RunStatus("waiting", "The process is being started.")
    if (directory / "launched").exists():
        return RunStatus("crashed", "The start was ordered and no process came of it; the app may have been killed just then. Start a new run.")
    queued = read_queued(directory)
    if queued is not None:
        return RunStatus("queued", str(queued["reason"]))
    return RunStatus("waiting", "The run is made and has not been started.")


def _alive(directory: Path, process: ProcessMark, now_s: float) -> RunStatus:
    event = last_event(directory / FILE_NAME) or {}
    phase, step = event.get("phase"), event.get("step")
    # A run that goes on has events of its earlier attempt, and one that hangs at its first import has none.
    begun_s = (directory / "process.json").stat().st_mtime
    since_s = now_s - begun_s
    if float(event.get("at", 0.0)) >= begun_s:
        since_s = max(0.0, now_s - float(event["at"])) + float(event.get("idle_s", 0.0))
    if since_s > STALLED_AFTER_S:
        return RunStatus(
            "stalled", f"The process is there, but nothing has moved for {since_s:.0f} s. Wait, or cancel. {_where_it_stands(process)}", phase, step
        )
    doing = "It is starting." if phase is None else f"It is at: {phase}."
    if (directory / "stop").exists():
        doing = "It was asked to stop and will save first."
    if process.is_of_another_host:
        doing += f" It works on {process.host}."
    return RunStatus("running", doing, phase, step)


def _speaks_elsewhere(directory: Path, process: ProcessMark, now_s: float) -> bool:
    # Machines may share a disk. What lives on another one cannot be looked up here, but it gives a sign of life every few seconds.
    event = last_event(directory / FILE_NAME)
    return process.is_of_another_host and event is not None and now_s - float(event["at"]) < LAUNCH_TAKES_S


def _dead(directory: Path) -> RunStatus:
    event = last_event(directory / FILE_NAME) or {}
    step, code, stop = event.get("step"), _exit_code(directory), directory / "stop"
    if stop.exists() and stop.read_text() == "cancel":
        return RunStatus("stopped", cancelled_reason(directory), step=step)
    # Not "crashed": somebody wanted it to end.
    if stop.exists() and code is not None and code < 0:
        told = f"Asked to stop, it was ended by {signal.Signals(-code).name} before it had saved. {_what_is_left(directory)}"
        return RunStatus("stopped", told, step=step)
    return RunStatus("crashed", f"{_why_dead(directory, code)} {_what_is_left(directory)}", step=step)


def _why_dead(directory: Path, code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        more = " Most often the machine ran out of memory." if name == "SIGKILL" else ""
        return f"The process was ended from outside by {name} and left no result.{more}"
    last = log_tail(directory, lines=1)
    if disk_is_full(directory) or "No space left on device" in last:
        return f"The process is gone and could leave no result: the disk is full. {FREE_THE_DISK}"
    process = read_mark(directory / "process.json")
    if process is not None and not process.is_of_here:
        return f"It ran on {process.host} before that machine, or this one, was started anew, and left no result."
    ended = "The process is gone and left no result." if code is None else f"The process ended with code {code} and left no result."
    return f"{ended} Last line of its log: {last}" if last else ended


def _what_is_left(directory: Path) -> str:
    return "Resume goes on from its last checkpoint." if has_checkpoint(directory) else "It has no checkpoint to resume from."


def _where_it_stands(process: ProcessMark) -> str:
    tool = "" if shutil.which("py-spy") else "pip install py-spy, then "
    return f"To see where it stands: {tool}py-spy dump --pid {process.pid}"


def _is_kept(directory: Path) -> bool:
    keeper = read_mark(directory / "keeper.json")
    return keeper is not None and keeper.alive


def _is_being_launched(directory: Path, now_s: float) -> bool:
    launched = directory / "launched"
    return launched.exists() and not (directory / "keeper.json").exists() and now_s - launched.stat().st_mtime < LAUNCH_TAKES_S


def _exit_code(directory: Path) -> int | None:
    ended = _read_object(directory / "exit.json")
    return None if ended is None or ended["code"] is None else int(ended["code"])


def _read_object(path: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return found
