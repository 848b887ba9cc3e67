"""Each data set's file becomes the same drafts; what is wrong is told with file, line, field and reason."""

import csv
import io
import json
import random
from pathlib import Path

import pytest

from curation.datasets import FORMATS, format_named
from curation.datasets.checks import check_across
from curation.datasets.drafts import CandidateDraft, ClipDraft, Item, Notice, QADraft, Rejection, Row
from curation.datasets.sources import Source, TextFile, read_text
from store.errors import InputError

MULTIPLE_CHOICE = ("video", "frame_count", "width", "height", "question", "answer", "qid", "type", "a0", "a1", "a2", "a3", "a4")
OPTIONS = ["run", "sit", "eat", "jump", "sleep"]


def table(*rows: dict[str, str], columns: tuple[str, ...] = MULTIPLE_CHOICE, ending: str = "\n") -> str:
    """Return rows over a sound default as CSV."""
    sound = {"video": "v1", "question": "what does he do", "answer": "0", "qid": "1", "type": "CW"} | {f"a{i}": OPTIONS[i] for i in range(5)}
    sound |= {"video_id": "v1", "video_name": "ABCDE_1.5_4", "answer_number": "0", "question_id": "Interaction_T1_1", "question_type": "Interaction_T1"}
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, extrasaction="ignore", restval="7", lineterminator=ending)
    writer.writeheader()
    writer.writerows(sound | row for row in rows)
    return out.getvalue()


def read(name: str, text: str, intervals: object = None, dataset: str | None = None, file: str = "val.csv") -> list[Item]:
    beside = None if intervals is None else TextFile("gsub_val.json", json.dumps(intervals), "")
    format = FORMATS[name]
    return list(check_across(format.read(Source(TextFile(file, text, ""), dataset, beside)), format.id_column))


def rows(items: list[Item]) -> list[Row]:
    return [item for item in items if isinstance(item, Row)]


def pairs(items: list[Item]) -> list[QADraft]:
    return [draft for row in rows(items) for draft in row.drafts if isinstance(draft, QADraft)]


def clips(items: list[Item]) -> list[ClipDraft]:
    return [draft for row in rows(items) for draft in row.drafts if isinstance(draft, ClipDraft)]


def rejections(items: list[Item]) -> list[Rejection]:
    return [rejection for row in rows(items) for rejection in row.rejections]


def notices(items: list[Item]) -> list[Notice]:
    return [notice for row in rows(items) for notice in row.notices] + [item for item in items if isinstance(item, Notice)]


def test_nextqa_reads_multiple_choice_by_its_columns() -> None:
    items = read("nextqa", table({"answer": "2"}))
    assert pairs(items) == [QADraft("nextqa", "v1", "1", "what does he do", "eat", tuple(OPTIONS), 2, "CW")]
    assert clips(items) == [ClipDraft("nextqa", "v1", "v1", "v1")]


def test_nextqa_reads_open_ended_questions_by_their_columns() -> None:
    items = read("nextqa", table({"answer": "from the cabin"}, columns=MULTIPLE_CHOICE[:8]))
    assert pairs(items) == [QADraft("nextoe", "v1", "1", "what does he do", "from the cabin", question_type="CW")]


def test_the_person_may_name_the_data_set() -> None:
    assert {clip.dataset for clip in clips(read("nextqa", table({}), dataset="mine"))} == {"mine"}


@pytest.mark.parametrize(
    "text",
    [
        'He said "run, now", and left\nat once',
        "🏌️‍♀️ why? 你好",
        "لماذا ركض الرجل؟ ‮abc‬",
        "x" * 20_000,
        "  blanks at both ends  ",
        "'; DROP TABLE clip; --",
        "=1+1",
        " ",
    ],
)
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_text_comes_through_as_it_stands(text: str, ending: str) -> None:
    items = read("nextqa", table({"question": text, "a0": text}, {"qid": "2"}, ending=ending))
    if not text.strip():
        assert [(one.line, one.field) for one in rejections(items)] == [(2, "question")]
        return
    first, second = pairs(items)
    assert (first.question, first.options[0], first.answer, second.id) == (text, text, text, "2")


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    path = tmp_path / "val.csv"
    path.write_bytes(b"\xef\xbb\xbf" + table({}).encode())
    assert len(pairs(list(FORMATS["nextqa"].read(Source(read_text(path)))))) == 1


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_what_is_not_utf_8_is_refused_with_the_byte_and_its_place(tmp_path: Path, mark: bytes) -> None:
    path = tmp_path / "val.csv"
    content = mark + b"video,question\nv1,caf\xe9 noir\n"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"0xE9 at offset {content.index(0xE9)} \(line 2\)"):
        read_text(path)


