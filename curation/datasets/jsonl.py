"""Our own format, which carries everything: one JSON object a line, its kind in `record` (docs/formats.md, docs/canonical.schema.json)."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from curation.datasets.drafts import CandidateDraft, ClipDraft, Draft, Item, QADraft, Span, SubtitleDraft
from curation.datasets.fields import (
    BadField,
    Fault,
    id_field,
    index_field,
    optional_text,
    pair,
    seconds,
    shown,
    sound_spans,
    span,
    text_field,
)
from curation.datasets.hints import hint_values, read_gold, read_signals, read_suggested
from curation.datasets.sources import Parsed, Raw, Source, json_lines, rows_of
from curation.synthesis.faults import text_fault
from store.candidates import generator_of
from store.records import Generator

GENERATOR_KINDS = ("api_model", "base_model", "adapter", "template", "person", "imported")
CANDIDATE_KINDS = ("narrative", "rationale", "answer")
FIELDS = {
    "clip": ("record", "dataset", "id", "video", "start_s", "end_s", "group"),
    "qa": ("record", "dataset", "clip", "id", "question", "answer", "options", "answer_index", "type", "evidence", "pause_s", "window"),
    "subtitle": ("record", "dataset", "clip", "start_s", "end_s", "text"),
    "candidate": ("record", "dataset", "id", "kind", "clip", "qa", "text", "parent", "generator", "signals", "suggested_flags", "gold"),
}


def read(source: Source) -> Iterator[Item]:
    """Yield the records of the file, one a line."""
    return rows_of(source.file, json_lines(source.file), lambda raw: _parse(raw, source.dataset, tuple(FIELDS)), _kind)


def read_candidates(source: Source) -> Iterator[Item]:
    """Yield the records of a file that may hold candidates only."""
    return rows_of(source.file, json_lines(source.file), lambda raw: _parse(raw, source.dataset, ("candidate",)), _kind)


def line_of(draft: Draft) -> str:
    """Return the draft as one line of the format, without the line's end; `read` gives the same draft back."""
    return json.dumps(_VALUES[type(draft)](draft), ensure_ascii=False)


def _kind(raw: Raw) -> str | None:
    record = raw.values.get("record")
    return record if isinstance(record, str) and record in FIELDS else None


def _parse(raw: Raw, dataset: str | None, allowed: tuple[str, ...]) -> Parsed:
    values = raw.values
    record = _kind(raw)
    if record not in allowed:
        raise BadField("record", f"record is {shown(values.get('record'))}; it must be {_one_of(allowed)}.")
    unknown = (name for name in values if name not in FIELDS[record])
    notices = tuple(Fault(name, f"{shown(name)} is no field of a {record} and was left out.") for name in unknown)
    draft, faults = _PARSERS[record](values, dataset or id_field(values, "dataset"))
    return Parsed((draft,), faults, notices)


def _clip(values: Mapping[str, Any], dataset: str) -> tuple[Draft, tuple[Fault, ...]]:
    video = text_field(values, "video").strip()
    start_s = seconds("start_s", values["start_s"]) if values.get("start_s") is not None else 0.0
    end_s = span("end_s", start_s, values["end_s"])[1] if values.get("end_s") is not None else None
    group = optional_text(values, "group") or video
    return ClipDraft(dataset, id_field(values, "id"), video, group, start_s, end_s), ()


def _qa(values: Mapping[str, Any], dataset: str) -> tuple[Draft, tuple[Fault, ...]]:
    options = _options(values.get("options"))
    answer, index = _answer(values, options)
    pause_s, no_pause = _left_out(lambda: seconds("pause_s", values["pause_s"]) if values.get("pause_s") is not None else None)
    window, no_window = _left_out(lambda: span("window", *pair("window", values["window"])) if values.get("window") is not None else None)
    evidence, bad_spans = sound_spans("evidence", values["evidence"]) if values.get("evidence") is not None else ((), ())
    question, kind = text_field(values, "question"), optional_text(values, "type")
    draft = QADraft(dataset, id_field(values, "clip"), id_field(values, "id"), question, answer, options, index, kind, evidence, pause_s, window)
    return draft, no_pause + no_window + bad_spans


def _subtitle(values: Mapping[str, Any], dataset: str) -> tuple[Draft, tuple[Fault, ...]]:
    start_s, end_s = span("end_s", values.get("start_s"), values.get("end_s"))
    return SubtitleDraft(dataset, id_field(values, "clip"), start_s, end_s, text_field(values, "text")), ()


def read_candidate(values: Mapping[str, Any], dataset: str) -> tuple[CandidateDraft, tuple[Fault, ...]]:
    """Return the text of a record, and the parts that were left out. Raises BadField for what is none: a program's error is no text either."""
    kind = values.get("kind")
    if kind not in CANDIDATE_KINDS:
        raise BadField("kind", f"kind is {shown(kind)}; it must be {_one_of(CANDIDATE_KINDS)}.")
    qa = id_field(values, "qa") if values.get("qa") is not None else None
    if (kind == "narrative") != (qa is None):
        told = "must not name a question in qa: it is about the clip" if qa else "must name its question in qa"
        raise BadField("qa", f"A {kind} {told}.")
    parent = id_field(values, "parent") if values.get("parent") is not None else None
    writer, text = _generator(values.get("generator")), text_field(values, "text")
    fault = text_fault(text)
    if fault:
        raise BadField("text", fault.sentence)
    (signals, bad_signals), (flags, bad_flags), (gold, bad_gold) = read_signals(values), read_suggested(values, text), read_gold(values)
    draft = CandidateDraft(dataset, id_field(values, "id"), kind, id_field(values, "clip"), qa, text, writer, parent, signals, flags, gold)
    return draft, bad_signals + bad_flags + bad_gold


