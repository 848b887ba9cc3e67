"""What the data set gives: raw answers to learn from, questions to measure with, and how much a pair weighs."""

import dataclasses
import json
from pathlib import Path

import pytest
import sqlite_utils
from hypothesis import given
from hypothesis import strategies as st

from curation.curating import AcceptRule, accepted_rows, pair_rows, question_rows
from curation.export import freeze_set
from curation.negatives import make_negatives
from curation.pair_weights import LEAST, MOST, pair_strength, with_mean_one
from curation.pairing import Evidence, propose_pairs
from store.clips import add_clip, add_qa_pair
from store.database import open_store
from store.errors import InputError
from store.pairs import add_pair, list_pairs, set_pair_state
from store.records import CuratedSet, PreferencePair
from store.rows import utc_now
from tests.curation.annotating import annotate, memory_store
from tests.seeds import Seeded, seed_project
from training.questions import load_questions
from training.rows import load_set

HELD_OUT = {"one": "train", "two": "validation", "three": "test"}


def seed_all(db: sqlite_utils.Database) -> dict[str, Seeded]:
    """Put a clip with a question into each split."""
    made = {}
    for name, split in HELD_OUT.items():
        seeded = seed_project(db, name)
        db.execute("UPDATE clip SET split = ? WHERE id = ?", [split, seeded.clip.id])
        made[split] = seeded
    return made


def frozen(data: Path, kind: str, **how: tuple[str, ...]) -> tuple[CuratedSet, list[dict], str]:
    made = freeze_set(data, kind, "a set", **how)
    folder = data / made.directory
    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text(encoding="utf-8").split("\n") if line]
    return made, rows, (folder / "datasheet.md").read_text(encoding="utf-8")


def test_the_answers_of_the_data_set_are_rows_when_they_are_asked_for_and_need_no_verdict(tmp_path: Path) -> None:
    with open_store(tmp_path) as db:
        seeded = seed_all(db)
        annotate(db, seeded["train"].narrative, "ann", "accept")
        assert [row.kind for row in accepted_rows(db, AcceptRule()).rows] == ["narrative"], "the control"
    made, rows, sheet = frozen(tmp_path, "sft", parts=("narrative", "answer"))
    assert sorted((row["kind"], row["split"]) for row in rows) == [("answer", "test"), ("answer", "train"), ("answer", "validation"), ("narrative", "train")]
    answer = next(row for row in rows if row["kind"] == "answer")
    assert answer["completion"][0]["content"] == "A. to catch it"
    assert "Write the answer only." in answer["prompt"][0]["content"]
    assert "B. for fun" in answer["prompt"][0]["content"]
    assert answer["source"]["candidate_id"] is None and answer["source"]["qa_id"] in {one.qa.id for one in seeded.values()}
    assert "3 rows of the kind answer are QA pairs as the data set gives them: nobody judged them." in sheet
    assert len(load_set(tmp_path / made.directory).rows) == 4, "training reads them"
    assert len({row["id"] for row in rows}) == 4


def test_an_answer_that_is_withheld_is_no_row(tmp_path: Path) -> None:
    with open_store(tmp_path) as db:
        seed_project(db)
        assert accepted_rows(db, AcceptRule(kinds=(), given_answers=True)).rows, "the control"
        db.execute("UPDATE qa_pair SET answer = NULL, answer_index = NULL")
        selection = accepted_rows(db, AcceptRule(kinds=(), given_answers=True))
    assert (selection.rows, selection.left_out) == ((), {"the data set withholds the answer": 1})


@pytest.mark.parametrize("parts", [("poem",), ("narrative", "poem")])
def test_a_kind_of_rows_that_is_not_known_is_refused(tmp_path: Path, parts: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="narrative, rationale, answer"):
        freeze_set(tmp_path, "sft", "a set", parts)


