"""NExT-QA's question tables: multiple choice (a0..a4, `answer` is an index) and open-ended (`answer` is the text)."""

from collections.abc import Iterator, Mapping
from typing import Any

from curation.datasets.drafts import ClipDraft, Item, QADraft
from curation.datasets.fields import id_field, index_field, optional_text, options_of, text_field
from curation.datasets.sources import Parsed, Source, csv_columns, csv_rows, require_columns, rows_of

COLUMNS = ("video", "question", "answer", "qid", "type")
OPTIONS = ("a0", "a1", "a2", "a3", "a4")
MULTIPLE_CHOICE, OPEN_ENDED = "nextqa", "nextoe"


def read(source: Source) -> Iterator[Item]:
    """Yield the rows of either table; which one it is, the columns say. Raises InputError when a column is missing."""
    columns = csv_columns(source.file)
    has_options = any(name in columns for name in OPTIONS)
    require_columns(source.file, columns, COLUMNS + (OPTIONS if has_options else ()))
    dataset = source.dataset or (MULTIPLE_CHOICE if has_options else OPEN_ENDED)
    options = OPTIONS if has_options else ()
    return rows_of(source.file, csv_rows(source.file), lambda raw: _parse(dataset, raw.values, options))


def clip_of(dataset: str, video: str) -> ClipDraft:
    """Return the clip of a data set whose clips are whole files: the file is the clip, and the source that the split goes by."""
    return ClipDraft(dataset, video, video, video)


def _parse(dataset: str, values: Mapping[str, Any], option_fields: tuple[str, ...]) -> Parsed:
    video, qid = id_field(values, "video"), id_field(values, "qid")
    question, options = text_field(values, "question"), options_of(values, option_fields)
    index = index_field(values, "answer", options) if options else None
    answer = text_field(values, "answer") if index is None else options[index]
    pair = QADraft(dataset, video, qid, question, answer, options, index, optional_text(values, "type"))
    return Parsed((clip_of(dataset, video), pair))