def test_a_file_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_text(tmp_path / "none.csv")
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        read_text(tmp_path)


@pytest.mark.parametrize(
    ("name", "columns", "missing"),
    [
        ("nextqa", ("video", "question"), "answer, qid, type"),
        ("nextqa", ("video", "question", "answer", "qid", "type", "a0", "a1"), "a2, a3, a4"),
        ("nextgqa", MULTIPLE_CHOICE[1:], "video_id"),
        ("star", ("video_name", "question"), "answer_number, question_id, question_type, a0, a1, a2, a3"),
    ],
)
def test_missing_columns_are_named(name: str, columns: tuple[str, ...], missing: str) -> None:
    with pytest.raises(InputError, match=f"lacks the columns {missing}. "):
        read(name, table({}, columns=columns), intervals={})


def test_an_empty_file_is_a_sentence() -> None:
    with pytest.raises(InputError, match="is empty; its first row must name the columns"):
        read("nextqa", "")
    with pytest.raises(InputError, match="must hold a JSON array"):
        read("reasonvqa", "")
    assert read("jsonl", "") == []


@pytest.mark.parametrize(
    ("row", "field", "told"),
    [
        ({"answer": "5"}, "answer", "answer is 5, but the options are numbered 0 to 4"),
        ({"answer": "-1"}, "answer", "answer is -1"),
        ({"answer": "run"}, "answer", "must be the number of an option"),
        ({"answer": "1.5"}, "answer", "must be the number of an option"),
        ({"answer": ""}, "answer", "must be the number of an option"),
        ({"answer": "9" * 5000}, "answer", "must be the number of an option"),
        ({"question": ""}, "question", "question is empty"),
        ({"question": "a\0b"}, "question", "NUL"),
        ({"a3": " "}, "a3", "a3 is empty"),
        ({"video": ""}, "video", "video is empty"),
        ({"qid": ""}, "qid", "qid is empty"),
    ],
)
def test_a_wrong_row_is_told_and_the_rest_goes_in(row: dict[str, str], field: str, told: str) -> None:
    items = read("nextqa", table({}, {"qid": "2"} | row, {"qid": "3"}))
    (rejection,) = rejections(items)
    assert (rejection.file, rejection.line, rejection.field) == ("val.csv", 3, field)
    assert told in rejection.reason
    assert [pair.id for pair in pairs(items)] == ["1", "3"]


def test_the_line_is_where_the_row_begins_although_texts_have_lines() -> None:
    items = read("nextqa", table({"question": "one\ntwo\nthree"}, {"qid": "2", "question": ""}))
    assert [one.line for one in rejections(items)] == [5]


@pytest.mark.parametrize(("broken", "told"), [("v2,7,7,7,q", "has 5 fields, the first row of the file 13"), ('v2,"a"b,c', "quotes do not match")])
def test_a_row_that_is_no_row_is_told_and_the_rest_goes_in(broken: str, told: str) -> None:
    lines = table({}, {"qid": "2"}).splitlines()
    items = read("nextqa", "\n".join([*lines[:2], broken, "", *lines[2:]]))
    (rejection,) = rejections(items)
    assert (rejection.line, rejection.field) == (3, "row")
    assert told in rejection.reason
    assert [pair.id for pair in pairs(items)] == ["1", "2"]