def test_a_set_of_pairs_can_be_of_one_origin_alone(tmp_path: Path) -> None:
    with open_store(tmp_path) as db:
        project = seed_project(db)
        for origin in ("edit", "correctness"):
            pair = PreferencePair(
                origin, project.rationale.subject_id, "rationale", project.rationale.id, project.rival.id, origin, "{}", "accepted", utc_now()
            )
            assert add_pair(db, pair)
        assert [pair_rows(db).rows[0].origin, *(pair_rows(db, "accepted", (origin,)).rows[0].origin for origin in ("correctness", "edit"))] == [
            "edit", "correctness", "edit",
        ]  # fmt: skip
    for part in ("correctness", "edit"):
        made, rows, _ = frozen(tmp_path, "dpo", parts=(part,))
        assert [row["origin"] for row in rows] == [part] and json.loads(made.rule)["origins"] == [part]
    with pytest.raises(InputError, match="comparison"):
        freeze_set(tmp_path, "dpo", "a set", ("whim",))
    with pytest.raises(InputError, match="Accept proposed pairs"):
        freeze_set(tmp_path, "dpo", "a set", ("verdict",))


# Questions.


def test_questions_are_those_about_held_out_clips_and_training_reads_them_as_they_are(tmp_path: Path) -> None:
    with open_store(tmp_path) as db:
        seeded = seed_all(db)
    made, rows, sheet = frozen(tmp_path, "questions")
    assert {row["id"]: row["split"] for row in rows} == {seeded[split].qa.id: split for split in ("validation", "test")}
    assert made.row_count == 2
    assert "nobody judged them" in sheet and "| CW | 2 |" in sheet
    for question in load_questions(tmp_path / made.directory):
        assert (question.type, question.options, question.answer) == ("CW", ("to catch it", "for fun"), 0)
        assert question.question in question.prompt


def test_the_reply_that_is_scored_is_the_reply_that_a_raw_answer_teaches(tmp_path: Path) -> None:
    with open_store(tmp_path) as db:
        seed_all(db)
        options = [f"thing {number}" for number in range(30)]
        db.execute("UPDATE qa_pair SET options = ?, answer_index = 28, answer = 'thing 28'", [json.dumps(options)])
    taught = {row["source"]["qa_id"]: row for row in frozen(tmp_path, "sft", parts=("answer",))[1]}
    made, _, _ = frozen(tmp_path, "questions")
    for question in load_questions(tmp_path / made.directory):
        row = taught[question.id]
        assert question.replies[question.answer] == row["completion"][0]["content"]
        assert question.prompt == row["prompt"][0]["content"]
        assert f"\n{question.replies[25]}\n" in question.prompt, "an option is replied with as it is listed"


@pytest.mark.parametrize(
    ("options", "answer", "index", "reason"),
    [
        ([], "yes", None, "it has no options to choose from"),
        (["a", "b"], "c", None, "it has no options to choose from"),
        (["a"], "a", 0, "it has no options to choose from"),
        (["a", "a "], "a", 0, "two of its options say the same"),
        (["a", " "], "a", 0, "one of its options is empty"),
        (["a", "b"], None, None, "the data set withholds the answer"),
    ],
)
def test_a_question_without_one_right_option_is_left_out_and_counted(options: list[str], answer: str | None, index: int | None, reason: str) -> None:
    with memory_store() as db:
        seed_all(db)
        assert len(question_rows(db).rows) == 2, "the control"
        db.execute("UPDATE qa_pair SET options = ?, answer = ?, answer_index = ?", [json.dumps(options), answer, index])
        selection = question_rows(db)
    assert (selection.rows, selection.left_out) == ((), {reason: 2})


def test_no_question_is_about_a_file_that_is_held_out_further_under_another_name() -> None:
    with memory_store() as db:
        seeded = seed_all(db)["validation"]
        add_clip(db, dataclasses.replace(seeded.clip, id="other", dataset="other", external_id="other", group_key="other", split="test"))
        add_qa_pair(db, dataclasses.replace(seeded.qa, id="other qa", clip_id="other", question="and why did he stop"))
        selection = question_rows(db)
    assert "other qa" in {row.qa.id for row in selection.rows if row.qa}
    assert selection.left_out == {"the same video is in the test split under another name": 1}


