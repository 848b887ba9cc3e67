"""Comparing texts: blind, each pair once and a tenth of them again, every act in the log, and any act can be taken back."""

import dataclasses
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlite_utils
from hypothesis import example, given, settings
from hypothesis import strategies as st

from curation.choices import read_choice, read_undo
from curation.comparing import LEAST_BETWEEN, CompareItem, Shown, choose, compare_screen, item_of
from store.candidates import add_candidate, candidate_of
from store.clips import add_qa_pair, give_media
from store.comparisons import AGAIN_BELOW, count_comparisons, list_comparisons
from store.database import open_store
from store.errors import ConflictError, InputError, NotFoundError
from store.oplog import list_operations
from store.replay_comparisons import comparison_key, replay_comparisons
from store.rows import digest_id
from tests.curation.annotating import annotate, memory_store, next_item
from tests.curation.choosing import add_texts, choice, choose_side, shown_of, undo
from tests.curation.test_desk import item_id, keep
from tests.seeds import OTHER_WRITER, WRITER, seed_project

SIDES = ("left", "right", "tie", "both_bad", "skip")


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite_utils.Database]:
    with open_store(tmp_path) as db:
        yield db


def next_of(db: sqlite_utils.Database, annotator: str = "ann") -> CompareItem:
    found = compare_screen(db, annotator).next
    assert found is not None
    return found


def walk(db: sqlite_utils.Database, annotator: str = "ann", side: str = "left") -> list[CompareItem]:
    """Choose the same side until nothing waits; return what was shown, in order."""
    seen = []
    while item := compare_screen(db, annotator).next:
        seen.append(item)
        choose(db, annotator, choice(item, side))
    return seen


def texts_of(item: CompareItem) -> frozenset[str]:
    return frozenset((item.left.text, item.right.text))


def test_the_page_learns_nothing_of_who_wrote_what_of_the_round_or_of_other_people(db: sqlite_utils.Database) -> None:
    seeded = seed_project(db)
    annotate(db, seeded.rival, "bo", "reject", ["other"], edited="In one he runs to the net.")
    choose(db, "cy", choice(next_of(db, "cy"), "left"))
    told = json.dumps(dataclasses.asdict(compare_screen(db, "ann")))
    ids = [row["id"] for row in db.query("SELECT id FROM candidate")]
    assert not [word for word in ("secret-writer", '"bo"', '"cy"', "round", *ids) if word in told]
    first, again = (item_of(db, shown_of("ann", seeded.rationale.id, seeded.rival.id, round_)) for round_ in (1, 2))
    assert (again.left.text, again.right.text) == (first.right.text, first.left.text)
    assert not {first.left.id, first.right.id} & {again.left.id, again.right.id}, "the ids of a repeat tell nothing of the first time"


def test_what_is_to_be_answered_blind_is_not_given_away_beside_other_texts(db: sqlite_utils.Database) -> None:
    seeded = seed_project(db)
    assert compare_screen(db, "ann").next is not None, "the control"
    db.execute("UPDATE batch SET blind_first = 1")
    assert compare_screen(db, "ann").next is None
    other = candidate_of("narrative", seeded.clip.id, None, OTHER_WRITER, "Another story.")
    add_candidate(db, other, OTHER_WRITER)
    assert compare_screen(db, "ann").next is None, "a narrative of the clip tells its answers"
    next_item(db, "ann"), next_item(db, "ann", [item_id(seeded.narrative, "ann")])
    keep(db, "ann", seeded.rationale, "answer", {"answer": "so", "answer_index": None, "seconds_spent": 1.0})
    assert compare_screen(db, "ann").waiting == 2, "once the question is answered both pairs wait"
    assert compare_screen(db, "ben").next is None
    db.execute("UPDATE batch SET open_to_all = 0")
    assert compare_screen(db, "ben").waiting == 2, "who will not be asked has nothing to be kept from"


