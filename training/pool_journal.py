"""The journal of a film that is being pooled: what was asked for, and which windows have their pictures in place.

JSON lines: first what was asked for, then a chunk a window, last `{"complete": true}`. A line is written after the pictures that
it speaks of; one that a killed process left half is cut off. While it is open no other process can open it.
"""

import fcntl
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from store.errors import ConflictError
from training.pool_layout import Chunk

JOURNAL = ".windows.jsonl"
_COMPLETE = {"complete": True}


class Journal:
    """An open journal: the windows that are whole, in order."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.chunks: list[Chunk] = []
        self.is_complete = False

    def add(self, chunk: Chunk) -> None:
        """Put down a window whose pictures are in place."""
        self._write(asdict(chunk))
        self.chunks.append(chunk)

    def complete(self) -> None:
        """Put down that no window is missing."""
        self._write(_COMPLETE)
        self.is_complete = True

    def _write(self, values: Mapping[str, Any]) -> None:
        self._stream.write(json.dumps(values).encode() + b"\n")
        self._stream.flush()


@contextmanager
def open_journal(folder: Path, asked: Mapping[str, Any], is_whole: Callable[[Chunk], bool]) -> Iterator[Journal]:
    """Yield the journal of a folder, new or as far as it is right: up to the first window that is not whole.

    asked: what the pictures depend on. Raises ConflictError when another process has it open, when something else was asked for
    and a window of that is there, and when there are pictures without a journal.
    """
    if not (folder / JOURNAL).exists() and (found := next(folder.glob("*/frame*"), None)):
        raise ConflictError(f"{found.parent} holds pictures that this command did not make: give another folder, or remove them.")
    with (folder / JOURNAL).open("a+b") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConflictError(f"Another process is filling {folder}: wait until it has ended.") from error
        journal = Journal(stream)
        _take_up(journal, stream, asked, is_whole)
        yield journal


def _take_up(journal: Journal, stream: BinaryIO, asked: Mapping[str, Any], is_whole: Callable[[Chunk], bool]) -> None:
    """Read what is right of a journal and cut off the rest."""
    stream.seek(0)
    lines = list(stream)
    right = 0
    for place, line in enumerate(lines):
        values = _values(line)
        if place == 0:
            if values is not None and values != asked:
                if len(lines) > 1:
                    raise ConflictError(_other_pictures(Path(stream.name).parent, values, asked))
                # Nothing came of what was asked for before.
                values = None
        elif values == _COMPLETE:
            journal.is_complete = True
        elif values is not None and is_whole(chunk := Chunk(**values)):
            journal.chunks.append(chunk)
        else:
            values = None
        if values is None:
            break
        right += len(line)
    stream.truncate(right)
    if not right:
        stream.write(json.dumps(asked).encode() + b"\n")
        stream.flush()


def _other_pictures(folder: Path, before: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    differing = [f"{key} {before.get(key)} and not {told}" for key, told in asked.items() if key != "film" and before.get(key) != told]
    if before.get("film") != asked["film"]:
        differing.insert(0, "another film")
    return f"{folder} holds pictures of {', '.join(differing)}: give another folder, or remove that one."


def _values(line: bytes) -> dict[str, Any] | None:
    """Return the object of a line, or None when it is not whole."""
    try:
        return dict(json.loads(line)) if line.endswith(b"\n") else None
    except ValueError:
        return None
