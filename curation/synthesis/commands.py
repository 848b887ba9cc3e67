"""`python -m curation synthesise | syntheses | resume-synthesis | stop-synthesis`: what the Synthesise page does, without the page."""

import argparse
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

from curation.progress import end_progress, progress
from curation.synthesis.choosing import NOTHING_HERE
from curation.synthesis.ordering import PROGRAM, add_budget, add_order, wish_of
from curation.synthesis.plan_files import directory_of, read_plan
from curation.synthesis.planning import Planned, Survey, plan_run, set_budget, survey
from curation.synthesis.running import ask_to_stop, run_to_end
from curation.synthesis.status import Status, dead_letters, list_directories, read_status
from store.database import FILE_NAME, existing_file, open_store
from store.errors import ConflictError, InputError
from store.settings import default_data

Tell = Callable[[Status], None]


def add_synthesis(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands about syntheses to a parser's commands; what they return with "problem" ends with 2."""
    ordered = _add(commands, "synthesise", _synthesise, "have narratives or rationales written; the same order again goes on where it was")
    add_order(ordered)
    ordered.add_argument("--dry-run", action="store_true", help="say what would be asked and what it would take, and write nothing")
    ordered.add_argument("--picture-tokens", type=float, metavar="N", help="what a picture takes at this model, for the estimate of a dry run")
    listed = _add(commands, "syntheses", _syntheses, "say how far all syntheses are, or one and what failed in it")
    listed.add_argument("run", nargs="?", metavar="RUN", help="id")
    resumed = _add(commands, "resume-synthesis", _resume, "go on with a synthesis that has stopped, and try again what failed for a reason that passes")
    resumed.add_argument("run", metavar="RUN", help="id")
    add_budget(resumed)
    stopped = _add(commands, "stop-synthesis", _stop, "let a synthesis end when what is in flight has been answered")
    stopped.add_argument("run", metavar="RUN", help="id")


def _add(commands: Any, name: str, act: Callable[[argparse.Namespace], dict[str, Any]], text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    parser.add_argument("--data", type=Path, default=default_data(), metavar="DIR", help="data directory (default: %(default)s)")
    parser.set_defaults(act=act)
    return parser


def _synthesise(given: argparse.Namespace) -> dict[str, Any]:
    wish = wish_of(given)
    if not (given.data / FILE_NAME).is_file():
        raise InputError(f"{given.data}: {NOTHING_HERE}")
    with open_store(given.data) as db:
        if given.dry_run:
            return _dry(survey(db, given.data, wish, given.picture_tokens))
        planned = plan_run(db, given.data, wish)
    sys.stderr.write(f"{planned.plan.name}: {planned.new:,} new, {planned.known:,} known{_also(planned)}.\n")
    order = {"new": planned.new, "known": planned.known, "left_out": dict(planned.left_out), "goes_on": planned.goes_on}
    if planned.directory is None:
        return {"run": None, "name": planned.plan.name, "order": order}
    return _run(given.data, planned.directory) | {"order": order}


def _syntheses(given: argparse.Namespace) -> dict[str, Any]:
    existing_file(given.data)
    if given.run is None:
        return {"runs": [_about(directory) for directory in list_directories(given.data)]}
    directory = directory_of(given.data, given.run)
    return _about(directory) | {"set_aside": [asdict(dead) for dead in dead_letters(directory)]}


def _resume(given: argparse.Namespace) -> dict[str, Any]:
    directory = directory_of(given.data, given.run)
    if given.budget is not None or given.token_budget is not None:
        set_budget(directory, given.budget, given.token_budget)
    return _run(given.data, directory)


def _stop(given: argparse.Namespace) -> dict[str, Any]:
    directory = directory_of(given.data, given.run)
    state = read_status(directory).state
    if state != "running":
        raise ConflictError(f"The synthesis {given.run} is not running, so there is nothing to stop: it is {state}.")
    ask_to_stop(directory)
    return _about(directory)


def _run(data: Path, directory: Path) -> dict[str, Any]:
    """Let the run go on to its end, or to where somebody stops it, and return what became of it."""
    with _stopping(directory):
        run_to_end(data, directory, _teller())
    end_progress()
    told = _about(directory)
    said = _said_of(told, data)
    if told["state"] == "finished" and (told["written"] + told["known"] or not told["of"]):
        sys.stderr.write(f"{said}\n" if told["dead"] else "")
        return told
    return told | {"problem": said}


def _said_of(told: dict[str, Any], data: Path) -> str:
    """Return what a person wants to know of a run that has ended: why, how much is written, what is not, and how to go on."""
    run = f"{told['run']} --data {shlex.quote(str(data))}"
    said = [told["sentence"], f"{told['written'] + told['known']:,} of {told['of']:,} are written."]
    if told["dead"]:
        said.append(f"{sum(told['dead'].values()):,} were set aside; why: {PROGRAM} syntheses {run}.")
    if told["cut_off"]:
        said.append(f"{told['cut_off']:,} were asked and cut off, and may have been counted by the provider.")
    if told["state"] != "finished":
        more = " --budget MONEY (or --token-budget N)" if told["state"] == "stopped: budget" else ""
        said.append(f"Go on: {PROGRAM} resume-synthesis {run}{more}")
    return " ".join(part for part in said if part)


@contextmanager
def _stopping(directory: Path) -> Iterator[None]:
    """Let Ctrl+C stop the run after what is in flight, and a second one at once."""

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        ask_to_stop(directory)
        end_progress()
        sys.stderr.write("Stopping when what is in flight has been answered. Press Ctrl+C again to stop at once.\n")

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _teller() -> Tell:
    tell = progress()

    def told(status: Status) -> None:
        dead = sum(status.dead.values())
        parts = [
            f"{status.written + status.known:,} of {status.of:,}",
            *([f"{dead:,} failed"] if dead else []),
            *([f"{status.tokens:,} tokens"] if status.tokens else []),
            *([] if status.money is None else [f"{status.money:.4f} {status.currency}"]),
            *([f"{_clock(status.eta_s)} left"] if status.eta_s else []),
        ]
        tell((status.written + status.known + dead) / max(status.of, 1), ", ".join(parts))

    return told


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _dry(found: Survey) -> dict[str, Any]:
    sys.stderr.write(" ".join([found.estimate.sentence, *found.estimate.assumed, *found.estimate.unknown.values()]) + "\n")
    return {
        "name": found.plan.name,
        "new": found.new,
        "known": found.known,
        "left_out": dict(found.left_out),
        "estimate": found.estimate.as_json(),
        "nothing_was_written": True,
    }


def _also(planned: Planned) -> str:
    left = "".join(f"; left out: {count:,} {what}" for what, count in planned.left_out.items())
    before = ("; this order was given before, and goes on" if planned.new else "; this order was given before") if planned.goes_on else ""
    return before + left


def _about(directory: Path) -> dict[str, Any]:
    status, plan = read_status(directory), read_plan(directory)
    told = {name: value for name, value in vars(status).items() if name not in ("run_id", "seen")}
    return {"run": plan.id, "name": plan.name, **told, "batch": plan.batch, "directory": str(directory)}
