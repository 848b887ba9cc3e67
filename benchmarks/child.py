"""One measured thing in a process of its own: its CPU seconds, its memory and what it returned."""

import importlib
import json
import os
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
LIMIT_S = 300.0
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Outcome:
    """What became of one call. With a `failure` the rest means nothing."""

    result: Any
    cpu_s: float  # user and system, of the call and of the commands that it ran; imports are not counted
    grown_mib: float  # most memory held during the call, less that held before it; or the most of a command that it ran
    failure: str | None = None


def in_child(function: str, *arguments: Any) -> Outcome:
    """Return what `function` ("module:name") did in a new interpreter; arguments and result pass as JSON.

    A library that crashes, hangs or is not installed is a failure with its last words, and takes nothing else down.
    """
    command = [sys.executable, "-m", "benchmarks.child", function]
    try:
        told = subprocess.run(command, cwd=ROOT, env={**os.environ, **ONE_THREAD}, input=json.dumps(arguments), capture_output=True, text=True, timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        return Outcome(None, 0.0, 0.0, f"not done after {LIMIT_S:g} s")
    if told.returncode:
        return Outcome(None, 0.0, 0.0, (told.stderr.strip().splitlines() or [f"ended by signal {-told.returncode}"])[-1])
    return Outcome(**json.loads(told.stdout.splitlines()[-1]))


def median_ratio(outcomes: list[Outcome], floors: list[Outcome]) -> float | None:
    """Return the median of CPU time over the floor's of the same round; None when one failed."""
    if not outcomes or any(one.failure for one in [*outcomes, *floors]):
        return None
    return float(np.median([one.cpu_s / floor.cpu_s for one, floor in zip(outcomes, floors, strict=True)]))


def in_turn(things: dict[str, tuple[Any, ...]], rounds: int) -> dict[str, list[Outcome]]:
    """Return what each thing did in each round: (function, arguments...) by name; every other round runs backwards."""
    found: dict[str, list[Outcome]] = {name: [] for name in things}
    for number in range(rounds):
        for name in list(things)[:: -1 if number % 2 else 1]:
            found[name].append(in_child(*things[name]))
    return found


def _cpu_s() -> float:
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(used.ru_utime + used.ru_stime for used in both)


def _held_mib(what: str) -> float:
    """Return VmRSS, the memory held now, or VmHWM, the most so far."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 1024


def _answer() -> None:
    module, name = sys.argv[1].split(":")
    function = getattr(importlib.import_module(module), name)
    arguments = json.load(sys.stdin)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the most so far becomes what is held now: imports hold more for a moment
    held, used = _held_mib("VmRSS"), _cpu_s()
    result = function(*arguments)
    used = _cpu_s() - used
    grown = max(_held_mib("VmHWM") - held, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
    sys.stdout.write("\n" + json.dumps({"result": result, "cpu_s": used, "grown_mib": grown}) + "\n")


if __name__ == "__main__":
    _answer()
