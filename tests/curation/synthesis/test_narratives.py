"""Narratives: what is asked for under each option, and how an answer is read back into text, sources and problems."""

import re
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.claims import sentence_claims
from curation.synthesis.arms import PRESETS, Arm
from curation.synthesis.narratives import narrative_prompt, read_narrative, stated_at, told_at
from curation.synthesis.order import numbered
from curation.synthesis.prompts import check, load
from curation.synthesis.reading import Reading, Source
from curation.synthesis.writers.template import compose
from store.errors import InputError
from tests.curation.synthesis.told import clip, pair

FILE, SOURCES, PLAN = Arm("narrative"), Arm("narrative", sources=True), Arm("narrative", plan=True, sources=True)
# In the file's order the third happens first.
CLIP = clip(
    [
        pair("1", (4, 6), question="what does the boy in red do", answer="falls"),
        pair("2", (8, 9), (12, 14), question="why does the lady in white laugh", answer="he is up again"),
        pair("3", (0, 2), question="where does the boy in red come from", answer="the house"),
        pair("4", question="what is the weather like", answer="sunny"),
    ]
)
# Sentences in several scripts, with what is easily cut the wrong way.
pieces = st.text(st.sampled_from("abc éüß😀文字 \n.,!?…。！()[]“”'’-–0123Q"), min_size=1, max_size=60)
quick = settings(max_examples=150, deadline=None)


def read(text: str, arm: Arm = SOURCES) -> Reading:
    return read_narrative(text, CLIP, arm)


def marked(text: str, numbers: list[int]) -> str:
    """Return the text with a mark behind each sentence, its number drawn in turn."""
    sentences = sentence_claims(text)
    ends = [0, *(sentence.end for sentence in sentences)]
    told = [f"{text[start:end]} [Q{number}]" for (start, end), number in zip(pairwise(ends), numbers * len(sentences), strict=False)]
    return "".join(told) + text[ends[-1] :]


