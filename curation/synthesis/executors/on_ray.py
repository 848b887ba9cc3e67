"""Workers on a Ray cluster, or on this machine's Ray: `pip install ray==2.60.0`. Ray carries names and paths; words and pictures stay in files.

Every node must see the repository and the data directory under the same paths. RAY_ADDRESS names a cluster; without it one is started here.
"""

import logging
import os
import signal
import threading
from collections import deque
from typing import Any

from curation.synthesis.executors.tasks import REPOSITORY, Command, Ended, Task, worker_command
from store.errors import InputError, StorageError

# The least that Ray takes; nothing but paths goes through it.
STORE_BYTES = 80 << 20
# The status of a worker whose node or Ray process is gone.
LOST = -9


class RayExecutor:
    """So many workers at a time, each the process of a Ray task with one core."""

    def __init__(self, slots: int, command: Command = worker_command) -> None:
        """Start Ray here, or join the cluster that RAY_ADDRESS names. Raises InputError when Ray is not installed, StorageError when it cannot start."""
        self.slots = slots
        self._command = command
        self._before = signal.getsignal(signal.SIGTERM)  # Ray puts a handler of its own there, and leaves it
        self._ray, self._is_ours = _started(slots)
        # Death is ours to judge: Ray's own retries would not know what was in flight.
        self._remote = self._ray.remote(num_cpus=1, max_retries=0)(_run_here())
        self._waiting: deque[Task] = deque()
        self._out: dict[Any, str] = {}

    def submit(self, task: Task) -> None:
        """Give a task to Ray, or keep it until one has ended: a cluster with more cores would run it beside the others, past the run's limits."""
        self._waiting.append(task)
        self._fill()

    def next_ended(self, patience_s: float) -> Ended | None:
        """Return a worker that has ended, or None when none does within `patience_s`. The loss of its node counts as its death."""
        done, _ = self._ray.wait(list(self._out), num_returns=1, timeout=patience_s) if self._out else ([], [])
        if not done:
            return None
        shard = self._out.pop(done[0])
        self._fill()
        try:
            return Ended(shard, self._ray.get(done[0]))
        except self._ray.exceptions.RayError:
            return Ended(shard, LOST)

    def close(self, patience_s: float = 0.0) -> None:
        """Leave the cluster at once; workers that still run see that their parent is gone, await what they have asked, and end."""
        self._waiting.clear()
        for ref in self._out:
            self._ray.cancel(ref, force=True)
        if self._is_ours:
            self._ray.shutdown()
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._before)

    def _fill(self) -> None:
        while self._waiting and len(self._out) < self.slots:
            task = self._waiting.popleft()
            # The first word is this interpreter; a node takes its own.
            arguments = list(self._command(task)[1:])
            self._out[self._remote.remote(arguments, str(REPOSITORY), str(task.directory / "log.txt"))] = task.shard


def _started(slots: int) -> tuple[Any, bool]:
    try:
        import ray
    except ImportError as error:
        raise InputError("The executor ray needs Ray: pip install ray==2.60.0. Or leave --executor out: local needs nothing.") from error
    if ray.is_initialized():
        return ray, False
    # No word to its makers of who uses it.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    own: dict[str, Any] = {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": slots, "include_dashboard": False, "object_store_memory": STORE_BYTES}
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **own)
    except (ConnectionError, RuntimeError, OSError, ValueError) as error:
        raise StorageError(f"Ray did not start: {error}. Check RAY_ADDRESS, or use the executor local.") from error
    return ray, True


def _run_here() -> Any:
    # Made inside a function, so that Ray sends it by its words: nodes need not find this module.
    def run(arguments: list[str], repository: str, log_path: str) -> int:
        import os
        import subprocess
        import sys
        from pathlib import Path

        with Path(log_path).open("ab") as log:
            command = [sys.executable, *arguments, f"--parent={os.getpid()}"]
            return subprocess.run(command, cwd=repository, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, close_fds=True).returncode

    return run
