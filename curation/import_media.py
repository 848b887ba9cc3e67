"""The files that clips ask for: found by name, kept by digest, probed once. Each file is known to the store before any row speaks of it."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import sqlite_utils

from curation.datasets.drafts import Notice
from curation.video_index import VideoIndex, index_videos
from store.clips import add_media, get_media, give_media, trim_evidence, waiting_clips
from store.database import open_store, transaction
from store.errors import ConflictError, InputError, NotFoundError
from store.guard import GuardedWorker, all_pixels, limits_for
from store.media import Probe, digest_of, keep, media_path, probe
from store.records import FrameTimes, Media
from store.rows import utc_now

Progress = Callable[[float, str], None]
UNREADABLE, DAMAGED = "unreadable", "damaged"


@dataclass(frozen=True)
class Trouble:
    """A file that is not as it should be, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class MediaFound:
    """What a search brought: digests by the name that was asked for, and what it did not bring."""

    digests: Mapping[str, str]
    missing: tuple[str, ...] = ()
    unreadable: tuple[Trouble, ...] = ()
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True)
class MediaState:
    """How the files stand that an import asked for by name."""

    found: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unreadable: tuple[Trouble, ...] = ()
    damaged: tuple[Trouble, ...] = ()
    waiting_for_proxy: tuple[str, ...] = ()


@dataclass(frozen=True)
class Given:
    """What a later search gave to clips that waited."""

    media: MediaState
    clips: int
    spans_cut: int
    spans_dropped: int


def find_media(data: Path, videos: Path, dataset: str | None, progress: Progress) -> Given:
    """Look for the files of the waiting clips, of one data set or of all, and give them what is found. Raises InputError when `videos` is no folder."""
    index = index_videos(videos)
    with open_store(data) as db:
        names = {clip.media_name for clip in waiting_clips(db, dataset)}
    found = take_in(data, index, names, progress)
    with open_store(data) as db, transaction(db):
        given = give_all(db, found, (dataset,))
        return Given(state_of(db, found, names), *given)


def give_all(db: sqlite_utils.Database, found: MediaFound, datasets: Sequence[str | None]) -> tuple[int, int, int]:
    """Give the waiting clips of these data sets what was found; return (clips, evidence spans cut, evidence spans dropped). Call inside a transaction."""
    clips = cut = dropped = 0
    for name, digest in found.digests.items():
        given = sum(give_media(db, name, digest, dataset) for dataset in datasets)
        if given:
            shorter, gone = trim_evidence(db, digest)
            clips, cut, dropped = clips + given, cut + shorter, dropped + gone
    return clips, cut, dropped


def take_in(data: Path, index: VideoIndex | None, names: Iterable[str], progress: Progress) -> MediaFound:
    """Keep and probe the file of each name, several at once. A known file costs one reading; a new one is also copied and decoded.

    Files are decoded in child processes with limits of time and memory, so that none can stop or crash this one. Decoding takes 0.3 to
    0.6 s for a clip of 30 to 40 s in 640x480 on one core, 4 s for 30 s of 1080p. Without an index every name is missing. A file that
    cannot be read is not kept. Raises StorageError when the disk refuses.
    """
    paths = {name: index.find(name) if index else () for name in sorted(set(names))}
    missing = tuple(name for name, files in paths.items() if not files)
    taken: dict[str, Media] = {}
    unreadable: list[Trouble] = []
    first = {name: files[0] for name, files in paths.items() if files}
    for name, media in _each(data, first, progress):
        if isinstance(media, Trouble):
            unreadable.append(Trouble(name, media.reason))
        else:
            taken[name] = media
    notices = tuple(_ambiguous(index, name, files) for name, files in paths.items() if index and len(files) > 1)
    in_order = tuple(sorted(unreadable, key=lambda trouble: trouble.name))
    return MediaFound({name: media.digest for name, media in taken.items()}, missing, in_order, notices)


