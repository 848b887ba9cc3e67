"""A run of a synthesis: one at a time for each generator, from its plan to texts in the store, and on again after whatever ended it."""

import fcntl
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from curation.synthesis.driving import Driven, drive
from curation.synthesis.executors.tasks import REPOSITORY, Executor
from curation.synthesis.journal import append, results_of, see, shard_names
from curation.synthesis.merging import merge, merge_all
from curation.synthesis.plan import Limits, SynthesisPlan, WriterSpec
from curation.synthesis.plan_files import ROOM, read_plan
from curation.synthesis.planning import mark_known
from curation.synthesis.status import ENDED, MARK, STOP, Status, read_status
from store.database import open_store
from store.errors import ConflictError, InputError, StorageError, UserError
from store.process import ProcessMark, write_mark, write_whole
from store.rows import digest_id

MERGE_EVERY_S = 5.0
_STATES = {"done": "finished", "stopped": "stopped", "budget": "stopped: budget", "failed": "failed"}


def run_to_end(data: Path, directory: Path, tell: Callable[[Status], None] = lambda status: None, executor: Executor | None = None) -> Status:
    """Ask for all that the run's plan wants and its results do not hold, put the texts into the store as they come, and return how it ended.

    `tell` is called about every second. Raises ConflictError while another run asks the same generator, InputError or StorageError when the
    executor cannot start; a provider's refusal is no error but the state "failed" with its sentence.
    """
    plan = read_plan(directory)
    with _alone(data, plan.writer), _marked(directory) as mark:
        (directory / STOP).unlink(missing_ok=True)
        looks = _Looks(data, directory, tell)
        try:
            _look_back(data, directory)
            driven = _driven(directory, executor or _executor(plan), looks)
            looks.merge(last=True)
        except UserError as error:
            _end(directory, mark, Driven("failed", str(error)))
            raise
        _end(directory, mark, driven)
    return read_status(directory)


def start_detached(data: Path, directory: Path) -> None:
    """Start the run in a process of its own that outlives the app. Raises ConflictError when its generator is asked already, StorageError for no process."""
    with _alone(data, read_plan(directory).writer):
        pass
    (directory / STOP).unlink(missing_ok=True)
    command = [sys.executable, "-m", "curation", "resume-synthesis", directory.name, "--data", str(data.absolute())]
    try:
        with (directory / "log.txt").open("ab") as log:
            process = subprocess.Popen(
                command, cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True, close_fds=True
            )
    except OSError as error:
        raise StorageError(f"The run's process could not be started: {error}. Make room on the disk and in memory, then start it again.") from error
    # Nobody else waits for it; without this it would stay a zombie until the app ends.
    threading.Thread(target=process.wait, name=f"reap-{process.pid}", daemon=True).start()


def ask_to_stop(directory: Path) -> None:
    """Have the run ask nothing more; what is under way is awaited, for it is paid."""
    (directory / STOP).touch()


@contextmanager
def _alone(data: Path, writer: WriterSpec) -> Iterator[None]:
    # Two runs of one generator may want the same texts, and neither knows what the other has in flight.
    generator = digest_id(writer.kind, writer.model, writer.address, writer.run_id)
    with (data / ROOM / f"{generator}.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConflictError(f"Another run asks {writer.kind} {writer.model} now. Wait for its end, or stop it, then start this one.") from error
        yield


@contextmanager
def _marked(directory: Path) -> Iterator[ProcessMark]:
    mark = ProcessMark.of(os.getpid())
    if mark is None:
        raise StorageError("The system does not tell of this very process, so nobody could see whether the run goes on. Try again.")
    write_mark(directory / MARK, mark)
    yield mark


def _driven(directory: Path, executor: Executor, on_look: Callable[[], None]) -> Driven:
    try:
        driven = drive(directory, executor, on_look)
    except KeyboardInterrupt:
        # Whoever waits at the screen has asked twice: the stop file came first.
        executor.close(patience_s=0.0)
        return Driven("stopped")
    except BaseException:
        executor.close()
        raise
    executor.close()
    return driven


class _Looks:
    """What is done while a run goes on: its status is told, and its texts are put into the store."""

    def __init__(self, data: Path, directory: Path, tell: Callable[[Status], None]) -> None:
        self._data, self._directory, self._tell = data, directory, tell
        self._status: Status | None = None
        self._merged_s = time.monotonic()
        self._read: Mapping[str, int] | None = None

    def __call__(self) -> None:
        self._status = read_status(self._directory, self._status)
        self._tell(self._status)
        if time.monotonic() - self._merged_s >= MERGE_EVERY_S:
            self.merge(last=False)

    def merge(self, last: bool) -> None:
        with open_store(self._data) as db:
            self._read = merge(db, self._directory, self._read, last).read
        self._merged_s = time.monotonic()


def _look_back(data: Path, directory: Path) -> None:
    with open_store(data) as db:
        # Else texts that another run was paid for, and killed before it kept them, would be asked for again.
        merge_all(db, data)
        mark_known(db, directory)
    for shard in shard_names(directory):
        path = results_of(directory, shard)
        passing = [key for key, dead in see(path).dead.items() if dead.passing]
        if passing:
            append(path, ({"what": "again", "key": key} for key in passing), read_plan(directory).writer.answer_s)


def _executor(plan: SynthesisPlan) -> Executor:
    limits: Limits = plan.limits
    if plan.executor == "ray":
        from curation.synthesis.executors.on_ray import RayExecutor

        return RayExecutor(limits.workers)
    if plan.executor != "local":
        raise InputError(f"{plan.executor!r} is no executor. There are: local, ray.")
    from curation.synthesis.executors.local import LocalExecutor

    return LocalExecutor(limits.workers)


def _end(directory: Path, mark: ProcessMark, driven: Driven) -> None:
    said = {"state": _STATES[driven.how], "sentence": driven.sentence, "of": [mark.pid, mark.started_at]}
    write_whole(directory / ENDED, json.dumps(said, ensure_ascii=False) + "\n")
