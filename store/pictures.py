"""From a decoded frame to the picture that a player shows: size, rotation, pixel shape and colours. PyAV is imported inside functions."""

from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from store.containers import shown_size
from store.errors import InputError
from store.frame_index import Ints

if TYPE_CHECKING:
    import av

Size = int | tuple[int, int] | None  # of a picture in pixels: its longest side (never enlarged), exactly (width, height), or as it is
Pixels = NDArray[np.uint8]

_MOST_SIDE_PX = 16_384
_BT709, _UNNAMED_COLOURS, _BT601 = 1, 2, 5  # as FFmpeg numbers colour matrices
_HD_LINES = 720  # from here on players take an unnamed colour matrix for BT.709, below for BT.601
_PLAIN = {"yuv420p", "yuvj420p"}
_LEFT_SITED = {"h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4"}  # as their decoders say of frames, and PyAV does not pass on
# What swscale writes as RGB pixels is 1 to 2 levels too dark unless told otherwise; as RGB planes it is right, and sooner done.
# AREA: the mean of what a pixel covers. BITEXACT: the same on every processor.
_PLANAR = "gbrp"
_EXACT = 0x20 | 0x40000 | 0x80000  # AREA | ACCURATE_RND | BITEXACT, as FFmpeg numbers them


@dataclass(frozen=True)
class Canvas:
    """The size in which a file stores its pictures; a stream may change it on the way, and then this one is kept."""

    width: int  # pixels
    height: int
    pixel_shape: Fraction  # width of a pixel over its height

    def shown(self, turns: int, size: Size = None) -> tuple[int, int]:
        """Return (width, height) of the picture as shown after so many quarter turns, in the size asked for."""
        if isinstance(size, tuple):
            return size
        width, height = shown_size(self.width, self.height, self.pixel_shape, turns)
        share = min(1.0, (size or max(width, height)) / max(width, height))
        return max(1, round(width * share)), max(1, round(height * share))

    def unturned(self, turns: int, size: Size = None) -> tuple[int, int]:
        """Return (width, height) that a picture of this size has before it is turned; without a size, as it is stored."""
        if size is None:
            return self.width, self.height
        width, height = self.shown(turns, size)
        return (height, width) if turns % 2 else (width, height)


@dataclass(frozen=True)
class PlaneShape:
    """How the flat planes of a file are to be read: 4:2:0 with 8 bits, Y, then U, then V, row by row without padding, not turned."""

    canvas: Canvas
    size: Size  # in which they were asked for
    turns: int  # quarter turns counterclockwise that a player makes
    pixel_format: str  # "yuv420p" or "yuvj420p"
    matrix: int  # of colours, as FFmpeg numbers them
    colour_range: int
    siting: str  # where a colour lies among the pixels that it serves, as FFmpeg names it

    @property
    def planes(self) -> tuple[tuple[int, int], ...]:
        """Height and width of Y, U and V in pixels; their products add up to the length of the flat array."""
        width, height = self.canvas.unturned(self.turns, self.size)
        half = (height + 1) // 2, (width + 1) // 2
        return (height, width), half, half


def check_size(size: Size) -> None:
    """Raise InputError when a size is not one that pictures can have."""
    sides = size if isinstance(size, tuple) else () if size is None else (size,)
    if isinstance(size, tuple) and len(size) != 2:
        raise InputError(f"The size {size} is neither the longest side nor (width, height).")
    for side in sides:
        if isinstance(side, bool) or not isinstance(side, int | np.integer) or not 1 <= side <= _MOST_SIDE_PX:
            raise InputError(f"A picture of {side} px cannot be made: a side must be a whole number of 1 or more and at most {_MOST_SIDE_PX}.")


def quarter_turns(frame: "av.VideoFrame") -> int:
    """Return how many quarter turns counterclockwise a player makes, 0-3."""
    return round(frame.rotation / 90) % 4


