"""An import as a whole: what goes in, what is refused, what waits, and that the same again adds nothing."""

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.demo import load_demo
from curation.import_media import find_media
from curation.import_summary import Summary
from curation.importing import ImportRequest, run_import
from store.candidates import list_candidates
from store.clips import evidence_of, list_clips, list_imports, qa_pairs_of, split_of, subtitles_of, waiting_clips
from store.database import check, open_store
from store.errors import InputError, StorageError
from store.queue import claim_next, list_queue
from tests.clips import with_subtitles

ROOT = Path(__file__).resolve().parents[2]
REAL = ROOT / "assets" / "demo" / "throw.mp4"  # 221 kB
OTHER = ROOT / "assets" / "demo" / "tree-hand.mp4"
CLIP = {"record": "clip", "dataset": "d", "id": "c", "video": "c"}
QA = {"record": "qa", "dataset": "d", "clip": "c", "id": "1", "question": "why", "answer": "so"}
TEXT = {"record": "candidate", "dataset": "d", "kind": "narrative", "clip": "c", "generator": {"kind": "imported", "name": "w"}}
NEXTQA = "video,question,answer,qid,type,a0,a1,a2,a3,a4\nc,why,{answer},1,CW,run,sit,eat,{fourth},sleep\n"


def write(path: Path, *records: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def jsonl(tmp_path: Path, *records: dict[str, Any], **more: Any) -> Summary:
    """Import records into tmp_path/data, with the videos in tmp_path/videos."""
    more = {"videos": videos(tmp_path), **more}
    return run_import(ImportRequest("jsonl", write(tmp_path / "in.jsonl", *records), tmp_path / "data", **more))


def videos(tmp_path: Path, *names: str) -> Path:
    """Put the real clip into tmp_path/videos under these names."""
    folder = tmp_path / "videos"
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REAL, folder / name)
    return folder


def told(summary: Summary) -> list[tuple[str, int, str]]:
    return [(one.file, one.line, one.field) for one in summary.rejections]