def test_a_quote_that_is_never_closed_is_told_once_with_the_line_where_its_row_begins() -> None:
    items = read("nextqa", table({}) + 'v2,7,7,7,"what now,0,2,CW,a,b,c,d,e\nv3,7,7,7,why,0,3,CW,a,b,c,d,e\n')
    (rejection,) = rejections(items)
    assert (rejection.line, rejection.field) == (3, "row")
    assert "the row reaches to line 4" in rejection.reason


def test_the_second_row_of_an_id_is_refused_within_its_video_only() -> None:
    items = read("nextqa", table({}, {"video": "v2"}, {"question": "why"}))
    (rejection,) = rejections(items)
    assert (rejection.line, rejection.field) == (4, "qid")
    assert "stands already on line 2" in rejection.reason


def test_an_id_whose_first_row_was_refused_is_still_free() -> None:
    items = read("nextqa", table({"answer": "9"}, {}))
    assert [pair.id for pair in pairs(items)] == ["1"]


def test_repeated_options_and_questions_are_warnings_not_errors() -> None:
    items = read("nextqa", table({"a1": "run"}, {"qid": "2", "question": "why"}, {"qid": "3", "question": "why"}))
    assert not rejections(items)
    assert [(one.line, one.field) for one in notices(items)] == [(2, "options"), (4, "question")]


def gqa(location: object, row: dict[str, str] | None = None, **known: object) -> list[Item]:
    columns = ("video_id", *MULTIPLE_CHOICE[1:])
    return read("nextgqa", table({"answer": "eat"} | (row or {}), columns=columns), {"v1": {"duration": 30, "fps": 25.0, "location": location} | known})


def test_nextgqa_finds_the_option_by_its_text_and_joins_the_intervals() -> None:
    items = gqa({"1": [[1.5, 4], [10, 12.5]]})
    assert pairs(items) == [QADraft("nextqa", "v1", "1", "what does he do", "eat", tuple(OPTIONS), 2, "CW", ((1.5, 4.0), (10.0, 12.5)))]
    assert not rejections(items)


@pytest.mark.parametrize(
    ("span", "told"),
    [
        ([float("nan"), 3], "not a number of seconds"),
        ([1, float("inf")], "not a number of seconds"),
        ([5, 3], "the end must come after the start"),
        ([5, 5], "the end must come after the start"),
        ([-1, 3], "cannot be negative"),
        ([1], "a span is [start, end]"),
        (["a", 2], "not a number of seconds"),
        ([30, 31], "starts behind the end of the clip at 30 s"),
    ],
)
def test_a_wrong_span_is_told_and_the_question_goes_in_with_the_others(span: object, told: str) -> None:
    items = gqa({"1": [[1, 2], span]})
    (rejection,) = rejections(items)
    assert (rejection.line, rejection.field) == (2, "intervals")
    assert told in rejection.reason
    assert pairs(items)[0].evidence == ((1.0, 2.0),)
    assert rows(items)[0].spans_refused == 1


def test_a_span_past_the_declared_duration_is_cut_with_a_warning() -> None:
    items = gqa({"1": [[28, 30.4]]})
    assert pairs(items)[0].evidence == ((28.0, 30.0),)
    assert [(one.line, one.field) for one in notices(items)] == [(2, "intervals")]


@pytest.mark.parametrize("location", [None, {}, [], {"1": {}}, {"1": "3-4"}])
def test_intervals_of_another_shape_leave_the_question_without_evidence_and_say_so(location: object) -> None:
    items = gqa(location)
    assert pairs(items)[0].evidence == ()
    assert rejections(items) or notices(items)


def test_intervals_that_no_row_asks_for_are_noticed() -> None:
    items = gqa({"1": [[1, 2]], "8": [[1, 2]]})
    assert [(one.file, one.field) for one in notices(items)] == [("gsub_val.json", "intervals")]


