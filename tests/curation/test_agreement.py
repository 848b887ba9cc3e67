"""Agreement: known values, what must not change it, and the reason where there is none."""

import csv
import io
import math
import random
from collections.abc import Hashable, Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.study.agreement import AgreementRow, Measure, agreement_csv, agreement_of, agreement_table, alpha_of, measures, t_quantile
from curation.work_flags import flag_names
from tests.curation.annotating import annotate, memory_store
from tests.seeds import seed_project

# Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), section C: four observers, twelve units, some values missing.
OBSERVERS = {
    "A": "123321412...",
    "B": "1233224125.3",
    "C": ".3332342251.",
    "D": "12332441251.",
}
NOMINAL = Measure("verdict", "Verdict", "nominal", tuple("12345"), frozenset({"1"}))
ORDINAL = Measure("rating:x", "Rating", "ordinal", tuple("12345"), frozenset("1234"))
BINARY = Measure("flag:x", "Flag", "nominal", ("not flagged", "flagged"), frozenset({"flagged"}))
Ratings = dict[Hashable, dict[str, str]]


def canonical() -> Ratings:
    return {unit: {who: row[unit] for who, row in OBSERVERS.items() if row[unit] != "."} for unit in range(12)}


@st.composite
def ratings(draw: st.DrawFn, domain: str = "123") -> Ratings:
    people = st.dictionaries(st.sampled_from(["ann", "bo", "cy"]), st.sampled_from(domain), max_size=3)
    return dict(enumerate(draw(st.lists(people, max_size=12))))


def figures(row: AgreementRow) -> tuple[object, ...]:
    return row.n_items, row.n_pairable_items, row.n_raters, row.n_values, row.raw_agreement, row.n_pairs, row.alpha


@pytest.mark.parametrize("measure, expected", [(NOMINAL, 0.7434), (ORDINAL, 0.8154)])
def test_alpha_is_that_of_krippendorffs_own_example(measure: Measure, expected: float) -> None:
    row = agreement_of(measure, canonical())
    assert row.alpha == pytest.approx(expected, abs=5e-5)
    assert (row.n_items, row.n_pairable_items, row.n_raters) == (12, 11, 4)


@given(ratings())
def test_alpha_of_two_values_follows_the_formula_by_hand(given_ratings: Ratings) -> None:
    flags = {item: {who: "flagged" if value == "1" else "not flagged" for who, value in told.items()} for item, told in given_ratings.items()}
    row = agreement_of(BINARY, flags)
    units = [(len(told), sum(value == "flagged" for value in told.values())) for told in flags.values() if len(told) > 1]
    n, n1 = sum(r for r, _ in units), sum(k for _, k in units)
    if row.alpha is None:
        assert n1 in (0, n)
        return
    observed = sum(2 * k * (r - k) / (r - 1) for r, k in units) / n
    assert row.alpha == pytest.approx(1 - observed / (2 * n1 * (n - n1) / (n * (n - 1))))


@given(ratings(), st.permutations(["ann", "bo", "cy"]), st.sampled_from([NOMINAL, ORDINAL]))
def test_who_the_annotators_are_and_the_order_of_the_items_change_nothing(given_ratings: Ratings, others: list[str], measure: Measure) -> None:
    names = dict(zip(["ann", "bo", "cy"], others, strict=True))
    renamed: Ratings = {item: {names[who]: value for who, value in told.items()} for item, told in reversed(given_ratings.items())}
    assert agreement_of(measure, renamed) == agreement_of(measure, given_ratings)


@given(ratings(), st.permutations("12345"))
def test_nominal_alpha_does_not_know_the_values_and_ordinal_alpha_only_their_order(given_ratings: Ratings, others: list[str]) -> None:
    def mapped(table: Mapping[str, str]) -> Ratings:
        return {item: {who: table[value] for who, value in told.items()} for item, told in given_ratings.items()}

    anyhow, reversed_order = dict(zip("12345", others, strict=True)), dict(zip("12345", "54321", strict=True))
    assert figures(agreement_of(NOMINAL, mapped(anyhow))) == pytest.approx(figures(agreement_of(NOMINAL, given_ratings)))
    assert figures(agreement_of(ORDINAL, mapped(reversed_order))) == pytest.approx(figures(agreement_of(ORDINAL, given_ratings)))


