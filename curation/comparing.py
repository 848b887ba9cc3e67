"""Two texts beside each other, blind: which are next, on which side they stand, what was chosen, and how they differ."""

from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

import sqlite_utils

from curation.pairing import refresh_comparison_pairs
from store.candidates import get_candidate
from store.clips import get_clip, get_media, get_qa_pair
from store.database import transaction
from store.errors import InputError, NotFoundError
from store.pairs import add_comparison, next_uncompared
from store.records import Candidate, Clip, Comparison, QAPair
from store.rows import digest_id, utc_now

Side = Literal["left", "right", "tie", "both_bad"]


@dataclass(frozen=True)
class Subject:
    """What a text is about, as a judge sees it; seconds are on the media file's own clock."""

    kind: str
    clip_name: str
    question: str | None
    options: tuple[str, ...]
    answer: str | None
    play_digest: str | None  # a file that a browser plays; None while there is none
    start_s: float
    end_s: float | None


@dataclass(frozen=True)
class SideBySide:
    """Two texts about one subject, on the sides that this annotator always sees; nothing says who wrote them."""

    subject: Subject
    a_id: str
    b_id: str
    left_id: str
    left: str
    right: str
    waiting: int  # pairs that this annotator has not compared yet, this one included


@dataclass(frozen=True)
class Piece:
    """A stretch of words: "same", only in the rejected text, or only in the chosen one."""

    where: Literal["same", "rejected", "chosen"]
    words: str


def next_comparison(db: sqlite_utils.Database, annotator: str) -> SideBySide | None:
    """Return the next two texts of one subject that this annotator has not compared; the same until the answer is in. None when all are done."""
    found = next_uncompared(db, annotator)
    return None if found is None else side_by_side(db, annotator, *found)


def side_by_side(db: sqlite_utils.Database, annotator: str, a_id: str, b_id: str, waiting: int = 0) -> SideBySide:
    """Return these two texts on the sides that this annotator always sees. Raises NotFoundError for an unknown candidate."""
    left_id = left_of(annotator, a_id, b_id)
    left, right = _candidate(db, left_id), _candidate(db, b_id if left_id == a_id else a_id)
    return SideBySide(subject_of(db, left), a_id, b_id, left_id, left.text, right.text, waiting)


def record_comparison(db: sqlite_utils.Database, annotator: str, a_id: str, b_id: str, side: Side) -> Comparison:
    """Keep what the annotator chose, and bring the pair of these two candidates up to date in the same transaction.

    Raises InputError for another side or two candidates of different subjects, NotFoundError for an unknown candidate.
    """
    a_id, b_id = min(a_id, b_id), max(a_id, b_id)
    a, b = _candidate(db, a_id), _candidate(db, b_id)
    if (a.subject_id, a.kind) != (b.subject_id, b.kind) or a_id == b_id:
        raise InputError("Only two different texts of one kind about one subject can be compared. Load the page again.")
    left_id = left_of(annotator, a_id, b_id)
    comparison_id = digest_id("comparison", annotator, a_id, b_id)
    made = Comparison(comparison_id, annotator, a.subject_id, a.kind, a_id, b_id, left_id, _outcome(side, left_id == a_id), utc_now())
    with transaction(db):
        add_comparison(db, made)
        refresh_comparison_pairs(db, a, b)
    return made


def left_of(annotator: str, a_id: str, b_id: str) -> str:
    """Return which of the two stands left for this annotator: half of all pairs each way, and always the same."""
    first, second = sorted((a_id, b_id))
    return (first, second)[int(digest_id("side", annotator, first, second), 16) % 2]


def subject_of(db: sqlite_utils.Database, candidate: Candidate) -> Subject:
    """Return what the candidate is about. Raises NotFoundError when its clip is gone."""
    clip = get_clip(db, candidate.clip_id)
    if clip is None:
        raise NotFoundError(f"There is no clip {candidate.clip_id}. Load the page again.")
    qa = get_qa_pair(db, candidate.qa_id) if candidate.qa_id else None
    return _subject(candidate.kind, clip, qa, _play_digest(db, clip))


def _subject(kind: str, clip: Clip, qa: QAPair | None, play_digest: str | None) -> Subject:
    question, options, answer = (qa.question, qa.options, qa.answer) if qa else (None, (), None)
    return Subject(kind, clip.external_id, question, options, answer, play_digest, clip.start_s, clip.end_s)


def _play_digest(db: sqlite_utils.Database, clip: Clip) -> str | None:
    media = get_media(db, clip.digest) if clip.digest else None
    return None if media is None else media.digest if media.playable else media.proxy_digest


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


def _outcome(side: str, a_is_left: bool) -> str:
    if side in ("tie", "both_bad"):
        return side
    if side not in ("left", "right"):
        raise InputError(f"The choice {side!r} is not known. Choose left, right, tie or both_bad.")
    return "a" if (side == "left") == a_is_left else "b"


def _candidate(db: sqlite_utils.Database, candidate_id: str) -> Candidate:
    found = get_candidate(db, candidate_id)
    if found is None:
        raise NotFoundError(f"There is no candidate {candidate_id}. Load the page again.")
    return found
