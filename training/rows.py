"""The rows of a frozen curated set: read, checked, counted and chosen for a run. No torch, no video."""

import hashlib
import json
import random
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from store.errors import InputError, NotFoundError, StorageError
from training.config import RunConfig
from training.context import Line

# The template speaks in such marks; one inside a text would open a turn or promise a video that is not there.
_MARK = re.compile(r"<\|[a-z_]+\|>")


@dataclass(frozen=True)
class ClipSpan:
    """The stretch of a media file that a row is about, in seconds on the file's own clock."""

    id: str
    digest: str
    start_s: float
    end_s: float | None  # None: to the end of the file


@dataclass(frozen=True)
class Message:
    """One turn of the conversation."""

    role: str  # "system", "user" or "assistant"
    content: str


@dataclass(frozen=True)
class RowContext:
    """What is said in the row's span and where the viewer paused, in seconds from the span's start."""

    lines: tuple[Line, ...] = ()
    pause_s: float | None = None
    window_s: tuple[float, float] | None = None


@dataclass(frozen=True)
class Row:
    """One training row. `reply` is the completion (SFT) or the chosen text (DPO)."""

    id: str
    split: str  # "train", "validation" or "test"
    kind: str  # "narrative", "rationale" or "answer"
    clip: ClipSpan
    prompt: tuple[Message, ...]
    reply: str
    rejected: str | None  # None for SFT
    context: RowContext = RowContext()


@dataclass(frozen=True)
class FrozenSet:
    """A curated set as it lies on disk, its hash checked."""

    id: str
    name: str
    kind: str  # "sft" or "dpo"
    sha256: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class SetSummary:
    """What there is to train on."""

    rows: int
    by_split_and_kind: Mapping[tuple[str, str], int]
    clips: int  # distinct spans
    words: int  # of the texts that are learnt or, for DPO, compared


def load_set(directory: Path) -> FrozenSet:
    """Return the curated set in `directory`; reads all of rows.jsonl.

    Raises NotFoundError when a file is missing, StorageError when the rows are not those of the manifest, InputError for a wrong row.
    """
    manifest = _object(_read(directory / "manifest.json"), f"{directory / 'manifest.json'}")
    content = _read(directory / "rows.jsonl")
    digest = hashlib.sha256(content).hexdigest()
    if digest != manifest.get("rows_sha256"):
        raise StorageError(
            f"The rows of {directory} have the hash {digest[:12]}, but the manifest says {str(manifest.get('rows_sha256'))[:12]}. "
            "The file was changed after it was frozen: freeze the set again."
        )
    kind = str(manifest.get("kind"))
    # Split at \n only: str.splitlines would also split at characters that JSON leaves inside a text.
    lines = content.decode("utf-8").split("\n")
    rows = tuple(_row(line, number, kind) for number, line in enumerate(lines, start=1) if line.strip())
    return FrozenSet(str(manifest.get("id")), str(manifest.get("name")), kind, digest, rows)


def summarise(rows: Sequence[Row]) -> SetSummary:
    """Return the counts of `rows` by split and kind, the distinct clips and the words."""
    return SetSummary(
        len(rows),
        dict(sorted(Counter((row.split, row.kind) for row in rows).items())),
        len({row.clip for row in rows}),
        sum(len(text.split()) for row in rows for text in (row.reply, row.rejected or "")),
    )


def texts_of(rows: Iterable[Row]) -> list[str]:
    """Return all that stands in the rows, row by row: prompts, lines and replies; from these the tiny model's tokenizer is made."""
    texts: list[str] = []
    for row in rows:
        texts += [*(turn.content for turn in row.prompt), *(line.text for line in row.context.lines), row.reply, *([row.rejected] if row.rejected else [])]
    return texts


def planned_rows(rows: Iterable[Row], config: RunConfig) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
    """Return the training rows and the held-out rows that a run will touch, both in an order fixed by the seed.

    With `max_steps`, rows that no step would reach are left out, so that their clips need not be carried or decoded.

    Raises InputError when no row has the split "train".
    """
    rows = tuple(rows)
    train = _shuffled([row for row in rows if row.split == "train"], config.seed)
    held_out = _shuffled([row for row in rows if row.split == "validation"], config.seed)
    if not train:
        raise InputError("No row of this set has the split train, so there is nothing to learn from. Accept texts of training clips.")
    reach = config.max_steps * config.batch_size * config.accumulation or len(train)
    return tuple(train[:reach]), tuple(held_out[: config.validation_rows])


