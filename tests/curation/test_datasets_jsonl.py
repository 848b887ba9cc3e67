"""Our own format: every draft goes out and comes back, and what is wrong is told by field."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.datasets import jsonl
from curation.datasets.drafts import CandidateDraft, ClipDraft, Draft, GoldDraft, QADraft, Row, SubtitleDraft, SuggestedFlag
from curation.datasets.hints import FLAG_KINDS
from curation.datasets.sources import Source, TextFile
from curation.synthesis.faults import text_fault
from curation.work_flags import WITHOUT_WORDS
from store.candidates import generator_of

CLIP = {"record": "clip", "dataset": "d", "id": "c", "video": "c.mp4"}
QA = {"record": "qa", "dataset": "d", "clip": "c", "id": "1", "question": "why", "options": ["a", "b"], "answer_index": 1}
SUBTITLE = {"record": "subtitle", "dataset": "d", "clip": "c", "start_s": 1, "end_s": 2, "text": "hi"}
WRITER = {"kind": "imported", "name": "w"}
RATIONALE = {"record": "candidate", "dataset": "d", "id": "r", "kind": "rationale", "clip": "c", "qa": "1", "text": "so", "generator": WRITER}

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=60).filter(str.strip)
ids = texts.map(str.strip)
times = st.floats(0, 1e6)
spans = st.tuples(times, times).map(sorted).filter(lambda span: span[0] < span[1]).map(tuple)
clips = st.builds(lambda cut, *rest: ClipDraft(*rest, *cut), st.one_of(spans, st.tuples(times, st.none())), ids, ids, ids, texts)
settings_texts = st.dictionaries(texts, st.one_of(st.integers(-9, 9), texts, st.booleans()), max_size=3).map(
    lambda value: json.dumps(value, ensure_ascii=False, sort_keys=True)
)
writers = st.builds(generator_of, st.sampled_from(jsonl.GENERATOR_KINDS), texts, st.none() | texts, st.none() | settings_texts, st.none() | st.booleans())
subtitles = st.builds(lambda span, text, *about: SubtitleDraft(*about, *span, text), spans, texts, ids, ids)


@st.composite
def questions(draw: st.DrawFn) -> QADraft:
    options = tuple(draw(st.lists(texts, max_size=5)))
    index = draw(st.none() | st.integers(0, len(options) - 1)) if options else None
    answer = draw(st.none() | texts) if index is None else options[index]
    evidence = tuple(draw(st.lists(spans, max_size=3)))
    rest = draw(st.none() | texts), evidence, draw(st.none() | times), draw(st.none() | spans)
    return QADraft(draw(ids), draw(ids), draw(ids), draw(texts), answer, options, index, *rest)


@st.composite
def suggested(draw: st.DrawFn, text: str) -> SuggestedFlag:
    words = draw(st.none() | st.lists(st.integers(0, len(text)), min_size=2, max_size=2, unique=True).map(sorted).map(tuple))
    kinds = FLAG_KINDS if words else sorted(WITHOUT_WORDS)
    comment = draw(st.just("") | texts)
    return SuggestedFlag(draw(st.sampled_from(kinds)), draw(st.integers(0, 3)), comment, words, draw(st.none() | spans))


@st.composite
def candidates(draw: st.DrawFn) -> CandidateDraft:
    kind, text = draw(st.sampled_from(jsonl.CANDIDATE_KINDS)), draw(texts.filter(lambda text: text_fault(text) is None))
    qa = None if kind == "narrative" else draw(ids)
    signals = tuple(sorted(draw(st.dictionaries(ids, st.floats(allow_nan=False, allow_infinity=False), max_size=2)).items()))
    flags = tuple(draw(st.lists(suggested(text), max_size=2)))
    kinds = st.lists(st.sampled_from(FLAG_KINDS), max_size=2).map(tuple)
    gold = draw(st.none() | st.builds(GoldDraft, st.sampled_from(["accept", "reject"]), kinds, st.just("") | texts))
    return CandidateDraft(draw(ids), draw(ids), kind, draw(ids), qa, text, draw(writers), draw(st.none() | ids), signals, flags, gold)


drafts = st.one_of(clips, questions(), subtitles, candidates())


def read(*lines: str) -> list[Row]:
    return [item for item in jsonl.read(Source(TextFile("x.jsonl", "\n".join(lines), ""))) if isinstance(item, Row)]


def only(values: dict[str, Any]) -> Row:
    (row,) = read(json.dumps(values))
    return row


@settings(max_examples=80, deadline=None)
@given(st.lists(drafts, max_size=4))
def test_every_draft_goes_out_and_comes_back(given_drafts: list[Draft]) -> None:
    rows = read(*map(jsonl.line_of, given_drafts))
    assert [row.drafts for row in rows] == [(draft,) for draft in given_drafts]
    assert not any(row.rejections or row.notices for row in rows)


def test_what_may_be_left_out_has_a_plain_meaning() -> None:
    assert only(CLIP).drafts == (ClipDraft("d", "c", "c.mp4", "c.mp4", 0.0, None),)
    assert only(QA).drafts == (QADraft("d", "c", "1", "why", "b", ("a", "b"), 1),)
    assert only({**QA, "id": 7}).drafts[0].id == "7"


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"record": "movie"}, "record"),
        ({**CLIP, "record": None}, "record"),
        ({**CLIP, "dataset": ""}, "dataset"),
        ({**CLIP, "id": True}, "id"),
        ({**CLIP, "video": 5}, "video"),
        ({**CLIP, "start_s": -1}, "start_s"),
        ({**CLIP, "start_s": 10**400}, "start_s"),
        ({**CLIP, "start_s": 5, "end_s": 5}, "end_s"),
        ({**CLIP, "end_s": float("nan")}, "end_s"),
        ({**QA, "question": " "}, "question"),
        ({**QA, "question": "half \ud83d"}, "question"),
        ({**QA, "options": "a"}, "options"),
        ({**QA, "options": ["a", ""]}, "options"),
        ({**QA, "answer_index": 2}, "answer_index"),
        ({**QA, "answer_index": True}, "answer_index"),
        ({**QA, "answer_index": "1"}, "answer_index"),
        ({**QA, "options": []}, "answer_index"),
        ({**QA, "answer": "a"}, "answer"),
        ({**QA, "evidence": "1-2"}, "evidence"),
        ({**SUBTITLE, "end_s": 1}, "end_s"),
        ({**SUBTITLE, "text": ""}, "text"),
        ({**RATIONALE, "kind": "poem"}, "kind"),
        ({**RATIONALE, "qa": None}, "qa"),
        ({**RATIONALE, "kind": "narrative"}, "qa"),
        ({**RATIONALE, "text": ""}, "text"),
        ({**RATIONALE, "generator": None}, "generator"),
        ({**RATIONALE, "generator": {"kind": "robot", "name": "w"}}, "generator.kind"),
        ({**RATIONALE, "generator": {"kind": "person"}}, "generator.name"),
        ({**RATIONALE, "generator": {**WRITER, "settings": []}}, "generator.settings"),
        ({**RATIONALE, "generator": {**WRITER, "settings": {"x": float("nan")}}}, "generator.settings"),
        ({**RATIONALE, "generator": {**WRITER, "settings": {"x": "\ud83d"}}}, "generator.settings"),
        ({**RATIONALE, "generator": {**WRITER, "answer_given": "yes"}}, "generator.answer_given"),
    ],
)
def test_a_record_that_is_wrong_is_refused_by_field(values: dict[str, Any], field: str) -> None:
    row = only(values)
    assert not row.drafts
    assert [(one.file, one.line, one.field) for one in row.rejections] == [("x.jsonl", 1, field)]


@pytest.mark.parametrize(
    ("values", "field"),
    [({"evidence": [[1, 2], [3, 2]]}, "evidence"), ({"pause_s": -1}, "pause_s"), ({"window": [5]}, "window"), ({"window": [5, float("nan")]}, "window")],
)
def test_a_time_that_is_wrong_is_left_out_and_the_question_stays(values: dict[str, Any], field: str) -> None:
    row = only(QA | values)
    assert len(row.drafts) == 1
    assert [one.field for one in row.rejections] == [field]


@pytest.mark.parametrize("line", ["{", "[1]", "null", '"clip"', "[" * 100_000, '{"start_s": ' + "9" * 5000 + "}", "\ufeff{}"])
def test_a_line_that_is_no_object_is_refused_and_the_next_goes_in(line: str) -> None:
    refused, taken = read(line, json.dumps(CLIP))
    assert (refused.rejections[0].line, refused.rejections[0].field) == (1, "row")
    assert taken.drafts


def test_lines_end_only_where_json_lines_end() -> None:
    first, second = read(json.dumps(QA | {"question": "a\u2028b\u0085c"}, ensure_ascii=False) + "\r", "", json.dumps(CLIP))
    assert first.drafts[0].question == "a\u2028b\u0085c"
    assert second.line == 3


def test_an_unknown_field_is_left_out_with_a_warning() -> None:
    row = only({**CLIP, "colour": "red"})
    assert row.drafts
    assert [one.field for one in row.notices] == ["colour"]


def test_a_candidates_file_holds_candidates_only() -> None:
    text = json.dumps(CLIP) + "\n" + json.dumps(RATIONALE)
    first, second = (item for item in jsonl.read_candidates(Source(TextFile("x.jsonl", text, ""))) if isinstance(item, Row))
    assert first.rejections[0].field == "record"
    assert second.drafts