def test_each_pair_is_shown_once_to_each_annotator_and_the_next_one_is_told_ahead(db: sqlite_utils.Database) -> None:
    seeded = seed_project(db)
    list(add_texts(db, seeded, 3))
    screen = compare_screen(db, "ann")
    assert compare_screen(db, "ann") == screen, "the same until a choice is in"
    assert (screen.waiting, screen.done) == (10, 0)
    seen = [screen.next]
    while screen.next:
        choose(db, "ann", choice(screen.next, "tie"))
        expected, screen = screen.upcoming, compare_screen(db, "ann")
        assert expected is None or screen.next == expected or screen.next is None or texts_of(screen.next) in map(texts_of, filter(None, seen))
        seen.append(screen.next)
    first_time = [item for item in seen if item][:10]
    assert len({texts_of(item) for item in first_time}) == 10
    assert compare_screen(db, "bo").waiting == 10


def test_nobody_judges_a_text_of_their_own(db: sqlite_utils.Database) -> None:
    seeded = seed_project(db)
    annotate(db, seeded.narrative, "ann", "reject", edited="A man runs, then stops.")
    assert {name: compare_screen(db, name).waiting for name in ("ann", "bo")} == {"ann": 1, "bo": 2}


def test_a_clip_without_a_playable_file_is_not_asked_about_until_it_has_one(db: sqlite_utils.Database) -> None:
    early, late = seed_project(db, "early"), seed_project(db, "late")
    db.execute("UPDATE clip SET digest = NULL WHERE id = ?", [early.clip.id])
    choose(db, "ann", choice(next_of(db), "left"))
    if comparison_key("ann", *sorted((late.rationale.id, late.rival.id)), 1) < AGAIN_BELOW:
        choose(db, "ann", choice(next_of(db), "left"))
    assert compare_screen(db, "ann").waiting == 0
    give_media(db, early.clip.media_name, early.clip.digest or "")
    assert texts_of(next_of(db)) == {early.rationale.text, early.rival.text}, "though it lies behind the last one chosen"


@given(st.text(), st.text(min_size=1), st.text(min_size=1))
def test_the_side_is_fixed_by_annotator_and_pair_and_swapped_the_second_time(annotator: str, one: str, other: str) -> None:
    first, second = shown_of(annotator, one, other), shown_of(annotator, other, one)
    assert first == second
    assert first.left_id in (one, other)
    assert (first.left_id, first.right_id) == (shown_of(annotator, one, other, 2).right_id, shown_of(annotator, one, other, 2).left_id)


def test_about_half_of_all_pairs_stand_each_way_for_one_annotator_and_for_one_pair() -> None:
    ids = [digest_id(number) for number in range(1000)]
    by_pair = sum(Shown("ann", "0", one, 1).left_id == "0" for one in ids)
    by_annotator = sum(Shown(one, "a", "b", 1).left_id == "a" for one in ids)
    # Five standard deviations of a fair coin thrown a thousand times.
    assert abs(by_pair - 500) < 80
    assert abs(by_annotator - 500) < 80


def test_a_tenth_of_all_pairs_is_drawn_to_come_again_whichever_way_they_stand() -> None:
    drawn = [one for one in range(10_000) if comparison_key("ann", "a", str(one), 1) < AGAIN_BELOW]
    assert abs(len(drawn) - 1000) < 150, "five standard deviations"
    assert abs(sum(Shown("ann", "a", str(one), 1).left_id == "a" for one in drawn) - len(drawn) / 2) < 80, "and no side more often than the other"


