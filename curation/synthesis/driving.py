"""Give shards to workers until all are done: no more at a time than the executor holds, within the budget, and past whatever kills them."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curation.synthesis.budget import Tokens, money_of
from curation.synthesis.executors.tasks import REFUSED, Ended, Executor, Task
from curation.synthesis.journal import Seen, append, results_of, see, shard_names
from curation.synthesis.plan_files import read_items, read_plan

# Workers that died while an item was in flight, before it is set aside.
DEATHS = 2
# The tail of log.txt that stands in a sentence.
LOG_BYTES = 600


@dataclass(frozen=True)
class Driven:
    """How the driving ended."""

    how: str  # "done", "stopped", "budget" or "failed"
    sentence: str = ""


def drive(directory: Path, executor: Executor, on_look: Callable[[], None], look_every_s: float = 1.0) -> Driven:
    """Have all shards of a synthesis worked through; return how it ended. `on_look` is called after each shard and every `look_every_s`."""
    driver = Driver(directory, executor)
    while driver.submit():
        ended = executor.next_ended(look_every_s)
        if ended is not None:
            driver.take(ended)
        on_look()
    return driver.driven


class Driver:
    """Which shards wait, which are out, and what is left to spend."""

    def __init__(self, directory: Path, executor: Executor) -> None:
        """Look at all shards; those that hold all their answers are not given out."""
        self.driven = Driven("done")
        plan = read_plan(directory)
        self._directory, self._executor = directory, executor
        self._limits, self._prices, self._patience_s = plan.limits, plan.prices, plan.writer.answer_s + 10
        self._seen = {shard: see(results_of(directory, shard)) for shard in shard_names(directory)}
        self._waiting = deque(shard for shard, seen in self._seen.items() if seen.done < _lines(directory / "shards" / f"{shard}.jsonl"))
        self._poor: list[str] = []  # ended for want of an allowance
        self._out: dict[str, Task] = {}
        self._barren: dict[str, int] = {}  # deaths in a row of a shard's workers with nothing in flight

    @property
    def _bounded(self) -> bool:
        return self._limits.money is not None or self._limits.tokens is not None

    def submit(self) -> bool:
        """Give out what may go out now; return whether anything is out."""
        if (self._directory / "stop").exists() and self.driven.how == "done":
            self.driven = Driven("stopped")
        if not self._waiting and not self._out:
            # Others gave back what they did not need.
            self._waiting.extend(self._poor)
            self._poor.clear()
        # One more than there are slots: a worker that ends is followed at once. An allowance is not left lying with one that waits.
        most = self._executor.slots + (0 if self._bounded else 1)
        while self._waiting and len(self._out) < most and self.driven.how == "done":
            shard = self._waiting.popleft()
            self._out[shard] = task = self._task(shard, seats=min(most - len(self._out), len(self._waiting) + 1))
            self._executor.submit(task)
        return bool(self._out)

    def take(self, ended: Ended) -> None:
        """Judge how a worker ended: its shard is done, goes out again, or stops the run."""
        shard, before = ended.shard, self._seen[ended.shard]
        self._out.pop(shard)
        self._seen[shard] = seen = see(results_of(self._directory, shard), before)
        how = None if seen.ended is None else seen.ended["how"]
        if ended.status == REFUSED:
            self._stop("failed", f"A worker could not go on. {self._last_words()}")
        elif ended.status != 0 or how is None:
            self._after_death(shard, before)
        elif how in ("failed", "stopped"):
            self._stop(how, seen.ended["sentence"] if seen.ended else "")
        elif how == "budget":
            self._after_want(shard, asked=seen.spent != before.spent or seen.done != before.done)

    def _task(self, shard: str, seats: int) -> Task:
        tokens, money = self._left()
        return Task(
            self._directory,
            shard,
            self._executor.slots,
            None if tokens is None else max(0, tokens // seats),
            None if money is None else max(0.0, money / seats),
        )

    def _left(self) -> tuple[int | None, float | None]:
        """Return what is neither spent nor given out: tokens and money; None: no limit."""
        # What was in flight at a death was perhaps paid. Shards that are out stand here as they were before: what they ask now is in their allowance.
        spent = sum((tokens for seen in self._seen.values() for tokens in (seen.spent, *seen.open.values())), Tokens())
        tokens, money = self._limits.tokens, self._limits.money
        if tokens is not None:
            tokens -= spent.total + sum(task.tokens or 0 for task in self._out.values())
        if money is not None:
            money -= (money_of(self._prices, spent.read, spent.written) or 0.0) + sum(task.money or 0.0 for task in self._out.values())
        return tokens, money

    def _after_want(self, shard: str, asked: bool) -> None:
        if asked or self._waiting or self._out:
            self._poor.append(shard)
        else:
            self._stop("budget", "The budget is used up: the next question might cost more than is left. Give a larger one, then resume.")

    def _after_death(self, shard: str, before: Seen) -> None:
        path = results_of(self._directory, shard)
        # Where its parent died in its place, it still awaits what it has asked.
        append(path, (), self._patience_s)
        self._seen[shard] = seen = see(path, self._seen[shard])
        self._waiting.appendleft(shard)
        if seen.open:
            self._barren.pop(shard, None)
            fatal = [key for key in seen.open if seen.deaths.get(key, 0) + 1 >= DEATHS]
            names = self._names(shard) if fatal else {}
            append(path, [{"what": "killed", "keys": list(seen.open)}, *(_poison(key, names[key]) for key in fatal)])
            self._seen[shard] = see(path, seen)
            return
        self._barren[shard] = 1 if seen.done > before.done else self._barren.get(shard, 0) + 1
        if self._barren[shard] >= DEATHS:
            self._stop("failed", f"The worker of shard {shard} died {DEATHS} times before it asked anything. {self._last_words()}")

    def _stop(self, how: str, sentence: str) -> None:
        if self.driven.how == "done":
            self.driven = Driven(how, sentence)
        # The other workers look for it.
        (self._directory / "stop").touch()

    def _names(self, shard: str) -> Mapping[str, str]:
        return {item.key: item.subject.name for item in read_items(self._directory / "shards" / f"{shard}.jsonl")}

    def _last_words(self) -> str:
        path = self._directory / "log.txt"
        said = path.read_bytes()[-LOG_BYTES:].decode("utf-8", "replace").strip() if path.exists() else ""
        return f"log.txt ends so: {said.splitlines()[-1]}" if said else "log.txt says nothing."


def _poison(key: str, name: str) -> dict[str, Any]:
    reason = f"{DEATHS} workers died while it was in flight. log.txt may say of what."
    cost = {"attempts": DEATHS, "tokens_in": None, "tokens_out": None, "money": None}
    return {"what": "dead", "key": key, "name": name, "code": "poison", "reason": reason, "passing": False, **cost}


def _lines(path: Path) -> int:
    with path.open("rb") as stream:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: stream.read(1 << 20), b""))
