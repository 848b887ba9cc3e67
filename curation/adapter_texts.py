"""Texts that a model wrote in a run become candidates, and wait for annotators in a batch that does not tell who wrote them."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import sqlite_utils

from curation.final_answers import right_signals, split_answer
from curation.text_batches import check_text_batch, text_batch
from store.adapters import list_adapters, subjects_of
from store.batches import rank_entries
from store.candidates import add_candidate, candidate_of, generator_of, list_generators
from store.clips import get_clip, get_qa_pair
from store.database import open_store, transaction
from store.errors import InputError, NotFoundError
from store.queue import enqueue
from store.records import Batch, Generator, Run
from store.runs import list_runs
from store.signals import add_signals

# A chat template speaks in such marks; a text with one could never be trained on.
_MARK = re.compile(r"<\|[a-z_]+\|>")


@dataclass(frozen=True)
class Taken:
    """What became of the texts of a run."""

    batch: str
    wanted: int
    written: int  # texts that the run has left
    queued: int  # that wait in the batch now and did not before
    known: int  # that were candidates in a queue already
    cut: int  # left out: the writer was stopped in the middle
    empty: int  # left out: no words, or nothing but a final answer
    refused: int  # left out: a mark of a chat template, or about what is not here any more

    @property
    def sentence(self) -> str:
        """Return it for the person who asked."""
        told = f"Of {self.written:,} texts {self.queued:,} are queued in {self.batch!r} for {self.wanted} annotations each; nobody is shown who wrote them."
        left = _why(asdict(self))
        return f"{told} Left out: {left}." if left else told


def take_texts(db: sqlite_utils.Database, data: Path, run_id: str, batch_name: str, wanted: int, made_by: str) -> Taken:
    """Keep the texts of a writing run as candidates and queue them in the batch of this name, new or there already, in random order.

    A final answer is cut off and kept as a signal, since a row of a curated set gets the given answer; texts of several runs may share a batch.
    One transaction. Raises NotFoundError without such a run or texts, InputError for a name that tells the writer or when no text can be
    queued, ConflictError when the batch is closed.
    """
    run = next((one for one in list_runs(db) if one.id == run_id and one.stage == "write"), None)
    texts = _read(data / run.directory / "texts.jsonl") if run else []
    if run is None or not texts:
        raise NotFoundError(f"The run {run_id[:40]!r} has written no texts here. Start a run of the stage write and let it go on until it has some.")
    writer = _writer(db, data, run)
    name = check_text_batch(db, batch_name, wanted, (writer.name, run.name, run.id))
    counts: Counter[str] = Counter(written=len(texts))
    with transaction(db):
        batch = text_batch(db, name, wanted, made_by)
        subjects = subjects_of(db, run.curated_set_id)
        for text in texts:
            counts[_take(db, text, subjects, writer, batch)] += 1
        if not counts["queued"]:
            raise InputError(f"None of the {len(texts)} texts can be queued: {_why(counts)}. Write more, or let each have more tokens.")
        rank_entries(db, batch)
    return Taken(name, batch.wanted, *(counts[fate] for fate in ("written", "queued", "known", "cut", "empty", "refused")))


def queue_texts(data: Path, run_id: str, batch_name: str, wanted: int) -> str:
    """Take the texts of a run as `take_texts` does, and return the sentence that says what became of them. Raises what it raises."""
    with open_store(data) as db:
        return take_texts(db, data, run_id, batch_name, wanted, made_by="Train page").sentence


def _why(counts: Mapping[str, int]) -> str:
    named = {"known": "were queued before", "cut": "were cut", "empty": "are empty", "refused": "cannot be used"}
    return ", ".join(f"{counts[fate]:,} {words}" for fate, words in named.items() if counts[fate])


def _take(db: sqlite_utils.Database, text: Mapping[str, Any], subjects: Mapping[str, str], writer: Generator, batch: Batch) -> str:
    """Return what became of one text: "queued", "known", "cut", "empty" or "refused"."""
    if text["cut"]:
        return "cut"
    words, answer = split_answer(text["text"]) if text["kind"] == "rationale" else (text["text"].strip(), text["text"])
    if not words:
        return "empty"
    qa = None if text["kind"] == "narrative" else get_qa_pair(db, subjects.get(text["row"], text["row"]))
    clip = get_clip(db, text["clip"])
    if clip is None or _MARK.search(words) or (qa is None and text["kind"] != "narrative"):
        return "refused"
    candidate = candidate_of(text["kind"], clip.id, qa.id if qa else None, writer, words)
    add_candidate(db, candidate, writer)
    add_signals(db, right_signals(candidate.id, answer, qa))
    return "queued" if enqueue(db, candidate.id, batch.wanted, batch.id) else "known"


def _writer(db: sqlite_utils.Database, data: Path, run: Run) -> Generator:
    """Return who wrote the run's texts: the adapter of its parent, or the base model."""
    if run.parent_id is None:
        model = json.loads((data / run.directory / "config.json").read_text(encoding="utf-8"))["model"]
        return generator_of("base_model", model, answer_given=False)
    known = next((one for one in list_adapters(db) if one.run_id == run.parent_id), None)
    if known is None:
        raise NotFoundError(f"The adapter of the run {run.parent_id} that wrote these texts is not registered here. Bring its run directory back.")
    return next(one for one in list_generators(db) if one.id == known.generator_id)


def _read(path: Path) -> list[dict[str, Any]]:
    return list(_lines(path)) if path.is_file() else []


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    # The run may be writing its next line now: only whole ones are read.
    content = path.read_bytes()
    for line in content[: content.rfind(b"\n") + 1].split(b"\n"):
        if line:
            yield json.loads(line)
