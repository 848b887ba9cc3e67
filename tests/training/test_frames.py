"""How a clip lies in its file, and how large its pictures are read."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.errors import InputError
from store.media import media_path
from tests.training.conftest import FRAME_COUNT, FRAMES_A_SECOND, HEIGHT, WIDTH, Studio
from training.frames import Stretch, look_at, scaled_size, stretch_of
from training.rows import ClipSpan

sides = st.integers(8, 4000)


@given(sides, sides, st.integers(28, 2000))
def test_scaling_only_ever_makes_smaller_and_keeps_the_shape(width: int, height: int, longest: int) -> None:
    new_width, new_height = scaled_size(width, height, longest)
    assert max(new_width, new_height) <= longest or (new_width, new_height) == (width, height)
    assert new_width <= width and new_height <= height
    assert abs(new_width * height - new_height * width) <= max(width, height), "within half a pixel"


def look(root: Path, *clips: ClipSpan, longest: int = 56, on_progress: Callable[[int], None] = lambda done: None) -> list[Stretch]:
    return list(look_at(root, clips, longest, on_progress).values())


def test_a_clip_is_found_as_it_lies_in_its_file(studio: Studio) -> None:
    digest = studio.digests["red"]
    early, late = look(studio.data, ClipSpan("early", digest, 0.25, 0.5), ClipSpan("late", digest, 1.5, None))
    width, height = scaled_size(WIDTH, HEIGHT, 56)
    assert early == Stretch(digest, 0.25, 0.5, width, height, pytest.approx(FRAMES_A_SECOND))
    assert late.length_s == pytest.approx(FRAME_COUNT / FRAMES_A_SECOND - 1.5)


def test_a_span_that_was_rounded_up_ends_with_its_file(studio: Studio) -> None:
    (rounded,) = look(studio.data, ClipSpan("rounded", studio.digests["red"], 0.0, 60.0))
    assert rounded.end_s == pytest.approx(FRAME_COUNT / FRAMES_A_SECOND)


def test_a_span_is_looked_at_once_however_many_rows_share_it(studio: Studio) -> None:
    clip, done = ClipSpan("c", studio.digests["blue"], 0.0, 1.0), []
    look(studio.data, clip, clip, ClipSpan("d", studio.digests["blue"], 0.0, 0.5), on_progress=done.append)
    assert done == [1, 2]


def test_all_unreadable_clips_are_told_at_once(studio: Studio) -> None:
    for digest in ("a" * 64, "b" * 64):
        media_path(studio.data, digest).parent.mkdir(parents=True, exist_ok=True)
        media_path(studio.data, digest).write_bytes(b"this is no video")
    clips = [ClipSpan(f"clip {digest[0]}", digest, 0.0, None) for digest in ("a" * 64, studio.digests["red"], "b" * 64)]
    with pytest.raises(InputError, match="2 clips could not be read") as refused:
        look(studio.data, *clips)
    assert "clip a:" in str(refused.value) and "clip b:" in str(refused.value)


def test_a_span_that_starts_after_the_end_of_its_file_is_refused(studio: Studio) -> None:
    for end_s in (None, 61.0):
        with pytest.raises(InputError, match="starts at 60 s"):
            look(studio.data, ClipSpan("late", studio.digests["red"], 60.0, end_s))


@pytest.mark.parametrize(("known", "word"), [((None, 48, 2.0), "size"), ((64, 48, None), "How long"), ((6400, 16, 2.0), "200 times")])
def test_what_is_not_known_of_a_file_is_refused_with_its_reason(known: tuple, word: str) -> None:
    clip = ClipSpan("c", "d", 0.0, None)
    assert stretch_of(clip, SimpleNamespace(frame_count=None, width=64, height=48, duration_s=2.0, health_reason=None), 56).end_s == 2.0, "the control"
    width, height, duration_s = known
    with pytest.raises(InputError, match=word):
        stretch_of(clip, SimpleNamespace(frame_count=None, width=width, height=height, duration_s=duration_s, health_reason=None), 8000)
