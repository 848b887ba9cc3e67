"""Texts of a model before annotators: kept once, blind, whole, and without the final answer that a row gets by itself."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlite_utils

from curation.adapter_texts import Taken, take_texts
from curation.batching import open_or_close
from curation.desk import item_for, lease_items
from curation.final_answers import ANSWERED_RIGHT, is_right, split_answer
from store.adapters import put_adapter
from store.batches import list_batches
from store.candidates import generator_of, get_candidate
from store.database import open_store
from store.errors import ConflictError, InputError, NotFoundError
from store.queue import list_queue
from store.records import Adapter, CuratedSet, Run
from store.rows import as_row, utc_now
from store.signals import signals_of
from tests.seeds import Seeded, seed_project

SECRET = "secret adapter"
WRITER = generator_of("adapter", SECRET, settings="{}", answer_given=False)


@dataclass(frozen=True)
class Wrote:
    """A store with a seeded clip and question, and a run of stage write whose texts lie in its directory."""

    data: Path
    db: sqlite_utils.Database
    seeded: Seeded

    def text(self, words: str, kind: str = "rationale", **changes: Any) -> dict[str, Any]:
        row = self.seeded.clip.id if kind == "narrative" else self.seeded.qa.id
        return {"row": row, "clip": self.seeded.clip.id, "kind": kind, "text": words, "tokens": 5, "cut": False, "seconds": 1.0, **changes}

    def take(self, *texts: dict[str, Any], batch: str = "November", run: str = "write-run", wanted: int = 2) -> Taken:
        lines = "".join(json.dumps(text, ensure_ascii=False) + "\n" for text in texts)
        (self.data / "runs" / run).mkdir(parents=True, exist_ok=True)
        (self.data / "runs" / run / "texts.jsonl").write_text(lines)
        (self.data / "runs" / run / "config.json").write_text(json.dumps({"model": "secret base"}))
        return take_texts(self.db, self.data, run, batch, wanted, "Ada")

    def mine(self) -> list[str]:
        """Return the texts in the queue that are not the seeds."""
        seeds = {self.seeded.narrative.id, self.seeded.rationale.id, self.seeded.rival.id}
        found = [get_candidate(self.db, entry.candidate_id) for entry in list_queue(self.db) if entry.candidate_id not in seeds]
        return [candidate.text for candidate in found if candidate]


@pytest.fixture
def wrote(tmp_path: Path) -> Any:
    with open_store(tmp_path) as db:
        seeded = seed_project(db)
        for kind in ("sft", "questions"):
            db.table("curated_set").insert(as_row(CuratedSet(kind, kind, kind, "0" * 64, 1, "{}", f"exports/{kind}", utc_now())))
        runs = [("sft-run", "sft", "sft", None), ("write-run", "write", "questions", "sft-run"), ("base-run", "write", "questions", None)]
        for run_id, stage, set_id, parent in runs:
            db.table("run").insert(as_row(Run(run_id, f"name of {run_id}", stage, set_id, parent, f"runs/{run_id}", utc_now())))
        put_adapter(db, Adapter("adapter", "sft-run", WRITER.id, "0" * 64, utc_now()), WRITER, ["row"])
        yield Wrote(tmp_path, db, seeded)


def test_texts_become_candidates_of_the_adapter_in_a_batch_and_twice_is_once(wrote: Wrote) -> None:
    texts = [wrote.text("He runs to it.\n\nFinal answer: A. to catch it"), wrote.text("A man runs.", "narrative"), wrote.text("to catch it", "answer")]
    taken = wrote.take(*texts)
    assert (taken.written, taken.queued) == (3, 3) and sorted(wrote.mine()) == ["A man runs.", "He runs to it.", "to catch it"]
    with pytest.raises(InputError, match="None of the 3 texts can be queued: 3 were queued before"):
        wrote.take(*texts)
    more = wrote.take(*texts, wrote.text("He wants to catch it."))
    assert (more.queued, more.known) == (1, 3) and "Left out: 3 were queued before" in more.sentence
    (batch,) = [one for one in list_batches(wrote.db) if one.name == "November"]
    assert (batch.wanted, batch.ordering, batch.open_to_all) == (2, "random", True)


def test_an_annotator_is_shown_the_text_and_nothing_of_its_writer(wrote: Wrote) -> None:
    wrote.db.execute("DELETE FROM queue_entry")
    wrote.take(wrote.text("He runs to it."))
    shown = json.dumps(asdict(item_for(wrote.db, "Bea", lease_items(wrote.db, "Bea")[0])))
    assert "He runs to it." in shown and not [word for word in (SECRET, WRITER.id, "adapter", "November", "write-run") if word in shown]


def test_what_is_cut_empty_or_of_no_use_is_counted_and_left_out(wrote: Wrote) -> None:
    taken = wrote.take(
        wrote.text("He runs to", cut=True),
        wrote.text("Final answer: A. to catch it"),
        wrote.text("  "),
        wrote.text("He says <|im_end|> and goes."),
        wrote.text("About nothing.", row="no such question"),
        wrote.text("Gone.", clip="no such clip"),
        wrote.text("Whole."),
    )
    assert (taken.written, taken.queued, taken.cut, taken.empty, taken.refused) == (7, 1, 1, 2, 3) and wrote.mine() == ["Whole."]
    assert "1 were cut, 2 are empty, 3 cannot be used" in taken.sentence


def test_a_run_that_leaves_nothing_to_queue_makes_no_batch(wrote: Wrote) -> None:
    with pytest.raises(InputError, match="1 were cut"):
        wrote.take(wrote.text("He runs to", cut=True))
    assert [batch.name for batch in list_batches(wrote.db) if batch.name == "November"] == []


def test_texts_of_adapter_and_base_share_a_batch_and_keep_their_writers(wrote: Wrote) -> None:
    wrote.take(wrote.text("By the adapter."))
    wrote.take(wrote.text("By the base."), run="base-run", wanted=9)
    query = "SELECT g.kind, g.name FROM candidate c JOIN generator g ON g.id = c.generator_id WHERE c.text = ?"
    found = {text: next(wrote.db.query(query, [text])) for text in wrote.mine()}
    assert {text: (row["kind"], row["name"]) for text, row in found.items()} == {
        "By the adapter.": ("adapter", SECRET),
        "By the base.": ("base_model", "secret base"),
    }
    assert {entry.wanted for entry in list_queue(wrote.db)} == {2}, "the batch's own number holds"


@pytest.mark.parametrize("name", ["of Secret Adapter", "write-run", "name of write-run again", " ", "x" * 61])
def test_a_batch_whose_name_would_tell_the_writer_is_refused(wrote: Wrote, name: str) -> None:
    with pytest.raises(InputError):
        wrote.take(wrote.text("He runs."), batch=name)
    assert not wrote.mine()


def test_a_closed_batch_an_unknown_run_and_a_run_that_trains_are_refused(wrote: Wrote) -> None:
    wrote.take(wrote.text("He runs."))
    open_or_close(wrote.db, next(one.id for one in list_batches(wrote.db) if one.name == "November"), "closed")
    with pytest.raises(ConflictError, match="closed"):
        wrote.take(wrote.text("He waits."))
    for run in ("nowhere", "sft-run"):
        with pytest.raises(NotFoundError, match="has written no texts"):
            take_texts(wrote.db, wrote.data, run, "December", 2, "Ada")


def test_whether_the_writer_answered_right_is_kept_as_a_signal(wrote: Wrote) -> None:
    wrote.take(wrote.text("So.\nFinal answer: b. for fun"), wrote.text("Thus.\nfinal answer: A"), wrote.text("No answer at all."))
    told = {
        candidate.text: [(one.name, one.value) for one in signals_of(wrote.db, candidate.id)]
        for entry in list_queue(wrote.db)
        if (candidate := get_candidate(wrote.db, entry.candidate_id)) and candidate.generator_id == WRITER.id
    }
    assert told == {"So.": [(ANSWERED_RIGHT, 0.0)], "Thus.": [(ANSWERED_RIGHT, 1.0)], "No answer at all.": []}


@pytest.mark.parametrize(
    ("text", "words", "answer"),
    [
        ("He runs.\n\nFinal answer: A. to catch it", "He runs.", "A. to catch it"),
        ("He runs. Final answer: A. to catch it", "He runs.", "A. to catch it"),
        ("He runs.\nFinal answer: A\nNo, wait.", "He runs.\nFinal answer: A\nNo, wait.", None),
        ("The final answer: is it?", "The final answer: is it?", None),
        ("Final answer: B", "", "B"),
    ],
)
def test_only_a_final_answer_on_the_last_line_is_cut_off(text: str, words: str, answer: str | None) -> None:
    assert split_answer(text) == (words, answer)


def test_an_answer_is_right_by_its_letter_its_words_or_both(wrote: Wrote) -> None:
    qa = wrote.seeded.qa
    assert all(is_right(one, qa) for one in ("A", "(a)", "To catch it.", "A. to catch it"))
    assert not any(is_right(one, qa) for one in ("B", "for fun", "", "A or B"))
