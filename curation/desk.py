"""What an annotator's screen shows, as frozen values.

An item never says who wrote its text, what it was edited from, or what others said of it.
"""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, replace

import sqlite_utils

from curation.claims import ClaimSpan, sentence_claims
from curation.clip_view import DeskQuestion, DeskSpan, clip_view
from curation.work import NOT_BEGUN, WorkState, work_from_json
from curation.work_flags import FlagState
from store.annotations import annotation_of, blind_answer_to, finished_annotations, verdict_counts
from store.batches import get_batch
from store.candidates import get_candidate
from store.clips import get_clip, get_media, get_qa_pair
from store.errors import NotFoundError
from store.oplog import last_operation
from store.played import end_of
from store.queue import assignment_key, claim_next, entry_of, find_assignment, progress_of, renew_lease
from store.records import Annotation, Assignment, Candidate, Clip, Media, QAPair, QueueEntry
from store.replay import STATE_KINDS, WORK_KINDS, annotation_key
from store.rows import digest_id
from store.signals import suggestions_of

RECENT_WORDS = 90  # characters of a text in the list of finished items


@dataclass(frozen=True)
class DeskAnswer:
    """An answer of the annotator's own: one of the options by its number, or words."""

    answer: str | None
    answer_index: int | None


@dataclass(frozen=True)
class DeskItem:
    """One candidate as its annotator sees it. `start_s` and `end_s` are on the file's clock, all other times on the clip's.

    While it asks first, text, answer, evidence and claims are withheld.
    """

    assignment_id: str
    kind: str
    text: str | None
    text_sha256: str | None
    media_digest: str | None  # None: the file went missing after the item was given out
    start_s: float
    end_s: float | None  # None: to the end of the file
    frames: tuple[float, ...]  # when each frame of the clip is shown; empty when unknown
    questions: tuple[DeskQuestion, ...]  # the one that a rationale is about; all of the clip's for a narrative
    subtitles: tuple[DeskSpan, ...]
    evidence: tuple[DeskSpan, ...]
    claims: tuple[ClaimSpan, ...]
    asks_first: bool  # the question is to be answered before the text is shown
    blind_answer: DeskAnswer | None  # what the annotator answered then
    work: WorkState | None  # the annotator's own, as last saved
    sequence: int  # of the operation behind `work`; 0 when there is none
    state: str  # "leased", "final", "skipped" or "released"
    done: int  # items that the annotator finished
    open: int  # items that are still open to the annotator, counted to 501


@dataclass(frozen=True)
class FinishedItem:
    """A line in the list of what the annotator finished."""

    assignment_id: str
    kind: str
    beginning: str
    verdict: str | None
    finished_at: str


@dataclass(frozen=True)
class Tally:
    """How far an annotator got: items finished and still open, and how many of them with each verdict, skips included."""

    done: int
    open: int
    verdicts: dict[str, int]


@dataclass(frozen=True)
class Subject:
    """A candidate that was given to an annotator, with its clip and what was said so far."""

    assignment: Assignment
    entry: QueueEntry
    candidate: Candidate
    question: QAPair | None
    clip: Clip
    media: Media | None
    answered: Annotation | None  # with which the annotator answered its question blind
    asks_first: bool

    @property
    def length_s(self) -> float | None:
        """The clip's length in seconds, or None when nothing says it."""
        end_s = end_of(self.clip, self.media)
        return None if end_s is None else end_s - self.clip.start_s

    @property
    def text_sha256(self) -> str:
        """The digest of the text, by which page and server know that they speak of the same words."""
        return hashlib.sha256(self.candidate.text.encode("utf-8")).hexdigest()

    @property
    def annotation_id(self) -> str:
        """The id of the annotator's annotation, whether or not it is there yet."""
        return annotation_key(self.candidate.id, self.assignment.annotator, self.assignment.round)


def lease_items(db: sqlite_utils.Database, annotator: str, besides: Collection[str] = (), first: str | None = None) -> list[str]:
    """Lease the item to be shown and the one after it, and return them: none to two. `first` is one of the annotator's that is shown anyway.

    Raises NotFoundError when `first` was not given to the annotator.
    """
    leased = [subject_of(db, annotator, first).assignment.id] if first else []
    while len(leased) < 2 and (lease := claim_next(db, annotator, (*besides, *leased))):
        leased.append(lease.id)
    return leased


def hold_items(db: sqlite_utils.Database, annotator: str, assignment_ids: Collection[str]) -> list[str]:
    """Renew the annotator's leases on these items; return those that are held. Call inside a transaction."""
    return [one for one in assignment_ids if (held := find_assignment(db, one)) and held.annotator == annotator and renew_lease(db, one)]


