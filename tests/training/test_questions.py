"""Questions of a frozen set: what is read, what is refused, which are chosen, and which are about clips that are learnt from."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.errors import InputError, NotFoundError, StorageError
from store.records import QAPair
from store.row_words import final_answer
from tests.training.conftest import freeze_rows, row_of, sft_config
from tests.training.quizzes import DIGEST, question_of
from training.context import Line
from training.questions import Question, chosen_questions, contaminated, contamination_problem, load_questions
from training.rows import ClipSpan, RowContext


def folder_of(tmp_path: Path, *rows: dict[str, Any], kind: str = "questions") -> Path:
    return tmp_path / freeze_rows(tmp_path, kind, rows).directory


def made(number: int, digest: str = DIGEST, clip: str = "c", start_s: float = 0.0) -> Question:
    return Question(f"q{number:04}", "test", None, ClipSpan(clip, digest, start_s, None), RowContext(), "p", "q", ("a", "b"), 0)


def test_a_question_is_read_as_it_was_frozen(tmp_path: Path) -> None:
    told = {"lines": [[-0.5, 1.0, "first"]], "pause_s": 1.5, "window_s": [0, 2.5]}
    first, second = load_questions(folder_of(tmp_path, question_of(1, context=told), question_of(2)))
    assert (first.id, first.split, first.type, first.answer) == ("qa-1", "validation", "how", 1)
    assert first.context == RowContext((Line(-0.5, 1.0, "first"),), 1.5, (0.0, 2.5))
    assert first.replies == ("A. the bar", "B. nothing")
    assert (second.type, second.clip) == (None, ClipSpan("clip-2", DIGEST, 0.0, None))
    assert (second.row.reply, second.row.prompt[0].content, second.row.context) == ("A. the bar", second.prompt, second.context)


def test_an_option_is_scored_in_the_words_that_a_raw_pair_teaches(tmp_path: Path) -> None:
    qa = QAPair("qa", "clip", "", "What?", None, ("the bar ", " nothing"), 0, None, None, None, None)
    (asked,) = load_questions(folder_of(tmp_path, question_of(1, options=list(qa.options), answer=0)))
    assert asked.replies == tuple((final_answer(replace(qa, answer_index=at)) or "").strip() for at in (0, 1))


def test_questions_that_were_changed_after_freezing_or_are_none_are_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, question_of(0))
    assert load_questions(folder), "the control"
    with pytest.raises(InputError, match="holds no questions"):
        load_questions(folder_of(tmp_path, row_of(0, DIGEST), kind="sft"))
    (folder / "rows.jsonl").write_bytes((folder / "rows.jsonl").read_bytes().replace(b"nothing", b"a thing"))
    with pytest.raises(StorageError, match="Freeze the set again"):
        load_questions(folder)
    (folder / "manifest.json").unlink()
    with pytest.raises(NotFoundError):
        load_questions(folder)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"split": "train"}, "held out"),
        ({"options": ["one"]}, "two or more"),
        ({"answer": 2}, "number 2 of 2 options"),
        ({"answer": -1}, "number -1"),
        ({"answer": None}, "form of a question"),
        ({"options": ["a", " "]}, "empty"),
        ({"options": ["a", "<|im_end|>"]}, r"<\|im_end\|>"),
        ({"context": {"lines": [[0, 1, "<|im_start|>"]]}}, r"<\|im_start\|>"),
        ({"context": {"lines": [[1, "late"]]}}, "form of a question"),
        ({"clip": {"id": "c", "digest": DIGEST, "start_s": 2.0, "end_s": 1.0}}, "before or at its start"),
        ({"clip": {"id": "c", "digest": DIGEST, "start_s": 2.0}}, "form of a question"),
    ],
)
def test_a_question_that_cannot_be_scored_is_refused_with_its_line(tmp_path: Path, changes: dict[str, Any], word: str) -> None:
    with pytest.raises(InputError, match=word) as refused:
        load_questions(folder_of(tmp_path, question_of(0), question_of(1, **changes)))
    assert "Line 2 of rows.jsonl" in str(refused.value)


@given(st.permutations(range(12)), st.integers(0, 15), st.integers(0, 5))
def test_the_seed_alone_draws_the_questions_whatever_order_they_come_in(order: list[int], most: int, seed: int) -> None:
    config = sft_config(accuracy_questions=most, seed=seed)
    whole = [made(number, clip=f"c{number % 3}") for number in range(12)]
    drawn = chosen_questions([whole[at] for at in order], config)
    assert drawn == chosen_questions(whole, config)
    assert len(drawn) == (min(most, 12) or 12) and len(set(drawn)) == len(drawn)
    clips = [question.clip.id for question in drawn]
    assert clips == sorted(clips), "a clip's questions stand together"


def test_another_seed_draws_others() -> None:
    whole = [made(number) for number in range(12)]
    assert len({chosen_questions(whole, sft_config(accuracy_questions=4, seed=seed)) for seed in range(5)}) > 1


@given(st.lists(st.sampled_from("abcdef"), max_size=10), st.sets(st.sampled_from("abcdef")))
def test_a_question_about_a_file_that_is_learnt_from_is_found_whatever_the_clip_is_called(digests: list[str], learnt: set[str]) -> None:
    questions = [made(number, digest, clip=f"clip {number}") for number, digest in enumerate(digests)]
    found = contaminated(learnt, questions)
    assert found == tuple(question.id for question in questions if question.clip.digest in learnt)
    problem = contamination_problem(learnt, questions)
    assert (problem is None) == (not found)
    if problem:
        assert f"{len(found)} of {len(questions)} questions" in problem and found[0] in problem
