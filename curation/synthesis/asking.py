"""Asks for the items of a shard, so many at a time, again where that may help, within pace and budget; each answer is a line before the next is asked."""

import asyncio
import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from curation.synthesis.answers import compose, read, words_of
from curation.synthesis.arms import Arm
from curation.synthesis.budget import Budget, Tokens, counted, money_of, most_of
from curation.synthesis.faults import Fault
from curation.synthesis.journal import Journal, Seen
from curation.synthesis.pace import Pace, backoff_s
from curation.synthesis.pictures import Shower
from curation.synthesis.plan import Item, Limits, SynthesisPlan
from curation.synthesis.plan_files import read_items
from curation.synthesis.reading import Reading
from curation.synthesis.writing import Ask, Part, PassingError, Reply, StoppingError, Words, Writer, WriterError

LOOK_EVERY_S = 0.5
# Questions that are made ready while others are asked: frames take time to draw.
READY = 16
# So many items in a row, or as many as are in flight, that were given up for what can pass are a provider that is down, not items to set aside;
# so many times as many that were refused, or answered by nothing of use, are an order that is not worth its money.
IN_A_ROW = 8
PATIENCE = 4
# So far apart the first questions go out: else all answers come in one heap, and the next questions too, with nothing to do between them.
APART_S = 0.003
OTHER_SEED = 1_000

Dropped = tuple[tuple[str, str, str], ...]
Showing = tuple[tuple[Part, ...], tuple[float, ...], Dropped]


@dataclass(frozen=True)
class Share:
    """What one worker may use of the run's limits, from its start."""

    in_flight: int = 16
    a_minute: float | None = None
    tokens_a_minute: float | None = None
    tokens: int | None = None
    money: float | None = None
    retry_base_s: float = 0.5

    @classmethod
    def of(cls, limits: Limits, workers: int = 1, tokens: int | None = None, money: float | None = None) -> "Share":
        """Return one of `workers` equal parts of the paces, with an allowance out of the budget."""
        minute, tokens_minute = (None if rate is None else rate / workers for rate in (limits.a_minute, limits.tokens_a_minute))
        return cls(limits.in_flight, minute, tokens_minute, tokens, money)


async def show(item: Item, plan: SynthesisPlan, sees: str, shower: Shower | None) -> Showing:
    """Return what a writer that sees so much is shown and told of an item, the moments shown, and what was left out."""
    words, shown = words_of(item, plan), plan.arm.shown
    if shown == "nothing" or shower is None or sees in ("nothing", "clip"):
        return (Words(words),), (), ()
    return await shower.parts_of(item.subject, plan.view, words, shown=shown if sees == "film" else "frames")


