"""`python -m training export RUN --to tensorboard|trackio`: what a run's events say, for other people's pages. The events stay the truth.

TensorBoard's files are written here by their format, so nothing need be installed to make them; trackio is a library, imported only here.
"""

import argparse
import json
import os
import struct
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from store.database import existing_file
from store.errors import InputError
from store.process import write_whole
from store.records import Run
from store.settings import default_data
from training.carrying import load_config
from training.events import FILE_NAME, read_events
from training.jobs import run_named
from training.status import read_status

TO = ("tensorboard", "trackio")
LOOK_EVERY_S = 2.0
PROJECT = "eyewitness"
EXPORTED = "exported.json"  # in the run directory: how far each folder has got
_CHUNK_BYTES = 1 << 23
# Of an event, what is no measurement.
_NOT_MEASURED = ("at", "step", "rows", "n", "correct", "total_steps")


class Sink(Protocol):
    """Where measurements go."""

    def write(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Append what the events measure."""

    def close(self) -> None:
        """Make sure that everything is there."""


def add_export(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command `export` to the command line of `python -m training`."""
    exports = commands.add_parser("export", help="give a run's measurements to TensorBoard or trackio", description=__doc__)
    exports.add_argument("run", metavar="RUN", help="id or name")
    exports.add_argument("--to", choices=TO, required=True)
    exports.add_argument("--out", type=Path, metavar="DIR", help="default: tensorboard/ or trackio/ in the data directory")
    exports.add_argument("--follow", action="store_true", help="go on until the run has ended")
    exports.add_argument("--data", type=Path, default=default_data(), metavar="DIR", help="data directory (default: %(default)s)")
    exports.set_defaults(act=_export)


def export(data: Path, run: Run, to: str, out: Path, follow: bool = False) -> int:
    """Give what the run has measured so far to `to`, with `follow` until it ends; return the number of events.

    Raises InputError when a library is missing. Given twice, nothing stands there twice.
    """
    directory = data / run.directory
    sink: Sink
    if to == "tensorboard":
        sink, offset, place = EventFile(out / run.id), 0, None
    else:
        place = str(out.resolve())
        sink, offset = _Trackio(run, load_config(directory).to_json(), out), _exported(directory).get(place, 0)
    count = 0
    try:
        for read, events in _parts(directory, offset, follow):
            sink.write(events)
            count += len(events)
            if place is not None:
                write_whole(directory / EXPORTED, json.dumps({**_exported(directory), place: read}) + "\n")
    finally:
        sink.close()
    return count


def scalars_of(event: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers that an event measures, by name; none for an event that measures nothing."""
    if event["kind"] == "accuracy" and event.get("n"):
        return {"accuracy": event["correct"] / event["n"], "accuracy_low": event["low"], "accuracy_high": event["high"]}
    if event["kind"] not in ("step", "validation"):
        return {}
    before = "validation/" if event["kind"] == "validation" else ""
    numbers = {name: value for name, value in event.items() if isinstance(value, int | float) and not isinstance(value, bool)}
    return {f"{before}{name}": float(value) for name, value in numbers.items() if name not in _NOT_MEASURED}


class EventFile:
    """A TensorBoard event file in a folder of its own: TFRecords of the Event message of tensorflow/core/util/event.proto."""

    def __init__(self, folder: Path) -> None:
        """Begin the file anew."""
        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / "events.out.tfevents.0.eyewitness").open("wb")
        self._record(_field(3, b"brain.Event:2"))

    def write(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Append what the events measure; steps that a resumed run does again are taken back."""
        for event in events:
            moment = _tag(1, 1) + struct.pack("<d", float(event["at"]))
            step = int(event.get("step") or 0)
            if event["kind"] == "resumed":
                self._record(moment + _tag(2, 0) + _varint(step + 1) + _field(7, _tag(1, 0) + _varint(1)))  # SessionLog.START
            values = b"".join(_field(1, _field(1, name.encode()) + _tag(2, 5) + struct.pack("<f", value)) for name, value in scalars_of(event).items())
            if values:
                self._record(moment + _tag(2, 0) + _varint(step) + _field(5, values))
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _record(self, content: bytes) -> None:
        length = struct.pack("<Q", len(content))
        self._file.write(length + struct.pack("<I", masked_crc(length)) + content + struct.pack("<I", masked_crc(content)))


def masked_crc(content: bytes) -> int:
    """Return the masked CRC-32C (RFC 3720, polynomial 0x82F63B78 reflected) that TFRecord puts beside its parts."""
    crc = crc32c(content)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def crc32c(content: bytes) -> int:
    """Return the CRC-32C of `content`; 0.1 us a byte."""
    crc, table = 0xFFFFFFFF, _crc_table()
    for byte in content:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


class _Trackio:
    """A run of a trackio project in a folder of its own; its library is loaded now."""

    def __init__(self, run: Run, config: str, out: Path) -> None:
        out.mkdir(parents=True, exist_ok=True)
        # Read by the library at its import.
        os.environ["TRACKIO_DIR"] = str(out.resolve())
        try:
            import trackio
        except ImportError as error:
            raise InputError("trackio is not installed: pip install trackio. The export to tensorboard needs nothing.") from error
        # What the machine of the export does is not what the run's did.
        self._run = trackio.init(PROJECT, f"{run.name} {run.id[:8]}", config=json.loads(config), resume="allow", auto_log_gpu=False, auto_log_cpu=False)

    def write(self, events: Sequence[Mapping[str, Any]]) -> None:
        for event in events:
            if scalars := scalars_of(event):
                self._run.log(scalars, step=int(event.get("step") or 0))

    def close(self) -> None:
        self._run.finish()


def _export(options: argparse.Namespace) -> int:
    existing_file(options.data)
    out = options.out or options.data / options.to
    run = run_named(options.data, options.run)
    count = export(options.data, run, options.to, out, options.follow)
    show = f"tensorboard --logdir {out}" if options.to == "tensorboard" else f"TRACKIO_DIR={out} trackio show --project {PROJECT}"
    sys.stdout.write(f"{count:,} events of {run.name} are in {out}. To see them: {show}\n")
    return 0


def _parts(directory: Path, offset: int, follow: bool) -> Iterator[tuple[int, tuple[dict[str, Any], ...]]]:
    """Yield (offset behind them, events) from `offset` on; with `follow` until the run has ended and all is read."""
    while True:
        # Asked before the reading: what is written between the two is read the next time.
        last = not follow or read_status(directory).ended
        while (tail := read_events(directory / FILE_NAME, offset, _CHUNK_BYTES)).events:
            offset = tail.offset
            yield offset, tail.events
        if last:
            return
        time.sleep(LOOK_EVERY_S)


def _exported(directory: Path) -> dict[str, int]:
    path = directory / EXPORTED
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def _field(number: int, content: bytes) -> bytes:
    """Return a field of a protocol buffer that holds bytes, a text or a message."""
    return _tag(number, 2) + _varint(len(content)) + content


def _tag(number: int, wire: int) -> bytes:
    return _varint(number << 3 | wire)


def _varint(value: int) -> bytes:
    parts = []
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


@cache
def _crc_table() -> tuple[int, ...]:
    def remainder(byte: int) -> int:
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        return byte

    return tuple(map(remainder, range(256)))
