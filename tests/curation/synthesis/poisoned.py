"""A worker that is killed by certain items: `python -m tests.curation.synthesis.poisoned WORDS DIRECTORY SHARD ...`, else as the real one."""

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

from curation.synthesis.asking import Share
from curation.synthesis.plan_files import read_plan
from curation.synthesis.worker import work
from curation.synthesis.writers.making import make_writer
from curation.synthesis.writing import Ask, Reply, Writer


class Poisonous:
    """Asks as another writer does, and dies of a question with these words."""

    def __init__(self, writer: Writer, words: str) -> None:
        self.sees, self._writer, self._words = writer.sees, writer, words

    async def write(self, ask: Ask) -> Reply:
        if self._words in ask.words:
            os.kill(os.getpid(), signal.SIGKILL)
        return await self._writer.write(ask)

    async def close(self) -> None:
        await self._writer.close()


async def main() -> None:
    options = argparse.ArgumentParser()
    for name in ("words", "directory", "shard"):
        options.add_argument(name)
    given = options.parse_known_args(sys.argv[1:])[0]
    directory = Path(given.directory)
    plan = read_plan(directory)
    await work(directory, given.shard, Share.of(plan.limits), Poisonous(make_writer(plan.writer, None), given.words))


if __name__ == "__main__":
    asyncio.run(main())
