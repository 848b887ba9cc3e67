"""Playable copies of the files that no browser plays, made one after the other in the background; the originals stay as they are."""

import fcntl
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from store.clips import media_without_proxy, set_health, set_proxy
from store.database import open_store
from store.errors import InputError, NotFoundError
from store.guard import GuardedWorker, Limits, all_pixels, limits_for
from store.media import keep, media_path
from store.proxy import make_proxy
from store.records import Media

ROOT = Path(__file__).resolve().parents[1]
LOCK, LOG, WORK = "proxies.lock", "proxies.log", "proxies.tmp"
_ENCODING = 4  # a damaged file is decoded and encoded twice, at 8 ns a pixel; 2 is what limits_for reckons with
_ENCODER_BYTES = 8 << 30  # the encoder holds some frames a core: 2.5 GiB in all for 8K on two cores
Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class ProxiesMade:
    """What a proxy maker did; `is_elsewhere` when another one holds the directory and does it instead."""

    made: tuple[str, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()  # name, reason
    is_elsewhere: bool = False


def make_proxies(data: Path, progress: Progress = lambda share, text: None) -> ProxiesMade:
    """Make the copies that are missing and return what was made. About the clip's own duration each; never two makers at once.

    A file whose copy cannot be made is noted as unreadable, with the reason, and its clips wait for another file. That goes for one that
    crashes its decoder, takes too much memory or too long, too: files are decoded in a child process with limits.
    Raises StorageError when the disk refuses.
    """
    made: list[str] = []
    failed: list[tuple[str, str]] = []
    # Asked again after the lock is let go: a file may have come since, whose own maker found the lock held and went away.
    while waiting := _waiting(data):
        with _sole_maker(data) as is_ours, GuardedWorker() as worker:
            if not is_ours:
                return ProxiesMade(tuple(made), tuple(failed), is_elsewhere=True)
            for place, media in enumerate(waiting):
                progress(place / len(waiting), f"Playable copy {place + 1} of {len(waiting)}: {media.name}")
                problem = _make(data, media, worker)
                if problem is None:
                    made.append(media.name)
                else:
                    failed.append((media.name, problem))
    return ProxiesMade(tuple(made), tuple(failed))


def start_proxy_maker(data: Path) -> int:
    """Start a maker as a process of its own, which outlives this one; return its process id. It writes to proxies.log in `data`."""
    command = [sys.executable, "-m", "curation", "proxies", "--data", str(data)]
    with (data / LOG).open("ab") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    return process.pid


def _waiting(data: Path) -> list[Media]:
    with open_store(data) as db:
        return media_without_proxy(db)


def _make(data: Path, media: Media, worker: GuardedWorker) -> str | None:
    """Make one copy; return None, or the reason why there is none."""
    # Only the holder of the lock is here, so what lies in the folder was left by a maker that was killed.
    shutil.rmtree(data / WORK, ignore_errors=True)
    (data / WORK).mkdir()
    source, target = media_path(data, media.digest), data / WORK / "proxy.mp4"
    limits = limits_for(media.bytes, _ENCODING * all_pixels(media.frame_count, media.width, media.height))
    try:
        worker.call(make_proxy, source, target, limits=Limits(limits.seconds, _ENCODER_BYTES))
        digest = keep(data, target)
    except (InputError, NotFoundError) as error:
        reason = str(error).replace(str(source), media.name).replace(source.name, media.name)  # people do not know it by its digest
        with open_store(data) as db:
            set_health(db, media.digest, "unreadable", reason)
        return reason
    finally:
        shutil.rmtree(data / WORK, ignore_errors=True)
    with open_store(data) as db:
        set_proxy(db, media.digest, digest)
    return None


@contextmanager
def _sole_maker(data: Path) -> Iterator[bool]:
    """Hold the lock of the directory and yield True, or yield False when another maker holds it. A killed maker lets go."""
    with (data / LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