# How much a pair weighs.

votes = st.integers(0, 6).flatmap(lambda asked: st.tuples(st.integers(0, asked), st.just(asked)))


@given(votes, votes, st.none() | st.integers(0, 3))
def test_a_pair_weighs_between_a_tenth_and_one_and_more_with_more_votes_for_it(
    chosen: tuple[int, int], rejected: tuple[int, int], severity: int | None
) -> None:
    evidence = Evidence(chosen_for=chosen[0], chosen_of=chosen[1], rejected_for=rejected[0], rejected_of=rejected[1])
    strength = pair_strength(evidence, severity)
    if severity is None or not chosen[1] or not rejected[1]:
        assert strength is None
        return
    assert strength is not None and LEAST <= strength <= MOST
    more = dataclasses.replace(evidence, chosen_for=chosen[1] + 1, chosen_of=chosen[1] + 1)
    assert (pair_strength(more, severity) or 0) >= strength or chosen[0] == chosen[1]
    decided = pair_strength(dataclasses.replace(evidence, rejected_by_decision=True), severity)
    assert decided is not None and decided >= strength, "a decision speaks as if all had voted so"


def test_three_votes_of_three_on_both_sides_against_the_worst_error_weigh_three_quarters() -> None:
    evidence = Evidence(chosen_for=3, chosen_of=3, rejected_for=3, rejected_of=3)
    assert pair_strength(evidence, 3) == pytest.approx(2 * 7 / 8 - 1)
    assert pair_strength(evidence, 1) == pytest.approx((2 * 7 / 8 - 1) / 3)


@given(st.lists(st.none() | st.floats(LEAST, MOST), min_size=1))
def test_the_mean_weight_is_one_and_what_is_not_known_weighs_one(strengths: list[float | None]) -> None:
    weights = with_mean_one(strengths)
    assert sum(weights) / len(weights) == pytest.approx(1)
    assert all(weight == 1 for weight, strength in zip(weights, strengths, strict=True) if strength is None)


def test_a_pair_row_tells_its_weight_and_its_origin(tmp_path: Path) -> None:
    with open_store(tmp_path) as db:
        for name, annotators in (("one", ["ann"]), ("two", ["ann", "bo", "cy"])):
            seeded = seed_project(db, name)
            for annotator in annotators:
                annotate(db, seeded.rationale, annotator, "accept")
                annotate(db, seeded.rival, annotator, "reject", ["justified_fabrication"])
        edited = seed_project(db, "three")
        annotate(db, edited.rationale, "ann", "reject", ["other"], edited="He runs after the ball.")
        propose_pairs(db)
        for pair in list_pairs(db):
            set_pair_state(db, pair.id, "accepted")
        assert len(pair_rows(db).rows) == 3
    _, rows, sheet = frozen(tmp_path, "dpo")
    weights = {row["origin"]: sorted(one["weight"] for one in rows if one["origin"] == row["origin"]) for row in rows}
    assert weights["edit"] == [1.0], "nobody voted on it"
    low, high = weights["verdict"]
    assert low < 1 < high and low + high == pytest.approx(2)
    assert high / low == pytest.approx((2 * 7 / 8 - 1) / (2 * 3 / 4 - 1)), "six votes of six against two of two"
    assert "clip((2P - 1) x s / 3, 0.1, 1)" in sheet


def test_a_correctness_pair_says_the_same_words_and_parts_at_the_final_answer() -> None:
    with memory_store() as db:
        seeded = seed_project(db)
        annotate(db, seeded.rationale, "ann", "accept")
        make_negatives(db)
        (row,) = pair_rows(db).rows
        assert len(accepted_rows(db, AcceptRule()).rows) == 1, "what was made wrong is not accepted"
    assert (row.origin, row.weight) == ("correctness", 1.0)
    assert row.reply == f"{seeded.rationale.text}\n\nFinal answer: A. to catch it"
    assert row.rejected == f"{seeded.rationale.text}\n\nFinal answer: B. for fun"
