"""Which moments are shown, how large, and how many tokens that is."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.errors import InputError
from store.media import media_path
from tests.training.conftest import COLOURS, FRAME_COUNT, FRAMES_A_SECOND, HEIGHT, WIDTH, Studio
from training.frames import MAX_PIXELS, MIN_PIXELS, TOKEN_SIDE_PX, decode_all, grid_size, midpoints, scaled_size, visual_tokens
from training.rows import ClipSpan

sides = st.integers(8, 4000)


@given(st.floats(0, 1e4), st.floats(0.01, 1e4), st.integers(1, 64))
def test_midpoints_stand_apart_evenly_and_inside_the_span(start: float, length: float, count: int) -> None:
    times = midpoints(start, start + length, count)
    assert times.shape == (count,)
    assert start < times[0] and times[-1] < start + length
    assert np.allclose(np.diff(times), length / count, rtol=1e-6, atol=1e-9)
    assert times.mean() == pytest.approx(start + length / 2)


@given(sides, sides, st.integers(28, 2000))
def test_scaling_only_ever_makes_smaller_and_keeps_the_shape(width: int, height: int, longest: int) -> None:
    new_width, new_height = scaled_size(width, height, longest)
    assert max(new_width, new_height) <= longest or (new_width, new_height) == (width, height)
    assert new_width <= width and new_height <= height
    assert abs(new_width * height - new_height * width) <= max(width, height), "within half a pixel"


@given(sides, sides)
def test_a_grid_is_of_whole_tokens_within_the_limits(height: int, width: int) -> None:
    if max(height, width) > 200 * min(height, width):
        with pytest.raises(InputError):
            grid_size(height, width)
        return
    rows, columns = grid_size(height, width)
    assert rows % TOKEN_SIDE_PX == columns % TOKEN_SIDE_PX == 0
    assert MIN_PIXELS <= rows * columns <= MAX_PIXELS
    assert visual_tokens(4, height, width) == 2 * visual_tokens(2, height, width) == 2 * rows * columns // TOKEN_SIDE_PX**2


def test_published_budgets_are_reproduced() -> None:
    # 16 frames as one video, without the 300 tokens of text: 812 - 300 and 1452 - 300.
    assert visual_tokens(16, 224, 224) == 512
    assert visual_tokens(16, 252, 448) == 1152


def decode(root: Path, *clips: ClipSpan, count: int = 4, longest: int = 56, on_progress: Callable[[int], None] = lambda done: None) -> list:
    return list(decode_all(root, clips, count, longest, on_progress).values())


def test_frames_are_those_of_the_clips_own_span(studio: Studio) -> None:
    digest = studio.digests["red"]
    early, late = ClipSpan("early", digest, 0.0, 0.5), ClipSpan("late", digest, 1.5, None)
    frames = decode(studio.data, early, late, longest=WIDTH)
    assert [clip.span_s for clip in frames] == [0.5, pytest.approx(FRAME_COUNT / FRAMES_A_SECOND - 1.5, abs=0.09)]
    redness = [clip.pixels()[..., 0].astype(int) - clip.pixels()[..., 2] for clip in frames]
    where = [(np.argwhere(picture > 60)[:, 2]).mean() for picture in redness]
    assert where[0] < WIDTH / 3 and where[1] > WIDTH / 2, "the bar moves from left to right"
    assert frames[0].pixels().shape == (4, HEIGHT, WIDTH, 3)
    assert COLOURS["red"][0] > COLOURS["red"][2]


def test_tokens_are_counted_from_the_decoded_size(studio: Studio) -> None:
    (clip,) = decode(studio.data, ClipSpan("c", studio.digests["blue"], 0.0, 1.0), count=6, longest=56)
    width, height = scaled_size(WIDTH, HEIGHT, 56)
    assert (clip.width, clip.height) == (width, height)
    assert clip.tokens == visual_tokens(6, height, width)


def test_a_span_is_decoded_once_however_many_rows_share_it(studio: Studio) -> None:
    clip, done = ClipSpan("c", studio.digests["blue"], 0.0, 1.0), []
    (first,) = decode(studio.data, clip, clip, clip, on_progress=done.append)
    assert done == [1]
    written = first.path.stat().st_mtime_ns
    (again,) = decode(studio.data, clip)
    assert again.path.stat().st_mtime_ns == written
    (finer,) = decode(studio.data, clip, count=8)
    assert finer.path != first.path, "another number of frames is another decoding"


def test_all_unreadable_clips_are_told_at_once(studio: Studio) -> None:
    for digest in ("a" * 64, "b" * 64):
        media_path(studio.data, digest).parent.mkdir(parents=True, exist_ok=True)
        media_path(studio.data, digest).write_bytes(b"this is no video")
    clips = [ClipSpan(f"clip {digest[0]}", digest, 0.0, None) for digest in ("a" * 64, studio.digests["red"], "b" * 64)]
    with pytest.raises(InputError, match="2 clips could not be read") as refused:
        decode(studio.data, *clips)
    assert "clip a:" in str(refused.value) and "clip b:" in str(refused.value)


def test_a_span_that_starts_after_the_end_of_its_file_is_refused(studio: Studio) -> None:
    with pytest.raises(InputError, match="starts at 60 s"):
        decode(studio.data, ClipSpan("late", studio.digests["red"], 60.0, None))
