"""What a run would be trained on, counted before it is started: rows, words, tokens of the video and of the text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from store.errors import UserError
from store.records import Media
from training.config import PIPELINE_CHECK, RunConfig
from training.frames import grid_size, scaled_size, visual_tokens
from training.markdown import plain, plain_cell
from training.rows import ClipSpan, FrozenSet, Row, planned_rows, summarise, total_steps

# A text is counted only up to so many rows: the page must answer at once.
COUNTED_ROWS = 2000


@dataclass(frozen=True)
class Known:
    """A number, or the reason why it is not known."""

    value: int | None
    reason: str = ""

    def __str__(self) -> str:
        """Return the number with thousands apart, or "unknown" with the reason."""
        return f"unknown ({self.reason})" if self.value is None else f"{self.value:,}"


def clip_tokens(media: Media | None, frames: int, longest_side_px: int) -> Known:
    """Return the tokens that the frames of a clip take, exact by Qwen2.5-VL's rule."""
    if media is None or media.width is None or media.height is None:
        return Known(None, "the size of its video is not known")
    width, height = scaled_size(media.width, media.height, longest_side_px)
    return Known(visual_tokens(frames, height, width))


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
    lines.append(f"Text tokens of the training rows: {plain(str(text_tokens(train, config.model)))}.")
    return "\n\n".join(lines)


def row_problem(frozen: FrozenSet, config: RunConfig, media: Mapping[str, Media | None]) -> str | None:
    """Return the sentence that says which clip alone fills a row, so that the run would be refused after its start, or None."""
    rows = [row for part in planned_rows(frozen.rows, config) for row in part]
    counts = _clip_counts(rows, config, media)
    known = {clip.id: count.value for clip, count in counts.items() if count.value is not None}
    # A row has a text beside its video, so one that the video fills exactly is too long as well.
    long = {name: tokens for name, tokens in known.items() if tokens >= config.max_tokens}
    if not long:
        return None
    worst = max(long, key=lambda name: long[name])
    return (
        f"The video of {len(long):,} clips leaves no room for a text: {worst} takes {long[worst]:,} visual tokens, and a row may have {config.max_tokens:,} "
        "tokens in all. Raise the longest row, or take fewer frames or a smaller longest side."
    )


def _clip_counts(rows: Sequence[Row], config: RunConfig, media: Mapping[str, Media | None]) -> dict[ClipSpan, Known]:
    return {row.clip: clip_tokens(media.get(row.clip.digest), config.frames, config.longest_side_px) for row in rows}


def _table(counts: Mapping[tuple[str, str], int]) -> str:
    kinds = sorted({kind for _, kind in counts})
    lines = [f"| rows | {' | '.join(map(plain_cell, kinds))} |", "|---" * (1 + len(kinds)) + "|"]
    for split in sorted({split for split, _ in counts}):
        lines.append(f"| {plain_cell(split)} | {' | '.join(f'{counts.get((split, kind), 0):,}' for kind in kinds)} |")
    return "\n".join(lines)


def _video_line(rows: Sequence[Row], config: RunConfig, media: Mapping[str, Media | None]) -> str:
    counts = _clip_counts(rows, config, media)
    known = [count.value for count in counts.values() if count.value is not None]
    if not known:
        return f"Visual tokens a clip: {next(iter(counts.values()))}."
    low, high = min(known), max(known)
    span = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    unknown = f"; {len(counts) - len(known)} clips of unknown size" if len(known) < len(counts) else ""
    largest = max((item for item in (media.get(row.clip.digest) for row in rows) if item and item.width and item.height), key=_area)
    width, height = scaled_size(largest.width or 1, largest.height or 1, config.longest_side_px)
    rows_px, columns_px = grid_size(height, width)
    return f"Visual tokens a clip: {span} ({config.frames} frames, the largest of {columns_px} x {rows_px} pixels{unknown})."


def _area(media: Media) -> int:
    return (media.width or 0) * (media.height or 0)