@given(ratings(), st.lists(st.sampled_from("12345"), max_size=5), st.sampled_from([NOMINAL, ORDINAL]))
def test_items_with_one_annotator_are_counted_but_change_no_agreement(given_ratings: Ratings, alone: list[str], measure: Measure) -> None:
    more = given_ratings | {f"alone {number}": {"ann": value} for number, value in enumerate(alone)}
    before, after = agreement_of(measure, given_ratings), agreement_of(measure, more)
    assert (after.alpha, after.raw_agreement, after.n_pairable_items) == (before.alpha, before.raw_agreement, before.n_pairable_items)
    assert after.n_items == before.n_items + len(alone)


@given(ratings(), st.sampled_from([NOMINAL, ORDINAL]))
def test_alpha_is_a_number_up_to_one_or_there_is_a_reason_in_a_sentence(given_ratings: Ratings, measure: Measure) -> None:
    row = agreement_of(measure, given_ratings)
    assert (row.alpha is None) == (row.reason is not None)
    assert (row.alpha_low is None) == (row.interval_reason is not None)
    if row.alpha is None:
        assert row.reason
        assert row.reason.endswith(".")
    else:
        assert math.isfinite(row.alpha)
        assert row.alpha <= 1
        assert (row.alpha == pytest.approx(1)) == (row.raw_agreement == 1)


@pytest.mark.parametrize(
    "given_ratings, part",
    [
        ({}, "Nobody has given this yet"),
        ({1: {}}, "Nobody has given this yet"),
        ({1: {"ann": "1"}, 2: {"bo": "2"}}, "No item has two annotators (2 have one)"),
        ({1: {"ann": "2", "bo": "2"}, 2: {"ann": "2", "bo": "2"}, 3: {"ann": "1"}}, "All 4 ratings of the 2 items with two annotators are “2”"),
    ],
)
def test_where_alpha_is_undefined_it_is_none_and_says_why(given_ratings: Ratings, part: str) -> None:
    row = agreement_of(NOMINAL, given_ratings)
    assert row.alpha is row.alpha_low is row.alpha_high is None
    assert row.reason is not None
    assert part in row.reason


# The interval.


def flags_at_random(items: int, share: float, seed: int, skill: float = 0.85) -> Ratings:
    chance = random.Random(seed)
    table: Ratings = {}
    for item in range(items):
        truth = chance.random() < share
        table[item] = {who: "flagged" if (chance.random() < skill) == truth else "not flagged" for who in ("ann", "bo", "cy")}
    return table


def test_the_interval_is_the_jackknife_over_items_as_written_down_plainly() -> None:
    table = flags_at_random(60, 0.4, seed=1)
    row = agreement_of(BINARY, table)
    counts = np.array([[sum(v == value for v in told.values()) for value in BINARY.domain] for told in table.values()])
    without = [alpha_of(np.delete(counts, item, axis=0), "nominal") for item in range(60)]
    error = math.sqrt(59 / 60 * sum((one - sum(without) / 60) ** 2 for one in without))
    assert row.alpha is not None
    assert (row.alpha_low, row.alpha_high) == (pytest.approx(row.alpha - 2.0010 * error, abs=1e-4), pytest.approx(row.alpha + 2.0010 * error, abs=1e-4))


@pytest.mark.parametrize(
    "table, part",
    [
        (flags_at_random(29, 0.5, seed=2), "29 items have two annotators; under 30"),
        ({item: {"ann": "flagged" if item < 4 else "not flagged", "bo": "not flagged"} for item in range(60)}, "to 4 of 60 items; under 5"),
        ({item: dict.fromkeys(("ann", "bo"), "flagged" if item % 2 else "not flagged") for item in range(60)}, "agree on all 60 items"),
    ],
)
def test_an_interval_that_would_mislead_is_refused_with_the_reason(table: Ratings, part: str) -> None:
    row = agreement_of(BINARY, table)
    assert row.alpha is not None
    assert row.alpha_low is None
    assert row.interval_reason
    assert part in row.interval_reason


