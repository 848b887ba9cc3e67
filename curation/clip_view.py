"""The clip of a text as a screen plays it: file, frames, subtitles, evidence and questions, as frozen values."""

from dataclasses import dataclass

import sqlite_utils

from store.clips import evidence_of, get_clip, get_media, get_qa_pair, qa_pairs_of, subtitles_of
from store.errors import NotFoundError
from store.played import end_of, frames_inside, played_digest
from store.records import Candidate, QAPair


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
class ClipView:
    """What is played beside a text. `start_s` and `end_s` are on the file's clock, all other times on the clip's."""

    media_digest: str | None  # None: the file is missing
    start_s: float
    end_s: float | None  # None: to the end of the file
    frames: tuple[float, ...]  # when each frame of the clip is shown; empty when unknown
    questions: tuple[DeskQuestion, ...]  # the one that a rationale is about; all of the clip's for a narrative
    subtitles: tuple[DeskSpan, ...]
    evidence: tuple[DeskSpan, ...]

    @property
    def length_s(self) -> float | None:
        """The clip's length in seconds, or None when nothing says it."""
        return None if self.end_s is None else self.end_s - self.start_s


def clip_view(db: sqlite_utils.Database, candidate: Candidate, answers: bool = True) -> ClipView:
    """Return the clip of a text; without `answers`, neither the given answers nor where they are seen. Raises NotFoundError when it is gone."""
    clip = get_clip(db, candidate.clip_id)
    if clip is None:
        raise NotFoundError(f"There is no clip {candidate.clip_id}. Load the page again.")
    media = get_media(db, clip.digest) if clip.digest else None
    pair = get_qa_pair(db, candidate.qa_id) if candidate.qa_id else None
    return ClipView(
        media_digest=played_digest(media),
        start_s=clip.start_s,
        end_s=end_of(clip, media),
        frames=tuple(frames_inside(db, clip, media).tolist()),
        questions=tuple(_question(one, answers) for one in ([pair] if pair else qa_pairs_of(db, clip.id))),
        subtitles=tuple(DeskSpan(line.start_s, line.end_s, line.text) for line in subtitles_of(db, clip.id)),
        evidence=tuple(DeskSpan(span.start_s, span.end_s, "") for span in (evidence_of(db, pair.id) if pair and answers else [])),
    )


def _question(pair: QAPair, shown: bool) -> DeskQuestion:
    return DeskQuestion(pair.question, pair.options, pair.answer if shown else None, pair.answer_index if shown else None)
