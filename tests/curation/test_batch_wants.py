"""What a batch wants, closes and counts is said as it is; its people are people who can sign in."""

import pytest

from curation.batching import BatchRequest, ask_more, each_of, make_batch, open_or_close
from store.accounts import add_account
from store.batches import counts_of, list_batches
from store.errors import InputError
from store.queue import claim_next, entry_of, set_assignment_state
from tests.curation.annotating import memory_store
from tests.curation.test_batching import answer
from tests.seeds import seed_project


def test_a_lowered_number_says_how_many_items_it_closes_and_takes_nothing_away() -> None:
    with memory_store() as db:
        seed_project(db, wanted=3)
        seed_project(db, "clip 1", wanted=1)
        assert each_of(counts_of(db, "default")) == "1–3"
        assert counts_of(db, "default").each is None  # any number would change something
        held = [claim_next(db, name) for name in ("ann", "ben", "cy")]
        assert held[0] and held[0].candidate_id == held[2].candidate_id  # type: ignore[union-attr]
        set_assignment_state(db, held[0].id, "final")
        assert claim_next(db, "ann") is not None
        before = counts_of(db, "default").open
        told = ask_more(db, "default", 1)
        assert told.sentence == (
            "Annotations of each item of 'All that is imported': 1 now, not 1–3. That closes 1 item. Of 1 item more are taken already; they stay."
        )
        after = counts_of(db, "default")
        assert (before - after.open, after.each, each_of(after)) == (1, 1, "1–3")
        assert "1 already. Nothing has changed" in ask_more(db, "default", 1).sentence
        assert counts_of(db, "default") == after
        assert entry_of(db, held[0].candidate_id).taken == 3  # type: ignore[union-attr]


def test_a_batch_without_items_wants_no_number() -> None:
    with memory_store() as db:
        seed_project(db)
        make_batch(db, BatchRequest("b"), "lea")
        assert (each_of(counts_of(db, "default")), counts_of(db, "default").each) == ("–", None)


def test_what_is_leased_is_not_finished_and_a_closed_batch_keeps_its_figures_but_gives_nothing_out() -> None:
    with memory_store() as db:
        seeded = seed_project(db, wanted=2)
        answer(db, seeded.narrative, "ann", "accept")
        held = claim_next(db, "ben")
        assert held is not None and held.candidate_id == seeded.narrative.id
        assert entry_of(db, held.candidate_id).taken == 2  # type: ignore[union-attr]
        counts = counts_of(db, "default")
        assert (counts.main, counts.finished, counts.open, counts.begun) == (3, 0, 2, 1)
        open_or_close(db, "default", "closed")
        set_assignment_state(db, held.id, "final")
        counts = counts_of(db, "default")
        assert (counts.main, counts.finished, counts.open, counts.begun) == (3, 1, 0, 1)
        open_or_close(db, "default", "open")
        assert counts_of(db, "default").open == 2


def test_people_of_a_batch_have_accounts_where_there_are_accounts() -> None:
    with memory_store() as db:
        seed_project(db)
        make_batch(db, BatchRequest("before", at_most=1, people=("anna",)), "lea")  # a name is enough while nobody has an account
        add_account(db, "ann", "long enough", "annotator")
        with pytest.raises(InputError, match=r"no account: Ann, zoe\. .*People page"):
            make_batch(db, BatchRequest("b", people=("Ann", "ann", "zoe")), "lea")
        assert "b" not in [one.name for one in list_batches(db)]
        assert make_batch(db, BatchRequest("b", people=("ann",)), "lea").moved == 2
