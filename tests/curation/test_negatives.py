"""Correctness pairs: hard, stored, the same again for the same seed, and never shown to an annotator."""

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlite_utils
from hypothesis import given
from hypothesis import strategies as st

from curation.batching import BatchRequest, make_batch
from curation.curating import pair_rows
from curation.negatives import echo, make_negatives, with_answer, wrong_option
from curation.pairing import evidence_in_words, propose_pairs
from store.candidates import get_candidate, list_candidates
from store.clips import add_clip, add_qa_pair
from store.comparisons import fresh_pairs
from store.database import open_store
from store.errors import InputError
from store.pairs import MADE_WRONG, list_pairs, set_pair_state
from store.records import PreferencePair, QAPair
from store.row_words import final_answer, right_option
from store.rows import digest_id
from tests.curation.annotating import annotate
from tests.seeds import Seeded, seed_project

OPTIONS = ("throws the ball to the boy", "throws a ball", "sits", "the man in the red shirt looks at a dog and at the sea")
QA = QAPair("qa", "clip", "1", "what does the man do with the ball", "throws the ball to the boy", OPTIONS, 0, None, None, None, None)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite_utils.Database]:
    with open_store(tmp_path) as db:
        yield db


def made(db: sqlite_utils.Database) -> list[PreferencePair]:
    return [pair for pair in list_pairs(db) if pair.origin == "correctness"]


def texts(db: sqlite_utils.Database, pair: PreferencePair) -> tuple[str, str]:
    chosen, rejected = get_candidate(db, pair.chosen_id), get_candidate(db, pair.rejected_id)
    assert chosen and rejected and (chosen.clip_id, chosen.qa_id, chosen.kind) == (rejected.clip_id, rejected.qa_id, rejected.kind)
    return chosen.text, rejected.text


@st.composite
def questions(draw: st.DrawFn) -> QAPair:
    words = st.lists(st.sampled_from(["a", "man", "Ball", "ball", "red", "boy", "runs", "why"]), min_size=0, max_size=6).map(" ".join)
    options = tuple(draw(st.lists(words, min_size=1, max_size=6)))
    return replace(QA, id=draw(st.uuids()).hex, question=draw(words), options=options, answer_index=draw(st.integers(0, len(options) - 1)), answer=None)


@given(questions(), st.integers(0, 9))
def test_the_wrong_option_is_never_the_right_one_in_other_letters_and_the_same_seed_takes_the_same(qa: QAPair, seed: int) -> None:
    wrong, right = wrong_option(qa, seed), qa.options[right_option(qa) or 0]
    others = [option for option in qa.options if option.strip() and right.strip() and option.casefold().split() != right.casefold().split()]
    assert (wrong is not None) == bool(others)
    assert wrong is None or qa.options[wrong] in others
    assert wrong == wrong_option(qa, seed)


def test_the_wrong_option_is_like_the_right_one_in_length_and_in_words_of_the_question() -> None:
    assert wrong_option(QA, 42) == 1
    assert echo("throws the ball", QA.question) == pytest.approx(2 / 3)
    assert wrong_option(replace(QA, options=OPTIONS[:1] * 3, answer_index=0), 42) is None


def test_between_equals_the_seed_decides() -> None:
    equals = replace(QA, options=("red", "one", "two", "six"), answer_index=0)
    assert {wrong_option(equals, seed) for seed in range(30)} == {1, 2, 3}


def test_words_of_the_question_find_the_right_answer_less_often_than_beside_a_random_distractor() -> None:
    """The shortcut of POVQA's pairs: who takes the text that says more words of the question needs no video beside an answer to another question."""
    dice = random.Random(1)
    names = [f"word{number}" for number in range(200)]

    def question(number: int) -> QAPair:
        asked = dice.sample(names, 8)
        shares = [0.5, *(dice.choice((0.0, 0.2, 0.4, 0.6)) for _ in range(4))]
        options = [" ".join(dice.choice(asked if dice.random() < share else names) for _ in range(dice.randint(2, 8))) for share in shares]
        return replace(QA, id=str(number), question=" ".join(asked), options=tuple(options), answer_index=0)

    asked = [question(number) for number in range(3000)]
    ours = found(asked, [qa.options[wrong_option(qa, 42) or 0] for qa in asked])
    random_own = found(asked, [dice.choice(qa.options[1:]) for qa in asked])
    random_other = found(asked, [qa.options[0] for qa in (*asked[1:], asked[0])])
    assert random_other > 0.9, "the control: as POVQA draws them"
    assert ours < random_own - 0.02 and ours < 0.65, f"{ours:.3f}, and {random_own:.3f} beside another option of the same question at random"


def found(asked: list[QAPair], wrong: list[str]) -> float:
    """Return how often the right answer says more of the question's words than the wrong one; as many count half."""
    echoes = [(echo(qa.options[0], qa.question), echo(text, qa.question)) for qa, text in zip(asked, wrong, strict=True)]
    return sum(1.0 if right > other else 0.5 * (right == other) for right, other in echoes) / len(asked)


