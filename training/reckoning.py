"""What a run will take on this machine, from what lies in the data directory; and how to try a run again that ran out of memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import sqlite_utils

from store.clips import get_media
from store.curated import get_set
from store.records import Media
from training.carrying import Order, load_config
from training.config import RunConfig
from training.estimate import Estimate, Machine, estimate, machine_of
from training.jobs import read_run
from training.probing import Probe, correction_for, known_probes
from training.readiness import find_gpus
from training.remedies import RESERVE, Diagnosis, Measure, Remedy, after_failure, failed_run, remedies
from training.rows import Row, load_set, planned_rows
from training.shapes import shape_of
from training.workload import Workload, workload_of

NO_GPU = Machine("no GPU", "cuda", 0, 0)
_MIB = 2**20
# Only the heaviest passes decide about memory, and a way out is looked for in many steps.
_HEAVIEST = 20


@dataclass(frozen=True)
class Ground:
    """What the reckoning of one set of rows on one machine rests on."""

    rows: tuple[Row, ...]
    media: Mapping[str, Media | None]  # by digest
    machine: Machine
    probes: tuple[Probe, ...]

    def load(self, config: RunConfig) -> Workload:
        """Return the passes of an epoch. Raises what `workload_of` raises."""
        return workload_of(self.rows, config, self.media)

    def estimate(self, config: RunConfig, load: Workload) -> Estimate:
        """Return what the run takes, corrected by the probes of this machine. Raises InputError for a model whose sizes are not known."""
        return estimate(shape_of(config.model), config, load, self.machine, correction_for(self.probes, self.machine, config))

    def measure(self, load: Workload) -> Measure:
        """Return a function that estimates changed configs by the rows of the heaviest passes of `load`."""
        ids = load.heaviest(_HEAVIEST)
        heavy = replace(self, rows=tuple(row for row in self.rows if row.id in ids))
        return lambda config: heavy.estimate(config, heavy.load(config))

    def newest_probe(self, config: RunConfig) -> Probe | None:
        """Return the last probe of this device with this model and quantisation, a failed one too."""
        key = self.machine.name, config.model, config.quantisation
        return next((probe for probe in reversed(self.probes) if (probe.device, probe.model, probe.quantisation) == key), None)


@dataclass(frozen=True)
class Reckoned:
    """A config reckoned through."""

    config: RunConfig
    load: Workload
    machine: Machine
    made: Estimate
    probe: Probe | None
    ways_out: tuple[Remedy, ...]  # none where it fits

    @property
    def fits(self) -> bool | None:
        """Whether it fits into what is free now; None: there is nothing to hold it against."""
        return None if self.machine == NO_GPU else self.made.bytes <= self.machine.free_bytes * (1 - RESERVE)


def ground_of(db: sqlite_utils.Database, data: Path, rows: Sequence[Row], machine: Machine) -> Ground:
    """Return what is known of these rows' videos and of earlier probes."""
    media = {digest: get_media(db, digest) for digest in {row.clip.digest for row in rows}}
    return Ground(tuple(rows), media, machine, known_probes(data))


def reckon(ground: Ground, config: RunConfig) -> Reckoned:
    """Return the estimate of the config and, where it does not fit or its probe ran out of memory, the ways out; 0.2 ms a row."""
    load = ground.load(config)
    made, probe = ground.estimate(config, load), ground.newest_probe(config)
    now = Reckoned(config, load, ground.machine, made, probe, ())
    lacked = probe is not None and probe.problem is not None and "memory" in probe.problem
    if now.fits is None or (now.fits and not lacked):
        return now
    return replace(now, ways_out=remedies(config, ground.measure(load), ground.machine.free_bytes))


def retries(db: sqlite_utils.Database, data: Path, run_id: str) -> tuple[Diagnosis, tuple[tuple[Remedy, Order], ...]] | None:
    """Return why a run ran out of memory, and the remedies, the best first, each with the order that tries the run again with it.

    None when it did not run out of memory. The orders of one run and remedy are one order: pressed twice, one run is started.
    Raises InputError when the sizes of model or videos are not known.
    """
    directory = data / "runs" / run_id
    diagnosis = failed_run(directory)
    if diagnosis is None:
        return None
    config, run = load_config(directory), read_run(data, run_id)
    questions = get_set(db, config.question_set) if config.question_set else None
    order = Order(run.name, config, get_set(db, run.curated_set_id), f"retry {run_id}", questions)
    rows = planned_rows(load_set(directory / "dataset").rows, config)[0]
    ground = ground_of(db, data, rows, find_machine(config))
    found = after_failure(config, diagnosis, ground.measure(ground.load(config)))
    return diagnosis, tuple((way, replace(order, name=f"{order.name}, {way.name.lower()}", config=way.config)) for way in found)


def find_machine(config: RunConfig) -> Machine:
    """Return the device that a run of this config would use here; NO_GPU where a model of its size has none."""
    gpus = [(gpu.name, gpu.total_mib * _MIB, gpu.free_mib * _MIB) for gpu in find_gpus()]
    if not gpus and not config.random_weights:
        return NO_GPU
    memory = psutil.virtual_memory()
    return machine_of(gpus, (memory.total, memory.available))
