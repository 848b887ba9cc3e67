"""Run directories: made whole or not at all, launched once, stopped in two ways, resumed where they are. The directory is the whole contract.

    runs/<id>/config.json  dataset/{rows.jsonl, manifest.json}  questions/  media/<2 hex>/<digest>  parent/  manifest.json
              queued.json  lease.json  launched  keeper.json  process.json  log.txt  exit.json  events.jsonl  stop
              model/ (pipeline check)  checkpoints/  adapter/  predictions.jsonl  texts.jsonl  result.json
              attempts/<n>/ what an earlier attempt left

No torch here: the child is another process, and it needs nothing outside the directory but the base model.
"""

import hashlib
import json
import shutil
import uuid
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import sqlite_utils

from store.curated import get_set, list_sets
from store.database import transaction
from store.errors import ConflictError, InputError, NotFoundError, RefusedError, StorageError
from store.process import CANCELLING, Rung, read_mark, write_whole
from store.records import Run
from store.runs import add_run, list_runs
from training.carrying import TRAINING, Order, fill, load_config, parent_problem
from training.checkpoints import verified
from training.config import RunConfig
from training.keeper import launch
from training.status import RESUMABLE, is_alive, read_status
from training.turns import advance, enqueue, turn

__all__ = [
    "Order", "after_ended", "attempts_of", "cancel", "create_run", "known_runs", "launch", "load_config", "order_json", "parent_problem", "read_order",
    "read_run", "resume", "resume_problem", "run_named", "runs_on_disk", "start_run", "stop_and_save",
]  # fmt: skip
# What an attempt leaves that a later one would write anew; in this order, so that a run whose move was cut short can be resumed again.
_LEFT = (
    "stop", "exit.json", "adapter", "lease.json", "queued.json", "process.json", "keeper.json", "result.json", "launched",
)  # fmt: skip
# A keeper that has written how the run ended lets others go on, and is gone then.
KEEPER_LEAVES_WITHIN_S = 10.0
# A keeper that finds the order to end starts nothing; one that has just looked for it starts the run.
STARTS_WITHIN_S = 5.0


def start_run(db: sqlite_utils.Database, data: Path, order: Order) -> Run:
    """Return the run that `order` asks for, made, listed, and started if a device is free; an order given twice starts one run.

    Raises what `create_run` raises.
    """
    run = create_run(data, order)
    known_runs(db, data)
    enqueue(data / run.directory, order.config)
    advance(data)
    return run


def after_ended(data: Path, order: Order) -> Order:
    """Return `order`, or, while the run that it names has ended already, the same order under a token of its own.

    The new token follows from the old one, so that two presses at once still ask for one run.
    """
    while (data / "runs" / order.run_id / "manifest.json").exists() and read_status(data / "runs" / order.run_id).ended:
        order = replace(order, token=f"{order.token[:32]} after {order.run_id}")
    return order


def order_json(order: Order) -> str:
    """Return the order as the JSON file that `python -m training launch` takes, to run the same without the page."""
    questions = None if order.questions is None else order.questions.id
    told = {"name": order.name, "set": order.curated.id, "questions": questions, "config": json.loads(order.config.to_json())}
    return json.dumps(told, indent=1, ensure_ascii=False) + "\n"


