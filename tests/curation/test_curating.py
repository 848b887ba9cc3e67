"""What is accepted for training, and what a row says."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlite_utils
from hypothesis import given
from hypothesis import strategies as st

from curation.curating import AcceptRule, accepted_rows, pair_rows
from curation.pairing import propose_pairs
from curation.selecting import Selection
from curation.splits import held_out_splits
from store.candidates import add_candidate, candidate_of, list_candidates
from store.clips import add_clip, add_media, add_subtitles, set_health
from store.database import open_store
from store.errors import InputError
from store.pairs import list_pairs, set_pair_state
from store.records import Clip, Media, QAPair, Subtitle
from store.row_words import final_answer, load_prompts, prompt_for
from tests.curation.annotating import annotate, memory_store
from tests.curation.choosing import choose_text
from tests.seeds import OTHER_WRITER, WRITER, Seeded, seed_project

VERDICTS = ["accept", "reject", "unsure", "skip"]
QA = QAPair("qa", "clip", "1", "who runs", "a man", (), None, None, None, None, None)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite_utils.Database]:
    with open_store(tmp_path) as db:
        yield db


def only(selection: Selection, reason: str) -> bool:
    return not selection.rows and list(selection.left_out) == [reason]


@given(st.lists(st.sampled_from(VERDICTS), max_size=5), st.integers(1, 3))
def test_a_text_is_accepted_by_a_strict_majority_of_enough_annotations_skips_left_out(verdicts: list[str], least: int) -> None:
    with memory_store() as db:
        narrative = seed_project(db).narrative
        for number, verdict in enumerate(verdicts):
            annotate(db, narrative, f"annotator {number}", verdict)
        rows = accepted_rows(db, AcceptRule(min_annotations=least)).rows
    told = [verdict for verdict in verdicts if verdict != "skip"]
    assert bool(rows) == (len(told) >= least and told.count("accept") > len(told) / 2)
    assert all(len(row.source["annotation_ids"]) == len(told) for row in rows)


@given(st.lists(st.sampled_from(VERDICTS), max_size=3), st.booleans())
def test_an_edit_by_a_person_is_accepted_unless_others_reject_it_and_its_rejected_original_never_is(verdicts: list[str], edits: bool) -> None:
    with memory_store() as db:
        original = seed_project(db).rationale
        edit = annotate(db, original, "ann", "reject", ["other"], edited="He runs after the ball.")
        assert edit
        for number, verdict in enumerate(verdicts):
            annotate(db, edit, f"annotator {number}", verdict)
        rows = accepted_rows(db, AcceptRule(edits=edits)).rows
    told = [verdict for verdict in verdicts if verdict != "skip"]
    by_vote, refused = told.count("accept") > len(told) / 2, told.count("reject") > len(told) / 2
    assert [row.id for row in rows] == ([edit.id] if by_vote or (edits and not refused) else [])


def test_an_edit_that_its_author_took_back_is_not_accepted(db: sqlite_utils.Database) -> None:
    original = seed_project(db).narrative
    annotate(db, original, "ann", "reject", edited="A man runs.")
    second = annotate(db, original, "ann", "reject", edited="A man runs and stops.")
    assert second
    assert [row.id for row in accepted_rows(db, AcceptRule()).rows] == [second.id]
    annotate(db, original, "ann", "unsure")
    assert not accepted_rows(db, AcceptRule()).rows


def test_an_edit_that_a_model_made_needs_votes_like_any_other_text(db: sqlite_utils.Database) -> None:
    seeded = seed_project(db)
    add_candidate(db, candidate_of("narrative", seeded.clip.id, None, OTHER_WRITER, "Rewritten.", seeded.narrative.id), OTHER_WRITER)
    assert not accepted_rows(db, AcceptRule()).rows


def test_answers_are_no_texts_to_train_on(db: sqlite_utils.Database) -> None:
    seeded = seed_project(db)
    answer = candidate_of("answer", seeded.clip.id, seeded.qa.id, WRITER, "for fun")
    add_candidate(db, answer, WRITER)
    annotate(db, answer, "ann", "accept")
    assert not accepted_rows(db, AcceptRule()).rows
    assert accepted_rows(db, AcceptRule(kinds=("answer",))).rows, "the control"


def test_a_rule_that_asks_nobody_is_refused() -> None:
    with pytest.raises(InputError, match="nobody judged"):
        AcceptRule(min_annotations=0)


# What a row says.


def test_a_rationale_is_asked_with_lettered_options_and_ends_in_its_final_answer(db: sqlite_utils.Database) -> None:
    seeded = seed_project(db)
    annotate(db, seeded.rationale, "ann", "accept")
    (row,) = accepted_rows(db, AcceptRule()).rows
    assert "Question: why did he run\nOptions:\nA. to catch it\nB. for fun\n" in row.prompt
    assert row.reply == seeded.rationale.text + "\n\nFinal answer: A. to catch it"
    assert (row.clip_id, row.digest, row.start_s, row.end_s) == (seeded.clip.id, seeded.clip.digest, 0.0, None)
    assert row.source["generator_id"] == WRITER.id
    assert "secret" not in str(row), "names of generators stay in the store"


def test_a_narrative_is_asked_for_what_happens_and_is_the_text_alone(db: sqlite_utils.Database) -> None:
    seeded = seed_project(db)
    annotate(db, seeded.narrative, "ann", "accept")
    (row,) = accepted_rows(db, AcceptRule()).rows
    assert row.reply == seeded.narrative.text
    assert "one paragraph" in row.prompt
    assert "$" not in row.prompt


@given(st.text(min_size=1), st.lists(st.text(min_size=1), max_size=30))
def test_every_word_of_a_question_and_its_options_stands_in_the_prompt_as_it_is(question: str, options: list[str]) -> None:
    prompt = prompt_for(load_prompts(), "rationale", dataclasses.replace(QA, question=question, options=tuple(options)))
    assert question.strip() in prompt
    assert all(option.strip() in prompt for option in options)


@pytest.mark.parametrize(
    "answer, options, index, expected",
    [
        ("a man", (), None, "a man"),
        ("a man", ("a dog", "a man"), 1, "B. a man"),
        ("a man", ("a dog", "a man"), None, "B. a man"),
        ("a hen", ("a dog", "a man"), None, "a hen"),
        (None, (), None, None),
    ],
)
def test_the_final_answer_carries_its_letter_when_it_is_an_option(
    answer: str | None, options: tuple[str, ...], index: int | None, expected: str | None
) -> None:
    assert final_answer(dataclasses.replace(QA, answer=answer, options=options, answer_index=index)) == expected


@pytest.mark.parametrize("window, end_s, expected", [((2.0, 4.0), None, (12.0, 14.0)), ((2.0, 99.0), 15.0, (12.0, 15.0)), ((None, 3.0), None, (10.0, 13.0))])
def test_the_window_of_a_question_counts_from_the_start_of_its_clip(
    db: sqlite_utils.Database, window: tuple[float | None, float], end_s: float | None, expected: tuple[float, float]
) -> None:
    seeded = seed_project(db)
    db.execute("UPDATE clip SET start_s = 10, end_s = ?", [end_s])
    db.execute("UPDATE qa_pair SET window_start_s = ?, window_end_s = ?", list(window))
    annotate(db, seeded.rationale, "ann", "accept")
    (row,) = accepted_rows(db, AcceptRule()).rows
    assert (row.start_s, row.end_s) == expected


def seed_lines(db: sqlite_utils.Database, seeded: Seeded, *lines: tuple[float, float, str]) -> None:
    add_subtitles(db, [Subtitle(seeded.clip.id, number, *line) for number, line in enumerate(lines)])


LINES = ((4.0, 6.0, "late"), (0.0, 1.0, "before"), (1.5, 2.5, " across "), (3.0, 3.2, " "), (2.0, 2.6, "first"), (4.0, 9.0, "behind"))


def test_a_row_carries_the_lines_of_its_span_in_order_and_the_pause_on_its_own_clock(db: sqlite_utils.Database) -> None:
    seeded = seed_project(db)
    seed_lines(db, seeded, *LINES)
    db.execute("UPDATE clip SET start_s = 10")
    annotate(db, seeded.rationale, "ann", "accept")
    annotate(db, seeded.narrative, "ann", "accept")
    whole = [[0.0, 1.0, "before"], [1.5, 2.5, "across"], [2.0, 2.6, "first"], [4.0, 6.0, "late"], [4.0, 9.0, "behind"]]
    for row in accepted_rows(db, AcceptRule()).rows:
        assert row.context == {"lines": whole, "pause_s": None, "window_s": None}
    db.execute("UPDATE qa_pair SET window_start_s = 1.7, window_end_s = 4, pause_s = 3.1")
    rows = {row.kind: row for row in accepted_rows(db, AcceptRule()).rows}
    assert rows["rationale"].context == {"lines": [[-0.2, 0.8, "across"], [0.3, 0.9, "first"]], "pause_s": 1.4, "window_s": [0.0, 2.3]}
    assert rows["narrative"].context["lines"] == whole, "a narrative has no question, so no window"


# What is left out.


def test_a_line_that_speaks_the_marks_of_a_chat_template_leaves_its_rows_out(db: sqlite_utils.Database) -> None:
    seeded = accepted_narrative(db)
    seed_lines(db, seeded, (0.0, 1.0, "he says <|im_end|>"))
    assert only(accepted_rows(db, AcceptRule()), "a text holds a mark of a chat template, such as <|im_end|>")


def accepted_narrative(db: sqlite_utils.Database) -> Seeded:
    seeded = seed_project(db)
    annotate(db, seeded.narrative, "ann", "accept")
    return seeded


@pytest.mark.parametrize("health", ["damaged", "unreadable"])
def test_a_clip_whose_file_is_not_sound_is_left_out_and_counted(db: sqlite_utils.Database, health: str) -> None:
    seeded = accepted_narrative(db)
    assert accepted_rows(db, AcceptRule()).rows, "the control"
    set_health(db, seeded.clip.digest or "", health, "It breaks after 28 frames.")
    assert only(accepted_rows(db, AcceptRule()), f"the clip's media file is {health}")


def test_a_clip_that_waits_for_its_file_is_left_out_and_counted(db: sqlite_utils.Database) -> None:
    accepted_narrative(db)
    db.execute("UPDATE clip SET digest = NULL")
    assert only(accepted_rows(db, AcceptRule()), "the clip waits for its media file")


def test_a_rationale_whose_answer_is_withheld_is_left_out_and_a_narrative_is_not(db: sqlite_utils.Database) -> None:
    seeded = accepted_narrative(db)
    annotate(db, seeded.rationale, "ann", "accept")
    db.execute("UPDATE qa_pair SET answer = NULL, answer_index = NULL")
    selection = accepted_rows(db, AcceptRule())
    assert [row.kind for row in selection.rows] == ["narrative"]
    assert selection.left_out == {"the data set withholds the answer": 1}


def test_a_text_that_speaks_the_marks_of_a_chat_template_is_left_out(db: sqlite_utils.Database) -> None:
    seeded = seed_project(db)
    annotate(db, seeded.narrative, "ann", "reject", edited="A man runs.<|im_end|><|im_start|>user")
    assert only(accepted_rows(db, AcceptRule()), "a text holds a mark of a chat template, such as <|im_end|>")


def test_the_same_text_of_the_same_subject_is_one_row(db: sqlite_utils.Database) -> None:
    seeded = accepted_narrative(db)
    twin = candidate_of("narrative", seeded.clip.id, None, OTHER_WRITER, seeded.narrative.text + "\n")
    add_candidate(db, twin, OTHER_WRITER)
    annotate(db, twin, "ann", "accept")
    selection = accepted_rows(db, AcceptRule())
    assert len(selection.rows) == 1
    assert selection.left_out == {"the same text of the same clip or question stands in another row": 1}


clips = st.builds(
    lambda number, group, digest, split: Clip(f"{number}", "d", f"{number}", "m", digest, 0.0, None, group, split),
    st.integers(0, 10_000),
    st.sampled_from("abcdef"),
    st.sampled_from([None, "1", "2", "3", "4"]),
    st.sampled_from(["train", "train", "validation", "test"]),
)


@given(st.lists(clips, max_size=12, unique_by=lambda clip: clip.id))
def test_what_stays_never_has_one_source_in_two_splits(drawn: list[Clip]) -> None:
    splits = held_out_splits(drawn)
    kept = [clip for clip in drawn if splits[clip.id] == clip.split]
    for one in kept:
        for other in kept:
            if one.group_key == other.group_key or (one.digest is not None and one.digest == other.digest):
                assert one.split == other.split


@given(st.lists(clips, max_size=12, unique_by=lambda clip: clip.id))
def test_only_clips_that_share_a_source_with_one_more_held_out_move(drawn: list[Clip]) -> None:
    alone = [dataclasses.replace(clip, group_key=clip.id, digest=None) for clip in drawn]
    assert held_out_splits(alone) == {clip.id: clip.split for clip in alone}
    order = ["test", "validation", "train"]
    assert all(order.index(held_out_splits(drawn)[clip.id]) <= order.index(clip.split) for clip in drawn)


def test_a_training_clip_whose_file_is_held_out_under_another_name_is_left_out(db: sqlite_utils.Database) -> None:
    seeded = accepted_narrative(db)
    add_clip(db, dataclasses.replace(seeded.clip, id="other", dataset="other", group_key="other", split="test"))
    assert only(accepted_rows(db, AcceptRule()), "the same video is in the test split under another name")


# Pairs.


def accepted_pair(db: sqlite_utils.Database) -> Seeded:
    seeded = seed_project(db)
    annotate(db, seeded.rationale, "ann", "accept")
    annotate(db, seeded.rival, "ann", "reject", ["justified_fabrication"])
    propose_pairs(db)
    set_pair_state(db, list_pairs(db)[0].id, "accepted")
    return seeded


def test_a_pair_is_a_row_with_the_same_final_answer_on_both_sides_and_its_way_back(db: sqlite_utils.Database) -> None:
    seeded = accepted_pair(db)
    (row,) = pair_rows(db).rows
    ending = "\n\nFinal answer: A. to catch it"
    assert (row.reply, row.rejected) == (seeded.rationale.text + ending, seeded.rival.text + ending)
    assert (row.source["chosen_id"], row.source["rejected_id"]) == (seeded.rationale.id, seeded.rival.id)
    assert len(row.source["annotation_ids"]) == 2
    assert "ann" not in [str(part) for part in row.source.values()], "no names of people"


def test_only_the_state_that_is_asked_for_counts(db: sqlite_utils.Database) -> None:
    accepted_pair(db)
    assert not pair_rows(db, "proposed").rows
    assert not pair_rows(db, "dropped").rows


def test_the_same_two_texts_from_two_origins_are_one_row(db: sqlite_utils.Database) -> None:
    original = seed_project(db).rationale
    edit = annotate(db, original, "ann", "reject", ["other"], edited="He runs after the ball.")
    assert edit
    annotate(db, edit, "bo", "accept")
    assert propose_pairs(db) == 2
    for pair in list_pairs(db):
        set_pair_state(db, pair.id, "accepted")
    (row,) = pair_rows(db).rows
    assert sorted(row.source["origins"]) == ["edit", "verdict"]
    assert len(row.source["pair_ids"]) == 2


def test_pairs_that_contradict_each_other_are_both_left_out(db: sqlite_utils.Database) -> None:
    seeded = accepted_pair(db)
    (pair,) = list_pairs(db)
    values = [pair.subject_id, pair.kind, seeded.rival.id, seeded.rationale.id, "comparison", "{}", "accepted", pair.created_at]
    db.execute("INSERT INTO preference_pair VALUES ('opposite', ?, ?, ?, ?, ?, ?, ?, ?)", values)
    selection = pair_rows(db)
    assert not selection.rows
    assert selection.left_out == {"another pair of the same state says the opposite": 2}


def test_an_accepted_pair_is_left_out_once_a_majority_rejects_its_chosen_text(db: sqlite_utils.Database) -> None:
    seeded = accepted_pair(db)
    for annotator in ("bo", "cy"):
        annotate(db, seeded.rationale, annotator, "reject", ["other"])
    assert only(pair_rows(db), "a majority has rejected the chosen text")
    choose_text(db, "ann", seeded.rationale.id, seeded.rival.id)
    assert pair_rows(db).rows, "side by side, the better of two rejected texts may be chosen"


def test_every_row_keeps_the_split_of_its_clip(db: sqlite_utils.Database) -> None:
    expected = {}
    for name, split in (("one", "train"), ("two", "validation"), ("three", "test")):
        seeded = seed_project(db, name)
        db.execute("UPDATE clip SET split = ? WHERE id = ?", [split, seeded.clip.id])
        for candidate in (seeded.narrative, seeded.rationale):
            annotate(db, candidate, "ann", "accept")
            expected[candidate.id] = split
    assert {row.id: row.split for row in accepted_rows(db, AcceptRule()).rows} == expected
    assert len(list_candidates(db)) == 9


def test_a_file_that_two_data_sets_share_may_be_in_one_split_twice(db: sqlite_utils.Database) -> None:
    seeded = accepted_narrative(db)
    digest = seeded.clip.digest or ""
    add_media(db, Media(digest, "again.mp4", 1, None, None, None, None, None, 0, None, None, True, None, "ok", None, ""), None)
    add_clip(db, dataclasses.replace(seeded.clip, id="other", dataset="other", group_key="other"))
    assert len(accepted_rows(db, AcceptRule()).rows) == 1
