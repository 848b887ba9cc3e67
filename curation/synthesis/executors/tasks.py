"""One worker's work, how it ended, and what starts workers: the same for this machine and for a cluster."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

REPOSITORY = Path(__file__).resolve().parents[3]
# A worker that ends so has said why; any other status but 0 is a death.
REFUSED = 2


@dataclass(frozen=True)
class Task:
    """One worker's work: a shard, and what it may spend on it."""

    directory: Path
    shard: str
    workers: int = 1  # among so many the run's paces are divided
    tokens: int | None = None
    money: float | None = None

    @property
    def arguments(self) -> tuple[str, ...]:
        """What `python -m curation.synthesis.worker` is told."""
        allowed = [f"--{name}={value}" for name, value in (("tokens", self.tokens), ("money", self.money)) if value is not None]
        return (str(self.directory.absolute()), self.shard, f"--workers={self.workers}", *allowed)


@dataclass(frozen=True)
class Ended:
    """How a worker ended."""

    shard: str
    status: int  # of its process; 0: as its last line tells, REFUSED: with a sentence in log.txt, any other: it died


class Executor(Protocol):
    """What starts workers and tells when they have ended."""

    slots: int  # workers at a time

    def submit(self, task: Task) -> None:
        """Start a worker, or keep the task until a slot is free."""

    def next_ended(self, patience_s: float) -> Ended | None:
        """Return one that has ended and was not told yet; None when none does within `patience_s`."""

    def close(self, patience_s: float = ...) -> None:
        """Ask all workers to end, wait until they have, no longer than `patience_s`, and let everything go."""


Command = Callable[[Task], Sequence[str]]


def worker_command(task: Task) -> Sequence[str]:
    """Return the command line of a worker, for this interpreter."""
    return (sys.executable, "-m", "curation.synthesis.worker", *task.arguments)
