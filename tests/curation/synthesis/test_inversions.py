"""How often narratives tell events the wrong way round, measured on a project."""

import argparse
from pathlib import Path

import pytest

from curation.synthesis.inversions import BY_TEXT, BY_TIMES, add_command, markdown, measure, measure_store, rate_by_clip
from curation.synthesis.order import OrderScore
from store.clips import add_clip, add_qa_pair
from store.database import open_store
from store.records import Clip, EvidenceSpan, QAPair
from tests.curation.synthesis.told import clip, pair

BACKWARDS = clip([pair("1", (8, 9)), pair("2", (4, 5)), pair("3", (0, 1))], "backwards")
FORWARDS = clip([pair("1", (0, 1)), pair("2", (4, 5)), pair("3", (4.5, 6))], "forwards")
OPEN = clip([pair("1", (0, 5)), pair("2", (1, 9)), pair("3")], "open")


def test_each_option_is_scored_as_the_evidence_says() -> None:
    told = {(one.told, one.read): one for one in measure([BACKWARDS, FORWARDS, OPEN])}
    shares = {way: one.inversions.share for way, one in told.items()}
    assert shares.pop(("shuffled (control)", BY_TEXT)) is not None
    assert shares == {
        ("file", BY_TEXT): pytest.approx(3 / 5),
        ("sorted", BY_TEXT): 0,
        ("times", BY_TEXT): pytest.approx(3 / 5),
        ("times", BY_TIMES): 0,
        ("plan", BY_TEXT): 0,
        ("reversed (control)", BY_TEXT): 1,
    }
    assert {(one.inversions.n, one.clips, one.untold) for one in told.values()} == {(5, 2, 0)}


def test_a_shuffled_telling_is_wrong_about_half_the_time() -> None:
    clips = [clip([pair(str(at), (at, at + 0.5)) for at in range(6)], str(number)) for number in range(60)]
    shuffled = {one.told: one for one in measure(clips)}["shuffled (control)"]
    assert shuffled.inversions.low is not None and shuffled.inversions.high is not None
    assert shuffled.inversions.low < 0.5 < shuffled.inversions.high


def test_the_interval_is_of_clips_and_not_of_pairs() -> None:
    agreeing = [OrderScore(5, 5, 0)] * 20
    apart = [OrderScore(10, 0, 0), OrderScore(0, 10, 0)] * 10
    assert rate_by_clip(agreeing).low == rate_by_clip(agreeing).high == 0.5
    wide = rate_by_clip(apart)
    assert wide.share == 0.5 and wide.n == 200
    assert wide.low is not None and wide.low < 0.35  # of 200 independent pairs it would be 0.43
    assert rate_by_clip(apart) == wide and rate_by_clip(apart, seed=1) != wide


def test_none_wrong_in_few_clips_is_no_proof_of_none() -> None:
    few, many = rate_by_clip([OrderScore(9, 0, 0)] * 4), rate_by_clip([OrderScore(9, 0, 0)] * 400)
    assert few.low == many.low == 0 and few.high is not None and many.high is not None and few.high > 0.4 > 0.01 > many.high


def test_where_nothing_can_be_ordered_there_is_a_reason_and_no_number() -> None:
    measured = measure([OPEN])
    assert all(one.inversions.share is None and one.inversions.reason for one in measured)
    assert "| 0 | 0 | No order that is certain is told. |  | 0 |" in markdown(measured)
    assert rate_by_clip([OrderScore(1, 0, 0)]).low is None


def test_the_command_measures_a_project_or_one_of_its_data_sets(tmp_path: Path) -> None:
    with open_store(tmp_path) as db:
        for dataset, times in (("one", (5.0, 1.0)), ("two", (1.0, 5.0))):
            add_clip(db, Clip(dataset, dataset, "x", "x.mp4", None, 0.0, None, dataset, "train"))
            # The rows stand the other way round than their numbers: numbers count.
            for name, start in reversed(list(zip(("2", "10"), times, strict=True))):
                qa_id = f"{dataset}-{name}"
                row = QAPair(qa_id, dataset, name, "what does he do", "he waves", (), None, "TC", None, None, None)
                add_qa_pair(db, row, [EvidenceSpan(qa_id, 0, start, start + 1)])
    parser = argparse.ArgumentParser()
    add_command(parser.add_subparsers())
    one = parser.parse_args(["inversions", "--data", str(tmp_path), "--dataset", "one"])
    assert "| file | as the text goes | 1 | 1 | 100.0% |  | 0 |" in one.act(one)
    both = parser.parse_args(["inversions", "--data", str(tmp_path), "--json"])
    figures = both.act(both)["measured"]
    assert figures[0]["told"] == "file" and figures[0]["inversions"]["share"] == 0.5 and figures[0]["inversions"]["n"] == 2
    assert measure_store(tmp_path, "two")[0].inversions.share == 0
