"""The one thread that writes what people do: their operations are committed in groups, in the order in which they came.

Independent writers that wait for the disk starve each other (SQLite's busy handler has no queue); one that serves a queue is fair,
and pays for one wait on the disk what the others pay for each of theirs.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import sqlite_utils

from store.database import FILE_NAME, open_store, storage_errors, transaction
from store.errors import StorageError

Answer = TypeVar("Answer")
# A group ends when this much is done, so that the first of it need not wait long for the disk.
MOST_JOBS = 64
GROUP_S = 0.005


@dataclass(frozen=True, eq=False)
class _Job:
    """A function of the database, and where its answer goes once it is on the disk."""

    act: Callable[[sqlite_utils.Database], Any]
    answer: Future[Any] = field(default_factory=Future)


class Writer:
    """Runs functions of the database one after the other, in group transactions; answers when they are on the disk.

    The thread starts with the first job and outlives a full disk. Jobs are done in the order in which they came.
    """

    def __init__(self, data: Path, group_s: float = GROUP_S) -> None:
        self._data, self._group_s = data, group_s
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    def run(self, act: Callable[[sqlite_utils.Database], Answer]) -> Answer:
        """Return what `act(db)` returns, once it is on the disk; wait for that.

        `act` is all or nothing by itself, sees what was done before it, and harms no other job. What it raises is raised here. Raises
        StorageError when the disk refuses or the writer is closed.
        """
        answer: Answer = self._submit(act).result()
        return answer

    async def run_async(self, act: Callable[[sqlite_utils.Database], Answer]) -> Answer:
        """Do the same as `run` without holding a thread."""
        answer: Answer = await asyncio.wrap_future(self._submit(act))
        return answer

    def close(self) -> None:
        """Finish what waits, then end the thread; what comes later is refused."""
        with self._guard:
            self._closed = True
            self._jobs.put(None)
        if self._thread is not None:
            self._thread.join()

    def _submit(self, act: Callable[[sqlite_utils.Database], Any]) -> Future[Any]:
        if threading.current_thread() is self._thread:
            raise RuntimeError("a job of the writer cannot wait for another one")
        job = _Job(act)
        with self._guard:
            if self._closed:
                raise StorageError("Eyewitness is stopping and keeps nothing more. Start it again; what you typed waits in this browser.")
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="writer", daemon=True)
                self._thread.start()
            self._jobs.put(job)
        return job.answer

    def _work(self) -> None:
        """Serve until closed; a connection is kept until something goes wrong with it, or a backup is put in the file's place."""
        group = self._next_group()
        while group:
            try:
                with open_store(self._data) as db:
                    file = self._file()
                    while group and self._file() == file:
                        self._commit(db, group)
                        group = self._next_group()
            except BaseException as error:  # noqa: BLE001  the thread has to live on, and who waits is told
                _fail(group, error)
                group = self._next_group()

    def _next_group(self) -> list[_Job]:
        """Wait for a job, and return it as a group that others may join; none when the writer is closed."""
        job = self._jobs.get()
        return [job] if job else []

    def _file(self) -> int:
        return (self._data / FILE_NAME).stat().st_ino

    def _commit(self, db: sqlite_utils.Database, group: list[_Job]) -> None:
        """Do the job of the group, and those that wait behind it and join; answer all of them after one COMMIT."""
        answers, until = [], time.monotonic() + self._group_s
        with transaction(db):
            for job in group:  # which grows meanwhile
                if job.answer.set_running_or_notify_cancel():
                    answers.append(self._try(db, job))
                if len(group) < MOST_JOBS and time.monotonic() < until and (following := self._waiting()):
                    group.append(following)
        for answer in answers:
            answer()

    def _waiting(self) -> _Job | None:
        """Return the next job if one waits; the end of all is put back for `_work`."""
        try:
            job = self._jobs.get_nowait()
        except queue.Empty:
            return None
        if job is None:
            self._jobs.put(None)
        return job

    def _try(self, db: sqlite_utils.Database, job: _Job) -> Callable[[], None]:
        """Do one job in a savepoint; return what tells the caller. Raises what rolled back the whole group."""
        try:
            with storage_errors(self._data), transaction(db):
                return partial(job.answer.set_result, job.act(db))
        except BaseException as error:
            if not db.conn.in_transaction:
                raise
            return partial(job.answer.set_exception, error)


def _fail(group: list[_Job], error: BaseException) -> None:
    """Tell those who still wait for their answer."""
    for job in group:
        if job.answer.running() or (not job.answer.done() and job.answer.set_running_or_notify_cancel()):
            job.answer.set_exception(StorageError(str(error)) if isinstance(error, StorageError) else error)
