"""The file of a shard's results, and what it tells: lines that are only ever added, so that a kill costs what was in flight and no more.

A line is {"at": seconds since 1970, "what", "key", ...}. Of one item: "begun" before each try (with what is reserved for it), then "failed" when it
may be tried again, and at last "written" or "dead"; "known" when the store had it, "again" when a dead one may be tried anew. Of the worker:
"started", "ended" (how, sentence), and "killed" (keys that were in flight), which the driver adds.
"""

import asyncio
import errno
import fcntl
import json
import os
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from curation.synthesis.budget import Tokens, counted
from store.errors import ConflictError, StorageError

RESULTS = "results"
MINUTE_S = 60
# Groups of lines go to the disk this often; an answer that is with the system survives the process meanwhile.
GROUP_S = 0.05


@dataclass(frozen=True)
class Lines:
    """How far a reader has come, in bytes, and the lines of its last reading."""

    offset: int
    lines: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Dead:
    """Why an item was set aside."""

    key: str
    name: str  # of the subject, for people
    code: str
    reason: str
    passing: bool  # whether a later run may try it again
    attempts: int
    tokens_in: int | None  # of all tries; None: not told
    tokens_out: int | None
    money: float | None
    at: float  # seconds since 1970

    @property
    def tokens(self) -> int | None:
        """In and out together; None: not told."""
        told = [tokens for tokens in (self.tokens_in, self.tokens_out) if tokens is not None]
        return sum(told) if told else None


@dataclass(frozen=True)
class Seen:
    """What the lines of one shard say up to `offset`."""

    offset: int = 0
    held: Mapping[str, str] = field(default_factory=dict)  # by key: "written" or "known"; nobody is asked for these again
    written: int = 0  # of those
    dead: Mapping[str, Dead] = field(default_factory=dict)
    open: Mapping[str, Tokens] = field(default_factory=dict)  # asked and not answered yet, with what was reserved
    deaths: Mapping[str, int] = field(default_factory=dict)  # how many workers died while an item was in flight
    failed: Mapping[str, int] = field(default_factory=dict)  # tries that failed, by code
    told: Tokens = field(default_factory=Tokens)  # that providers told
    silent: int = 0  # answers and failures that told no tokens and may have cost some
    spent: Tokens = field(default_factory=Tokens)  # what counts against the budget: told, and reckoned where nothing was told
    cut_off: int = 0  # asked when a kill came, and perhaps paid
    minute: Mapping[int, int] = field(default_factory=dict)  # texts by second, of the last minute that had any
    ended: Mapping[str, Any] | None = None  # the last worker's last line

    @property
    def done(self) -> int:
        """Items that need no more asking."""
        return len(self.held) + len(self.dead)


def read_lines(path: Path, offset: int = 0, most_bytes: int = -1) -> Lines:
    """Return the whole lines after `offset` bytes; half a line waits for its end. No file has no lines. `most_bytes` must hold the longest line."""
    if not path.exists():
        return Lines(offset, ())
    with path.open("rb") as stream:
        stream.seek(offset)
        content = stream.read(most_bytes)
    whole = content[: content.rfind(b"\n") + 1]
    return Lines(offset + len(whole), tuple(json.loads(line) for line in whole.split(b"\n") if line))


def results_of(directory: Path, shard: str) -> Path:
    """Return the file of a shard's results."""
    return directory / RESULTS / f"{shard}.jsonl"


def shard_names(directory: Path) -> tuple[str, ...]:
    """Return the names of all shards, in order."""
    return tuple(sorted(path.stem for path in (directory / "shards").glob("*.jsonl")))


def see(path: Path, seen: Seen | None = None) -> Seen:
    """Return what is known after reading the lines since the last look. Cost: the new lines, about 15 us each."""
    seen = seen or Seen()
    while (new := read_lines(path, seen.offset, 1 << 24)).lines:
        seen = _after(replace(seen, offset=new.offset), new.lines)
    return seen


def append(path: Path, lines: Iterable[Mapping[str, Any]], patience_s: float = 0.0) -> int:
    """Add lines to a shard's results while no worker writes them; return how many. Raises ConflictError when one still does after `patience_s`."""
    journal = Journal(path, patience_s)
    added = 0
    try:
        for line in lines:
            journal.put(**line)
            added += 1
        journal.sync()
    finally:
        journal.close()
    return added


