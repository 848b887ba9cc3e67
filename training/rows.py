"""The rows of a frozen curated set: read, checked, counted and chosen for a run. No torch, no video."""

import hashlib
import json
import math
import random
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
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
    weight: float = 1.0  # how much a pair's loss counts, finite and above 0
    origin: str | None = None  # why the chosen text of a pair is the better one; None: not told


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
    manifest, lines = read_frozen(directory)
    kind = str(manifest.get("kind"))
    rows = tuple(_row(value, place, kind) for place, value in lines)
    return FrozenSet(str(manifest.get("id")), str(manifest.get("name")), kind, str(manifest["rows_sha256"]), rows)


def read_frozen(directory: Path) -> tuple[dict[str, Any], list[tuple[str, dict[str, Any]]]]:
    """Return the manifest of the frozen set in `directory`, of whatever kind, and each line of rows.jsonl: its place in words, and its object.

    Raises NotFoundError when a file is missing, StorageError when the rows are not those of the manifest, InputError for a line that is no object.
    """
    manifest = _object(_read(directory / "manifest.json"), f"{directory / 'manifest.json'}")
    content = _read(directory / "rows.jsonl")
    if hashlib.sha256(content).hexdigest() != manifest.get("rows_sha256"):
        raise StorageError(f"{directory / 'rows.jsonl'} has another hash than its manifest tells: it was changed after it was frozen. Freeze the set again.")
    # Split at \n only: str.splitlines would also split at characters that JSON leaves inside a text.
    lines = ((f"Line {number} of rows.jsonl", line) for number, line in enumerate(content.decode("utf-8").split("\n"), start=1))
    return manifest, [(place, _object(line, place)) for place, line in lines if line.strip()]


def span_of(clip: Mapping[str, Any]) -> ClipSpan:
    """Return the span that a line's "clip" names. Raises KeyError, TypeError, ValueError for one of another form."""
    return ClipSpan(str(clip["id"]), str(clip["digest"]), float(clip["start_s"]), None if clip["end_s"] is None else float(clip["end_s"]))


def context_of(value: Mapping[str, Any], place: str) -> RowContext:
    """Return what a line's "context" tells. Raises InputError for a spoken line that cannot be, TypeError, ValueError for one of another form."""
    # Sets that were frozen before rows carried one have none; to the model that is a clip in which nobody speaks.
    pause_s, window_s = value.get("pause_s"), value.get("window_s")
    try:
        lines = tuple(Line(float(start_s), float(end_s), str(text)) for start_s, end_s, text in value.get("lines", ()))
    except InputError as error:
        raise InputError(f"{place}: {error}") from error
    return RowContext(lines, None if pause_s is None else float(pause_s), None if window_s is None else (float(window_s[0]), float(window_s[1])))


