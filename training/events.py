"""The file through which a run speaks: one JSON line an event, written by the child, read by the page from a byte offset."""

import errno
import json
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

FILE_NAME = "events.jsonl"


class EventLog:
    """Appends events; safe to share between the training thread and the heartbeat's."""

    def __init__(self, path: Path) -> None:
        """Open the file; half a line that an earlier attempt has left is cut off, since it would spoil the next one for every reader."""
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.ftruncate(self._descriptor, path.read_bytes().rfind(b"\n") + 1)
        self._lock = threading.Lock()
        self._progress_s = time.monotonic()
        self._last: dict[str, Any] = {}

    def emit(self, kind: str, **values: Any) -> None:
        """Append one event with the moment `at` (seconds since 1970) and the present phase and step. Counts as progress."""
        self._progress_s = time.monotonic()
        if kind in ("phase", "step"):
            self._last |= {name: values[name] for name in ("phase", "step") if name in values}
        self._write({"kind": kind, **self._last, **values})

    def heartbeat(self) -> None:
        """Append a sign of life with the seconds since the last progress; is no progress itself."""
        self._write({"kind": "heartbeat", "idle_s": round(time.monotonic() - self._progress_s, 1), **self._last})

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _write(self, event: dict[str, Any]) -> None:
        line = json.dumps({"at": round(time.time(), 3), **event}, ensure_ascii=False, allow_nan=False) + "\n"
        with self._lock:
            # One call a line: a reader never sees two events mixed, and the line is with the system at once.
            whole, size = line.encode(), os.fstat(self._descriptor).st_size
            if os.write(self._descriptor, whole) < len(whole):
                # A full disk takes a part; half a line would spoil the next one for every reader.
                os.ftruncate(self._descriptor, size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), FILE_NAME)


@dataclass(frozen=True)
class EventTail:
    """How far a reader has come: bytes read, and the events of the last reading."""

    offset: int
    events: tuple[dict[str, Any], ...]


def read_events(path: Path, offset: int = 0, most_bytes: int = -1) -> EventTail:
    """Return the whole events after `offset` bytes; a line that is still being written waits for the next reading.

    A file that is not there yet has no events. `most_bytes`: read no more than so many, which must hold the longest event; -1: all.
    """
    if not path.exists():
        return EventTail(offset, ())
    with path.open("rb") as stream:
        stream.seek(offset)
        content = stream.read(most_bytes)
    whole = content[: content.rfind(b"\n") + 1]
    return EventTail(offset + len(whole), tuple(json.loads(line) for line in whole.split(b"\n") if line))


def last_event(path: Path, tail_bytes: int = 16_384) -> dict[str, Any] | None:
    """Return the last whole event without reading the file from its start, or None when there is none."""
    if not path.exists():
        return None
    start = max(0, path.stat().st_size - tail_bytes)
    with path.open("rb") as stream:
        stream.seek(start)
        content = stream.read()
    lines = content[: content.rfind(b"\n") + 1].split(b"\n")
    whole = [line for line in (lines[1:] if start else lines) if line]
    return json.loads(whole[-1]) if whole else None


def thin(points: Sequence[tuple[float, float]], limit: int = 500) -> list[tuple[float, float]]:
    """Return at most `limit` of the (x, y) points, which stand in the order of x: first, last, and the lowest and highest of every stretch.

    So spikes stay, and points that were thinned before lie as close as new ones: a stretch is a part of x, not so many points.
    """
    if len(points) <= limit:
        return list(points)
    buckets = max(1, (limit - 2) // 2)
    first, span = points[0][0], (points[-1][0] - points[0][0]) or 1.0
    kept = {0, len(points) - 1}
    for _, places in groupby(range(1, len(points) - 1), lambda at: min(buckets - 1, int((points[at][0] - first) / span * buckets))):
        bucket = list(places)
        kept.add(min(bucket, key=lambda at: points[at][1]))
        kept.add(max(bucket, key=lambda at: points[at][1]))
    return [points[at] for at in sorted(kept)]
