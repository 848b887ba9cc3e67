"""How fast questions may go out: so many at a time, a minute, and no more while the provider asks for patience. One pace for all of a worker."""

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable

Clock = Callable[[], float]
Sleep = Callable[[float], Awaitable[object]]
LONGEST_BACKOFF_S = 60.0


class Bucket:
    """Lets through so much a minute, evenly: a token bucket that holds one question.

    What it let through is not given back when an answer was shorter: providers count what a question might take.
    """

    def __init__(self, a_minute: float | None, clock: Clock = time.monotonic) -> None:
        """Begin with nothing asked; None: it holds up nobody."""
        self._each_s = 60.0 / a_minute if a_minute else 0.0
        self._clock = clock
        self._free_s = clock()

    def wait_s(self, amount: float = 1.0) -> float:
        """Take a place for this amount and return in how many seconds it comes; those who asked first come first."""
        starts_s = max(self._clock(), self._free_s)
        self._free_s = starts_s + amount * self._each_s
        return max(0.0, starts_s - self._clock())


class Pace:
    """When the next question may go out.

    A provider that says "too many" halves how many are asked at a time, and each answered round adds one (additive increase, multiplicative
    decrease: Chiu and Jain 1989); a time that it names holds for all questions, not for the one that was told.
    """

    def __init__(
        self,
        in_flight: int,
        a_minute: float | None = None,
        tokens_a_minute: float | None = None,
        clock: Clock = time.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """Begin with all of `in_flight` places free. Clock and sleep are given by tests."""
        self._most = self.window = float(in_flight)
        self._buckets = Bucket(a_minute, clock), Bucket(tokens_a_minute, clock)
        self._clock, self._sleep = clock, sleep
        self._busy = 0
        self._opens_s = self._narrowed_s = -math.inf
        self._left = asyncio.Condition()

    async def enter(self, tokens: int) -> float:
        """Wait until a question of so many tokens may go out, take a place, and return the moment; `leave` gives the place back."""
        async with self._left:
            await self._left.wait_for(lambda: self._busy < int(self.window))
            self._busy += 1
        try:
            await self._come_round(tokens)
        except asyncio.CancelledError:
            self._busy -= 1
            raise
        return self._clock()

    async def leave(self, answered: bool) -> None:
        """Give a place back."""
        self._busy -= 1
        if answered:
            self.window = min(self._most, self.window + 1 / self.window)
        async with self._left:
            self._left.notify(2)

    def slow_down(self, asked_s: float, after_s: float) -> None:
        """Hold all questions for `after_s` seconds and halve how many go out at a time; once for those that were asked before the last time."""
        self._opens_s = max(self._opens_s, self._clock() + after_s)
        if asked_s > self._narrowed_s:
            self.window = max(1.0, self.window / 2)
            self._narrowed_s = self._clock()

    async def _come_round(self, tokens: int) -> None:
        while True:
            if (wait_s := self._opens_s - self._clock()) > 0:
                await self._sleep(wait_s)
                continue
            # A place is taken while the gate is open only, else all that waited would go out at once when it opens.
            wait_s = max(self._buckets[0].wait_s(), self._buckets[1].wait_s(tokens))
            if wait_s <= 0:
                return
            await self._sleep(wait_s)
            if self._opens_s <= self._clock():
                return


def backoff_s(tries: int, base_s: float, chance: random.Random) -> float:
    """Return how long to wait after so many failed tries: anything up to base times 2 to the tries before (full jitter, Brooker 2015)."""
    return chance.uniform(0.0, min(LONGEST_BACKOFF_S, base_s * 2 ** (tries - 1)))
