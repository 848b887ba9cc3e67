"""The order of QA pairs in time: what is certain, in which order they are told, and how a telling is scored."""

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.synthesis.arms import Arm
from curation.synthesis.order import OrderScore, certain_order, hull, is_before, natural, plan_lines, plan_order, score, told_order
from curation.synthesis.subjects import Told
from tests.curation.synthesis.told import pair, pairs, timed_pairs

FILE, TIME = Arm("narrative"), Arm("narrative", order="time")
quick = settings(max_examples=60, deadline=None)


def scored(pairs: Sequence[Told], order: Sequence[int]) -> OrderScore:
    return score({one.qa_id: one.spans for one in pairs}, {pairs[place].qa_id: at for at, place in enumerate(order)})


@quick
@given(pairs)
def test_a_telling_sorted_by_evidence_breaks_no_certain_order(pairs: list[Told]) -> None:
    assert scored(pairs, told_order(pairs, TIME)).discordant == 0


@quick
@given(pairs)
def test_a_telling_by_the_plan_breaks_no_certain_order(pairs: list[Told]) -> None:
    assert scored(pairs, plan_order(pairs)).discordant == 0


def test_a_telling_in_file_order_breaks_what_the_file_has_the_wrong_way_round() -> None:
    pairs = [pair("1", (9, 10)), pair("2", (1, 2)), pair("3", (3, 4))]
    assert scored(pairs, told_order(pairs, FILE)) == OrderScore(concordant=1, discordant=2, untold=0)


@quick
@given(pairs, st.randoms(use_true_random=False))
def test_the_reverse_of_a_telling_has_the_opposite_tau(pairs: list[Told], chance: Random) -> None:
    order = list(range(len(pairs)))
    chance.shuffle(order)
    tau, reversed_tau = scored(pairs, order).tau, scored(pairs, order[::-1]).tau
    assert (tau is None and reversed_tau is None) or tau == pytest.approx(-(reversed_tau or 0.0))


@quick
@given(pairs, st.permutations(range(9)))
def test_other_names_change_no_score(pairs: list[Told], names: list[int]) -> None:
    spans = {one.qa_id: one.spans for one in pairs}
    other = {one.qa_id: f"x{names[place]}" for place, one in enumerate(pairs)}
    told = {one.qa_id: float(place % 4) for place, one in enumerate(pairs)}
    assert score(spans, told) == score({other[one]: of for one, of in spans.items()}, {other[one]: at for one, at in told.items()})


@quick
@given(timed_pairs, st.sampled_from([0.0, 0.5, 3.0]))
def test_what_is_certain_is_transitive_and_has_no_circle(pairs: list[Told], delta_s: float) -> None:
    later = certain_order(pairs, delta_s)
    assert {(i, k) for i, j in later for other, k in later if j == other} <= later
    assert not any((j, i) in later for i, j in later)


@quick
@given(pairs)
def test_each_order_is_a_permutation(pairs: list[Told]) -> None:
    for order in (told_order(pairs, FILE), told_order(pairs, TIME), plan_order(pairs)):
        assert sorted(order) == list(range(len(pairs)))


@quick
@given(pairs)
def test_the_lines_of_a_plan_lead_to_just_what_is_certain(pairs: list[Told]) -> None:
    direct: dict[int, list[int]] = {}
    for line in plan_lines(pairs):
        number, _, after = line.split(". ", 1)[1].partition(" (after ")
        direct[int(number[1:])] = [int(one[1:]) for one in after.rstrip(")").split(", ") if one]

    def before(number: int) -> set[int]:
        return set().union(*({one} | before(one) for one in direct[number])) if direct[number] else set()

    assert {(one - 1, number - 1) for number in direct for one in before(number)} == certain_order(pairs)


def test_hulls_that_touch_are_ordered_and_hulls_that_overlap_are_not() -> None:
    assert is_before([(1, 3)], [(3, 4)])
    assert not is_before([(1, 3.1)], [(3, 4)]) and not is_before([(3, 4)], [(1, 3.1)])
    assert is_before([(1, 3.1)], [(3, 4)], delta_s=0.2)


def test_a_pair_with_several_stretches_lasts_from_the_first_to_the_last() -> None:
    assert hull([(5, 6), (1, 2)]) == (1, 6)
    assert not is_before([(1, 2), (5, 6)], [(3, 4)]) and not is_before([(3, 4)], [(1, 2), (5, 6)])


def test_a_pair_without_evidence_has_no_certain_order_and_stays_behind_its_neighbour() -> None:
    pairs = [pair("1"), pair("2", (5, 6)), pair("3"), pair("4"), pair("5", (1, 2))]
    assert certain_order(pairs) == {(4, 1)}
    assert told_order(pairs, TIME) == (0, 4, 1, 2, 3)
    assert plan_lines(pairs) == ("1. Q1", "2. Q3", "3. Q4", "4. Q5", "5. Q2 (after Q5)")


def test_what_is_missing_or_told_at_once_is_untold_and_lowers_coverage_alone() -> None:
    spans = {"a": [(0, 1)], "b": [(2, 3)], "c": [(4, 5)]}
    partly = score(spans, {"a": 0, "b": 0})
    assert partly == OrderScore(0, 0, 3) and partly.inversion_rate is None and partly.tau is None and partly.coverage == 0
    assert partly.reason == "None of the 3 orders that are certain is told."
    assert score(spans, {"a": 1, "c": 2}).coverage == pytest.approx(1 / 3)


def test_where_nothing_is_certain_there_is_no_rate_but_a_reason() -> None:
    nothing = score({"a": [(0, 2)], "b": [(1, 3)]}, {"a": 0, "b": 1})
    assert nothing.coverage is None and nothing.inversion_rate is None
    assert nothing.reason == "No two QA pairs have an order that is certain."


def test_names_sort_as_people_number_them() -> None:
    assert sorted(["10", "9", "q2", "q10", "1"], key=natural) == ["1", "9", "10", "q2", "q10"]
