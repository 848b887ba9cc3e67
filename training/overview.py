"""What a run would be trained on, counted before it is started: rows, words, tokens of the pictures and of the text; and what is not sound."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from store.errors import InputError, UserError
from store.records import Media
from training.config import PIPELINE_CHECK, RunConfig
from training.frames import grid_size, scaled_size, stretch_of
from training.markdown import plain, plain_cell
from training.rows import FrozenSet, Row, planned_rows, summarise, total_steps
from training.views import view_of

# Texts and pictures are counted only up to so many rows: the page must answer at once, and the run counts all before it decodes any.
COUNTED_ROWS = 2000


@dataclass(frozen=True)
class Known:
    """A number, or the reason why it is not known."""

    value: int | None
    reason: str = ""

    def __str__(self) -> str:
        """Return the number with thousands apart, or "unknown" with the reason."""
        return f"unknown ({self.reason})" if self.value is None else f"{self.value:,}"


def visual_tokens(row: Row, media: Media | None, config: RunConfig) -> Known:
    """Return the tokens that the pictures of a row take, exact by Qwen2.5-VL's rule unless a budget takes some of them away.

    Raises InputError when nothing of the clip can be shown with this config.
    """
    if media is None or media.width is None or media.height is None:
        return Known(None, "the size of its video is not known")
    plan = replace(config.context_plan(), budget_tokens=None)
    return Known(view_of(row, stretch_of(row.clip, media, config.longest_side_px), plan, len).visual_tokens)


def text_tokens(rows: Sequence[Row], model: str) -> Known:
    """Return the tokens of prompts and replies by the tokenizer in the model's folder; 0.1 ms a row."""
    if model == PIPELINE_CHECK:
        return Known(None, "the tokenizer of the pipeline check is made from these texts at the start")
    path = Path(model).expanduser() / "tokenizer.json"
    if not path.is_file():
        return Known(None, f"there is no {path}; a hub model's tokenizer is fetched at the start")
    if len(rows) > COUNTED_ROWS:
        return Known(None, f"{len(rows):,} rows are too many to count on a page")
    # Not at the top: the page loads without it, and most pages never count.
    from tokenizers import Tokenizer

    texts = [text for row in rows for text in (*(turn.content for turn in row.prompt), row.reply, row.rejected or "") if text]
    return Known(sum(len(encoding.ids) for encoding in Tokenizer.from_file(str(path)).encode_batch(texts)))


def describe(frozen: FrozenSet, config: RunConfig, media: Mapping[str, Media | None]) -> str:
    """Return Markdown that says what the run would be trained on. `media` by digest."""
    summary = summarise(frozen.rows)
    lines = [
        f"**{plain(frozen.name)}** ({frozen.kind}, {frozen.sha256[:12]}): {summary.rows:,} rows about {summary.clips:,} clips, {summary.words:,} words.",
        _table(summary.by_split_and_kind),
    ]
    try:
        train, held_out = planned_rows(frozen.rows, config)
    except UserError as error:
        return "\n\n".join([*lines, f"**{plain(str(error))}**"])
    lines.append(
        f"This run: {len(train):,} training rows, {total_steps(len(train), config):,} optimiser steps, {len(held_out):,} held-out rows scored before and after."
    )
    lines.append(_video_line(train, config, media))
    lines.append(f"Text tokens of prompts and replies of the training rows: {plain(str(text_tokens(train, config.model)))}.")
    return "\n\n".join(lines)


