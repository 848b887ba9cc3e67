"""Gold items and repeats come at the share asked for, and nothing tells them from the others."""

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import groupby, pairwise
from typing import Any

import pytest
import sqlite_utils

from curation.batching import BatchRequest, make_batch
from curation.desk import item_for
from store.chances import chance, places
from store.hidden import REPEAT_AFTER
from store.queue import claim_next, entry_of, progress_of, set_assignment_state
from store.records import Assignment, Gold
from store.signals import set_gold
from tests.curation.annotating import memory_store
from tests.seeds import Seeded, seed_project

CLIPS, GOLD = 60, 30


@dataclass(frozen=True)
class Step:
    """One claim: what it gave, what it was in truth, and what the annotator could see of it."""

    lease: Assignment
    kind: str  # "main", "gold" or "repeat"
    item: dict[str, Any]
    statements: tuple[str, ...]
    main_left: int


@pytest.fixture(scope="module")
def db() -> Iterator[sqlite_utils.Database]:
    with memory_store() as made:
        seeded = [seed_project(made, f"clip {i}", wanted=1) for i in range(CLIPS)]
        for one in seeded[:GOLD]:
            set_gold(made, Gold(one.narrative.id, "accept", (), "", "lea", "2026-01-01"))
        make_batch(made, BatchRequest("study", wanted=2, gold_share=0.1, repeat_share=0.1, seed=5), "lea")
        yield made


@pytest.fixture(scope="module")
def steps(db: sqlite_utils.Database) -> list[Step]:
    """Return one person's way through the batch."""
    return walk(db, "ann")


def walk(db: sqlite_utils.Database, annotator: str) -> list[Step]:
    steps: list[Step] = []
    while True:
        heard: list[str] = []
        db.conn.set_trace_callback(heard.append)
        lease = claim_next(db, annotator)
        db.conn.set_trace_callback(None)
        if lease is None:
            return steps
        entry = entry_of(db, lease.candidate_id)
        assert entry is not None
        kind = "repeat" if lease.round == 2 else entry.part
        left = """SELECT count(*) FROM queue_entry q
                  WHERE part = 'main' AND NOT EXISTS (SELECT 1 FROM assignment a WHERE a.candidate_id = q.candidate_id AND annotator = ?)"""
        main_left = db.conn.execute(left, [annotator]).fetchone()[0]
        # A statement is heard again after each trigger of its own; those have their way with the counters.
        own = tuple(shape for shape, _ in groupby(shape_of(line) for line in heard if not line.startswith("--")))
        steps.append(Step(lease, kind, asdict(item_for(db, annotator, lease.id)), own, main_left))
        set_assignment_state(db, lease.id, "final")


def shape_of(statement: str) -> str:
    """Return the statement without the values in it."""
    return re.sub(r"'[^']*'|-?\b\d+(\.\d+)?\b", "?", statement)


@pytest.mark.parametrize("share", [0.05, 0.1, 0.15, 0.33, 0.5])
def test_places_hold_their_share_are_spread_and_not_regular(share: float) -> None:
    chosen = sorted(places(0, 9_999, share, 1, "ann"))
    assert len(chosen) / 10_000 == pytest.approx(share, rel=0.06)
    gaps = [after - before for before, after in pairwise(chosen)]
    assert max(gaps) <= 2 / share + 1
    assert len(set(gaps)) >= min(4, 1 / share)
    assert places(0, 9_999, share, 1, "ben") != set(chosen) != places(0, 9_999, share, 2, "ann")
    # Asked for one at a time they are the same.
    assert [one for one in range(200) if places(one, one, share, 1, "ann")] == [one for one in chosen if one < 200]


def test_chance_is_even() -> None:
    drawn = [chance(3, "even", i) for i in range(4000)]
    assert all(0 <= value < 1 for value in drawn)
    assert [sum(low <= value < low + 0.25 for value in drawn) for low in (0, 0.25, 0.5, 0.75)] == pytest.approx([1000] * 4, rel=0.12)


def test_gold_and_repeats_come_at_their_shares_each_once_and_all_main_items_are_done(steps: list[Step]) -> None:
    kinds = [step.kind for step in steps]
    assert kinds.count("main") == 3 * CLIPS - GOLD
    assert kinds.count("gold") == pytest.approx(0.1 * len(steps), abs=GOLD / 2)
    assert kinds.count("repeat") == pytest.approx(0.1 * len(steps), abs=5)
    had = [(step.lease.candidate_id, step.lease.round) for step in steps]
    assert len(had) == len(set(had))


