"""Clips found by words of their name, a page at a time, each with its file. Functions take `db` first."""

import json
from dataclasses import dataclass

import sqlite_utils

from store.clips import get_clip, get_media
from store.errors import NotFoundError
from store.played import end_of, played_digest
from store.records import Clip, Media
from store.rows import as_record


@dataclass(frozen=True)
class ClipFile:
    """A clip with its file; `problem` says in a sentence why no frame of it can be read, or is None."""

    clip: Clip
    media: Media | None
    problem: str | None

    @property
    def played_digest(self) -> str | None:
        """See `played_digest`."""
        return played_digest(self.media)

    @property
    def end_s(self) -> float | None:
        """See `end_of`."""
        return end_of(self.clip, self.media)


def find_clips(db: sqlite_utils.Database, words: str, dataset: str | None, start: int, count: int) -> tuple[list[ClipFile], int]:
    """Return `count` clips from the `start`-th on whose name, file or data set holds every one of `words`, and how many there are in all."""
    query = """SELECT clip.*, count(*) OVER () AS found FROM clip WHERE (:dataset IS NULL OR dataset = :dataset) AND NOT EXISTS (
                   SELECT 1 FROM json_each(:words) AS word WHERE instr(lower(dataset || ' ' || external_id || ' ' || media_name), lower(word.value)) = 0)
               ORDER BY dataset, external_id LIMIT :count OFFSET :start"""
    rows = list(db.query(query, {"dataset": dataset, "words": json.dumps(words.split()), "start": start, "count": count}))
    return [_with_file(db, as_record(Clip, row)) for row in rows], int(rows[0]["found"]) if rows else 0


def list_datasets(db: sqlite_utils.Database) -> list[str]:
    """Return the names of the data sets that have clips, in order."""
    return [row["dataset"] for row in db.query("SELECT DISTINCT dataset FROM clip ORDER BY dataset")]


def clip_file(db: sqlite_utils.Database, clip_id: str) -> ClipFile:
    """Return the clip with its file. Raises NotFoundError when there is no such clip."""
    clip = get_clip(db, clip_id)
    if clip is None:
        raise NotFoundError(f"There is no clip {clip_id[:40]!r} here. Choose one from the list.")
    return _with_file(db, clip)


def _with_file(db: sqlite_utils.Database, clip: Clip) -> ClipFile:
    media = get_media(db, clip.digest) if clip.digest else None
    if media is None:
        return ClipFile(clip, None, f"The video {clip.media_name!r} of this clip has not been imported. Ask an admin to import it.")
    if media.health == "unreadable":
        return ClipFile(clip, media, f"The video {media.name!r} cannot be read: {media.health_reason} Ask an admin to import a sound copy.")
    return ClipFile(clip, media, None)
