"""Subtitle files: what is said when, which line is broken, in which encoding; and which window hears which cue."""

import json
from pathlib import Path

import pysubs2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.errors import InputError, NotFoundError
from store.subtitles import Cue, SubtitleFile, align, plain_text, read_subtitles, read_tvqa_subtitles

SRT = """1
00:00:01,000 --> 00:00:02,500
<i>Where</i> did it go?

2
00:00:03,000 --> 00:00:04,000
{\\an8}Over there,
by the tree &amp; the pond.

3
00:00:06,000 --> 00:00:05,000
Backwards.

4
00:00:0x,000 --> 00:00:08,000
Broken.

5
01:00:00.5 --> 01:00:01,000
Late.
"""

VTT = """WEBVTT - a title

NOTE nothing
of this is said

STYLE
::cue { color: red }

intro
00:01.000 --> 00:02.000 align:start position:10%
<v Mary>Hello <00:01.500>there

00:03.000 --> 00:04.000
Two cues
00:05.000 --> 00:06.000
without a gap

NOTE in between

00:07.000 --> 00:08.000
"""


@pytest.fixture
def read(tmp_path: Path):
    def read(text: str | bytes, name: str = "x.srt") -> SubtitleFile:
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return read_subtitles(path)

    return read


def test_srt_is_read_and_a_broken_cue_is_told_by_its_line(read) -> None:
    file = read(SRT)
    assert file.cues == (Cue(1.0, 2.5, "Where did it go?", 2), Cue(3.0, 4.0, "Over there,\nby the tree & the pond.", 6), Cue(3600.5, 3601.0, "Late.", 19))
    assert [problem.line for problem in file.problems] == [11, 15]
    assert "6 s to 5 s" in file.problems[0].reason and "00:00:0x,000" in file.problems[1].reason


def test_a_reader_from_the_registry_would_swallow_what_is_told_here() -> None:
    swallowed = [event.plaintext for event in pysubs2.SSAFile.from_string(SRT, format_="srt")]
    assert any("Broken." in text for text in swallowed) and not any(text == "Broken." for text in swallowed)


def test_webvtt_is_read_without_its_comments_styles_names_and_settings_but_with_its_speakers(read) -> None:
    file = read(VTT, "x.vtt")
    assert file.cues == (Cue(1.0, 2.0, "Mary: Hello there", 10), Cue(3.0, 4.0, "Two cues", 13), Cue(5.0, 6.0, "without a gap", 15))
    assert file.problems == ()


