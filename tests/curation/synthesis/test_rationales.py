"""Rationales: what is asked, and how citations and the final answer are read."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.synthesis.arms import Arm, arm_of
from curation.synthesis.prompts import load
from curation.synthesis.rationales import rationale_prompt, read_rationale, shown_length_s
from curation.synthesis.reading import Problem, Reading, reading_of
from curation.synthesis.subjects import Subject, Told
from store.errors import InputError

PAIR = Told("qa-1", "1", "why did the boy run $fast {away}?", "to catch the dog", ("rain", "to catch the dog", "he fell"), 1, "CW", ((3.0, 8.0),))
ABOUT = Subject("rationale", "clip-1", "qa-1", "yard clip 1", "train", "d" * 64, 0.0, None, 30.7, {}, (PAIR,))
CITED, WITHHELD, WRONG = (Arm("rationale", "frames", answer=answer, citations=True) for answer in ("given", "withheld", "wrong"))
SHOWN_S = (0.0, 10.0, 20.0, 30.0)


def asked(arm: Arm, wrong: int | None = None, subject: Subject = ABOUT) -> str:
    return rationale_prompt(subject, arm, load("rationale"), wrong)


def stretches(reading: Reading) -> list[tuple[str, float, float]]:
    return [(reading.text[one.start : one.end], one.start_s, one.end_s) for one in reading.citations]


def read(text: str, arm: Arm = CITED, subject: Subject = ABOUT, shown_s: tuple[float, ...] = ()) -> Reading:
    return read_rationale(text, subject, arm, shown_s)


# What is asked


def test_the_question_stands_with_its_lettered_options_and_the_answer_as_one_of_them() -> None:
    assert "Question: why did the boy run $fast {away}?\nOptions:\nA. rain\nB. to catch the dog\nC. he fell\n\nAnswer: B. to catch the dog\n" in asked(CITED)
    assert "a video clip of 30.7 seconds" in asked(CITED)


def test_a_wrong_answer_is_told_as_a_right_one_would_be() -> None:
    assert asked(WRONG, 2) == asked(CITED, subject=replace(ABOUT, pairs=(replace(PAIR, right=2),)))


def test_an_answer_that_is_withheld_is_not_told() -> None:
    free = replace(ABOUT, pairs=(replace(PAIR, options=(), right=None, answer="because zebras whistle"),))
    assert "zebras" in asked(CITED, subject=free)
    assert "zebras" not in asked(WITHHELD, subject=free)
    assert "Answer: " not in asked(WITHHELD) and '"Final answer:"' in asked(WITHHELD)


@pytest.mark.parametrize(
    ("arm", "wrong", "pair"), [(WRONG, None, PAIR), (WRONG, 1, PAIR), (WRONG, 3, PAIR), (CITED, None, replace(PAIR, answer=None, right=None))]
)
def test_an_answer_that_there_is_not_cannot_be_told(arm: Arm, wrong: int | None, pair: Told) -> None:
    with pytest.raises(InputError, match=r"yard clip 1.*leave the question out|Leave the question out"):
        asked(arm, wrong, replace(ABOUT, pairs=(pair,)))


def test_the_length_is_that_of_what_is_shown() -> None:
    assert shown_length_s(ABOUT) == 30.7
    assert shown_length_s(replace(ABOUT, start_s=5.0, end_s=12.5)) == 7.5
    assert "frames of a video clip with their times" in asked(CITED, subject=replace(ABOUT, length_s=None))


# What is read

_SENTENCE = st.text(st.characters(exclude_categories=["C", "Z", "P", "S", "N"], include_characters="é🎉 "), min_size=3, max_size=20).map(
    lambda words: "X" + " ".join(words.split()) + "x"
)
_TIME = st.integers(0, 3000).map(lambda tenths: tenths / 10)
_MARKS = st.lists(st.tuples(_TIME, _TIME), max_size=2)
_FORMS = st.sampled_from(
    ["[{}-{}]", "[{} - {} s]", "({}s–{}s)", "[from {} to {}]", "[{}s to {}s]", "[t={}-{}]", "【{}-{}秒】", "( {} seconds until {} seconds )"]
)


@given(told=st.lists(st.tuples(_SENTENCE, _MARKS), min_size=1, max_size=5), form=_FORMS, inside=st.booleans(), gap=st.sampled_from([" ", "\n", "\n\n"]))
def test_marks_that_are_put_in_are_read_back_and_leave_the_text_as_it_was(
    told: list[tuple[str, list[tuple[float, float]]]], form: str, inside: bool, gap: str
) -> None:
    marked = [(words, "".join(f" {form.format(*mark)}" for mark in marks)) for words, marks in told]
    reading = read(gap.join(f"{words}{marks}." if inside else f"{words}.{marks}" for words, marks in marked))
    assert reading.text == gap.join(f"{words}." for words, _ in told)
    assert stretches(reading) == [(f"{words}.", *mark) for words, marks in told for mark in marks]
    assert reading_of(json.loads(json.dumps({**reading.as_json(), "key": "other"}))) == reading


@given(st.text())
def test_a_text_without_brackets_is_left_alone(text: str) -> None:
    plain = "".join(sign for sign in text if sign not in "[［【(（")
    if "final answer" not in plain.lower() and "rationale" not in plain.lower():
        assert read(plain) == replace(read("x"), text=plain.strip(), problems=read(plain).problems)


@pytest.mark.parametrize(
    ("text", "clean", "cited"),
    [
        ("He runs [0:12-0:14] and falls [1:02:03.5-1:02:04].", "He runs and falls.", [("He runs", 12, 14), ("and falls.", 3723.5, 3724)]),
        ("He runs. [1.0-2.0, 4.0-5.0; 7-8]", "He runs.", [("He runs.", 1, 2), ("He runs.", 4, 5), ("He runs.", 7, 8)]),
        ("[0.0-2.0] He runs.\n[2.0-4.0]: He falls.", "He runs.\nHe falls.", [("He runs.", 0, 2), ("He falls.", 2, 4)]),
        ("[0-2] He runs. [2-4] He falls. Final answer: B", "He runs. He falls.", [("He runs.", 0, 2), ("He falls.", 2, 4)]),
        ("He runs. He falls.\n[1-2]\n\nFinal answer: B. dog [3-4]", "He runs. He falls.", [("He falls.", 1, 2)]),
        ("[0-2] He runs and [2-4] falls. He rests.", "He runs and falls. He rests.", [("He runs and", 0, 2), ("falls.", 2, 4)]),
        ("He runs at 12.0 s, as [1] says, with others (2-3), for long (3 seconds) [sic] (see 4).", None, []),
        ("**Rationale:** He runs. [1-2]", "He runs.", [("He runs.", 1, 2)]),
        ("[1.0-2.0]", "", []),
    ],
)
def test_marks_of_many_forms_are_read_and_what_is_no_time_stays(text: str, clean: str | None, cited: list[tuple[str, float, float]]) -> None:
    reading = read(text)
    assert reading.text == (text if clean is None else clean)
    assert stretches(reading) == cited


@pytest.mark.parametrize(
    ("mark", "said"),
    [
        ("[8.0-9.5]", None),
        ("[4.0-5.0]", None),
        ("[28.0-30.8]", None),
        ("[14.5-12.0]", "ends before it starts"),
        ("[12.0 s]", "is a moment"),
        ("[28.0-31.0]", "does not lie within the 30.7 s"),
    ],
)
def test_a_citation_is_sound_when_it_is_a_stretch_of_what_is_shown(mark: str, said: str | None) -> None:
    problem = read(f"He runs. {mark}", shown_s=SHOWN_S).citations[0].problem
    assert problem is None if said is None else said in str(problem)


def test_a_citation_needs_a_moment_that_was_shown_where_moments_are_known() -> None:
    seldom = (0.0, 1.0, 2.0, 3.0, 29.0)  # on the average every 7.25 s
    assert read("He runs. [10.0-12.0]", shown_s=seldom).citations[0].problem == "Nothing from 10 to 12 s was shown."
    assert read("He runs. [6.0-12.0]", shown_s=seldom).citations[0].problem is None
    assert read("He runs. [10.0-12.0]").citations[0].problem is None


def test_what_is_not_as_asked_is_counted_and_only_where_it_was_asked_for() -> None:
    text = "He runs. [1.0-2.0] He falls. He gets up. [5.0-4.0]"
    bad, uncited = read(text).problems
    assert bad == Problem("bad_citations", 1, 2, "5-4 s ends before it starts.") and bad.share == 0.5
    assert (uncited.name, uncited.count, uncited.of, uncited.words) == ("uncited_sentences", 1, 3, "Sentence 2 does not say when it is seen.")
    assert [one.count for one in read("He runs. [1.0-2.0]").problems] == [0, 0]
    assert read("He runs.").problems[0].share is None
    unasked = read(text, replace(CITED, citations=False))
    assert unasked.problems == () and len(unasked.citations) == 2 and "[" not in unasked.text


@pytest.mark.parametrize(
    "end",
    [
        "Final answer: B. to run",
        "\nFinal answer: B. to run",
        "\n\n**Final Answer:** B. to run",
        "\n**Final answer: B. to run**",
        "\nFinal answer:\nB. to run\n",
        "\n### Final answer: B. to run",
        "\n### Final answer\nB. to run",
        "\n---\nFinal answer: B. to run",
        "\nFinal answer: B. to run\n```",
        "\nFinal answer：B. to run",
        "\nFinal answer - B. to run",
        "\nThe final answer is B. to run",
        "Therefore, the final answer is: **B. to run**",
        "\nFinal answer: A. to hide\nFinal answer: B. to run",
    ],
)
def test_the_final_answer_is_cut_off_however_it_is_set(end: str) -> None:
    reading = read(f"He runs. [1.0-2.0] {end}", WITHHELD)
    assert (reading.text, reading.answer) == ("He runs.", "B. to run")


def test_a_final_answer_is_cut_out_also_where_a_writer_says_more_behind_it_or_begins_with_it() -> None:
    behind = read("He runs. [1.0-2.0]\nFinal answer: B. to run\n\nHe runs fast. [2.0-3.0]", WITHHELD)
    assert (behind.text.split(), behind.answer) == (["He", "runs.", "He", "runs", "fast."], "B. to run")
    assert [(behind.text[one.start : one.end], one.start_s) for one in behind.citations] == [("He runs.", 1.0), ("He runs fast.", 2.0)]
    ahead = read("Final answer: B. to run\nHe runs. [1.0-2.0]", WITHHELD)
    assert (ahead.text, ahead.answer) == ("He runs.", "B. to run")


def test_a_text_that_speaks_of_a_final_answer_keeps_it() -> None:
    for text in ("The judge asks for the final answer: yes, says she.", "He nods. The final answer is a nod of the judge."):
        assert (read(text, WITHHELD).text, read(text, WITHHELD).answer) == (text, None)


def test_the_arm_that_is_meant_when_nobody_chooses_tells_the_answer_and_asks_for_citations() -> None:
    assert arm_of("rationale") == CITED