def total_steps(row_count: int, config: RunConfig) -> int:
    """Return how many optimiser steps the run takes on `row_count` training rows."""
    passes = -(-row_count // config.batch_size)
    by_epochs = -(-passes // config.accumulation) * config.epochs
    return min(by_epochs, config.max_steps) if config.max_steps else by_epochs


def _shuffled(rows: list[Row], seed: int) -> list[Row]:
    ordered = sorted(rows, key=lambda row: row.id)
    random.Random(seed).shuffle(ordered)
    return ordered


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise NotFoundError(f"{path} is not there. Freeze the set again.") from error


def _object(content: bytes | str, place: str) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except ValueError as error:
        raise InputError(f"{place} is no JSON: {error}.") from error
    if not isinstance(value, dict):
        raise InputError(f"{place} is a JSON {type(value).__name__}, and must be an object.")
    return value


def _row(line: str, number: int, kind: str) -> Row:
    place = f"Line {number} of rows.jsonl"
    value = _object(line, place)
    try:
        replies = ("completion",) if kind == "sft" else ("chosen", "rejected")
        texts = [_reply(value[name], place) for name in replies]
        clip = value["clip"]
        row = Row(
            str(value["id"]),
            str(value["split"]),
            str(value["kind"]),
            ClipSpan(str(clip["id"]), str(clip["digest"]), float(clip["start_s"]), _end(clip)),
            tuple(Message(turn["role"], turn["content"]) for turn in value["prompt"]),
            texts[0],
            texts[1] if kind == "dpo" else None,
            _context(value.get("context", {}), place),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{place} does not have the form of a row of kind {kind}: {error!r}.") from error
    problems = _row_problems(row)
    if problems:
        raise InputError(f"{place}: {problems[0]}")
    return row


def _context(value: Mapping[str, Any], place: str) -> RowContext:
    # Sets that were frozen before rows carried one have none; to the model that is a clip in which nobody speaks.
    pause_s, window_s = value.get("pause_s"), value.get("window_s")
    try:
        lines = tuple(Line(float(start_s), float(end_s), str(text)) for start_s, end_s, text in value.get("lines", ()))
    except InputError as error:
        raise InputError(f"{place}: {error}") from error
    return RowContext(lines, None if pause_s is None else float(pause_s), None if window_s is None else (float(window_s[0]), float(window_s[1])))


def _end(clip: Mapping[str, Any]) -> float | None:
    return None if clip["end_s"] is None else float(clip["end_s"])


def _reply(turns: list[dict[str, str]], place: str) -> str:
    if len(turns) != 1 or turns[0]["role"] != "assistant":
        raise InputError(f"{place}: a reply must be one message of the role assistant.")
    return turns[0]["content"]


def _row_problems(row: Row) -> list[str]:
    problems = []
    if not row.prompt or row.prompt[-1].role != "user" or any(turn.role not in ("system", "user") for turn in row.prompt):
        problems.append("the prompt must hold messages of the roles system and user, the last of them of the user.")
    texts = [turn.content for turn in row.prompt] + [row.reply] + ([] if row.rejected is None else [row.rejected])
    if any(not text.strip() for text in texts):
        problems.append("a text is empty, so nothing could be learnt from it.")
    marks = [found.group() for text in (*texts, *(line.text for line in row.context.lines)) if (found := _MARK.search(text))]
    if marks:
        problems.append(f"a text holds {marks[0]}, a mark of the model's chat template. Edit the text.")
    if row.reply == row.rejected:
        problems.append("the chosen and the rejected text are the same.")
    if row.clip.end_s is not None and not row.clip.start_s < row.clip.end_s:
        problems.append(f"the clip ends at {row.clip.end_s:g} s, before or at its start at {row.clip.start_s:g} s.")
    return problems