class Painter:
    """Turns the frames of one file into pictures of one size, all turned as the first one is."""

    def __init__(self, canvas: Canvas, size: Size = None) -> None:
        """Raise InputError when the size is not one that pictures can have."""
        from av.video.reformatter import VideoReformatter

        check_size(size)
        self._canvas = canvas
        self._size = size
        self._turns = -1  # not known yet
        self._scaler, self._packer = VideoReformatter(), VideoReformatter()  # each keeps what it prepared for the last frame

    def picture(self, frame: "av.VideoFrame") -> Pixels:
        """Return a frame as shown: (height, width, 3) RGB, shrunk by the mean over what a pixel covers."""
        self._look_at(frame)
        return self._paint(frame)

    def _look_at(self, frame: "av.VideoFrame") -> None:
        if self._turns < 0:
            self._turn(quarter_turns(frame))

    def _turn(self, turns: int) -> None:
        self._turns = turns
        self._stored = self._canvas.unturned(turns, self._size)  # of planes
        width, height = self._canvas.shown(turns, self._size)
        self._unturned = (height, width) if turns % 2 else (width, height)  # of pictures

    def _paint(self, frame: "av.VideoFrame") -> Pixels:
        # One thread: the caller has as many processes as cores.
        planar = self._scaler.reformat(frame, *self._unturned, _PLANAR, src_colorspace=_matrix_of(frame), interpolation=_EXACT, threads=1)
        pixels = self._packer.reformat(planar, format="rgb24", threads=1).to_ndarray().astype(np.uint8, copy=False)
        return np.ascontiguousarray(np.rot90(pixels, self._turns)) if self._turns else pixels

    def planes(self, frame: "av.VideoFrame") -> Pixels:
        """Return the flat planes of a frame, not turned; without a size, as they are stored. What is not 4:2:0 with 8 bits becomes so."""
        views = _views(self._plain(frame))
        flat = np.empty(sum(view.size for view in views), dtype=np.uint8)
        for view, end in zip(views, accumulate(view.size for view in views), strict=True):
            flat[end - view.size : end].reshape(view.shape)[:] = view
        return flat

    def _plain(self, frame: "av.VideoFrame") -> "av.VideoFrame":
        self._look_at(frame)
        if frame.format.name in _PLAIN:
            if (frame.width, frame.height) == self._stored:
                return frame
            return self._scaler.reformat(frame, *self._stored, interpolation=_EXACT, threads=1)
        matrix = _BT709 if frame.format.is_rgb else None
        return self._scaler.reformat(frame, *self._stored, "yuv420p", dst_colorspace=matrix, dst_color_range="MPEG", interpolation=_EXACT, threads=1)

    def shape(self, frame: "av.VideoFrame", codec: str) -> PlaneShape:
        """Return how the planes of a frame from this decoder are to be read."""
        plain = self._plain(frame)
        matrix = _matrix_of(frame) or (_BT601 if plain.colorspace == _UNNAMED_COLOURS else int(plain.colorspace))
        siting = "left" if codec in _LEFT_SITED else "unspecified"
        return PlaneShape(self._canvas, self._size, self._turns, plain.format.name, matrix, int(plain.color_range), siting)

    def from_planes(self, planes: Pixels, shape: PlaneShape) -> Pixels:
        """Return flat planes as the picture shown: (height, width, 3) RGB.

        Raises InputError when the planes are not of this shape.
        """
        import av

        length = sum(height * width for height, width in shape.planes)
        if planes.shape != (length,) or planes.dtype != np.uint8:
            raise InputError(f"Planes of shape {planes.shape} and type {planes.dtype} were given: {length} values of uint8 are needed.")
        raw = av.CodecContext.create("rawvideo", "r")  # the only way in PyAV to say where colours lie
        assert isinstance(raw, av.VideoCodecContext)
        (raw.height, raw.width), raw.pix_fmt = shape.planes[0], shape.pixel_format
        raw.options = {"chroma_sample_location": shape.siting}
        (frame,) = raw.decode(av.Packet(planes.tobytes()))
        frame.colorspace, frame.color_range = shape.matrix, shape.colour_range
        self._turn(shape.turns)
        return self._paint(frame)


class PictureRows:
    """The array that wanted frames are written to, one conversion a frame however often it was asked for."""

    def __init__(self, painter: Painter, positions: Ints) -> None:
        """positions: (n,) the packet of the frame that each row of the result shows."""
        self._painter = painter
        self._wanted = positions
        self.pixels: Pixels = np.empty((0, 0, 0, 3), dtype=np.uint8)

    def take(self, frame: "av.VideoFrame") -> None:
        """Write a frame, its `pts` being the position of its packet, to every row that asks for it."""
        picture = self._painter.picture(frame)
        if not len(self.pixels):
            self.pixels = np.empty((len(self._wanted), *picture.shape), dtype=np.uint8)
        self.pixels[self._wanted == frame.pts] = picture


def _views(frame: "av.VideoFrame") -> list[Pixels]:
    """Return the planes of a frame (height, width) in place, without the padding of their rows."""
    return [np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width] for plane in frame.planes]


def _matrix_of(frame: "av.VideoFrame") -> int | None:
    """Return the colour matrix to assume; None: the one that the frame names, or BT.601."""
    return _BT709 if frame.colorspace == _UNNAMED_COLOURS and frame.height >= _HD_LINES else None
