"""The composer: sentences made of questions and answers by rule, and texts that a reader takes apart again."""

import asyncio
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.claims import sentence_claims
from curation.synthesis.arms import Arm, arm_of
from curation.synthesis.narratives import read_narrative
from curation.synthesis.order import numbered, score
from curation.synthesis.rationales import read_rationale
from curation.synthesis.subjects import Subject, Told
from curation.synthesis.telling import is_by_rule, tell
from curation.synthesis.writers.template import Template, compose
from curation.synthesis.writing import Ask, LastingError, Sampling

OPTIONS = ("a red kite", "the blue boat", "an old horse", "her own hat", "nothing at all")


def told(number: int, question: str, answer: str, *spans: tuple[float, float]) -> Told:
    return Told(f"qa{number}", str(number), question, answer, (), None, None, spans)


def clip(*pairs: Told) -> Subject:
    return Subject("narrative", "clip", None, "our clips/clip", "train", None, 0.0, 30.0, 30.0, {"lines": [], "pause_s": None, "window_s": None}, pairs)


def question_with_options(right: int) -> Subject:
    pair = replace(told(1, "what is the man in grey holding", OPTIONS[right], (3.0, 7.5)), options=OPTIONS, right=right)
    return replace(clip(pair), kind="rationale", qa_id="qa1")


# Told out of order on purpose: the second happens first.
CLIP = clip(
    told(1, "what does the girl in red do after jumping", "waves to her mother", (10.0, 12.0)),
    told(2, "why did the boy run to the ball", "kick it", (2.0, 4.5)),
    told(3, "how many trees are there in the garden", "three"),
    told(4, "what is the dog doing near the sofa", "chewing a shoe", (20.0, 25.0), (27.0, 28.0)),
)


@pytest.mark.parametrize(
    ("question", "answer", "sentence"),
    [
        ("what is the dog doing near the sofa", "chewing a shoe", "The dog is chewing a shoe near the sofa."),
        ("What does the girl do after jumping?", "wave", "After jumping, what the girl does is wave."),
        ("what is the man in grey holding in his hand", "a pen.", "The man in grey is holding a pen in his hand."),
        ("how many trees are there in the garden", "three", "The number of trees in the garden is three."),
        ("What colour is the kite?", "red", "The colour of the kite is red."),
        ("what happens after the jump", "all clap", "After the jump, this happens: all clap."),
        ("what stands next to the lamp", "a tall tower", "What stands next to the lamp is a tall tower."),
        ("where is the bird", "in a tree", "The bird is here: in a tree."),
        ("why is the boy running", "it rains", "The boy is running because it rains."),
        ("who is carrying the baby", "the lady in white", "The lady in white is carrying the baby."),
        ("what is in the background", "a lake", "What is in the background is a lake."),
        ("why did the boy run to the ball", "kick it", "The boy ran to the ball to kick it."),
        ("why does the baby cry", "he is hungry", "The baby cries because he is hungry."),
        ("why did the men stop in the middle", "big puddle", "The men stopped in the middle because of big puddle."),
        ("how is the woman moving the boat", "paddling", "The woman is moving the boat by paddling."),
        ("where are the people cooking", "kitchen", "The people are cooking here: kitchen."),
        ("is the cat asleep", "no", "As to “is the cat asleep”, the answer is: no."),
    ],
)
def test_a_question_and_its_answer_are_one_plain_sentence(question: str, answer: str, sentence: str) -> None:
    assert tell(question, answer) == sentence
    assert is_by_rule(question, answer) is not sentence.startswith("As to")


WORDS = st.lists(st.sampled_from(re.split(" ", "a boy girls dog red ball runs jump near in sofa sits did does after is what why how")), min_size=1, max_size=9)


@given(WORDS, WORDS)
def test_whatever_is_asked_is_told_in_one_sentence_that_holds_the_answer(question: list[str], answer: list[str]) -> None:
    sentence = tell(" ".join(question), " ".join(answer))
    assert len(sentence_claims(sentence)) == 1
    assert " ".join(answer).lower() in sentence.lower()