def shown_problem(texts: Iterable[str], context: RowContext, clip: ClipSpan) -> str | None:
    """Return why a model cannot be shown these words about this clip, or None."""
    marks = [found.group() for text in (*texts, *(line.text for line in context.lines)) if (found := _MARK.search(text))]
    if marks:
        return f"a text holds {marks[0]}, a mark of the model's chat template. Edit the text."
    if clip.end_s is not None and not clip.start_s < clip.end_s:
        return f"the clip ends at {clip.end_s:g} s, before or at its start at {clip.start_s:g} s."
    return None


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

    With `max_steps`, rows that no step would reach are left out, so that their clips need not be carried or decoded. With packing the
    order goes clip by clip, so that whatever limit is set, whole clips stay together.

    Raises InputError when no row has the split "train", and what `mixed_rows` raises.
    """
    rows = tuple(rows)
    train = _ordered([row for row in rows if row.split == "train"], config)
    held_out = _ordered([row for row in rows if row.split == "validation" and row.kind in (config.kinds or [row.kind])], config)
    if not train:
        raise InputError("No row of this set has the split train, so there is nothing to learn from. Accept texts of training clips.")
    return mixed_rows(train, config), tuple(held_out[: config.validation_rows])


def mixed_rows(rows: Sequence[Row], config: RunConfig) -> tuple[Row, ...]:
    """Return as many of the rows as a run takes, the first of each kind in their order, so that `shares` hold to within a row.

    None is taken twice: the kind that is scarcest for its share decides how many there are in all. The counts are those of the largest
    remainder (Hamilton's apportionment). Raises InputError when there is no row of a kind that is asked for.
    """
    limits = (len(rows), config.max_rows, config.max_steps * config.batch_size * config.accumulation)
    most = min(limit for limit in limits if limit)
    if not config.kinds:
        return tuple(rows[:most])
    there = Counter(row.kind for row in rows)
    lacking = [kind for kind in config.kinds if not there[kind]]
    if lacking:
        raise InputError(
            f"No training row of this set is of the kind {lacking[0]}, and a share of such rows is asked for. Leave out the kind, or freeze a set that has it."
        )
    # The counts need not grow with their sum (the Alabama paradox), so each sum is tried, from the largest that could do.
    tried = (apportioned(config, total) for total in range(most, -1, -1))
    counts = next(counts for counts in tried if all(there[kind] >= count for kind, count in counts.items()))
    taken: Counter[str] = Counter()
    mixed = []
    for row in rows:
        if taken[row.kind] < counts.get(row.kind, 0):
            taken[row.kind] += 1
            mixed.append(row)
    return tuple(mixed)


def apportioned(config: RunConfig, total: int) -> dict[str, int]:
    """Return how many of `total` rows each kind gets by its share: rounded down, and one more for the largest remainders."""
    whole = sum(config.shares)
    exact = {kind: total * share / whole for kind, share in zip(config.kinds, config.shares, strict=True)}
    counts = {kind: int(count) for kind, count in exact.items()}
    by_remainder = sorted(exact, key=lambda kind: counts[kind] - exact[kind])
    for kind in by_remainder[: total - sum(counts.values())]:
        counts[kind] += 1
    return counts


def within_learnt(rows: Sequence[Row], learnt: Sequence[int], limit: int) -> tuple[Row, ...]:
    """Return the first of the rows that have at most `limit` learnt tokens together; 0: all. `learnt`: tokens of each.

    Raises InputError when not even the first one fits.
    """
    if not limit:
        return tuple(rows)
    count = sum(total <= limit for total in accumulate(learnt))
    if not count:
        raise InputError(f"The first row has {learnt[0]} tokens to learn, and max_learnt_tokens is {limit}. Raise it, or set it to 0.")
    return tuple(rows[:count])


def total_steps(row_count: int, config: RunConfig) -> int:
    """Return how many optimiser steps the run takes on `row_count` training rows."""
    passes = -(-row_count // config.batch_size)
    by_epochs = -(-passes // config.accumulation) * config.epochs
    return min(by_epochs, config.max_steps) if config.max_steps else by_epochs


def _ordered(rows: list[Row], config: RunConfig) -> list[Row]:
    ordered = sorted(rows, key=lambda row: row.id)
    random.Random(config.seed).shuffle(ordered)
    if config.packing != "clip":
        return ordered
    first = {clip: place for place, clip in reversed([(place, row.clip) for place, row in enumerate(ordered)])}
    return sorted(ordered, key=lambda row: first[row.clip])


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


def _row(value: Mapping[str, Any], place: str, kind: str) -> Row:
    try:
        replies = ("completion",) if kind == "sft" else ("chosen", "rejected")
        texts = [_reply(value[name], place) for name in replies]
        row = Row(
            str(value["id"]),
            str(value["split"]),
            str(value["kind"]),
            span_of(value["clip"]),
            tuple(Message(turn["role"], turn["content"]) for turn in value["prompt"]),
            texts[0],
            texts[1] if kind == "dpo" else None,
            context_of(value.get("context", {}), place),
            float(value.get("weight", 1.0)),
            None if value.get("origin") is None else str(value["origin"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{place} does not have the form of a row of kind {kind}: {error!r}.") from error
    problems = _row_problems(row)
    if problems:
        raise InputError(f"{place}: {problems[0]}")
    return row


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
    if problem := shown_problem(texts, row.context, row.clip):
        problems.append(problem)
    if not (math.isfinite(row.weight) and row.weight > 0):
        problems.append(f"the weight is {row.weight}, and must be a number above 0. Leave out a pair that shall not count.")
    if row.reply == row.rejected:
        problems.append("the chosen and the rejected text are the same.")
    return problems
