"""What only a whole file shows: an id that stands twice, a question that stands twice, options that repeat. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from curation.datasets.drafts import CandidateDraft, ClipDraft, Draft, Item, Notice, QADraft, Rejection, Row, SubtitleDraft


def check_across(items: Iterable[Item], id_column: str) -> Iterator[Item]:
    """Yield the items; the second row of an id is refused, and what repeats is noticed. Holds one key a row.

    `id_column` is what the file calls the id of a question.
    """
    first_line: dict[tuple[str, ...], int] = {}
    asked: dict[tuple[str, str, str], int] = {}
    for item in items:
        if not isinstance(item, Row) or not item.drafts:
            yield item
            continue
        # The row's own record stands behind the clip that comes with it.
        keys = [key for draft in item.drafts if (key := _key(draft)) is not None]
        if twice := next((key for key in keys if key in first_line), None):
            told = f"The id {twice[-1]!r} stands already on line {first_line[twice]}; this row was left out."
            yield Row(item.file, item.line, item.kind, rejections=(Rejection(item.file, item.line, id_column, told),))
            continue
        first_line |= dict.fromkeys(keys, item.line)
        pairs = [draft for draft in item.drafts if isinstance(draft, QADraft)]
        yield replace(item, notices=item.notices + tuple(note for pair in pairs for note in _notices(pair, item, asked)))


def _key(draft: Draft) -> tuple[str, ...] | None:
    """Return what no second row may have; clips may come with every row, subtitles have no id."""
    match draft:
        case QADraft():
            return ("qa", draft.dataset, draft.clip, draft.id)
        case CandidateDraft():
            return ("candidate", draft.dataset, draft.id)
        case ClipDraft() | SubtitleDraft():
            return None


def _notices(pair: QADraft, row: Row, asked: dict[tuple[str, str, str], int]) -> Iterator[Notice]:
    if len(set(pair.options)) < len(pair.options):
        yield Notice(row.file, row.line, "options", "The same option stands twice in this question.")
    key = (pair.dataset, pair.clip, pair.question)
    if key in asked:
        yield Notice(row.file, row.line, "question", f"The same question about this clip stands already on line {asked[key]}.")
    asked.setdefault(key, row.line)
