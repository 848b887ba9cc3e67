"""From a frame to the picture shown: its size, its colours, and sizes that no picture has."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.errors import InputError
from store.media import read_frames
from store.pictures import Canvas, check_size
from tests.store.kinds import make_coloured

sides = st.integers(1, 5000)
BT601, BT709 = (0.299, 0.114), (0.2126, 0.0722)


@given(sides, sides, st.fractions(Fraction(1, 4), Fraction(4)), st.integers(0, 3), sides)
def test_shrinking_keeps_the_shape_and_never_enlarges(width: int, height: int, pixel_shape: Fraction, turns: int, longest: int) -> None:
    canvas = Canvas(width, height, pixel_shape)
    whole, shrunk = canvas.shown(turns), canvas.shown(turns, longest)
    assert max(shrunk) <= longest or shrunk == whole
    assert all(1 <= small <= large for small, large in zip(shrunk, whole, strict=True))
    assert abs(shrunk[0] * whole[1] - shrunk[1] * whole[0]) <= max(whole), "within half a pixel"
    assert canvas.shown(turns, (longest, 7)) == (longest, 7)
    assert canvas.shown((turns + 1) % 4) == whole[::-1]


@pytest.mark.parametrize("size", [0, -1, True, 2.0, float("nan"), "448", 16_385, (0, 10), (10, -1), (10,), (10, 10, 3), (10, 1e3), (100_000, 100_000)])
def test_sizes_that_no_picture_has_are_refused(tmp_path: Path, size: object) -> None:
    with pytest.raises(InputError, match=r"px cannot be made|neither the longest side"):
        check_size(size)  # type: ignore[arg-type]
    path = tmp_path / "colours.mkv"
    make_coloured(path)
    with pytest.raises(InputError):
        read_frames(path, [0.0], size)  # type: ignore[arg-type]


@pytest.mark.parametrize(("height", "weights"), [(96, BT601), (720, BT709)])
@pytest.mark.parametrize(("shrink", "pixel_format"), [(1, "yuv444p"), (4, "yuv444p"), (4, "yuv420p"), (4, "yuv420p10le")])
def test_colours_are_those_of_the_formula(tmp_path: Path, height: int, weights: tuple[float, float], shrink: int, pixel_format: str) -> None:
    path = tmp_path / "colours.mkv"
    yuv = make_coloured(path, size=(128, height), pixel_format=pixel_format).astype(float)
    size = 128 // shrink, height // shrink
    # ITU-R BT.601-7 and BT.709-6, 3: luma of 219 steps from 16, colour differences of 224 steps around 128.
    (red, blue), luma, difference = weights, (yuv[0] - 16) / 219, (yuv[1:] - 128) / 112
    r, b = luma + (1 - red) * difference[1], luma + (1 - blue) * difference[0]
    whole = 255 * np.dstack([r, (luma - red * r - blue * b) / (1 - red - blue), b])
    assert whole.min() > 0 and whole.max() < 255, "nothing is clipped"
    expected = whole.reshape(size[1], shrink, size[0], shrink, 3).mean(axis=(1, 3))
    off = read_frames(path, [0.0], size).pixels[0] - expected
    assert np.abs(off.mean(axis=(0, 1))).max() < 0.15
    assert np.abs(off).max() < 1.6
    with av.open(str(path)) as container:
        plain = next(container.decode(video=0)).reformat(*size, "rgb24", src_colorspace="ITU709" if height == 720 else "ITU601", interpolation="AREA")
    if pixel_format == "yuv420p":
        assert (plain.to_ndarray() - expected).mean() < -1, "the control: by default pictures come out too dark"
