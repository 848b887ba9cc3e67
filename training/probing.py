"""Two real steps on the heaviest pass of a run, in a process of its own; and data/probes.json, which keeps what they measured for later estimates.

A probe is a run of its own: a run directory with the rows of that pass only, done by `python -m training.run` and thrown away.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from store.errors import InputError, RefusedError
from store.process import write_whole
from store.records import CuratedSet
from store.rows import utc_now
from training.carrying import Order, fill
from training.config import RunConfig
from training.estimate import Correction, Machine, correction_from
from training.events import FILE_NAME, read_events
from training.jobs import runs_on_disk
from training.remedies import failed_run
from training.shapes import shape_of
from training.status import is_alive, log_tail, read_result
from training.turns import turn
from training.workload import Pass

REPOSITORY = Path(__file__).resolve().parent.parent
PROBES = "probes.json"
STEPS = 2
KEPT = 100  # probes, the newest
TAKES_S = 1800.0  # loading large weights from a slow disk takes minutes
_STALE_S = 86_400.0


@dataclass(frozen=True)
class Probe:
    """What two steps took on this machine, or why they could not be done, which is a result as well."""

    at: str
    device: str
    model: str
    quantisation: str
    rows: int  # of the pass
    tokens: int  # of the pass, as they were estimated
    problem: str | None = None  # a sentence
    phase: str | None = None  # where it struck
    peak_bytes: int | None = None  # of the GPU's memory; on the CPU of the process
    first_step_s: float | None = None  # warms up
    step_s: float | None = None  # the second step
    correction: Correction | None = None


def ask_probe(data: Path, curated: CuratedSet, config: RunConfig, one: Pass, machine: Machine) -> Probe:
    """Return what the pass takes, and keep it for later estimates; seconds for a pipeline check, minutes for a large model.

    Raises RefusedError while a run is going on here, InputError for a stage without steps and for a set or parent that does not fit.
    """
    if config.stage not in ("sft", "dpo"):
        raise InputError("Only SFT and DPO runs take steps, so only they can be probed.")
    if not config.random_weights and (busy := [run.name for run in runs_on_disk(data) if is_alive(data / run.directory)]):
        raise RefusedError(f"{busy[0]} is being run here. A probe beside it would measure both: wait for its end.")
    folder = data / "probes"
    folder.mkdir(exist_ok=True)
    _sweep(folder)
    with tempfile.TemporaryDirectory(prefix="probe-", dir=folder) as name:
        directory = Path(name) / "run"
        directory.mkdir()
        small = small_config(config, one)
        fill(data, directory, Order("probe", small, _small_set(data, curated, Path(name), one), "probe"))
        code = _run(directory)
        probe = read_probe(directory, config, one, machine, code)
    keep(data, probe)
    return probe


def small_config(config: RunConfig, one: Pass) -> RunConfig:
    """Return the config of the probe: the run's own, but for two steps that are the pass and nothing else."""
    # With packing a pack has no more rows than a step.
    batch, accumulation = (1, len(one.rows)) if one.packed else (config.batch_size, 1)
    return replace(
        config, batch_size=batch, accumulation=accumulation, epochs=STEPS, max_steps=STEPS, checkpoint_steps=10_000, validation_rows=0,
        kinds=(), shares=(), max_rows=0, max_learnt_tokens=0, few_pairs=True, question_set=None, accuracy_steps=0,
    )  # fmt: skip


def read_probe(directory: Path, config: RunConfig, one: Pass, machine: Machine, code: int | None) -> Probe:
    """Return what the run in `directory`, whose process ended with `code` (None: it was ended for taking too long), says of the pass."""
    probe = Probe(utc_now(), machine.name, config.model, config.quantisation, len(one.rows), one.tokens)
    events, result = read_events(directory / FILE_NAME).events, read_result(directory) or {}
    peak = result.get("peak_device_reserved_bytes") or result.get("peak_device_bytes") if machine.kind == "cuda" else result.get("peak_host_bytes")
    seconds = step_seconds(events)
    probe = replace(probe, peak_bytes=peak, first_step_s=seconds[0] if seconds else None, step_s=seconds[1] if len(seconds) == STEPS else None)
    if result.get("outcome") != "finished" or peak is None or probe.step_s is None:
        phases = [str(event["phase"]) for event in events if event["kind"] == "phase"]
        return replace(probe, problem=_problem(directory, result, code), phase=phases[-1] if phases else "starting")
    return replace(probe, correction=correction_from(shape_of(config.model), config, one, machine.kind, (peak, probe.step_s, STEPS)))