@pytest.mark.parametrize("arm", ["file", "sorted", "times", "plan", "register", "full"])
def test_every_pair_is_told_once_with_its_source_and_the_reader_finds_all_of_them(arm: str) -> None:
    asked = replace(arm_of("narrative", arm), sources=True)
    read = read_narrative(compose(CLIP, asked), CLIP, asked)
    assert {qa for source in read.sources for qa in source.qa_ids} == {pair.qa_id for pair in CLIP.pairs}
    wrong = [problem.name for problem in read.problems if problem.count]
    assert wrong == ([] if arm in ("sorted", "plan", "full") else ["order_not_followed"]), "its own order is the data set's unless it is asked for another"
    assert "[Q" not in read.text
    assert "Plan:" not in read.text


@pytest.mark.parametrize(("arm", "inverted"), [("file", 1), ("times", 1), ("sorted", 0), ("plan", 0)])
def test_sorted_or_planned_it_tells_in_the_order_of_the_evidence_and_else_in_that_of_the_data_set(arm: str, inverted: int) -> None:
    asked = replace(arm_of("narrative", arm), sources=True)
    read = read_narrative(compose(CLIP, asked), CLIP, asked)
    places = {qa: float(source.start) for source in reversed(read.sources) for qa in source.qa_ids}
    assert score({pair.qa_id: pair.spans for pair in CLIP.pairs if pair.spans}, places).discordant == inverted


def test_the_times_of_the_evidence_are_said_where_they_are_known() -> None:
    text = compose(CLIP, arm_of("narrative", "times"))
    assert "From 2.0 to 4.5 s: the boy ran to the ball to kick it." in text
    assert "From 20.0 to 28.0 s: the dog is chewing a shoe near the sofa." in text
    assert " The number of trees in the garden is three." in text
    assert "From" not in compose(CLIP, arm_of("narrative", "file")), "the control"


def test_the_register_opens_the_text_with_who_is_there() -> None:
    text = compose(CLIP, arm_of("narrative", "register"))
    assert "the girl in red" in text.partition(".")[0]
    assert "the boy" in text.partition(".")[0]


def test_a_plan_names_the_pairs_as_they_are_numbered() -> None:
    arm = arm_of("narrative", "plan", {"sources": True})
    plan, _, text = compose(CLIP, arm).partition("Narrative:")
    assert [line.split()[1] for line in plan.splitlines()[1:] if line] == [mark.rstrip("]") for mark in text.replace("[", " ").split() if mark.endswith("]")]
    assert len(numbered(CLIP, arm)) == 4


@pytest.mark.parametrize(("answer", "wrong", "said"), [("given", None, "a red kite"), ("wrong", 2, "an old horse")])
def test_a_rationale_speaks_for_the_answer_that_it_is_told_and_cites_its_evidence(answer: str, wrong: int | None, said: str) -> None:
    subject, arm = question_with_options(0), arm_of("rationale", answer, {"shown": "nothing"})
    read = read_rationale(compose(subject, arm, wrong), subject, arm, ())
    assert said in read.text
    assert [(one.start_s, one.end_s, one.problem) for one in read.citations] == [(3.0, 7.5, None)]


@given(st.integers(0, 4), st.integers(0, 4))
def test_with_the_answer_withheld_the_text_does_not_depend_on_it(one: int, other: int) -> None:
    withheld, given_arm = (arm_of("rationale", name, {"shown": "nothing"}) for name in ("withheld", "given"))
    assert compose(question_with_options(one), withheld) == compose(question_with_options(other), withheld)
    assert (compose(question_with_options(one), given_arm) == compose(question_with_options(other), given_arm)) is (one == other), "the control"


def test_an_answer_withheld_ends_in_a_final_answer_of_its_own() -> None:
    subject, arm = question_with_options(0), arm_of("rationale", "withheld", {"shown": "nothing"})
    read = read_rationale(compose(subject, arm), subject, arm, ())
    assert read.answer in OPTIONS
    assert "Final answer" not in read.text


def test_what_holds_nothing_to_tell_is_refused() -> None:
    with pytest.raises(LastingError, match="nothing to tell"):
        compose(clip(replace(CLIP.pairs[0], answer=None)), Arm("narrative"))
    with pytest.raises(LastingError, match="no options"):
        compose(replace(clip(CLIP.pairs[0]), kind="rationale", qa_id="qa1"), arm_of("rationale", "withheld"))


def test_it_is_a_writer_that_costs_no_tokens_and_says_the_same_again() -> None:
    ask = Ask((), Sampling(), CLIP, arm_of("narrative"))
    replies = [asyncio.run(Template().write(ask)) for _ in range(2)]
    assert replies[0] == replies[1]
    assert (replies[0].tokens_in, replies[0].tokens_out, replies[0].cut) == (0, 0, False)
