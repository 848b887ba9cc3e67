"""The rules that hold for pairs before a run and while it goes on. No torch."""

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.errors import InputError
from tests.training.conftest import row_of
from training.config import RunConfig
from training.preferences import FEWEST_PAIRS, Alarms, answer_start, change, effective_beta, few_pairs_problem, scored_problem, weights_of
from training.presets import PRESETS
from training.rows import ClipSpan, Message, Row

DPO = next(preset for preset in PRESETS if preset.stage == "dpo" and not preset.values.get("few_pairs")).config(parent_run="a run")


def pair(number: int = 0, **changes: Any) -> Row:
    told = row_of(number, "d" * 64, "dpo")
    clip, prompt = ClipSpan("clip", "d" * 64, 0.0, None), (Message("user", "What happens?"),)
    row = Row(f"pair-{number}", "train", told["kind"], clip, prompt, told["chosen"][0]["content"], told["rejected"][0]["content"])
    return replace(row, **changes)


def config(**changes: Any) -> RunConfig:
    return replace(DPO, **changes)


@given(st.integers(0, 200))
def test_too_few_pairs_are_refused_with_the_reason_unless_somebody_insists(count: int) -> None:
    problem = few_pairs_problem(count, DPO)
    assert (problem is None) == (count >= FEWEST_PAIRS)
    assert problem is None or (f"There are {count} training pairs" in problem and "few_pairs" in problem)
    assert few_pairs_problem(count, config(few_pairs=True)) is None
    assert few_pairs_problem(count, config(model="pipeline-check")) is None, "which learns nothing of use"


def test_the_number_of_pairs_is_no_matter_to_an_sft_run() -> None:
    assert few_pairs_problem(1, PRESETS[0].config()) is None


def test_a_loss_by_token_weakens_beta_by_the_length_of_the_reply() -> None:
    summed, normalised = config(loss_types=("sigmoid", "sft")), config(loss_types=("sigmoid_norm",), loss_weights=(1.0,))
    assert effective_beta(summed, 60) == DPO.beta
    assert effective_beta(normalised, 60) == pytest.approx((DPO.beta or 0) / 60)
    assert effective_beta(PRESETS[0].config(), 60) is None


@given(before=st.text(max_size=30), words=st.sampled_from(["Final answer:", "final  ANSWER :", "FINAL\nanswer:"]), answer=st.text(min_size=1, max_size=20))
def test_only_what_stands_behind_the_last_final_answer_is_scored(before: str, words: str, answer: str) -> None:
    text = f"{before}Final answer: red {words}{answer}"
    start = answer_start(text, "rationale")
    assert (start is None) == (not answer.strip())
    assert start is None or text[start:] == answer


def test_an_answer_that_does_not_say_the_words_is_one_as_a_whole() -> None:
    assert answer_start("B. red", "answer") == 0
    assert answer_start("B. red", "rationale") is None


def test_all_pairs_without_a_final_answer_are_named() -> None:
    good = pair(1, reply="It is seen.\n\nFinal answer: A. left", rejected="It is seen.\n\nFinal answer: B. right")
    rows = [good, pair(2), replace(good, id="half", rejected="It is seen.")]
    asked = config(scored="final_answer")
    problem = scored_problem(rows, asked) or ""
    assert "pair-2, half" in problem and "2 of 3" in problem
    assert scored_problem([good], asked) is None
    assert scored_problem(rows, DPO) is None, "the whole reply is scored, so nothing lacks"


@given(st.lists(st.floats(0.01, 10.0), min_size=1, max_size=30))
def test_weights_keep_their_proportions_and_have_the_mean_one(given_weights: list[float]) -> None:
    rows = [replace(pair(), id=str(number), weight=weight) for number, weight in enumerate(given_weights)]
    weights = weights_of(rows, config(pair_weights=True))
    assert sum(weights.values()) / len(rows) == pytest.approx(1)
    for row in rows:
        assert weights[row.id] * rows[0].weight == pytest.approx(row.weight * weights[rows[0].id])
    assert set(weights_of(rows, DPO).values()) == {1.0}, "not asked for"


def test_a_weight_that_is_no_positive_number_is_refused() -> None:
    with pytest.raises(InputError, match="pair-0 has the weight 0"):
        weights_of([pair(weight=0.0)], config(pair_weights=True))


def told(steps: list[tuple[float, float, float]]) -> list[tuple[int, str]]:
    """Return (step, alarm) of a run with these rewards of the chosen, margins and accuracies."""
    alarms = Alarms()
    return [
        (step, text)
        for step, (chosen, margin, right) in enumerate(steps, start=1)
        for text in alarms.hear(step, {"rewards/chosen": chosen, "rewards/margins": margin, "rewards/accuracies": right})
    ]


def noisy(seed: int, chosen_slope: float, margin_slope: float, steps: int = 20) -> list[tuple[float, float, float]]:
    dice = random.Random(seed)
    return [(chosen_slope * at + dice.gauss(0, 0.1), margin_slope * at + dice.gauss(0, 0.1), 0.7) for at in range(steps)]


def test_an_alarm_is_raised_when_the_chosen_texts_become_less_likely_while_the_margin_grows() -> None:
    (step, text), *more = told(noisy(1, -0.1, 0.1, steps=39))
    assert step == 20 and "chosen texts became less likely" in text and not more
    assert len(told(noisy(1, -0.1, 0.1, steps=40))) == 2, "it goes on, so it is told again after 20 more steps"


@pytest.mark.parametrize("slopes", [(0.1, 0.1), (-0.1, -0.1), (0.1, -0.1)])
def test_no_alarm_is_raised_when_the_chosen_gain_or_the_margin_does_not(slopes: tuple[float, float]) -> None:
    assert not told(noisy(1, *slopes, steps=60))


def test_noise_alone_hardly_ever_raises_an_alarm() -> None:
    raised = sum(bool(told(noisy(seed, 0.0, 0.0))) for seed in range(1000))
    assert raised < 20, "of 1,000 runs without any trend"
    bare = sum(noisy(seed, 0.0, 0.0)[-1][0] < noisy(seed, 0.0, 0.0)[0][0] for seed in range(200))
    assert bare > 60, "the control: first against last step would cry wolf in half of them"


def test_rewards_above_the_reference_raise_no_alarm_though_they_fall() -> None:
    assert not told([(chosen + 9, margin, right) for chosen, margin, right in noisy(1, -0.1, 0.1)])


def test_negatives_that_are_told_apart_at_once_raise_an_alarm_once() -> None:
    easy = [(0.1, 0.2, 1.0)] * 60
    assert [step for step, text in told(easy) if "too easy" in text] == [10]
    assert not told([(0.1, 0.2, 0.9)] * 60)
    slow = [(0.1, 0.2, 0.9)] * 50 + [(0.1, 0.2, 1.0)] * 50
    assert not told(slow), "what is learnt after 50 steps may be learnt"


@given(st.lists(st.floats(-9, 9), min_size=4, max_size=20))
def test_the_change_of_mirrored_values_is_the_opposite(values: list[float]) -> None:
    assert change([-value for value in values]) == pytest.approx(-change(values))