def test_repeats_come_swapped_and_twenty_items_later_or_at_the_end(db: sqlite_utils.Database) -> None:
    seeded = seed_project(db)
    list(add_texts(db, seeded, 13))  # 105 pairs of rationales
    seen = walk(db)
    places: dict[frozenset[str], list[int]] = {}
    for place, item in enumerate(seen):
        places.setdefault(texts_of(item), []).append(place)
    again = {texts: found for texts, found in places.items() if len(found) > 1}
    assert len(places) == 105
    assert max(map(len, places.values())) == 2
    assert {texts_of(item_of(db, Shown("ann", one.a_id, one.b_id, 1))) for one in list_comparisons(db) if one.id < AGAIN_BELOW and one.round == 1} == set(again)
    assert len(again) >= 3
    for first, second in again.values():
        assert (seen[first].left, seen[first].right) != (seen[second].left, seen[second].right)
        assert (seen[first].left.text, seen[first].right.text) == (seen[second].right.text, seen[second].left.text)
        assert second - first > LEAST_BETWEEN or second >= 105
    assert any(second < 105 for _, second in again.values()), "some came before the end"


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(("ann", "bo")), st.sampled_from((*SIDES, "undo", "undo", "again", "twice"))), max_size=40))
def test_the_log_replayed_is_the_table_and_what_stands_is_counted(acts: list[tuple[str, str]]) -> None:
    with memory_store() as db:
        seeded = seed_project(db)
        list(add_texts(db, seeded, 2))
        for annotator, act in acts:
            one_act(db, annotator, act)
        table = {one.id: one for one in list_comparisons(db)}
        assert replay_comparisons(list_operations(db)) == table
        for annotator in ("ann", "bo"):
            assert count_comparisons(db, annotator) == sum(one.annotator == annotator for one in table.values())


def one_act(db: sqlite_utils.Database, annotator: str, act: str) -> None:
    item = compare_screen(db, annotator).next
    if act == "undo":
        try:
            undo(db, annotator)
        except ConflictError as error:
            assert str(error) == "Nothing is left to undo."
    elif act == "again" and (made := [one for one in list_comparisons(db) if one.annotator == annotator]):
        choose_side(db, annotator, made[0].a_id, made[0].b_id, "right", made[0].round)
    elif act == "twice" and item:
        sent = choice(item, "left")
        assert choose(db, annotator, sent) == choose(db, annotator, sent)
    elif act in SIDES and item:
        choose(db, annotator, choice(item, act))


@settings(max_examples=20, deadline=None)
@example(["left"] * 12, 10)  # 32 operations, of which 12 acts stand: a repeat after 20 others is not due yet
@given(st.lists(st.sampled_from(SIDES), min_size=1, max_size=12), st.integers(1, 12))
def test_what_is_taken_back_comes_back_in_order_and_doing_it_again_ends_where_it_was(sides: list[str], back: int) -> None:
    with memory_store() as db:
        list(add_texts(db, seed_project(db), 4))
        shown = []
        for side in sides:
            shown.append(next_of(db))
            choose(db, "ann", choice(shown[-1], side))
        after, standing = compare_screen(db, "ann").next, [(one.id, one.outcome) for one in list_comparisons(db)]
        back = min(back, len(sides))
        for place in range(1, back + 1):
            undo(db, "ann")
            assert next_of(db).item_id == shown[-place].item_id
        for item, side in list(zip(shown, sides, strict=True))[-back:]:
            assert next_of(db).item_id == item.item_id
            choose(db, "ann", choice(item, side))
        assert compare_screen(db, "ann").next == after
        assert sorted((one.id, one.outcome) for one in list_comparisons(db)) == sorted(standing)


def test_a_pair_that_was_passed_by_stays_away_until_that_is_taken_back(db: sqlite_utils.Database) -> None:
    seed_project(db)
    item = next_of(db)
    choose(db, "ann", choice(item, "skip"))
    assert (compare_screen(db, "ann").next, list_comparisons(db)) == (None, [])
    assert compare_screen(db, "bo").next is not None
    undo(db, "ann")
    assert next_of(db) == item
    with pytest.raises(ConflictError, match="Nothing is left"):
        undo(db, "ann")


