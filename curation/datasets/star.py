"""STAR's question table. A clip is a piece of a Charades video: `6H78U_11.1_19.6` is 6H78U from 11.1 s to 19.6 s."""

from collections.abc import Iterator, Mapping
from typing import Any

from curation.datasets.drafts import ClipDraft, Item, QADraft
from curation.datasets.fields import BadField, id_field, index_field, optional_text, options_of, shown, span, text_field
from curation.datasets.sources import Parsed, Source, csv_columns, csv_rows, require_columns, rows_of

OPTIONS = ("a0", "a1", "a2", "a3")
COLUMNS = ("video_name", "question", "answer_number", "question_id", "question_type", *OPTIONS)


def read(source: Source) -> Iterator[Item]:
    """Yield the rows of the table. Raises InputError when a column is missing."""
    require_columns(source.file, csv_columns(source.file), COLUMNS)
    dataset = source.dataset or "star"
    return rows_of(source.file, csv_rows(source.file), lambda raw: _parse(dataset, raw.values))


def _parse(dataset: str, values: Mapping[str, Any]) -> Parsed:
    name = id_field(values, "video_name")
    video, start_s, end_s = _cut_of(name)
    options = options_of(values, OPTIONS)
    index = index_field(values, "answer_number", options)
    told = optional_text(values, "answer")
    if told is not None and told.strip() != options[index].strip():
        raise BadField("answer", f"answer is {shown(told)}, but answer_number {index} is {shown(options[index])}.")
    clip = ClipDraft(dataset, name, video, video, start_s, end_s)
    pair = QADraft(
        dataset, name, id_field(values, "question_id"), text_field(values, "question"), options[index], options, index, optional_text(values, "question_type")
    )
    return Parsed((clip, pair))


def _cut_of(name: str) -> tuple[str, float, float]:
    """Return source video, start and end of the clip. Raises BadField when the name does not say them."""
    video, *times = name.rsplit("_", 2)
    if not video or len(times) != 2:
        raise BadField("video_name", f"video_name is {shown(name)}; it must be video_start_end, as in 6H78U_11.1_19.6.")
    return video, *span("video_name", times[0], times[1])
