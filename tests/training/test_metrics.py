"""Right and wrong answers in numbers: intervals, the paired test, ties, and what has no score."""

import itertools
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.metrics import NO_TYPE, accuracy, accuracy_by_type, flips, mcnemar, no_verdict, summary, verdict, wilson


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    # Newcombe 1998, Statistics in Medicine 17, table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_interval_is_the_published_one(k: int, n: int, low: float, high: float) -> None:
    assert wilson(k, n) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(0, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_the_share_and_mirrors_that_of_the_others(counts: tuple[int, int]) -> None:
    k, n = counts
    found, mirrored = wilson(k, n), wilson(n - k, n)
    if n == 0:
        assert found is None
        return
    assert found and mirrored
    assert 0 <= found[0] <= k / n <= found[1] <= 1
    assert found[1] > found[0]
    assert found == pytest.approx((1 - mirrored[1], 1 - mirrored[0]))


def test_a_share_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError):
        wilson(3, 2)


@given(st.integers(0, 9), st.integers(0, 9))
def test_the_paired_test_counts_the_coin_throws_that_are_as_uneven(b: int, c: int) -> None:
    throws = list(itertools.product((0, 1), repeat=b + c)) if b + c <= 10 else None
    assert mcnemar(b, c) == mcnemar(c, b)
    if throws is not None:
        as_uneven = sum(abs(2 * sum(throw) - b - c) >= abs(b - c) for throw in throws)
        assert mcnemar(b, c) == pytest.approx(as_uneven / len(throws))


def test_the_paired_test_of_many_questions_neither_overflows_nor_becomes_one() -> None:
    assert mcnemar(0, 0) == 1
    assert 0 < mcnemar(4_700, 5_300) < 1e-8
    assert mcnemar(5_000, 5_000) == 1


sums = st.lists(st.floats(-50, 0) | st.sampled_from([-1.0, -2.0]), min_size=2, max_size=5)


@given(sums, st.data())
def test_the_choice_is_the_likeliest_option_and_a_tie_is_none(found: list[float], data: st.DataObject) -> None:
    answer = data.draw(st.integers(0, len(found) - 1))
    told = verdict(found, [1] * len(found), answer)
    best = [at for at, value in enumerate(found) if value == max(found)]
    assert told["tie"] == (len(best) > 1)
    assert told["correct"] == (best == [answer])
    assert told["choice"] == (best[0] if len(best) == 1 else None)
    assert (told["choice_by_mean"], told["nll"]) == (told["choice"], -found[answer]), "with one token an option the mean is the sum"


def test_the_two_readings_differ_where_the_options_differ_in_length() -> None:
    told = verdict([-4.0, -3.0], [4, 1], 0)
    assert (told["choice"], told["choice_by_mean"]) == (1, 0)
    assert (told["correct"], told["correct_by_mean"]) == (False, True)


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_an_option_without_a_number_leaves_the_question_without_a_score(broken: float) -> None:
    told = verdict([-1.0, broken], [1, 1], 0)
    assert not told["correct"]
    assert str(broken) in told["reason"]
    assert verdict([-1.0, -2.0], [1, 1], 0)["correct"], "the control"


def test_nothing_is_dropped_from_n() -> None:
    told = accuracy([verdict([-1.0, -2.0], [1, 1], 0), verdict([-1.0, -1.0], [1, 1], 0), no_verdict("too long")])
    assert (told["n"], told["correct"], told["ties"], told["unscored"]) == (3, 1, 1, 1)
    assert (told["nll"], told["nll_n"]) == (1.0, 2)
    assert accuracy([])["low"] is None and accuracy([])["nll"] is None


right, wrong = verdict([-1.0, -2.0], [1, 1], 0), verdict([-2.0, -1.0], [1, 1], 0)
predictions = st.lists(
    st.fixed_dictionaries(
        {
            "question": st.uuids().map(str),
            "clip": st.sampled_from("abc"),
            "type": st.sampled_from(["why", "how", None]),
            "contaminated": st.booleans(),
            "base": st.sampled_from([right, wrong, no_verdict("too long")]),
            "adapter": st.sampled_from([right, wrong, no_verdict("too long")]),
        }
    ),
    max_size=20,
)


@given(predictions)
def test_the_types_the_flips_and_the_whole_agree(found: list[dict[str, Any]]) -> None:
    whole, by_type, changed = summary(found), accuracy_by_type(found), flips(found)
    assert sum(line["n"] for line in by_type) == whole["n"] == len(found)
    for who in ("base", "adapter"):
        if found:
            assert sum(line[who]["correct"] for line in by_type) == whole[who]["correct"]
    assert all(line["type"] in ("why", "how", NO_TYPE) for line in by_type)
    gained = sum(flip.gained for flip in changed)
    if found:
        assert whole["adapter"]["correct"] - whole["base"]["correct"] == 2 * gained - len(changed)
        assert whole["mcnemar"] == {"only_base": len(changed) - gained, "only_adapter": gained, "p": mcnemar(gained, len(changed) - gained)}
    assert whole["clips"] == len({one["clip"] for one in found})
    assert whole["contaminated"] == sum(one["contaminated"] for one in found)


@given(predictions)
def test_without_an_adapter_nothing_is_compared(found: list[dict[str, Any]]) -> None:
    alone = [{**one, "adapter": None} for one in found]
    assert flips(alone) == ()
    assert summary(alone)["mcnemar"] is None and summary(alone)["adapter"] is None