def test_the_same_act_arriving_twice_is_one_and_an_id_belongs_to_one_person(db: sqlite_utils.Database) -> None:
    seed_project(db)
    sent = choice(next_of(db), "left", "one-and-the-same")
    first = choose(db, "ann", sent)
    assert choose(db, "ann", dataclasses.replace(sent, outcome="tie")) == first, "answered as before, whatever it says now"
    with pytest.raises(ConflictError, match="this id already"):
        choose(db, "bo", choice(next_of(db, "bo"), "left", "one-and-the-same"))
    assert len(list(list_operations(db))) == len(list_comparisons(db)) == 1


def test_what_was_not_shown_cannot_be_chosen(db: sqlite_utils.Database) -> None:
    seed_project(db), seed_project(db, "two")
    item, foreign = next_of(db), next_of(db, "bo")
    subject, left, right = item.item_id.split(".")
    wrong = (foreign.item_id, f"{subject}.{right}.{left}", f"{subject}.{left}.{left}", f"other.{left}.{right}", subject, "", f"{subject}.{left}")
    for unknown in wrong:
        with pytest.raises(NotFoundError):
            choose(db, "ann", dataclasses.replace(choice(item, "left"), item_id=unknown))
    for outcome in (foreign.left.id, "left", "a", ""):
        with pytest.raises(InputError):
            choose(db, "ann", dataclasses.replace(choice(item, "left"), outcome=outcome))
    assert list_comparisons(db) == []


SOUND = {"id": "an-id-of-ours", "item_id": "s.l.r", "outcome": "tie", "seconds_spent": 1.5, "client_at": None}


@pytest.mark.parametrize(
    "change",
    [
        *({"id": "short"}, {"id": 7}, {"item_id": None}, {"outcome": None}, {"client_at": 3}, {"more": 1}),
        *({"seconds_spent": wrong} for wrong in (-1, float("nan"), True, None, "2")),
    ],
)
def test_a_malformed_choice_is_refused_in_a_sentence(change: dict[str, object]) -> None:
    assert read_choice(SOUND).outcome == "tie"
    with pytest.raises(InputError, match=r"\."):
        read_choice(SOUND | change)


@pytest.mark.parametrize("raw", [None, [], {"id": "an-id-of-ours"}, {"id": "an-id-of-ours", "item_id": 3, "client_at": None}])
def test_a_malformed_undo_is_refused_in_a_sentence(raw: object) -> None:
    assert read_undo({"id": "an-id-of-ours", "item_id": None, "client_at": "now"}).outcome is None
    with pytest.raises(InputError, match=r"\."):
        read_undo(raw)


def test_what_the_next_pair_costs_does_not_grow_with_all_texts() -> None:
    """Steps of SQLite's machine, in hundreds: from the last one chosen on, and (the control) when the walk begins at the first text."""
    few, many = (steps_for_next(subjects) for subjects in (150, 900))
    assert many < 1.2 * few
    assert steps_for_next(900, chosen=False, waiting=False) > 4 * steps_for_next(150, chosen=False, waiting=False)


def steps_for_next(subjects: int, chosen: bool = True, waiting: bool = True) -> int:
    """Return the steps that the next screen takes among so many subjects, most of which come before the last one chosen."""
    with memory_store() as db:
        seeded = seed_project(db)
        for number in range(subjects):
            add_qa_pair(db, dataclasses.replace(seeded.qa, id=f"q{number}", external_id=f"q{number}"))
            for writer in (WRITER, OTHER_WRITER) if waiting else (WRITER,):
                add_candidate(db, candidate_of("rationale", seeded.clip.id, f"q{number}", writer, f"{writer.name} tells {number}."), writer)
        if chosen:
            last = list(db.query("SELECT id FROM candidate ORDER BY rowid DESC LIMIT 202"))[200:]
            choose_side(db, "ann", *(row["id"] for row in last), "tie")
        steps = itertools.count()
        db.conn.set_progress_handler(lambda: next(steps) < 0, 100)
        compare_screen(db, "ann")
        return next(steps)
