"""One process, told apart from a later one with the same number by the moment it was created."""

import json
import os
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from store.rows import utc_now

# The system's clock may be set while a run is going, which moves the creation time that psutil reckons.
_CLOCK_SLACK_S = 1.0


@dataclass(frozen=True)
class ProcessMark:
    """The leader of a run's process group."""

    pid: int
    create_time: float  # seconds since 1970, as psutil tells it
    started_at: str

    @classmethod
    def of(cls, pid: int) -> "ProcessMark | None":
        """Return the mark of a process that is there now, or None."""
        try:
            return cls(pid, psutil.Process(pid).create_time(), utc_now())
        except psutil.NoSuchProcess:
            return None

    @property
    def alive(self) -> bool:
        """Whether this very process still works; one that waits to be reaped does not."""
        try:
            found = psutil.Process(self.pid)
            if abs(found.create_time() - self.create_time) > _CLOCK_SLACK_S:
                return False
            return bool(found.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD))
        except psutil.NoSuchProcess:
            return False

    def end_group(self, patience_s: float) -> None:
        """End the process and its group: ask (SIGTERM), wait up to `patience_s`, then kill. Nothing happens when it is not alive."""
        for step in (signal.SIGTERM, signal.SIGKILL):
            if not self.alive:
                return
            try:
                os.killpg(self.pid, step)
            except ProcessLookupError:
                return
            self.wait(patience_s)

    def wait(self, patience_s: float) -> bool:
        """Return whether the process ended within `patience_s` seconds.

        Looks every 50 ms: waiting on the number itself would take the exit status away from the thread that reaps it.
        """
        deadline = time.monotonic() + patience_s
        while self.alive and time.monotonic() < deadline:
            time.sleep(0.05)
        return not self.alive


def write_mark(path: Path, mark: ProcessMark) -> None:
    """Write the mark; a reader sees the whole of it or nothing."""
    write_whole(path, json.dumps(asdict(mark)) + "\n")


def read_mark(path: Path) -> ProcessMark | None:
    """Return the mark that was written, or None when there is none."""
    return ProcessMark(**json.loads(path.read_text())) if path.exists() else None


def write_whole(path: Path, text: str) -> None:
    """Write a small file through a temporary name, so that it is there whole or not at all, also after a power cut."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    with part.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(path)
