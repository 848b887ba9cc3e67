"""Pooled pictures: all methods in one pass, near a float64 reference by time, bit by bit as POVQA's formulas by count."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from numpy.typing import NDArray

from store.errors import InputError
from store.media import ShownFrame, frame_times, read_frames, shown_frames
from tests.clips import make_clip, uneven_times
from training.pooling import METHODS, Pooled, PoolSettings, average_fps, pool, windows_of

TIME, POVQA = PoolSettings(), PoolSettings(weights="povqa")
Picture = NDArray[np.uint8]


def noise(count: int, shape: tuple[int, ...] = (12, 20, 3), seed: int = 0) -> Picture:
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


def film(pictures: Picture, times_s: NDArray[np.float64], end_s: float, damaged: range = range(0)) -> Iterator[ShownFrame]:
    """Yield frames as a reader does: one array, which the next frame overwrites."""
    pixels = np.empty_like(pictures[0])
    for number, (begin_s, stop_s) in enumerate(zip(times_s, [*times_s[1:], end_s], strict=True)):
        pixels[:] = pictures[number]
        yield ShownFrame(float(begin_s), float(stop_s), pixels, number not in damaged)
        pixels[:] = 99


def steady(pictures: Picture, fps: float, damaged: range = range(0)) -> Iterator[ShownFrame]:
    return film(pictures, np.arange(len(pictures)) / fps, len(pictures) / fps, damaged)


def exact(window: Pooled, method: str, pictures: Picture, times_s: NDArray[np.float64]) -> Picture:
    """Return the rounded average in float64 by the weights that the window tells."""
    used = pictures[np.searchsorted(times_s, window.times_s)].astype(np.float64)
    return np.rint(np.tensordot(window.weights[method], used, axes=1)).astype(np.uint8)


# ---- by time -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("window_s", [0.2, 1.0, 60.0])
@pytest.mark.parametrize("fps", [24, 30000 / 1001, None])
def test_pictures_are_the_average_by_the_weights_told(fps: float | None, window_s: float) -> None:
    steps_s = np.random.default_rng(1).integers(10, 90, 200) / 1000 if fps is None else np.full(200, 1 / fps)
    times_s, pictures = np.concatenate([[0], np.cumsum(steps_s)[:-1]]), noise(200)
    wrong = total = 0
    for window in pool(film(pictures, times_s, float(steps_s.sum())), METHODS, PoolSettings(window_s=window_s)):
        for method in METHODS:
            off = np.abs(window.pictures[method].astype(int) - exact(window, method, pictures, times_s))
            assert off.max() <= 1
            wrong, total = wrong + np.count_nonzero(off), total + off.size
    assert wrong <= 0.01 * total


@pytest.mark.parametrize("count", [1, 2, 3, 24, 30, 60])
def test_the_uniform_average_of_frames_of_one_length_is_exact_ties_included(count: int) -> None:
    pictures = noise(count, (64, 64, 3))
    (window,) = pool(steady(pictures, count), ["WA"], TIME)
    # The nearest level by whole numbers, to the even one from a tie.
    level, rest = np.divmod(pictures.sum(axis=0, dtype=np.int64), count)
    expected = level + (2 * rest + level % 2 > count)
    assert (window.pictures["WA"] == expected).all()


def test_windows_and_weights_are_those_that_the_preview_is_told() -> None:
    times_s = uneven_times(70)
    end_s = float(times_s[-1]) + 0.1
    plan = windows_of(times_s, end_s, TIME, start_s=0.3)
    done = list(pool(film(noise(70), times_s, end_s), METHODS, TIME, 0.3))
    assert [(one.number, one.start_s, one.end_s) for one in done] == [(one.number, one.start_s, one.end_s) for one in plan]
    for one, other in zip(done, plan, strict=True):
        assert one.times_s.tolist() == other.times_s.tolist()
        assert all((one.weights[method] == other.weights[method]).all() for method in METHODS)


def test_each_method_alone_gives_the_picture_that_it_gives_with_all() -> None:
    pictures = noise(40)
    for settings in (TIME, POVQA):
        together = list(pool(steady(pictures, 24), METHODS, settings, fps=24))
        for method in METHODS:
            alone = list(pool(steady(pictures, 24), [method], settings, fps=24))
            assert [list(window.pictures) for window in alone] == [[method]] * 2
            assert all((one.pictures[method] == other.pictures[method]).all() for one, other in zip(alone, together, strict=True))


def test_each_frame_shown_twice_for_half_as_long_makes_the_same_pictures() -> None:
    pictures = noise(24, (40, 40, 3))
    (once,), (twice,) = (list(pool(steady(shown, fps), METHODS, TIME)) for shown, fps in ((pictures, 24), (pictures.repeat(2, axis=0), 48)))
    for method in METHODS:
        off = np.abs(once.pictures[method].astype(int) - twice.pictures[method])
        assert off.max() <= 1 and np.count_nonzero(off) <= 0.01 * off.size
    (once,), (twice,) = (list(pool(steady(shown, fps), METHODS, POVQA, fps=fps)) for shown, fps in ((pictures, 24), (pictures.repeat(2, axis=0), 48)))
    off = np.abs(once.pictures["WAE"].astype(int) - twice.pictures["WAE"])
    assert np.count_nonzero(off) > 0.5 * off.size, "the control"


@examples(max_examples=30)
@given(st.integers(0, 255), st.integers(1, 80), st.sampled_from([24, 25, 30000 / 1001, 60, 7.3]), st.booleans())
def test_a_film_of_one_level_stays_at_that_level(level: int, count: int, fps: float, linear_light: bool) -> None:
    pictures = np.full((count, 2, 3, 3), level, np.uint8)
    for window in pool(steady(pictures, fps), METHODS, PoolSettings(linear_light=linear_light)):
        assert {int(value) for method in METHODS for value in window.pictures[method].flat} == {level}


def test_light_is_averaged_and_not_its_code() -> None:
    pictures = np.array([0, 255], np.uint8).reshape(2, 1, 1, 1).repeat(3, axis=3)
    (linear,), (coded,) = (list(pool(steady(pictures, 2), ["WA"], PoolSettings(linear_light=light))) for light in (True, False))
    assert coded.pictures["WA"].flat[0] == 128
    assert linear.pictures["WA"].flat[0] == 188, "half the light by IEC 61966-2-1: 255 (1.055 x 0.5^(1/2.4) - 0.055)"
    (bright,) = pool(steady(pictures, 2), ["BBLF"], PoolSettings(linear_light=True, last_share=1.0))
    assert bright.pictures["BBLF"].flat[0] == 255


def test_a_window_comes_out_before_the_film_is_read_on() -> None:
    asked: list[int] = []

    def watched() -> Iterator[ShownFrame]:
        for number, frame in enumerate(steady(noise(90), 30)):
            asked.append(number)
            yield frame

    windows = pool(watched(), METHODS, TIME)
    next(windows)
    assert asked[-1] == 30
    next(windows)
    assert asked[-1] == 60


@pytest.mark.parametrize("window_s", [1.0, 3600.0])
def test_memory_does_not_grow_with_the_film(window_s: float) -> None:
    pictures = noise(1, (96, 160, 3)).repeat(10, axis=0)

    def peak(count: int) -> int:
        tracemalloc.start()
        for window in pool(film(_Endless(pictures), np.arange(count) / 25, count / 25), METHODS, PoolSettings(window_s=window_s)):
            assert window.pictures
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    short, long = peak(50), peak(500)
    frame = pictures[0].size
    assert long - short < 5 * frame, "450 frames more"
    assert short < 40 * frame


class _Endless:
    """Pictures without end, made from a few."""

    def __init__(self, pictures: Picture) -> None:
        self._pictures = pictures

    def __getitem__(self, number: int) -> Picture:
        return self._pictures[number % len(self._pictures)]


def test_damaged_frames_are_not_in_the_picture() -> None:
    pictures = np.full((30, 4, 4, 3), 80, np.uint8)
    pictures[6:20] = 250
    first, second, third = pool(steady(pictures, 10, damaged=range(6, 20)), METHODS, TIME)
    assert (first.damaged, second.damaged, third.damaged) == (4, 10, 0)
    assert all((first.pictures[method] == 80).all() for method in METHODS)
    assert second.pictures == {} and len(second.times_s) == 0
    assert (third.pictures["WA"] == 80).all()
    assert (next(pool(steady(pictures, 10), ["WA"], TIME)).pictures["WA"] > 80).all(), "the control"


def test_no_picture_blends_two_shots_when_windows_are_cut_at_them() -> None:
    pictures = np.full((60, 16, 16, 3), 30, np.uint8)
    pictures[20:47] = 200
    windows = list(pool(steady(pictures, 24), METHODS, PoolSettings(cut_at_shots=True)))
    assert [round(window.start_s * 24) for window in windows] == [0, 20, 24, 47, 48]
    assert [window.is_cut for window in windows] == [True, True, True, True, False]
    for window, level in zip(windows, (30, 200, 200, 30, 30), strict=True):
        assert all((window.pictures[method] == level).all() for method in METHODS)
    assert any(((picture > 30) & (picture < 200)).all() for picture in next(pool(steady(pictures, 24), METHODS, TIME)).pictures.values()), "the control"


def test_flat_planes_are_pooled_like_pictures() -> None:
    pictures = noise(30, (6, 8, 3))
    (flat,), (shaped,) = (list(pool(steady(shown, 30), METHODS, TIME)) for shown in (pictures.reshape(30, -1), pictures))
    for method in METHODS:
        assert flat.pictures[method].shape == (144,)
        assert (flat.pictures[method] == shaped.pictures[method].reshape(-1)).all()


def test_one_pixel_and_one_frame_are_enough() -> None:
    for settings in (TIME, PoolSettings(cut_at_shots=True), PoolSettings(linear_light=True)):
        (window,) = pool(steady(noise(1, (1, 1, 3)), 25), METHODS, settings)
        assert all((window.pictures[method] == noise(1, (1, 1, 3))[0]).all() for method in METHODS)
    assert list(pool(iter(()), METHODS, TIME)) == []


def test_what_cannot_be_pooled_is_refused() -> None:
    with pytest.raises(InputError, match="'MEAN'"):
        pool(steady(noise(1), 25), ["MEAN"], TIME)
    with pytest.raises(InputError, match="No pooling method"):
        pool(steady(noise(1), 25), [], TIME)
    with pytest.raises(InputError, match="planes"):
        list(pool(steady(noise(1, (24,)), 25), METHODS, PoolSettings(linear_light=True)))
    for settings in (TIME, POVQA):
        with pytest.raises(InputError, match="one exact size"):
            list(pool([*steady(noise(1), 25), ShownFrame(0.04, 0.08, noise(1, (4, 4, 3))[0], True)], METHODS, settings, fps=25))


def test_a_film_is_pooled_from_its_file(tmp_path: Path) -> None:
    times_s = make_clip(tmp_path / "clip.mp4", times_s=uneven_times(60))
    every = read_frames(tmp_path / "clip.mp4", times_s + 1e-4).pixels
    known_s, end_s = frame_times(tmp_path / "clip.mp4")
    windows = list(pool(shown_frames(tmp_path / "clip.mp4"), METHODS, TIME, end_s=end_s))
    assert len(windows) == len(windows_of(known_s, end_s, TIME)) > 1
    for window in windows:
        for method in METHODS:
            off = np.abs(window.pictures[method].astype(int) - exact(window, method, every, known_s))
            assert off.max() <= 1
    assert average_fps(known_s, end_s) == pytest.approx(60 / end_s)


# ---- as POVQA's code -----------------------------------------------------------------------------------------------


def as_published(method: str, frames: Picture) -> Picture:
    """The four formulas in plain code: 32-bit floats frame after frame, truncated; BBLF blends the truncated WAE."""
    count = len(frames)
    if method == "BBLF":
        return blend_as_published(as_published("WAE", frames), frames[-1])
    weights = {
        "WA": [0.1 + 0.9 * i / (count - 1) if count > 1 else 0.1 for i in range(count)],
        "WAE": [0.85 ** (count - 1 - i) for i in range(count)],
        "WAR": [(i + 1.0) ** 2 for i in range(count)],
    }[method]
    total = float(np.sum(np.array(weights)))
    pooled = np.zeros(frames[0].shape, np.float32)
    for frame, weight in zip(frames, weights, strict=True):
        pooled = pooled + frame.astype(np.float32) * np.float32(weight if method == "WA" else weight / total)
    return (pooled / np.float32(total if method == "WA" else 1)).astype(np.uint8)


def blend_as_published(blurred: Picture, last: Picture) -> Picture:
    """0.7 a + 0.3 b as OpenCV's vector code: the second product rounded to 32 bits, the first and the sum rounded once."""
    second = (last.astype(np.float32) * np.float32(0.3)).astype(np.longdouble)
    mixed = (blurred.astype(np.longdouble) * np.longdouble(np.float32(0.7)) + second).astype(np.float32)
    return np.minimum(np.rint(mixed), 255).astype(np.uint8)


