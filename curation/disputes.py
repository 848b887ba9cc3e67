"""What annotators dispute: which texts wait for a decision, the worst first, and what the adjudicator sees of each."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import islice

import sqlite_utils

from curation.claims import ClaimSpan, sentence_claims
from curation.clip_view import ClipView, clip_view
from curation.disagreement import Disagreement, disagreement_of, majority_of
from curation.work_flags import FlagState, TickState
from store.annotations import flags_of, ticks_of
from store.candidates import get_candidate
from store.decisions import contested_candidates, flags_of_all, list_issues, list_rulings, ruling_on, voices_of
from store.errors import NotFoundError
from store.queue import entry_of
from store.records import Annotation, Candidate, DecisionFlag, Flag
from store.replay import Work
from store.replay_decisions import Ruling
from store.rows import digest_id

VERDICTS = ("accept", "reject", "unsure")
BEGINNING = 90  # characters of a text in a list
LEAST_VOICES = 2
# What a decision keeps of a flag.
KEPT = tuple(field.name for field in fields(DecisionFlag) if field.name not in ("decision_id", "position"))


@dataclass(frozen=True)
class Dispute:
    """A text that waits for a decision."""

    candidate_id: str
    kind: str
    beginning: str
    verdicts: tuple[tuple[str, int], ...]  # verdict and how many gave it, in the order of VERDICTS
    wanted: int | None  # annotations that its batch wants; None: as many as there are people
    disagreement: Disagreement
    yours: bool  # the adjudicator is one of its annotators


@dataclass(frozen=True)
class Settled:
    """A text that was decided."""

    candidate_id: str
    kind: str
    beginning: str
    verdict: str
    overrides: bool
    adjudicator: str
    decided_at: str


@dataclass(frozen=True)
class VoiceView:
    """What one annotator said, as the adjudicator sees it: a number until the decision is in."""

    number: int
    name: str | None
    yours: bool
    verdict: str | None
    no_error: bool
    omission: str | None
    factual_consistency: int | None
    logical_coherence: int | None
    note: str
    edited_text: str | None
    blind_answer: str | None
    blind_answer_index: int | None
    seconds_spent: float
    watched_share: float
    flags: tuple[FlagState, ...]
    ticks: tuple[TickState, ...]


@dataclass(frozen=True)
class DecisionView:
    """The decision that stands, with its flags."""

    verdict: str
    reason: str
    overrides: bool
    adjudicator: str
    decided_at: str
    flags: tuple[FlagState, ...]


@dataclass(frozen=True)
class Question:
    """A question on the guidelines that this text raised."""

    question: str
    answer: str | None


@dataclass(frozen=True)
class DisputeItem:
    """One text with all that its annotators said; nothing says who wrote it."""

    candidate_id: str
    kind: str
    text: str
    clip: ClipView
    claims: tuple[ClaimSpan, ...]
    voices: tuple[VoiceView, ...]
    disagreement: Disagreement
    majority: str | None  # the verdict that a strict majority gave
    wanted: int | None
    decision: DecisionView | None
    stale: bool  # somebody annotated it after the decision
    questions: tuple[Question, ...]
    sequence: int  # of the newest operation that is seen here; a decision says it back


def ranked(db: sqlite_utils.Database) -> dict[str, Disagreement]:
    """Return the texts that two annotators or more judged, whose verdicts or flags differ and that nobody decided: by id, the worst first.

    Grows with all annotations of such texts.
    """
    found = {candidate_id: disagreement_of(voices) for candidate_id, voices in _contested(db).items()}
    worst_first = sorted(found, key=lambda one: (-found[one].verdicts, -found[one].flags, -found[one].ratings, one))
    return {candidate_id: found[candidate_id] for candidate_id in worst_first if found[candidate_id].disputed}


def disputes(db: sqlite_utils.Database, adjudicator: str, limit: int) -> tuple[list[Dispute], int]:
    """Return the first `limit` texts that wait for a decision, the worst first, and how many wait."""
    waiting = ranked(db)
    return [_dispute(db, adjudicator, candidate_id, score) for candidate_id, score in islice(waiting.items(), limit)], len(waiting)


def decided(db: sqlite_utils.Database, limit: int) -> list[Settled]:
    """Return the last `limit` decisions, the newest first."""
    found = [(ruling.decision, get_candidate(db, candidate_id)) for candidate_id, ruling in list(list_rulings(db).items())[:limit]]
    return [Settled(c.id, c.kind, c.text[:BEGINNING], d.verdict, d.overrides, d.adjudicator, d.decided_at) for d, c in found if c]


def dispute_item(db: sqlite_utils.Database, adjudicator: str, candidate_id: str) -> DisputeItem:
    """Return a text with what each annotator said; names only when it is decided. Raises NotFoundError when there is nothing to decide."""
    candidate = text_of(db, candidate_id)
    ruling, voices = ruling_on(db, candidate_id), voices_on(db, candidate_id)
    if ruling is None and len(voices) < LEAST_VOICES:
        raise NotFoundError("Fewer than two people have judged this text, so that there is nothing to decide yet. Take the next one.")
    clip = clip_view(db, candidate)
    return DisputeItem(
        candidate_id=candidate_id,
        kind=candidate.kind,
        text=candidate.text,
        clip=clip,
        claims=sentence_claims(candidate.text),
        voices=tuple(_voice_view(voice, number, adjudicator, ruling is not None) for number, voice in enumerate(voices, 1)),
        disagreement=disagreement_of(voices),
        majority=majority(voices),
        wanted=_wanted(db, candidate_id),
        decision=_decision_view(ruling) if ruling else None,
        stale=ruling is not None and any(voice.annotation.operation_sequence > ruling.decision.operation_sequence for voice in voices),
        questions=tuple(Question(issue.question, issue.answer) for issue in list_issues(db, candidate_id)),
        sequence=newest(ruling, voices),
    )


def voices_on(db: sqlite_utils.Database, candidate_id: str) -> list[Work]:
    """Return what people said of the text, in an order that is always the same for this text and tells nothing of their names."""
    annotations = sorted(voices_of(db, [candidate_id]), key=_place)
    return [Work(annotation, tuple(flags_of(db, annotation.id)), tuple(ticks_of(db, annotation.id))) for annotation in annotations]


def majority(voices: Sequence[Work]) -> str | None:
    """Return the verdict that a strict majority gave, or None."""
    return majority_of([voice.annotation.verdict for voice in voices])


def newest(ruling: Ruling | None, voices: Sequence[Work]) -> int:
    """Return the number of the newest operation behind what is seen of a text."""
    return max([voice.annotation.operation_sequence for voice in voices] + ([ruling.decision.operation_sequence] if ruling else []), default=0)


def text_of(db: sqlite_utils.Database, candidate_id: str) -> Candidate:
    """Return the text. Raises NotFoundError when there is none."""
    found = get_candidate(db, candidate_id)
    if found is None:
        raise NotFoundError("There is no such text. Load the page again.")
    return found


def _contested(db: sqlite_utils.Database) -> dict[str, list[Work]]:
    annotations = voices_of(db, contested_candidates(db))
    flags: dict[str, list[Flag]] = defaultdict(list)
    for flag in flags_of_all(db, [annotation.id for annotation in annotations]):
        flags[flag.annotation_id].append(flag)
    voices: dict[str, list[Work]] = defaultdict(list)
    for annotation in annotations:
        voices[annotation.candidate_id].append(Work(annotation, tuple(flags[annotation.id]), ()))
    return voices


def _dispute(db: sqlite_utils.Database, adjudicator: str, candidate_id: str, disagreement: Disagreement) -> Dispute:
    candidate, voices = text_of(db, candidate_id), voices_of(db, [candidate_id])
    counts = Counter(voice.verdict for voice in voices)
    verdicts = tuple((verdict, counts[verdict]) for verdict in VERDICTS if counts[verdict])
    yours = any(voice.annotator == adjudicator for voice in voices)
    return Dispute(candidate.id, candidate.kind, candidate.text[:BEGINNING], verdicts, _wanted(db, candidate.id), disagreement, yours)


def _place(annotation: Annotation) -> str:
    return digest_id("voice", annotation.candidate_id, annotation.annotator)


def _voice_view(voice: Work, number: int, adjudicator: str, named: bool) -> VoiceView:
    told = voice.annotation
    return VoiceView(
        number=number,
        name=told.annotator if named else None,
        yours=told.annotator == adjudicator,
        verdict=told.verdict,
        no_error=told.no_error,
        omission=told.omission,
        factual_consistency=told.factual_consistency,
        logical_coherence=told.logical_coherence,
        note=told.note,
        edited_text=told.edited_text,
        blind_answer=told.blind_answer,
        blind_answer_index=told.blind_answer_index,
        seconds_spent=told.seconds_spent,
        watched_share=told.watched_share,
        flags=tuple(FlagState(**{field.name: getattr(flag, field.name) for field in fields(FlagState)}) for flag in voice.flags),
        ticks=tuple(TickState(tick.text_start, tick.text_end, tick.support) for tick in voice.ticks),
    )


def _decision_view(ruling: Ruling) -> DecisionView:
    made = ruling.decision
    flags = (FlagState(digest_id("decision flag", made.id, flag.position), **{name: getattr(flag, name) for name in KEPT}) for flag in ruling.flags)
    return DecisionView(made.verdict, made.reason, made.overrides, made.adjudicator, made.decided_at, tuple(flags))


def _wanted(db: sqlite_utils.Database, candidate_id: str) -> int | None:
    entry = entry_of(db, candidate_id)
    return entry.wanted if entry and entry.part == "main" else None
