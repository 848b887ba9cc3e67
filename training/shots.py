"""Shot changes in a stream of frames.

A frame begins a new shot when the step to it from the frame before is at least 15 levels of 255 and 2.2 times the
largest other step within an eighth of a second. The step is the mean absolute difference of some 4,000 values spread
evenly over the picture (of YUV planes, over the luma). The comparison with the steps around it is what adaptive content
detectors do: a pan or a shaking camera makes large steps, but many; a flash, two. What follows from it: dissolves and
fades are no cuts; of two cuts within an eighth of a second at most one is found, and none beside a shot that changes
almost half as much with every frame; lights that go on or off for longer count as a cut. A damaged frame is compared
with nothing. Files that it was tried on, and how often it erred: docs/pooling.md.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from store.media import ShownFrame

_LEAST_STEP = 15.0  # levels
_RATIO = 2.2
_AROUND_S = 0.125
_VALUES = 4096


def shot_changes(frames: Iterable[ShownFrame]) -> Iterator[tuple[ShownFrame, bool]]:
    """Yield each frame with whether a new shot begins with it, an eighth of a second of film later.

    The frames that come out are copies and stay valid. Memory: the frames of an eighth of a second, two at least.
    """
    before: deque[tuple[float, float]] = deque()  # when, step
    waiting: deque[tuple[ShownFrame, float]] = deque()
    last: NDArray[np.int16] | None = None
    for frame in frames:
        step = 0.0
        if frame.sound:
            values = _spread(frame.pixels)
            step, last = 0.0 if last is None else float(np.abs(values - last).mean()), values
        waiting.append((replace(frame, pixels=frame.pixels.copy()), step))
        while frame.start_s - waiting[0][0].start_s > _AROUND_S:
            yield _judged(before, waiting)
    while waiting:
        yield _judged(before, waiting)


def _judged(before: deque[tuple[float, float]], waiting: deque[tuple[ShownFrame, float]]) -> tuple[ShownFrame, bool]:
    """Take the first of the waiting frames over to those before, and return it with whether a shot begins with it."""
    frame, step = waiting.popleft()
    while len(before) > 1 and frame.start_s - before[0][0] > _AROUND_S:
        before.popleft()
    # The nearest frame counts on each side, however far it is: films of few frames a second have no other.
    after = [other for place, (later, other) in enumerate(waiting) if place == 0 or later.start_s - frame.start_s <= _AROUND_S]
    largest = max([*(other for _, other in before), *after], default=0.0)
    before.append((frame.start_s, step))
    return frame, step >= _LEAST_STEP and step >= _RATIO * largest


def _spread(pixels: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Return values spread evenly over a picture (height, width, 3), or over the luma of flat planes."""
    flat = pixels.reshape(-1) if pixels.ndim > 1 else pixels[: pixels.size * 2 // 3]
    pace = flat.size // _VALUES | 1  # odd, so that it does not meet the same columns in each row
    return flat[:: pace + 2 if pace % 3 == 0 else pace].astype(np.int16)
