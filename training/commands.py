"""`python -m training launch | status | logs | stop | resume`: what the Train page does with runs, without the page."""

import argparse
import codecs
import json
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

from store.database import existing_file, open_store
from store.errors import ConflictError, RefusedError
from store.records import Run
from store.settings import default_data
from training.events import FILE_NAME
from training.jobs import after_ended, cancel, known_runs, read_order, resume, run_named, runs_on_disk, start_run, stop_and_save
from training.readiness import check_machine, find_gpus
from training.registering import register_finished
from training.status import is_alive, read_lease, read_result, read_status
from training.turns import advance

LOOK_EVERY_S = 0.5
BAD = ("failed", "crashed")


def add_runs(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands about runs to a parser's commands; each ends with 0, with 1 when the run went wrong, or with 2 and a sentence."""
    launched = _add(commands, "launch", _launch, "start the run that a file asks for; the same file twice starts one run")
    launched.add_argument("file", type=Path, metavar="CONFIG", help='JSON {"name", "set", "questions", "config": {...}}, as the Train page shows it')
    launched.add_argument("--again", action="store_true", help="start another run when the one of this file has ended")
    shown = _add(commands, "status", _status, "say what has become of a run, or of all; 1: the run went wrong")
    shown.add_argument("run", nargs="?", metavar="RUN", help="id or name")
    told = _add(commands, "logs", _logs, "print a run's log, with --json its events, a line each; 1: followed to its end, the run went wrong")
    told.add_argument("run", metavar="RUN", help="id or name")
    told.add_argument("--follow", action="store_true", help="go on until the run has ended")
    stopped = _add(commands, "stop", _stop, "ask a run to save and to end")
    stopped.add_argument("run", metavar="RUN", help="id or name")
    stopped.add_argument("--now", action="store_true", help="end it at once, without saving, and wait until it is gone")
    resumed = _add(commands, "resume", _resume, "go on with a run that ended before its last step, from its newest checkpoint that verifies")
    resumed.add_argument("run", metavar="RUN", help="id or name")


def _add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, act: Any, text: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    parser.add_argument("--data", type=Path, default=default_data(), metavar="DIR", help="data directory (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="answer in JSON")
    parser.set_defaults(act=act)
    return parser


def _launch(options: argparse.Namespace) -> int:
    existing_file(options.data)
    with open_store(options.data) as db:
        order = read_order(db, options.file)
        obstacles = check_machine(order.config.model, find_gpus()).obstacles
        if obstacles:
            raise RefusedError(" ".join(obstacles))
        run = start_run(db, options.data, after_ended(options.data, order) if options.again else order)
    _say(options, _about(options.data, run))
    return 0


def _status(options: argparse.Namespace) -> int:
    existing_file(options.data)
    # Whoever looks lets the queue move and what has ended be listed: there may be no page open, and a device may have become free by itself.
    advance(options.data)
    with open_store(options.data) as db:
        known_runs(db, options.data)
        register_finished(db, options.data)
    if options.run is None:
        runs = [_about(options.data, run) for run in runs_on_disk(options.data)]
        told = json.dumps(runs, ensure_ascii=False) if options.json else "\n".join(map(_line, runs)) or f"There is no run in {options.data}."
        sys.stdout.write(told + "\n")
        return 0
    run = run_named(options.data, options.run)
    told_of = _about(options.data, run)
    _say(options, {**told_of, "result": read_result(options.data / run.directory)} if options.json else told_of)
    return int(told_of["state"] in BAD)


def _logs(options: argparse.Namespace) -> int:
    directory = options.data / run_named(options.data, options.run).directory
    path, offset, pause = directory / (FILE_NAME if options.json else "log.txt"), 0, threading.Event()
    # A character's bytes may come in two readings.
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    while True:
        # Looked at before the reading, so that nothing that was written before the end is missed.
        status = read_status(directory)
        if path.exists():
            with path.open("rb") as stream:
                stream.seek(offset)
                content = stream.read()
            offset += len(content)
            sys.stdout.write(decoder.decode(content))
            sys.stdout.flush()
        if not options.follow:
            return 0
        if status.ended:
            return int(status.state in BAD)
        pause.wait(LOOK_EVERY_S)


def _stop(options: argparse.Namespace) -> int:
    run = run_named(options.data, options.run)
    directory = options.data / run.directory
    if options.now:
        cancel(directory)
        if is_alive(directory):
            raise ConflictError(f"The process of {run.name} did not end although it was killed; the system holds it. Try again in a moment.")
    else:
        stop_and_save(directory)
    _say(options, _about(options.data, run))
    return 0


def _resume(options: argparse.Namespace) -> int:
    _say(options, _about(options.data, resume(options.data, run_named(options.data, options.run).id)))
    return 0


def _about(data: Path, run: Run) -> dict[str, Any]:
    directory = data / run.directory
    told = {
        "id": run.id,
        "name": run.name,
        "stage": run.stage,
        "created_at": run.created_at,
        "directory": str(directory.absolute()),
        "device": read_lease(directory),
    }
    return {**told, **asdict(read_status(directory))}


def _line(about: dict[str, Any]) -> str:
    return f"{about['id']}  {about['state']:<9} {about['stage']:<8} {about['name']}: {about['reason']}"


def _say(options: argparse.Namespace, about: dict[str, Any]) -> None:
    sys.stdout.write((json.dumps(about, ensure_ascii=False) if options.json else _line(about)) + "\n")