def all_rows(data: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of the tables that an import fills, but for the list of imports itself."""
    tables = ("media", "frame_times", "clip", "subtitle", "qa_pair", "evidence_span", "generator", "candidate", "queue_entry")
    with open_store(data) as db:
        return {table: list(db.execute(f"SELECT * FROM {table} ORDER BY 1, 2")) for table in tables}


def test_the_demo_comes_in_whole_and_the_same_again_adds_nothing(tmp_path: Path) -> None:
    first = load_demo(tmp_path)
    assert (first.rows.rejected, first.rejections, first.media.missing, first.media.unreadable) == (0, (), (), ())
    assert first.rows.added == first.rows_read == sum(counts.added for name, counts in first.records.items() if name != "evidence_spans")
    before = all_rows(tmp_path)
    assert len(before["queue_entry"]) == len(before["candidate"]) == first.queued
    again = load_demo(tmp_path)
    assert (again.rows.added, again.rows.unchanged, again.queued) == (0, first.rows_read, 0)
    assert all_rows(tmp_path) == before
    assert check(tmp_path) == []
    with open_store(tmp_path) as db:
        assert [json.loads(record.summary)["added"] for record in list_imports(db)] == [0, first.rows_read]


def test_every_row_is_added_unchanged_or_rejected_and_every_rejection_has_its_place(tmp_path: Path) -> None:
    jsonl(tmp_path, CLIP, QA)
    bad: list[dict[str, Any]] = [
        {**QA, "id": "2", "evidence": [[1, 2], [3, 3]]},
        {**QA, "question": "how"},
        {**QA, "id": "3", "clip": "nowhere"},
        {**QA, "id": "4", "question": ""},
        {"record": "x"},
        {**TEXT, "id": "t", "text": "Fine."},
    ]
    summary = jsonl(tmp_path, CLIP, *bad)
    assert (summary.rows_read, summary.rows.added, summary.rows.unchanged, summary.rows.rejected) == (7, 2, 1, 4)
    assert [(line, field) for _, line, field in told(summary)] == [(2, "evidence"), (3, "question"), (4, "clip"), (5, "question"), (6, "record")]
    assert all(one.file == "in.jsonl" for one in summary.rejections)
    assert all(one.reason.endswith(".") for one in summary.rejections)
    assert (summary.records["evidence_spans"].added, summary.records["evidence_spans"].rejected) == (1, 1)
    assert summary.records["qa_pairs"].rejected == 3
    as_json = json.loads(json.dumps(summary.as_json()))
    assert as_json["rows_read"] == as_json["added"] + as_json["unchanged"] + as_json["rejected"]


few = st.sampled_from(["a", "b"])
spans = st.lists(st.lists(st.sampled_from([-1, 0, 1, 2, float("nan")]), min_size=1, max_size=3), max_size=2)
generators = st.sampled_from([{"kind": "imported", "name": "w"}, {"kind": "person", "name": "w"}, {"kind": "robot"}])
# Few values, so that records meet: the same id twice, other content, clips and parents that are not there.
some_records = st.one_of(
    st.fixed_dictionaries({"record": st.just("clip"), "dataset": few, "id": few, "video": few}),
    st.fixed_dictionaries(
        {"record": st.just("qa"), "dataset": few, "clip": few, "id": few, "question": st.sampled_from(["why", "how", ""]), "evidence": spans}
    ),
    st.fixed_dictionaries({"record": st.just("subtitle"), "dataset": few, "clip": few, "start_s": st.just(1), "end_s": st.sampled_from([0, 2]), "text": few}),
    st.fixed_dictionaries(
        {"record": st.just("candidate"), "dataset": few, "clip": few, "id": few, "kind": st.sampled_from(["narrative", "rationale"]), "text": few},
        optional={"qa": few, "parent": few, "generator": generators},
    ),
)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.lists(some_records, max_size=8), min_size=1, max_size=3))
def test_whatever_files_come_every_row_is_accounted_for_and_coming_again_adds_nothing(files: list[list[dict[str, Any]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        paths = [write(Path(folder) / f"{number}.jsonl", *records) for number, records in enumerate(files)]
        for path, records in zip(paths, files, strict=True):
            summary = run_import(ImportRequest("jsonl", path, data))
            assert summary.rows_read == len(records) == summary.rows.added + summary.rows.unchanged + summary.rows.rejected
            assert all(one.file == path.name and one.line >= 1 and one.field and one.reason for one in summary.rejections)
            assert len({one.line for one in summary.rejections}) >= summary.rows.rejected
            # At once: a file that comes later may bring the clip that a refused row spoke of.
            before = all_rows(data)
            assert run_import(ImportRequest("jsonl", path, data)).rows.added == 0
            assert all_rows(data) == before
        assert check(data) == []


@pytest.mark.parametrize(
    ("record", "field"),
    [
        ({**CLIP, "video": "z"}, "media_name"),
        ({**CLIP, "end_s": 2}, "end_s"),
        ({**CLIP, "group": "z"}, "group_key"),
        ({**QA, "answer": "no"}, "answer"),
        ({**QA, "options": ["so", "no"], "answer_index": 0}, "options"),
        ({**QA, "evidence": [[1, 3]]}, "evidence"),
        ({**TEXT, "id": "t", "text": "Other."}, "text"),
        ({**TEXT, "id": "t", "text": "Same.", "generator": {"kind": "imported", "name": "z"}}, "generator_id"),
        ({"record": "subtitle", "dataset": "d", "clip": "c", "start_s": 1, "end_s": 2, "text": "other"}, "text"),
    ],
)
def test_an_id_with_other_content_is_refused_by_field_and_what_is_here_stays(tmp_path: Path, record: dict[str, Any], field: str) -> None:
    line = {"record": "subtitle", "dataset": "d", "clip": "c", "start_s": 1, "end_s": 2, "text": "one"}
    jsonl(tmp_path, CLIP, {**QA, "evidence": [[1, 2]]}, line, {**TEXT, "id": "t", "text": "Same."})
    before = all_rows(tmp_path / "data")
    summary = jsonl(tmp_path, record)
    assert told(summary) == [("in.jsonl", 1, field)]
    assert "An import changes nothing" in summary.rejections[0].reason
    assert all_rows(tmp_path / "data") == before


def test_intervals_reach_questions_that_are_here_already_and_come_alone_as_well(tmp_path: Path) -> None:
    table = tmp_path / "val.csv"
    table.write_text(NEXTQA.format(answer=2, fourth="jump"), encoding="utf-8")
    grounded = tmp_path / "g" / "val.csv"
    grounded.parent.mkdir()
    grounded.write_text(NEXTQA.format(answer="eat", fourth="jump").replace("video", "video_id"), encoding="utf-8")
    (grounded.parent / "gsub_val.json").write_text(json.dumps({"c": {"duration": 9, "location": {"1": [[1, 2], [3.5, 4]]}}}), encoding="utf-8")
    for name, data in (("nextqa", "both"), ("nextgqa", "both"), ("nextgqa", "alone")):
        summary = run_import(ImportRequest(name, table if name == "nextqa" else grounded, tmp_path / data))
        assert summary.rejections == ()
    assert all_rows(tmp_path / "both") == all_rows(tmp_path / "alone")
    again = run_import(ImportRequest("nextgqa", grounded, tmp_path / "both"))
    assert (again.rows.unchanged, again.records["evidence_spans"].unchanged) == (1, 2)


def test_a_grounded_question_with_another_option_is_other_content(tmp_path: Path) -> None:
    table = tmp_path / "val.csv"
    table.write_text(NEXTQA.format(answer=2, fourth="jump"), encoding="utf-8")
    run_import(ImportRequest("nextqa", table, tmp_path / "data"))
    table.write_text(NEXTQA.format(answer=2, fourth="swim"), encoding="utf-8")
    assert told(run_import(ImportRequest("nextqa", table, tmp_path / "data"))) == [("val.csv", 2, "options")]


@pytest.mark.parametrize("name", ["c.mp4", "deep/er/c.MOV", "c", "c/only video in here.mp4"])
def test_a_video_is_found_by_name_at_any_depth_with_or_without_extension(tmp_path: Path, name: str) -> None:
    videos(tmp_path, name, ".hidden/c.mp4")
    summary = jsonl(tmp_path, CLIP)
    assert (summary.media.found, summary.media.missing) == (("c",), ())


@pytest.mark.parametrize("name", ['it\'s "one" (1) é.mp4', "-dash.mp4", "sub/c.mp4", "50%.mp4", "a;b.mp4", "concat:x.mp4"])
def test_a_video_may_have_any_name(tmp_path: Path, name: str) -> None:
    videos(tmp_path, name)
    assert jsonl(tmp_path, {**CLIP, "video": name}).media.found == (name,)


@pytest.mark.parametrize("name", ["../videos/c.mp4", "/etc/passwd", "c.srt", ".."])
def test_a_name_means_no_file_outside_the_folder_and_no_other_kind_of_file(tmp_path: Path, name: str) -> None:
    videos(tmp_path, "c.mp4")
    assert jsonl(tmp_path, {**CLIP, "video": name}).media.missing == (name,)


def test_a_name_that_may_mean_two_files_is_a_warning(tmp_path: Path) -> None:
    videos(tmp_path, "a/c.mp4", "b/c.mp4")
    (warning,) = jsonl(tmp_path, CLIP).warnings
    assert "may mean 2 files; a/c.mp4 was taken" in warning.reason


def test_a_clip_whose_video_is_missing_waits_until_a_later_import_finds_it(tmp_path: Path) -> None:
    assert jsonl(tmp_path, CLIP, QA).media.missing == ("c",)
    with open_store(tmp_path / "data") as db:
        assert [clip.external_id for clip in waiting_clips(db)] == ["c"]
    videos(tmp_path, "c.mp4")
    summary = jsonl(tmp_path, CLIP, QA)
    assert (summary.media.found, summary.rows.unchanged) == (("c",), 2)
    with open_store(tmp_path / "data") as db:
        assert waiting_clips(db) == []
        assert list_clips(db)[0].digest is not None


def test_another_look_gives_waiting_clips_their_file_and_cuts_their_evidence(tmp_path: Path) -> None:
    spans = [[1, 2], [2, 500], [400, 401]]
    record = {**QA, "evidence": spans}
    jsonl(tmp_path, CLIP, record, {**CLIP, "dataset": "e"})
    given = find_media(tmp_path / "data", videos(tmp_path, "c.mp4"), "d", lambda share, text: None)
    assert (given.clips, given.spans_cut, given.spans_dropped) == (1, 1, 1)
    with open_store(tmp_path / "data") as db:
        clip = next(clip for clip in list_clips(db) if clip.dataset == "d")
        duration_s = next(db.query("SELECT duration_s FROM media"))["duration_s"]
        kept = [(span.start_s, span.end_s) for span in evidence_of(db, qa_pairs_of(db, clip.id)[0].id)]
        assert [waiting.dataset for waiting in waiting_clips(db)] == ["e"]
    assert kept == [(1.0, 2.0), (2.0, duration_s)]
    again = jsonl(tmp_path, CLIP, record)
    assert (again.rows.unchanged, again.records["evidence_spans"].unchanged) == (2, 2)


def test_evidence_past_the_end_is_cut_or_refused_at_once_when_the_file_is_there(tmp_path: Path) -> None:
    videos(tmp_path, "c.mp4")
    summary = jsonl(tmp_path, {**CLIP, "start_s": 1, "end_s": 3}, {**QA, "evidence": [[0.5, 9], [2, 3]], "window": [1, 9]})
    assert told(summary) == [("in.jsonl", 2, "evidence")]
    assert sorted(one.field for one in summary.warnings) == ["evidence", "window"]
    with open_store(tmp_path / "data") as db:
        pair = qa_pairs_of(db, list_clips(db)[0].id)[0]
        assert [(span.start_s, span.end_s) for span in evidence_of(db, pair.id)] == [(0.5, 2.0)]


def test_a_clip_behind_the_end_of_its_file_is_told_and_given_to_nobody(tmp_path: Path) -> None:
    videos(tmp_path, "c.mp4")
    summary = jsonl(
        tmp_path, CLIP | {"start_s": 500}, TEXT | {"id": "t", "text": "told"}, CLIP | {"id": "whole"}, TEXT | {"id": "u", "clip": "whole", "text": "seen"}
    )
    assert ["behind the end of c" in notice.reason for notice in summary.warnings] == [True]
    with open_store(tmp_path / "data") as db:
        given = claim_next(db, "ann")
        assert given is not None
        assert [text.text for text in list_candidates(db) if text.id == given.candidate_id] == ["seen"]
        assert claim_next(db, "ann", besides=[given.id]) is None


def test_a_text_that_no_desk_takes_is_refused(tmp_path: Path) -> None:
    videos(tmp_path, "c.mp4")
    longest, longer = (TEXT | {"id": str(length), "text": "x" * length} for length in (100_000, 100_001))
    assert told(jsonl(tmp_path, CLIP, longest, longer)) == [("in.jsonl", 3, "text")]


def test_a_pipe_among_the_videos_is_passed_over(tmp_path: Path) -> None:
    os.mkfifo(videos(tmp_path) / "c.mp4")
    assert jsonl(tmp_path, CLIP).media.missing == ("c",)


def test_a_file_that_cannot_be_read_is_listed_and_its_clip_waits_for_a_better_one(tmp_path: Path) -> None:
    folder = videos(tmp_path)
    (folder / "c.mp4").write_bytes(b"")
    (folder / "e.mp4").write_bytes(b"no video at all")
    summary = jsonl(tmp_path, CLIP, {**CLIP, "id": "e", "video": "e"})
    assert [trouble.name for trouble in summary.media.unreadable] == ["c", "e"]
    assert all(trouble.reason.endswith(".") for trouble in summary.media.unreadable)
    assert not all_rows(tmp_path / "data")["media"]
    videos(tmp_path, "c.mp4")
    assert jsonl(tmp_path, CLIP).media.found == ("c",)


def test_a_file_that_was_cut_off_is_noted_as_damaged_or_unreadable(tmp_path: Path) -> None:
    folder = videos(tmp_path)
    for name, source in (("c.mp4", REAL), ("e.webm", ROOT / "assets" / "demo" / "launch.webm")):
        (folder / name).write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    media = jsonl(tmp_path, CLIP, {**CLIP, "id": "e", "video": "e"}).media
    assert sorted(trouble.name for trouble in media.damaged + media.unreadable) == ["c", "e"]


def test_candidates_come_from_a_file_of_their_own_for_the_clips_of_any_format(tmp_path: Path) -> None:
    table = tmp_path / "val.csv"
    table.write_text(NEXTQA.format(answer=2, fourth="jump"), encoding="utf-8")
    rationale = {**TEXT, "dataset": "nextqa", "id": "r", "kind": "rationale", "qa": "1", "text": "He eats."}
    texts = write(tmp_path / "texts.jsonl", rationale, {**rationale, "id": "lost", "qa": "9"}, CLIP)
    summary = run_import(ImportRequest("nextqa", table, tmp_path / "data", candidates=texts, overlap=3))
    assert told(summary) == [("texts.jsonl", 2, "qa"), ("texts.jsonl", 3, "record")]
    with open_store(tmp_path / "data") as db:
        assert [entry.wanted for entry in list_queue(db)] == [3]


def test_an_edit_finds_its_parent_in_any_order_and_in_an_earlier_import(tmp_path: Path) -> None:
    chain = [{**TEXT, "id": f"t{i}", "text": f"Text {i}.", "parent": f"t{i - 1}" if i else None} for i in (2, 1, 0)]
    jsonl(tmp_path, *chain, CLIP)
    summary = jsonl(tmp_path, {**TEXT, "id": "t3", "text": "Text 3.", "parent": "t2"})
    assert summary.rejections == ()
    with open_store(tmp_path / "data") as db:
        texts = {candidate.id: candidate for candidate in list_candidates(db)}
    edits = {text.text: texts[text.parent_id].text for text in texts.values() if text.parent_id}
    assert edits == {f"Text {i}.": f"Text {i - 1}." for i in (1, 2, 3)}


def test_parents_in_a_circle_missing_or_about_something_else_are_refused(tmp_path: Path) -> None:
    records = [
        CLIP,
        QA,
        {**TEXT, "id": "a", "text": "A.", "parent": "b"},
        {**TEXT, "id": "b", "text": "B.", "parent": "a"},
        {**TEXT, "id": "s", "text": "S.", "parent": "s"},
        {**TEXT, "id": "o", "text": "O.", "parent": "gone"},
        {**TEXT, "id": "n", "text": "N."},
        {**TEXT, "id": "r", "kind": "rationale", "qa": "1", "text": "R.", "parent": "n"},
    ]
    assert told(jsonl(tmp_path, *records)) == [("in.jsonl", line, "parent") for line in (3, 4, 5, 6, 8)]


@pytest.mark.parametrize("overlap", [0, 1, 2])
def test_texts_are_queued_for_as_many_annotations_as_are_asked_for(tmp_path: Path, overlap: int) -> None:
    summary = jsonl(tmp_path, CLIP, {**TEXT, "id": "t", "text": "T."}, overlap=overlap)
    assert summary.queued == (1 if overlap else 0)
    with open_store(tmp_path / "data") as db:
        assert [entry.wanted for entry in list_queue(db)] == [overlap] * (1 if overlap else 0)


def test_a_negative_overlap_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="The overlap is -1"):
        jsonl(tmp_path, CLIP, overlap=-1)


def test_subtitles_come_from_files_named_like_clip_or_video_and_broken_lines_are_told(tmp_path: Path) -> None:
    folder = tmp_path / "subtitles"
    folder.mkdir()
    cues = [("00:00:01,000 --> 00:00:02,000", "Hello"), ("00:00:09,000 --> 00:00:08,000", "Back"), ("00:00:11,000 --> 00:00:12,000", "Late")]
    (folder / "film.en.srt").write_text("".join(f"{place}\n{times}\n{text}\n\n" for place, (times, text) in enumerate(cues)), encoding="utf-8")
    (folder / "own.vtt").write_text("WEBVTT\n\n00:01.000 --> 00:02.000\nnot this\n", encoding="utf-8")
    (folder / "latin.srt").write_bytes(b"1\n00:00:01,000 --> 00:00:02,000\ncaf\xe9\n")
    records = [
        {**CLIP, "id": "whole", "video": "film.mp4"},
        {**CLIP, "id": "piece", "video": "film.mp4", "start_s": 10, "end_s": 20},
        {**CLIP, "id": "own", "video": "own.mp4"},
        {"record": "subtitle", "dataset": "d", "clip": "own", "start_s": 1, "end_s": 2, "text": "its own"},
        {**CLIP, "id": "latin", "video": "x"},
    ]
    summary = jsonl(tmp_path, *records, subtitles=folder)
    assert told(summary) == [("film.en.srt", 6, "cue")]
    assert [(warning.file, warning.field) for warning in summary.warnings if warning.field == "encoding"] == [("latin.srt", "encoding")]
    assert summary.rows_read == 5
    with open_store(tmp_path / "data") as db:
        said = {clip.external_id: [(line.start_s, line.text) for line in subtitles_of(db, clip.id)] for clip in list_clips(db)}
    assert said == {"whole": [(1.0, "Hello"), (11.0, "Late")], "piece": [(1.0, "Late")], "own": [(1.0, "its own")], "latin": [(1.0, "café")]}
    again = jsonl(tmp_path, *records, subtitles=folder)
    assert (again.records["subtitles"].added, again.records["subtitles"].unchanged) == (0, 5)


def test_lines_inside_a_video_are_taken_unless_a_file_or_an_earlier_import_gave_others(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    with_subtitles(tmp_path / "videos" / "film.mkv", "subrip", [(0.5, 1.0, b"Hello."), (1.5, 0.5, b"Goodbye.")])
    clip = {"record": "clip", "dataset": "own", "id": "one", "video": "film.mkv", "start_s": 1.0, "end_s": None}
    summary = jsonl(tmp_path, clip, videos=tmp_path / "videos")
    lines = all_rows(tmp_path / "data")["subtitle"]
    assert [line[2:] for line in lines] == [(0.0, 0.5, "Hello."), (0.5, 1.0, "Goodbye.")]
    assert any("stream 1 in the video (ger)" in notice.reason for notice in summary.warnings)
    assert jsonl(tmp_path, clip, videos=tmp_path / "videos").rejections == ()
    assert all_rows(tmp_path / "data")["subtitle"] == lines
    (tmp_path / "srt").mkdir()
    (tmp_path / "srt" / "film.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nFrom the file.\n", encoding="utf-8")
    other = tmp_path / "other"
    run_import(ImportRequest("jsonl", tmp_path / "in.jsonl", other, tmp_path / "videos", tmp_path / "srt"))
    assert [line[4] for line in all_rows(other)["subtitle"]] == ["From the file."]


def test_pieces_of_one_source_share_a_split(tmp_path: Path) -> None:
    jsonl(tmp_path, *({**CLIP, "id": f"{source}-{piece}", "group": source} for source in "abcdefghijklmnop" for piece in range(3)))
    with open_store(tmp_path / "data") as db:
        clips = list_clips(db)
    assert all(clip.split == split_of(clip.group_key) for clip in clips)
    assert len({clip.split for clip in clips}) > 1


@pytest.mark.parametrize("field", ["videos", "subtitles"])
def test_a_folder_that_is_none_is_a_sentence_and_nothing_is_stored(tmp_path: Path, field: str) -> None:
    with pytest.raises(InputError, match="is no folder"):
        jsonl(tmp_path, CLIP, **{field: tmp_path / "none"})
    assert not (tmp_path / "data").exists() or not all_rows(tmp_path / "data")["clip"]


def test_a_data_directory_that_cannot_be_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be used"):
        run_import(ImportRequest("jsonl", write(tmp_path / "in.jsonl", CLIP), tmp_path / "file"))


def test_the_progress_only_grows_and_stays_within_the_whole(tmp_path: Path) -> None:
    shares: list[float] = []
    videos(tmp_path, "c.mp4")
    request = ImportRequest("jsonl", write(tmp_path / "in.jsonl", CLIP, *({**QA, "id": str(i)} for i in range(500))), tmp_path / "data", tmp_path / "videos")
    run_import(request, lambda share, text: shares.append(share))
    assert shares == sorted(shares)
    assert shares[0] == 0.0
    assert 0.9 < shares[-1] <= 1.0
