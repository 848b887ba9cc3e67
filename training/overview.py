"""What a run would be trained on, counted before it is started: rows by kind and rule, tokens of pictures and text; and what is not sound."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from store.errors import InputError, UserError
from store.records import Media
from training.config import RunConfig
from training.estimate import steps_of
from training.frames import scaled_size, stretch_of
from training.markdown import plain, plain_cell
from training.rows import FrozenSet, Row, planned_rows, summarise
from training.views import view_of
from training.workload import COUNTED_ROWS, workload_of

# A row's `origin` in words; one that is not named here is shown as it is.
RULES = {
    "votes": "accepted by annotators",
    "decision": "accepted by an adjudicator",
    "given": "the data set's own answer",
    "edit": "an edit of the rejected text",
    "verdict": "accepted against rejected",
    "comparison": "chosen side by side",
    "correctness": "the right answer against a wrong one",
}


@dataclass(frozen=True)
class Known:
    """A number, or the reason why it is not known."""

    value: int | None
    reason: str = ""

    def __str__(self) -> str:
        """Return the number with thousands apart, or "unknown" with the reason."""
        return f"unknown ({self.reason})" if self.value is None else f"{self.value:,}"


def visual_tokens(row: Row, media: Media | None, config: RunConfig) -> Known:
    """Return the tokens that the pictures of a row take, exact by the rule of the model's family unless a budget takes some of them away.

    Raises InputError when nothing of the clip can be shown with this config.
    """
    if media is None or media.width is None or media.height is None:
        return Known(None, "the size of its video is not known")
    plan = replace(config.context_plan(), budget_tokens=None)
    return Known(view_of(row, stretch_of(row.clip, media, config.longest_side_px), plan, len, config.family).visual_tokens)


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
    lines.append(f"This run: {len(train):,} training rows ({_counted(row.kind for row in train)}), {len(held_out):,} held-out rows scored before and after.")
    if any(row.origin for row in train):
        lines.append(f"By rule: {_counted(RULES.get(str(row.origin), str(row.origin)) for row in train)}.")
    lines.append(_video_line(train, config, media))
    return "\n\n".join([*lines, *_token_lines(train, config, media)])


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


def _token_lines(train: Sequence[Row], config: RunConfig, media: Mapping[str, Media | None]) -> list[str]:
    try:
        load = workload_of(train, config, media)
    except InputError as error:
        return [f"Tokens and steps: unknown. {plain(str(error))}"]
    longest = [row.longest for row in load.rows]
    lines = [
        f"{steps_of(config, load):,} optimiser steps. Tokens a row: {sum(longest) / len(longest):,.0f} on average, {max(longest):,} at most ({load.said})."
    ]
    over = sorted((row for row in load.rows if row.longest > config.max_tokens), key=lambda row: -row.longest)
    if over:
        named = ", ".join(f"{plain(row.id)} {row.longest:,}" for row in over[:10])
        more = f" and {len(over) - 10:,} more" if len(over) > 10 else ""
        lines.append(
            f"**{len(over):,} rows are longer than the {config.max_tokens:,} tokens that a row may have; the run would refuse them, and nothing is ever cut.** "
            f"{named}{more}. Raise the longest row, set a budget, take fewer frames or a smaller longest side, or leave the rows out."
        )
    return lines


def _counted(names: Iterable[str]) -> str:
    return ", ".join(f"{plain(name)} {count:,}" for name, count in sorted(Counter(names).items()))


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
    family = config.family
    rows_px, columns_px = family.video_grid_size(config.frames, height, width) if config.layout == "video" else family.grid_size(height, width)
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
