"""What a writer is asked, and what of its replies becomes a text."""

from dataclasses import replace
from pathlib import Path

import pytest

from curation.synthesis.answers import compose, read, words_of
from curation.synthesis.arms import Arm, arm_of
from curation.synthesis.faults import Fault
from curation.synthesis.plan import Item, SynthesisPlan, WriterSpec
from curation.synthesis.prompts import load
from curation.synthesis.reading import Reading
from curation.synthesis.subjects import Subject, Told
from curation.synthesis.writing import Picture, Reply, Sampling, Words

PAIRS = (
    Told("qa-1", "1", "why did the boy run behind the sofa", "to catch the ball", ("it rains", "to catch the ball"), 1, "CW", ((3.0, 8.0),)),
    Told("qa-2", "2", "what did the girl do after the boy ran", "throw the ball", ("throw the ball", "sing"), 0, "TN", ((9.0, 12.0),)),
)
CLIP = Subject("narrative", "clip-1", None, "yard clip 1", "train", "d" * 64, 0.0, None, 30.0, {}, PAIRS)
QUESTION = replace(CLIP, kind="rationale", qa_id="qa-1", pairs=PAIRS[:1])
RATIONALE = "The boy in the red shirt runs behind the sofa. [3.0-6.0] He holds out both hands to the ball. [6.0-8.0]"
NARRATIVE = "The boy runs behind the sofa to catch the ball. [Q1] Then the girl throws the ball. [Q2]"
GIVEN, WITHHELD, TOLD = arm_of("rationale"), arm_of("rationale", "withheld"), arm_of("narrative", "sources")
GERMAN = "Der Junge im roten Hemd läuft hinter das Sofa und streckt beide Hände nach dem Ball aus. [3.0-8.0]"


def a_plan(arm: Arm) -> SynthesisPlan:
    return SynthesisPlan("run", "run", arm, WriterSpec("openai", "any"), Sampling(0.5, 256), load(arm.kind))


def an_item(arm: Arm, seed: int = 3) -> Item:
    return Item("key", QUESTION if arm.kind == "rationale" else CLIP, seed)


def found(text: str, arm: Arm = GIVEN, cut: bool = False) -> Reading | Fault:
    return read(an_item(arm), a_plan(arm), Reply(text, cut), ())


def test_an_answer_is_read_as_its_kind() -> None:
    rationale, narrative = found(RATIONALE), found(NARRATIVE, TOLD)
    assert isinstance(rationale, Reading) and len(rationale.citations) == 2
    assert isinstance(narrative, Reading) and [one.qa_ids for one in narrative.sources] == [("qa-1",), ("qa-2",)]


@pytest.mark.parametrize(
    ("code", "passing", "text"),
    [
        ("empty", True, "  "),
        ("empty", True, "[1.0-2.0]"),
        ("empty", True, "Final answer: B. to catch the ball"),
        ("error_text", True, "CUDA out of memory. Tried to allocate 20.00 MiB"),
        ("error_text", True, f"{RATIONALE} \ud83d"),
        ("error_text", True, f"\0{RATIONALE}"),
        ("too_long", False, " ".join([RATIONALE] * 20_000)),
        ("refusal", False, "I'm sorry, but I can't watch the video."),
        ("template_marks", True, f"{RATIONALE}<|im_end|>"),
        ("echo", False, "why did the boy run behind the sofa"),
        ("echo", False, words_of(an_item(GIVEN), a_plan(GIVEN))),
        ("wrong_language", True, GERMAN),
        ("no_markup", True, "The boy in the red shirt runs behind the sofa. He holds out both hands to the ball."),
    ],
)
def test_what_is_no_answer_becomes_no_text(code: str, passing: bool, text: str) -> None:
    fault = found(text)
    assert isinstance(fault, Fault) and (fault.code, fault.passing) == (code, passing)


def test_an_answer_that_was_cut_becomes_no_text_however_it_reads() -> None:
    fault = found(RATIONALE, cut=True)
    assert isinstance(fault, Fault) and fault.code == "cut" and not fault.passing and "256 tokens" in fault.sentence
    all_thought = found("", cut=True)
    assert isinstance(all_thought, Fault) and all_thought.code == "cut"


def test_marks_are_missed_only_where_they_were_asked_for() -> None:
    bare, told = "The boy runs behind the sofa and holds out both hands.", "The boy runs behind the sofa to catch the ball, and then the girl throws it."
    assert isinstance(found(bare, replace(GIVEN, citations=False)), Reading)
    assert isinstance(found(told, replace(TOLD, sources=False)), Reading)
    fault = found(told, TOLD)
    assert isinstance(fault, Fault) and fault.code == "no_markup"


def test_a_text_in_the_language_of_its_questions_passes_whatever_that_is() -> None:
    german = replace(PAIRS[0], question="warum läuft der Junge hinter das Sofa", answer="um den Ball zu fangen", options=())
    item = replace(an_item(GIVEN), subject=replace(QUESTION, pairs=(german,)))
    assert isinstance(read(item, a_plan(GIVEN), Reply(GERMAN), ()), Reading)
    fault = read(item, a_plan(GIVEN), Reply(RATIONALE), ())
    assert isinstance(fault, Fault) and fault.code == "wrong_language"


def test_what_a_model_thought_first_is_no_part_of_its_answer() -> None:
    assert found(f"<think>\nThe girl? No.\n</think>\n\n{RATIONALE}") == found(RATIONALE)
    fault = found(f"<think>{RATIONALE}")
    assert isinstance(fault, Fault) and fault.code == "template_marks"


def test_a_reply_that_tells_what_was_shown_knows_better_than_the_worker() -> None:
    by_worker = read(an_item(GIVEN), a_plan(GIVEN), Reply(RATIONALE), (20.0, 21.0))
    by_reply = read(an_item(GIVEN), a_plan(GIVEN), Reply(RATIONALE, shown_s=(4.0, 5.0, 6.0, 7.0)), (20.0, 21.0))
    assert isinstance(by_worker, Reading) and isinstance(by_reply, Reading)
    assert [bool(one.problem) for one in by_worker.citations] == [True, True]
    assert [bool(one.problem) for one in by_reply.citations] == [False, False]


def test_a_question_is_put_together_with_what_is_shown_and_the_seed_of_its_item() -> None:
    parts = (Words("[3.0 s]"), Picture(Path("3.jpg"), 3.0), Words(words_of(an_item(GIVEN), a_plan(GIVEN))))
    ask = compose(an_item(GIVEN, seed=7), a_plan(GIVEN), parts)
    assert (ask.parts, ask.sampling, ask.subject, ask.arm) == (parts, Sampling(0.5, 256, 7), QUESTION, GIVEN)
    alone = compose(an_item(TOLD), a_plan(TOLD))
    assert alone.words == words_of(an_item(TOLD), a_plan(TOLD)) and "why did the boy run" in alone.words


def test_the_wrong_option_is_told_in_words_and_as_a_fact() -> None:
    arm = arm_of("rationale", "wrong")
    ask = compose(replace(an_item(arm), wrong=0), a_plan(arm))
    assert ask.wrong == 0 and "Answer: A. it rains\n" in ask.words


def test_a_final_answer_is_kept_beside_the_text() -> None:
    reading = found(f"{RATIONALE}\nFinal answer: B. to catch the ball", WITHHELD)
    assert isinstance(reading, Reading) and reading.answer == "B. to catch the ball" and "inal" not in reading.text
