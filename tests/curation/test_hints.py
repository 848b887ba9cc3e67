"""What came with a text goes in beside it; what is wrong is left out and told; what is here stays."""

import json
from pathlib import Path
from typing import Any

import pytest

from curation.datasets.hints import FLAG_KINDS
from curation.import_summary import Summary
from curation.importing import ImportRequest, run_import
from curation.ui.import_views import summary_html
from curation.work_flags import flag_names
from store.batches import GOLD_WANTED
from store.database import open_store
from store.queue import claim_next, entry_of, list_queue
from store.signals import gold_of, signals_of, suggestions_of
from tests.curation.test_datasets_jsonl import CLIP, QA, RATIONALE

TEXT = "He 👍 runs away."
FLAG = {"kind": "temporal_error", "severity": 2, "text_start": 5, "text_end": 9, "start_s": 1.0, "end_s": 2.5, "comment": "he walks"}


def bring(data: Path, **more: Any) -> Summary:
    path = data / "x.jsonl"
    path.write_text("\n".join(json.dumps(record) for record in (CLIP, QA, {**RATIONALE, "text": TEXT, **more})), encoding="utf-8")
    return run_import(ImportRequest("jsonl", path, data))


def test_flag_kinds_are_those_of_the_taxonomy() -> None:
    assert list(FLAG_KINDS) == list(flag_names())


def test_signals_flags_and_gold_go_in_once(tmp_path: Path) -> None:
    given = {"signals": {"doubt": 0.8, "length": 12}, "suggested_flags": [FLAG, {"kind": "omission"}], "gold": {"verdict": "reject", "flag_kinds": ["other"]}}
    assert not bring(tmp_path, **given).rejections
    again = bring(tmp_path, **given)
    assert not again.warnings and again.rows.added == 0
    with open_store(tmp_path) as db:
        (entry,) = list_queue(db)
        assert (entry.part, entry.wanted) == ("gold", GOLD_WANTED)
        assert [(signal.name, signal.value) for signal in signals_of(db, entry.candidate_id)] == [("doubt", 0.8), ("length", 12.0)]
        first, second = suggestions_of(db, entry.candidate_id)
        assert (first.quote, first.start_s, first.end_s, first.severity) == ("runs", 1.0, 2.5, 2)
        assert (second.kind, second.text_start, second.start_s, second.severity) == ("omission", None, None, 1)
        gold = gold_of(db, entry.candidate_id)
        assert gold is not None and (gold.verdict, gold.flag_kinds) == ("reject", ("other",))
        assert claim_next(db, "ann") is None  # it waits for a batch with a gold share


def test_what_came_later_to_a_text_that_is_here_is_counted_and_shown(tmp_path: Path) -> None:
    first = bring(tmp_path, signals={"doubt": 0.8}, gold={"verdict": "maybe"})  # a mistake: left out
    assert (first.records["signals"].added, first.records["known_verdicts"].added) == (1, 0)
    mended = {"signals": {"doubt": 0.8, "length": 12}, "suggested_flags": [FLAG, FLAG], "gold": {"verdict": "reject"}}
    summary = bring(tmp_path, **mended)
    assert (summary.rows.added, summary.rows.unchanged, summary.records["candidates"].added) == (1, 2, 0)
    found = {name: (summary.records[name].added, summary.records[name].unchanged) for name in ("signals", "suggested_flags", "known_verdicts")}
    assert found == {"signals": (1, 1), "suggested_flags": (2, 0), "known_verdicts": (1, 0)}
    page = summary_html(summary.as_json())
    for title, added, unchanged in (("Signals", 1, 1), ("Suggested flags", 2, 0), ("Known verdicts", 1, 0)):
        assert f"<td>{title}</td><td class=number>{added}</td><td class=number>{unchanged}</td>" in page
    again = bring(tmp_path, **mended)
    assert (again.rows.added, again.rows.unchanged, again.records["known_verdicts"].unchanged) == (0, 3, 1)


