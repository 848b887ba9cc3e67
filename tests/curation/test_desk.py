"""The desk without a browser: what work may say, what an operation does, and what reaches whom."""

import dataclasses
import hashlib
import itertools
import json
import math
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlite_utils
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.claims import sentence_claims
from curation.desk import DeskItem, finished_items, item_for
from curation.recording import Saved, StaleWorkError, read_operation, record
from curation.work import WorkState, check_submitted, read_sound_work, read_work, work_from_json, work_to_json
from curation.work_fields import LONGEST_TEXT
from curation.work_flags import CLAIMED_ORDERS, SUPPORTS, TRUE_ORDERS, flag_names
from store.annotations import annotation_of, flags_of, work_of
from store.candidates import list_candidates
from store.database import open_store, transaction
from store.errors import ConflictError, InputError, NotFoundError
from store.oplog import list_operations
from store.queue import find_assignment, list_queue, set_assignment_state
from store.records import Candidate
from store.replay import replay_work
from store.rows import digest_id
from tests.curation.annotating import NO_OTHER, memory_store, next_item
from tests.seeds import Seeded, seed_project

TEXT = "הילד 👦🏽 runs, then he waves\nat the lake."
LENGTH_S = 5.0
EMPTY: dict[str, Any] = {
    "verdict": None,
    "no_error": False,
    "omission": None,
    "factual_consistency": None,
    "logical_coherence": None,
    "note": "",
    "edited_text": None,
    "skip_reason": None,
    "seconds_spent": 1.5,
    "watched_share": 0.5,
    "flags": [],
    "ticks": [],
}
ACCEPTED = EMPTY | {"verdict": "accept", "no_error": True}
ids = map("operation-{:06}".format, itertools.count())


def flag(text: str = TEXT, start: int = 0, end: int = 4, **changes: Any) -> dict[str, Any]:
    made = {"id": next(ids), "kind": "temporal_error", "text_start": start, "text_end": end, "quote": text[start:end]}
    return made | {"start_s": 1.0, "end_s": 2.0, "severity": 1, "comment": ""} | NO_OTHER | changes


def item_id(candidate: Candidate, annotator: str, round_: int = 1) -> str:
    return digest_id("assignment", candidate.id, annotator, round_)


def operation(annotator: str, about: Candidate | DeskItem, kind: str = "draft", work: Any = EMPTY, base: int = 0, name: str | None = None) -> dict[str, Any]:
    assignment_id = about.assignment_id if isinstance(about, DeskItem) else item_id(about, annotator)
    if kind == "skip":
        work = work | {"skip_reason": "not my language"}
    made = {"id": name or next(ids), "kind": kind, "assignment_id": assignment_id, "base_sequence": base, "client_at": None}
    return made | {"text_sha256": hashlib.sha256((about.text or "").encode()).hexdigest() if about.text else None, "state": work}


def keep(db: sqlite_utils.Database, annotator: str, *given: Any, **more: Any) -> Saved:
    return record(db, annotator, read_operation(operation(annotator, *given, **more)))


@pytest.fixture
def db() -> Iterator[sqlite_utils.Database]:
    with memory_store() as db:
        yield db


@pytest.fixture
def seeded(db: sqlite_utils.Database) -> Seeded:
    return seed_project(db)


@st.composite
def flags(draw: st.DrawFn, text: str) -> dict[str, Any]:
    start = draw(st.integers(0, len(text) - 1))
    end = draw(st.integers(start + 1, len(text)))
    first, last = sorted(draw(st.tuples(st.floats(0, LENGTH_S), st.floats(0, LENGTH_S))))
    kind = draw(st.sampled_from(sorted(flag_names())))
    made = flag(text, start, end, kind=kind, severity=draw(st.integers(0, 3)), comment=draw(words), start_s=first, end_s=last)
    without_moment = {"start_s": None, "end_s": None} if draw(st.booleans()) else {}
    without_words = {"text_start": None, "text_end": None, "quote": ""} if kind == "omission" else {}
    return made | without_moment | without_words | draw(more_of(kind, text))


@st.composite
def more_of(draw: st.DrawFn, kind: str, text: str) -> dict[str, Any]:
    """Return what only some kinds of flags say."""
    if kind == "justified_fabrication":
        return {"props_up": draw(words)}
    if kind not in ("entity_drift", "temporal_error") or draw(st.booleans()):
        return {}
    start = draw(st.integers(0, len(text) - 1))
    end = draw(st.integers(start + 1, len(text)))
    made: dict[str, Any] = {"other_start": start, "other_end": end, "other_quote": text[start:end], "other_start_s": 0.5, "other_end_s": 0.75}
    orders = {"claimed_order": draw(st.sampled_from([None, *CLAIMED_ORDERS])), "true_order": draw(st.sampled_from([None, *TRUE_ORDERS]))}
    return made | (orders if kind == "temporal_error" else {})


