"""How far people disagree: what the score must not depend on, and what it must see."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.disagreement import Disagreement, disagreement_of, majority_of, problems_of
from store.candidates import candidate_of
from store.records import Flag
from store.replay import Work
from tests.curation.annotating import NO_OTHER, annotation_of
from tests.seeds import WRITER

TEXT = candidate_of("narrative", "clip", None, WRITER, "A man in a red coat runs to the ball.")
KINDS = ("justified_fabrication", "temporal_error", "omission")
NONE = Disagreement(0.0, 0, 0)


def flag(annotation_id: str, kind: str, words: tuple[int, int] | None, moment: tuple[float, float] | None = None, number: int = 0) -> Flag:
    start, end = words or (None, None)
    return Flag(f"{annotation_id} {number}", annotation_id, kind, start, end, "", *(moment or (None, None)), 1, "", **NO_OTHER)


def voice(
    annotator: str, verdict: str, flags: list[tuple[str, tuple[int, int] | None, tuple[float, float] | None]], stars: tuple[int, int] | None = None
) -> Work:
    annotation = annotation_of(TEXT, annotator, verdict, stars=stars)
    return Work(annotation, tuple(flag(annotation.id, *one, number=n) for n, one in enumerate(flags)), ())


words = st.none() | st.tuples(st.integers(0, 20), st.integers(1, 15)).map(lambda pair: (pair[0], pair[0] + pair[1]))
moments = st.none() | st.tuples(st.integers(0, 8), st.integers(0, 4)).map(lambda pair: (float(pair[0]), float(pair[0] + pair[1])))
told = st.tuples(
    st.sampled_from(["accept", "reject", "unsure"]),
    st.lists(st.tuples(st.sampled_from(KINDS), words, moments), max_size=4),
    st.none() | st.tuples(st.integers(1, 5), st.integers(1, 5)),
)
crowds = st.lists(told, min_size=1, max_size=5).map(lambda all_told: [voice(f"annotator {number}", *one) for number, one in enumerate(all_told)])


@given(crowds, st.randoms(use_true_random=False))
def test_the_order_of_voices_and_of_their_flags_changes_no_score(voices: list[Work], random) -> None:
    mixed = [dataclasses.replace(one, flags=tuple(random.sample(one.flags, len(one.flags)))) for one in random.sample(voices, len(voices))]
    assert disagreement_of(mixed) == disagreement_of(voices)
    assert sorted(map(sorted, problems_of(mixed))) == sorted(map(sorted, problems_of(voices)))


@given(st.lists(told, min_size=1, max_size=5), st.permutations(range(5)))
def test_who_the_annotators_are_changes_no_score(all_told: list, others: list[int]) -> None:
    score = disagreement_of([voice(f"annotator {number}", *one) for number, one in enumerate(all_told)])
    assert score == disagreement_of([voice(f"somebody {others[number]}", *one) for number, one in enumerate(all_told)])


@given(told, st.integers(1, 5))
def test_people_who_say_the_same_do_not_disagree_at_all(one: tuple, people: int) -> None:
    score = disagreement_of([voice(f"annotator {number}", *one) for number in range(people)])
    assert score == NONE
    assert not score.disputed


@given(crowds)
def test_a_score_is_above_none_exactly_when_somebody_differs(voices: list[Work]) -> None:
    score = disagreement_of(voices)
    assert score >= NONE
    assert (score.verdicts > 0) == (len({one.annotation.verdict for one in voices}) > 1)
    assert score.flags <= sum(len(one.flags) for one in voices)
    assert 0 <= score.verdicts < 1
    assert 0 <= score.ratings <= 8


@given(crowds, crowds)
def test_verdicts_weigh_more_than_flags_and_flags_more_than_ratings(one: list[Work], other: list[Work]) -> None:
    first, second = disagreement_of(one), disagreement_of(other)
    if first.verdicts != second.verdicts:
        assert (first > second) == (first.verdicts > second.verdicts)
    elif first.flags != second.flags:
        assert (first > second) == (first.flags > second.flags)


@pytest.mark.parametrize(
    "mine, theirs, problems",
    [
        (("temporal_error", (0, 5), None), ("temporal_error", (4, 9), None), 0),
        (("temporal_error", (0, 5), None), ("temporal_error", (5, 9), None), 2),
        (("temporal_error", (0, 5), None), ("entity_drift", (0, 5), None), 2),
        (("temporal_error", (0, 5), (0.0, 1.0)), ("temporal_error", (0, 5), (7.0, 8.0)), 0),
        (("omission", None, (0.0, 1.0)), ("omission", None, (0.5, 2.0)), 0),
        (("omission", None, (0.0, 1.0)), ("omission", None, (3.0, 4.0)), 2),
        (("omission", None, (0.0, 1.0)), ("omission", None, None), 0),
        (("other", (0, 5), None), ("other", None, None), 2),
    ],
)
def test_flags_of_one_kind_on_words_that_meet_are_one_problem(mine: tuple, theirs: tuple, problems: int) -> None:
    assert disagreement_of([voice("ann", "reject", [mine]), voice("ben", "reject", [theirs])]).flags == problems


def test_a_flag_between_two_others_makes_them_one_problem() -> None:
    ends = [("temporal_error", (0, 5), None), ("temporal_error", (8, 12), None)]
    bridge = ("temporal_error", (4, 9), None)
    assert len(problems_of([voice("ann", "reject", ends)])) == 2
    assert disagreement_of([voice("ann", "reject", ends), voice("ben", "reject", [bridge])]).flags == 0


def test_only_more_than_half_is_a_majority() -> None:
    assert majority_of(["accept", "accept", "reject"]) == "accept"
    assert majority_of(["unsure", "unsure", "reject"]) == "unsure"
    assert majority_of(["accept", "reject"]) is None
    assert majority_of([]) is None
