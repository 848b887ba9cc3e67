"""Whose turn it is: runs wait in a queue for a device, and a run has its device for as long as its process lives.

The truth is in the run directories (queued.json, lease.json, and what status.py reads), so who asks, and how often, makes no difference.
"""

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from store.process import write_whole
from store.rows import utc_now
from training.config import RunConfig
from training.keeper import launch
from training.status import is_alive, read_lease, read_queued, read_status

# A GPU of which others hold more is no place for a run; less is a desktop's.
HELD_SHARE = 0.25
_GPUS = "--query-gpu=index,uuid,name,memory.total,memory.used"
_PROCESSES = "--query-compute-apps=gpu_uuid,pid,process_name,used_memory"


@dataclass(frozen=True)
class Device:
    """What a run is done on."""

    name: str  # the GPU's number, or "cpu"
    said: str  # in a sentence
    held_by: str = ""  # who else holds it, in words; empty: nobody

    def fits(self, needs: str) -> bool:
        """Return whether a run with these needs, "gpu" or "cpu", can be done on it."""
        return needs == "cpu" or self.name != "cpu"


CPU = Device("cpu", "the processor")


def enqueue(directory: Path, config: RunConfig) -> None:
    """Put a run at the end of the queue; one that waits there already, or was launched, stays as it is."""
    if (directory / "launched").exists() or (directory / "queued.json").exists():
        return
    # Finer than utc_now: two runs of one plan are put in within a millisecond, and have an order.
    at = datetime.now(UTC).isoformat(timespec="microseconds")
    _write_queued(directory, {"at": at, "needs": "cpu" if config.random_weights else "gpu", "reason": "It waits for its turn."})


def advance(data: Path, find: Callable[[], Sequence[Device]] | None = None, start: Callable[[Path], object] = launch) -> list[str]:
    """Give the free devices to the runs that have waited longest and start these; return their ids.

    Writes to those that must wait on whom they wait. Asks nvidia-smi, about 100 ms, when a run waits; else it costs a look at each run's folder.
    """
    if not _waiting(data):
        return []
    with turn(data):
        devices, taken = (find or find_devices)(), _taken(data)
        started: list[str] = []
        before: list[str] = []
        for directory, queued in _waiting(data):
            fit = [device for device in devices if device.fits(str(queued["needs"]))]
            free = next((device for device in fit if device.name not in taken and not device.held_by), None)
            if free is None:
                _tell(directory, queued, why_it_waits(fit, taken, before))
                before.append(_name(directory))
                continue
            write_whole(directory / "lease.json", json.dumps({"device": free.name, "at": utc_now()}) + "\n")
            start(directory)
            taken[free.name] = _name(directory)
            started.append(directory.name)
    return started


@contextmanager
def turn(data: Path) -> Iterator[None]:
    """Let one process, and one thread of it, at a time decide what becomes of the runs under `data`."""
    with (data / "turns.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def find_devices() -> tuple[Device, ...]:
    """Return this machine's GPUs that CUDA_VISIBLE_DEVICES does not hide, or the processor where there is none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return (CPU,)
    try:
        gpus, processes = (
            subprocess.run([program, query, "--format=csv,noheader,nounits"], capture_output=True, text=True, timeout=10, check=True).stdout
            for query in (_GPUS, _PROCESSES)
        )
    except (subprocess.SubprocessError, OSError):
        return (CPU,)
    return parse_devices(gpus, processes, os.environ.get("CUDA_VISIBLE_DEVICES")) or (CPU,)


def parse_devices(gpus: str, processes: str, visible: str | None) -> tuple[Device, ...]:
    """Return the GPUs in nvidia-smi's two answers, each with who holds more than HELD_SHARE of it; other lines are passed over.

    `gpus`: lines "number, uuid, name, total MiB, used MiB"; `processes`: lines "uuid, process number, name, used MiB"; `visible`: what
    CUDA_VISIBLE_DEVICES says, numbers or uuids, None: all.
    """
    wanted = None if visible is None else {part.strip() for part in visible.split(",")}
    devices = []
    for line in gpus.splitlines():
        parts = [part.strip() for part in line.split(",")]
        if len(parts) < 5 or not (parts[0].isdigit() and parts[-1].isdigit() and parts[-2].isdigit()):
            continue
        number, uuid, name, total, used = parts[0], parts[1], ", ".join(parts[2:-2]), int(parts[-2]), int(parts[-1])
        if wanted is None or number in wanted or uuid in wanted:
            held_by = _holders(uuid, processes) or f"something that nvidia-smi does not name ({used:,} MiB)"
            devices.append(Device(number, f"GPU {number} ({name})", held_by if used > HELD_SHARE * total else ""))
    return tuple(devices)


def why_it_waits(fit: Sequence[Device], taken: Mapping[str, str], before: Sequence[str]) -> str:
    """Return the sentences that say what a run waits for: `fit` are the devices that it could use, none of them free for it."""
    if not fit:
        return "It needs a GPU, and nvidia-smi names none on this machine. Cancel it, or do it elsewhere: python -m training.run DIRECTORY."
    told = []
    for device in fit:
        if device.name in taken:
            told.append(f"{device.said} is used by the run {taken[device.name]}")
        elif device.held_by:
            told.append(f"{device.said} is held by {device.held_by}, which is no run of this project")
    queue = f" Before it: {', '.join(before)}." if before else " It is the next."
    return f"It waits: {'; '.join(told)}.{queue}"


def _holders(uuid: str, processes: str) -> str:
    told = []
    for line in processes.splitlines():
        head, _, mib = line.rpartition(",")
        parts = [part.strip() for part in head.split(",", 2)]
        if len(parts) == 3 and parts[0] == uuid:
            amount = f"{int(mib):,} MiB" if mib.strip().isdigit() else "it does not tell how much"
            told.append(f"{Path(parts[2]).name} (process {parts[1]}, {amount})")
    return ", ".join(told)


def _waiting(data: Path) -> list[tuple[Path, dict[str, object]]]:
    waiting = []
    for path in (data / "runs").glob("[!.]*/queued.json"):
        directory = path.parent
        if (directory / "launched").exists() or (queued := read_queued(directory)) is None:
            continue
        # Not what was cancelled in the queue, is being done by hand, or was done elsewhere and carried back.
        if read_status(directory).state == "queued":
            waiting.append((directory, queued))
    return sorted(waiting, key=lambda one: (str(one[1]["at"]), one[0].name))


def _taken(data: Path) -> dict[str, str]:
    taken = {}
    for path in (data / "runs").glob("[!.]*/lease.json"):
        directory = path.parent
        # How a process ended is put down when it is gone: most runs need no look at the processes.
        if not (directory / "exit.json").exists() and is_alive(directory):
            taken[str(read_lease(directory))] = _name(directory)
    return taken


def _tell(directory: Path, queued: Mapping[str, object], reason: str) -> None:
    if queued["reason"] != reason:
        _write_queued(directory, {**queued, "reason": reason})


def _write_queued(directory: Path, queued: Mapping[str, object]) -> None:
    write_whole(directory / "queued.json", json.dumps(queued, ensure_ascii=False) + "\n")


def _name(directory: Path) -> str:
    return str(json.loads((directory / "manifest.json").read_text(encoding="utf-8"))["run"]["name"])