def test_what_is_here_stays_and_is_told(tmp_path: Path) -> None:
    bring(tmp_path, signals={"doubt": 0.8}, suggested_flags=[FLAG], gold={"verdict": "reject"})
    told = [warning.reason for warning in bring(tmp_path, signals={"doubt": 0.1, "new": 1}, suggested_flags=[], gold={"verdict": "accept"}).warnings]
    assert len(told) == 2 and "doubt' is 0.8, not 0.1" in told[0] and "gold verdict is reject, not accept" in told[1]
    told = [warning.reason for warning in bring(tmp_path, suggested_flags=[FLAG, FLAG]).warnings]
    assert len(told) == 1 and "1 others, not these 2" in told[0]
    with open_store(tmp_path) as db:
        (entry,) = list_queue(db)
        assert {signal.name: signal.value for signal in signals_of(db, entry.candidate_id)} == {"doubt": 0.8, "new": 1.0}
        assert entry_of(db, entry.candidate_id) == entry


@pytest.mark.parametrize(
    ("more", "field", "told"),
    [
        ({"signals": [1]}, "signals", "object of names"),
        ({"signals": {"a": "1"}}, "signals", "must be a number"),
        ({"signals": {"a": True}}, "signals", "must be a number"),
        ({"signals": {"a": 10**400}}, "signals", "finite"),
        ({"signals": {" ": 1}}, "signals", "empty"),
        ({"suggested_flags": {}}, "suggested_flags", "list of flags"),
        ({"suggested_flags": [FLAG, "b"]}, "suggested_flags", "is no flag"),
        ({"suggested_flags": [FLAG, {"kind": "typo"}]}, "suggested_flags", "its kind is 'typo'"),
        ({"suggested_flags": [FLAG, FLAG | {"severity": 4}]}, "suggested_flags", "0 to 3"),
        ({"suggested_flags": [FLAG, FLAG | {"text_end": 99}]}, "suggested_flags", "places in the text of 15"),
        ({"suggested_flags": [FLAG, FLAG | {"text_end": None}]}, "suggested_flags", "places in the text"),
        ({"suggested_flags": [FLAG, {"kind": "plain_hallucination"}]}, "suggested_flags", "must be on words"),
        ({"suggested_flags": [FLAG, FLAG | {"end_s": 0.5}]}, "suggested_flags", "cannot come before"),
        ({"suggested_flags": [FLAG, FLAG | {"note": "x"}]}, "suggested_flags", "no field of it"),
        ({"gold": "reject"}, "gold", "object with a verdict"),
        ({"gold": {"verdict": "unsure"}}, "gold", "accept or reject"),
        ({"gold": {"verdict": "accept", "flag_kinds": ["typo"]}}, "gold", "must be a list of"),
    ],
)
def test_what_is_wrong_is_left_out_and_told_and_the_text_goes_in(tmp_path: Path, more: dict[str, Any], field: str, told: str) -> None:
    summary = bring(tmp_path, **more)
    (rejection,) = summary.rejections
    assert rejection.field == field and told in rejection.reason and "eft out" in rejection.reason and rejection.line == 3
    with open_store(tmp_path) as db:
        (entry,) = list_queue(db)
        assert entry.part == "main"
        assert len(suggestions_of(db, entry.candidate_id)) == (1 if len(more.get("suggested_flags", ())) == 2 else 0)


def test_a_moment_past_the_clip_is_cut_there(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    flags = [FLAG | {"start_s": 1, "end_s": 9}, FLAG | {"start_s": 7, "end_s": 9}, FLAG]
    records = ({**CLIP, "start_s": 0, "end_s": 5}, QA, {**RATIONALE, "text": TEXT, "suggested_flags": flags})
    path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    summary = run_import(ImportRequest("jsonl", path, tmp_path))
    assert [warning.reason for warning in summary.warnings if "moments of 2" in warning.reason]
    with open_store(tmp_path) as db:
        found = suggestions_of(db, list_queue(db)[0].candidate_id)
    assert [(flag.start_s, flag.end_s) for flag in found] == [(1.0, 5.0), (None, None), (1.0, 2.5)]