def row_problem(frozen: FrozenSet, config: RunConfig, media: Mapping[str, Media | None]) -> str | None:
    """Return the sentence that says why the run would be refused after its start, or None.

    That is a clip whose file is damaged, or one whose pictures alone fill a row.
    """
    rows = [row for part in planned_rows(frozen.rows, config) for row in part]
    damaged = {row.clip.id: found for row in rows if (found := media.get(row.clip.digest)) and found.health != "ok"}
    if damaged:
        name, found = next(iter(damaged.items()))
        return (
            f"The video of {len(damaged):,} clips is not sound, so that nothing is trained on it: that of {name} is {found.health}. "
            f"{found.health_reason or ''} Freeze the set again: rows of such clips are then left out."
        )
    counts, hidden = _counts(rows, config, media)
    if hidden:
        return f"Of {len(hidden):,} clips nothing can be shown with these settings. {next(iter(hidden))}: {next(iter(hidden.values()))}"
    # A row has a text beside its pictures, so one that they fill exactly is too long as well.
    long = {clip: count.value for clip, count in counts if count.value is not None and count.value >= config.max_tokens}
    if not long or config.budget_tokens:
        return None
    worst = max(long, key=lambda name: long[name])
    return (
        f"The video of {len(long):,} clips leaves no room for a text: {worst} takes {long[worst]:,} visual tokens, and a row may have {config.max_tokens:,} "
        "tokens in all. Raise the longest row, set a budget, or take fewer frames or a smaller longest side."
    )


def _counts(rows: Iterable[Row], config: RunConfig, media: Mapping[str, Media | None]) -> tuple[list[tuple[str, Known]], dict[str, str]]:
    """Return (clip, visual tokens) of the first rows that differ in their pictures, and clip -> why nothing of it can be shown.

    Rows of one clip with the same pause and window show the same pictures, whatever they ask; only povqa's choice looks at lines.
    """
    counts: list[tuple[str, Known]] = []
    hidden: dict[str, str] = {}
    silent = rows if config.compat == "povqa" else (replace(row, context=replace(row.context, lines=())) for row in rows)
    for row in islice({(row.clip, row.context): row for row in silent}.values(), COUNTED_ROWS):
        try:
            counts.append((row.clip.id, visual_tokens(row, media.get(row.clip.digest), config)))
        except InputError as error:
            hidden[row.clip.id] = str(error)
    return counts, hidden


def _table(counts: Mapping[tuple[str, str], int]) -> str:
    kinds = sorted({kind for _, kind in counts})
    lines = [f"| rows | {' | '.join(map(plain_cell, kinds))} |", "|---" * (1 + len(kinds)) + "|"]
    for split in sorted({split for split, _ in counts}):
        lines.append(f"| {plain_cell(split)} | {' | '.join(f'{counts.get((split, kind), 0):,}' for kind in kinds)} |")
    return "\n".join(lines)


def _video_line(rows: Sequence[Row], config: RunConfig, media: Mapping[str, Media | None]) -> str:
    counts = [count for _, count in _counts(rows, config, media)[0]]
    known = [count.value for count in counts if count.value is not None]
    if not known:
        return f"Visual tokens a row: {plain(str(counts[0])) if counts else 'unknown'}."
    low, high = min(known), max(known)
    span = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    unknown = f"; {len(counts) - len(known)} clips of unknown size" if len(known) < len(counts) else ""
    largest = max((item for item in (media.get(row.clip.digest) for row in rows) if item and item.width and item.height), key=_area)
    width, height = scaled_size(largest.width or 1, largest.height or 1, config.longest_side_px)
    rows_px, columns_px = grid_size(height, width)
    first = f"; of the first {COUNTED_ROWS:,} that differ" if len(counts) == COUNTED_ROWS else ""
    budget = f"; the budget of {config.budget_tokens:,} tokens may leave some out" if config.budget_tokens else ""
    return f"Visual tokens a row: {span} ({_pictures(config)}, the largest of {columns_px} x {rows_px} pixels{unknown}{first}{budget})."


def _pictures(config: RunConfig) -> str:
    if config.layout == "video":
        return f"{config.frames} frames as one video"
    key = " and the one at the pause" if config.keyframe != "none" else ""
    count = "every window" if config.selection == "all" else f"at most {config.frames}"
    return f"{count}{key}, as pictures"


def _area(media: Media) -> int:
    return (media.width or 0) * (media.height or 0)
