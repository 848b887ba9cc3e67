"""What every page is handed: where the data lives and how to act on it. Frozen; no page keeps state of its own."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlite_utils

from store.database import open_store
from store.records import CuratedSet


@dataclass(frozen=True)
class Context:
    """The data directory and the acts that a page borrows from elsewhere.

    `handler` wraps a page's function: a UserError becomes a message on the screen, and nobody gets through below the page's least role.
    `freeze_set(kind, name)` freezes what is accepted now into a curated set of kind "sft" or "dpo".
    """

    data: Path
    handler: Callable[[Callable[..., Any]], Callable[..., Any]]
    freeze_set: Callable[[str, str], CuratedSet]

    def open(self) -> AbstractContextManager[sqlite_utils.Database]:
        """Return a context manager that yields a fresh connection; see `open_store`."""
        return open_store(self.data)