def test_line_ends_of_any_kind_say_the_same(read) -> None:
    assert read(SRT.replace("\n", "\r\n")) == read(SRT) == read(SRT.replace("\n", "\r"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1", "cp1252"])
@pytest.mark.parametrize("ending", [".srt", ".vtt"])
def test_every_usual_encoding_says_the_same(read, encoding: str, ending: str) -> None:
    text = ("WEBVTT\n\n" if ending == ".vtt" else "") + "00:00:01.000 --> 00:00:02.000\nDéjà vu, señor Müller\n"
    file = read(text.encode(encoding), "x" + ending)
    assert [cue.text for cue in file.cues] == ["Déjà vu, señor Müller"]
    assert file.is_guessed == (encoding in ("latin-1", "cp1252"))


def test_utf16_without_a_mark_is_known_in_other_scripts(read) -> None:
    text = "1\n00:00:01,000 --> 00:00:02,000\n" + "我们在这里说话。" * 20
    assert [cue.text for cue in read(text.encode("utf-16-le")).cues] == ["我们在这里说话。" * 20]


def test_what_is_no_text_is_not_guessed_to_be_one_in_an_old_encoding(read) -> None:
    with pytest.raises(InputError, match="no text that can be read"):
        read(bytes(range(256)) * 20)
    assert read(bytes(range(1, 256))).encoding == "latin-1", "the control: without a NUL it may be one"


def test_text_without_times_is_told(read) -> None:
    (problem,) = read("This is no subtitle file.\nAt all.\n").problems
    assert problem.line == 1


def test_words_behind_an_empty_line_go_on_and_a_cue_without_an_arrow_does_not(read) -> None:
    file = read("1\n00:00:01,000 --> 00:00:02,000\n- Who?\n\n- Me.\n\n2\n00:00:03,000 00:00:04,000\nLost.\n\n3\n00:00:05,000 --> 00:00:06,000\n\nLate words\n")
    assert [cue.text for cue in file.cues] == ["- Who?\n- Me.", "Late words"]
    assert [problem.line for problem in file.problems] == [7]


def test_a_missing_empty_line_leaves_the_next_number_to_the_next_cue(read) -> None:
    file = read("1\n00:00:01,000 --> 00:00:02,000\nHow many?\n2\n00:00:02,000 --> 00:00:03,000\nHe is\n42\n\n3\n00:00:04,000 --> 00:00:05,000\nOh.\n")
    assert [cue.text for cue in file.cues] == ["How many?", "He is\n42", "Oh."]


@pytest.mark.parametrize(
    "times", ["-00:00:01,000 --> 00:00:02,000", "00:00:02,000 --> 00:00:02,000", "00:00:03,000 --> 00:00:02,000", "--> 00:00:02,000", "00:61:00,000 -->"]
)
def test_times_that_no_cue_can_have_are_told(read, times: str) -> None:
    file = read(f"1\n{times}\nHello\n\n2\n00:00:05,000 --> 00:00:06,000\nSound\n")
    assert [cue.text for cue in file.cues] == ["Sound"]
    assert [problem.line for problem in file.problems] == [2]


def test_cues_out_of_order_come_in_time_order_and_overlapping_ones_both_stay(read) -> None:
    file = read("00:00:05,000 --> 00:00:09,000\nlong\n\n00:00:06,000 --> 00:00:07,000\nover it\n\n00:00:01,000 --> 00:00:02,000\nfirst\n")
    assert [cue.text for cue in file.cues] == ["first", "long", "over it"]


def test_a_text_that_cannot_be_stored_is_told(read) -> None:
    file = read("00:00:01,000 --> 00:00:02,000\nnul \0 here, in words enough to be UTF-8\n\n00:00:03,000 --> 00:00:04,000\n" + "x" * 100_001)
    assert file.cues == () and [problem.line for problem in file.problems] == [1, 4]


@pytest.mark.parametrize("text", ["<a" * 200_000, "{\\" * 200_000, "<v" + " " * 200_000, "<v." + "." * 200_000, "<00:" * 100_000])
def test_hostile_markup_is_read_in_no_time(text: str) -> None:
    assert plain_text(text)


def test_hostile_gaps_are_read_in_no_time(read) -> None:
    assert len(read("00:00:01,000 --> 00:00:02,000\n" + "words\n\n" * 100_000).problems) == 1  # one text, too long


def test_other_formats_and_missing_files_are_refused_with_a_sentence(tmp_path: Path, read) -> None:
    with pytest.raises(NotFoundError, match="no file"):
        read_subtitles(tmp_path / "none.srt")
    with pytest.raises(InputError, match="ASS"):
        read("[Script Info]\nTitle: x\n", "x.ass")
    with pytest.raises(InputError, match="vid_name"):
        read('{"a": 1}', "x.jsonl")
    with pytest.raises(InputError, match="JSON"):
        read("1\n00:00", "x.json")


TVQA = {
    "vid_name": "castle_s01e01_seg02_clip_00",
    "sub": [{"text": "Castle : Where?", "start": 1.25, "end": 2.5}, {"text": "bad", "start": 4, "end": 3}, {"text": "x", "start": 1}],
}


@pytest.mark.parametrize("text", [json.dumps(TVQA) + "\n" + json.dumps({"vid_name": "b", "sub": []}) + "\n", json.dumps([TVQA, {"vid_name": "b", "sub": []}])])
def test_tvqa_subtitles_are_read_as_lines_and_as_an_array(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tvqa_preprocessed_subtitles.jsonl"
    path.write_text(text)
    clips = read_tvqa_subtitles(path)
    assert list(clips) == ["castle_s01e01_seg02_clip_00", "b"]
    file = read_subtitles(path, "castle_s01e01_seg02_clip_00")
    assert file.cues == (Cue(1.25, 2.5, "Castle : Where?", 1),)
    assert ["Subtitle 2" in file.problems[0].reason, "Subtitle 3" in file.problems[1].reason] == [True, True]
    with pytest.raises(InputError, match="2 clips"):
        read_subtitles(path)
    with pytest.raises(NotFoundError, match="'c'"):
        read_subtitles(path, "c")


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"], exclude_characters="<>{}&\\\u0085"), min_size=1, max_size=12).filter(
    lambda word: not word.isdecimal()
)
MILLISECONDS = st.integers(0, 90 * 3_600_000)
SPANS = st.tuples(MILLISECONDS, st.integers(1, 10_000), st.lists(WORDS, min_size=1, max_size=3))


@given(st.lists(SPANS, max_size=8), st.sampled_from(["srt", "vtt"]))
def test_a_sound_file_of_another_writer_is_read_as_that_writer_reads_it(tmp_path_factory: pytest.TempPathFactory, spans: list, ending: str) -> None:
    written = pysubs2.SSAFile()
    written.events = [pysubs2.SSAEvent(start, start + lasts, "\\N".join(words)) for start, lasts, words in spans]
    path = tmp_path_factory.getbasetemp() / f"sound.{ending}"
    path.write_text(written.to_string(ending), encoding="utf-8")
    file = read_subtitles(path)
    assert file.problems == ()
    told = [(event.start / 1000, event.end / 1000, event.plaintext) for event in pysubs2.load(str(path), format_=ending)]
    assert [(cue.start_s, cue.end_s, cue.text) for cue in file.cues] == sorted(told, key=lambda one: one[:2])


@given(st.text(st.sampled_from(list("0123:,.-> \n<v>{}NOTEx")), max_size=300))
def test_whatever_a_file_holds_each_arrow_is_a_cue_or_is_told(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.srt"
    path.write_text(text, encoding="utf-8")
    file = read_subtitles(path)
    assert all(0 <= cue.start_s < cue.end_s and cue.text for cue in file.cues)
    arrows = {number for number, line in enumerate(text.split("\n"), start=1) if "-->" in line}
    told = {cue.line for cue in file.cues} | {problem.line for problem in file.problems}
    silent = arrows - told
    lines = text.split("\n")
    # Only cues that say nothing are passed over.
    assert all(line == len(lines) or not plain_text(lines[line]).strip() for line in silent)


TIMES = st.integers(0, 40).map(lambda half: half / 2)
CUES = st.lists(st.builds(lambda start, lasts: Cue(start, start + lasts, "x"), TIMES, TIMES), max_size=15)


@given(CUES, st.lists(st.tuples(TIMES, TIMES), max_size=10))
def test_each_window_hears_what_overlaps_it_by_true_time(cues: list[Cue], windows: list[tuple[float, float]]) -> None:
    in_order = sorted(cues, key=lambda cue: cue.start_s)
    assert align(cues, windows) == [tuple(cue for cue in in_order if max(cue.start_s, start) < min(cue.end_s, end)) for start, end in windows]