class Journal:
    """Appends to one shard's results; it alone may while it is open."""

    def __init__(self, path: Path, patience_s: float = 0.0) -> None:
        """Open the file, and cut off half a line that a kill has left. Raises ConflictError when another still writes after `patience_s`."""
        path.parent.mkdir(exist_ok=True)
        self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            self._take(path, patience_s)
        except ConflictError:
            os.close(self._descriptor)
            raise
        os.ftruncate(self._descriptor, _whole_bytes(path))
        self.put_lines = self.synced_lines = 0
        self._new = asyncio.Event()

    def put(self, what: str, key: str | None = None, **values: Any) -> None:
        """Add a line; it is with the system when this returns. Raises StorageError when the disk takes none or a part."""
        line = {"at": round(time.time(), 3), "what": what, **({} if key is None else {"key": key}), **values}
        # A server may say half of a surrogate pair.
        whole = (json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8", "replace")
        size = os.fstat(self._descriptor).st_size
        try:
            if os.write(self._descriptor, whole) < len(whole):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            # Half a line would spoil the next one for every reader.
            os.ftruncate(self._descriptor, size)
            raise StorageError(f"An answer could not be kept: {error}. Make room on the disk, then resume.") from error
        self.put_lines += 1
        self._new.set()

    async def keep_synced(self) -> None:
        """Bring the lines to the disk in groups, for as long as this task lives. Raises StorageError when the disk refuses."""
        while True:
            await self._new.wait()
            self._new.clear()
            lines = self.put_lines
            try:
                await asyncio.to_thread(os.fsync, self._descriptor)
            except OSError as error:
                raise StorageError(f"Answers could not be brought to the disk: {error}. Look after it, then resume.") from error
            self.synced_lines = lines
            await asyncio.sleep(GROUP_S)

    def sync(self) -> None:
        """Bring all lines to the disk."""
        os.fsync(self._descriptor)
        self.synced_lines = self.put_lines

    def close(self) -> None:
        """Close the file and let others write."""
        os.close(self._descriptor)

    def _take(self, path: Path, patience_s: float) -> None:
        until_s = time.monotonic() + patience_s
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError as error:
                if time.monotonic() >= until_s:
                    raise ConflictError(f"Another worker writes to {path.name}. It ends by itself when its answers are in; then resume.") from error
                time.sleep(0.1)


def _whole_bytes(path: Path) -> int:
    with path.open("rb") as stream:
        size = end = stream.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - (1 << 16))
            stream.seek(start)
            if (found := stream.read(end - start).rfind(b"\n")) >= 0:
                return start + found + 1
            end = start
    return size and end


def _after(seen: Seen, lines: Iterable[Mapping[str, Any]]) -> Seen:
    tally = _Tally(seen)
    for line in lines:
        tally.take(line)
    return replace(
        seen,
        held=tally.held,
        written=tally.written,
        dead=tally.dead,
        open=tally.open,
        deaths=tally.deaths,
        failed=tally.failed,
        told=tally.told,
        silent=tally.silent,
        spent=tally.spent,
        cut_off=tally.cut_off,
        minute=tally.minute_kept(),
        ended=tally.ended,
    )


_OF_DEAD = tuple(one.name for one in fields(Dead))


class _Tally:
    def __init__(self, seen: Seen) -> None:
        self.held, self.dead, self.open = dict(seen.held), dict(seen.dead), dict(seen.open)
        self.deaths, self.failed, self.minute = Counter(seen.deaths), Counter(seen.failed), Counter(seen.minute)
        self.told, self.spent, self.silent, self.cut_off, self.ended = seen.told, seen.spent, seen.silent, seen.cut_off, seen.ended
        self.written = seen.written

    def take(self, line: Mapping[str, Any]) -> None:
        what, key = line["what"], line.get("key", "")
        if what == "begun":
            self.open[key] = Tokens(*line["reserved"])
        elif what == "failed":
            self.failed[line["code"]] += 1
            self._pay(key, line)
        elif what == "written":
            self._pay(key, line)
            self.written += key not in self.held
            self.held[key] = what
            self.dead.pop(key, None)
            self.minute[int(line["at"])] += 1
        elif what == "dead":
            self.dead[key] = Dead(**{name: line[name] for name in _OF_DEAD})
        elif what == "known":
            self.held.setdefault(key, what)
            self.dead.pop(key, None)
        elif what == "again":
            self.dead.pop(key, None)
        elif what == "killed":
            self.deaths.update(line["keys"])
            # The next worker may die before it asks anything, and these had no part in that.
            self._cut_off()
        elif what == "started":
            self._cut_off()
            self.ended = None
        elif what == "ended":
            self.ended = line

    def _cut_off(self) -> None:
        """Whatever was in flight has lost its asker."""
        self.cut_off += len(self.open)
        self.spent = sum(self.open.values(), self.spent)
        self.open.clear()

    def minute_kept(self) -> dict[int, int]:
        newest = max(self.minute, default=0)
        return {second: texts for second, texts in self.minute.items() if second > newest - MINUTE_S}

    def _pay(self, key: str, line: Mapping[str, Any]) -> None:
        (read, written), reserved = line["paid"], self.open.pop(key, Tokens())
        took = counted(read, written, reserved, line.get("code"))
        self.spent += took
        self.told += Tokens(read or 0, written or 0)
        self.silent += (read is None or written is None) and took.total > 0
