"""A folder keeps to its limit: what was used longest ago goes first, and what is needed, or being written, stays."""

import os
import time
from collections import OrderedDict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.used_files import make_room, note_use

BYTES = 100


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_bytes(bytes(BYTES))
        note_use(folder / name)


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@given(used=st.lists(st.sampled_from("abcdef"), max_size=30), room=st.integers(0, 6), kept=st.sets(st.sampled_from("abcdef")))
@settings(max_examples=40)
def test_what_was_used_longest_ago_goes_first_and_what_is_needed_stays(
    tmp_path_factory: pytest.TempPathFactory, used: list[str], room: int, kept: set[str]
) -> None:
    folder = tmp_path_factory.mktemp("used")
    order: OrderedDict[str, None] = OrderedDict()
    for name in used:
        put(folder, name)
        order[name] = None
        order.move_to_end(name)
    make_room(folder, room * BYTES, keep={folder / name for name in kept})
    over = max(0, len(order) - room)
    gone = [name for name in order if name not in kept][:over]
    assert names_in(folder) == set(order) - set(gone)


def test_using_a_file_saves_it_and_the_control_not_using_it_does_not(tmp_path: Path) -> None:
    put(tmp_path, "a", "b")
    make_room(tmp_path, BYTES)
    assert names_in(tmp_path) == {"b"}
    put(tmp_path, "a")
    note_use(tmp_path / "b")
    make_room(tmp_path, BYTES)
    assert names_in(tmp_path) == {"b"}


def test_a_file_that_is_gone_is_no_error(tmp_path: Path) -> None:
    note_use(tmp_path / "gone")
    make_room(tmp_path, 0)
    assert names_in(tmp_path) == set()


def test_what_is_being_written_stays_and_what_a_killed_process_left_goes(tmp_path: Path) -> None:
    put(tmp_path, ".old.part", ".new.part")
    os.utime(tmp_path / ".old.part", (time.time() - 7200,) * 2)
    make_room(tmp_path, 0)
    assert names_in(tmp_path) == {".new.part"}