@pytest.mark.parametrize("count", [1, 3, 24, 30, 60])
@pytest.mark.parametrize("method", METHODS)
def test_povqas_pictures_come_out_bit_by_bit(method: str, count: int) -> None:
    pictures = noise(2 * count + count // 3, (48, 64, 3), seed=count)
    windows = list(pool(steady(pictures, count), [method], POVQA, fps=count))
    assert len(windows) == 2 + (count >= 3)
    for number, window in enumerate(windows):
        expected = as_published(method, pictures[number * count : (number + 1) * count])
        assert (window.pictures[method] == expected).all()
    rounded = exact(windows[0], method, pictures[:count], np.arange(count) / count)
    assert count == 1 or (windows[0].pictures[method] != rounded).mean() > 0.1, "the control: truncation shows"


@given(st.integers(0, 255), st.integers(1, 60))
def test_povqas_truncation_may_darken_a_film_of_one_level_as_its_formula_says(level: int, count: int) -> None:
    frames = np.full((count, 1, 1, 3), level, np.uint8)
    (window,) = pool(steady(frames, count), METHODS, POVQA, fps=count)
    for method in METHODS:
        assert (window.pictures[method] == as_published(method, frames)).all()
        assert level - 1 <= int(window.pictures[method].flat[0]) <= level


def test_povqas_blend_is_seven_to_three_rounded_for_every_pair_of_levels() -> None:
    one, other = (grid.astype(np.uint8) for grid in np.meshgrid(np.arange(256), np.arange(256)))
    blend = blend_as_published(one, other).astype(int)
    tenths = 7 * one.astype(int) + 3 * other.astype(int)
    tie = tenths % 10 == 5
    assert (blend[~tie] == ((tenths + 5) // 10)[~tie]).all()
    assert np.isin(blend[tie] - tenths[tie] // 10, (0, 1)).all()
    # A window of two frames whose truncated WAE is known: the module makes the same of it.
    frames = np.stack([one, other])
    (window,) = pool(steady(frames[..., None], 2), ["WAE", "BBLF"], POVQA, fps=2)
    assert (window.pictures["BBLF"][..., 0] == blend_as_published(window.pictures["WAE"][..., 0], other)).all()
