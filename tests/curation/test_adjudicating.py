"""Adjudication: what waits, what is hidden until it is decided, what a decision needs, and that the log alone gives the tables."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlite_utils
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.adjudicating import decide, read_decision
from curation.disputes import decided, dispute_item, disputes, ranked
from curation.guidelines import ask, ask_of, issues, questions_for, settle
from store.database import open_store
from store.decisions import list_issues, list_rulings, ruling_on
from store.errors import ConflictError, InputError, NotFoundError
from store.oplog import list_operations
from store.queue import claim_next
from store.records import Candidate
from store.replay_decisions import replay_issues, replay_rulings
from tests.curation.annotating import annotate, memory_store
from tests.curation.deciding import decision_json, dispute, flag_json, rule
from tests.seeds import Seeded, seed_project

PEOPLE = ("ann", "bo", "cy")


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite_utils.Database]:
    with open_store(tmp_path) as db:
        yield db


@pytest.fixture
def seeded(db: sqlite_utils.Database) -> Seeded:
    return seed_project(db, wanted=3)


# What waits.


@pytest.mark.parametrize("verdicts, waits", [*((told, True) for told in ("ar", "ars", "au")), *((told, False) for told in ("aa", "a", "as", "rr", "uu"))])
def test_a_text_waits_when_two_who_judged_it_differ(db: sqlite_utils.Database, seeded: Seeded, verdicts: str, waits: bool) -> None:
    dispute(db, seeded.narrative, verdicts)
    assert bool(ranked(db)) == waits


def test_flags_that_differ_are_a_dispute_and_the_same_flags_are_none(db: sqlite_utils.Database, seeded: Seeded) -> None:
    for annotator in ("ann", "bo"):
        annotate(db, seeded.narrative, annotator, "reject", ["other"])
    assert not ranked(db), "the control"
    annotate(db, seeded.narrative, "bo", "reject", ["omission"])
    (score,) = ranked(db).values()
    assert (score.verdicts, score.flags) == (0, 2)


def test_the_worst_comes_first_and_what_is_decided_waits_no_more(db: sqlite_utils.Database, seeded: Seeded) -> None:
    dispute(db, seeded.narrative, "aar")
    dispute(db, seeded.rationale, "aru")
    dispute(db, seeded.rival, "ar")
    assert list(ranked(db)) == [seeded.rationale.id, seeded.rival.id, seeded.narrative.id]
    listed, count = disputes(db, "judge", 2)
    assert ([one.candidate_id for one in listed], count) == ([seeded.rationale.id, seeded.rival.id], 3)
    assert listed[0].verdicts == (("accept", 1), ("reject", 1), ("unsure", 1))
    rule(db, seeded.rationale, "reject")
    assert list(ranked(db)) == [seeded.rival.id, seeded.narrative.id]
    assert [one.candidate_id for one in decided(db, 10)] == [seeded.rationale.id]


def test_a_hidden_repeat_is_no_voice(db: sqlite_utils.Database, seeded: Seeded) -> None:
    dispute(db, seeded.narrative, "ar")
    db.execute("UPDATE annotation SET round = 2 WHERE annotator = 'bo'")
    assert not ranked(db)
    with pytest.raises(NotFoundError, match="Fewer than two"):
        dispute_item(db, "judge", seeded.narrative.id)


def test_who_annotated_an_item_is_told_so_plainly(db: sqlite_utils.Database, seeded: Seeded) -> None:
    dispute(db, seeded.narrative, "ar")
    assert [one.yours for one in disputes(db, "ann", 9)[0]] == [True]
    assert [one.yours for one in disputes(db, "judge", 9)[0]] == [False]
    assert sum(voice.yours for voice in dispute_item(db, "ann", seeded.narrative.id).voices) == 1


# What the adjudicator sees.


def test_names_and_generators_are_hidden_until_the_decision_is_in(db: sqlite_utils.Database, seeded: Seeded) -> None:
    dispute(db, seeded.narrative, "aar", note="the note")
    before = dispute_item(db, "judge", seeded.narrative.id)
    shown = json.dumps(dataclasses.asdict(before))
    assert not any(f'"{name}"' in shown for name in PEOPLE)
    assert "secret" not in shown
    names = rule(db, seeded.narrative, "reject").names
    after = dispute_item(db, "judge", seeded.narrative.id)
    assert [voice.name for voice in after.voices] == list(names)
    assert set(names) == set(PEOPLE)
    assert "secret" not in json.dumps(dataclasses.asdict(after))


def test_the_order_of_annotators_is_the_texts_own_and_tells_nothing_of_their_names(db: sqlite_utils.Database) -> None:
    orders = set()
    for number in range(12):
        text = dispute(db, seed_project(db, f"clip {number}").narrative, "aar")
        rule(db, text, "accept")
        orders.add(tuple(voice.name for voice in dispute_item(db, "judge", text.id).voices))
        assert dispute_item(db, "judge", text.id).voices == dispute_item(db, "judge", text.id).voices
    assert len(orders) > 2


# What a decision needs.


def test_only_a_decision_over_a_strict_majority_needs_a_reason_and_the_refusal_names_it(db: sqlite_utils.Database, seeded: Seeded) -> None:
    dispute(db, seeded.narrative, "rra")
    with pytest.raises(InputError, match="2 of 3 annotators said 'reject', and you say 'accept'"):
        rule(db, seeded.narrative, "accept", reason="  ")
    assert not list_rulings(db)
    rule(db, seeded.narrative, "reject", ["other"], reason="")
    assert [ruling.decision.overrides for ruling in list_rulings(db).values()] == [False]
    rule(db, seeded.narrative, "accept", reason="The coat is red: 0.8 s.")
    assert [ruling.decision.overrides for ruling in list_rulings(db).values()] == [True]
    dispute(db, seeded.rationale, "ra")
    rule(db, seeded.rationale, "accept", reason="")


def test_the_table_itself_refuses_to_override_without_a_reason(db: sqlite_utils.Database, seeded: Seeded) -> None:
    dispute(db, seeded.narrative, "rra")
    rule(db, seeded.narrative, "accept")
    with pytest.raises(Exception, match="CHECK"):
        db.execute("UPDATE decision SET reason = ' '")


@pytest.mark.parametrize(
    "changes, complaint",
    [
        ({"verdict": "skip"}, "verdict 'skip' is not known"),
        ({"verdict": "reject", "reason": " "}, "needs a ground"),
        ({"flags": [{"kind": "other"}]}, "missing or unknown fields"),
        ({"flags": "none"}, "have to be a list"),
        ({"id": "short"}, "8 to 64"),
        ({"base_sequence": "1"}, "base_sequence"),
        ({"reason": "\0"}, "cannot be kept"),
        ({"surplus": 1}, "missing or unknown fields"),
    ],
)
def test_what_is_no_sound_decision_is_refused_with_a_sentence(db: sqlite_utils.Database, seeded: Seeded, changes: dict, complaint: str) -> None:
    dispute(db, seeded.narrative, "ar")
    with pytest.raises(InputError, match=complaint):
        decide(db, "judge", read_decision(decision_json(db, seeded.narrative, "accept") | changes))


def test_a_flag_that_says_too_little_is_refused_as_on_the_desk(db: sqlite_utils.Database, seeded: Seeded) -> None:
    dispute(db, seeded.narrative, "ar")
    bare = flag_json(seeded.narrative, "omission", words=None)
    with pytest.raises(InputError, match="needs a comment"):
        decide(db, "judge", read_decision(decision_json(db, seeded.narrative, "reject", flags=[bare])))
    misquoted = flag_json(seeded.narrative, "temporal_error") | {"quote": "xy"}
    with pytest.raises(InputError, match="the text says"):
        decide(db, "judge", read_decision(decision_json(db, seeded.narrative, "reject", flags=[misquoted])))


def test_nothing_is_decided_that_fewer_than_two_judged(db: sqlite_utils.Database, seeded: Seeded) -> None:
    dispute(db, seeded.narrative, "ar")
    given = decision_json(db, seeded.narrative, "accept")
    for candidate_id in (seeded.rival.id, "nowhere"):
        with pytest.raises(NotFoundError):
            decide(db, "judge", read_decision(given | {"candidate_id": candidate_id}))


def test_a_repeated_decision_changes_nothing_and_another_one_under_its_id_is_refused(db: sqlite_utils.Database, seeded: Seeded) -> None:
    dispute(db, seeded.narrative, "ar")
    given = decision_json(db, seeded.narrative, "accept")
    first = decide(db, "judge", read_decision(given))
    assert decide(db, "judge", read_decision(given)) == first
    assert sum(operation.kind == "decide" for operation in list_operations(db)) == 1
    with pytest.raises(ConflictError, match="this id already"):
        decide(db, "other judge", read_decision(given))


def test_a_decision_on_what_changed_meanwhile_is_refused(db: sqlite_utils.Database, seeded: Seeded) -> None:
    dispute(db, seeded.narrative, "ar")
    late = decision_json(db, seeded.narrative, "accept", id="a-late-decision")
    annotate(db, seeded.narrative, "cy", "reject", ["other"])
    with pytest.raises(ConflictError, match="meanwhile"):
        decide(db, "judge", read_decision(late))
    late = decision_json(db, seeded.narrative, "accept", id="a-late-decision", reason="so")
    rule(db, seeded.narrative, "reject")
    with pytest.raises(ConflictError, match="meanwhile"):
        decide(db, "second judge", read_decision(late))


def test_a_decision_can_be_changed_and_the_log_keeps_both(db: sqlite_utils.Database, seeded: Seeded) -> None:
    dispute(db, seeded.narrative, "ar")
    rule(db, seeded.narrative, "reject", ["other", "temporal_error"])
    rule(db, seeded.narrative, "accept", ["omission"])
    ruling = ruling_on(db, seeded.narrative.id)
    assert ruling is not None
    assert (ruling.decision.verdict, [flag.kind for flag in ruling.flags]) == ("accept", ["omission"])
    told = [json.loads(operation.payload)["verdict"] for operation in list_operations(db) if operation.kind == "decide"]
    assert told == ["reject", "accept"]


def test_an_annotation_after_the_decision_is_told_and_leaves_it_standing(db: sqlite_utils.Database, seeded: Seeded) -> None:
    dispute(db, seeded.narrative, "ar")
    rule(db, seeded.narrative, "accept")
    assert not dispute_item(db, "judge", seeded.narrative.id).stale
    annotate(db, seeded.narrative, "cy", "reject", ["other"])
    item = dispute_item(db, "judge", seeded.narrative.id)
    assert item.stale
    assert item.decision is not None
    assert not ranked(db)


# The guidelines.


def test_an_answer_is_for_everybody_and_an_open_question_for_its_asker(db: sqlite_utils.Database, seeded: Seeded) -> None:
    lease = claim_next(db, "ann")
    assert lease is not None
    asked = ask(db, "ann", {"id": "question-1", "question": " Is a pink coat red? ", "assignment_id": lease.id})
    assert ([one.question for one in questions_for(db, "ann")], questions_for(db, "bo")) == (["Is a pink coat red?"], [])
    (view,) = issues(db)
    assert (view.candidate_id, view.answer) == (lease.candidate_id, None)
    assert "ann" not in dataclasses.asdict(view).values(), "nothing says who asked"
    settle(db, "judge", {"id": "answer-01", "issue_id": asked.id, "answer": "Yes."})
    settle(db, "judge", {"id": "answer-02", "issue_id": asked.id, "answer": "No: it is pink."})
    assert [(one.question, one.answer) for one in questions_for(db, "bo")] == [("Is a pink coat red?", "No: it is pink.")]


def test_questions_about_items_of_others_and_empty_ones_are_refused(db: sqlite_utils.Database, seeded: Seeded) -> None:
    lease = claim_next(db, "ann")
    assert lease is not None
    with pytest.raises(NotFoundError, match="not given to you"):
        ask(db, "bo", {"id": "question-1", "question": "Why?", "assignment_id": lease.id})
    for words in ("", "  ", "x" * 2001, None):
        with pytest.raises(InputError):
            ask(db, "ann", {"id": "question-1", "question": words, "assignment_id": None})
    with pytest.raises(InputError):
        ask(db, "ann", {"id": "1", "question": "Why?", "assignment_id": None})
    with pytest.raises(NotFoundError):
        settle(db, "judge", {"id": "answer-01", "issue_id": "nothing", "answer": "So."})
    assert not list_issues(db)


def test_a_repeated_question_or_answer_is_kept_once(db: sqlite_utils.Database, seeded: Seeded) -> None:
    given = {"id": "question-1", "question": "Why?", "candidate_id": seeded.narrative.id}
    assert ask_of(db, "judge", given) == ask_of(db, "judge", given)
    answer = {"id": "answer-01", "issue_id": list_issues(db)[0].id, "answer": "So."}
    settle(db, "judge", answer)
    settle(db, "judge", answer)
    assert [operation.kind for operation in list_operations(db)] == ["ask", "settle"]
    with pytest.raises(ConflictError):
        ask_of(db, "judge", given | {"question": "What?"})


# The log.


kinds = st.lists(st.sampled_from(["other", "omission"]), max_size=2)
acts = st.lists(
    st.one_of(
        st.tuples(
            st.just("decide"), st.integers(0, 2), st.sampled_from(["accept", "reject", "unsure"]), st.lists(st.sampled_from(["other", "omission"]), max_size=2)
        ),
        st.tuples(st.just("ask"), st.integers(0, 3), st.sampled_from(["Why?", "¿Por qué? 👦🏽", "למה"])),
        st.tuples(st.just("settle"), st.integers(0, 5), st.sampled_from(["So.", "Not so."])),
    ),
    max_size=12,
)


@settings(deadline=None, max_examples=20)
@given(acts)
def test_the_log_alone_gives_the_tables(chosen: list[tuple]) -> None:
    with memory_store() as db:
        seeded = seed_project(db)
        texts = [dispute(db, one, "ar") for one in (seeded.narrative, seeded.rationale, seeded.rival)]
        for number, (kind, place, *rest) in enumerate(chosen):
            do(db, texts, kind, place, rest, number)
        log = [operation for operation in list_operations(db) if operation.kind != "submit"]
        assert {ruling.decision.id: ruling for ruling in list_rulings(db).values()} == replay_rulings(log)
        assert {issue.id: issue for issue in list_issues(db)} == replay_issues(log)


def do(db: sqlite_utils.Database, texts: list[Candidate], kind: str, place: int, rest: list, number: int) -> None:
    if kind == "decide":
        rule(db, texts[place], *rest)
    elif kind == "ask":
        ask_of(db, "judge", {"id": f"question-{number}", "question": rest[0], "candidate_id": texts[place].id if place < 3 else None})
    elif place < len(list_issues(db)):
        settle(db, "judge", {"id": f"answer-{number:03}", "issue_id": list_issues(db)[place].id, "answer": rest[0]})
