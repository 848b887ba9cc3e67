"""One draft into its tables: added, unchanged, or refused because what is here says otherwise. Call inside a transaction.

Ids are made from the data set and its own ids, so that the same import twice adds nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import sqlite_utils

from curation.datasets.drafts import CandidateDraft, ClipDraft, Draft, QADraft, Span, SubtitleDraft
from curation.datasets.fields import BadField, Fault, cut, shown
from curation.import_hints import Hints, store_hints
from store.batches import GOLD_WANTED
from store.candidates import add_candidate, candidate_of, get_candidate
from store.clips import add_clip, add_qa_pair, add_subtitles, evidence_of, get_clip, get_media, get_qa_pair, split_of, subtitles_of
from store.queue import enqueue
from store.records import Clip, EvidenceSpan, QAPair, Subtitle
from store.rows import digest_id

ADDED, UNCHANGED, REJECTED = "added", "unchanged", "rejected"


@dataclass(frozen=True)
class Stored:
    """What became of a draft that was not refused; faults are evidence spans that were left out."""

    fate: str
    faults: tuple[Fault, ...] = ()
    notices: tuple[Fault, ...] = ()
    spans_added: int = 0
    spans_unchanged: int = 0
    queued: bool = False
    hints: tuple[Hints, ...] = ()  # what came with a text


@dataclass(frozen=True)
class Shelf:
    """Where records go: the database, the files found for names, and how often a text is to be annotated (0: not queued)."""

    db: sqlite_utils.Database
    media: Mapping[str, str]  # media name -> digest
    overlap: int
    durations: dict[str, float | None] = field(default_factory=dict)  # by digest; asked for once

    def length_of(self, clip: Clip) -> float | None:
        """Return the clip's length in seconds, or None while nobody knows where it ends."""
        if clip.digest is not None and clip.digest not in self.durations:
            media = get_media(self.db, clip.digest)
            self.durations[clip.digest] = media.duration_s if media else None
        ends = [end for end in (clip.end_s, self.durations.get(clip.digest or "")) if end is not None]
        return max(min(ends) - clip.start_s, 0.0) if ends else None


def clip_id(dataset: str, external_id: str) -> str:
    """Return the id of a data set's clip."""
    return digest_id("clip", dataset, external_id)


def qa_id(dataset: str, clip: str, external_id: str) -> str:
    """Return the id of a question about a data set's clip."""
    return digest_id("qa", dataset, clip, external_id)


def candidate_id(dataset: str, external_id: str) -> str:
    """Return the id of a text that came with a data set."""
    return digest_id("candidate", dataset, external_id)


def store_drafts(shelf: Shelf, drafts: Sequence[Draft]) -> Stored:
    """Put one record, or all spoken lines of one clip, into the tables.

    Raises BadField when the id is here with other content, or when what the draft speaks of is not here.
    """
    match drafts[0]:
        case ClipDraft() as clip:
            return _store_clip(shelf, clip)
        case QADraft() as pair:
            return _store_pair(shelf, pair)
        case CandidateDraft() as text:
            return _store_candidate(shelf, text)
        case SubtitleDraft():
            return _store_subtitles(shelf, [line for line in drafts if isinstance(line, SubtitleDraft)])


def _store_clip(shelf: Shelf, draft: ClipDraft) -> Stored:
    made_id, split = clip_id(draft.dataset, draft.id), split_of(draft.group)
    clip = Clip(made_id, draft.dataset, draft.id, draft.video, shelf.media.get(draft.video), draft.start_s, draft.end_s, draft.group, split)
    if (known := get_clip(shelf.db, made_id)) is None:
        add_clip(shelf.db, clip)
        behind = Fault("start_s", f"The clip starts at {clip.start_s:g} s, behind the end of {clip.media_name}: its texts are given to nobody.")
        return Stored(ADDED, notices=(behind,) if shelf.length_of(clip) == 0 else ())
    _refuse_other(f"Clip {draft.id!r}", known, replace(clip, digest=known.digest))
    return Stored(UNCHANGED)


def _store_pair(shelf: Shelf, draft: QADraft) -> Stored:
    clip = _clip_of(shelf, draft.dataset, draft.clip)
    pair = _pair_of(draft, clip.id)
    if (known := get_qa_pair(shelf.db, pair.id)) is not None:
        _refuse_other(f"Question {draft.id!r} of clip {draft.clip!r}", known, pair)
    length_s = shelf.length_of(clip)
    evidence, faults, notices = cut(draft.evidence, length_s, "evidence") if length_s is not None else (draft.evidence, (), ())
    new = _new_evidence(shelf, pair, evidence) if known else evidence
    if new or known is None:
        add_qa_pair(shelf.db, pair, [EvidenceSpan(pair.id, place, *span) for place, span in enumerate(new)])
    fate = ADDED if new or known is None else UNCHANGED
    return Stored(fate, faults, notices + _behind(pair, length_s), len(new), len(evidence) - len(new))


