"""How a synthesis is going: a pure reading of its files, of which each look reads only what is new."""

import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from curation.synthesis.budget import Tokens, money_of
from curation.synthesis.journal import MINUTE_S, Dead, Seen, results_of, see, shard_names
from curation.synthesis.plan import SynthesisPlan
from curation.synthesis.plan_files import PLAN, ROOM, read_plan
from store.process import ProcessMark, read_mark

MARK = "process.json"
ENDED = "ended.json"
STOP = "stop"
STATES = ("waiting", "running", "finished", "stopped", "stopped: budget", "failed", "crashed")
# Fewer texts in the last minute foretell nothing.
LEAST_TEXTS = 3


@dataclass(frozen=True)
class Status:
    """What is known of a run. Tokens and money are what providers told; `silent` says of how many tries they told nothing."""

    run_id: str
    state: str  # of STATES
    sentence: str
    of: int  # items
    written: int = 0
    known: int = 0  # that the store had from elsewhere
    dead: Mapping[str, int] = field(default_factory=dict)  # items that were set aside, by code
    failed: Mapping[str, int] = field(default_factory=dict)  # tries that failed, by code
    tokens_in: int = 0
    tokens_out: int = 0
    money: float | None = None  # None: nobody gave prices
    currency: str | None = None
    silent: int = 0
    cut_off: int = 0  # asked when a kill came, and perhaps paid
    in_flight: int = 0
    rate: float | None = None  # texts a second over the last minute; None: not running, or fewer than LEAST_TEXTS
    eta_s: float | None = None
    seen: Mapping[str, Seen] = field(default_factory=dict, repr=False)  # by shard, for the next look

    @property
    def tokens(self) -> int:
        """In and out together."""
        return self.tokens_in + self.tokens_out

    @property
    def left(self) -> int:
        """Items that are still to be asked for."""
        return max(0, self.of - self.written - self.known - sum(self.dead.values()))

    @property
    def resumable(self) -> bool:
        """Whether it can go on: it does not run, and something is left or was set aside for what may have passed."""
        passing = any(dead.passing for seen in self.seen.values() for dead in seen.dead.values())
        return self.state != "running" and (self.left > 0 or passing)


def list_directories(data: Path) -> list[Path]:
    """Return the directories of all syntheses, the newest first."""
    found = [path.parent for path in (data / ROOM).glob(f"[!.]*/{PLAN}")]
    return sorted(found, key=lambda directory: (read_plan(directory).created_at, directory.name), reverse=True)


def read_status(directory: Path, last: Status | None = None, now_s: float | None = None) -> Status:
    """Return how the run in `directory` is going. Cost: the result lines since `last`, about 15 us each; without it, all of them.

    `now_s`: seconds since 1970, given by tests. Raises NotFoundError when it is no synthesis.
    """
    plan = read_plan(directory)
    before = last.seen if last is not None and last.run_id == plan.id else {}
    seen = {shard: see(results_of(directory, shard), before.get(shard)) for shard in shard_names(directory)}
    state, sentence = _state(directory)
    return _told(plan, state, sentence, seen, time.time() if now_s is None else now_s)


def dead_letters(directory: Path, most: int = 100, last: Status | None = None) -> list[Dead]:
    """Return the items that were set aside, the newest first."""
    found = [one for seen in read_status(directory, last).seen.values() for one in seen.dead.values()]
    return sorted(found, key=lambda one: one.at, reverse=True)[:most]


def read_ended(directory: Path, mark: ProcessMark | None) -> dict[str, Any] | None:
    """Return how the process of this mark said that the run ended, or None."""
    try:
        ended: dict[str, Any] = json.loads((directory / ENDED).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    # What an earlier process said is history once the run goes on.
    return ended if mark is not None and ended["of"] == [mark.pid, mark.started_at] else None


def _state(directory: Path) -> tuple[str, str]:
    mark = read_mark(directory / MARK)
    ended = read_ended(directory, mark)
    if ended is not None:
        return ended["state"], ended["sentence"]
    if mark is None:
        return "waiting", "It was not started yet."
    if mark.alive:
        return "running", "It stops when what was asked is answered." if (directory / STOP).exists() else ""
    if mark.is_of_another_host:
        return "crashed", f"It ran on {mark.host} and did not say how it ended. If it no longer runs there, resume it."
    return "crashed", "Its process is gone and did not say how it ended. All that was written is kept: resume it."


def _told(plan: SynthesisPlan, state: str, sentence: str, seen: Mapping[str, Seen], now_s: float) -> Status:
    shards = seen.values()
    written, held = sum(shard.written for shard in shards), sum(len(shard.held) for shard in shards)
    dead = Counter(one.code for shard in shards for one in shard.dead.values())
    failed: Counter[str] = Counter()
    for shard in shards:
        failed.update(shard.failed)
    tokens = sum((shard.told for shard in shards), Tokens())
    in_flight = sum(len(shard.open) for shard in shards)
    running = state == "running"
    rate = _rate(seen, now_s) if running else None
    left = plan.items - held - dead.total()
    return Status(
        run_id=plan.id,
        state=state,
        sentence=sentence,
        of=plan.items,
        written=written,
        known=held - written,
        dead=dict(dead),
        failed=dict(failed),
        tokens_in=tokens.read,
        tokens_out=tokens.written,
        money=money_of(plan.prices, tokens.read, tokens.written),
        currency=plan.prices.currency if plan.prices else None,
        silent=sum(shard.silent for shard in shards),
        cut_off=sum(shard.cut_off for shard in shards) + (0 if running else in_flight),
        in_flight=in_flight if running else 0,
        rate=rate,
        eta_s=max(0, left) / rate if rate else None,
        seen=seen,
    )


def _rate(seen: Mapping[str, Seen], now_s: float) -> float | None:
    recent: Counter[int] = Counter()
    for shard in seen.values():
        recent.update({second: texts for second, texts in shard.minute.items() if now_s - MINUTE_S < second <= now_s})
    texts = recent.total()
    return texts / max(1.0, now_s - min(recent)) if texts >= LEAST_TEXTS else None
