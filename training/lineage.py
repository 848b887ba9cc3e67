"""What stands behind an adapter, and which adapters learnt from a text or a judgement, in words and as data."""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import sqlite_utils

from store.adapters import Behind, KnownAdapter, Seen, behind_adapter, list_adapters, seen_by
from store.database import existing_file, open_store
from store.errors import NotFoundError
from training.jobs import known_runs
from training.registering import register_finished

NAMES = {
    "subject": "clips or questions",
    "candidate": "texts",
    "annotation": "annotations",
    "comparison": "comparisons",
    "decision": "decisions",
    "pair": "pairs",
}


@dataclass(frozen=True)
class Lineage:
    """Of an adapter what is behind it; of anything else where it was seen."""

    adapter: KnownAdapter | None
    behind: tuple[Behind, ...] = ()
    seen: tuple[Seen, ...] = ()

    @property
    def lines(self) -> list[str]:
        """Return it in words, a line a run."""
        return seen_lines(self.seen) if self.adapter is None else behind_lines(self.adapter, self.behind)


def lineage_of(db: sqlite_utils.Database, asked_id: str) -> Lineage:
    """Return the lineage of an adapter, by its id or its run's, or of a candidate, annotation or other source.

    Raises NotFoundError when nothing has this id.
    """
    known = next((one for one in list_adapters(db) if asked_id in (one.id, one.run_id)), None)
    if known is not None:
        return Lineage(known, behind=tuple(behind_adapter(db, known.id)))
    seen = tuple(seen_by(db, asked_id))
    if not seen:
        raise NotFoundError(f"Nothing that was trained on has the id {asked_id[:40]!r}: it is no adapter or run with one, and behind no row of a curated set.")
    return Lineage(None, seen=seen)


def behind_lines(known: KnownAdapter, behind: Sequence[Behind]) -> list[str]:
    """Return a line a run, from the adapter's own back to the first, with how many rows it learnt from and what stands behind them."""
    lines = [f"{known.name} ({known.stage}), adapter {known.id}, sha256 {known.sha256}"]
    for generation in sorted({one.generation for one in behind}):
        own = [one for one in behind if one.generation == generation]
        first, rows = own[0], {one.row_id for one in own if one.row_id}
        counted = Counter(kind for kind, _ in {(one.kind, one.source_id) for one in own if one.kind})
        stands = ", ".join(f"{name}: {counted[kind]:,}" for kind, name in NAMES.items() if counted[kind]) or "nothing that is known"
        learnt = f"{len(rows):,} rows of the set {first.set_name} ({first.curated_set_id}), behind them {stands}"
        what = learnt if rows else f"rows of the set {first.set_name} ({first.curated_set_id}) that are not known here"
        lines.append(f"{'learnt in' if not generation else 'started from'} {first.run_name} ({first.stage}, run {first.run_id}): {what}")
    return lines


def seen_lines(seen: Sequence[Seen]) -> list[str]:
    """Return a line for each set that holds the thing, and for each run and adapter that used it."""
    lines = []
    for one in seen:
        held = f"row {one.row_id} of the set {one.set_name} ({one.curated_set_id})"
        if one.run_id is None:
            lines.append(f"{held}: no run has used this set")
            continue
        adapter = f"adapter {one.adapter_id}" if one.adapter_id else "without an adapter"
        how = "started from an adapter that learnt it" if one.inherited else "learnt it" if one.learnt else "did not learn from this row"
        lines.append(f"{held}: {one.run_name} ({one.stage}, run {one.run_id}, {adapter}) {how}")
    return lines


def add_lineage(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command `lineage` to the command line of `python -m training`."""
    asks = commands.add_parser("lineage", help="what an adapter learnt from, or which adapters learnt from a text or a judgement")
    asks.add_argument("id", metavar="ID", help="of an adapter, a run, or of a candidate, annotation, comparison, decision, pair, question or clip")
    asks.add_argument("--data", type=Path, required=True, metavar="DIR", help="the data directory")
    asks.add_argument("--json", action="store_true", help="print all of it as JSON")
    asks.set_defaults(act=_print_lineage)


def _print_lineage(options: argparse.Namespace) -> int:
    existing_file(options.data)
    with open_store(options.data) as db:
        known_runs(db, options.data)
        register_finished(db, options.data)
        found = lineage_of(db, options.id)
    told = json.dumps(asdict(found), indent=1, ensure_ascii=False) if options.json else "\n".join(found.lines)
    sys.stdout.write(f"{told}\n")
    return 0