def test_an_answer_that_is_no_option_is_refused() -> None:
    (rejection,) = rejections(gqa({"1": [[1, 2]]}, {"answer": "swim"}))
    assert rejection.field == "answer"


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000])
def test_an_intervals_file_that_is_no_object_is_a_sentence(text: str) -> None:
    source = Source(TextFile("val.csv", table({}, columns=("video_id", *MULTIPLE_CHOICE[1:])), ""), None, TextFile("gsub.json", text, ""))
    with pytest.raises(InputError, match=r"gsub\.json (is not JSON|must hold one JSON object)"):
        list(FORMATS["nextgqa"].read(source))


STAR = ("", "video_name", "question", "answer_number", "question_id", "question_type", "a0", "a1", "a2", "a3", "answer")


def test_star_cuts_the_source_video_and_splits_by_it() -> None:
    items = read("star", table({"answer": "run"}, columns=STAR))
    assert clips(items) == [ClipDraft("star", "ABCDE_1.5_4", "ABCDE", "ABCDE", 1.5, 4.0)]
    assert pairs(items)[0].options == tuple(OPTIONS[:4])


@pytest.mark.parametrize("name", ["ABCDE", "ABCDE_1.5", "ABCDE_4_1.5", "ABCDE_x_y", "_1_2", "ABCDE_nan_2"])
def test_a_star_clip_that_names_no_cut_is_refused(name: str) -> None:
    (rejection,) = rejections(read("star", table({"video_name": name, "answer": "run"}, columns=STAR)))
    assert rejection.field == "video_name"


def test_a_star_answer_that_is_not_its_option_is_refused() -> None:
    (rejection,) = rejections(read("star", table({"answer": "sit"}, columns=STAR)))
    assert "answer is 'sit', but answer_number 0 is 'run'" in rejection.reason


def tvqa(**values: object) -> dict[str, object]:
    sound = {"qid": 7, "q": "why", "vid_name": "castle_s02e24_seg02_clip_26", "ts": "3.5-9", "answer_idx": 1, "show_name": "Castle"}
    return {f"a{i}": option for i, option in enumerate(OPTIONS)} | sound | values


def test_tvqa_and_tvqaplus_say_the_same_in_two_shapes() -> None:
    (from_lines,) = pairs(read("tvqa", json.dumps(tvqa()) + "\r\n\r\n"))
    (from_array,) = pairs(read("tvqaplus", json.dumps([tvqa(answer_idx="1", ts=[3.5, 9], bbox={})]), dataset="tvqa"))
    assert from_lines == from_array
    assert (from_lines.id, from_lines.answer, from_lines.evidence) == ("7", "sit", ((3.5, 9.0),))


def test_tvqa_splits_by_the_episode() -> None:
    names = ["castle_s02e24_seg02_clip_26", "s03e21_seg02_clip_08", "friends_s06e15-16_seg01_clip_00"]
    found = clips(read("tvqa", "\n".join(json.dumps(tvqa(vid_name=name)) for name in names)))
    assert [clip.group for clip in found] == ["castle_s02e24", "bbt_s03e21", "friends_s06e15-16"]


def test_a_withheld_tvqa_answer_is_unknown() -> None:
    (pair,) = pairs(read("tvqa", json.dumps({key: value for key, value in tvqa().items() if key != "answer_idx"})))
    assert (pair.answer, pair.answer_index) == (None, None)


@pytest.mark.parametrize("ts", ["NaN-NaN", "9-3.5", "abc", [float("nan"), 2], [1, 2, 3], 5])
def test_a_tvqa_time_that_is_none_is_told_and_the_question_goes_in(ts: object) -> None:
    items = read("tvqa", json.dumps(tvqa(ts=ts)))
    assert [(one.line, one.field) for one in rejections(items)] == [(1, "ts")]
    assert pairs(items)[0].evidence == ()


def reason(**values: object) -> dict[str, object]:
    sound = {"index": 0, "timestamp": "00:10:05", "contextTimestamp": "00:09:05 - 00:11:05", "question": "why?", "answer": "because", "reasoning": "he fell"}
    return sound | values


