"""What a data set's file says, before anything is stored: drafts of records, and what is wrong with a row. Pure values.

Times are seconds on the clip's own clock, except a clip's own start and end, which are on its file's clock.
Ids are those of the data set.
"""

from dataclasses import dataclass

from store.records import Generator

Span = tuple[float, float]


@dataclass(frozen=True)
class ClipDraft:
    """A stretch of the file `video`; `group` names the source that the split goes by."""

    dataset: str
    id: str
    video: str
    group: str
    start_s: float = 0.0
    end_s: float | None = None  # None: to the end of the file


@dataclass(frozen=True)
class QADraft:
    """A question about a clip."""

    dataset: str
    clip: str
    id: str
    question: str
    answer: str | None  # None: the data set withholds it
    options: tuple[str, ...] = ()
    answer_index: int | None = None
    question_type: str | None = None
    evidence: tuple[Span, ...] = ()
    pause_s: float | None = None
    window: Span | None = None


@dataclass(frozen=True)
class SubtitleDraft:
    """A spoken line."""

    dataset: str
    clip: str
    start_s: float
    end_s: float
    text: str


@dataclass(frozen=True)
class SuggestedFlag:
    """A flag that came with a text: words by code points of the text, a moment in seconds of the clip, or neither."""

    kind: str
    severity: int
    comment: str = ""
    text: tuple[int, int] | None = None
    span: Span | None = None


@dataclass(frozen=True)
class GoldDraft:
    """The known verdict on a text, and which flags it deserves."""

    verdict: str
    flag_kinds: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class CandidateDraft:
    """A text about a clip (narrative) or about a question (rationale, answer); `parent` is the id of the text that it edits."""

    dataset: str
    id: str
    kind: str
    clip: str
    qa: str | None
    text: str
    generator: Generator
    parent: str | None = None
    signals: tuple[tuple[str, float], ...] = ()  # by name
    suggested_flags: tuple[SuggestedFlag, ...] = ()
    gold: GoldDraft | None = None


Draft = ClipDraft | QADraft | SubtitleDraft | CandidateDraft


@dataclass(frozen=True)
class Rejection:
    """Something that was not taken in: where it stands (line 1 is the first), which field, and why, as a sentence."""

    file: str
    line: int
    field: str
    reason: str


@dataclass(frozen=True)
class Notice:
    """Something that was taken in and deserves a look; same fields as a Rejection."""

    file: str
    line: int
    field: str
    reason: str


@dataclass(frozen=True)
class Row:
    """What one row of a file became. Without drafts the row is refused; with them a rejection is about a part of it."""

    file: str
    line: int
    kind: str | None = "qa"  # what the row is about: "clip", "qa", "subtitle" or "candidate"; None when it does not say
    drafts: tuple[Draft, ...] = ()
    rejections: tuple[Rejection, ...] = ()
    notices: tuple[Notice, ...] = ()
    spans_refused: int = 0  # evidence spans among the rejections


Item = Row | Notice
