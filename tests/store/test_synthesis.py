"""Texts that were asked for: kept once by key, found by what is asked about them, and what nothing may learn from."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlite_utils
from hypothesis import given, settings
from hypothesis import strategies as st

from store.candidates import add_candidate, candidate_of, generator_of
from store.database import open_store, transaction
from store.queue import enqueue
from store.records import Candidate, Generator, Prompt, Signal, Synthesis
from store.rows import utc_now
from store.signals import add_signals
from store.synthesis import (
    SynthesisFilter,
    add_prompt,
    add_syntheses,
    count_syntheses,
    known_keys,
    list_prompts,
    list_syntheses,
    prompt_counts,
    synthesis_of,
    synthesis_runs,
    told_wrong,
    unqueued_of,
    waiting_of,
)
from tests.curation.annotating import memory_store
from tests.seeds import Seeded, seed_project

PROMPTS = [Prompt(digit * 64, f"prompt {digit}", "Tell $pairs.", f"2026-01-0{digit}") for digit in "12"]


def writer(arm: Mapping[str, Any], name: str = "model") -> Generator:
    return generator_of("api_model", name, "p", json.dumps({"arm": arm, "temperature": 0.7}), True)


GIVEN, WRONG, TOLD = writer({"answer": "given"}), writer({"answer": "wrong"}), writer({"order": "file"}, "other")


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite_utils.Database]:
    with open_store(tmp_path) as db:
        yield db


def put(db: sqlite_utils.Database, seeded: Seeded, by: Generator, run: str, *words: str, prompt: Prompt = PROMPTS[0]) -> list[Candidate]:
    """Keep an answer of each of these words, with the key "run/words"."""
    kind, qa_id = ("narrative", None) if by == TOLD else ("rationale", seeded.qa.id)
    texts = [candidate_of(kind, seeded.clip.id, qa_id, by, text) for text in words]
    cost: dict[str, Any] = {"tokens_in": 9, "tokens_out": 5, "money": 0.25, "currency": "EUR", "attempts": 1, "seconds": 1.5, "model": "m-1"}
    told: dict[str, Any] = dict.fromkeys(("sources", "citations", "problems"), ())
    with transaction(db):
        add_prompt(db, prompt)
        answers = [Synthesis(f"{run}/{text.text}", run, text.id, prompt.sha256, 1, None, **cost, **told, shown="{}", finished_at=utc_now()) for text in texts]
        add_syntheses(db, by, list(zip(texts, answers, strict=True)))
    return texts


def words(db: sqlite_utils.Database, chosen: SynthesisFilter, first: int = 0, count: int = 50) -> list[str]:
    return [one.candidate.text for one in list_syntheses(db, chosen, first, count)]


def test_the_same_answer_twice_is_kept_once_and_the_same_words_of_two_are_one_text(db: sqlite_utils.Database) -> None:
    seeded = seed_project(db)
    (text,) = put(db, seeded, GIVEN, "a", "He runs.")
    put(db, seeded, GIVEN, "a", "He runs.")
    assert [one.key for one in synthesis_of(db, text.id)] == ["a/He runs."]
    put(db, seeded, GIVEN, "b", "He runs.")
    assert [one.key for one in synthesis_of(db, text.id)] == ["a/He runs.", "b/He runs."]
    assert db.table("candidate").count == 3 + 1 and synthesis_of(db, seeded.rationale.id) == []


@settings(max_examples=10, deadline=None)
@given(st.sets(st.text("abc", min_size=1, max_size=4)), st.sets(st.text("abc", min_size=1, max_size=4)))
def test_known_keys_are_those_that_are_kept(kept: set[str], asked: set[str]) -> None:
    with memory_store() as db:
        put(db, seed_project(db), GIVEN, "a", *sorted(kept))
        assert known_keys(db, (f"a/{one}" for one in asked)) == {f"a/{one}" for one in kept & asked}


def test_texts_are_found_by_run_writer_arm_kind_and_problem_the_newest_first(db: sqlite_utils.Database) -> None:
    seeded = seed_project(db)
    one, two = put(db, seeded, GIVEN, "a", "one", "two")
    put(db, seeded, WRONG, "b", "three")
    put(db, seeded, TOLD, "c", "four", prompt=PROMPTS[1])
    add_signals(db, [Signal(one.id, "bad_citations", 0.5), Signal(two.id, "bad_citations", 0.0)])
    for chosen, found in (
        (SynthesisFilter(), ["four", "three", "two", "one"]),
        (SynthesisFilter(run_id="a"), ["two", "one"]),
        (SynthesisFilter(generator_id=TOLD.id), ["four"]),
        (SynthesisFilter(arm={"answer": "wrong"}), ["three"]),
        (SynthesisFilter(kind="rationale"), ["three", "two", "one"]),
        (SynthesisFilter(problem="bad_citations"), ["one"]),
        (SynthesisFilter(run_id="b", problem="bad_citations"), []),
        (SynthesisFilter(run_id="nowhere"), []),
    ):
        assert (words(db, chosen), count_syntheses(db, chosen)) == (found, len(found))
    assert words(db, SynthesisFilter(), 1, 2) == ["three", "two"]
    assert [(run.run_id, run.kind, run.generator, run.texts) for run in synthesis_runs(db)] == [
        ("c", "narrative", TOLD, 1), ("b", "rationale", WRONG, 1), ("a", "rationale", GIVEN, 2),
    ]  # fmt: skip
    assert prompt_counts(db) == {PROMPTS[0].sha256: 3, PROMPTS[1].sha256: 1}
    assert [prompt.name for prompt in list_prompts(db)] == ["prompt 2", "prompt 1"]


def test_a_text_tells_its_clip_its_cost_and_where_it_waits(db: sqlite_utils.Database) -> None:
    seeded = seed_project(db)
    one, two, _ = put(db, seeded, GIVEN, "a", "one", "two", "three")
    enqueue(db, one.id, 1)
    enqueue(db, two.id, 3)
    db.execute("INSERT INTO assignment VALUES ('x', ?, 'ann', 1, 'final', 't', 't')", [one.id])
    told = {text.candidate.text: text for text in list_syntheses(db, SynthesisFilter(), 0, 9)}
    assert told["one"].clip_name == "test one" and told["one"].batch_name == "All that is imported" and told["one"].entry
    assert (told["one"].synthesis.money, told["one"].synthesis.currency, told["one"].generator) == (0.25, "EUR", GIVEN)
    assert (told["three"].batch_name, told["three"].entry) == (None, None)
    assert [(one.batch_name, one.texts, one.finished) for one in waiting_of(db, "a")] == [("All that is imported", 2, 1), (None, 1, 0)]
    assert unqueued_of(db, "a") == [told["three"].candidate.id]


def test_an_empty_store_has_no_runs_and_no_texts(db: sqlite_utils.Database) -> None:
    assert (synthesis_runs(db), words(db, SynthesisFilter()), count_syntheses(db, SynthesisFilter()), waiting_of(db, "a")) == ([], [], 0, [])


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({"arm": {"answer": "wrong"}}, True),
        ({"answer": "wrong"}, True),
        ({"arm": {"answer": "given"}}, False),
        ({"arm": {"answer": "withheld"}, "temperature": 1}, False),
        (["wrong"], False),
        (None, False),
    ],
)
def test_a_text_for_a_wrong_answer_is_known_by_its_writers_settings_and_a_persons_edit_of_it_is_none(
    db: sqlite_utils.Database, settings: Any, found: bool
) -> None:
    seeded = seed_project(db)
    model = generator_of("imported", "model", settings=None if settings is None else json.dumps(settings))
    text = candidate_of("rationale", seeded.clip.id, seeded.qa.id, model, "He runs away.")
    person = replace(model, id="person", kind="person")
    edit = replace(candidate_of("rationale", seeded.clip.id, seeded.qa.id, person, "He runs.", text.id), generator_id="person")
    add_candidate(db, text, model)
    add_candidate(db, edit, person)
    assert told_wrong(db, [text.id, edit.id, seeded.rationale.id, "nothing"]) == ({text.id} if found else set())
