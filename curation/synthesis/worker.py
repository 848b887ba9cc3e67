"""The process that asks: `python -m curation.synthesis.worker DIRECTORY SHARD` asks for what a shard's results do not hold, and adds the answers.

Plan, shard and media files are all that it needs. It ends by itself when the shard is done, its budget used up, somebody asked to stop (the
answers that are under way are awaited: they are paid), or its parent is gone. Killed at any moment, it loses what was in flight.
"""

import argparse
import asyncio
import os
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from curation.synthesis.asking import Asking, Share
from curation.synthesis.journal import Journal, results_of, see
from curation.synthesis.pictures import Shower
from curation.synthesis.plan_files import read_plan
from curation.synthesis.writers.making import make_writer
from curation.synthesis.writing import Writer
from store.errors import UserError


async def work(directory: Path, shard: str, share: Share, writer: Writer, shower: Shower | None = None, parent: int | None = None) -> str:
    """Ask for what the shard's results do not hold and add the answers; return how it ended: "done", "stopped", "budget" or "failed".

    `parent` is the number of the process that started this one, if it told: it may be gone by now. Raises ConflictError when another worker has
    the shard, StorageError when the disk refuses.
    """
    plan = read_plan(directory)
    path = results_of(directory, shard)
    # A worker whose driver is gone still waits for what it asked.
    journal = Journal(path, patience_s=plan.writer.answer_s + 10)
    asking = Asking(plan, share, writer, shower, journal)
    syncing = asyncio.create_task(journal.keep_synced())
    # It ends by itself when the disk refuses only.
    syncing.add_done_callback(lambda _: asking.stop("failed", "The disk refused."))
    try:
        journal.put("started", pid=os.getpid())
        with asking.listening(directory, os.getppid() if parent is None else parent):
            await asking.ask_all(directory / "shards" / f"{shard}.jsonl", see(path))
        journal.put("ended", how=asking.how, sentence=asking.sentence)
        journal.sync()
        return asking.how
    finally:
        syncing.cancel()
        with suppress(asyncio.CancelledError):
            await syncing
        journal.close()


def main() -> None:
    """Read the command line and ask; 0: it ended as its last line says, 2: a sentence on standard error says why not."""
    parser = argparse.ArgumentParser(prog="python -m curation.synthesis.worker", description="Ask for the texts of one shard of a synthesis.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("shard")
    parser.add_argument("--workers", type=int, default=1, help="among so many the run's paces are divided")
    parser.add_argument("--tokens", type=int, help="what this one may spend")
    parser.add_argument("--money", type=float)
    parser.add_argument("--parent", type=int, help="the process that starts this one; it ends when that is gone")
    given = parser.parse_args()
    try:
        asyncio.run(_with_writer(given))
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)


async def _with_writer(given: argparse.Namespace) -> None:
    directory = given.directory.resolve()
    plan, data = read_plan(directory), directory.parent.parent
    share = Share.of(plan.limits, given.workers, given.tokens, given.money)
    writer = make_writer(plan.writer, data, plan.view)
    if writer.sees == "clip":
        # One model in memory answers one question at a time.
        share = replace(share, in_flight=1)
    shower = Shower(data, directory) if plan.arm.shown != "nothing" and writer.sees not in ("nothing", "clip") else None
    try:
        await work(directory, given.shard, share, writer, shower, given.parent)
    finally:
        await writer.close()
        if shower is not None:
            await shower.close()


if __name__ == "__main__":
    main()