def test_reasonvqa_keeps_pause_and_window_and_makes_the_reasoning_a_persons_rationale() -> None:
    (row,) = rows(read("reasonvqa", json.dumps([reason()]), file="the_matrix.json"))
    clip, pair, text = row.drafts
    assert clip == ClipDraft("reasonvqa", "the_matrix", "the_matrix", "the_matrix")
    assert isinstance(pair, QADraft)
    assert (pair.pause_s, pair.window) == (605.0, (545.0, 665.0))
    assert isinstance(text, CandidateDraft)
    assert (text.kind, text.qa, text.text, text.generator.kind, text.generator.answer_given) == ("rationale", "0", "he fell", "person", True)


@pytest.mark.parametrize(
    ("values", "field", "taken"),
    [
        ({"timestamp": "ten"}, "timestamp", (None, (545.0, 665.0))),
        ({"timestamp": "00:61:00"}, "timestamp", (None, (545.0, 665.0))),
        ({"contextTimestamp": "00:11:05 - 00:09:05"}, "contextTimestamp", (605.0, None)),
        ({"contextTimestamp": "00:11:05"}, "contextTimestamp", (605.0, None)),
    ],
)
def test_a_reasonvqa_time_that_is_none_is_told_and_the_question_goes_in(values: dict[str, object], field: str, taken: tuple[object, object]) -> None:
    items = read("reasonvqa", json.dumps([reason(**values)]), file="film.json")
    assert [one.field for one in rejections(items)] == [field]
    assert (pairs(items)[0].pause_s, pairs(items)[0].window) == taken


def test_a_pause_outside_its_window_and_an_empty_reasoning_are_warnings() -> None:
    items = read("reasonvqa", json.dumps([reason(timestamp="00:01:00"), reason(index=1, reasoning="")]), file="film.json")
    assert not rejections(items)
    assert [one.field for one in notices(items)] == ["timestamp", "reasoning", "question"]


def test_an_array_tells_line_and_item_and_what_is_behind_a_break_is_told_once() -> None:
    items = read("reasonvqa", '[\n {"index": 0},\n 5,\n {"index": 2,\n "x": }, {"index": 3}]', file="film.json")
    told = [(one.line, one.reason[:6]) for one in rejections(items)]
    assert told == [(2, "Item 1"), (3, "Item 2"), (4, "Item 3")]
    assert "were not read" in rejections(items)[-1].reason


def test_an_unknown_format_names_those_there_are() -> None:
    with pytest.raises(InputError, match=r"'coco' is no format\. There are: nextqa, nextgqa"):
        format_named("coco")


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_no_damage_to_a_file_is_more_than_a_sentence_or_rejections(name: str) -> None:
    """Bytes turned at random: the importer answers with rows, or with an InputError, never with a traceback."""
    sound = {
        "nextqa": table({}, {"qid": "2"}),
        "nextgqa": table({"answer": "run"}, columns=("video_id", *MULTIPLE_CHOICE[1:])),
        "star": table({}, columns=STAR[:-1]),
        "tvqa": json.dumps(tvqa()) + "\n" + json.dumps(tvqa(qid=8)),
        "tvqaplus": json.dumps([tvqa(), tvqa(qid=8)], indent=1),
        "reasonvqa": json.dumps([reason(), reason(index=1)], indent=1),
        "jsonl": '{"record": "clip", "dataset": "d", "id": "c", "video": "c.mp4"}\n{"record": "qa", "dataset": "d", "clip": "c", "id": "1", "question": "why"}',
        "texts": "dataset,clip,qa,text,generator\nd,c,1,He runs to catch it.,some-model\nd,c,,They play and laugh.,some-model\n",
    }[name]
    chance = random.Random(name)
    for _ in range(150):
        text = list(sound)
        for _ in range(chance.randint(1, 4)):
            text[chance.randrange(len(text))] = chance.choice('"{}[],:\n\r\0 -eN9é')
        try:
            items = read(name, "".join(text), intervals={"v1": {"duration": 9, "location": {"1": [[1, 2]]}}})
        except InputError as error:
            assert str(error).endswith(".")
            continue
        for row in rows(items):
            assert row.drafts or row.rejections
            assert all(one.file and one.line >= 1 and one.field and one.reason for one in row.rejections)
