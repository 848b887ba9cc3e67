"""Run directories: made whole or not at all, launched once, stopped in two ways. The directory is the whole contract.

    runs/<id>/config.json  dataset/{rows.jsonl, manifest.json}  media/<2 hex>/<digest>  parent/ (DPO)  manifest.json
              launched  process.json  log.txt  exit.json  events.jsonl  stop
              model/ (pipeline check)  checkpoints/  adapter/  result.json

No torch here: the child is another process, and it needs nothing outside the directory but the base model.
"""

import json
import os
import shutil
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import sqlite_utils

from store.curated import list_sets
from store.database import transaction
from store.errors import ConflictError, InputError, NotFoundError, StorageError
from store.media import media_path
from store.records import CuratedSet, Run
from store.rows import digest_id, utc_now
from store.runs import add_run, list_runs
from training.config import RunConfig, lock_problem
from training.process import ProcessMark, read_mark, write_mark, write_whole
from training.rows import FrozenSet, Row, load_set, planned_rows
from training.status import read_result, read_status

REPOSITORY = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Order:
    """What somebody asked for. Two orders with one `token`, config and set are one order: a double click."""

    name: str
    config: RunConfig
    curated: CuratedSet
    token: str

    @property
    def run_id(self) -> str:
        """The id of the run that this order makes."""
        return digest_id("run", self.token, self.config.to_json(), self.curated.id)


def start_run(db: sqlite_utils.Database, data: Path, order: Order) -> Run:
    """Return the run that `order` asks for, made, listed and started; an order given twice starts one run.

    Raises what `create_run` raises.
    """
    run = create_run(data, order)
    known_runs(db, data)
    launch(data / run.directory)
    return run


def after_ended(data: Path, order: Order) -> Order:
    """Return `order`, or, while the run that it names has ended already, the same order under a token of its own.

    The new token follows from the old one, so that two presses at once still ask for one run.
    """
    while (data / "runs" / order.run_id / "manifest.json").exists() and read_status(data / "runs" / order.run_id).ended:
        order = replace(order, token=f"{order.token[:32]} after {order.run_id}")
    return order


def known_runs(db: sqlite_utils.Database, data: Path) -> list[Run]:
    """Return all runs, the newest first; a run directory that the database does not list yet is listed now.

    A directory whose curated set or parent this database does not know stays out: it came from elsewhere.
    """
    runs = list_runs(db)
    # The page asks every two seconds and finds nothing new: only a find is worth the lock that writers share.
    if not _unlisted(db, data, runs):
        return runs
    with transaction(db):
        for run in _unlisted(db, data, list_runs(db)):
            add_run(db, run)
    return list_runs(db)


def create_run(data: Path, order: Order) -> Run:
    """Return the run that `order` asks for, its directory made under `data`/runs; an order given twice makes one.

    Copies the rows and links the media, so it costs a look at every clip of the run.
    Raises InputError for a set or parent that does not fit, NotFoundError when media are missing, StorageError for changed rows.
    """
    directory = data / "runs" / order.run_id
    if not (directory / "manifest.json").exists():
        parts = data / "runs" / f".{order.run_id}-{uuid.uuid4().hex}"
        parts.mkdir(parents=True)
        try:
            _fill(data, parts, order)
            parts.rename(directory)
        except OSError as error:
            # Somebody else made the same run meanwhile; theirs is as good.
            if not (directory / "manifest.json").exists():
                raise StorageError(f"The run directory could not be made in {data / 'runs'}: {error}.") from error
        finally:
            shutil.rmtree(parts, ignore_errors=True)
    return read_run(data, order.run_id)


def read_run(data: Path, run_id: str) -> Run:
    """Return the run whose directory lies under `data`. Raises NotFoundError."""
    path = data / "runs" / run_id / "manifest.json"
    if not path.exists():
        raise NotFoundError(f"There is no run {run_id} in {data / 'runs'}. Load the page again.")
    return Run(**json.loads(path.read_text(encoding="utf-8"))["run"])


def runs_on_disk(data: Path) -> list[Run]:
    """Return the runs whose directories lie under `data`, the oldest first."""
    paths = (data / "runs").glob("[!.]*/manifest.json")
    return sorted((read_run(data, path.parent.name) for path in paths), key=lambda run: run.created_at)


def launch(directory: Path) -> ProcessMark | None:
    """Start the run's process; return its mark, or None when the run was launched before.

    The process belongs to its own session and writes to a file, so it outlives the app.
    """
    try:
        (directory / "launched").open("x").close()
    except FileExistsError:
        return None
    with (directory / "log.txt").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "training.run", str(directory)],
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    mark = ProcessMark.of(process.pid)
    if mark is not None:
        write_mark(directory / "process.json", mark)
    threading.Thread(target=_reap, args=(process, directory), name=f"reap-{process.pid}", daemon=True).start()
    return mark


def stop_and_save(directory: Path) -> None:
    """Ask the run to end after the present step and to save checkpoint and adapter.

    Raises ConflictError when the run has ended already.
    """
    _refuse_ended(directory)
    if not (directory / "stop").exists():
        write_whole(directory / "stop", "save")


