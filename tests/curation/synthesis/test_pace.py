"""How fast questions go out, on a clock that stands still until somebody sleeps."""

import asyncio
import random

from hypothesis import given
from hypothesis import strategies as st

from curation.synthesis.pace import LONGEST_BACKOFF_S, Bucket, Pace, backoff_s

AMOUNTS = st.lists(st.tuples(st.floats(0, 20), st.integers(1, 50)), min_size=1, max_size=40)


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        await asyncio.sleep(0)


@given(rate=st.floats(1, 600), asked=AMOUNTS)
def test_no_minute_holds_more_than_the_rate_and_one_question(rate: float, asked: list[tuple[float, int]]) -> None:
    clock = Clock()
    bucket, let_through = Bucket(rate, clock), []
    for pause_s, amount in asked:
        clock.now_s += pause_s
        let_through.append((clock.now_s + bucket.wait_s(amount), amount))
    for begin_s, _ in let_through:
        within = [amount for moment_s, amount in let_through if begin_s <= moment_s < begin_s + 60 - 1e-6]
        assert sum(within) <= rate + max(within) + 1e-6


@given(rate=st.floats(1, 600), n=st.integers(1, 30))
def test_a_bucket_is_no_slower_than_its_rate(rate: float, n: int) -> None:
    clock = Clock()
    bucket = Bucket(rate, clock)
    waits = [bucket.wait_s() for _ in range(n)]
    assert waits[0] == 0 and abs(waits[-1] - (n - 1) * 60 / rate) < 1e-6


def test_without_a_rate_nobody_waits() -> None:
    bucket = Bucket(None, Clock())
    assert [bucket.wait_s(1_000_000) for _ in range(3)] == [0, 0, 0]


def test_tokens_hold_back_as_requests_do() -> None:
    async def moments() -> list[float]:
        clock = Clock()
        pace = Pace(4, a_minute=600, tokens_a_minute=6_000, clock=clock, sleep=clock.sleep)
        found = []
        for _ in range(4):
            found.append(await pace.enter(100))
            await pace.leave(answered=True)
        return [moment - found[0] for moment in found]

    assert [round(moment, 6) for moment in asyncio.run(moments())] == [0, 1, 2, 3]


def test_what_the_provider_asks_for_holds_for_every_question_and_halves_the_window_once_for_a_burst() -> None:
    async def run() -> None:
        clock = Clock()
        pace = Pace(8, clock=clock, sleep=clock.sleep)
        asked_s = [await pace.enter(1) for _ in range(8)]
        for moment_s in asked_s:
            pace.slow_down(moment_s, 30.0)
            clock.now_s += 0.001  # their refusals come one after the other
            await pace.leave(answered=False)
        assert pace.window == 4
        assert await pace.enter(1) >= asked_s[0] + 30.0
        pace.slow_down(clock.now_s + 0.001, 0.0)
        assert pace.window == 2
        for _ in range(200):
            await pace.leave(answered=True)
            await pace.enter(1)
        assert pace.window == 8, "the control: answers open it again, and no further than it was"

    asyncio.run(run())


def test_no_more_are_out_than_the_window() -> None:
    async def run() -> int:
        pace, out, most = Pace(3), 0, 0

        async def ask() -> None:
            nonlocal out, most
            await pace.enter(1)
            out += 1
            most = max(most, out)
            await asyncio.sleep(0)
            out -= 1
            await pace.leave(answered=True)

        await asyncio.gather(*(ask() for _ in range(50)))
        return most

    assert asyncio.run(run()) == 3


def test_a_question_that_is_given_up_while_it_waits_leaves_its_place() -> None:
    async def run() -> None:
        pace = Pace(1, a_minute=1)
        await pace.enter(1)
        await pace.leave(answered=True)
        waiting = asyncio.create_task(pace.enter(1))
        await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert pace._busy == 0

    asyncio.run(run())


@given(tries=st.integers(1, 200), base_s=st.floats(0.001, 2), seed=st.integers())
def test_the_wait_between_tries_is_anything_up_to_a_doubling_bound(tries: int, base_s: float, seed: int) -> None:
    assert 0 <= backoff_s(tries, base_s, random.Random(seed)) <= min(LONGEST_BACKOFF_S, base_s * 2 ** (tries - 1))
