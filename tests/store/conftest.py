"""Clips of many kinds, each made once a run."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clips import Extras, make_clip


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a maker of clips of 2.8 s that makes each one once; do not write to them."""
    folder = tmp_path_factory.mktemp('it\'s a "folder"')

    def clip(name: str, codec: str = "libx264", extras: Extras | None = None) -> Path:
        path = folder / name
        if not path.exists():
            make_clip(path, seconds=2.8, codec=codec, **(extras or {}))
        return path

    return clip