def cancel(directory: Path, patience_s: float = 10.0) -> None:
    """End the run now, without saving: SIGTERM to its group, after `patience_s` SIGKILL; returns when it is gone.

    Raises ConflictError when the run has ended already.
    """
    _refuse_ended(directory)
    write_whole(directory / "stop", "cancel")
    mark = read_mark(directory / "process.json")
    if mark is not None:
        mark.end_group(patience_s)


def load_config(directory: Path) -> RunConfig:
    """Return the config of the run in `directory`. Raises NotFoundError, InputError."""
    path = directory / "config.json"
    if not path.exists():
        raise NotFoundError(f"{path} is not there, so {directory} holds no run.")
    return RunConfig.from_json(path.read_text(encoding="utf-8"))


def parent_problem(data: Path, parent_id: str) -> str | None:
    """Return the sentence that says why a DPO run cannot start from this run, or None when it can."""
    directory = data / "runs" / parent_id
    if not (directory / "manifest.json").exists():
        return f"The SFT run {parent_id} is not in {data / 'runs'}. Choose another one."
    if load_config(directory).stage != "sft":
        return f"The run {parent_id} is a DPO run. Choose the SFT run that it came from."
    result = read_result(directory)
    if result is None or not (directory / "adapter" / "adapter_config.json").exists():
        return f"The SFT run {parent_id} has no adapter: it is {read_status(directory).state}. Let it finish, or choose another one."
    return None


def _unlisted(db: sqlite_utils.Database, data: Path, runs: Iterable[Run]) -> list[Run]:
    listed = {run.id for run in runs}
    found = [run for run in runs_on_disk(data) if run.id not in listed]
    sets = {known.id for known in list_sets(db)} if found else set()
    unlisted: list[Run] = []
    for run in found:
        if run.curated_set_id in sets and (run.parent_id is None or run.parent_id in listed):
            unlisted.append(run)
            listed.add(run.id)
    return unlisted


def _refuse_ended(directory: Path) -> None:
    status = read_status(directory)
    if status.ended:
        raise ConflictError(f"The run is {status.state} already: there is nothing to stop.")


def _reap(process: "subprocess.Popen[bytes]", directory: Path) -> None:
    # Nobody else waits for the child; without this it would stay a zombie until the app ends. How it ended tells a kill from a bug.
    code = process.wait()
    if directory.exists():
        write_whole(directory / "exit.json", json.dumps({"code": code, "at": utc_now()}) + "\n")


def _fill(data: Path, directory: Path, order: Order) -> None:
    config = order.config
    frozen = _carry_dataset(data / order.curated.directory, directory / "dataset", order)
    train, held_out = planned_rows(frozen.rows, config)
    _carry_media(data, directory, (*train, *held_out))
    if config.parent_run is not None:
        _carry_parent(data, directory / "parent", config)
    write_whole(directory / "config.json", config.to_json())
    run = Run(
        id=order.run_id,
        name=order.name.strip() or f"{config.stage} on {order.curated.name}",
        stage=config.stage,
        curated_set_id=order.curated.id,
        parent_id=config.parent_run,
        directory=f"runs/{order.run_id}",
        created_at=utc_now(),
    )
    manifest = {"run": asdict(run), "rows_sha256": frozen.sha256, "rows": len(train), "validation_rows": len(held_out)}
    write_whole(directory / "manifest.json", json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")


def _carry_dataset(source: Path, target: Path, order: Order) -> FrozenSet:
    target.mkdir()
    for name in ("rows.jsonl", "manifest.json"):
        if not (source / name).exists():
            raise NotFoundError(f"{source / name} is not there. Freeze the set again.")
        shutil.copyfile(source / name, target / name)
    # The copy is what will be read, so the copy is what is checked.
    frozen = load_set(target)
    if frozen.kind != order.config.stage:
        raise InputError(f"The set {order.curated.name} is of the kind {frozen.kind}, and the run's stage is {order.config.stage}. Choose another set.")
    if frozen.sha256 != order.curated.sha256:
        raise StorageError(f"The rows of the set {order.curated.name} are not those that the database knows by their hash. Freeze the set again.")
    return frozen


def _carry_media(data: Path, directory: Path, rows: Iterable[Row]) -> None:
    wanted = {row.clip.digest: row.clip.id for row in rows}
    missing = [clip for digest, clip in wanted.items() if not media_path(data, digest).is_file()]
    if missing:
        more = f" and {len(missing) - 10} more" if len(missing) > 10 else ""
        raise NotFoundError(f"The video of {len(missing)} clips is missing: {', '.join(missing[:10])}{more}. Import the videos, then start again.")
    for digest in wanted:
        _link(media_path(data, digest), media_path(directory, digest))


def _carry_parent(data: Path, target: Path, config: RunConfig) -> None:
    parent_id = str(config.parent_run)
    source = data / "runs" / parent_id
    problem = parent_problem(data, parent_id) or lock_problem(load_config(source), config)
    if problem:
        raise InputError(problem)
    folders = ("adapter", "model") if config.random_weights else ("adapter",)
    files = [source / "config.json", source / "result.json"]
    files += [path for folder in folders for path in sorted((source / folder).rglob("*")) if path.is_file()]
    for path in files:
        _link(path, target / path.relative_to(source))


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        # Another file system, or one without hard links.
        shutil.copyfile(source, target)
