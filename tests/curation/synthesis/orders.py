"""Directories of syntheses for the tests of what works through them, and a model server in a process of its own."""

import asyncio
import json
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from curation.synthesis.arms import Arm
from curation.synthesis.asking import Share
from curation.synthesis.executors.tasks import Ended, Task
from curation.synthesis.plan import Item, Limits, Prices, SynthesisPlan, WriterSpec
from curation.synthesis.plan_files import item_line, read_plan, write_plan
from curation.synthesis.prompts import load
from curation.synthesis.subjects import Subject, Told
from curation.synthesis.worker import work
from curation.synthesis.writers.making import make_writer
from curation.synthesis.writing import Sampling

ROOT = Path(__file__).resolve().parents[3]
ARM = Arm("narrative", sources=True)
FAST = 0.01  # seconds, the base of the waits between tries


def subject(number: int, pairs: int = 3) -> Subject:
    """Return a clip with so many questions; its name stands in each, so that no two prompts are the same."""
    told = tuple(
        Told(f"q{number}-{at}", str(at), f"what does the man in clip {number:05} do in part {at}", f"he lifts cup {at}", (), None, "TC", ((at, at + 1.0),))
        for at in range(pairs)
    )
    return Subject("narrative", f"clip-{number:05}", None, f"made / clip {number:05}", "train", None, 0.0, None, 30.0, {}, told)


def order(data: Path, items: int, address: str = "", shards: int = 1, name: str = "run", pairs: int = 3, **changed: Any) -> Path:
    """Return a directory as the planning makes it: so many narratives of an OpenAI-compatible server, in so many shards; fields of the plan may be changed."""
    directory = data / "synthesis" / name
    (directory / "shards").mkdir(parents=True)
    writer = WriterSpec("openai", "m", address, answer_s=20.0) if address else WriterSpec("template", "1")
    fields = {"arm": ARM, "writer": writer, "sampling": Sampling(new_tokens=200), "prompt": load("narrative"), "limits": Limits(in_flight=8), "items": items}
    write_plan(directory, SynthesisPlan(**{"id": name, "name": name, "created_at": "2026-11-21T00:00:00.000+00:00", **fields, **changed}))
    lines = [item_line(Item(f"key-{number:05}", subject(number, pairs), seed=0)) for number in range(items)]
    for shard in range(shards):
        (directory / "shards" / f"{shard:03}.jsonl").write_text("".join(lines[shard::shards]), encoding="utf-8")
    return directory


def prices(read: float = 1.0, written: float = 10.0) -> Prices:
    return Prices(read, written)


def asked(directory: Path, shard: str = "000", **share: Any) -> str:
    """Work through a shard in this process; return how it ended."""

    async def run() -> str:
        plan = read_plan(directory)
        writer = make_writer(plan.writer, None)
        try:
            return await work(directory, shard, Share(**{"in_flight": plan.limits.in_flight, "retry_base_s": FAST, **share}), writer)
        finally:
            await writer.close()

    return asyncio.run(run())


def lines(directory: Path, shard: str | None = None, what: str | None = None) -> list[dict[str, Any]]:
    """Return the lines of the results, of one shard or all, of one kind or all."""
    paths = sorted((directory / "results").glob(f"{shard or '*'}.jsonl"))
    found = [json.loads(line) for path in paths for line in path.read_text(encoding="utf-8").splitlines()]
    return [line for line in found if what in (None, line["what"])]


class Here:
    """An executor whose one worker is this very process: it starts at once."""

    slots = 1

    def __init__(self) -> None:
        self._waiting: deque[Task] = deque()

    def submit(self, task: Task) -> None:
        self._waiting.append(task)

    def next_ended(self, patience_s: float) -> Ended | None:
        task = self._waiting.popleft()
        asked(task.directory, task.shard, tokens=task.tokens, money=task.money)
        return Ended(task.shard, 0)

    def close(self, patience_s: float = 0.0) -> None:
        pass


class ServerProcess:
    """A model server that takes none of this process's time."""

    def __init__(self, address: str) -> None:
        self.address = address

    def counts(self) -> dict[str, Any]:
        return dict(httpx.get(f"{self.address}/counts").json())


@contextmanager
def serving(delay_ms: float) -> Iterator[ServerProcess]:
    """Yield a model server in a process of its own, which answers after `delay_ms`."""
    command = [sys.executable, "-m", "tests.model_server", "--delay-ms", str(delay_ms), "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield ServerProcess(process.stdout.readline().strip())
        finally:
            process.terminate()
