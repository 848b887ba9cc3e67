"""Workers as processes of this machine, each the leader of a group of its own, all writing to the run's log.txt."""

import os
import queue
import signal
import subprocess
import threading
from collections import deque

from curation.synthesis.executors.tasks import REPOSITORY, Command, Ended, Task, worker_command
from store.process import ProcessMark, Rung

# A worker that is asked to end still awaits what it has asked: it is paid.
PATIENCE_S = 150.0


class LocalExecutor:
    """So many worker processes at a time; what is submitted beyond waits here."""

    def __init__(self, slots: int, command: Command = worker_command) -> None:
        """Start nothing yet. `command` makes a task's command line."""
        self.slots = slots
        self._command = command
        self._waiting: deque[Task] = deque()
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._ended: queue.SimpleQueue[Ended] = queue.SimpleQueue()

    def submit(self, task: Task) -> None:
        """Start a worker, or keep the task until one has ended."""
        self._waiting.append(task)
        self._fill()

    def next_ended(self, patience_s: float) -> Ended | None:
        """Return a worker that has ended, or None when none does within `patience_s`; starts what waited for its place."""
        try:
            ended = self._ended.get(timeout=patience_s)
        except queue.Empty:
            return None
        del self._running[ended.shard]
        self._fill()
        return ended

    def close(self, patience_s: float = PATIENCE_S) -> None:
        """Ask the workers to end and wait until they have; after `patience_s` their groups are killed."""
        self._waiting.clear()
        running = [process for process in self._running.values() if process.poll() is None]
        for process in running:
            process.terminate()
        for process in running:
            mark = ProcessMark.of(process.pid)
            if mark is not None:
                mark.end((Rung(patience_s, signal.SIGKILL, True),))
        self._running.clear()

    def _fill(self) -> None:
        while self._waiting and len(self._running) < self.slots:
            task = self._waiting.popleft()
            self._running[task.shard] = process = self._start(task)
            # Each is waited for by a thread of its own: the first of several to end can be told without looking at all again and again.
            threading.Thread(target=self._await, args=(task.shard, process), name=f"wait-{process.pid}", daemon=True).start()

    def _start(self, task: Task) -> "subprocess.Popen[bytes]":
        # A driver may be gone before its worker has begun to look for it.
        command = [*self._command(task), f"--parent={os.getpid()}"]
        with (task.directory / "log.txt").open("ab") as log:
            return subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, process_group=0, close_fds=True)

    def _await(self, shard: str, process: "subprocess.Popen[bytes]") -> None:
        self._ended.put(Ended(shard, process.wait()))
