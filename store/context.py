"""What every page is handed: where the data lives and how to act on it. Frozen; no page keeps state of its own."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlite_utils

from store.database import open_store
from store.errors import RefusedError
from store.records import CuratedSet


def _nobody_takes(run_id: str, batch_name: str, wanted: int) -> str:
    raise RefusedError("Nothing here puts texts before annotators.")


@dataclass(frozen=True)
class Context:
    """The data directory and the acts that a page borrows from elsewhere.

    `handler` wraps a page's function: a UserError becomes a message on the screen, and nobody gets through below the page's least role.
    `freeze_set(kind, name, parts)` freezes what is there now into a curated set of kind "sft", "dpo" or "questions", or only these parts of it.
    `take_texts(run id, batch name, wanted)` puts what a run wrote before annotators, and returns the sentence that says what became of it.
    """

    data: Path
    handler: Callable[[Callable[..., Any]], Callable[..., Any]]
    freeze_set: Callable[..., CuratedSet]
    take_texts: Callable[[str, str, int], str] = _nobody_takes

    def open(self) -> AbstractContextManager[sqlite_utils.Database]:
        """Return a context manager that yields a fresh connection; see `open_store`."""
        return open_store(self.data)