@st.composite
def tick_lists(draw: st.DrawFn, text: str) -> list[dict[str, Any]]:
    starts = draw(st.lists(st.integers(0, len(text) - 1), max_size=3, unique=True))
    return [{"text_start": start, "text_end": len(text), "support": draw(st.sampled_from(SUPPORTS))} for start in starts]


words = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
works = st.fixed_dictionaries(
    {
        "verdict": st.sampled_from([None, "accept", "reject", "unsure", "skip"]),
        "no_error": st.booleans(),
        "omission": st.sampled_from([None, "none", "minor", "major"]),
        "factual_consistency": st.none() | st.integers(1, 5),
        "logical_coherence": st.none() | st.integers(1, 5),
        "note": words,
        "edited_text": st.none() | words,
        "skip_reason": st.none() | words,
        "seconds_spent": st.floats(0, 1e6),
        "watched_share": st.floats(0, 1),
        "flags": st.lists(flags(TEXT), max_size=3),
        "ticks": tick_lists(TEXT),
    }
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


# --- what work may say


@given(works)
def test_work_that_is_sound_survives_the_way_through_json(given: dict[str, Any]) -> None:
    work = read_work(given, TEXT, LENGTH_S)
    assert work_from_json(work_to_json(work)) == work
    assert read_work(json.loads(work_to_json(work)), TEXT, LENGTH_S) == work


@given(works, st.sampled_from(sorted(EMPTY)), anything)
def test_whatever_a_browser_sends_is_read_or_refused_with_a_sentence(given: dict[str, Any], field: str, value: Any) -> None:
    for raw in (given | {field: value}, given | {"flags": [flag() | {key: value for key in [field] if key in flag()}]}, value):
        try:
            assert isinstance(read_work(raw, TEXT, LENGTH_S), WorkState)
        except InputError as refusal:
            assert str(refusal).endswith(".")
            str(refusal).encode("utf-8")


@given(st.sampled_from(sorted(flag())), anything)
def test_any_field_of_a_flag_may_be_nonsense_and_only_a_sentence_comes_of_it(field: str, value: Any) -> None:
    try:
        read_work(EMPTY | {"flags": [flag() | {field: value}]}, TEXT, LENGTH_S)
    except InputError as refusal:
        str(refusal).encode("utf-8")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"start_s": math.nan}, "from 0 to"),
        ({"end_s": math.inf}, "from 0 to"),
        ({"start_s": -0.1}, "from 0 to"),
        ({"start_s": 3.0, "end_s": 2.0}, "before it starts"),
        ({"end_s": 5.1}, "the clip ends at 5.000 s"),
        ({"start_s": None}, "from 0 to"),
        ({"kind": "boredom"}, "not known"),
        ({"severity": 4}, "from 0 to 3"),
        ({"severity": True}, "from 0 to 3"),
        ({"quote": "other words"}, "the text says"),
        ({"text_end": 1000}, "from 0 to"),
        ({"text_start": 4, "text_end": 4, "quote": ""}, "Select the words again"),
        ({"text_start": None, "text_end": None, "quote": ""}, "points at no words"),
        ({"comment": "x" * (LONGEST_TEXT + 1)}, "Shorten it to 100,000"),
        ({"comment": "a\0b"}, "cannot be kept"),
        ({"comment": "\ud83d"}, "cannot be kept"),
        ({"id": "short"}, "8 to 64"),
        ({"colour": "red"}, "unknown fields"),
        ({"other_start": 0, "other_end": 4, "other_quote": "four"}, "the text says"),
        ({"other_start_s": 2.0, "other_end_s": 1.0}, "before it starts"),
        ({"kind": "plain_hallucination", "other_start_s": 1.0, "other_end_s": 2.0}, "one moment"),
        ({"kind": "entity_drift", "true_order": "absent"}, "nothing of an order"),
        ({"true_order": "never"}, "not known"),
        ({"props_up": "that he runs"}, "props nothing up"),
    ],
)
def test_a_flag_that_is_not_sound_is_refused(changes: dict[str, Any], told: str) -> None:
    read_work(EMPTY | {"flags": [flag()]}, TEXT, LENGTH_S)  # the control: without the change it is taken
    with pytest.raises(InputError, match=told):
        read_work(EMPTY | {"flags": [flag(**changes)]}, TEXT, LENGTH_S)


