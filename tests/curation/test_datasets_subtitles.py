"""Spoken lines from SRT and WebVTT: what is said when, and which line of the file is broken."""

from curation.datasets.drafts import Rejection
from curation.datasets.sources import TextFile
from curation.datasets.subtitles import Cue, on_clip, read_cues

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

00:07.000 --> 00:08.000
"""


def read(text: str, name: str = "x.srt") -> list[Cue | Rejection]:
    return list(read_cues(TextFile(name, text, "")))


def test_srt_is_read_and_a_broken_cue_is_told_by_its_line() -> None:
    cues = read(SRT)
    assert [cue for cue in cues if isinstance(cue, Cue)] == [
        Cue(2, 1.0, 2.5, "Where did it go?"),
        Cue(6, 3.0, 4.0, "Over there,\nby the tree & the pond."),
        Cue(19, 3600.5, 3601.0, "Late."),
    ]
    assert [(one.file, one.line, one.field) for one in cues if isinstance(one, Rejection)] == [("x.srt", 11, "times"), ("x.srt", 15, "times")]


def test_webvtt_is_read_without_its_comments_styles_names_and_settings() -> None:
    assert read(VTT, "x.vtt") == [Cue(10, 1.0, 2.0, "Hello there"), Cue(13, 3.0, 4.0, "Two cues"), Cue(15, 5.0, 6.0, "without a gap")]


def test_line_ends_of_any_kind_say_the_same() -> None:
    assert read(SRT.replace("\n", "\r\n")) == read(SRT) == read(SRT.replace("\n", "\r"))


def test_text_without_times_is_told() -> None:
    (one,) = read("This is no subtitle file.\nAt all.\n")
    assert isinstance(one, Rejection)
    assert (one.line, one.field) == (1, "times")


def test_a_piece_of_a_film_hears_its_own_lines_on_its_own_clock() -> None:
    cues = [
        Cue(1, 0.0, 1.0, "before"),
        Cue(2, 9.0, 11.0, "over the start"),
        Cue(3, 12.0, 13.0, "inside"),
        Cue(4, 19.0, 25.0, "over the end"),
        Cue(5, 20.0, 21.0, "behind"),
    ]
    assert on_clip(cues, 10.0, 20.0) == [Cue(2, 0.0, 1.0, "over the start"), Cue(3, 2.0, 3.0, "inside"), Cue(4, 9.0, 10.0, "over the end")]
    assert on_clip(cues, 0.0, None) == cues