class Asking:
    """One shard's questions, so many at a time."""

    def __init__(self, plan: SynthesisPlan, share: Share, writer: Writer, shower: Shower | None, journal: Journal) -> None:
        """Begin with nothing asked."""
        self.how, self.sentence = "done", ""
        self._plan, self._share, self._writer, self._shower, self._journal = plan, share, writer, shower, journal
        self._pace = Pace(share.in_flight, share.a_minute, share.tokens_a_minute)
        self._budget = Budget(share.tokens, share.money, plan.prices)
        self._chance = random.Random()
        self._idle: set[asyncio.Task[Any] | None] = set()  # runners that wait for their turn, and can be sent home at once
        self._stopping = False
        self._given_up_in_a_row = 0

    async def ask_all(self, shard: Path, seen: Seen) -> None:
        """Ask for every item that is not held: first, one at a time, those that were in flight when a worker died, then the others."""
        suspects = seen.deaths.keys() - seen.held.keys() - seen.dead.keys()
        if suspects:
            await self._share_out((item for item in read_items(shard) if item.key in suspects), 1)
        passed_over = seen.held.keys() | seen.dead.keys() | suspects
        ready = min(READY, self._share.in_flight) if self._shower is not None else 0
        await self._share_out((item for item in read_items(shard) if item.key not in passed_over), self._share.in_flight + ready)

    def stop(self, how: str, sentence: str = "") -> None:
        """Ask nothing more; what is under way is awaited. The first reason stays."""
        if self._stopping:
            return
        self._stopping, self.how, self.sentence = True, how, sentence
        for runner in self._idle:
            if runner is not None:
                runner.cancel()

    @contextmanager
    def listening(self, directory: Path, parent: int) -> Iterator[None]:
        """Stop at SIGTERM and SIGINT, when a file "stop" is there, and when the parent is another process than the one with this number."""
        loop = asyncio.get_running_loop()

        async def look() -> None:
            while not (directory / "stop").exists() and os.getppid() == parent:
                await asyncio.sleep(LOOK_EVERY_S)
            self.stop("stopped")

        looking = asyncio.create_task(look())
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop, "stopped")
        try:
            yield
        finally:
            looking.cancel()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    async def _share_out(self, items: Iterator[Item], runners: int) -> None:
        if self._stopping:
            return
        tasks = [asyncio.create_task(self._run(items, runner * APART_S)) for runner in range(runners)]
        done, others = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        failure = next((error for task in done if not task.cancelled() and (error := task.exception())), None)
        if failure is None:
            return
        # A bug, or a full disk. The others have asked, and their answers are paid.
        self.stop("failed", str(failure))
        if others:
            await asyncio.wait(others)
        raise failure

    async def _run(self, items: Iterator[Item], wait_s: float) -> None:
        with self._waiting():
            await asyncio.sleep(wait_s)
        for item in items:
            try:
                await self._see_through(item)
            except _BudgetError:
                self.stop("budget", "The next question might cost more than is left of the budget.")
            except StoppingError as error:
                self.stop("failed", str(error))
            if self._stopping:
                return

    async def _see_through(self, item: Item) -> None:
        """Try an item until it is written or given up, or all stop."""
        tries = _Tries(item)
        while (lost := await self._try(tries)) is not None and not self._stopping:
            passing = isinstance(lost, PassingError) or (isinstance(lost, Fault) and lost.passing)
            if not passing or tries.n == self._plan.limits.attempts:
                self._give_up(tries, lost, passing)
                return
            with self._waiting():
                await asyncio.sleep(backoff_s(tries.n, self._share.retry_base_s, self._chance))

    async def _try(self, tries: "_Tries") -> WriterError | Fault | None:
        """Ask once; return None when the item is written, else what came in between. Raises StoppingError when nothing would be answered."""
        tries.n += 1
        try:
            with self._waiting():
                parts, tries.shown_s, tries.dropped = await show(tries.item, self._plan, self._writer.sees, self._shower)
            reply = await self._ask(tries, tries.anew(compose(tries.item, self._plan, parts)))
        except StoppingError:
            raise
        except WriterError as error:
            return error
        read_of = read(tries.item, self._plan, reply, tries.shown_s if reply.shown_s is None else reply.shown_s)
        if isinstance(read_of, Fault):
            tries.faults += 1
            self._failed(tries, read_of.code, read_of.sentence, reply)
            return read_of
        self._written(tries, reply, read_of)
        return None

    async def _ask(self, tries: "_Tries", ask: Ask) -> Reply:
        most = Tokens() if self._plan.writer.kind == "template" else most_of(ask)
        with self._waiting():
            if not await self._budget.reserve(most):
                raise _BudgetError
            asked_s = await self._pace.enter(most.total)
        self._journal.put("begun", tries.item.key, attempt=tries.n, reserved=[most.read, most.written])
        begun_s = time.monotonic()
        try:
            told: Reply | WriterError = await self._writer.write(ask)
        except WriterError as error:
            told = error
        tries.seconds = time.monotonic() - begun_s
        self._budget.settle(most, counted(told.tokens_in, told.tokens_out, most, None if isinstance(told, Reply) else told.code))
        if isinstance(told, WriterError):
            self._heed(told, asked_s, tries.n)
        await self._pace.leave(answered=isinstance(told, Reply))
        if isinstance(told, WriterError):
            self._failed(tries, told.code, str(told), told)
            raise told
        return told

    def _heed(self, error: WriterError, asked_s: float, tries: int) -> None:
        if isinstance(error, PassingError) and (error.after_s is not None or error.code == "rate"):
            wait_s = error.after_s if error.after_s is not None else backoff_s(tries, self._share.retry_base_s, self._chance)
            self._pace.slow_down(asked_s, wait_s)

    def _failed(self, tries: "_Tries", code: str, reason: str, told: Reply | WriterError) -> None:
        tries.pay(told.tokens_in, told.tokens_out)
        paid = [told.tokens_in, told.tokens_out]
        self._journal.put("failed", tries.item.key, attempt=tries.n, code=code, reason=reason, paid=paid, seconds=round(tries.seconds, 3))

    def _written(self, tries: "_Tries", reply: Reply, found: Reading) -> None:
        self._given_up_in_a_row = 0
        tries.pay(reply.tokens_in, reply.tokens_out)
        self._journal.put(
            "written",
            tries.item.key,
            **found.as_json(),
            **tries.cost(self._plan),
            paid=[reply.tokens_in, reply.tokens_out],
            seconds=round(tries.seconds, 3),
            model=reply.model,
            shown_s=list(tries.shown_s if reply.shown_s is None else reply.shown_s),
            dropped=list(tries.dropped or reply.dropped),
            given=given_answer(tries.item, self._plan.arm),
        )

    def _give_up(self, tries: "_Tries", lost: WriterError | Fault, passing: bool) -> None:
        reason = lost.sentence if isinstance(lost, Fault) else str(lost)
        cost = tries.cost(self._plan)
        self._journal.put("dead", tries.item.key, name=tries.item.subject.name, code=lost.code, reason=reason, passing=passing, **cost)
        self._given_up_in_a_row += 1
        patience = 1 if isinstance(lost, PassingError) else PATIENCE
        if self._given_up_in_a_row >= patience * max(IN_A_ROW, self._share.in_flight):
            self.stop("failed", f"{self._given_up_in_a_row} questions in a row came to nothing, the last after {tries.n} tries: {reason}")

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        runner = asyncio.current_task()
        self._idle.add(runner)
        try:
            yield
        finally:
            self._idle.discard(runner)


