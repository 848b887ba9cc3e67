"""From a wish to a synthesis directory: what is to be written, and what was paid for before."""

import hashlib
import json
import os
import secrets
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import sqlite_utils

from curation.synthesis.choosing import hard_option, subjects
from curation.synthesis.estimate import Estimate, estimate, seen_in
from curation.synthesis.journal import append, results_of, see, shard_names
from curation.synthesis.merging import merge_all
from curation.synthesis.plan import Item, Limits, SynthesisPlan
from curation.synthesis.plan_files import PLAN, ROOM, item_line, read_items, read_plan, write_plan
from curation.synthesis.status import read_status
from curation.synthesis.subjects import Subject
from curation.synthesis.wishes import Wish, limit_problems, plan_of_wish
from curation.synthesis.writers.making import needs
from store.database import storage_errors
from store.errors import ConflictError, InputError
from store.process import write_whole
from store.rows import utc_now
from store.synthesis import known_keys

SHARD_ITEMS = 256  # at least, but for the last; a clip stays whole
TURNS = 32  # answers of each place in flight, in a shard: a worker takes a second to start and waits for its last answers at the end
FIRST = 20  # items that a survey holds
_AT_ONCE = 512  # keys looked up


@dataclass(frozen=True)
class Survey:
    """What an order would do. `plan` has no id yet."""

    plan: SynthesisPlan
    first: tuple[Item, ...]  # of those that are new
    new: int
    known: int  # the store has them, whoever asked
    left_out: Mapping[str, int]  # by what it is and why
    estimate: Estimate


@dataclass(frozen=True)
class Planned:
    """What became of an order. `directory` is None when the store has all of its texts already."""

    plan: SynthesisPlan
    directory: Path | None
    new: int
    known: int
    left_out: Mapping[str, int]
    goes_on: bool  # the same was ordered before: its directory is this one


def survey(db: sqlite_utils.Database, data: Path, wish: Wish, picture_tokens: float | None = None) -> Survey:
    """Return what the order would do and take; nothing is written, and no key is needed.

    Reads the chosen clips once (twice when they are drawn), and fills in prompts as `estimate` does. Raises InputError or ConflictError for an order that
    `plan_run` would refuse.
    """
    plan, left_out, tally, first = plan_of_wish(db, wish), Counter[str](), _Tally(), list[Item]()

    def new() -> Iterator[Item]:
        for item in _new(db, _wanted(db, wish, plan, left_out), tally):
            if len(first) < FIRST:
                first.append(item)
            yield item

    expected = estimate(new(), plan, picture_tokens, seen_in(data, plan))
    return Survey(replace(plan, items=tally.new), tuple(first), tally.new, tally.known, dict(left_out), expected)


def plan_run(db: sqlite_utils.Database, data: Path, wish: Wish) -> Planned:
    """Write the directory of what is ordered, whole or not at all; the same order again finds its directory, and goes on there.

    What earlier runs have left is merged first, so that nothing paid is asked again. The chosen clips are streamed: 0.1 ms an item, and memory
    does not grow with them. Raises InputError or ConflictError before anything is written when the order cannot be carried out.
    """
    plan, left_out, tally = plan_of_wish(db, wish), Counter[str](), _Tally()
    lacking = needs(plan.writer)
    if lacking:
        raise InputError(lacking)
    merge_all(db, data)
    with _new_directory(data) as part:
        _write_shards(part / "shards", _new(db, _wanted(db, wish, plan, left_out), tally), plan.limits)
        plan = replace(plan, id=tally.run_id(plan), items=tally.new, created_at=utc_now())
        directory = data / ROOM / plan.id
        if not tally.new + tally.known:
            raise InputError(f"Nothing that was chosen can be asked about{_why(left_out)}. Choose other clips, or another arm.")
        there = (directory / PLAN).is_file()
        if not there and tally.new:
            write_whole(part / "ask.json", json.dumps(_ask(wish, tally, left_out), ensure_ascii=False, indent=2) + "\n")
            write_plan(part, plan)
            there = not _put(part, directory)
    plan = _go_on(directory, plan) if there else plan
    return Planned(plan, directory if there or tally.new else None, tally.new, tally.known, dict(left_out), there)


def set_budget(directory: Path, money: float | None, tokens: int | None) -> None:
    """Give a run that is not at work another budget in money, in tokens, or both; None leaves one as it is.

    Raises InputError for a budget that cannot be, ConflictError while the run is at work.
    """
    plan = read_plan(directory)
    changed = replace(plan.limits, money=plan.limits.money if money is None else money, tokens=plan.limits.tokens if tokens is None else tokens)
    for problem in limit_problems(changed, plan.prices):
        raise InputError(problem)
    if read_status(directory).state == "running":
        raise ConflictError(f"The run {plan.name} is at work. Stop it first, then give it another budget.")
    write_plan(directory, replace(plan, limits=changed))


def mark_known(db: sqlite_utils.Database, directory: Path) -> int:
    """Note in the results of a run that is not at work which of its texts the store has from another run; return how many.

    So a run that goes on does not pay for what was paid for while it stood still. Reads its items and results once; call it when what other
    runs have left is merged. Raises ConflictError when a worker writes.
    """
    marked = 0
    for shard in shard_names(directory):
        results = results_of(directory, shard)
        seen = see(results)
        waiting = [item.key for item in read_items(directory / "shards" / f"{shard}.jsonl") if item.key not in seen.held]
        known = known_keys(db, waiting)
        if known:
            # One that was set aside stands no longer aside.
            append(results, ({"what": what, "key": key} for key in waiting if key in known for what in (("again",) if key in seen.dead else ()) + ("known",)))
            marked += len(known)
    return marked


