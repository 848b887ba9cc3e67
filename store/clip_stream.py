"""Clips with all that a data set says of them, one after the other, however many there are. Functions take `db` first."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlite_utils

from store.clips import get_clip
from store.records import Clip, EvidenceSpan, Media, QAPair, Subtitle
from store.rows import as_record

# Clips of which everything is read at once.
AT_ONCE = 500


@dataclass(frozen=True)
class FullClip:
    """A clip with its file, its QA pairs in the order they came, the evidence of each, and what is spoken."""

    clip: Clip
    media: Media | None
    pairs: tuple[QAPair, ...]
    evidence: Mapping[str, Sequence[EvidenceSpan]]  # by QA pair; one without evidence is not in it
    lines: tuple[Subtitle, ...]


def stream_clips(db: sqlite_utils.Database, datasets: Sequence[str] = (), splits: Sequence[str] = (), words: str = "") -> Iterator[FullClip]:
    """Yield the clips of these data sets and splits (none: of all) whose name, file or data set holds every word, by data set and name.

    Five queries for each 500 clips, and no more than those in memory. A clip that comes in meanwhile is met or not.
    """
    after = ("", "")
    while clips := _page(db, datasets, splits, words, after):
        yield from _filled(db, clips)
        after = (clips[-1].dataset, clips[-1].external_id)


def full_clip(db: sqlite_utils.Database, clip_id: str) -> FullClip | None:
    """Return one clip as `stream_clips` yields it, or None."""
    clip = get_clip(db, clip_id)
    return next(_filled(db, [clip])) if clip else None


def question_types(db: sqlite_utils.Database) -> list[str]:
    """Return the types that questions have, in order; reads every QA pair once."""
    return [str(row["question_type"]) for row in db.query("SELECT DISTINCT question_type FROM qa_pair WHERE question_type IS NOT NULL ORDER BY question_type")]


def clip_splits(db: sqlite_utils.Database) -> list[str]:
    """Return the splits that have clips."""
    return [str(row["split"]) for row in db.query("SELECT DISTINCT split FROM clip ORDER BY split")]


def _page(db: sqlite_utils.Database, datasets: Sequence[str], splits: Sequence[str], words: str, after: tuple[str, str]) -> list[Clip]:
    query = """SELECT * FROM clip WHERE (dataset, external_id) > (:dataset, :name)
                 AND (:datasets = '[]' OR dataset IN (SELECT value FROM json_each(:datasets)))
                 AND (:splits = '[]' OR split IN (SELECT value FROM json_each(:splits)))
                 AND NOT EXISTS (SELECT 1 FROM json_each(:words) AS word
                   WHERE instr(lower(clip.dataset || ' ' || external_id || ' ' || media_name), lower(word.value)) = 0)
               ORDER BY dataset, external_id LIMIT :count"""
    named = {"datasets": json.dumps(list(datasets)), "splits": json.dumps(list(splits)), "words": json.dumps(words.split())}
    return [as_record(Clip, row) for row in db.query(query, {**named, "dataset": after[0], "name": after[1], "count": AT_ONCE})]


def _filled(db: sqlite_utils.Database, clips: Sequence[Clip]) -> Iterator[FullClip]:
    ids = json.dumps([clip.id for clip in clips])
    pairs, lines, spans = defaultdict(list), defaultdict(list), defaultdict(list)
    for row in db.query("SELECT * FROM qa_pair WHERE clip_id IN (SELECT value FROM json_each(?)) ORDER BY rowid", [ids]):
        pairs[row["clip_id"]].append(as_record(QAPair, row))
    for row in db.query("SELECT * FROM subtitle WHERE clip_id IN (SELECT value FROM json_each(?)) ORDER BY clip_id, position", [ids]):
        lines[row["clip_id"]].append(as_record(Subtitle, row))
    for row in db.query(
        """SELECT e.*, qa.clip_id FROM evidence_span e JOIN qa_pair qa ON qa.id = e.qa_id
           WHERE qa.clip_id IN (SELECT value FROM json_each(?)) ORDER BY e.qa_id, e.position""",
        [ids],
    ):
        spans[row["clip_id"]].append(as_record(EvidenceSpan, row))
    media = _media_of(db, clips)
    for clip in clips:
        yield FullClip(clip, media.get(clip.digest or ""), tuple(pairs[clip.id]), _by_pair(spans[clip.id]), tuple(lines[clip.id]))


def _media_of(db: sqlite_utils.Database, clips: Sequence[Clip]) -> dict[str, Media]:
    digests = json.dumps(sorted({clip.digest for clip in clips if clip.digest}))
    rows: Any = db.query("SELECT * FROM media WHERE digest IN (SELECT value FROM json_each(?))", [digests])
    return {row["digest"]: as_record(Media, row) for row in rows}


def _by_pair(spans: Sequence[EvidenceSpan]) -> dict[str, list[EvidenceSpan]]:
    by_pair: dict[str, list[EvidenceSpan]] = defaultdict(list)
    for span in spans:
        by_pair[span.qa_id].append(span)
    return dict(by_pair)
