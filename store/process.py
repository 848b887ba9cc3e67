"""One process, told apart from a later one with the same number by the moment it was created, and from those of other machines."""

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import psutil

from store.rows import utc_now

# The system's clock may be set while a run is going, which moves the creation time that psutil reckons.
_CLOCK_SLACK_S = 1.0


@dataclass(frozen=True)
class Rung:
    """One step of the ladder by which a process is ended."""

    after_s: float  # since the order to end
    signal: signal.Signals
    whole_group: bool


# Somebody waits at the screen: the process is asked at once.
CANCELLING = (Rung(0.0, signal.SIGTERM, False), Rung(10.0, signal.SIGTERM, True), Rung(15.0, signal.SIGKILL, True))


def patient_ladder(step_s: float | None) -> tuple[Rung, ...]:
    """Return the ladder for a run that was asked to stop and may save first; `step_s`: seconds an optimiser step takes, None: unknown."""
    patience_s = max(60.0, 2 * (step_s or 0.0))
    return (
        Rung(patience_s, signal.SIGTERM, False),
        Rung(patience_s + 30.0, signal.SIGTERM, True),
        Rung(patience_s + 40.0, signal.SIGKILL, True),
    )


@dataclass(frozen=True)
class ProcessMark:
    """One process of a run. Marks that were written before host, boot and group were kept have None for them."""

    pid: int
    create_time: float  # seconds since 1970, as psutil tells it
    started_at: str
    pgid: int | None = None
    host: str | None = None
    boot_id: str | None = None

    @classmethod
    def of(cls, pid: int) -> "ProcessMark | None":
        """Return the mark of a process that is there now, or None."""
        try:
            return cls(pid, psutil.Process(pid).create_time(), utc_now(), os.getpgid(pid), socket.gethostname(), this_boot())
        except (psutil.NoSuchProcess, ProcessLookupError):
            return None

    @property
    def is_of_another_host(self) -> bool:
        """Whether it was made on another machine."""
        return self.host not in (None, socket.gethostname())

    @property
    def is_of_here(self) -> bool:
        """Whether it was made on this machine since its last start; elsewhere the number means another process."""
        return not self.is_of_another_host and self.boot_id in (None, this_boot())

    @property
    def alive(self) -> bool:
        """Whether this very process still works here; one that waits to be reaped does not."""
        if not self.is_of_here:
            return False
        try:
            found = psutil.Process(self.pid)
            if abs(found.create_time() - self.create_time) > _CLOCK_SLACK_S:
                return False
            return bool(found.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD))
        except psutil.NoSuchProcess:
            return False

    def send(self, number: signal.Signals, whole_group: bool) -> None:
        """Send a signal to the process, or to all of the group that it leads; nothing happens when it is not alive."""
        if not self.alive:
            return
        try:
            # The group of a process that leads none is its caller's: the shell that started it, say.
            if whole_group and os.getpgid(self.pid) == self.pid:
                os.killpg(self.pid, number)
            else:
                os.kill(self.pid, number)
        except ProcessLookupError:
            return

    def climb(self, ladder: Sequence[Rung], since_s: float, done: int = 0) -> int:
        """Send what the ladder asks for up to `since_s` seconds after the order; return how many of its rungs are done."""
        for rung in ladder[done:]:
            if rung.after_s > since_s:
                break
            self.send(rung.signal, rung.whole_group)
            done += 1
        return done

    def end(self, ladder: Sequence[Rung]) -> bool:
        """End the process by the ladder; return whether it is gone, at the latest 5 s after the last rung."""
        begun_s, done = time.monotonic(), 0
        while self.alive and (since_s := time.monotonic() - begun_s) < ladder[-1].after_s + 5.0:
            done = self.climb(ladder, since_s, done)
            self.wait(0.2)
        return not self.alive

    def wait(self, patience_s: float) -> bool:
        """Return whether the process ended within `patience_s` seconds.

        Looks every 50 ms: waiting on the number itself would take the exit status away from the process that reaps it.
        """
        deadline = time.monotonic() + patience_s
        while self.alive and time.monotonic() < deadline:
            time.sleep(0.05)
        return not self.alive


@cache
def this_boot() -> str | None:
    """Return what names this start of this machine, or None where the system does not tell."""
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else None


def write_mark(path: Path, mark: ProcessMark) -> None:
    """Write the mark; a reader sees the whole of it or nothing."""
    write_whole(path, json.dumps(asdict(mark)) + "\n")


def read_mark(path: Path) -> ProcessMark | None:
    """Return the mark that was written, or None when there is none."""
    try:
        return ProcessMark(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None


def write_whole(path: Path, text: str) -> None:
    """Write a small file through a temporary name, so that it is there whole or not at all, also after a power cut."""
    # Two tabs are two threads of one process.
    part = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    with part.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(path)
