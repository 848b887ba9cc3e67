"""The process that waits for a run: `python -m training.keeper DIRECTORY` starts the run in DIRECTORY and puts down how it ended.

It belongs to its own session and holds no pipe, so it outlives the app; the run belongs to one of its own again, so a signal for the run's
group does not reach it.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from store.errors import StorageError, UserError
from store.process import ProcessMark, Rung, patient_ladder, write_mark, write_whole
from store.rows import utc_now
from training.status import read_lease, step_time_s

REPOSITORY = Path(__file__).resolve().parent.parent
LOOK_EVERY_S = 1.0


def launch(directory: Path, command: Sequence[str] = ()) -> ProcessMark | None:
    """Start the run's keeper, and with it the run, now; return the keeper's mark, or None when the run was launched before.

    `command` stands for the run's own, `python -m training.run DIRECTORY`. Raises StorageError when the system starts no process.
    """
    launched = directory / "launched"
    try:
        launched.open("x").close()
        keeper = _start(directory, command)
    except FileExistsError:
        return None
    except OSError as error:
        launched.unlink(missing_ok=True)
        raise StorageError(f"The run's process could not be started: {error}. Make room on the disk and in memory, then start it again.") from error
    # Nobody else waits for it; without this it would stay a zombie until the app ends.
    threading.Thread(target=keeper.wait, name=f"reap-{keeper.pid}", daemon=True).start()
    return ProcessMark.of(keeper.pid)


def keep(directory: Path, command: Sequence[str]) -> int | None:
    """Run `command`, write exit.json when it has ended, however it did, and return its exit status; None: it was stopped before it began."""
    _mark(directory / "keeper.json", os.getpid())
    code = None if (directory / "stop").exists() else _run(directory, command)
    try:
        write_whole(directory / "exit.json", json.dumps({"code": code, "at": utc_now()}) + "\n")
    except OSError as error:
        sys.stderr.write(f"How the run ended could not be put down: {error}.\n")
    return code


def await_end(process: "subprocess.Popen[bytes]", stop_asked: Callable[[], bool], ladder: Callable[[], Sequence[Rung]], look_every_s: float) -> int:
    """Wait for the end of `process` and return its exit status; once asked to stop, climb the ladder that ends it."""
    mark, ended = ProcessMark.of(process.pid), threading.Event()
    threading.Thread(target=_wait, args=(process, ended), name="wait", daemon=True).start()
    # Of this machine's working time: one that sleeps for a night has been patient for no second of it.
    asked_s, done = None, 0
    while not ended.wait(look_every_s):
        if asked_s is None and stop_asked():
            asked_s = time.monotonic()
        if asked_s is not None and mark is not None:
            done = mark.climb(ladder(), time.monotonic() - asked_s, done)
    return process.wait()


def main() -> None:
    """Read the command line, keep the run, and then let others go on."""
    parser = argparse.ArgumentParser(prog="python -m training.keeper", description="Do the run in DIRECTORY and put down how it ended.")
    parser.add_argument("directory", type=Path, help="a run directory that the app has made")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="what to run instead of python -m training.run DIRECTORY")
    given = parser.parse_args()
    directory = given.directory.resolve()
    keep(directory, given.command or [sys.executable, "-m", "training.run", str(directory)])
    if directory.parent.name == "runs":
        _let_others_go_on(directory.parent.parent)


def _start(directory: Path, command: Sequence[str]) -> "subprocess.Popen[bytes]":
    with (directory / "log.txt").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "training.keeper", str(directory.absolute()), *command],
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            close_fds=True,
        )


def _run(directory: Path, command: Sequence[str]) -> int:
    process = subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.DEVNULL, start_new_session=True, close_fds=True, env=_environment(directory))
    _mark(directory / "process.json", process.pid)
    return await_end(process, (directory / "stop").exists, lambda: patient_ladder(step_time_s(directory)), LOOK_EVERY_S)


def _environment(directory: Path) -> dict[str, str]:
    device = read_lease(directory)
    if device is None or device == "cpu":
        return dict(os.environ)
    # Else CUDA would number the devices by speed, and nvidia-smi, which gave the number, by place.
    return {**os.environ, "CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": device}


def _wait(process: "subprocess.Popen[bytes]", ended: threading.Event) -> None:
    if hasattr(os, "waitid"):
        # While nobody has reaped it, its number is nobody else's, so what it left of its group (it may hold a GPU's memory) can be ended by number.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.wait()
    ended.set()


def _mark(path: Path, pid: int) -> None:
    mark = ProcessMark.of(pid)
    if mark is not None:
        write_mark(path, mark)


def _let_others_go_on(data: Path) -> None:
    # Not at the top: a keeper waits for days, and what it does not need takes memory.
    from training.stages import advance_plans
    from training.turns import advance

    for act in (advance_plans, advance):
        try:
            act(data)
        except UserError as error:
            sys.stderr.write(f"{error}\n")


if __name__ == "__main__":
    main()
