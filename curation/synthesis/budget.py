"""What a run may spend, and what it has spent: a question is asked only when its dearest answer still fits."""

import asyncio
from dataclasses import dataclass

from curation.synthesis.plan import Prices
from curation.synthesis.writing import Ask, Film, Picture

# What is reckoned before the answer tells. High on purpose: English has about four characters a token.
CHARACTERS_A_TOKEN = 2.5
PICTURE_TOKENS = 1_000  # the published rules of OpenAI and Gemini give 85 to 1,105 for a frame of up to 768 pixels
FILM_TOKENS_A_SECOND = 300  # Gemini's documentation: 258 for a frame each second, 32 for the sound
UNKNOWN_FILM_S = 600.0
# A try that failed so was not sent or not answered, so nothing is owed; any other that tells no tokens may have been.
UNPAID = frozenset({"rate", "server", "refused", "key", "model", "quota", "address", "settings", "showing", "video", "film"})


@dataclass(frozen=True)
class Tokens:
    """What a model read and wrote."""

    read: int = 0
    written: int = 0

    def __add__(self, other: "Tokens") -> "Tokens":
        return Tokens(self.read + other.read, self.written + other.written)

    def __sub__(self, other: "Tokens") -> "Tokens":
        return Tokens(self.read - other.read, self.written - other.written)

    @property
    def total(self) -> int:
        """Both together."""
        return self.read + self.written


def money_of(prices: Prices | None, tokens_in: int | None, tokens_out: int | None) -> float | None:
    """Return what the tokens cost; None when nobody gave prices, or the provider did not tell the tokens."""
    if prices is None or tokens_in is None or tokens_out is None:
        return None
    return (tokens_in * prices.per_million_in + tokens_out * prices.per_million_out) / 1e6


def most_of(ask: Ask) -> Tokens:
    """Return the tokens that a question and its longest answer are reckoned to take; a film whose length nobody knows counts as ten minutes."""
    read = len(ask.words) / CHARACTERS_A_TOKEN
    for part in ask.parts:
        if isinstance(part, Picture):
            read += PICTURE_TOKENS
        elif isinstance(part, Film):
            length_s = ask.subject.length_s or UNKNOWN_FILM_S
            read += FILM_TOKENS_A_SECOND * (length_s if part.end_s is None else part.end_s - part.start_s)
    return Tokens(round(read), ask.sampling.new_tokens)


def counted(told_read: int | None, told_written: int | None, reserved: Tokens, code: str | None = None) -> Tokens:
    """Return what a try counts against the budget: what was told, else what was reserved for it; nothing for a failure that nobody is paid for."""
    if told_read is None and told_written is None and code in UNPAID:
        return Tokens()
    return Tokens(reserved.read if told_read is None else told_read, reserved.written if told_written is None else told_written)


class Budget:
    """The tokens and the money that are left. Each question reserves its most, and gives back what it did not need."""

    def __init__(self, tokens: int | None, money: float | None, prices: Prices | None) -> None:
        """Begin with nothing spent; None: no such limit. Money needs prices, which the planning asks for."""
        self._tokens, self._money, self._prices = tokens, money, prices
        self._spent = self._out = Tokens()
        self._worst = 1.0  # how many times more than reckoned an answer took
        self._freed = asyncio.Event()

    async def reserve(self, tokens: Tokens) -> bool:
        """Set this aside, waiting for what others give back; False: it does not fit though nothing else is out."""
        while not self._fits(tokens):
            if not self._out.total:
                return False
            self._freed.clear()
            await self._freed.wait()
        self._out += tokens
        return True

    def settle(self, reserved: Tokens, real: Tokens) -> None:
        """Put what a try took in the place of what was reserved for it. One that took more makes all others, asked or not, as much dearer."""
        self._out -= reserved
        self._spent += real
        if reserved.total:
            self._worst = max(self._worst, real.total / reserved.total)
        self._freed.set()

    def _fits(self, tokens: Tokens) -> bool:
        out = self._out + tokens
        if self._tokens is not None and self._spent.total + self._worst * out.total > self._tokens:
            return False
        if self._money is None:
            return True
        spent, asked = (money_of(self._prices, tokens.read, tokens.written) for tokens in (self._spent, out))
        return spent is not None and asked is not None and spent + self._worst * asked <= self._money
