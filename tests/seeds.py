"""A small project put into a store by its own functions: what many tests start from."""

from dataclasses import dataclass

import sqlite_utils

from store.candidates import add_candidate, candidate_of, generator_of
from store.clips import add_clip, add_media, add_qa_pair
from store.queue import enqueue
from store.records import Candidate, Clip, Generator, Media, QAPair
from store.rows import digest_id, utc_now

WRITER = generator_of("imported", "secret-writer-a", answer_given=True)
OTHER_WRITER = generator_of("imported", "secret-writer-b", answer_given=True)


@dataclass(frozen=True)
class Seeded:
    """One clip with its question, a narrative and two rationales."""

    clip: Clip
    qa: QAPair
    narrative: Candidate
    rationale: Candidate
    rival: Candidate


def seed_project(db: sqlite_utils.Database, name: str = "one", wanted: int = 2, digest: str | None = None) -> Seeded:
    """Put a clip with texts into the store and queue the texts; rows only, no file on disk."""
    digest = digest or digest_id("media", name) + "0" * 44
    media = Media(digest, f"{name}.mp4", 1, "mp4", "h264", None, 64, 48, 0, 5.0, 50, True, None, "ok", None, utc_now())
    add_media(db, media, None)
    clip = Clip(digest_id("clip", name), "test", name, media.name, digest, 0.0, None, name, "train")
    add_clip(db, clip)
    qa = QAPair(digest_id("qa", name), clip.id, "1", "why did he run", "to catch it", ("to catch it", "for fun"), 0, "CW", None, None, None)
    add_qa_pair(db, qa)
    narrative = _text(db, candidate_of("narrative", clip.id, None, WRITER, f"In {name} a man runs. Then he stops."), WRITER)
    rationale = _text(db, candidate_of("rationale", clip.id, qa.id, WRITER, f"In {name} he runs towards the ball."), WRITER)
    rival = _text(db, candidate_of("rationale", clip.id, qa.id, OTHER_WRITER, f"In {name} he smiles, so he wants it."), OTHER_WRITER)
    for candidate in (narrative, rationale, rival):
        enqueue(db, candidate.id, wanted)
    return Seeded(clip, qa, narrative, rationale, rival)


def _text(db: sqlite_utils.Database, candidate: Candidate, generator: Generator) -> Candidate:
    add_candidate(db, candidate, generator)
    return candidate
