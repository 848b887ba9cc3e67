"""What is spent stays within the budget, whatever answers cost and in whatever order they come."""

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.synthesis.budget import UNPAID, Budget, Tokens, counted, money_of, most_of
from curation.synthesis.plan import Prices
from curation.synthesis.writing import Ask, Film, Picture, Sampling, Words
from tests.curation.synthesis.orders import ARM, ROOT, subject

PRICES = Prices(2.0, 8.0)
COSTS = st.lists(st.tuples(st.integers(1, 500), st.integers(1, 500), st.floats(0, 1)), min_size=1, max_size=40)


async def spend(budget: Budget, asks: list[tuple[Tokens, Tokens]], at_a_time: int) -> list[Tokens]:
    """Ask all, so many at a time; return what was really spent."""
    spent: list[Tokens] = []
    todo = iter(asks)

    async def run() -> None:
        for most, real in todo:
            if not await budget.reserve(most):
                return
            await asyncio.sleep(0)
            spent.append(real)
            budget.settle(most, real)

    await asyncio.gather(*(run() for _ in range(at_a_time)))
    return spent


@given(costs=COSTS, limit=st.integers(0, 20_000), at_a_time=st.integers(1, 8))
def test_answers_within_their_estimate_never_exceed_the_budget(costs: list[tuple[int, int, float]], limit: int, at_a_time: int) -> None:
    asks = [(Tokens(read, written), Tokens(read, int(share * written))) for read, written, share in costs]
    spent = asyncio.run(spend(Budget(limit, None, None), asks, at_a_time))
    assert sum(tokens.total for tokens in spent) <= limit
    money = limit / 1e6
    spent = asyncio.run(spend(Budget(None, money, PRICES), asks, at_a_time))
    assert sum(money_of(PRICES, tokens.read, tokens.written) or 0 for tokens in spent) <= money + 1e-12


@given(n=st.integers(1, 60), limit=st.integers(100, 5_000))
def test_a_budget_is_used_up_to_less_than_one_question(n: int, limit: int) -> None:
    most = Tokens(50, 50)
    spent = asyncio.run(spend(Budget(limit, None, None), [(most, Tokens(50, 10))] * n, 4))
    assert len(spent) == n or limit - sum(tokens.total for tokens in spent) < most.total


@given(seed=st.integers(0, 1_000), factor=st.integers(2, 5))
def test_one_answer_that_takes_more_than_reckoned_makes_all_later_ones_as_much_dearer(seed: int, factor: int) -> None:
    most, limit = Tokens(50, 50), 10_000 + random.Random(seed).randrange(1_000)
    spent = asyncio.run(spend(Budget(limit, None, None), [(most, Tokens(50 * factor, 50 * factor))] * 500, 1))
    assert limit - factor * most.total < sum(tokens.total for tokens in spent) <= limit


def test_a_question_waits_for_what_others_may_give_back() -> None:
    async def run() -> list[bool]:
        budget = Budget(100, None, None)
        assert await budget.reserve(Tokens(40, 40))
        waiting = asyncio.create_task(budget.reserve(Tokens(40, 40)))
        await asyncio.sleep(0)
        told = [waiting.done()]
        budget.settle(Tokens(40, 40), Tokens(10, 0))
        return [*told, await waiting, await asyncio.wait_for(Budget(10, None, None).reserve(Tokens(40, 40)), 1)]

    assert asyncio.run(run()) == [False, True, False]


def test_a_try_that_tells_nothing_counts_as_reserved_unless_nobody_is_paid_for_it() -> None:
    reserved = Tokens(10, 20)
    assert counted(None, None, reserved, "timeout") == reserved and counted(None, None, reserved) == reserved
    assert all(counted(None, None, reserved, code) == Tokens() for code in UNPAID)
    assert counted(7, None, reserved, "blocked") == Tokens(7, 20) and counted(0, 0, reserved) == Tokens()


def test_pictures_and_films_are_reckoned_too() -> None:
    words, path = Words("x" * 250), ROOT / "clip"
    sampling = Sampling(new_tokens=30)
    assert most_of(Ask((words,), sampling, subject(1), ARM)) == Tokens(100, 30)
    assert most_of(Ask((words, Picture(path, 0.0), Picture(path, 1.0)), sampling, subject(1), ARM)) == Tokens(2_100, 30)
    assert most_of(Ask((words, Film(path, "d", 2.0, 12.0)), sampling, subject(1), ARM)) == Tokens(3_100, 30)
    assert most_of(Ask((words, Film(path, "d", 0.0, None)), sampling, subject(1), ARM)).read == pytest.approx(100 + 300 * 30)


def test_money_without_prices_or_told_tokens_is_unknown() -> None:
    assert money_of(None, 5, 5) is None and money_of(PRICES, None, 5) is None and money_of(PRICES, 1_000_000, 1_000_000) == 10.0