def given_answer(item: Item, arm: Arm) -> str | None:
    """Return the answer that a writer is told of a rationale's question, right or wrong; None when it is told none, or all of a clip's."""
    if item.subject.kind == "narrative" or arm.answer == "withheld":
        return None
    told = item.subject.pairs[0]
    return told.answer if item.wrong is None else told.options[item.wrong]


class _BudgetError(Exception):
    """Nothing that is left fits the budget."""


@dataclass
class _Tries:
    """What was tried for an item, in this process."""

    item: Item
    n: int = 0
    faults: int = 0  # answers that were none
    tokens_in: int | None = None  # of all tries that told any
    tokens_out: int | None = None
    seconds: float = 0.0  # of the last
    shown_s: tuple[float, ...] = ()
    dropped: Dropped = ()

    def anew(self, ask: Ask) -> Ask:
        """Return the question with another seed after each answer that was none: a server that heeds seeds would give the same again."""
        seed = ask.sampling.seed
        return ask if not self.faults or seed is None else replace(ask, sampling=replace(ask.sampling, seed=seed + OTHER_SEED * self.faults))

    def pay(self, tokens_in: int | None, tokens_out: int | None) -> None:
        """Add what a try cost, where that is told."""
        self.tokens_in = self.tokens_in if tokens_in is None else (self.tokens_in or 0) + tokens_in
        self.tokens_out = self.tokens_out if tokens_out is None else (self.tokens_out or 0) + tokens_out

    def cost(self, plan: SynthesisPlan) -> dict[str, Any]:
        """Return what all tries cost, as it stands in the item's last line."""
        money = money_of(plan.prices, self.tokens_in, self.tokens_out)
        return {"attempts": self.n, "tokens_in": self.tokens_in, "tokens_out": self.tokens_out, "money": money}