@given(st.sampled_from(sorted(EMPTY)), anything, st.sampled_from(sorted(flag())), anything)
def test_what_is_sound_in_any_work_is_sound_and_nothing_sound_is_lost(field: str, value: Any, part: str, odd: Any) -> None:
    work = ACCEPTED | {"note": "too dark", "flags": [flag()]}
    assert read_sound_work(work, TEXT, LENGTH_S) == read_work(work, TEXT, LENGTH_S)
    for raw in (work | {field: value}, work | {"flags": [*work["flags"], flag() | {part: odd}]}, value):
        sound = read_sound_work(raw, TEXT, LENGTH_S)
        assert read_work(json.loads(work_to_json(sound)), TEXT, LENGTH_S) == sound
    assert read_sound_work(work | {"flags": [*work["flags"], flag() | {part: odd}]}, TEXT, LENGTH_S).flags[0].id == work["flags"][0]["id"]


def test_the_whole_of_a_text_can_be_quoted_however_long_it_is() -> None:
    text = "🎾" * (LONGEST_TEXT + 1)
    assert read_work(EMPTY | {"flags": [flag(text, 0, len(text))]}, text, None).flags[0].quote == text


def test_two_flags_may_overlap_but_not_share_an_id() -> None:
    one, other = flag(start=0, end=6), flag(start=3, end=9)
    assert len(read_work(EMPTY | {"flags": [one, other]}, TEXT, LENGTH_S).flags) == 2
    with pytest.raises(InputError, match="same id"):
        read_work(EMPTY | {"flags": [one, one]}, TEXT, LENGTH_S)


def test_a_clip_of_unknown_length_takes_any_moment() -> None:
    assert read_work(EMPTY | {"flags": [flag(end_s=4000.0)]}, TEXT, None).flags[0].end_s == 4000.0


@pytest.mark.parametrize(
    ("work", "told"),
    [
        (EMPTY, "no verdict yet"),
        (EMPTY | {"verdict": "accept"}, "no error found"),
        (ACCEPTED | {"flags": [flag()]}, "and has flags"),
        (EMPTY | {"verdict": "reject"}, "needs a reason"),
        (EMPTY | {"verdict": "reject", "note": "  "}, "needs a reason"),
        (EMPTY | {"verdict": "unsure", "edited_text": " \n"}, "edited text is empty"),
        (EMPTY | {"verdict": "reject", "flags": [flag(kind="other")]}, "needs a comment"),
        (EMPTY | {"verdict": "reject", "flags": [flag(kind="omission", text_start=None, text_end=None, quote="")]}, "needs a comment"),
    ],
)
def test_what_cannot_be_final_is_refused_and_the_same_as_a_draft_is_kept(work: dict[str, Any], told: str) -> None:
    read = read_work(work, TEXT, LENGTH_S)
    with pytest.raises(InputError, match=told):
        check_submitted(read)


@pytest.mark.parametrize(
    "work",
    [
        ACCEPTED,
        EMPTY | {"verdict": "accept", "flags": [flag(severity=3)]},
        EMPTY | {"verdict": "reject", "flags": [flag()]},
        EMPTY | {"verdict": "reject", "note": "Not English."},
        EMPTY | {"verdict": "unsure"},
    ],
)
def test_a_verdict_with_its_ground_can_be_final(work: dict[str, Any]) -> None:
    check_submitted(read_work(work, TEXT, LENGTH_S))


# --- what an operation does


def test_an_operation_sent_twice_is_kept_once_and_answered_alike(db: sqlite_utils.Database, seeded: Seeded) -> None:
    item = next_item(db, "ann")
    assert item is not None and item.text == seeded.narrative.text
    first = keep(db, "ann", item, "submit", ACCEPTED, name="the-same-id")
    before = dump(db)
    assert keep(db, "ann", item, "submit", ACCEPTED, name="the-same-id") == first
    assert dump(db) == before
    with pytest.raises(ConflictError, match="this id"):
        keep(db, "ann", item, "draft", name="the-same-id")


def test_a_draft_comes_back_as_it_was_left(db: sqlite_utils.Database, seeded: Seeded) -> None:
    item = next_item(db, "ann")
    assert item is not None
    work = EMPTY | {"note": "half a thought 🎾", "flags": [flag(item.text, 3, 9)], "factual_consistency": 2}
    saved = keep(db, "ann", item, "draft", work)
    again = next_item(db, "ann")
    assert again is not None and again.work == read_work(work, item.text, LENGTH_S)
    assert again.sequence == saved.sequence


def test_a_write_that_did_not_see_the_last_one_is_refused_and_told_what_is_kept(db: sqlite_utils.Database, seeded: Seeded) -> None:
    next_item(db, "ann")
    first = keep(db, "ann", seeded.narrative, "draft", EMPTY | {"note": "one window"})
    with pytest.raises(StaleWorkError) as refusal:
        keep(db, "ann", seeded.narrative, "draft", EMPTY | {"note": "the other window"})
    assert refusal.value.sequence == first.sequence
    assert refusal.value.work is not None and refusal.value.work.note == "one window"
    keep(db, "ann", seeded.narrative, "draft", EMPTY | {"note": "the other window"}, base=first.sequence)


