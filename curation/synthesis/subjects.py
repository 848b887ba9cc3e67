"""What texts are asked about: clips with all their QA pairs, or single QA pairs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Told:
    """A QA pair as a writer is told it. Spans are evidence, (start, end) in seconds from the start of what is shown: the clip, or a question's own window."""

    qa_id: str
    name: str  # the data set's own id of it
    question: str
    answer: str | None  # the given answer's words, without a letter; None: the data set withholds it
    options: tuple[str, ...]
    right: int | None  # into options
    question_type: str | None
    spans: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Subject:
    """What one text is about. A narrative tells all QA pairs of a clip, a rationale exactly one; in the order of the data set's own ids."""

    kind: str  # "narrative" or "rationale"
    clip_id: str
    qa_id: str | None  # None: a narrative
    name: str  # data set, clip and question, for people
    split: str
    digest: str | None  # of the video; None: it is not here, so only words can be told
    start_s: float  # of what is shown, on the clock of the file
    end_s: float | None  # None: to the file's end
    length_s: float | None  # of the clip; None: not known
    said: Mapping[str, Any]  # lines, pause_s and window_s, as store.row_words.context_of tells them: seconds from start_s
    pairs: tuple[Told, ...]
