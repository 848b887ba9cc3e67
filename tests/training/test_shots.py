"""Shot changes: cuts are found where they are; pans, shakes, fades, dissolves and flashes are none."""

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from store.media import ShownFrame
from training.shots import shot_changes

HEIGHT, WIDTH = 72, 128
Picture = NDArray[np.float64]


def scene(seed: int, width: int = WIDTH) -> Picture:
    """Return a picture of soft patches with a grain on it, different for each seed."""
    rng = np.random.default_rng(seed)
    patches = rng.uniform(20, 235, (HEIGHT // 12, width // 16, 3)).repeat(12, axis=0).repeat(16, axis=1)
    smooth = sum(np.roll(patches, step, axis=1) for step in range(16)) / 16
    return np.clip(smooth + rng.normal(0, 3, smooth.shape), 0, 255)


def still(seed: int, count: int) -> list[Picture]:
    rng = np.random.default_rng(100 + seed)
    return [scene(seed) + rng.normal(0, 2, (HEIGHT, WIDTH, 3)) for _ in range(count)]


def pan(seed: int, count: int, pace: int = 3) -> list[Picture]:
    wide = scene(seed, WIDTH + pace * count + 16)
    return [wide[:, pace * i : pace * i + WIDTH] for i in range(count)]


def film(pictures: list[Picture], fps: float = 24, planes: bool = False, damaged: range = range(0)) -> Iterator[ShownFrame]:
    for number, picture in enumerate(pictures):
        pixels = np.clip(picture, 0, 255).astype(np.uint8)
        if planes:
            luma, chroma = pixels[..., 1].reshape(-1), np.full(HEIGHT * WIDTH // 2, 128, np.uint8)
            pixels = np.concatenate([luma, chroma])
        yield ShownFrame(number / fps, (number + 1) / fps, pixels, number not in damaged)
        pixels[:] = 0


def cuts(pictures: list[Picture], fps: float = 24, planes: bool = False, damaged: range = range(0)) -> list[int]:
    return [number for number, (_, new) in enumerate(shot_changes(film(pictures, fps, planes, damaged))) if new]


@pytest.mark.parametrize("fps", [3, 12, 24, 60, 240])
@pytest.mark.parametrize("planes", [False, True])
def test_cuts_between_still_and_moving_shots_are_found_at_their_frame(fps: float, planes: bool) -> None:
    pictures = [*still(1, 40), *pan(2, 40), *pan(3, 40, pace=2), *still(4, 40)]
    assert cuts(pictures, fps, planes) == [40, 80, 120]


def test_a_cut_is_found_when_every_frame_is_shown_twice_or_in_three_to_two() -> None:
    pictures = [*pan(2, 30), *pan(3, 30)]
    assert cuts([picture for picture in pictures for _ in range(2)], 48) == [60]
    pulled = [picture for number, picture in enumerate(pictures) for _ in range(2 + number % 2)]
    assert cuts(pulled, 60) == [75]


def test_a_cut_into_a_shot_that_changes_half_as_much_with_every_frame_is_missed() -> None:
    assert cuts([*still(1, 40), *pan(2, 40, pace=10)]) == [], "the limit that the docstring tells"


def test_motion_is_no_cut() -> None:
    assert cuts(pan(5, 60, pace=16)) == []
    wide = scene(6, WIDTH + 64)
    shaken = np.random.default_rng(7).integers(0, 64, 60)
    assert cuts([wide[:, left : left + WIDTH] for left in shaken]) == []


@pytest.mark.parametrize("frames", [6, 12, 48])
def test_fades_and_dissolves_are_no_cut(frames: int) -> None:
    shares = np.linspace(0, 1, frames)
    one, other = scene(1), scene(2)
    assert cuts([*still(1, 12), *((1 - share) * one + share * other for share in shares), *still(2, 12)]) == []
    assert cuts([*((share * one) for share in shares), *still(1, 12), *((1 - share) * one for share in shares)]) == []


@pytest.mark.parametrize("lasts", [1, 2])
def test_a_flash_is_no_cut_and_lights_that_stay_on_are_one(lasts: int) -> None:
    pictures = still(1, 60)
    lit = [np.clip(picture + 120, 0, 255) if 20 <= number < 20 + lasts else picture for number, picture in enumerate(pictures)]
    assert cuts(lit) == []
    assert cuts([np.clip(picture + 120, 0, 255) if number >= 20 else picture for number, picture in enumerate(pictures)]) == [20]


def test_damage_is_no_cut_and_does_not_hide_one() -> None:
    for first, expected in ((10, [30]), (29, [35])):
        pictures = [*still(1, 30), *still(2, 30)]
        pictures[first : first + 6] = still(9, 6)
        assert cuts(pictures, damaged=range(first, first + 6)) == expected
        assert cuts(pictures) == sorted({first, first + 6} | ({30} if first == 10 else set())), "the control: not marked, it is a short shot"


def test_frames_come_out_whole_in_order_and_stay_valid() -> None:
    pictures = [*pan(2, 30), *still(3, 30)]
    out = [frame for frame, _ in shot_changes(film(pictures))]
    assert [round(frame.start_s * 24) for frame in out] == list(range(60))
    assert all((frame.pixels == np.clip(picture, 0, 255).astype(np.uint8)).all() for frame, picture in zip(out, pictures, strict=True))


def test_no_more_than_an_eighth_of_a_second_is_held_back() -> None:
    asked: list[float] = []

    def watched() -> Iterator[ShownFrame]:
        for frame in film(still(1, 60)):
            asked.append(frame.start_s)
            yield frame

    for frame, _ in shot_changes(watched()):
        assert asked[-1] - frame.start_s < 0.125 + 2 / 24
