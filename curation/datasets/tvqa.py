"""TVQA (JSON lines) and TVQA+ (one JSON array). A clip is a file as the data set cut it; `ts` is the evidence in it.

The split goes by show, season and episode, which the clip's name begins with: `castle_s02e24_seg02_clip_26`. Names
without a show are of The Big Bang Theory.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from curation.datasets.drafts import ClipDraft, Item, QADraft, Span
from curation.datasets.fields import BadField, Fault, id_field, index_field, options_of, pair, shown, span, text_field
from curation.datasets.sources import Parsed, Source, json_items, json_lines, rows_of

OPTIONS = ("a0", "a1", "a2", "a3", "a4")
EPISODE = re.compile(r"(?:([a-z]+)_)?(s\d+e\d+(?:-\d+)?)_\w+", re.ASCII)
TIMES = re.compile(r"\s*(nan|-?[\d.]+)\s*-\s*(nan|-?[\d.]+)\s*", re.ASCII | re.IGNORECASE)


def read(source: Source) -> Iterator[Item]:
    """Yield the rows of the file, JSON lines or one array. Raises InputError when an array is announced and none is there."""
    is_array = source.file.text.lstrip().startswith("[")
    raws = json_items(source.file) if is_array else json_lines(source.file)
    dataset = source.dataset or ("tvqaplus" if is_array else "tvqa")
    return rows_of(source.file, raws, lambda raw: _parse(dataset, raw.values))


def _parse(dataset: str, values: Mapping[str, Any]) -> Parsed:
    name, options = id_field(values, "vid_name"), options_of(values, OPTIONS)
    # The public test set withholds the answers.
    index = None if values.get("answer_idx") is None else index_field(values, "answer_idx", options)
    answer = None if index is None else options[index]
    evidence, faults = _evidence(values.get("ts"))
    clip = ClipDraft(dataset, name, name, _episode(name))
    question = QADraft(dataset, name, id_field(values, "qid"), text_field(values, "q"), answer, options, index, evidence=evidence)
    return Parsed((clip, question), faults)


def _episode(name: str) -> str:
    match = EPISODE.fullmatch(name)
    if match is None:
        told = f"vid_name is {shown(name)}; it must name season and episode, as in castle_s02e24_seg02_clip_26"
        raise BadField("vid_name", f"{told}, for the split goes by them.")
    return f"{match[1] or 'bbt'}_{match[2]}"


def _evidence(value: Any) -> tuple[tuple[Span, ...], tuple[Fault, ...]]:
    """Return the span of `ts`, "start-end" or [start, end], or none with the reason."""
    if value is None:
        return (), ()
    try:
        match = TIMES.fullmatch(value) if isinstance(value, str) else None
        start, end = match.groups() if match else pair("ts", value)
        return (span("ts", start, end),), ()
    except BadField as bad:
        return (), (Fault("ts", f"Evidence left out: {bad.reason}", is_span=True),)