def test_work_on_an_item_that_was_not_given_is_refused(db: sqlite_utils.Database, seeded: Seeded) -> None:
    next_item(db, "ben")
    for assignment_id in (item_id(seeded.narrative, "ann"), item_id(seeded.narrative, "ben"), "nowhere"):
        with pytest.raises(NotFoundError, match="not given to you"):
            record(db, "ann", read_operation(operation("ann", seeded.narrative) | {"assignment_id": assignment_id}))
        with pytest.raises(NotFoundError, match="not given to you"):
            item_for(db, "ann", assignment_id)


def test_a_lease_that_ran_out_is_taken_up_again_while_there_is_room_and_not_after(db: sqlite_utils.Database, seeded: Seeded) -> None:
    text = seeded.narrative
    next_item(db, "ann")
    set_assignment_state(db, item_id(text, "ann"), "released")
    saved = keep(db, "ann", text, "draft", EMPTY | {"note": "still here"})
    set_assignment_state(db, item_id(text, "ann"), "released")
    for other in ("ben", "cat"):
        held: list[str] = []
        while (item := next_item(db, other, held)) is not None:
            held.append(item.assignment_id)
        keep(db, other, text, "submit", ACCEPTED)
    with pytest.raises(ConflictError, match="others have finished it"):
        keep(db, "ann", text, "submit", ACCEPTED, base=saved.sequence)
    assert annotation_of(db, text.id, "ann").note == "still here"  # type: ignore[union-attr]


def test_what_was_submitted_stands_until_it_is_submitted_again(db: sqlite_utils.Database, seeded: Seeded) -> None:
    text = seeded.narrative
    next_item(db, "ann")
    first = keep(db, "ann", text, "submit", ACCEPTED)
    second = keep(db, "ann", text, "draft", EMPTY | {"note": "on second thoughts"}, base=first.sequence)
    kept = annotation_of(db, text.id, "ann")
    assert kept is not None and (kept.state, kept.verdict, kept.note) == ("final", "accept", "")
    assert item_for(db, "ann", item_id(text, "ann")).work.note == "on second thoughts"  # type: ignore[union-attr]
    keep(db, "ann", text, "submit", EMPTY | {"verdict": "reject", "note": "on second thoughts"}, base=second.sequence)
    assert annotation_of(db, text.id, "ann").verdict == "reject"  # type: ignore[union-attr]
    with pytest.raises(InputError, match="cannot be skipped"):
        keep(db, "ann", text, "skip", base=item_for(db, "ann", item_id(text, "ann")).sequence)


def test_a_skipped_item_is_for_others_and_can_be_taken_up_again(db: sqlite_utils.Database, seeded: Seeded) -> None:
    text = seeded.narrative
    next_item(db, "ann")
    skipped = keep(db, "ann", text, "skip", EMPTY | {"note": "not my language"})
    assert (annotation_of(db, text.id, "ann").verdict, taken(db, text.id)) == ("skip", 0)  # type: ignore[union-attr]
    assert next_item(db, "ann").text != text.text  # type: ignore[union-attr]
    keep(db, "ann", text, "submit", ACCEPTED, base=skipped.sequence)
    assert (find_assignment(db, item_id(text, "ann")).state, taken(db, text.id)) == ("final", 1)  # type: ignore[union-attr]


def test_nothing_unsound_stands_in_the_way_of_a_skip(db: sqlite_utils.Database, seeded: Seeded) -> None:
    text = seeded.narrative
    next_item(db, "ann"), next_item(db, "ben")
    of_ben, sound = flag(text.text), flag(text.text, 2, 4)
    keep(db, "ben", text, "draft", EMPTY | {"flags": [of_ben]})
    work = EMPTY | {"note": "too dark", "edited_text": "a\0b", "flags": [flag(text.text, quote="other words"), sound, of_ben]}
    with pytest.raises(InputError):
        keep(db, "ann", text, "draft", work)
    keep(db, "ann", text, "skip", work)
    kept = annotation_of(db, text.id, "ann")
    assert kept is not None and (kept.verdict, kept.note, kept.edited_text) == ("skip", "too dark", None)
    assert [one.id for one in flags_of(db, kept.id)] == [sound["id"]]
    assert replay_work(list_operations(db))[kept.id] == work_of(db, text.id, "ann")


