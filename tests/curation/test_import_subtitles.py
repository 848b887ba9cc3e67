"""Subtitle files beside a data set: which clip hears which file, on its own clock, and what is told of what is left out."""

import json
from pathlib import Path

import pytest

from curation.datasets.drafts import ClipDraft, Row, SubtitleDraft
from curation.import_subtitles import on_clip, subtitle_rows
from store.errors import InputError
from store.subtitles import Cue

SRT = "1\n00:00:01,000 --> 00:00:02,000\nHello.\n\n2\n00:00:09,000 --> 00:00:08,000\nBackwards.\n"


def heard(rows: list[Row]) -> list[tuple[str, float, float, str]]:
    return [(draft.clip, draft.start_s, draft.end_s, draft.text) for row in rows for draft in row.drafts if isinstance(draft, SubtitleDraft)]


def test_a_piece_of_a_film_hears_its_own_lines_on_its_own_clock() -> None:
    cues = [
        Cue(0.0, 1.0, "before", 1),
        Cue(9.0, 11.0, "over the start", 2),
        Cue(12.0, 13.0, "inside", 3),
        Cue(19.0, 25.0, "over the end", 4),
        Cue(20.0, 21.0, "behind", 5),
    ]
    assert on_clip(cues, 10.0, 20.0) == [Cue(0.0, 1.0, "over the start", 2), Cue(2.0, 3.0, "inside", 3), Cue(9.0, 10.0, "over the end", 4)]
    assert on_clip(cues, 0.0, None) == cues


def test_clips_hear_the_file_of_their_name_and_a_broken_cue_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "film.en.srt").write_text(SRT, encoding="utf-8")
    clips = [ClipDraft("d", "a", "film.mp4", "film"), ClipDraft("d", "b", "film.mp4", "film", 1.5, 9.0), ClipDraft("d", "c", "other.mp4", "other")]
    rows = list(subtitle_rows(tmp_path, clips))
    assert heard(rows) == [("a", 1.0, 2.0, "Hello."), ("b", 0.0, 0.5, "Hello.")]
    assert [(one.file, one.line) for row in rows for one in row.rejections] == [("film.en.srt", 6)]


def test_tvqa_subtitles_of_all_clips_lie_in_one_file_and_a_file_of_its_own_comes_first(tmp_path: Path) -> None:
    said = [{"vid_name": name, "sub": [{"start": 0.5, "end": 1.5, "text": f"{name} speaks"}]} for name in ("a", "b", "nobody")]
    (tmp_path / "tvqa_preprocessed_subtitles.jsonl").write_text("".join(json.dumps(row) + "\n" for row in said), encoding="utf-8")
    (tmp_path / "a.srt").write_text(SRT, encoding="utf-8")
    (tmp_path / "tvqa_val.jsonl").write_text("{}", encoding="utf-8")
    clips = [ClipDraft("tvqa", name, name, name) for name in ("a", "b")]
    assert heard(list(subtitle_rows(tmp_path, clips))) == [("a", 1.0, 2.0, "Hello."), ("b", 0.5, 1.5, "b speaks")]


def test_an_old_encoding_is_taken_and_told(tmp_path: Path) -> None:
    (tmp_path / "a.srt").write_text("00:00:01,000 --> 00:00:02,000\nDéjà vu\n\n00:00:03,000 --> 00:00:04,000\nEncore\n", encoding="latin-1")
    rows = list(subtitle_rows(tmp_path, [ClipDraft("d", "a", "a", "a")]))
    assert heard(rows) == [("a", 1.0, 2.0, "Déjà vu"), ("a", 3.0, 4.0, "Encore")]
    assert [(one.field, "cp1252" in one.reason) for row in rows for one in row.notices] == [("encoding", True)], "once a file"


def test_of_files_in_several_languages_the_first_is_read_and_the_others_are_told(tmp_path: Path) -> None:
    for language in ("de", "en"):
        (tmp_path / f"film.{language}.srt").write_text(SRT.replace("Hello", language), encoding="utf-8")
    clips = [ClipDraft("d", name, "film.mp4", "film") for name in ("a", "b")]
    rows = list(subtitle_rows(tmp_path, clips))
    assert heard(rows) == [("a", 1.0, 2.0, "de."), ("b", 1.0, 2.0, "de.")]
    assert [(one.file, "film.en.srt" in one.reason) for row in rows for one in row.notices] == [("film.de.srt", True)]
    (tmp_path / "film.srt").write_text(SRT, encoding="utf-8")
    rows = list(subtitle_rows(tmp_path, clips))
    assert heard(rows)[0] == ("a", 1.0, 2.0, "Hello.") and not any(row.notices for row in rows), "a file of the very name is meant"


def test_a_file_that_cannot_be_read_is_a_refusal_and_a_missing_folder_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.srt").write_text("[Script Info]\n", encoding="utf-8")
    (row,) = subtitle_rows(tmp_path, [ClipDraft("d", "a", "a", "a")])
    assert not row.drafts and row.rejections[0].field == "file"
    with pytest.raises(InputError, match="no folder"):
        list(subtitle_rows(tmp_path / "none", []))
