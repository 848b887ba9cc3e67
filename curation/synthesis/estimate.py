"""What a synthesis will take, before it is paid: requests, tokens, money and time, each as a range, or unknown with the reason.

By rule, or, once the same writer has answered in the same arm, by what those answers took; which of the two is said.
"""

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from curation.synthesis.journal import RESULTS, read_lines
from curation.synthesis.plan import Item, Limits, SynthesisPlan
from curation.synthesis.plan_files import read_plan
from curation.synthesis.status import list_directories

# English has about 4 characters a token (Gemini's documentation says so too); other languages, names and numbers have fewer.
CHARACTERS_A_TOKEN = (4.0, 2.5)
ALL_MEASURED, EVERY = 2000, 20  # prompts that are filled in to be measured: the first ones, and one of so many of the rest
MOST_SEEN = 1000  # earlier answers that are looked at
LEAST_SEEN = 10
NORMAL_95 = 1.96
NOT_TIMED = "How long an answer takes is not known before the first ones."
NO_PRICES = "No prices were given (--prices IN,OUT for a million tokens), and none are known here."
_MOST_READ_BYTES = 1 << 22  # of one shard's results


@dataclass(frozen=True)
class Range:
    """From `low` to `high`."""

    low: float
    high: float

    def __mul__(self, factor: float) -> "Range":
        return Range(self.low * factor, self.high * factor)

    def __add__(self, other: "Range") -> "Range":
        return Range(self.low + other.low, self.high + other.high)


NONE = Range(0, 0)


@dataclass(frozen=True)
class Taken:
    """What earlier answers took each: mean and standard deviation over `n`."""

    n: int
    tokens_in: tuple[float, float]
    tokens_out: tuple[float, float]
    seconds: float  # mean


@dataclass(frozen=True)
class Estimate:
    """What a run will take when each item is answered at the first try."""

    items: int
    requests: int
    pictures: int | None  # at most; None: not known, since a film is shown or an adapter looks for itself
    tokens_in: Range | None  # None: see `unknown`
    tokens_out: Range
    money: Range | None
    currency: str | None
    seconds: float | None
    seen: int  # earlier answers that it rests on; 0: it follows the rule
    assumed: tuple[str, ...]  # sentences
    unknown: Mapping[str, str]  # "tokens_in", "money", "seconds" -> why

    @property
    def sentence(self) -> str:
        """Return it for the person who asks."""
        parts = [f"{self.requests:,} requests"]
        parts += [f"{_words(self.tokens_in)} tokens in"] if self.tokens_in else ["tokens in not known"]
        parts += [f"{_words(self.tokens_out)} out"]
        parts += [f"{_words(self.money, 4)} {self.currency or ''}".rstrip()] if self.money else ["money not known"]
        parts += [] if self.seconds is None else [f"about {self.seconds:,.0f} s"]
        source = f"by {self.seen:,} earlier answers" if self.seen else "by rule"
        return f"{self.items:,} texts, {source}: {', '.join(parts)}."

    def as_json(self) -> dict[str, Any]:
        """Return it as values that JSON has."""
        ranges = {name: None if one is None else [round(one.low, 6), round(one.high, 6)] for name, one in self._ranges().items()}
        return {**vars(self), **ranges, "assumed": list(self.assumed), "unknown": dict(self.unknown)}

    def _ranges(self) -> dict[str, Range | None]:
        return {"tokens_in": self.tokens_in, "tokens_out": self.tokens_out, "money": self.money}


def estimate(items: Iterable[Item], plan: SynthesisPlan, picture_tokens: float | None = None, seen: Taken | None = None) -> Estimate:
    """Return what the items take by rule, or by what `seen` answers took; one item is in memory.

    By rule a token of text has 2.5 to 4 characters, of which 2,000 prompts are filled in, 0.1 to 0.4 ms each, and of more one in 20; a picture
    takes what the person says, and an answer from nothing to the most that is allowed. By earlier answers N items take
    N m -+ 1.96 s sqrt(N + N^2 / n) tokens, of the mean m and the standard deviation s of n answers: the 95 % interval of a sum.
    """
    from curation.synthesis.answers import words_of  # the app, which estimates only when asked, starts without it

    count = characters = 0
    is_asked = plan.writer.kind != "template"
    for item in items:
        count += 1
        weight = 1 if count <= ALL_MEASURED else EVERY
        if is_asked and seen is None and count % weight == 0:
            characters += weight * len(words_of(item, plan))
    if not is_asked:
        return Estimate(count, 0, 0, NONE, NONE, NONE, None, None, 0, ("The template is a rule: no model is asked.",), {"seconds": NOT_TIMED})
    pictures = {"nothing": 0, "frames": count * plan.view["frames"] if "frames" in plan.view else None}.get(plan.arm.shown)
    found = _by_rule(count, characters, pictures, plan, picture_tokens) if seen is None else _by_answers(count, pictures, seen, plan.limits)
    return _with_money(found, plan)