def test_a_question_without_an_accepted_rationale_gets_a_pair_of_answers(db: sqlite_utils.Database) -> None:
    seed_project(db)
    told = make_negatives(db)
    (pair,) = made(db)
    assert texts(db, pair) == ("A. to catch it", "B. for fun")
    assert (pair.kind, pair.state, told.new) == ("answer", "accepted", 1)
    assert evidence_in_words(pair) == "a wrong option in place of the right one"


def test_an_accepted_rationale_keeps_its_words_and_ends_in_the_wrong_option(db: sqlite_utils.Database) -> None:
    seeded = seed_project(db)
    annotate(db, seeded.rationale, "ann", "accept")
    annotate(db, seeded.rival, "ann", "reject", ["other"])
    assert make_negatives(db).standing == {"rationale": 1}
    (pair,) = made(db)
    chosen, rejected = texts(db, pair)
    assert (pair.chosen_id, chosen) == (seeded.rationale.id, seeded.rationale.text)
    assert rejected == with_answer(chosen, "B. for fun") == f"{chosen}\n\nFinal answer: B. for fun"
    assert final_answer(seeded.qa) == "A. to catch it"


def test_the_rows_of_a_pair_say_the_same_up_to_the_answer(db: sqlite_utils.Database) -> None:
    one, two = seed_project(db, "one"), seed_project(db, "two")
    annotate(db, one.rationale, "ann", "accept")
    make_negatives(db)
    rows = {row.kind: row for row in pair_rows(db).rows}
    assert rows["rationale"].reply == f"{one.rationale.text}\n\nFinal answer: A. to catch it"
    assert rows["rationale"].rejected == f"{one.rationale.text}\n\nFinal answer: B. for fun"
    assert (rows["answer"].reply, rows["answer"].rejected) == ("A. to catch it", "B. for fun")
    assert {row.split for row in rows.values()} == {one.clip.split, two.clip.split}


def test_making_them_again_changes_nothing_and_proposing_pairs_leaves_them_alone(db: sqlite_utils.Database) -> None:
    for name in ("one", "two"):
        seed_project(db, name)
    first, before = make_negatives(db), made(db)
    candidates = len(list_candidates(db))
    assert propose_pairs(db) == 0
    again = make_negatives(db)
    assert (first.new, again.new, again.gone) == (2, 0, 0)
    assert made(db) == before and len(list_candidates(db)) == candidates


def test_what_a_person_dropped_stays_dropped_and_what_no_longer_holds_goes(db: sqlite_utils.Database) -> None:
    one, two = seed_project(db, "one"), seed_project(db, "two")
    make_negatives(db)
    dropped = next(pair for pair in made(db) if pair.subject_id == one.qa.id)
    set_pair_state(db, dropped.id, "dropped")
    for seeded in (one, two):
        annotate(db, seeded.rationale, "ann", "accept")
    told = make_negatives(db)
    assert (told.new, told.gone, told.standing) == (2, 1, {"rationale": 2})
    assert [pair.state for pair in made(db) if pair.id == dropped.id] == ["dropped"]


def test_no_question_of_the_test_split_and_none_without_its_answer_makes_a_pair(db: sqlite_utils.Database) -> None:
    seeded = seed_project(db)
    add_clip(db, replace(seeded.clip, id="other", external_id="other", split="test"))
    for name, changes in {"held out": {"clip_id": "other"}, "withheld": {"answer": None, "answer_index": None}, "same": {"options": ("a", "A")}}.items():
        add_qa_pair(db, replace(seeded.qa, id=name, external_id=name, **changes))
    told = make_negatives(db)
    assert told.new == 1 and set(told.left_out.values()) == {1} and len(told.left_out) == 3
    assert "1 new correctness pair with seed 42" in told.sentence and "1 question of the test split" in told.sentence


def test_nobody_is_asked_to_annotate_or_to_compare_what_was_made_for_a_pair(db: sqlite_utils.Database) -> None:
    seeded = seed_project(db)
    annotate(db, seeded.rationale, "ann", "accept")
    before = fresh_pairs(db, "bo", 0, 100)
    make_negatives(db)
    assert len(list_candidates(db)) > 3 and fresh_pairs(db, "bo", 0, 100) == before
    with pytest.raises(InputError):
        make_batch(db, BatchRequest("answers", kind="answer"), "lea")
    db.execute("UPDATE generator SET name = 'somebody' WHERE name = ?", [MADE_WRONG])
    assert len(fresh_pairs(db, "bo", 0, 100)) > len(before), "the control"


@pytest.mark.parametrize("count", [1200])
def test_many_questions_are_kept_in_several_transactions_and_all_are_there(db: sqlite_utils.Database, count: int) -> None:
    seeded: Seeded = seed_project(db)
    rows = [replace(seeded.qa, id=digest_id(number), external_id=str(number + 2)) for number in range(count)]
    for qa in rows:
        add_qa_pair(db, qa)
    assert make_negatives(db).new == len(made(db)) == count + 1
