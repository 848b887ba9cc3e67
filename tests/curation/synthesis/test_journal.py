"""The file of a shard's results when the disk is full, and when a provider says what no file takes."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from curation.synthesis.journal import Journal, read_lines
from store.errors import StorageError


@contextmanager
def room_for(size_bytes: int) -> Iterator[None]:
    """Let no file of this process grow beyond so many bytes: a write takes what fits, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_said_and_leaves_no_half_line_for_the_next_one_to_stick_to(tmp_path: Path) -> None:
    path = tmp_path / "results" / "one.jsonl"
    journal = Journal(path)
    journal.put("begun", "first")
    with room_for(path.stat().st_size + 20), pytest.raises(StorageError, match="Make room"):
        journal.put("written", "lost", text="he runs " * 20)
    journal.put("begun", "second")
    journal.close()
    assert [line["key"] for line in read_lines(path).lines] == ["first", "second"]


def test_half_of_a_surrogate_pair_in_what_a_provider_says_is_kept_as_a_sign_that_a_file_takes(tmp_path: Path) -> None:
    path = tmp_path / "results" / "one.jsonl"
    journal = Journal(path)
    journal.put("failed", "first", reason="The server said \ud83d.")
    journal.close()
    assert [line["reason"] for line in read_lines(path).lines] == ["The server said ?."]