def read_order(db: sqlite_utils.Database, path: Path) -> Order:
    """Return the order that the file holds; one file is one order, however often it is read.

    Raises NotFoundError when there is no file or a set that it names is not here, InputError when it is no order.
    """
    try:
        text = path.read_text(encoding="utf-8")
        told = json.loads(text)
        config, curated, questions = dict(told["config"]), told["set"], told.get("questions")
    except OSError as error:
        raise NotFoundError(f"{path} cannot be read: {error.strerror}. Give the file that the page offers.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f'{path} is no order: {error!r}. It must be a JSON object {{"name", "set", "questions", "config": {{...}}}}.') from error
    return Order(
        str(told.get("name", "")),
        RunConfig.from_values(config),
        get_set(db, str(curated)),
        f"file {hashlib.sha256(text.encode()).hexdigest()}",
        None if questions is None else get_set(db, str(questions)),
    )


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
            fill(data, parts, order)
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
    # An id with a slash in it would lead elsewhere.
    if Path(run_id).name != run_id or not path.exists():
        raise NotFoundError(f"There is no run {run_id} in {data / 'runs'}. Load the page again.")
    return Run(**json.loads(path.read_text(encoding="utf-8"))["run"])


def run_named(data: Path, name: str) -> Run:
    """Return the run of this id, else the one of this name; never one whose id or name only begins so.

    Raises NotFoundError, ConflictError when several have the name.
    """
    runs = runs_on_disk(data)
    named = [run for run in runs if run.id == name] or [run for run in runs if run.name == name]
    if not named:
        raise NotFoundError(f"No run in {data} has the id or the name {name}. See: python -m training status --data {data}")
    if len(named) > 1:
        raise ConflictError(f"{len(named)} runs have the name {name}. Give the id: {', '.join(run.id for run in named)}.")
    return named[0]


def runs_on_disk(data: Path) -> list[Run]:
    """Return the runs whose directories lie under `data`, the oldest first."""
    return sorted((read_run(data, run_id) for run_id in _ids_on_disk(data)), key=lambda run: run.created_at)


def stop_and_save(directory: Path) -> None:
    """Ask the run to end after the present step and to save checkpoint and adapter; one that waits in the queue is taken out of it.

    The run's keeper ends one that does not heed: after 60 s or two steps. Raises ConflictError when the run has ended already.
    """
    _refuse_ended(directory)
    if not (directory / "stop").exists():
        write_whole(directory / "stop", "save")


def cancel(directory: Path, ladder: Iterable[Rung] = CANCELLING) -> None:
    """End the run now, without saving, and return when it is gone: its process is asked, then its group, then killed.

    Raises ConflictError when the run has ended already.
    """
    _refuse_ended(directory)
    write_whole(directory / "stop", "cancel")
    keeper = read_mark(directory / "keeper.json")
    if keeper is not None and not (directory / "process.json").exists():
        keeper.wait(STARTS_WITHIN_S)
    mark = read_mark(directory / "process.json")
    if mark is not None:
        mark.end(tuple(ladder))


def resume(data: Path, run_id: str) -> Run:
    """Put a run that ended before its last step back into the queue, to go on from its newest checkpoint that verifies; return it.

    One that evaluates or writes needs none: it goes on from what it has written down. What else the earlier attempt left moves to
    attempts/<n>/ in the run's directory.
    Raises ConflictError while the run lives or when it has finished, RefusedError with the reasons when no checkpoint verifies.
    """
    run = read_run(data, run_id)
    directory, config = data / run.directory, load_config(data / run.directory)
    keeper = read_mark(directory / "keeper.json")
    if keeper is not None and read_status(directory).ended:
        keeper.wait(KEEPER_LEAVES_WITHIN_S)
    with turn(data):
        _refuse_unresumable(directory)
        # A move that was cut short has left a run that is made, was never launched, and has an attempt behind it.
        if not attempts_of(directory) or (directory / "launched").exists() or (directory / "stop").exists():
            _put_away(directory, _last_step(directory, config))
        enqueue(directory, config)
    advance(data)
    return run


def resume_problem(data: Path, run_id: str) -> str | None:
    """Return the sentence that says why the run cannot be resumed, or None when it can; reads its checkpoints."""
    directory = data / read_run(data, run_id).directory
    try:
        _refuse_unresumable(directory)
        _last_step(directory, load_config(directory))
    except (ConflictError, RefusedError) as error:
        return str(error)
    return None


def attempts_of(directory: Path) -> list[Path]:
    """Return the folders of what earlier attempts of the run left, in order."""
    folders = [path for path in (directory / "attempts").glob("*") if path.name.isdigit()]
    return sorted(folders, key=lambda path: int(path.name))


def _refuse_unresumable(directory: Path) -> None:
    status = read_status(directory)
    cut_short = status.state == "waiting" and not (directory / "launched").exists() and bool(attempts_of(directory))
    if status.state not in RESUMABLE and not cut_short:
        raise ConflictError(f"The run is {status.state}: there is nothing to resume. {status.reason}")
    if is_alive(directory):
        raise ConflictError("The run has ended, but its process is still there. Try again in a moment.")


def _last_step(directory: Path, config: RunConfig) -> int:
    """Return the step of the checkpoint from which the run can go on. Raises RefusedError with the reasons when there is none."""
    if config.stage not in TRAINING:
        return 0
    found = verified(directory, config)
    if found.step is None:
        reasons = "; ".join(found.problems) or "it has saved none"
        raise RefusedError(f"The run has no checkpoint to go on from: {reasons}. Start a new run.")
    return found.step


def _put_away(directory: Path, step: int) -> None:
    attempts = attempts_of(directory)
    target = directory / "attempts" / str(int(attempts[-1].name) + 1 if attempts else 1)
    target.mkdir(parents=True)
    # A newer checkpoint that does not verify would be mixed with the one that the run writes in its place.
    for path in (directory / "checkpoints").glob("checkpoint-*"):
        if path.name.partition("-")[2].isdigit() and int(path.name.partition("-")[2]) > step:
            path.rename(target / path.name)
    for name in _LEFT:
        if (directory / name).exists():
            (directory / name).rename(target / name)


def _ids_on_disk(data: Path) -> list[str]:
    return [path.parent.name for path in (data / "runs").glob("[!.]*/manifest.json")]


def _unlisted(db: sqlite_utils.Database, data: Path, runs: Iterable[Run]) -> list[Run]:
    listed = {run.id for run in runs}
    # A run's folder bears its id: of the runs that are known none is read.
    found = sorted((read_run(data, run_id) for run_id in _ids_on_disk(data) if run_id not in listed), key=lambda run: run.created_at)
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
