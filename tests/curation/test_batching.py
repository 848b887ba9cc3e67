"""Batches take what nobody has begun, in the order asked for, and count honestly."""

from pathlib import Path

import pytest
import sqlite_utils

from curation.batching import BatchRequest, ask_more, make_batch, open_or_close, order_again, read_people
from curation.study.progress import batch_progress, is_hasty, progress_csv, work_row
from curation.study.rates import middle_of, rate_of
from store.batches import counts_of, get_batch, list_batches
from store.errors import ConflictError, InputError
from store.finished import Finished
from store.queue import assignment_key, claim_next, enqueue, entry_of, list_queue, set_assignment_state
from store.records import Candidate, Gold, Signal, Suggestion
from store.rows import utc_now
from store.signals import add_signals, add_suggestions, set_gold
from tests.curation.annotating import annotate, memory_store
from tests.seeds import Seeded, seed_project


def answer(db: sqlite_utils.Database, text: Candidate, annotator: str, verdict: str, flags: tuple[str, ...] = ()) -> None:
    """Keep a final answer with its lease, as the desk would."""
    given = [assignment_key(text.id, annotator, 1), text.id, annotator]
    db.execute("INSERT INTO assignment VALUES (?, ?, ?, 1, 'final', '2026-01-01', '2026-01-01')", given)
    annotate(db, text, annotator, verdict, flags)


def ranked(db: sqlite_utils.Database, batch_id: str) -> list[str]:
    return [entry.candidate_id for entry in list_queue(db) if entry.batch_id == batch_id and entry.part == "main"]


def texts(*seeded: Seeded) -> list[str]:
    return [text.id for one in seeded for text in (one.narrative, one.rationale, one.rival)]


def test_a_batch_takes_what_nobody_has_begun_and_says_what_stays() -> None:
    with memory_store() as db:
        seeded = [seed_project(db, f"clip {i}") for i in range(4)]
        begun = claim_next(db, "ann")
        assert begun is not None
        first = make_batch(db, BatchRequest("first", kind="rationale", at_most=3, wanted=2), "lea")
        assert (first.moved, first.left_begun, first.left_elsewhere) == (3, 0, 0)
        second = make_batch(db, BatchRequest("second", dataset="test"), "lea")
        assert (second.moved, second.left_begun, second.left_elsewhere) == (12 - 3 - 1, 1, 3)
        assert "1 that somebody has begun, 3 in other batches" in second.sentence
        assert {entry.wanted for entry in list_queue(db) if entry.batch_id == first.batch.id} == {2}
        assert ranked(db, "default") == [begun.candidate_id] == [seeded[0].narrative.id]
        with pytest.raises(InputError, match="Nothing is left"):
            make_batch(db, BatchRequest("third"), "lea")
        assert [one.name for one in list_batches(db)] == ["first", "second", "All that is imported"]


def test_texts_in_no_queue_come_too_but_not_what_annotators_wrote() -> None:
    with memory_store() as db:
        seeded = seed_project(db)
        annotate(db, seeded.narrative, "ann", "reject", edited="In one a man runs and stops.")
        db.execute("DELETE FROM assignment")
        db.execute("DELETE FROM queue_entry")
        assert make_batch(db, BatchRequest("all"), "lea").moved == 3


def test_the_four_orders() -> None:
    with memory_store() as db:
        given = texts(*(seed_project(db, f"clip {i}", wanted=3) for i in range(3)))
        batch = make_batch(db, BatchRequest("b", wanted=3), "lea").batch
        assert ranked(db, batch.id) == given
        order_again(db, batch.id, "random", None, 7)
        shuffled = ranked(db, batch.id)
        assert sorted(shuffled) == sorted(given) != shuffled and shuffled != given
        order_again(db, batch.id, "random", None, 8)
        assert ranked(db, batch.id) not in (given, shuffled)
        order_again(db, batch.id, "random", None, 7)
        assert ranked(db, batch.id) == shuffled
        add_signals(db, [Signal(given[4], "doubt", 0.2), Signal(given[2], "doubt", 0.9), Signal(given[0], "other", 9.0)])
        order_again(db, batch.id, "signal", "doubt", 0)
        assert ranked(db, batch.id) == [given[2], given[4], *(one for one in given if one not in (given[2], given[4]))]
        with pytest.raises(InputError, match=r"no.*signal 'love'|No text has a signal 'love'.*doubt, other"):
            order_again(db, batch.id, "signal", "love", 0)


def test_what_people_differ_on_comes_first_and_verdicts_weigh_more_than_flags() -> None:
    with memory_store() as db:
        seeded = [seed_project(db, f"clip {i}", wanted=3) for i in range(2)]
        same, flags, verdicts = seeded[0].narrative, seeded[0].rationale, seeded[0].rival
        for text in (same, flags, verdicts):
            answer(db, text, "ann", "reject", flags=("other",))
        answer(db, same, "ben", "reject", flags=("other",))
        answer(db, flags, "ben", "reject", flags=("omission",))
        answer(db, verdicts, "ben", "accept", flags=("other",))
        batch = get_batch(db, "default")
        order_again(db, batch.id, "disagreement", None, 0)
        assert ranked(db, "default")[:3] == [verdicts.id, flags.id, same.id]