def test_all_finished_items_are_listed_the_newest_first(db: sqlite_utils.Database) -> None:
    for number in range(14):
        seed_project(db, f"clip {number}")
    done = []
    while item := next_item(db, "ann"):
        keep(db, "ann", item, "submit", ACCEPTED)
        done.append(item.assignment_id)
    assert [one.assignment_id for one in finished_items(db, "ann")] == done[::-1]
    assert len(done) == 42


def test_a_hidden_repeat_takes_the_place_of_its_item_in_the_list(db: sqlite_utils.Database, seeded: Seeded) -> None:
    repeat_id = item_id(seeded.narrative, "ann", 2)
    keep(db, "ann", next_item(db, "ann"), "submit", ACCEPTED)
    db.table("assignment").insert({**next(db.query("SELECT * FROM assignment")), "id": repeat_id, "round": 2, "state": "leased"})
    assert [one.assignment_id for one in finished_items(db, "ann")] == [item_id(seeded.narrative, "ann")]
    keep(db, "ann", item_for(db, "ann", repeat_id), "submit", ACCEPTED)
    assert [one.assignment_id for one in finished_items(db, "ann")] == [repeat_id], "the same text twice would tell"


def test_an_edit_becomes_a_candidate_with_its_parent_when_it_is_submitted_and_not_before(db: sqlite_utils.Database, seeded: Seeded) -> None:
    original = seeded.narrative
    next_item(db, "ann")
    work = EMPTY | {"verdict": "reject", "note": "one word", "edited_text": "A man walks 🎾."}
    saved = keep(db, "ann", original, "draft", work)
    assert len(list_candidates(db)) == 3
    saved = keep(db, "ann", original, "submit", work, base=saved.sequence)
    edit = list_candidates(db)[-1]
    assert (edit.text, edit.parent_id, edit.kind, edit.subject_id) == ("A man walks 🎾.", original.id, original.kind, original.subject_id)
    keep(db, "ann", original, "submit", work | {"edited_text": original.text}, base=saved.sequence)
    assert len(list_candidates(db)) == 4, "the text as it was is no edit"


def test_a_flag_cannot_be_taken_away_from_another_item_by_its_id(db: sqlite_utils.Database, seeded: Seeded) -> None:
    next_item(db, "ann")
    next_item(db, "ben")
    one = flag(seeded.narrative.text)
    keep(db, "ann", seeded.narrative, "draft", EMPTY | {"flags": [one]})
    with pytest.raises(ConflictError, match="belongs to another item"):
        keep(db, "ben", seeded.narrative, "draft", EMPTY | {"flags": [one]})


def dump(db: sqlite_utils.Database) -> dict[str, list[dict[str, Any]]]:
    return {table: list(db.query(f"SELECT * FROM {table} ORDER BY rowid")) for table in ("operation", "annotation", "flag", "assignment", "candidate")}


def taken(db: sqlite_utils.Database, candidate_id: str) -> int:
    return next(entry.taken for entry in list_queue(db) if entry.candidate_id == candidate_id)


steps = st.lists(
    st.tuples(st.sampled_from(["ann", "ben", "cat"]), st.sampled_from(["draft", "submit", "skip", "next", "release"]), st.integers(0, 2), works),
    min_size=5,
    max_size=14,
)


@settings(max_examples=25, deadline=None)
@given(steps)
def test_the_log_replayed_equals_the_tables(taken_steps: list[tuple[str, str, int, dict[str, Any]]]) -> None:
    with memory_store() as db:
        walk(db, taken_steps)
        replayed = replay_work(list_operations(db))
        assert {row["id"] for row in db.query("SELECT id FROM annotation")} == set(replayed)
        for work in replayed.values():
            assert work_of(db, work.annotation.candidate_id, work.annotation.annotator) == work
        assert all(entry.taken <= entry.wanted for entry in list_queue(db))


def walk(db: sqlite_utils.Database, taken_steps: list[tuple[str, str, int, dict[str, Any]]]) -> None:
    """Do the steps, as far as they are allowed; ann and ben hold every text from the start, and cat gets what they give back."""
    seeded = seed_project(db)
    texts = (seeded.narrative, seeded.rationale, seeded.rival)
    for text, annotator in itertools.product(texts, ("ann", "ben")):
        lease = {"id": item_id(text, annotator), "candidate_id": text.id, "annotator": annotator, "round": 1}
        lease |= {"state": "leased", "leased_at": "2000", "expires_at": "2100"}
        db.table("assignment").insert(lease)
    for annotator, kind, which, work in taken_steps:
        text = texts[which]
        try:
            if kind == "next":
                next_item(db, annotator)
            elif kind == "release":
                set_assignment_state(db, item_id(text, annotator), "released")
            else:
                # The flags of the example point into another text: put them on this one, with ids of their own.
                made = [one | {"id": next(ids), "text_start": 0, "text_end": 2, "quote": text.text[:2], "comment": "so"} for one in work["flags"]]
                sound = fit_to_submit(work) if kind == "submit" else work
                keep(db, annotator, text, kind, sound | {"flags": made}, base=item_for(db, annotator, item_id(text, annotator)).sequence)
        except (InputError, NotFoundError, ConflictError):
            continue


