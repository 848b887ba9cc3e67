"""What an annotator's screen shows, as frozen values.

An item never says who wrote its text, what it was edited from, or what others said of it.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
import sqlite_utils

from curation.work import WorkState, work_from_json
from store.annotations import finished_annotations, verdict_counts
from store.candidates import get_candidate
from store.clips import evidence_of, frame_times, get_clip, get_media, get_qa_pair, qa_pairs_of, subtitles_of
from store.errors import NotFoundError
from store.oplog import last_operation
from store.queue import assignment_of, claim_next, peek_next, progress_of
from store.records import Candidate, Clip, Media, QAPair

EVERY = -1  # as a limit of SQLite: none
CLOCK_GRAIN_S = 1e-4  # finer than any frame; what rounding may do to a time
RECENT_WORDS = 90  # characters of a text in the list of finished items


@dataclass(frozen=True)
class DeskQuestion:
    """A question with its given answer, as the data set has it."""

    question: str
    options: tuple[str, ...]
    answer: str | None
    answer_index: int | None


@dataclass(frozen=True)
class DeskSpan:
    """A stretch of the clip in seconds on its own clock, with the words spoken there or none."""

    start_s: float
    end_s: float
    text: str


@dataclass(frozen=True)
class DeskItem:
    """One candidate as its annotator sees it. `start_s` and `end_s` are on the file's clock, all other times on the clip's."""

    candidate_id: str
    kind: str
    text: str
    text_sha256: str
    media_digest: str | None  # None: the file went missing after the item was given out
    start_s: float
    end_s: float | None  # None: to the end of the file
    frames: tuple[float, ...]  # when each frame of the clip is shown; empty when unknown
    questions: tuple[DeskQuestion, ...]  # the one that a rationale is about; all of the clip's for a narrative
    subtitles: tuple[DeskSpan, ...]
    evidence: tuple[DeskSpan, ...]
    work: WorkState | None  # the annotator's own, as last saved
    sequence: int  # of the operation behind `work`; 0 when there is none
    state: str  # "leased", "final", "skipped" or "released"
    done: int  # items that the annotator finished
    total: int  # of these, finished or open


@dataclass(frozen=True)
class FinishedItem:
    """A line in the list of what the annotator finished."""

    candidate_id: str
    kind: str
    beginning: str
    verdict: str | None
    finished_at: str


@dataclass(frozen=True)
class Subject:
    """A candidate that was given to an annotator, with its clip and how far it got."""

    candidate: Candidate
    clip: Clip
    media: Media | None
    state: str

    @property
    def length_s(self) -> float | None:
        """The clip's length in seconds, or None when nothing says it."""
        end_s = _end_s(self.clip, self.media)
        return None if end_s is None else end_s - self.clip.start_s


def next_item(db: sqlite_utils.Database, annotator: str, besides: str | None = None) -> DeskItem | None:
    """Lease and return the annotator's open item or the next one that waits; None when nothing waits."""
    lease = claim_next(db, annotator, besides)
    return item_for(db, annotator, lease.candidate_id) if lease else None


def upcoming_media(db: sqlite_utils.Database, annotator: str, candidate_id: str) -> str | None:
    """Return the digest of the file that will probably be shown after this candidate, so that a browser can load ahead."""
    coming = peek_next(db, annotator, besides=candidate_id)
    candidate = get_candidate(db, coming) if coming else None
    clip = get_clip(db, candidate.clip_id) if candidate else None
    return _shown_digest(_media_of(db, clip)) if clip else None


def item_for(db: sqlite_utils.Database, annotator: str, candidate_id: str) -> DeskItem:
    """Return the candidate as this annotator may see it. Raises NotFoundError when it was not given to the annotator."""
    subject = subject_of(db, annotator, candidate_id)
    candidate, clip = subject.candidate, subject.clip
    last, (done, total) = last_operation(db, candidate_id, annotator), progress_of(db, annotator)
    pair = get_qa_pair(db, candidate.qa_id) if candidate.qa_id else None
    return DeskItem(
        candidate_id=candidate_id,
        kind=candidate.kind,
        text=candidate.text,
        text_sha256=hashlib.sha256(candidate.text.encode("utf-8")).hexdigest(),
        media_digest=_shown_digest(subject.media),
        start_s=clip.start_s,
        end_s=_end_s(clip, subject.media),
        frames=_frames(db, clip, subject.media),
        questions=tuple(_question(one) for one in ([pair] if pair else qa_pairs_of(db, clip.id))),
        subtitles=tuple(DeskSpan(line.start_s, line.end_s, line.text) for line in subtitles_of(db, clip.id)),
        evidence=tuple(DeskSpan(span.start_s, span.end_s, "") for span in (evidence_of(db, pair.id) if pair else [])),
        work=work_from_json(last.payload) if last else None,
        sequence=last.sequence if last else 0,
        state=subject.state,
        done=done,
        total=total,
    )


def subject_of(db: sqlite_utils.Database, annotator: str, candidate_id: str) -> Subject:
    """Return what the annotator works on. Raises NotFoundError when it was not given to the annotator, or is not there at all."""
    held = assignment_of(db, candidate_id, annotator)
    candidate = get_candidate(db, candidate_id) if held else None
    clip = get_clip(db, candidate.clip_id) if candidate else None
    if held is None or candidate is None or clip is None:
        raise NotFoundError("This item was not given to you. Take the next one from the queue.")
    return Subject(candidate, clip, _media_of(db, clip), held.state)


def finished_items(db: sqlite_utils.Database, annotator: str) -> list[FinishedItem]:
    """Return all items that the annotator finished, the newest first; one look-up an item."""
    found = [(annotation, get_candidate(db, annotation.candidate_id)) for annotation in finished_annotations(db, annotator, EVERY)]
    return [FinishedItem(one.candidate_id, text.kind, text.text[:RECENT_WORDS], one.verdict, one.updated_at) for one, text in found if text]


def tally(db: sqlite_utils.Database, annotator: str) -> dict[str, int]:
    """Return how many items the annotator finished with each verdict."""
    return verdict_counts(db, annotator)


def _question(pair: QAPair) -> DeskQuestion:
    return DeskQuestion(pair.question, pair.options, pair.answer, pair.answer_index)


def _media_of(db: sqlite_utils.Database, clip: Clip) -> Media | None:
    return get_media(db, clip.digest) if clip.digest else None


def _shown_digest(media: Media | None) -> str | None:
    """Return the digest of the file that a browser plays: the original, or its playable copy."""
    if media is None:
        return None
    return media.digest if media.playable else media.proxy_digest


def _end_s(clip: Clip, media: Media | None) -> float | None:
    """Return where the clip ends on the file's clock: data sets round up, so that the file has the last word."""
    known = [end for end in (clip.end_s, media.duration_s if media else None) if end is not None]
    return min(known) if known else None


def _frames(db: sqlite_utils.Database, clip: Clip, media: Media | None) -> tuple[float, ...]:
    """Return when the frames of the clip are shown, on the clip's clock and to the microsecond."""
    if media is None:
        return ()
    times = np.frombuffer(frame_times(db, _shown_digest(media) or media.digest) or frame_times(db, media.digest), dtype="<f8")
    end_s = _end_s(clip, media)
    inside = times[(times >= clip.start_s - CLOCK_GRAIN_S) & (times < (np.inf if end_s is None else end_s) - CLOCK_GRAIN_S)]
    return tuple(np.maximum(np.round(inside - clip.start_s, 6), 0.0).tolist())