def test_ordering_again_leaves_what_is_begun_and_hides_nothing_from_a_cursor() -> None:
    with memory_store() as db:
        given = texts(*(seed_project(db, f"clip {i}", wanted=2) for i in range(3)))
        had = claim_next(db, "ann")
        assert had is not None
        set_assignment_state(db, had.id, "final")
        assert order_again(db, "default", "random", None, 1) == len(given) - 1
        assert ranked(db, "default")[0] == had.candidate_id
        order_again(db, "default", "random", None, 2)
        seen = {had.candidate_id}
        while (held := claim_next(db, "ann")) is not None:
            set_assignment_state(db, held.id, "final")
            seen.add(held.candidate_id)
        assert seen == set(given)


def test_asking_for_more_annotations_brings_finished_items_back() -> None:
    with memory_store() as db:
        seed_project(db, wanted=1)
        for name in ("ann", "ben"):
            while (held := claim_next(db, name)) is not None:
                set_assignment_state(db, held.id, "final")
        assert counts_of(db, "default").finished == 3
        assert "2 now, not 1. That opens 3 items again." in ask_more(db, "default", 2).sentence
        assert counts_of(db, "default").open == 3
        assert claim_next(db, "ann") is None
        assert claim_next(db, "ben") is not None
        assert "1 now, not 2. That closes 2 items. Of 1 item more are taken" in ask_more(db, "default", 1).sentence
        assert counts_of(db, "default").open == 0


