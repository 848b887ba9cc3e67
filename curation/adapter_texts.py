"""Texts that a model wrote in a run become candidates, and wait for annotators in a batch that does not tell who wrote them."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import sqlite_utils

from curation.batching import LONGEST_NAME, MOST_WANTED
from store.adapters import list_adapters, subjects_of
from store.batches import add_batch, list_batches, rank_entries
from store.candidates import add_candidate, candidate_of, generator_of, list_generators
from store.clips import get_clip, get_qa_pair
from store.database import open_store, transaction
from store.errors import ConflictError, InputError, NotFoundError
from store.queue import enqueue
from store.records import Batch, Candidate, Generator, QAPair, Run, Signal
from store.row_words import final_answer, right_option
from store.rows import digest_id, utc_now
from store.runs import list_runs
from store.signals import add_signals

# On a line of its own, as a row has it, or behind the last sentence: beside texts of people it would tell who wrote.
ANSWER = re.compile(r"(?:\n|^|(?<=[.!?])[ \t])[ \t]*final answer:[ \t]*(?P<answer>[^\n]*)\s*$", re.IGNORECASE)
ANSWERED_RIGHT = "writer_answered_right"
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
    name = _neutral(batch_name, writer, run)
    if not 1 <= wanted <= MOST_WANTED:
        raise InputError(f"The number of annotations of each text is {wanted}, and must lie between 1 and {MOST_WANTED}.")
    counts: Counter[str] = Counter(written=len(texts))
    with transaction(db):
        batch = _batch(db, name, wanted, made_by)
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


def split_answer(text: str) -> tuple[str, str | None]:
    """Return a text without the final answer that stands on its last line, and that answer; None when there is none."""
    found = ANSWER.search(text)
    return (text[: found.start()].strip(), found["answer"].strip()) if found else (text.strip(), None)


def is_right(answer: str, qa: QAPair) -> bool | None:
    """Return whether an answer is the given one: its letter, its words or both; None when the data set withholds it."""
    given, option = final_answer(qa), right_option(qa)
    if given is None:
        return None
    spellings = {given, *([] if option is None else [given.split(".", 1)[0], qa.options[option]])}
    return _bare(answer) in {_bare(one) for one in spellings}


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
    _tell_right(db, candidate, answer, qa)
    return "queued" if enqueue(db, candidate.id, batch.wanted, batch.id) else "known"


def _tell_right(db: sqlite_utils.Database, candidate: Candidate, answer: str | None, qa: QAPair | None) -> None:
    right = is_right(answer, qa) if qa and answer else None
    if right is not None:
        add_signals(db, [Signal(candidate.id, ANSWERED_RIGHT, float(right))])


def _writer(db: sqlite_utils.Database, data: Path, run: Run) -> Generator:
    """Return who wrote the run's texts: the adapter of its parent, or the base model."""
    if run.parent_id is None:
        model = json.loads((data / run.directory / "config.json").read_text(encoding="utf-8"))["model"]
        return generator_of("base_model", model, answer_given=False)
    known = next((one for one in list_adapters(db) if one.run_id == run.parent_id), None)
    if known is None:
        raise NotFoundError(f"The adapter of the run {run.parent_id} that wrote these texts is not registered here. Bring its run directory back.")
    return next(one for one in list_generators(db) if one.id == known.generator_id)


def _neutral(batch_name: str, writer: Generator, run: Run) -> str:
    name = batch_name.strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise InputError(f"The name {batch_name[:LONGEST_NAME]!r} is not usable. Use 1 to {LONGEST_NAME} printable characters.")
    telling = [one for one in (writer.name, run.name, run.id) if one.lower() in name.lower()]
    if telling:
        raise InputError(f"The batch's name {name!r} would tell who wrote its texts ({telling[0]!r}). Choose one that does not.")
    return name


def _batch(db: sqlite_utils.Database, name: str, wanted: int, made_by: str) -> Batch:
    found = next((one for one in list_batches(db) if one.name == name), None)
    if found is not None and found.state != "open":
        raise ConflictError(f"The batch {name!r} is closed, so nobody would be given these texts. Open it, or choose another name.")
    made_at = utc_now()
    # In random order, so that texts of several writers lie mixed.
    shares = {"scratch_share": 0.0, "gold_share": 0.0, "repeat_share": 0.0}
    batch = found or Batch(
        digest_id("batch", name, made_at), name, wanted, "random", None, 0, **shares, blind_first=False, open_to_all=True, state="open",
        created_by=made_by, created_at=made_at,
    )  # fmt: skip
    if found is None:
        add_batch(db, batch, ())
    return batch


def _read(path: Path) -> list[dict[str, Any]]:
    return list(_lines(path)) if path.is_file() else []


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    # The run may be writing its next line now: only whole ones are read.
    content = path.read_bytes()
    for line in content[: content.rfind(b"\n") + 1].split(b"\n"):
        if line:
            yield json.loads(line)


def _bare(answer: str) -> str:
    return " ".join(answer.split()).strip(" .()").lower()