def seen_in(data: Path, plan: SynthesisPlan) -> Taken | None:
    """Return what answers of the same writer in the same arm, shown the same way, took; None without 10 that told their tokens.

    Reads the newest such runs until 1,000 answers are found, and no more than 4 MB of a file.
    """
    found: list[tuple[float, float, float]] = []
    for directory in _like(data, plan):
        for path in sorted((directory / RESULTS).glob("*.jsonl")):
            found += _answers_in(path)
            if len(found) >= MOST_SEEN:
                return _taken(found[:MOST_SEEN])
    return _taken(found) if len(found) >= LEAST_SEEN else None


def _words(one: Range, digits: int = 0) -> str:
    low, high = f"{one.low:,.{digits}f}", f"{one.high:,.{digits}f}"
    return low if low == high else f"{low} to {high}"


def _answers_in(path: Path) -> Iterator[tuple[float, float, float]]:
    for line in read_lines(path, 0, _MOST_READ_BYTES).lines:
        if line["what"] == "written" and line["tokens_in"] is not None and line["tokens_out"] is not None:
            yield line["tokens_in"], line["tokens_out"], line["seconds"]


def _like(data: Path, plan: SynthesisPlan) -> Iterator[Path]:
    for directory in list_directories(data):
        other = read_plan(directory)
        same = replace(other.writer, answer_s=plan.writer.answer_s, key_variable=plan.writer.key_variable) == plan.writer
        if same and other.arm == plan.arm and dict(other.view) == dict(plan.view):
            yield directory


def _taken(found: list[tuple[float, float, float]]) -> Taken:
    read, written, seconds = zip(*found, strict=True)
    return Taken(len(found), _mean_and_spread(read), _mean_and_spread(written), statistics.fmean(seconds))


def _mean_and_spread(values: Sequence[float]) -> tuple[float, float]:
    return statistics.fmean(values), statistics.stdev(values)


def _by_rule(count: int, characters: int, pictures: int | None, plan: SynthesisPlan, picture_tokens: float | None) -> Estimate:
    most = plan.sampling.new_tokens
    assumed = ["Each item is answered at the first try.", "A token of text has 2.5 to 4 characters.", f"An answer has up to {most:,} tokens, as is allowed."]
    text = Range(*(characters / one for one in CHARACTERS_A_TOKEN))
    tokens_in, unknown = text, {"seconds": NOT_TIMED}
    if pictures is None:
        unknown["tokens_in"] = "What is shown is counted by the model alone. Ask about a few first (--most): their answers tell."
    elif pictures and picture_tokens is None:
        unknown["tokens_in"] = "What a picture takes differs by model. Say it (--picture-tokens), or ask about a few first (--most): their answers tell."
    elif pictures and picture_tokens is not None:
        tokens_in = text + Range(count * picture_tokens, pictures * picture_tokens)
        assumed.append(f"A picture takes {picture_tokens:g} tokens, as was said; a text comes with 1 to {plan.view['frames']}.")
    known_in = None if "tokens_in" in unknown else tokens_in
    return Estimate(count, count, pictures, known_in, Range(0, count * most), None, None, None, 0, tuple(assumed), unknown)


def _by_answers(count: int, pictures: int | None, seen: Taken, limits: Limits) -> Estimate:
    tokens_in, tokens_out = (_sum_of(count, *one, seen.n) for one in (seen.tokens_in, seen.tokens_out))
    assumed = ("Each item is answered at the first try.", f"By {seen.n:,} earlier answers of the same writer in the same arm; the range is the 95 % interval.")
    seconds = count * seen.seconds / (limits.in_flight * limits.workers)
    if limits.a_minute is not None:
        seconds = max(seconds, count * 60 / limits.a_minute)
    if limits.tokens_a_minute is not None:
        seconds = max(seconds, (tokens_in.low + tokens_out.low) * 60 / limits.tokens_a_minute)
    return Estimate(count, count, pictures, tokens_in, tokens_out, None, None, seconds, seen.n, assumed, {})


def _sum_of(count: int, mean: float, spread: float, n: int) -> Range:
    half = NORMAL_95 * spread * math.sqrt(count + count**2 / n)
    return Range(max(0.0, count * mean - half), count * mean + half)


def _with_money(found: Estimate, plan: SynthesisPlan) -> Estimate:
    prices = plan.prices
    if prices is None:
        return replace(found, unknown={**found.unknown, "money": NO_PRICES})
    if found.tokens_in is None:
        return replace(found, unknown={**found.unknown, "money": "The tokens that are read are not known."})
    money = found.tokens_in * (prices.per_million_in / 1e6) + found.tokens_out * (prices.per_million_out / 1e6)
    return replace(found, money=money, currency=prices.currency)