def test_a_closed_batch_gives_nothing_out_and_an_own_one_only_to_its_people() -> None:
    with memory_store() as db:
        seed_project(db)
        batch = make_batch(db, BatchRequest("ours", people=("ann",)), "lea").batch
        assert claim_next(db, "ben") is None
        assert claim_next(db, "ann") is not None
        assert open_or_close(db, batch.id, "closed").state == "closed"
        assert open_or_close(db, batch.id, "closed").state == "closed"  # somebody else was quicker: it stays so
        held = claim_next(db, "ann")
        assert held is not None  # what is leased may be finished
        set_assignment_state(db, held.id, "final")
        assert claim_next(db, "ann") is None
        assert open_or_close(db, batch.id, "open").state == "open"
        assert claim_next(db, "ann") is not None


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"name": " "}, "not usable"),
        ({"name": "x" * 61}, "not usable"),
        ({"wanted": 0}, "from 1 to 100"),
        ({"wanted": True}, "from 1 to 100"),
        ({"at_most": 0}, "number of items"),
        ({"ordering": "best"}, "given, random"),
        ({"ordering": "signal"}, "by which signal"),
        ({"ordering": "signal", "signal": "doubt"}, "No text here has one"),
        ({"seed": -1}, "seed"),
        ({"scratch_share": 1.1}, "from scratch"),
        ({"gold_share": 0.6}, "gold items"),
        ({"repeat_share": float("nan")}, "asked again"),
        ({"gold_share": 0.3, "repeat_share": 0.3}, "together"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_with_a_way_out(change: dict[str, object], told: str) -> None:
    with memory_store() as db:
        seed_project(db)
        with pytest.raises(InputError, match=told):
            make_batch(db, BatchRequest(**({"name": "b"} | change)), "lea")  # type: ignore[arg-type]
        assert len(list_batches(db)) == 1


def test_a_name_is_taken_once_and_names_of_people_are_read_from_lines_or_commas() -> None:
    with memory_store() as db:
        seed_project(db)
        make_batch(db, BatchRequest("b", at_most=1), "lea")
        with pytest.raises(ConflictError, match="already"):
            make_batch(db, BatchRequest(" b ", at_most=1), "lea")
    assert read_people("ann, ben\n\nann\n cy ") == ("ann", "ben", "cy")
    with pytest.raises(InputError):
        read_people("a\tb" + "c" * 50)


def test_the_share_from_scratch_is_seeded_and_gold_goes_where_a_gold_share_asks_for_it() -> None:
    with memory_store() as db:
        seeded = [seed_project(db, f"clip {i}") for i in range(40)]
        for one in seeded[:5]:
            set_gold(db, Gold(one.narrative.id, "reject", ("other",), "he walks", "lea", utc_now()))
        made = make_batch(db, BatchRequest("b", scratch_share=0.5, gold_share=0.1, seed=3), "lea")
        assert (made.moved, made.gold) == (115, 5)
        entries = [entry for entry in list_queue(db) if entry.batch_id == made.batch.id]
        main = [entry for entry in entries if entry.part == "main"]
        assert 40 <= sum(entry.scratch for entry in main) <= 75
        assert {entry.candidate_id for entry in entries if entry.part == "gold"} == {one.narrative.id for one in seeded[:5]}
        assert all(entry.wanted > 100_000 for entry in entries if entry.part == "gold")


def test_gold_is_as_often_from_scratch_as_the_other_items() -> None:
    # Else flags that came with a gold text would tell it from texts whose flags are kept back.
    with memory_store() as db:
        for one in (seed_project(db, f"clip {i}") for i in range(4)):
            set_gold(db, Gold(one.narrative.id, "reject", ("other",), "he walks", "lea", utc_now()))
        make_batch(db, BatchRequest("b", scratch_share=1, gold_share=0.1), "lea")
        assert {(entry.part, entry.scratch) for entry in list_queue(db) if entry.batch_id != "default"} == {("main", True), ("gold", True)}


def finished(**change: object) -> Finished:
    given = {"annotator": "ann", "candidate_id": "c", "round": 1, "part": "main", "verdict": "accept", "seconds_spent": 10.0}
    given |= {"watched_share": 1.0, "length_s": 10.0, "flags": 0, "has_suggestions": False, "scratch": False, "gold_verdict": None}
    return Finished(**(given | change))  # type: ignore[arg-type]


def test_an_answer_is_hasty_when_the_clip_cannot_have_been_watched_at_double_speed() -> None:
    assert is_hasty(finished(seconds_spent=4.9))
    assert not is_hasty(finished(seconds_spent=5.0))
    assert not is_hasty(finished(seconds_spent=0.0, length_s=None))


def test_a_row_counts_gold_repeats_and_suggestions_each_over_its_own_n() -> None:
    answers = [
        finished(candidate_id="g1", part="gold", gold_verdict="accept"),
        finished(candidate_id="g2", part="gold", gold_verdict="reject"),
        finished(candidate_id="m1", seconds_spent=2.0),
        finished(candidate_id="m1", round=2, verdict="reject"),
        finished(candidate_id="m2", has_suggestions=True, seconds_spent=30.0, flags=3),
        finished(candidate_id="m3", has_suggestions=True, scratch=True, seconds_spent=50.0, flags=1, length_s=None),
    ]
    row = work_row("ann", answers, 6, 4)
    assert (row.gold.share, row.gold.n) == (0.5, 2)
    assert (row.self_agreement.share, row.self_agreement.n) == (0.0, 1)
    assert (row.hasty.share, row.hasty.n) == (0.2, 5)
    assert (row.with_suggestions.seconds.median, row.with_suggestions.flags_per_item) == (30.0, 3.0)
    assert (row.without_suggestions.seconds.median, row.without_suggestions.seconds.n) == (50.0, 1)
    nobody = work_row("ben", [])
    assert nobody.seconds.median is None and nobody.seconds.reason
    assert nobody.gold.share is None and nobody.gold.n == 0 and nobody.gold.reason
    assert nobody.with_suggestions.flags_per_item is None


def test_wilsons_interval_and_the_middles_are_the_published_ones() -> None:
    for hits, n, low, high in ((10, 100, 0.055, 0.174), (40, 400, 0.074, 0.133), (0, 100, 0.0, 0.037), (0, 300, 0.0, 0.013), (5, 5, 0.566, 1.0)):
        rate = rate_of(hits, n, "")
        assert [rate.low, rate.high] == pytest.approx([low, high], abs=6e-4)
    assert rate_of(0, 0, "none").reason == "none"
    middle = middle_of([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0], "")
    assert (middle.median, middle.p90, middle.n) == (6.0, 10.0, 11)


def test_progress_comes_from_the_tables_and_goes_out_as_csv(tmp_path: Path) -> None:
    with memory_store() as db:
        seeded = seed_project(db, wanted=1)
        add_suggestions(db, [Suggestion("s", seeded.rationale.id, "other", 0, 2, "In", None, None, 1, "")])
        answer(db, seeded.narrative, "=ann", "accept")
        answer(db, seeded.rationale, "=ann", "reject", flags=("other", "omission"))
        enqueue(db, seeded.narrative.id, 1)
        told = batch_progress(db, "default")
        assert (told.counts.main, told.counts.finished, told.counts.open) == (3, 2, 1)
        everybody, ann = told.rows
        assert (ann.done, ann.open, everybody.done) == (2, 1, None)
        assert (ann.hasty.share, ann.hasty.n) == (1.0, 2)  # one second for a clip of five
        assert (ann.with_suggestions.flags_per_item, ann.with_suggestions.seconds.n) == (2.0, 1)
        lines = progress_csv([told]).splitlines()
        assert len(lines) == 3 and lines[2].startswith("All that is imported,open,'=ann,2,1,1.0,")
        assert entry_of(db, seeded.rival.id).taken == 0  # type: ignore[union-attr]