def test_a_repeat_is_an_own_main_item_of_at_least_ten_positions_ago(steps: list[Step]) -> None:
    first = {step.lease.candidate_id: place for place, step in enumerate(steps) if step.kind == "main"}
    gaps = [place - first[step.lease.candidate_id] for place, step in enumerate(steps) if step.kind == "repeat"]
    assert gaps and min(gaps) >= REPEAT_AFTER and len(set(gaps)) > len(gaps) / 3


def test_another_person_gets_them_at_other_positions(db: sqlite_utils.Database, steps: list[Step]) -> None:
    other = walk(db, "ben")
    for kind in ("gold", "repeat"):
        own, theirs = ([place for place, step in enumerate(way) if step.kind == kind] for way in (steps, other))
        assert own != theirs


def test_what_the_page_gets_of_them_has_the_same_form_and_no_word_of_it(steps: list[Step]) -> None:
    forms = {kind: {tuple(step.item) for step in steps if step.kind == kind} for kind in ("main", "gold", "repeat")}
    assert forms["main"] == forms["gold"] == forms["repeat"] and len(forms["main"]) == 1
    for step in steps:
        assert step.item["work"] is None and step.item["sequence"] == 0 and step.item["state"] == "leased"
        told = str(step.item)
        assert step.lease.candidate_id not in told and "gold" not in told and "secret-writer" not in told and "study" not in told


def test_the_counts_fall_by_one_whatever_is_given_out(steps: list[Step]) -> None:
    shown = [(step.item["done"], step.item["open"]) for step in steps]
    falls = {
        kind: {before[1] - after[1] for (before, after), step in zip(pairwise(shown), steps, strict=False) if step.kind == kind} for kind in ("gold", "repeat")
    }
    assert falls == {"gold": {1}, "repeat": {1}}
    assert [done for done, _ in shown] == list(range(len(steps)))
    # Where a hidden item was due and none was left, a main item came: that one is no secret.
    assert {before - after for (_, before), (_, after) in pairwise(shown)} <= {1, 2}
    # The control: a count of main items alone stands still while a hidden one is shown.
    naive = [step.main_left for step in steps]
    still = {step.kind for (before, after), step in zip(pairwise(naive), steps[1:], strict=False) if before == after}
    assert still == {"gold", "repeat"}


def test_every_claim_asks_the_same_of_the_database(steps: list[Step]) -> None:
    asked = {kind: {step.statements for step in steps if step.kind == kind} for kind in ("main", "gold", "repeat")}
    assert len(asked["gold"]) == len(asked["repeat"]) == 1
    assert asked["gold"] == asked["repeat"] and asked["gold"] <= asked["main"]
    assert len(asked["main"]) == 1


def test_when_no_gold_is_left_a_main_item_comes(db: sqlite_utils.Database) -> None:
    with memory_store() as own:
        seeded: list[Seeded] = [seed_project(own, f"clip {i}", wanted=1) for i in range(10)]
        set_gold(own, Gold(seeded[0].narrative.id, "accept", (), "", "lea", "2026-01-01"))
        make_batch(own, BatchRequest("study", gold_share=0.5, wanted=1), "lea")
        way = walk(own, "ann")
        assert [step.kind for step in way].count("gold") == 1 and len(way) == 30
        # The last items count down to nothing: no gold is promised that is not there.
        assert [step.item["open"] for step in way[-5:]] == [5, 4, 3, 2, 1]
        assert progress_of(own, "ann") == (30, 0)


def test_what_was_given_back_just_now_does_not_come_again_at_once_gold_neither() -> None:
    with memory_store() as own:
        seeded = [seed_project(own, f"clip {i}", wanted=1) for i in range(10)]
        set_gold(own, Gold(seeded[0].narrative.id, "accept", (), "", "lea", "2026-01-01"))
        make_batch(own, BatchRequest("study", gold_share=0.5, wanted=1), "lea")
        kinds, lease = [], claim_next(own, "ann")
        for _ in range(25):
            assert lease is not None
            entry = entry_of(own, lease.candidate_id)
            kinds.append(entry.part if entry else "")
            set_assignment_state(own, lease.id, "released")
            following = claim_next(own, "ann", [lease.id])
            assert following is not None and following.id != lease.id
            lease = following
        assert kinds.count("gold") > 1


def test_answers_of_a_repeat_are_kept_beside_the_first_ones(steps: list[Step], db: sqlite_utils.Database) -> None:
    again = next(step for step in steps if step.kind == "repeat")
    assert again.lease.round == 2
    entry = entry_of(db, again.lease.candidate_id)
    assert entry is not None and entry.taken <= entry.wanted
    leases = db.query("SELECT round FROM assignment WHERE candidate_id = ? AND annotator = 'ann'", [again.lease.candidate_id])
    assert sorted(row["round"] for row in leases) == [1, 2]
