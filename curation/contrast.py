"""What two texts are about, and how they differ: for the page on which pairs are decided."""

from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

import sqlite_utils

from store.clips import get_clip, get_media, get_qa_pair
from store.errors import NotFoundError
from store.played import played_digest
from store.records import Candidate


@dataclass(frozen=True)
class Subject:
    """What a text is about, as a judge sees it; seconds are on the media file's own clock."""

    kind: str
    clip_id: str
    clip_name: str
    question: str | None
    options: tuple[str, ...]
    answer: str | None
    play_digest: str | None  # a file that a browser plays; None while there is none
    start_s: float
    end_s: float | None


@dataclass(frozen=True)
class Piece:
    """A stretch of words: "same", only in the rejected text, or only in the chosen one."""

    where: Literal["same", "rejected", "chosen"]
    words: str


def subject_of(db: sqlite_utils.Database, candidate: Candidate) -> Subject:
    """Return what the candidate is about. Raises NotFoundError when its clip is gone."""
    clip = get_clip(db, candidate.clip_id)
    if clip is None:
        raise NotFoundError(f"There is no clip {candidate.clip_id}. Load the page again.")
    qa = get_qa_pair(db, candidate.qa_id) if candidate.qa_id else None
    question, options, answer = (qa.question, qa.options, qa.answer) if qa else (None, (), None)
    played = played_digest(get_media(db, clip.digest) if clip.digest else None)
    return Subject(candidate.kind, clip.id, clip.external_id, question, options, answer, played, clip.start_s, clip.end_s)


def word_diff(rejected: str, chosen: str) -> tuple[Piece, ...]:
    """Return both texts as one run of pieces, word by word: the "same" and "chosen" ones spell the chosen text, spaces made single."""
    old, new = rejected.split(), chosen.split()
    pieces: list[Piece] = []
    # Without autojunk: it would drop frequent words as anchors. Two texts of 20,000 characters take a third of a second.
    for operation, i, j, k, m in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if operation == "equal":
            pieces.append(Piece("same", " ".join(old[i:j])))
            continue
        if j > i:
            pieces.append(Piece("rejected", " ".join(old[i:j])))
        if m > k:
            pieces.append(Piece("chosen", " ".join(new[k:m])))
    return tuple(pieces)
