"""The way between adapters and what they learnt from, against a plain walk over the same records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.adapters import add_sources, behind_adapter, get_adapter, list_adapters, put_adapter, seen_by, sets_without_sources, subjects_of
from store.candidates import generator_of
from store.database import open_store
from store.errors import NotFoundError
from store.records import Adapter, CuratedSet, Run, SetSource
from store.rows import as_row

ROWS, SOURCES = ("r0", "r1", "r2"), ("a", "b", "c")


@dataclass(frozen=True)
class Made:
    """A run on set 0 or 1, from an earlier run or none, with or without an adapter that learnt some rows."""

    set_number: int
    parent: int | None
    learnt: frozenset[str] | None  # None: no adapter


@st.composite
def studios(draw: st.DrawFn) -> tuple[list[Mapping[str, frozenset[str]]], list[Made]]:
    """Return of two sets what stands behind each row, and up to five runs."""
    behind: list[Mapping[str, frozenset[str]]] = [{row: draw(st.frozensets(st.sampled_from(SOURCES))) for row in ROWS} for _ in range(2)]
    runs: list[Made] = []
    for number in range(draw(st.integers(1, 5))):
        parent = draw(st.none() | st.integers(0, number - 1)) if number else None
        runs.append(Made(draw(st.integers(0, 1)), parent, draw(st.none() | st.frozensets(st.sampled_from(ROWS)))))
    return behind, runs


def learnt_by(number: int, behind: Sequence[Mapping[str, frozenset[str]]], runs: Sequence[Made]) -> set[str]:
    """Return the sources that run `number` and those that it started from learnt from."""
    run = runs[number]
    own = {source for row in run.learnt or () for source in behind[run.set_number][row]}
    return own | (set() if run.parent is None else learnt_by(run.parent, behind, runs))


@given(studios())
@settings(max_examples=12, deadline=None)
def test_both_ways_agree_with_a_plain_walk(studio: tuple[list[Mapping[str, frozenset[str]]], list[Made]]) -> None:
    behind, runs = studio
    with TemporaryDirectory() as folder, open_store(Path(folder)) as db:
        for number, rows in enumerate(behind):
            db.table("curated_set").insert(as_row(CuratedSet(f"s{number}", "", "sft", "0" * 64, 3, "{}", f"exports/{number}", "t")))
            add_sources(db, [SetSource(f"s{number}", row, "candidate", source) for row, sources in rows.items() for source in sources])
        for number, run in enumerate(runs):
            stage = "sft" if run.parent is None else "dpo"
            parent = None if run.parent is None else f"run{run.parent}"
            db.table("run").insert(as_row(Run(f"run{number}", "", stage, f"s{run.set_number}", parent, f"runs/{number}", f"t{number}")))
            if run.learnt is not None:
                writer = generator_of("adapter", f"run{number}")
                put_adapter(db, Adapter(f"a{number}", f"run{number}", writer.id, "0" * 64, "t"), writer, run.learnt)
        for number, run in enumerate(runs):
            if run.learnt is None:
                continue
            wanted = learnt_by(number, behind, runs)
            assert {one.source_id for one in behind_adapter(db, f"a{number}") if one.source_id} == wanted
            for source in SOURCES:
                # An adapter hands on what it learnt only to those that started from it: a run without one hands on nothing.
                whole = all(runs[one].learnt is not None for one in ancestors(number, runs))
                told = any(one.adapter_id == f"a{number}" and (one.learnt or one.inherited) for one in seen_by(db, source))
                assert told == (source in wanted) or not whole


def ancestors(number: int, runs: Sequence[Made]) -> list[int]:
    parent = runs[number].parent
    return [] if parent is None else [parent, *ancestors(parent, runs)]


def test_an_adapter_put_anew_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    with open_store(tmp_path) as db:
        db.table("curated_set").insert(as_row(CuratedSet("s", "", "sft", "0" * 64, 3, "{}", "exports/s", "t")))
        db.table("run").insert(as_row(Run("run", "mine", "sft", "s", None, "runs/run", "t")))
        writer = generator_of("adapter", "mine")
        put_adapter(db, Adapter("a", "run", writer.id, "0" * 64, "t"), writer, ["r0", "r0", "r1"])
        put_adapter(db, Adapter("a", "run", writer.id, "1" * 64, "u"), writer, ["r2"])
        (known,) = list_adapters(db)
        assert (known.sha256[0], known.learnt_rows, get_adapter(db, "run")) == ("1", 1, known)
        with pytest.raises(NotFoundError, match="There is no adapter"):
            get_adapter(db, "other")


def test_a_set_is_without_sources_until_some_are_noted(tmp_path: Path) -> None:
    with open_store(tmp_path) as db:
        db.table("curated_set").insert(as_row(CuratedSet("s", "", "sft", "0" * 64, 3, "{}", "exports/s", "t")))
        assert [one.id for one in sets_without_sources(db)] == ["s"]
        add_sources(db, [SetSource("s", "r0", "subject", "clip"), SetSource("s", "r0", "candidate", "text")])
        assert sets_without_sources(db) == [] and subjects_of(db, "s") == {"r0": "clip"}
