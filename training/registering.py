"""From what ended runs left on disk to the registry: adapters, the names under which they write, and what stands behind the rows they learnt from.

All of it follows from the files, so that it can be done again at any time and changes nothing then.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlite_utils

from store.adapters import adapter_moments, add_sources, put_adapter, sets_without_sources
from store.candidates import generator_of
from store.database import transaction
from store.errors import UserError
from store.media_files import digest_of
from store.records import Adapter, CuratedSet, Generator, Run, SetSource
from store.rows import digest_id
from training.jobs import load_config
from training.rows import load_set, planned_rows
from training.status import USABLE, read_result

WEIGHTS = "adapter_model.safetensors"
# The fields of a row's `source`, and of a row of questions itself, that name what stands behind it.
SOURCE_FIELDS = {
    "subject_id": "subject",
    "qa_id": "subject",
    "candidate_id": "candidate",
    "parent_id": "candidate",
    "chosen_id": "candidate",
    "rejected_id": "candidate",
    "annotation_ids": "annotation",
    "comparison_ids": "comparison",
    "decision_ids": "decision",
    "pair_ids": "pair",
}


def register_finished(db: sqlite_utils.Database, data: Path) -> list[Adapter]:
    """Return the adapters that were not in the registry as they are on disk, put there now; without any it costs a stat a run.

    An adapter counts when its run ended well or was stopped and saved it. A run that went on and ended anew has its adapter replaced.
    """
    index_sets(db, data)
    made = []
    for run, known_at in adapter_moments(db):
        weights = data / run.directory / "adapter" / WEIGHTS
        if known_at != _moment(weights) and (found := _adapter_of(run, weights)):
            with transaction(db):
                put_adapter(db, *found)
            made.append(found[0])
    return made


def index_sets(db: sqlite_utils.Database, data: Path) -> None:
    """Note what stands behind the rows of each curated set of which it is not noted yet; a set whose files are gone is left out."""
    for curated in sets_without_sources(db):
        path = data / curated.directory / "rows.jsonl"
        if path.is_file():
            with transaction(db):
                add_sources(db, list(_sources(curated, path)))


def generator_of_run(run: Run, directory: Path) -> Generator:
    """Return the generator under which texts of the run's adapter are kept: its name, the hash of its config and its id."""
    config = hashlib.sha256((directory / "config.json").read_bytes()).hexdigest()
    return generator_of("adapter", run.name, settings=json.dumps({"config_sha256": config, "run_id": run.id}), answer_given=False)


def learnt_rows(directory: Path) -> list[str]:
    """Return the ids of the rows that the run in `directory` learnt from, or was to, where it was stopped early. Reads its rows.

    Raises what `load_set` and `load_config` raise.
    """
    told = directory / "learnt_rows.json"
    if told.exists():
        return [str(one) for one in json.loads(told.read_text(encoding="utf-8"))]
    train, _ = planned_rows(load_set(directory / "dataset").rows, load_config(directory))
    return [row.id for row in train]


def _adapter_of(run: Run, weights: Path) -> tuple[Adapter, Generator, list[str]] | None:
    """Return the adapter of an ended run, its generator and the rows it learnt from; None when there is none or its files cannot be read."""
    directory, moment = weights.parent.parent, _moment(weights)
    try:
        result = read_result(directory)
        if moment is None or result is None or result["outcome"] not in USABLE:
            return None
        generator = generator_of_run(run, directory)
        return Adapter(digest_id("adapter", run.id), run.id, generator.id, digest_of(weights), moment), generator, learnt_rows(directory)
    except (UserError, OSError):
        # A directory that was half deleted must not keep the others out.
        return None


def _moment(path: Path) -> str | None:
    """Return when the file was written as ISO 8601 in UTC, or None when it is not there."""
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="milliseconds")
    except FileNotFoundError:
        return None


def _sources(curated: CuratedSet, path: Path) -> Iterator[SetSource]:
    for line in path.read_text(encoding="utf-8").split("\n"):
        if line.strip():
            row = json.loads(line)
            for kind, source_id in _behind(row, curated.kind):
                yield SetSource(curated.id, str(row["id"]), kind, source_id)


def _behind(row: Mapping[str, Any], set_kind: str) -> Iterator[tuple[str, str]]:
    """Yield (kind, id) of all that stands behind a row; of one that says nothing of it the question or the clip that it is about."""
    subject = False
    for field, kind in SOURCE_FIELDS.items():
        value = row.get("source", {}).get(field)
        for one in value if isinstance(value, list) else [value] if value else []:
            subject |= kind == "subject"
            yield kind, str(one)
    if not subject:
        yield "subject", str(row["id"] if set_kind == "questions" else row["clip"]["id"])
