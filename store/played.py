"""A clip as a browser plays it: which file, where it ends, and when its frames are shown."""

import numpy as np
import sqlite_utils
from numpy.typing import NDArray

from store.clips import frame_times
from store.records import Clip, Media

CLOCK_GRAIN_S = 1e-4  # finer than any frame; what rounding may do to a time


def played_digest(media: Media | None) -> str | None:
    """Return the digest of the file that a browser plays: the original, or its playable copy."""
    if media is None:
        return None
    return media.digest if media.playable else media.proxy_digest


def end_of(clip: Clip, media: Media | None) -> float | None:
    """Return where the clip ends on the file's clock: data sets round up, so that the file has the last word."""
    known = [end for end in (clip.end_s, media.duration_s if media else None) if end is not None]
    return min(known) if known else None


def frames_inside(db: sqlite_utils.Database, clip: Clip, media: Media | None) -> NDArray[np.float64]:
    """Return when the frames of the clip are shown, on the clip's clock and to the microsecond; shape (n,), empty when unknown."""
    if media is None:
        return np.zeros(0)
    times = np.frombuffer(frame_times(db, played_digest(media) or media.digest) or frame_times(db, media.digest), dtype="<f8")
    end_s = end_of(clip, media)
    inside = times[(times >= clip.start_s - CLOCK_GRAIN_S) & (times < (np.inf if end_s is None else end_s) - CLOCK_GRAIN_S)]
    shown: NDArray[np.float64] = np.maximum(np.round(inside - clip.start_s, 6), 0.0)
    return shown
