"""Plans: several runs that follow from one click, each started when those that it builds on have finished.

    plans/<id>/plan.json  refused/<number of the step>

A plan is frozen when it is made. A run's id follows from its order, so that a step can name a run that is not made yet, and what is started twice is
one run. How far a plan is stands nowhere: it is read from the runs.
"""

import fcntl
import json
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from store.errors import InputError, NotFoundError, StorageError, UserError
from store.process import write_whole
from store.records import CuratedSet
from store.rows import digest_id, utc_now
from training import turns
from training.config import RunConfig
from training.jobs import Order, create_run
from training.status import read_status

FOLDER = "plans"


@dataclass(frozen=True)
class Step:
    """One run of a plan. `after` names the steps that must have finished before."""

    name: str
    order: Order
    after: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """Runs that follow from one click, in an order in which each stands behind those that it builds on."""

    id: str
    name: str
    kind: str  # "course" or "arms"
    steps: tuple[Step, ...]
    created_at: str


@dataclass(frozen=True)
class StepStatus:
    """Where a step is: a run's state, or "waiting" for other steps, "blocked" by one that did not finish, "refused" at its start."""

    step: Step
    state: str
    reason: str


def make_plan(data: Path, name: str, kind: str, steps_of: Callable[[str], Sequence[Step]], token: str) -> Plan:
    """Return the plan of the steps that `steps_of(token)` gives, written under `data`/plans; asked for twice it is one plan. Starts nothing.

    While that plan has ended already, or an earlier run of a step has ended so that nothing of it could go on, it is made anew, under a
    token that follows from the old one.

    Raises InputError for steps that cannot follow one another, StorageError when the disk refuses.
    """
    plan = _planned(name, kind, steps_of(token))
    while plan_ended(plan_status(data, plan)):
        token = f"{token[:32]} after {plan.id}"
        plan = _planned(name, kind, steps_of(token))
    directory = data / FOLDER / plan.id
    if not (directory / "plan.json").exists():
        part = data / FOLDER / f".{plan.id}-{uuid.uuid4().hex}"
        try:
            part.mkdir(parents=True)
            write_whole(part / "plan.json", json.dumps(asdict(plan), indent=1, ensure_ascii=False) + "\n")
            part.rename(directory)
        except OSError as error:
            # Somebody else made the same plan meanwhile; theirs is as good.
            if not (directory / "plan.json").exists():
                raise StorageError(f"The plan could not be written to {data / FOLDER}: {error}. Make room, then start it again.") from error
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return read_plan(data, plan.id)


def read_plan(data: Path, plan_id: str) -> Plan:
    """Return the plan. Raises NotFoundError."""
    path = data / FOLDER / plan_id / "plan.json"
    if not path.exists():
        raise NotFoundError(f"There is no plan {plan_id} in {data / FOLDER}. Load the page again.")
    return _from_json(json.loads(path.read_text(encoding="utf-8")))


def list_plans(data: Path) -> list[Plan]:
    """Return all plans, the newest first."""
    plans = [read_plan(data, path.parent.name) for path in (data / FOLDER).glob("[!.]*/plan.json")]
    return sorted(plans, key=lambda plan: plan.created_at, reverse=True)


def plan_status(data: Path, plan: Plan) -> tuple[StepStatus, ...]:
    """Return where each step is, read from the runs; changes nothing."""
    found: dict[str, StepStatus] = {}
    for number, step in enumerate(plan.steps):
        found[step.name] = _step_status(data, plan, number, [found[name] for name in step.after])
    return tuple(found.values())


def plan_ended(statuses: Sequence[StepStatus]) -> bool:
    """Whether nothing more will come by itself."""
    return all(status.state in ("finished", "stopped", "failed", "crashed", "blocked", "refused") for status in statuses)


def advance_plans(data: Path) -> list[str]:
    """Start each step whose predecessors have finished; return the ids of the runs that were made and put into the queue now.

    Page and keeper may call it at once. While there is nothing to start it costs a few reads a plan that goes on, and none for one that has finished.
    """
    started: list[str] = []
    for path in sorted((data / FOLDER).glob("[!.]*/plan.json")):
        if (path.parent / "finished").exists():
            continue
        plan = read_plan(data, path.parent.name)
        statuses = plan_status(data, plan)
        if any(status.state == "ready" for status in statuses):
            started += _start_ready(data, plan)
        elif all(status.state == "finished" for status in statuses):
            (path.parent / "finished").touch()
    return started


def try_again(data: Path, plan_id: str) -> None:
    """Forget that steps of the plan were refused, so that they are started once more. A run that failed is taken up again by itself (resume)."""
    shutil.rmtree(data / FOLDER / read_plan(data, plan_id).id / "refused", ignore_errors=True)


def _start_ready(data: Path, plan: Plan) -> Iterator[str]:
    with _alone(data / FOLDER / plan.id):
        # Somebody else may have started them while this one waited.
        for number, status in enumerate(plan_status(data, plan)):
            if status.state == "ready":
                yield from _start(data, plan, number)


def _start(data: Path, plan: Plan, number: int) -> Iterator[str]:
    try:
        run = create_run(data, plan.steps[number].order)
    except UserError as error:
        refused = data / FOLDER / plan.id / "refused"
        refused.mkdir(exist_ok=True)
        write_whole(refused / str(number), str(error))
        return
    turns.enqueue(data / run.directory, plan.steps[number].order.config)
    yield run.id


def _step_status(data: Path, plan: Plan, number: int, before: Sequence[StepStatus]) -> StepStatus:
    step = plan.steps[number]
    directory = data / "runs" / step.order.run_id
    if (directory / "manifest.json").exists() and ((directory / "queued.json").exists() or (directory / "launched").exists()):
        status = read_status(directory)
        return StepStatus(step, status.state, status.reason)
    refused = data / FOLDER / plan.id / "refused" / str(number)
    if refused.exists():
        return StepStatus(step, "refused", refused.read_text(encoding="utf-8"))
    stuck = [one for one in before if one.state in ("stopped", "failed", "crashed", "blocked", "refused")]
    if stuck:
        return StepStatus(step, "blocked", f"It builds on {stuck[0].step.name}, which is {stuck[0].state}. Resume that run, or start a new plan.")
    waits_for = [one.step.name for one in before if one.state != "finished"]
    if waits_for:
        return StepStatus(step, "waiting", f"It builds on {' and '.join(waits_for)}.")
    return StepStatus(step, "ready", "It is started at the next look.")


def _planned(name: str, kind: str, steps: Sequence[Step]) -> Plan:
    names = [step.name for step in steps]
    if not steps or len(set(names)) != len(names):
        raise InputError("A plan needs steps, each with a name of its own.")
    for at, step in enumerate(steps):
        missing = set(step.after) - set(names[:at])
        if missing:
            raise InputError(f"The step {step.name} builds on {missing.pop()}, which does not stand before it. Put it there.")
    return Plan(digest_id("plan", kind, *(step.order.run_id for step in steps)), name.strip() or kind, kind, tuple(steps), utc_now())


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Hold the plan against other threads and processes while the block runs; a process that dies lets go of it."""
    with (directory / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _from_json(value: Mapping[str, Any]) -> Plan:
    steps = tuple(Step(step["name"], _order(step["order"]), tuple(step["after"])) for step in value["steps"])
    return Plan(value["id"], value["name"], value["kind"], steps, value["created_at"])


def _order(value: Mapping[str, Any]) -> Order:
    questions = CuratedSet(**value["questions"]) if value["questions"] else None
    return Order(value["name"], RunConfig.from_values(value["config"]), CuratedSet(**value["curated"]), value["token"], questions)