@quick
@given(pieces, st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_marks_that_are_put_in_are_read_back_and_leave_the_text_as_it_was(text: str, numbers: list[int]) -> None:
    text = text.strip()
    if re.search(r"[\[(]\s*Q\s?[0-9]|[。！？],", text):
        return  # it has marks of its own, or a comma where one would stand between two marks
    reading = read(marked(text, numbers))
    sentences = sentence_claims(text)
    assert reading.text == text
    assert [(one.start, one.end) for one in reading.sources] == [(one.start, one.end) for one in sentences]
    expected = [(CLIP.pairs[number - 1].qa_id,) for number, _ in zip(numbers * len(sentences), sentences, strict=False)]
    assert [one.qa_ids for one in reading.sources] == expected


@pytest.mark.parametrize(
    "text",
    [
        "He falls [Q1]. She laughs [Q2, Q3].",
        "He falls. [Q1] She laughs. [Q2][Q3]",
        "He falls. (Q1) She laughs. (Q2; Q3)",
        "He falls.[Q1]She laughs.[Q2-Q3]",
        "He falls. [q1]\nShe laughs. [Q2–3]",
        "He falls [Q1]. She [Q2] laughs [Q 3].",
        "He falls. [Q1] She laughs. [Q2], [Q3]",
        "He falls. 【Q1】 She laughs. [Q2 and Q3]",
        "[Q1] He falls. [Q2] [Q3] She laughs.",
    ],
)
def test_marks_are_read_however_a_model_writes_them(text: str) -> None:
    reading = read(text)
    assert re.sub(r"\s", " ", reading.text) == "He falls. She laughs."
    assert [one.qa_ids for one in reading.sources] == [("qa-1",), ("qa-2", "qa-3")]


def test_brackets_that_are_no_marks_stay() -> None:
    text = "He (the boy) falls [twice]. In Q1 she laughs (at 3)."
    assert read(text).text == text and not read(text).sources


def test_marks_are_cut_off_when_they_were_not_asked_for_too() -> None:
    reading = read("He falls. [Q1]", FILE)
    assert (reading.text, reading.problems) == ("He falls.", ())


@pytest.mark.parametrize(
    "text",
    [
        "Plan:\n1. Q3\n2. Q1\n\nNarrative:\nHe falls. [Q1]",
        "**Plan:**\n- Q3\n- Q1\n\n**Narrative:** He falls. [Q1]",
        "## Plan\nfirst Q3, then Q1\n## Narrative\n\nHe falls. [Q1]",
        "Here it is.\nplan: Q3, Q1\nnarrative: He falls. [Q1]",
        "Plan:\n1. Q3\n2. Q1 (after Q3)\n\nHe falls. [Q1]",
        "He falls. [Q1]\n\nPlan:\n1. Q3\n2. Q1",
        "He falls. [Q1]",
    ],
)
def test_a_plan_before_the_narrative_is_cut_off(text: str) -> None:
    reading = read(text, PLAN)
    assert reading.text == "He falls."
    assert reading.sources == (Source(0, 9, ("qa-1",)),)


def test_a_plan_that_nobody_asked_for_is_text_like_any_other() -> None:
    assert read("The plan: he falls.", SOURCES).text == read("The plan: he falls.", PLAN).text == "The plan: he falls."


def test_an_empty_answer_and_a_plan_alone_leave_no_text() -> None:
    for text in ("", "  \n", "[Q1]", "Plan:\n1. Q1\n2. Q2"):
        assert read(text, PLAN).text == "" and not read(text, PLAN).sources


def test_what_is_not_as_it_was_asked_for_is_counted_with_its_n() -> None:
    reading = read("He falls. [Q1] It is sunny. He comes from the house. [Q3][Q9]")
    told = {problem.name: (problem.count, problem.of) for problem in reading.problems}
    assert told == {"uncovered_pairs": (2, 4), "unsourced_sentences": (1, 3), "unknown_sources": (1, 3), "order_not_followed": (1, 1)}
    assert [problem.words for problem in reading.problems] == [
        "No sentence rests on Q2, Q4.",
        "No source: “It is sunny.”",
        "There is no Q9.",
        "Q1 is told before Q3, and happens after it.",
    ]


def test_what_is_as_it_was_asked_for_is_counted_as_none() -> None:
    reading = read("He comes from the house. [Q3] He falls. [Q1] He is up, and she laughs. [Q2] It is sunny. [Q4]")
    assert [(problem.count, problem.of) for problem in reading.problems] == [(0, 4), (0, 4), (0, 4), (0, 3)]


def test_a_huge_range_and_number_cost_nothing() -> None:
    assert read("He falls. [Q2-Q999999] [Q0]").sources[0].qa_ids == ("qa-2", "qa-3", "qa-4")


@pytest.mark.parametrize("run", [" ", "\n", "[Q1 ", "[Q1", "Q1, ", "*", "(Q1, 2"])
def test_a_writer_that_runs_away_is_read_in_no_time(run: str) -> None:
    begun = time.process_time()
    read(f"He falls.{run * 40_000}x", PLAN)
    assert time.process_time() - begun < 2


def test_a_sentence_that_opens_or_sums_up_tells_no_order() -> None:
    reading = read("A boy and a lady are there. [Q1-Q4] He comes. [Q3] He falls. [Q1] She laughs. [Q2] That was all. [Q1][Q3]")
    assert {problem.name: problem.count for problem in reading.problems}["order_not_followed"] == 0
    assert sorted(told_at(reading.sources), key=told_at(reading.sources).__getitem__) == ["qa-4", "qa-3", "qa-1", "qa-2"]


@pytest.mark.parametrize(
    ("sentence", "start_s"),
    [
        ("From 3.0 to 7.5 s: he falls.", 3.0),
        ("Between 3 and 7 seconds he falls.", 3.0),
        ("He falls at 12.5 s.", 12.5),
        ("He falls (3-7 s).", 3.0),
        ("He falls for 3 seconds.", None),
        ("He lifts 3 cups.", None),
    ],
)
def test_stated_times_are_read_where_they_say_when(sentence: str, start_s: float | None) -> None:
    reading = read(f"{sentence} [Q1]")
    assert stated_at(reading.text, reading.sources) == ({} if start_s is None else {"qa-1": start_s})


def test_each_option_adds_its_section_and_nothing_else() -> None:
    template = load("narrative")
    lines = {name: set(narrative_prompt(CLIP, arm, template).splitlines()) for name, arm in PRESETS["narrative"].items()}
    assert "    Seen: 8.0 to 9.0 s; 12.0 to 14.0 s" in lines["times"] and "    Seen: when is not known" in lines["times"]
    assert {"1. Q3", "2. Q1 (after Q3)", "3. Q2 (after Q1)", "4. Q4"} <= lines["plan"]
    assert "- the boy in red (Q1, Q3); not the lady in white" in lines["register"]
    assert any("[Q3][Q7]" in line for line in lines["sources"])
    for name in ("times", "plan", "register", "sources"):
        assert lines["file"] < lines[name] <= lines[name] | lines["full"]
    assert not any("Seen" in line or "Plan" in line or "[Q" in line for line in lines["file"])


def test_the_prompt_asks_for_every_arm_there_is() -> None:
    for arm in PRESETS["narrative"].values():
        check(load("narrative"), arm)


def test_the_numbers_follow_the_order_in_which_pairs_are_listed_and_lead_back_to_them() -> None:
    sorted_arm = Arm("narrative", order="time", sources=True)
    assert [one.name for one in numbered(CLIP, FILE)] == ["1", "2", "3", "4"]
    assert [one.name for one in numbered(CLIP, sorted_arm)] == ["3", "4", "1", "2"]
    assert "Q1. Question: where does the boy in red come from\n    Answer: the house\n" in narrative_prompt(CLIP, sorted_arm, load("narrative"))
    assert read("He comes. [Q1]", sorted_arm).sources[0].qa_ids == ("qa-3",)


def test_a_question_with_breaks_and_marks_of_its_own_stays_in_its_line() -> None:
    told = clip([pair("1", question="what\n\nQ9. Question: $pairs", answer="a ## always\n## when: times")])
    assert "Q1. Question: what Q9. Question: $pairs\n    Answer: a ## always ## when: times\n" in narrative_prompt(told, FILE, load("narrative"))


def test_pairs_whose_answer_is_withheld_are_not_told_and_a_clip_of_nothing_else_is_refused() -> None:
    assert [one.name for one in numbered(clip([pair("1", answer=None), pair("2")]), FILE)] == ["2"]
    with pytest.raises(InputError, match="nothing to tell"):
        narrative_prompt(clip([pair("1", answer=None)]), FILE, load("narrative"))


@pytest.mark.parametrize("name", PRESETS["narrative"])
def test_what_the_composer_writes_is_read_without_a_problem_but_the_order_of_the_file(name: str) -> None:
    arm = Arm(**{**PRESETS["narrative"][name].as_json(), "sources": True})
    reading = read_narrative(compose(CLIP, arm), CLIP, arm)
    found = {problem.name for problem in reading.problems if problem.count}
    assert found == ({"order_not_followed"} if arm.order == "file" and not arm.plan else set())
    assert "[Q" not in reading.text and "Plan" not in reading.text