def key_of(plan: SynthesisPlan, subject: Subject, seed: int, wrong: int | None = None) -> str:
    """Return the sha256 that names a text by all that decides it: what has the same key was paid for, whoever ordered it."""
    return _digest([_facts(plan), _content(subject, plan), seed, wrong])


@dataclass
class _Tally:
    """Counts and the digest of all keys, in the order of the clips."""

    new: int = 0
    known: int = 0

    def __post_init__(self) -> None:
        self._keys = hashlib.sha256()

    def add(self, key: str) -> None:
        """Take a key in, known or not: a run that is half in the store is still the same run."""
        self._keys.update(bytes.fromhex(key))

    def run_id(self, plan: SynthesisPlan) -> str:
        """Return the run's id: 16 hex digits of its facts and keys. Limits, prices and batch may change while it stays the same run."""
        return _digest([_facts(plan), self._keys.hexdigest()])[:16]


def _facts(plan: SynthesisPlan) -> str:
    """Return the digest of what all texts of a plan share and what decides their words."""
    writer = {name: value for name, value in asdict(plan.writer).items() if name not in ("answer_s", "key_variable")}
    sampling = {name: value for name, value in asdict(plan.sampling).items() if name != "seed"}
    return _digest([plan.arm.as_json(), writer, plan.prompt.sha256, sampling, dict(plan.view)])


def _content(subject: Subject, plan: SynthesisPlan) -> dict[str, Any]:
    pairs = [[pair.qa_id, pair.question, pair.answer, pair.options, pair.right, pair.spans] for pair in subject.pairs]
    told: dict[str, Any] = {"kind": subject.kind, "clip": subject.clip_id, "qa": subject.qa_id, "pairs": pairs, "span_s": [subject.start_s, subject.end_s]}
    # A rationale's prompt says how long the clip is, which only its video tells where the data set names no end.
    told |= {"length_s": subject.length_s} if subject.qa_id else {}
    return told | ({"digest": subject.digest, "said": subject.said} if plan.arm.shown != "nothing" else {})


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()


def _wanted(db: sqlite_utils.Database, wish: Wish, plan: SynthesisPlan, left_out: Counter[str]) -> Iterator[Item]:
    """Yield all items that are ordered, known or not, by clip."""
    facts, first = _facts(plan), plan.sampling.seed or 0
    for subject in subjects(db, wish.kind, wish.chosen, plan.arm, left_out):
        wrong = hard_option(subject) if plan.arm.answer == "wrong" else None
        content = _content(subject, plan)
        for seed in range(first, first + wish.seeds):
            yield Item(_digest([facts, content, seed, wrong]), subject, seed, wrong)


def _new(db: sqlite_utils.Database, wanted: Iterable[Item], tally: _Tally) -> Iterator[Item]:
    """Yield the items whose texts the store does not have; a few hundred are in memory."""
    stream = iter(wanted)
    while some := list(islice(stream, _AT_ONCE)):
        known = known_keys(db, [item.key for item in some])
        for item in some:
            tally.add(item.key)
            if item.key in known:
                tally.known += 1
            else:
                tally.new += 1
                yield item


def _write_shards(folder: Path, items: Iterable[Item], limits: Limits) -> None:
    """Write the items, a clip never in two files, each file named by what it holds."""
    folder.mkdir()
    lines: list[str] = []
    shards = 0
    for _, of_clip in groupby(items, key=lambda item: item.subject.clip_id):
        lines += [item_line(item) for item in of_clip]
        # How many items come is not known yet: the first shards are small, so that several workers share a small order.
        small = limits.workers > 1 and shards < 4 * limits.workers
        if len(lines) >= (SHARD_ITEMS if small else max(SHARD_ITEMS, TURNS * limits.in_flight)):
            _write_shard(folder, lines)
            lines, shards = [], shards + 1
    if lines:
        _write_shard(folder, lines)


def _write_shard(folder: Path, lines: list[str]) -> None:
    text = "".join(lines)
    write_whole(folder / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.jsonl", text)


@contextmanager
def _new_directory(data: Path) -> Iterator[Path]:
    """Yield a directory that no reader looks at; what is still in it at the end goes. A killed process can leave one behind."""
    part = data / ROOM / f".{secrets.token_hex(8)}.part"
    with storage_errors(data):
        part.mkdir(parents=True)
        try:
            yield part
        finally:
            shutil.rmtree(part, ignore_errors=True)


def _put(part: Path, directory: Path) -> bool:
    """Give the directory its name; return False when the same order of somebody else was faster."""
    try:
        part.rename(directory)
    except OSError:
        if (directory / PLAN).is_file():
            return False
        raise
    handle = os.open(directory.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    return True


def _go_on(directory: Path, plan: SynthesisPlan) -> SynthesisPlan:
    """Return the plan of a directory that is there, with the new bounds unless it is at work, and write it so."""
    there = read_plan(directory)
    if read_status(directory).state == "running":
        return there
    changed = replace(
        there,
        limits=plan.limits,
        prices=plan.prices,
        batch=plan.batch,
        wanted=plan.wanted,
        executor=plan.executor,
        writer=replace(there.writer, answer_s=plan.writer.answer_s, key_variable=plan.writer.key_variable),
    )
    if changed != there:
        write_plan(directory, changed)
    return changed


def _ask(wish: Wish, tally: _Tally, left_out: Mapping[str, int]) -> dict[str, Any]:
    """Return what the plan does not tell of the order: for people who look later."""
    return {"chosen": asdict(wish.chosen), "seeds": wish.seeds, "known": tally.known, "left_out": dict(left_out)}


def _why(left_out: Mapping[str, int]) -> str:
    return f": {'; '.join(f'{count:,} {what}' for what, count in left_out.items())}" if left_out else ""
