"""Subtitles inside video files: the words of each text format on the clip's clock, and the reason where there are none."""

from pathlib import Path

import pytest

from store.embedded_subtitles import embedded_subtitles
from store.errors import InputError, NotFoundError
from store.subtitles import Cue
from tests.clips import make_clip, with_subtitles


def timed_text(words: str) -> bytes:
    return len(words.encode()).to_bytes(2, "big") + words.encode()


WORDS = [
    ("subrip", "mkv", b"<i>Hello</i>,\n{\\an8}there &amp; then", "Hello,\nthere & then"),
    ("webvtt", "mkv", b"<v Mary>Hello", "Mary: Hello"),
    ("ass", "mkv", b"0,0,Default,Mary,0,0,0,,{\\i1}Hello{\\i0}\\Nyou, there", "Mary: Hello\nyou, there"),
    ("mov_text", "mp4", timed_text("D\u00e9j\u00e0 vu <3"), "D\u00e9j\u00e0 vu <3"),
]


@pytest.mark.parametrize(("codec", "ending", "content", "said"), WORDS)
def test_each_text_format_gives_its_words_with_their_times(tmp_path: Path, codec: str, ending: str, content: bytes, said: str) -> None:
    (stream,) = embedded_subtitles(with_subtitles(tmp_path / f"clip.{ending}", codec, [(0.5, 1.25, content)]))
    assert (stream.codec, stream.language, stream.reason, stream.problems) == (codec, "ger", None, ())
    assert [(cue.start_s, cue.end_s, cue.text) for cue in stream.cues] == [(0.5, 1.75, said)]


def test_times_count_from_where_the_clip_begins(tmp_path: Path) -> None:
    (stream,) = embedded_subtitles(with_subtitles(tmp_path / "late.mkv", "subrip", [(0.5, 1.0, b"Hello")], starts_s=8.0))
    assert stream.cues == (Cue(0.5, 1.5, "Hello", 1),)


def test_a_line_that_begins_before_the_first_picture_is_heard_from_the_clips_start(tmp_path: Path) -> None:
    said = [(-1.0, 0.5, b"Before"), (-0.5, 1.0, b"Hello")]
    (stream,) = embedded_subtitles(with_subtitles(tmp_path / "late.mkv", "subrip", said, starts_s=8.0))
    assert stream.cues == (Cue(0.0, 0.5, "Hello", 2),)
    assert [problem.line for problem in stream.problems] == [1]


def test_what_cannot_be_kept_is_told_and_what_says_nothing_is_passed_over(tmp_path: Path) -> None:
    path = with_subtitles(tmp_path / "clip.mkv", "subrip", [(0.5, 1.0, b"\xff\xfe\xfa"), (1.0, 1.0, b"<i></i>"), (1.5, 1.0, b"Sound")])
    (stream,) = embedded_subtitles(path)
    assert [cue.text for cue in stream.cues] == ["Sound"]
    assert [problem.line for problem in stream.problems] == [1]


def test_a_drawing_in_ass_is_no_speech(tmp_path: Path) -> None:
    path = with_subtitles(tmp_path / "clip.mkv", "ass", [(0.5, 1.0, b"0,0,Default,,0,0,0,,{\\p1}m 0 0 l 10 10")])
    assert embedded_subtitles(path)[0].cues == ()


def test_subtitles_that_are_pictures_are_named_with_the_reason(tmp_path: Path) -> None:
    (stream,) = embedded_subtitles(with_subtitles(tmp_path / "clip.mkv", "dvd_subtitle", [(0.5, 1.0, b"\0" * 30)]))
    assert stream.cues == () and "pictures (dvd_subtitle)" in str(stream.reason)


def test_a_clip_without_subtitles_has_none_and_no_video_is_an_error(tmp_path: Path) -> None:
    make_clip(tmp_path / "clip.mp4", seconds=0.4)
    assert embedded_subtitles(tmp_path / "clip.mp4") == ()
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    with pytest.raises(InputError):
        embedded_subtitles(tmp_path / "bad.mp4")
    with pytest.raises(NotFoundError):
        embedded_subtitles(tmp_path / "none.mp4")