def test_one_item_more_gives_the_interval_that_was_refused() -> None:
    assert agreement_of(BINARY, flags_at_random(30, 0.5, seed=2)).alpha_low is not None
    flagged = {item: {"ann": "flagged" if item < 5 else "not flagged", "bo": "not flagged"} for item in range(60)}
    assert agreement_of(BINARY, flagged).alpha_low is not None


def test_the_interval_covers_the_true_alpha_about_as_often_as_it_says() -> None:
    truth = agreement_of(BINARY, flags_at_random(30_000, 0.4, seed=3)).alpha
    assert truth is not None
    rows = [agreement_of(BINARY, flags_at_random(50, 0.4, seed=seed)) for seed in range(200)]
    covered = sum(row.alpha_low <= truth <= row.alpha_high for row in rows if row.alpha_low is not None and row.alpha_high is not None)
    # 190 of 200 are expected; four standard deviations below leave 177.
    assert 177 <= covered <= 200


@pytest.mark.parametrize("freedom, expected", [(29, 2.045230), (49, 2.009575), (99, 1.984217), (10_000, 1.960201)])
def test_students_t_is_that_of_the_tables(freedom: int, expected: float) -> None:
    assert t_quantile(0.975, freedom) == pytest.approx(expected, abs=1e-5)


# Over a store.


def test_there_is_one_row_a_measure_and_the_flags_are_those_of_the_taxonomy() -> None:
    with memory_store() as db:
        rows = agreement_table(db)
    assert [row.measure for row in rows] == [measure.id for measure in measures()]
    assert {row.measure for row in rows} == {"verdict", "rating:factual_consistency", "rating:logical_coherence", *(f"flag:{kind}" for kind in flag_names())}
    assert all(row.reason == "Nobody has given this yet. Finish items on the Annotate page." for row in rows)


def test_annotations_become_verdicts_flags_and_ratings_and_skips_are_left_out() -> None:
    with memory_store() as db:
        seeded = seed_project(db)
        annotate(db, seeded.rationale, "ann", "accept", stars=(5, 4))
        annotate(db, seeded.rationale, "bo", "reject", ["temporal_error", "temporal_error"], stars=(2, 4))
        annotate(db, seeded.rival, "ann", "reject", ["temporal_error"])
        annotate(db, seeded.rival, "bo", "reject", ["temporal_error", "other"])
        annotate(db, seeded.rival, "cy", "skip")
        by_id = {row.measure: row for row in agreement_table(db)}
    verdict, temporal, factual = by_id["verdict"], by_id["flag:temporal_error"], by_id["rating:factual_consistency"]
    assert (verdict.n_items, verdict.n_raters, verdict.raw_agreement, verdict.prevalence) == (2, 2, 0.5, 0.75)
    assert temporal.values == (("not flagged", 1), ("flagged", 3))
    assert temporal.alpha == pytest.approx(0.0)
    assert (factual.level, factual.n_items, factual.n_ratings, factual.raw_agreement) == ("ordinal", 1, 2, 0.0)
    assert by_id["flag:entity_drift"].reason


def test_the_csv_has_a_line_a_measure_and_leaves_the_undefined_empty() -> None:
    rows = [agreement_of(NOMINAL, canonical()), agreement_of(BINARY, {})]
    lines = list(csv.DictReader(io.StringIO(agreement_csv(rows))))
    assert [line["alpha"] for line in lines] == ["0.743421", ""]
    assert lines[0]["values"].startswith("1: ")
    assert "nan" not in agreement_csv(rows).lower()


def test_the_same_items_three_times_over_give_nearly_the_same_alpha_and_a_narrower_interval() -> None:
    table = flags_at_random(100, 0.4, seed=5)
    more: Ratings = {(item, copy): told for item, told in table.items() for copy in range(3)}
    once, often = agreement_of(BINARY, table), agreement_of(BINARY, more)
    assert once.alpha == pytest.approx(often.alpha, abs=0.01)
    widths = [row.alpha_high - row.alpha_low for row in (once, often) if row.alpha_high is not None and row.alpha_low is not None]
    assert widths[1] == pytest.approx(widths[0] / math.sqrt(3), rel=0.05)