def fit_to_submit(work: dict[str, Any]) -> dict[str, Any]:
    return work | {"verdict": "unsure", "no_error": False, "edited_text": (work["edited_text"] or "").strip() or None}


def test_a_lost_operation_would_show_in_the_replay(db: sqlite_utils.Database, seeded: Seeded) -> None:
    next_item(db, "ann")
    saved = keep(db, "ann", seeded.narrative, "draft", EMPTY | {"note": "one"})
    keep(db, "ann", seeded.narrative, "draft", EMPTY | {"note": "two"}, base=saved.sequence)
    (shortened,) = replay_work(list(list_operations(db))[:-1]).values()
    assert shortened.annotation != annotation_of(db, seeded.narrative.id, "ann")


def test_an_operation_that_fails_half_way_leaves_nothing(db: sqlite_utils.Database, seeded: Seeded) -> None:
    next_item(db, "ann")
    db.execute("CREATE TRIGGER full BEFORE INSERT ON flag BEGIN SELECT RAISE(ABORT, 'no room'); END")
    before = dump(db)
    with pytest.raises(Exception, match="no room"):
        keep(db, "ann", seeded.narrative, "draft", EMPTY | {"flags": [flag(seeded.narrative.text)]})
    assert dump(db) == before
    with transaction(db):
        pass  # the control: no transaction was left open


