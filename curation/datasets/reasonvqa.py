"""POVQA's ReasonVQA annotations: one JSON array a film, named like the film. The clip is the whole film.

`timestamp` is where the viewer paused to ask, `contextTimestamp` the window around it; `reasoning` was written by a person
who knew the answer, and becomes a rationale.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from curation.datasets.drafts import CandidateDraft, Draft, Item, QADraft, Span
from curation.datasets.fields import BadField, Fault, clock, id_field, optional_text, shown, span, text_field
from curation.datasets.nextqa import clip_of
from curation.datasets.sources import Parsed, Source, json_items, rows_of
from store.candidates import generator_of

WRITER = generator_of("person", "ReasonVQA annotator", answer_given=True)


def read(source: Source) -> Iterator[Item]:
    """Yield the items of one film's file. Raises InputError when it holds no JSON array."""
    dataset, film = source.dataset or "reasonvqa", source.file.stem
    return rows_of(source.file, json_items(source.file), lambda raw: _parse(dataset, film, raw.values))


def _parse(dataset: str, film: str, values: Mapping[str, Any]) -> Parsed:
    index = id_field(values, "index")
    question, answer = text_field(values, "question"), text_field(values, "answer")
    pause_s, window, faults = _moments(values)
    notices: list[Fault] = []
    if pause_s is not None and window is not None and not window[0] <= pause_s <= window[1]:
        notices.append(Fault("timestamp", f"The pause at {pause_s:g} s lies outside the window from {window[0]:g} s to {window[1]:g} s."))
    drafts: list[Draft] = [clip_of(dataset, film), QADraft(dataset, film, index, question, answer, pause_s=pause_s, window=window)]
    reasoning = optional_text(values, "reasoning")
    if reasoning is None:
        notices.append(Fault("reasoning", "reasoning is empty; the question came in without a rationale."))
    else:
        drafts.append(CandidateDraft(dataset, f"{film}/{index}", "rationale", film, index, reasoning, WRITER))
    return Parsed(tuple(drafts), faults, tuple(notices))


def _moments(values: Mapping[str, Any]) -> tuple[float | None, Span | None, tuple[Fault, ...]]:
    """Return the pause and the window in seconds of the film; what is unusable is None and told as a fault."""
    pause_s: float | None = None
    window: Span | None = None
    faults: list[Fault] = []
    try:
        pause_s = clock("timestamp", values.get("timestamp"))
    except BadField as bad:
        faults.append(Fault(bad.field, f"Pause left out: {bad.reason}"))
    try:
        window = _window("contextTimestamp", values.get("contextTimestamp"))
    except BadField as bad:
        faults.append(Fault(bad.field, f"Window left out: {bad.reason}"))
    return pause_s, window, tuple(faults)


def _window(field: str, value: Any) -> Span:
    start, dash, end = value.partition("-") if isinstance(value, str) else ("", "", "")
    if not dash:
        raise BadField(field, f"{field} is {shown(value)}; it must be HH:MM:SS - HH:MM:SS.")
    return span(field, clock(field, start), clock(field, end))