def _each(data: Path, paths: Mapping[str, Path], progress: Progress) -> Iterator[tuple[str, Media | Trouble]]:
    """Yield each name with what became of its file; a file is decoded on one core, and one core is left to the app."""
    # When this is stopped the worker ends first, and with it what is being decoded: nobody waits for that.
    with ThreadPoolExecutor(max(1, (os.cpu_count() or 1) - 1)) as pool, GuardedWorker() as worker:
        jobs = {pool.submit(_take, data, path, worker): name for name, path in paths.items()}
        try:
            for place, job in enumerate(as_completed(jobs)):
                yield jobs[job], job.result()
                progress((place + 1) / len(jobs), f"Video {place + 1} of {len(jobs)}: {jobs[job]}")
        finally:
            # After a full disk or Ctrl+C the rest need not be tried; otherwise nothing is left to cancel.
            pool.shutdown(wait=False, cancel_futures=True)


def _ambiguous(index: VideoIndex, name: str, files: Sequence[Path]) -> Notice:
    return Notice(str(index.root), 0, "video", f"{name!r} may mean {len(files)} files; {files[0].relative_to(index.root)} was taken.")


def state_of(db: sqlite_utils.Database, found: MediaFound, names: Iterable[str]) -> MediaState:
    """Return how the files of these names stand after a search; one query a file."""
    asked = sorted(set(names))
    files = {name: media for name in asked if name in found.digests and (media := get_media(db, found.digests[name])) is not None}
    return MediaState(
        found=tuple(files),
        missing=tuple(name for name in asked if name in found.missing),
        unreadable=tuple(trouble for trouble in found.unreadable if trouble.name in asked),
        damaged=tuple(Trouble(name, media.health_reason or "") for name, media in files.items() if media.health == DAMAGED),
        waiting_for_proxy=tuple(name for name, media in files.items() if not media.playable and media.proxy_digest is None),
    )


def _take(data: Path, path: Path, worker: GuardedWorker) -> Media | Trouble:
    """Return the file as the store knows it, kept and probed when it is new, or why it cannot be used."""
    try:
        digest = digest_of(path)
        with open_store(data) as db:
            known = get_media(db, digest)
        if known is None:
            return _take_new(data, path, digest, worker)
        if known.health == UNREADABLE:
            return Trouble(path.name, known.health_reason or "")
        if not media_path(data, digest).is_file():
            keep(data, path)
        return known
    except (InputError, NotFoundError, ConflictError) as problem:
        return Trouble(path.name, str(problem))


def _take_new(data: Path, path: Path, digest: str, worker: GuardedWorker) -> Media | Trouble:
    size = path.stat().st_size
    found = _probed(path, size, worker)
    if found.health == UNREADABLE:
        return Trouble(path.name, found.health_reason or "")
    # The file first: a row never speaks of what is not there.
    keep(data, path)
    media = media_of(digest, path.name, size, found)
    with open_store(data) as db:
        add_media(db, media, FrameTimes(digest, found.frame_times.astype("<f8").tobytes()))
    return media


def _probed(path: Path, size_bytes: int, worker: GuardedWorker) -> Probe:
    """Return what a file holds, told by a child process: how long it may decode is known when the packets are counted."""
    counted = worker.call(probe, path, False, limits=limits_for(size_bytes))
    if counted.health == UNREADABLE:
        return counted
    return worker.call(probe, path, limits=limits_for(size_bytes, all_pixels(counted.frame_count, counted.width, counted.height)))


def media_of(digest: str, name: str, size: int, found: Probe) -> Media:
    """Return the record of a file from what the probe says."""
    return Media(
        digest, name, size, found.container, found.video_codec, found.audio_codec, found.width, found.height, found.rotation,
        found.duration_s, found.frame_count, bool(found.playable), None, found.health, found.health_reason, utc_now(),
    )  # fmt: skip