def _pair_of(draft: QADraft, its_clip_id: str) -> QAPair:
    made_id, window = qa_id(draft.dataset, draft.clip, draft.id), draft.window or (None, None)
    return QAPair(made_id, its_clip_id, draft.id, draft.question, draft.answer, draft.options, draft.answer_index, draft.question_type, draft.pause_s, *window)


def _new_evidence(shelf: Shelf, pair: QAPair, evidence: tuple[Span, ...]) -> tuple[Span, ...]:
    """Return the spans for a question that is here: all when it has none, none when it has these. Raises BadField when it has others."""
    stored = tuple((span.start_s, span.end_s) for span in evidence_of(shelf.db, pair.id))
    if stored and evidence and stored != evidence:
        raise BadField("evidence", f"Question {pair.external_id!r} has other evidence here: {shown(stored)}, not {shown(evidence)}. An import changes nothing.")
    return () if stored else evidence


def _behind(pair: QAPair, length_s: float | None) -> tuple[Fault, ...]:
    """Return a notice for a pause or a window that reaches past the clip's end; they stay as the data set has them."""
    times = {"pause_s": pair.pause_s, "window": pair.window_end_s}
    over = {name: time for name, time in times.items() if time is not None and length_s is not None and time > length_s}
    return tuple(Fault(name, f"{name} reaches to {time:g} s; the clip ends at {length_s:g} s.") for name, time in over.items())


def _store_subtitles(shelf: Shelf, drafts: Sequence[SubtitleDraft]) -> Stored:
    clip = _clip_of(shelf, drafts[0].dataset, drafts[0].clip)
    spoken = sorted(drafts, key=lambda line: (line.start_s, line.end_s))
    lines = [Subtitle(clip.id, place, line.start_s, line.end_s, line.text) for place, line in enumerate(spoken)]
    stored = subtitles_of(shelf.db, clip.id)
    if stored and stored != lines:
        raise BadField("text", f"Clip {clip.external_id!r} has other subtitles here ({len(stored)} lines, not these {len(lines)}). An import changes nothing.")
    if not stored:
        add_subtitles(shelf.db, lines)
    return Stored(UNCHANGED if stored else ADDED)


def _store_candidate(shelf: Shelf, draft: CandidateDraft) -> Stored:
    clip = _clip_of(shelf, draft.dataset, draft.clip)
    subject = None if draft.qa is None else qa_id(draft.dataset, draft.clip, draft.qa)
    if subject is not None and get_qa_pair(shelf.db, subject) is None:
        raise BadField("qa", f"There is no question {draft.qa!r} about clip {draft.clip!r} of {draft.dataset!r}; it may have been refused.")
    parent, made_id = _parent_of(shelf, draft, subject or clip.id), candidate_id(draft.dataset, draft.id)
    text = replace(candidate_of(draft.kind, clip.id, subject, draft.generator, draft.text, parent), id=made_id)
    known = get_candidate(shelf.db, made_id)
    if known is None:
        add_candidate(shelf.db, text, draft.generator)
    else:
        _refuse_other(f"Candidate {draft.id!r}", known, replace(text, created_at=known.created_at))
    # Gold waits for a batch with a gold share: everybody gets it there.
    wanted, part = (shelf.overlap, "main") if draft.gold is None else (GOLD_WANTED, "gold")
    queued = bool(shelf.overlap) and enqueue(shelf.db, made_id, wanted, part=part)
    hints = store_hints(shelf.db, draft, made_id, shelf.length_of(clip))
    notices = tuple(notice for one in hints for notice in one.notices)
    return Stored(UNCHANGED if known else ADDED, notices=notices, queued=queued, hints=hints)


def _parent_of(shelf: Shelf, draft: CandidateDraft, subject_id: str) -> str | None:
    if draft.parent is None:
        return None
    parent = get_candidate(shelf.db, candidate_id(draft.dataset, draft.parent))
    if parent is None:
        raise BadField("parent", f"There is no candidate {draft.parent!r} of {draft.dataset!r} to be the parent; it may have been refused.")
    if (parent.kind, parent.subject_id) != (draft.kind, subject_id):
        raise BadField("parent", f"The parent {draft.parent!r} is a {parent.kind} about something else; an edit keeps kind and subject.")
    return parent.id


def _clip_of(shelf: Shelf, dataset: str, external_id: str) -> Clip:
    clip = get_clip(shelf.db, clip_id(dataset, external_id))
    if clip is None:
        raise BadField("clip", f"There is no clip {external_id!r} of {dataset!r}; it may have been refused.")
    return clip


def _refuse_other(what: str, known: Any, found: Any) -> None:
    """Raise BadField naming the first field in which the record here and the one that was read differ."""
    if known == found:
        return
    here, read = asdict(known), asdict(found)
    for name, value in here.items():
        if value != read[name]:
            told = f"{what} is here already with {name} {shown(value)}, not {shown(read[name])}"
            raise BadField(name, f"{told}. An import changes nothing: give it a new id, or import it under another --dataset name.")
