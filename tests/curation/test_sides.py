"""Side, length and swapped repeats: the figures are right, a bias trips the alarm, and fair choices seldom do."""

import math
import random
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.study.sides import BIASES, POWER, Share, binomial_p, share_of, side_report, votes_needed
from curation.ui.side_views import sides_html
from store.records import Comparison

TEXTS = {
    "a": "one two three four five six seven eight nine ten",
    "b": "one two three",
    "c": "one two three four five six seven eight nine",
    "d": "four five six",
}


def comparison(number: int, left: str, better: str, pair: str = "ab", round_: int = 1, annotator: str = "ann") -> Comparison:
    """Return a comparison of two of the texts above; `better` is one of them, "tie" or "both_bad"."""
    outcome = {pair[0]: "a", pair[1]: "b"}.get(better, better)
    return Comparison(str(number), annotator, "subject", "rationale", pair[0], pair[1], left, round_, outcome, None, "")


def simulated(seed: int, n: int, left_share: float) -> list[Comparison]:
    """Return choices of somebody who takes the left text with this chance, whatever it says."""
    drawn = random.Random(seed)
    made = []
    for number in range(n):
        left = drawn.choice("ab")
        right = "b" if left == "a" else "a"
        made.append(comparison(number, left, left if drawn.random() < left_share else right))
    return made


@pytest.mark.parametrize(
    "hits, n, low, high", [(60, 100, 0.5020, 0.6906), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (1, 1, 0.2065, 1.0), (81, 263, 0.2553, 0.3662)]
)
def test_wilsons_interval_is_that_of_published_tables(hits: int, n: int, low: float, high: float) -> None:
    # The last one: Newcombe, Statistics in Medicine 17 (1998) 857, table I, method 3.
    share = share_of([True] * hits + [False] * (n - hits))
    assert (share.low, share.high) == pytest.approx((low, high), abs=5e-5)


@given(st.lists(st.booleans(), min_size=1, max_size=300))
def test_the_interval_holds_the_share_and_turns_over_with_it(told: list[bool]) -> None:
    share, turned = share_of(told), share_of([not one for one in told])
    assert share.low is not None
    assert share.high is not None
    assert -1e-12 <= share.low <= sum(told) / len(told) <= share.high <= 1 + 1e-12
    assert (share.low, share.p) == pytest.approx((1 - (turned.high or 0), turned.p))


@given(st.integers(1, 120), st.data())
def test_the_exact_p_is_the_sum_over_all_that_departs_as_far(n: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, n))
    far = abs(2 * hits - n)
    expected = sum(math.comb(n, other) for other in range(n + 1) if abs(2 * other - n) >= far) / 2**n
    assert binomial_p(hits, n) == pytest.approx(expected)
    assert binomial_p(hits, n) == binomial_p(n - hits, n) <= 1


def test_the_votes_that_a_bias_needs_are_those_at_which_the_exact_test_sees_it_four_times_in_five() -> None:
    assert [votes_needed(bias) for bias in BIASES] == [194, 783, 4903]
    for bias in (0.6, 0.55):
        # Whole numbers make the exact test a little more careful than its approximation: 0.76 at 194.
        assert power_of(bias, votes_needed(bias)) == pytest.approx(POWER, abs=0.04)


def power_of(bias: float, n: int) -> float:
    """Return how often the exact test rejects at a true share: what `votes_needed` approximates."""
    chance = (
        math.exp(math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * math.log(bias) + (n - k) * math.log(1 - bias)) for k in range(n + 1)
    )
    return sum(p for k, p in enumerate(chance) if binomial_p(k, n) < 0.05)


def test_a_left_bias_of_60_percent_trips_the_alarm_at_400_choices() -> None:
    assert side_report(simulated(1, 400, 0.6), TEXTS).left.alarm
    assert sum(side_report(simulated(seed, 400, 0.6), TEXTS).left.alarm for seed in range(100)) >= 95


def test_the_control_fair_choices_trip_it_in_about_five_of_a_hundred_seeds() -> None:
    p = cache(binomial_p)
    drawn = random.Random(0)
    alarms = sum(p(sum(drawn.random() < 0.5 for _ in range(400)), 400) < 0.05 for _ in range(2000))
    assert 0.03 < alarms / 2000 < 0.065
    assert sum(side_report(simulated(seed, 400, 0.5), TEXTS).left.alarm for seed in range(100)) <= 11


def test_longer_is_by_words_and_the_slice_of_a_length_leaves_out_the_rest_and_equals() -> None:
    report = side_report(
        [
            comparison(1, "a", "a"),  # ten words over three
            comparison(2, "b", "b"),  # three over ten
            comparison(3, "a", "a", "ac"),  # ten over nine: of a length
            comparison(4, "d", "d", "bd"),  # three each: neither is longer
            comparison(5, "a", "tie"),
            comparison(6, "b", "both_bad"),
        ],
        TEXTS,
    )
    assert (report.left.hits, report.left.n, report.undecided) == (4, 4, 2)
    assert (report.longer.hits, report.longer.n) == (2, 3)
    assert (report.longer_alike.hits, report.longer_alike.n) == (1, 1)


def test_repeats_tell_only_whether_the_word_stood_and_are_paired_by_person() -> None:
    report = side_report(
        [
            comparison(1, "a", "a"),
            comparison(2, "b", "a", round_=2),  # stood
            comparison(3, "a", "a", "ac"),
            comparison(4, "c", "c", "ac", round_=2),  # followed the left side
            comparison(5, "a", "tie", annotator="bo"),
            comparison(6, "b", "tie", round_=2, annotator="bo"),  # stood
            comparison(7, "d", "d", "bd"),
            comparison(8, "d", "d", "bd", round_=2, annotator="bo"),  # of two persons: no repeat
        ],
        TEXTS,
    )
    assert (report.swapped.hits, report.swapped.n) == (2, 3)
    assert report.left.n == 3, "round 1 alone, ties left out"


def test_nothing_to_count_is_told_as_nothing() -> None:
    report = side_report([], {})
    assert report.left == share_of([]) == Share(0, 0, None, None, None, None)
    assert not report.left.alarm
    shown = sides_html(report)
    assert "nan" not in shown.lower()
    assert "None" not in shown


def test_the_table_names_n_interval_and_p_and_marks_the_alarm_by_words() -> None:
    shown = sides_html(side_report(simulated(1, 400, 0.6), TEXTS))
    assert "▲ more than chance" in shown
    assert "194 for one of 60 %, 783 for one of 55 %, 4,903 for one of 52 %. There are 400." in shown
    assert "more than chance" not in sides_html(side_report(simulated(3, 40, 0.5), TEXTS))