def _generator(value: Any) -> Generator:
    if not isinstance(value, dict):
        raise BadField("generator", f"generator is {shown(value)}; it must say who wrote the text: an object with kind and name.")
    if value.get("kind") not in GENERATOR_KINDS:
        raise BadField("generator.kind", f"generator.kind is {shown(value.get('kind'))}; it must be {_one_of(GENERATOR_KINDS)}.")
    settings, given = value.get("settings"), value.get("answer_given")
    if not isinstance(settings, dict | None):
        raise BadField("generator.settings", f"generator.settings is {shown(settings)}; it must be an object or null.")
    if not isinstance(given, bool | None):
        raise BadField("generator.answer_given", f"generator.answer_given is {shown(given)}; it must be true, false or null.")
    try:
        name, version = text_field(value, "name"), optional_text(value, "prompt_version")
        told = json.dumps(settings, ensure_ascii=False, sort_keys=True, allow_nan=False) if settings is not None else None
        text_field({"settings": told or "none"}, "settings")
    except BadField as bad:
        raise BadField(f"generator.{bad.field}", bad.reason) from bad
    except ValueError as error:
        raise BadField("generator.settings", "generator.settings holds NaN or an infinite number, which JSON cannot.") from error
    return generator_of(value["kind"], name, version, told, given)


def _options(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise BadField("options", f"options is {shown(value)}; it must be a list of texts.")
    return tuple(text_field({"options": option}, "options") for option in value)


def _answer(values: Mapping[str, Any], options: tuple[str, ...]) -> tuple[str | None, int | None]:
    """Return answer and index; the text of an answer that only an index names is the option's."""
    answer = optional_text(values, "answer")
    if values.get("answer_index") is None:
        return answer, None
    if isinstance(values["answer_index"], str) or not options:
        raise BadField("answer_index", f"answer_index is {shown(values['answer_index'])}; it must be a number into options.")
    index = index_field(values, "answer_index", options)
    if answer not in (None, options[index]):
        raise BadField("answer", f"answer is {shown(answer)}, but option {index} is {shown(options[index])}.")
    return options[index], index


def _left_out(read_value: Callable[[], Any]) -> tuple[Any, tuple[Fault, ...]]:
    try:
        return read_value(), ()
    except BadField as bad:
        return None, (Fault(bad.field, f"Left out: {bad.reason}"),)


def _one_of(names: tuple[str, ...]) -> str:
    return " or ".join(shown(name) for name in names)


def _clip_values(draft: ClipDraft) -> dict[str, Any]:
    values = {"record": "clip", "dataset": draft.dataset, "id": draft.id, "video": draft.video}
    return values | {"start_s": draft.start_s, "end_s": draft.end_s, "group": draft.group}


def _qa_values(draft: QADraft) -> dict[str, Any]:
    values: dict[str, Any] = {"record": "qa", "dataset": draft.dataset, "clip": draft.clip, "id": draft.id, "question": draft.question}
    values |= {"answer": draft.answer, "options": list(draft.options), "answer_index": draft.answer_index, "type": draft.question_type}
    return values | {"evidence": [list(part) for part in draft.evidence], "pause_s": draft.pause_s, "window": _list(draft.window)}


def _subtitle_values(draft: SubtitleDraft) -> dict[str, Any]:
    values = {"record": "subtitle", "dataset": draft.dataset, "clip": draft.clip}
    return values | {"start_s": draft.start_s, "end_s": draft.end_s, "text": draft.text}


def _candidate_values(draft: CandidateDraft) -> dict[str, Any]:
    writer = draft.generator
    told: dict[str, Any] = {"kind": writer.kind, "name": writer.name, "prompt_version": writer.prompt_version}
    told |= {"settings": json.loads(writer.settings) if writer.settings else None, "answer_given": writer.answer_given}
    values = {"record": "candidate", "dataset": draft.dataset, "id": draft.id, "kind": draft.kind, "clip": draft.clip, "qa": draft.qa}
    return values | {"text": draft.text, "parent": draft.parent, "generator": told} | hint_values(draft)


def _list(window: Span | None) -> list[float] | None:
    return None if window is None else list(window)


_PARSERS: dict[str, Callable[[Mapping[str, Any], str], tuple[Draft, tuple[Fault, ...]]]] = {
    "clip": _clip,
    "qa": _qa,
    "subtitle": _subtitle,
    "candidate": read_candidate,
}
_VALUES: dict[type, Callable[[Any], dict[str, Any]]] = {
    ClipDraft: _clip_values,
    QADraft: _qa_values,
    SubtitleDraft: _subtitle_values,
    CandidateDraft: _candidate_values,
}