def item_for(db: sqlite_utils.Database, annotator: str, assignment_id: str) -> DeskItem:
    """Return the item as this annotator may see it. Raises NotFoundError when it was not given to the annotator."""
    subject = subject_of(db, annotator, assignment_id)
    candidate, shown = subject.candidate, not subject.asks_first
    work, sequence = _work(db, subject)
    done, still_open = progress_of(db, annotator)
    return DeskItem(
        **vars(clip_view(db, candidate, answers=shown)),
        assignment_id=assignment_id,
        kind=candidate.kind,
        text=candidate.text if shown else None,
        text_sha256=subject.text_sha256 if shown else None,
        claims=sentence_claims(candidate.text) if shown else (),
        asks_first=subject.asks_first,
        blind_answer=DeskAnswer(subject.answered.blind_answer, subject.answered.blind_answer_index) if subject.answered else None,
        work=work,
        sequence=sequence,
        state=subject.assignment.state,
        done=done,
        open=still_open,
    )


def subject_of(db: sqlite_utils.Database, annotator: str, assignment_id: str) -> Subject:
    """Return what the annotator works on. Raises NotFoundError when it was not given to the annotator, or is not there at all."""
    held = find_assignment(db, assignment_id)
    mine = held if held and held.annotator == annotator else None
    entry = entry_of(db, mine.candidate_id) if mine else None
    candidate = get_candidate(db, mine.candidate_id) if mine else None
    clip = get_clip(db, candidate.clip_id) if candidate else None
    if mine is None or entry is None or candidate is None or clip is None:
        raise NotFoundError("This item was not given to you. Take the next one from the queue.")
    answered = _answered(db, candidate, mine)
    asks = get_batch(db, entry.batch_id).blind_first and candidate.kind == "rationale" and mine.state != "final" and answered is None
    question = get_qa_pair(db, candidate.qa_id) if candidate.qa_id else None
    return Subject(mine, entry, candidate, question, clip, _media_of(db, clip), answered, asks)


def finished_items(db: sqlite_utils.Database, annotator: str) -> list[FinishedItem]:
    """Return all items that the annotator finished, the newest first; one look-up an item.

    Of an item and its hidden repeat only the newer one is there: the same text twice would tell.
    """
    newest: dict[str, Annotation] = {}
    for one in finished_annotations(db, annotator):
        newest.setdefault(one.candidate_id, one)
    return [_finished(db, one, text) for one in newest.values() if (text := get_candidate(db, one.candidate_id))]


def tally(db: sqlite_utils.Database, annotator: str) -> Tally:
    """Return what the annotator did, for the screen on which nothing waits."""
    return Tally(*progress_of(db, annotator), verdict_counts(db, annotator))


def _finished(db: sqlite_utils.Database, annotation: Annotation, text: Candidate) -> FinishedItem:
    assignment_id = assignment_key(annotation.candidate_id, annotation.annotator, annotation.round)
    # Of what is finished only an item that was skipped may still wait for its answer, and withhold its text.
    withheld = annotation.verdict == "skip" and subject_of(db, annotation.annotator, assignment_id).asks_first
    beginning = "The question was not answered." if withheld else text.text[:RECENT_WORDS]
    return FinishedItem(assignment_id, text.kind, beginning, annotation.verdict, annotation.updated_at)


def _work(db: sqlite_utils.Database, subject: Subject) -> tuple[WorkState | None, int]:
    """Return the annotator's work as last stated, and the number of the newest operation; suggested flags are where it begins."""
    lease = subject.assignment
    last = last_operation(db, lease.candidate_id, lease.annotator, lease.round, WORK_KINDS)
    stated = last_operation(db, lease.candidate_id, lease.annotator, lease.round, STATE_KINDS)
    sequence = last.sequence if last else 0
    if stated is None:
        return (None if subject.asks_first else _suggested(db, subject)), sequence
    work = work_from_json(stated.payload)
    if stated.kind == "skip" and lease.state != "skipped":
        work = replace(work, verdict=None, skip_reason=None)
    return work, sequence


def _suggested(db: sqlite_utils.Database, subject: Subject) -> WorkState | None:
    """Return work that holds the flags which came with the text, or None: there are none, or the item is one from scratch."""
    found = [] if subject.entry.scratch else suggestions_of(db, subject.candidate.id)
    flags = [
        FlagState(digest_id(subject.assignment.id, s.id), s.kind, s.text_start, s.text_end, s.quote, s.start_s, s.end_s, s.severity, s.comment) for s in found
    ]
    return replace(NOT_BEGUN, flags=tuple(flags)) if flags else None


def _answered(db: sqlite_utils.Database, candidate: Candidate, lease: Assignment) -> Annotation | None:
    """Return the annotation that holds the annotator's blind answer to the item's question, or None.

    Who answered once has seen the given answer since, so that the other texts of the question ask no more. A repeat asks as its item did: it
    would tell otherwise.
    """
    if candidate.qa_id is None:
        return None
    once = blind_answer_to(db, candidate.qa_id, lease.annotator)
    if lease.round == 1 or once is None or once.candidate_id != candidate.id:
        return once
    own = annotation_of(db, candidate.id, lease.annotator, lease.round)
    return own if own and (own.blind_answer, own.blind_answer_index) != (None, None) else None


def _media_of(db: sqlite_utils.Database, clip: Clip) -> Media | None:
    return get_media(db, clip.digest) if clip.digest else None