def step_seconds(events: Sequence[Mapping[str, Any]]) -> list[float]:
    """Return how long each step took: as it says itself, else from the event before it to its own."""
    begun, found = 0.0, []
    for event in events:
        if event["kind"] == "phase" and event["phase"] == "training":
            begun = event["at"]
        elif event["kind"] == "step":
            found.append(float(event.get("seconds") or event["at"] - begun))
            begun = event["at"]
    return found


def known_probes(data: Path) -> tuple[Probe, ...]:
    """Return what earlier probes found, the oldest first."""
    path = data / PROBES
    return tuple(_probe_of(value) for value in json.loads(path.read_text(encoding="utf-8"))) if path.exists() else ()


def correction_for(probes: Sequence[Probe], machine: Machine, config: RunConfig) -> Correction | None:
    """Return what the newest good probe of this device, model and quantisation measured, or None."""
    key = machine.name, config.model, config.quantisation
    good = [probe.correction for probe in probes if (probe.device, probe.model, probe.quantisation) == key and probe.correction]
    return good[-1] if good else None


def keep(data: Path, probe: Probe) -> None:
    """Put a probe behind the others in data/probes.json."""
    with turn(data):
        kept = [asdict(known) for known in (*known_probes(data), probe)][-KEPT:]
        write_whole(data / PROBES, json.dumps(kept, indent=1, ensure_ascii=False) + "\n")


def _run(directory: Path) -> int | None:
    # A probe waits for no download: what is not on this machine is told.
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    with (directory / "log.txt").open("wb") as log:
        try:
            command = [sys.executable, "-m", "training.run", str(directory)]
            return subprocess.run(
                command, cwd=REPOSITORY, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, timeout=TAKES_S, check=False
            ).returncode
        except subprocess.TimeoutExpired:
            return None


def _problem(directory: Path, result: Mapping[str, Any], code: int | None) -> str:
    if code is None:
        return f"The probe took longer than {TAKES_S:,.0f} s and was ended."
    diagnosis = failed_run(directory)
    if diagnosis is not None:
        return diagnosis.text
    if code == -9:
        return "The probe was killed by the system, most often because the machine ran out of memory."
    return str(result.get("reason") or f"The probe ended with code {code}. {log_tail(directory, 1)}").strip()


def _small_set(data: Path, curated: CuratedSet, folder: Path, one: Pass) -> CuratedSet:
    """Return a frozen set in `folder` with the rows of the pass."""
    wanted = set(one.rows)
    lines = (data / curated.directory / "rows.jsonl").read_text(encoding="utf-8").split("\n")
    rows = [value for line in lines if line.strip() and (value := json.loads(line))["id"] in wanted]
    content = "".join(json.dumps({**row, "split": "train"}, ensure_ascii=False) + "\n" for row in rows).encode()
    sha256 = hashlib.sha256(content).hexdigest()
    small = replace(curated, name="probe", sha256=sha256, row_count=len(rows), directory=(folder / "set").relative_to(data).as_posix())
    (folder / "set").mkdir()
    (folder / "set" / "rows.jsonl").write_bytes(content)
    manifest = {"id": curated.id, "name": small.name, "kind": curated.kind, "rows": len(rows), "rows_sha256": sha256}
    (folder / "set" / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return small


def _sweep(folder: Path) -> None:
    # What a probe left whose app was killed.
    for old in folder.glob("probe-*"):
        if time.time() - old.stat().st_mtime > _STALE_S:
            shutil.rmtree(old, ignore_errors=True)


def _probe_of(value: Mapping[str, Any]) -> Probe:
    correction = value.get("correction")
    return Probe(**{**value, "correction": Correction(**correction) if correction else None})
