"""Moments of a clip as pixels: single frames as they are on display, windows blended in one pass; decoded once and kept on disk."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from store.errors import InputError, UserError
from store.frame_cache import FrameCache
from store.media import Frames, frame_times, media_path, read_frames, shown_frames
from training.context import ContextPlan, Moment
from training.frames import Stretch, unreadable
from training.pooling import Pooled, PoolSettings, average_fps, pool
from training.views import View

Pixels = NDArray[np.uint8]
Size = int | tuple[int, int] | None


def decode_all(root: Path, views: Iterable[tuple[str, View]], plan: ContextPlan, on_progress: Callable[[int], None]) -> None:
    """Put the pictures of all rows into `root`/frames, each set once; single frames cost 0.2 s a clip, windows one pass over the clip.

    views: (name of the clip, what is seen of it). `on_progress` hears how many sets are done. What is there already is not decoded again.
    Raises InputError with all unreadable clips at once, so that one run tells the whole of what is to be mended.
    """
    problems: dict[str, None] = {}
    sets = {(one.stretch, one.context.moments): (one, name) for name, one in views}
    for number, (one, name) in enumerate(sets.values(), start=1):
        try:
            pictures_seen(root, one, plan)
        except UserError as error:
            problems[f"{name}: {error}"] = None
        on_progress(number)
    if problems:
        raise unreadable(problems)


def pictures_seen(root: Path, view: View, plan: ContextPlan, limit_bytes: int | None = None) -> Pixels:
    """Return `pictures_of` what is seen of a row, kept in `root`/frames; `root` is a run directory or a data directory."""
    cache = root / "frames", limit_bytes
    return pictures_of(media_path(root, view.stretch.digest), view.stretch, view.context.moments, plan, cache)


def pictures_of(media: Path, stretch: Stretch, moments: Sequence[Moment], plan: ContextPlan, cache: tuple[Path, int | None]) -> Pixels:
    """Return the picture of each moment: (moments, height, width, 3) RGB in the stretch's size, mapped from disk and not writable.

    moments: on the clip's own clock. cache: the folder that keeps them, 3 bytes a pixel, and how many bytes may lie there.
    Raises InputError when the video cannot be read there, NotFoundError when there is none.
    """

    def read(path: Path, times_s: ArrayLike, size: Size) -> Frames:
        return Frames(decoded(path, stretch, moments, plan), np.asarray(times_s, dtype=np.float64))

    times_s = [stretch.start_s + moment.time_s for moment in moments]
    folder, limit_bytes = cache
    pixels: Pixels = FrameCache(folder, limit_bytes, read).frames(_name(stretch, moments, plan), media, times_s, _size(stretch)).pixels
    return pixels


def _name(stretch: Stretch, moments: Sequence[Moment], plan: ContextPlan) -> str:
    """Return what decides the pixels beside times and size: the file alone, or also how its windows are blended."""
    if all(moment.kind != "window" for moment in moments):
        return stretch.digest
    return f"{stretch.digest} {stretch.start_s!r} {stretch.end_s!r} {plan.pooling} {plan.window_s!r} {plan.candidates} {list(moments)!r}"


def _size(stretch: Stretch) -> tuple[int, int]:
    return stretch.width, stretch.height


def decoded(media: Path, stretch: Stretch, moments: Sequence[Moment], plan: ContextPlan) -> Pixels:
    """Return the picture of each moment as `pictures_of` does, kept nowhere. Raises what `read_frames` raises."""
    pixels = np.zeros((len(moments), stretch.height, stretch.width, 3), np.uint8)
    single = [at for at, moment in enumerate(moments) if moment.kind != "window"]
    blended = [at for at, moment in enumerate(moments) if moment.kind == "window"]
    if single:
        times_s = [stretch.start_s + moments[at].time_s for at in single]
        pixels[single] = read_frames(media, times_s, _size(stretch)).pixels
    if blended:
        pixels[blended] = _blend(media, stretch, [moments[at] for at in blended], plan)
    return pixels


def _blend(media: Path, stretch: Stretch, windows: Sequence[Moment], plan: ContextPlan) -> list[Pixels]:
    """Return the windows' pictures; decodes from the first of them to the last."""
    by_count = plan.candidates == "povqa"
    # By time nothing after the last window is decoded, and it may end early, at a pause. By count they begin where the clip does.
    origin_s = 0.0 if by_count else min(window.start_s for window in windows)
    start_s = stretch.start_s + origin_s
    end_s = stretch.end_s if by_count else stretch.start_s + max(window.end_s for window in windows)
    frames = shown_frames(media, start_s, end_s, _size(stretch))
    settings = PoolSettings(window_s=plan.window_s, weights="povqa" if by_count else "time")
    fps = average_fps(*frame_times(media)) if by_count else None
    numbers = [round((window.start_s - origin_s) / plan.window_s) for window in windows]
    found: dict[int, Pixels] = {}
    for pooled in pool(frames, (plan.pooling,), settings, start_s, end_s, fps):
        if pooled.number in numbers:
            found[pooled.number] = _whole(pooled, plan)
        if len(found) == len(set(numbers)):
            return [found[number] for number in numbers]
    # By count a window of a film with 29.97 frames a second lasts 1.001 s, so there are fewer of them: the last stands for those that are not.
    return [found[number] if number in found else _whole(pooled, plan) for number in numbers]


def _whole(pooled: Pooled, plan: ContextPlan) -> Pixels:
    """Return a window's picture. Raises InputError when a frame of it rests on damage or nothing is on display."""
    if pooled.damaged or not pooled.pictures:
        why = "rest on damage" if pooled.damaged else "are missing"
        raise InputError(f"Frames between {pooled.start_s:g} and {pooled.end_s:g} s {why}. Replace the file, or leave this clip out.")
    return pooled.pictures[plan.pooling]
