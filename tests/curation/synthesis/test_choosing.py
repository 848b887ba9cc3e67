"""Which clips and questions texts are asked about, and why others are left out."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import sqlite_utils
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curation.negatives import SEED, wrong_option
from curation.synthesis import choosing
from curation.synthesis.arms import PRESETS
from curation.synthesis.choosing import Chosen, hard_option, offered, subject_of, subjects
from curation.synthesis.rationales import read_rationale
from curation.synthesis.writers.template import compose
from store import clip_stream
from store.clips import add_qa_pair, get_clip, get_qa_pair
from store.database import open_store
from store.errors import InputError, NotFoundError
from store.records import EvidenceSpan, QAPair
from tests.curation.synthesis.conftest import OPTIONS, put_clip, put_question

WRONG = PRESETS["rationale"]["wrong"]
FRAMES = PRESETS["rationale"]["given"]


def names(db: sqlite_utils.Database, kind: str = "rationale", **chosen: object) -> list[str]:
    return [subject.name for subject in subjects(db, kind, Chosen(**chosen))]  # type: ignore[arg-type]


def test_a_narrative_tells_all_answered_questions_of_a_clip_by_their_own_numbers(project: Path) -> None:
    with open_store(project) as db:
        clip = get_clip(db, put_clip(db, "long", questions=0))
        assert clip is not None
        for name in ("10", "2", "1"):
            put_question(db, clip, name, 5.0)
        put_question(db, clip, "3", answer=None)
        left_out: Counter[str] = Counter()
        found = next(one for one in subjects(db, "narrative", Chosen(words="long"), left_out=left_out))
    assert [pair.name for pair in found.pairs] == ["1", "2", "10"]
    assert (found.qa_id, found.kind, found.start_s, found.length_s) == (None, "narrative", 0.0, 30.0)
    assert left_out == {choosing.WITHHELD: 1}


def test_every_answered_question_is_a_rationale_with_its_options_and_what_is_said(project: Path) -> None:
    with open_store(project) as db:
        found = list(subjects(db, "rationale", Chosen()))
    assert len(found) == 12
    assert [one.clip_id for one in found] == [clip for clip, _ in Counter(one.clip_id for one in found).items() for _ in range(3)], "by clip"
    told = found[0].pairs[0]
    assert (told.answer, told.right, told.spans, len(told.options)) == ("sit down on the bench", 1, ((26.0, 29.0),), 3)
    assert found[0].said["lines"] == [[1.0, 2.5, "Look at the dog!"]]


def test_evidence_ends_where_the_clip_does(project: Path) -> None:
    with open_store(project) as db:
        put_clip(db, "short", length_s=20.0)  # its questions are shown at 26, 22 and 18 s
        found = next(one for one in subjects(db, "narrative", Chosen(words="short")))
    assert [pair.spans for pair in found.pairs] == [(), (), ((18.0, 20.0),)]


def test_evidence_counts_from_the_start_of_a_questions_own_window_and_a_citation_of_it_is_sound(project: Path) -> None:
    with open_store(project) as db:
        clip = get_clip(db, put_clip(db, "windowed", questions=0))
        assert clip is not None
        for name, window in (("1", (10.0, 20.0)), ("2", (0.0, 13.0)), ("3", (None, None))):
            pair = QAPair(f"q{name}", clip.id, name, "what does he do", OPTIONS[1], OPTIONS, 1, "TN", None, *window)
            add_qa_pair(db, pair, [EvidenceSpan(pair.id, 0, 12.0, 15.0)])
        add_qa_pair(db, replace(pair, id="q4", external_id="4", window_start_s=10.0, window_end_s=20.0), [])
        found = list(subjects(db, "rationale", Chosen(words="windowed")))
        (narrative,) = subjects(db, "narrative", Chosen(words="windowed"))
    assert [(one.start_s, one.pairs[0].spans) for one in found] == [(10.0, ((2.0, 5.0),)), (0.0, ((12.0, 13.0),)), (0.0, ((12.0, 15.0),)), (10.0, ())]
    assert [pair.spans for pair in narrative.pairs] == [((12.0, 15.0),)] * 3 + [()]
    for one in found:
        arm = replace(FRAMES, shown="nothing")
        assert [cited.problem for cited in read_rationale(compose(one, arm), one, arm, ()).citations] == [None]


@pytest.mark.parametrize(("health", "length_s"), [("ok", None), ("unreadable", 30.0), ("damaged", 30.0)])
def test_without_a_sound_video_words_alone_can_be_told(project: Path, health: str, length_s: float | None) -> None:
    with open_store(project) as db:
        put_clip(db, "lost", length_s=length_s, health=health)
        left_out: Counter[str] = Counter()
        found = list(subjects(db, "narrative", Chosen(words="lost"), left_out=left_out))
        assert [(one.digest, len(one.pairs)) for one in found] == [(None, 3)]
        assert not list(subjects(db, "rationale", Chosen(words="lost"), FRAMES, left_out))
        assert len(list(subjects(db, "rationale", Chosen(words="lost"), replace(FRAMES, shown="nothing")))) == 3
    assert left_out == {f"questions {choosing.NO_VIDEO}": 3}


def test_a_wrong_answer_needs_options_and_is_the_one_of_correctness_pairs(project: Path) -> None:
    with open_store(project) as db:
        clip = get_clip(db, put_clip(db, "open", questions=0))
        assert clip is not None
        put_question(db, clip, "1", options=False)
        left_out: Counter[str] = Counter()
        found = list(subjects(db, "rationale", Chosen(), WRONG, left_out))
        assert len(found) == 12 and left_out == {choosing.NO_WRONG: 1}
        for one in found:
            qa = get_qa_pair(db, one.qa_id or "")
            assert qa is not None
            assert hard_option(one) == wrong_option(qa, SEED) != one.pairs[0].right


def test_a_clip_with_one_answered_question_has_no_order_to_tell(project: Path) -> None:
    with open_store(project) as db:
        put_clip(db, "one", questions=1)
        left_out: Counter[str] = Counter()
        assert not list(subjects(db, "narrative", Chosen(words="one"), left_out=left_out))
    assert left_out == {choosing.TOO_FEW: 1}


def test_data_sets_splits_and_words_choose(project: Path) -> None:
    with open_store(project) as db:
        assert len(names(db)) == 12
        assert len(names(db, datasets=("street",))) == 3
        assert len(names(db, datasets=("street", "yard"), splits=("test",))) == 3
        assert len(names(db, words="CLIP-1 yard")) == 3
        assert names(db, types=("TN",)) == names(db)
        there = offered(db, "rationale")
        assert (there.datasets, there.splits, there.types) == (("street", "yard"), ("test", "train"), ("TN",))
        assert offered(db, "narrative").types == ()


@pytest.mark.parametrize(
    ("kind", "chosen", "said"),
    [
        ("rationale", Chosen(datasets=("nowhere",)), "street, yard"),
        ("rationale", Chosen(splits=("dev",)), "test, train"),
        ("rationale", Chosen(types=("CW",)), "TN"),
        ("narrative", Chosen(types=("TN",)), "all questions of its clip"),
        ("rationale", Chosen(most=0), "1 or more"),
        ("poem", Chosen(), "narrative, rationale"),
    ],
)
def test_what_cannot_be_chosen_is_said_with_what_can(project: Path, kind: str, chosen: Chosen, said: str) -> None:
    with open_store(project) as db, pytest.raises(InputError, match=said):
        list(subjects(db, kind, chosen))


def test_an_empty_store_says_what_to_do(tmp_path: Path) -> None:
    with open_store(tmp_path) as db, pytest.raises(InputError, match="demo project"):
        list(subjects(db, "narrative", Chosen()))


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(few=st.integers(1, 12), more=st.integers(0, 12), seed=st.integers(0, 5))
def test_fewer_drawn_are_a_part_of_more_in_the_same_order(project: Path, few: int, more: int, seed: int) -> None:
    with open_store(project) as db:
        everything, less, greater = names(db), names(db, most=few, seed=seed), names(db, most=few + more, seed=seed)
    assert len(less) == few
    assert less == [name for name in greater if name in set(less)]
    assert greater == [name for name in everything if name in set(greater)]


def test_seeds_draw_differently_and_those_not_drawn_are_counted(project: Path) -> None:
    with open_store(project) as db:
        left_out: Counter[str] = Counter()
        assert len(list(subjects(db, "rationale", Chosen(most=4), left_out=left_out))) == 4
        assert left_out == {choosing.NOT_DRAWN: 8}
        assert len({tuple(names(db, most=4, seed=seed)) for seed in range(5)}) > 1


def test_one_subject_is_told_as_the_stream_tells_it(project: Path) -> None:
    with open_store(project) as db:
        for kind in ("narrative", "rationale"):
            for one in subjects(db, kind, Chosen()):
                assert subject_of(db, one.clip_id, one.qa_id) == one
        with pytest.raises(NotFoundError):
            subject_of(db, "nowhere", None)
        with pytest.raises(NotFoundError):
            subject_of(db, one.clip_id, "nothing")


@pytest.mark.parametrize("at_once", [1, 3, 500])
def test_pages_make_no_difference_and_queries_grow_by_the_page(project: Path, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(clip_stream, "AT_ONCE", at_once)
    asked: list[str] = []
    with open_store(project) as db:
        db.conn.set_trace_callback(asked.append)
        found = names(db)
        db.conn.set_trace_callback(None)
    pages = -(-4 // at_once)
    assert len(found) == 12
    assert sum("SELECT" in query for query in asked) <= 5 * pages + 2, "five a page, one that finds the end, and whether there are clips"