def test_annotators_at_once_finish_every_item_exactly_as_often_as_it_is_wanted(tmp_path: Path) -> None:
    wanted, annotators = 2, 6
    with open_store(tmp_path) as db:
        for number in range(4):
            seed_project(db, f"clip {number}", wanted)
    finished: list[str] = []
    gate = threading.Barrier(annotators)

    def annotate(name: str) -> None:
        gate.wait()
        while True:
            with open_store(tmp_path) as db:
                item = next_item(db, name)
                if item is None:
                    break
                keep(db, name, item, "submit", ACCEPTED, base=item.sequence)
        finished.append(name)

    threads = [threading.Thread(target=annotate, args=(f"annotator {number}",)) for number in range(annotators)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(finished) == annotators, "no thread met an error"
    with open_store(tmp_path) as db:
        finals = list(db.query("SELECT candidate_id, count(*) AS n, count(DISTINCT annotator) AS people FROM annotation WHERE state = 'final' GROUP BY 1"))
    assert [(row["n"], row["people"]) for row in finals] == [(wanted, wanted)] * 12


def test_a_clip_that_is_a_part_of_its_file_has_its_own_clock(db: sqlite_utils.Database, seeded: Seeded) -> None:
    times = np.arange(50) / 10
    db.table("frame_times").insert({"digest": seeded.clip.digest, "times": times.astype("<f8").tobytes()})
    db.execute("UPDATE clip SET start_s = 1.25, end_s = 3.0")
    item = next_item(db, "ann")
    assert item is not None and (item.start_s, item.end_s) == (1.25, 3.0)
    assert item.frames == tuple(round(time - 1.25, 6) for time in times if 1.25 <= time < 3.0)
    with pytest.raises(InputError, match=r"the clip ends at 1\.750 s"):
        keep(db, "ann", item, "draft", EMPTY | {"flags": [flag(item.text, end_s=1.8)]})


def blind_rationale(db: sqlite_utils.Database, seeded: Seeded) -> DeskItem:
    db.execute("UPDATE batch SET blind_first = 1")
    next_item(db, "ann")
    item = next_item(db, "ann", [item_id(seeded.narrative, "ann")])
    assert item is not None
    return item


def test_a_blind_rationale_is_withheld_until_the_question_is_answered(db: sqlite_utils.Database, seeded: Seeded) -> None:
    item = blind_rationale(db, seeded)
    secrets = (seeded.rationale.text, json.dumps({"answer": seeded.qa.answer, "answer_index": 0})[1:-1])
    assert item.asks_first and not any(secret in json.dumps(dataclasses.asdict(item)) for secret in secrets)
    with pytest.raises(InputError, match="Answer the question first"):
        keep(db, "ann", item, "submit", ACCEPTED)
    for nothing in ({"answer": " ", "answer_index": None, "seconds_spent": 1}, {"answer": "x", "answer_index": 1, "seconds_spent": 1}):
        with pytest.raises(InputError, match="Choose one"):
            keep(db, "ann", item, "answer", nothing)
    saved = keep(db, "ann", item, "answer", {"answer": None, "answer_index": 1, "seconds_spent": 4.0})
    full = item_for(db, "ann", item.assignment_id)
    assert not full.asks_first and full.text == seeded.rationale.text and full.questions[0].answer == seeded.qa.answer
    assert full.blind_answer is not None and full.blind_answer.answer_index == 1
    with pytest.raises(InputError, match="has it already"):
        keep(db, "ann", full, "answer", {"answer": None, "answer_index": 0, "seconds_spent": 4.0}, base=saved.sequence)
    keep(db, "ann", full, "submit", ACCEPTED, base=saved.sequence)
    kept = annotation_of(db, seeded.rationale.id, "ann")
    assert kept is not None and (kept.verdict, kept.blind_answer_index) == ("accept", 1), "both answers stay"


def test_a_question_is_answered_blind_once_whatever_number_of_texts_it_has(db: sqlite_utils.Database, seeded: Seeded) -> None:
    item = blind_rationale(db, seeded)
    skipped = ([item_id(seeded.narrative, "ann"), item.assignment_id],)
    rival = next_item(db, "ann", *skipped)
    assert rival is not None and rival.asks_first, "the control: nothing is answered yet"
    keep(db, "ann", item, "answer", {"answer": None, "answer_index": 1, "seconds_spent": 4.0})
    again = item_for(db, "ann", rival.assignment_id)
    assert not again.asks_first and again.text == seeded.rival.text and again.blind_answer == item_for(db, "ann", item.assignment_id).blind_answer
    next_item(db, "ben"), next_item(db, "ben", [item_id(seeded.narrative, "ben")])
    assert item_for(db, "ben", item_id(seeded.rationale, "ben")).asks_first, "what others answered does not count"


def test_a_hidden_repeat_asks_first_as_its_item_did(db: sqlite_utils.Database, seeded: Seeded) -> None:
    item = blind_rationale(db, seeded)
    saved = keep(db, "ann", item, "answer", {"answer": None, "answer_index": 1, "seconds_spent": 4.0})
    keep(db, "ann", item_for(db, "ann", item.assignment_id), "submit", ACCEPTED, base=saved.sequence)
    for number, text in enumerate((seeded.rationale, seeded.rival)):
        row = next(db.query("SELECT * FROM assignment WHERE id = ?", [item.assignment_id]))
        repeat = {"id": f"repeat-{number}", "candidate_id": text.id, "round": 2, "state": "leased"}
        db.table("assignment").insert(row | repeat)
    again = item_for(db, "ann", "repeat-0")
    assert again.asks_first and again.text is None and again.blind_answer is None
    assert not item_for(db, "ann", "repeat-1").asks_first, "nor did the other text of the question"
    keep(db, "ann", again, "answer", {"answer": None, "answer_index": 0, "seconds_spent": 4.0})
    assert item_for(db, "ann", "repeat-0").blind_answer.answer_index == 0  # type: ignore[union-attr]


def test_a_blind_item_that_was_skipped_is_listed_without_its_text(db: sqlite_utils.Database, seeded: Seeded) -> None:
    item = blind_rationale(db, seeded)
    keep(db, "ann", item, "skip")
    (listed,) = finished_items(db, "ann")
    assert listed.beginning == "The question was not answered."
    db.execute("UPDATE batch SET blind_first = 0")
    assert finished_items(db, "ann")[0].beginning == seeded.rationale.text[:90], "the control"


def test_a_narrative_asks_nothing_first(db: sqlite_utils.Database, seeded: Seeded) -> None:
    db.execute("UPDATE batch SET blind_first = 1")
    item = next_item(db, "ann")
    assert item is not None and not item.asks_first and item.text == seeded.narrative.text


@pytest.mark.parametrize("kind", ["submit", "skip"])
def test_a_finished_item_can_be_reopened_and_is_a_draft_again(db: sqlite_utils.Database, seeded: Seeded, kind: str) -> None:
    item = next_item(db, "ann")
    first = keep(db, "ann", item, kind, ACCEPTED | {"note": "so"})
    second = keep(db, "ann", item, "reopen", None, base=first.sequence)
    again = item_for(db, "ann", item.assignment_id)  # type: ignore[union-attr]
    assert (again.state, again.sequence, again.done, taken(db, seeded.narrative.id)) == ("leased", second.sequence, 0, 1)
    assert again.work is not None and (again.work.note, again.work.verdict) == ("so", "accept" if kind == "submit" else None)
    kept = annotation_of(db, seeded.narrative.id, "ann")
    assert kept is not None and (kept.state, kept.skip_reason) == ("draft", None)
    with pytest.raises(InputError, match="open already"):
        keep(db, "ann", item, "reopen", None, base=second.sequence)


def test_an_item_given_back_is_for_others_and_its_draft_stays(db: sqlite_utils.Database, seeded: Seeded) -> None:
    item = next_item(db, "ann")
    first = keep(db, "ann", item, "draft", EMPTY | {"note": "half"})
    keep(db, "ann", item, "release", None, base=first.sequence)
    assert taken(db, seeded.narrative.id) == 0
    # It stands behind what waits else, and comes back with the draft when that is done.
    others = [next_item(db, "ann"), next_item(db, "ann", [next_item(db, "ann").assignment_id])]  # type: ignore[union-attr]
    back = next_item(db, "ann", [other.assignment_id for other in others if other])
    assert back is not None and back.assignment_id == item.assignment_id and back.work is not None and back.work.note == "half"  # type: ignore[union-attr]


def test_a_page_with_other_words_is_refused(db: sqlite_utils.Database, seeded: Seeded) -> None:
    next_item(db, "ann")
    with pytest.raises(ConflictError, match="words on your page"):
        record(db, "ann", read_operation(operation("ann", seeded.narrative) | {"text_sha256": "0" * 64}))
    with pytest.raises(ConflictError, match="words on your page"):
        record(db, "ann", read_operation(operation("ann", seeded.narrative) | {"text_sha256": None}))
    skip = operation("ann", seeded.narrative, "skip") | {"text_sha256": None}
    assert record(db, "ann", read_operation(skip)).sequence == 1, "a skip may have been made before the text was shown"


def test_a_skip_without_a_reason_is_refused(db: sqlite_utils.Database, seeded: Seeded) -> None:
    next_item(db, "ann")
    with pytest.raises(InputError, match="why you skip"):
        record(db, "ann", read_operation(operation("ann", seeded.narrative, "skip") | {"state": EMPTY}))


def test_suggested_flags_are_where_work_begins_and_an_item_from_scratch_has_none(db: sqlite_utils.Database, seeded: Seeded) -> None:
    suggestion = {"id": "s1", "candidate_id": seeded.narrative.id, "kind": "plain_hallucination", "text_start": 0, "text_end": 2}
    db.table("suggestion").insert(suggestion | {"quote": seeded.narrative.text[:2], "start_s": None, "end_s": None, "severity": 1, "comment": ""})
    item = next_item(db, "ann")
    assert item is not None and item.work is not None and [one.quote for one in item.work.flags] == [seeded.narrative.text[:2]]
    other = next_item(db, "ben")
    assert other is not None and other.work is not None and other.work.flags[0].id != item.work.flags[0].id, "each annotator's flags are their own"
    keep(db, "ann", item, "submit", dataclasses.asdict(item.work) | {"verdict": "reject", "flags": [dataclasses.asdict(item.work.flags[0])], "ticks": []})
    db.execute("UPDATE queue_entry SET scratch = 1")
    assert item_for(db, "ben", other.assignment_id).work is None


@given(words, st.lists(st.sampled_from(["He runs. ", "Then 🎾 stops! ", "Dr. No waits? ", "\n", "跑了。", "e.g. "]), max_size=6))
def test_the_claims_of_a_text_hold_every_word_once_and_in_order(odd: str, parts: list[str]) -> None:
    text = odd + "".join(parts)
    claims = sentence_claims(text)
    ends = [0, *(place for claim in claims for place in (claim.start, claim.end)), len(text)]
    assert ends == sorted(ends)
    assert "".join("".join(text[claim.start : claim.end].split()) for claim in claims) == "".join(text.split())


def test_claims_are_sentences() -> None:
    text = 'He runs to Dr. No. "Stop!" she says, e.g. twice. Then...  he waits'
    assert [text[one.start : one.end] for one in sentence_claims(text)] == ["He runs to Dr. No.", '"Stop!"', "she says, e.g. twice.", "Then...", "he waits"]


@pytest.mark.parametrize("text", ["A. " * 20_000, "." * 60_000 + "x"])
def test_the_claims_of_a_text_that_runs_on_and_on_are_found_at_once(text: str) -> None:
    begun = time.process_time()
    (claim,) = sentence_claims(text)
    assert (claim.start, claim.end) == (0, len(text.strip()))
    assert time.process_time() - begun < 3, "20 s when each end is held against the whole sentence before it"


def test_every_field_of_an_item_is_known_to_this_test_so_that_none_slips_in() -> None:
    shown = {field.name for field in dataclasses.fields(DeskItem)}
    origin = {"generator_id", "generator", "parent_id", "created_at", "rank", "wanted", "taken"}
    assert not shown & origin
