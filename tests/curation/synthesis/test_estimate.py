"""What a run will take: by rule, by earlier answers, or unknown with the reason; and never a figure that nobody gave."""

import math
import random
import statistics
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.synthesis.answers import words_of
from curation.synthesis.arms import PRESETS
from curation.synthesis.estimate import LEAST_SEEN, Taken, estimate, seen_in
from curation.synthesis.journal import append, results_of
from curation.synthesis.plan import Item, Limits, Prices, SynthesisPlan, WriterSpec
from curation.synthesis.prompts import load
from curation.synthesis.writing import Sampling
from tests.curation.synthesis.orders import order, subject

SERVER = WriterSpec("openai", "m", "http://127.0.0.1:1/v1")
PLAN = SynthesisPlan("", "", PRESETS["narrative"]["full"], SERVER, Sampling(new_tokens=100), load("narrative"))
FRAMES = replace(PLAN, arm=replace(PLAN.arm, shown="frames"), view={"frames": 16})
PRICES = Prices(2.0, 10.0, "EUR")


def items(count: int) -> Iterator[Item]:
    return (Item(f"key-{number}", subject(number), 0) for number in range(count))


def test_by_rule_tokens_are_a_fixed_range_of_the_characters_that_are_sent() -> None:
    found = estimate(items(3), replace(PLAN, prices=PRICES))
    characters = sum(len(words_of(item, PLAN)) for item in items(3))
    assert found.tokens_in is not None and found.money is not None
    assert (found.tokens_in.low, found.tokens_in.high) == (characters / 4, characters / 2.5)
    assert (found.tokens_out.low, found.tokens_out.high) == (0, 300)
    assert found.money.low == pytest.approx(characters / 4 * 2e-6)
    assert found.money.high == pytest.approx(characters / 2.5 * 2e-6 + 300 * 10e-6)
    assert (found.items, found.requests, found.pictures, found.currency, found.seen) == (3, 3, 0, "EUR", 0)
    assert found.seconds is None and found.unknown["seconds"]


def test_without_prices_money_is_unknown_and_not_nothing() -> None:
    found = estimate(items(1), PLAN)
    assert found.money is None and "--prices" in found.unknown["money"] and found.as_json()["money"] is None
    assert "money not known" in found.sentence


def test_what_pictures_take_is_unknown_until_somebody_says_it() -> None:
    blind = estimate(items(2), replace(FRAMES, prices=PRICES))
    assert (blind.pictures, blind.tokens_in, blind.money) == (32, None, None)
    assert "--picture-tokens" in blind.unknown["tokens_in"] and blind.unknown["money"]
    said = estimate(items(2), replace(FRAMES, prices=PRICES), picture_tokens=100)
    characters = sum(len(words_of(item, FRAMES)) for item in items(2))
    assert said.tokens_in is not None and said.money is not None
    assert (said.tokens_in.low, said.tokens_in.high) == (characters / 4 + 200, characters / 2.5 + 3200), "1 to 16 pictures each"


@pytest.mark.parametrize("plan", [replace(PLAN, arm=replace(PLAN.arm, shown="video"), view={}), replace(FRAMES, writer=replace(SERVER, run_id="r"), view={})])
def test_a_film_and_an_adapters_own_look_are_unknown_whatever_a_picture_takes(plan: SynthesisPlan) -> None:
    found = estimate(items(1), plan, picture_tokens=100)
    assert (found.pictures, found.tokens_in) == (None, None) and found.unknown["tokens_in"]


def test_the_template_asks_nobody_and_costs_nothing() -> None:
    found = estimate(items(4), replace(PLAN, writer=WriterSpec("template", "1")))
    assert (found.items, found.requests) == (4, 0)
    assert found.money is not None and found.tokens_in is not None
    assert (found.money.high, found.tokens_in.high, found.tokens_out.high) == (0, 0, 0)


def test_nothing_to_ask_takes_nothing() -> None:
    found = estimate(iter(()), replace(PLAN, prices=PRICES))
    assert found.money is not None and (found.items, found.money.high) == (0, 0)


@given(count=st.integers(1, 10_000), n=st.integers(10, 1000), mean=st.floats(1, 1e4), spread=st.floats(0, 1e3))
def test_earlier_answers_give_an_interval_around_their_mean(count: int, n: int, mean: float, spread: float) -> None:
    found = estimate((Item("k", subject(0), 0) for _ in range(count)), replace(PLAN, prices=PRICES), seen=Taken(n, (mean, spread), (mean, spread), 2.0))
    assert found.tokens_in is not None and found.money is not None and found.seen == n
    for told, expected in ((found.tokens_in, count * mean), (found.money, count * mean * 12e-6)):
        # A sum in another order differs in its last digits.
        assert 0 <= told.low <= expected * (1 + 1e-9)
        assert expected <= told.high * (1 + 1e-9)
    assert f"{n:,} earlier answers" in found.sentence


def test_the_interval_holds_about_95_of_100_sums() -> None:
    chance, held, of = random.Random(1), 0, 400
    for _ in range(of):
        before = [chance.gauss(500, 100) for _ in range(50)]
        seen = Taken(50, (statistics.fmean(before), statistics.stdev(before)), (0.0, 0.0), 1.0)
        found = estimate(items(20), PLAN, seen=seen).tokens_in
        assert found is not None
        held += found.low <= sum(chance.gauss(500, 100) for _ in range(20)) <= found.high
    # Three standard errors of a share of 0.95, and n = 50 makes it a little narrow.
    assert abs(held / of - 0.95) < 3 * math.sqrt(0.95 * 0.05 / of) + 0.01


def test_the_time_is_bound_by_answers_in_flight_and_by_the_pace() -> None:
    seen = Taken(50, (100.0, 0.0), (100.0, 0.0), 4.0)

    def seconds(limits: Limits) -> float | None:
        return estimate(items(120), replace(PLAN, limits=limits), seen=seen).seconds

    assert seconds(Limits(in_flight=8, workers=2)) == 30.0
    assert seconds(Limits(in_flight=8, workers=2, a_minute=60)) == 120.0
    assert seconds(Limits(in_flight=8, workers=2, tokens_a_minute=6000)) == 240.0


def test_answers_of_the_same_writer_arm_and_view_count_and_no_others(tmp_path: Path) -> None:
    directory = order(tmp_path, 1, SERVER.address or "", name="before", arm=PLAN.arm, sampling=PLAN.sampling)
    written = {"what": "written", "tokens_out": 20, "seconds": 2.0, "text": "t"}
    append(results_of(directory, "000"), [{**written, "key": str(number), "tokens_in": 100 + number % 2} for number in range(LEAST_SEEN - 1)])
    assert seen_in(tmp_path, PLAN) is None, "too few"
    append(results_of(directory, "000"), [{**written, "key": "more", "tokens_in": 101}, {**written, "key": "silent", "tokens_in": None}])
    found = seen_in(tmp_path, replace(PLAN, writer=replace(SERVER, answer_s=20.0, key_variable="K")))
    assert found is not None
    assert (found.n, found.tokens_in[0], found.tokens_out, found.seconds) == (LEAST_SEEN, 100.5, (20.0, 0.0), 2.0)
    for other in (replace(PLAN, arm=PRESETS["narrative"]["file"]), replace(PLAN, writer=replace(SERVER, model="n")), replace(PLAN, view={"frames": 4})):
        assert seen_in(tmp_path, other) is None
