"""What bytes, boxes and stream names tell."""

import io
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.containers import boxes_of, browser_plays, container_name, shown_size


def box(kind: bytes, content: bytes = b"", *, size: int | None = None) -> bytes:
    return (8 + len(content) if size is None else size).to_bytes(4, "big") + kind + content


@pytest.mark.parametrize(
    ("container", "video", "pixels", "audio", "plays"),
    [
        ("mp4", "h264", "yuv420p", "aac", True),
        ("mp4", "h264", "yuvj420p", None, True),
        ("mp4", "av1", "yuv420p10le", "opus", True),
        ("mp4", "vp9", "yuv420p", "mp3", True),
        ("mov", "h264", "yuv420p", "aac", True),
        ("webm", "vp8", "yuv420p", "vorbis", True),
        ("webm", "vp9", "yuv420p10le", "opus", True),
        ("mp4", "h264", "yuv420p10le", None, False),
        ("mp4", "h264", "yuv422p", None, False),
        ("mp4", "h264", "yuv444p", None, False),
        ("mp4", "hevc", "yuv420p", None, False),
        ("mp4", "mpeg4", "yuv420p", "aac", False),
        ("mp4", "h264", "yuv420p", "ac3", False),
        ("mov", "mjpeg", "yuvj420p", None, False),
        ("webm", "theora", "yuv420p", None, False),
        ("matroska", "h264", "yuv420p", "aac", False),
        ("avi", "h264", "yuv420p", None, False),
        ("gif", "gif", "bgra", None, False),
    ],
)
def test_the_streams_decide_what_a_browser_plays(container: str, video: str, pixels: str, audio: str | None, plays: bool) -> None:
    assert browser_plays(container, video, pixels, audio) is plays


def test_containers_that_share_a_demuxer_are_told_apart() -> None:
    webm = b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm\x42\x87\x81\x04"
    mkv = b"\x1a\x45\xdf\xa3\xa3\x42\x86\x81\x01\x42\x82\x88matroska\x42\x87\x81\x04"
    assert container_name("matroska,webm", "", webm) == "webm"
    assert container_name("matroska,webm", "", mkv) == "matroska"
    assert container_name("mov,mp4,m4a,3gp,3g2,mj2", "isom", b"") == "mp4"
    assert container_name("mov,mp4,m4a,3gp,3g2,mj2", "qt  ", b"") == "mov"
    assert container_name("avi", "", b"") == "avi"


def test_boxes_are_listed_and_a_cut_is_seen() -> None:
    whole = box(b"ftyp", b"isom") + box(b"moov", b"x" * 30) + box(b"mdat", b"y" * 50)
    found = boxes_of(io.BytesIO(whole))
    assert (found.kinds, found.cut_off) == (("ftyp", "moov", "mdat"), False)
    assert boxes_of(io.BytesIO(whole[:-1])).cut_off


@given(st.integers(1, 200))
def test_every_cut_inside_a_box_is_seen(missing: int) -> None:
    whole = box(b"ftyp", b"isom") + box(b"mdat", b"y" * 300)
    assert boxes_of(io.BytesIO(whole[:-missing])).cut_off


def test_a_box_to_the_end_of_the_file_and_padding_after_the_last_are_no_cut() -> None:
    assert not boxes_of(io.BytesIO(box(b"ftyp") + box(b"mdat", b"y" * 50, size=0))).cut_off
    long = (1).to_bytes(4, "big") + b"mdat" + (66).to_bytes(8, "big") + b"y" * 50
    assert not boxes_of(io.BytesIO(long)).cut_off
    assert boxes_of(io.BytesIO(long[:-1])).cut_off
    assert not boxes_of(io.BytesIO(box(b"mdat", b"y" * 50) + b"\xff" * 40)).cut_off


@given(st.binary(max_size=200))
def test_any_bytes_have_boxes_or_none(content: bytes) -> None:
    assert len(boxes_of(io.BytesIO(content)).kinds) <= 25


def test_shown_sizes_are_those_that_chromium_reports() -> None:
    assert shown_size(200, 112, Fraction(224, 225), 0) == (200, 113)
    assert shown_size(160, 64, Fraction(4, 3), 0) == (213, 64)
    assert shown_size(568, 320, Fraction(1), 3) == (320, 568)
    assert shown_size(720, 576, Fraction(0), 0) == (720, 576), "an unknown pixel shape is square"
