"""The rows of a run as tokens: what one forward pass takes, rows by themselves or all rows of a clip behind its video. Before a processor counts them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from pathlib import Path

from store.errors import InputError
from store.records import Media
from training.config import RunConfig
from training.encoding import replies_of
from training.frames import stretch_of
from training.packing import plan_packs
from training.preferences import answer_start
from training.rows import Row
from training.views import View, view_of

# OpenAI's rule of thumb for English: 100 tokens to 75 words. Used only while no tokenizer of the model is on this machine.
TOKENS_A_WORD = 4 / 3
_TURN_TOKENS = 5  # <|im_start|> role, line break, <|im_end|>, line break
_MARK_TOKENS = 2  # around a picture or video
# Counting is done while the page waits; whole clips are taken until there are so many rows.
COUNTED_ROWS = 2000


@dataclass(frozen=True)
class RowTokens:
    """One row in tokens: what it shares with the other rows of its pictures, and what each of its replies adds."""

    id: str
    key: str  # rows with one key can stand behind one video
    shared: int  # pictures, and the words between them
    visual: int  # pictures only
    branches: tuple[int, ...]  # question and reply; a pair has two
    learnt: tuple[int, ...]  # of each branch, those that bear the loss

    @property
    def longest(self) -> int:
        """Tokens of the longer conversation."""
        return self.shared + max(self.branches)


@dataclass(frozen=True)
class Pass:
    """What goes through the model at once: `sequences` of `length` tokens each, padded to the longest."""

    sequences: int
    length: int
    visual: int  # tokens that stand for pictures, each encoded once
    learnt: int  # tokens that bear the loss
    rows: tuple[str, ...]
    packed: bool = False

    @property
    def tokens(self) -> int:
        """Tokens of the pass, padding included."""
        return self.sequences * self.length


@dataclass(frozen=True)
class Workload:
    """One epoch of a run in passes; where only some of the rows were counted, those."""

    passes: tuple[Pass, ...]
    rows: tuple[RowTokens, ...]
    all_rows: int  # of the run; more than `rows` where counting stopped
    by_tokenizer: bool  # else words were counted

    @property
    def longest(self) -> Pass:
        """The pass that takes the most memory: the most tokens."""
        return max(self.passes, key=lambda one: (one.tokens, one.learnt))

    @property
    def share(self) -> float:
        """Counted rows of all, above 0 to 1."""
        return len(self.rows) / self.all_rows

    def heaviest(self, count: int) -> set[str]:
        """Return the ids of the rows of so many passes, those with the most tokens."""
        return {row for one in sorted(self.passes, key=lambda one: one.tokens)[-count:] for row in one.rows}

    @property
    def said(self) -> str:
        """How the tokens were counted, for a reader."""
        how = "counted by the model's own tokenizer" if self.by_tokenizer else "estimated from words, 4 tokens to 3 words, until the processor counts them"
        part = f", from {len(self.rows):,} of {self.all_rows:,} rows" if self.share < 1 else ""
        return f"words {how}{part}; tokens of pictures exact"


def workload_of(rows: Sequence[Row], config: RunConfig, media: Mapping[str, Media | None]) -> Workload:
    """Return the passes of an epoch over `rows`; about 0.3 ms a row, of COUNTED_ROWS rows at most. `media` by digest.

    Rows whose pictures cannot be known are left out. Raises InputError when none is left.
    """
    count = tokenizer_of(config.model)
    counted = row_tokens(whole_clips(rows, COUNTED_ROWS), config, media, count or count_by_words)
    if not counted:
        raise InputError("Of no clip of these rows the size and length of the video are known, so neither memory nor time can be reckoned.")
    counted, all_rows = _within_learnt(counted, len(rows), config.max_learnt_tokens)
    return Workload(passes_of(counted, config), tuple(counted), all_rows, count is not None)


def row_tokens(rows: Iterable[Row], config: RunConfig, media: Mapping[str, Media | None], count: Callable[[str], int]) -> list[RowTokens]:
    """Return the tokens of each row of which something can be shown."""
    plan, family, known = config.context_plan(), config.family, lru_cache(maxsize=None)(count)
    made = []
    for row in rows:
        found = media.get(row.clip.digest)
        try:
            view = None if found is None else view_of(row, stretch_of(row.clip, found, config.longest_side_px), plan, known, family)
        except InputError:
            continue  # told by row_problem
        if view is not None:
            made.append(_tokens_of(row, view, known, config.scored))
    return made


def passes_of(rows: Sequence[RowTokens], config: RunConfig) -> tuple[Pass, ...]:
    """Return the forward passes of an epoch, as training/passes.py will make them: batch_size rows each, or with packing one pack each."""
    if config.packing == "clip":
        return tuple(_pack(group) for group in packs_of(rows, config))
    return tuple(_separate(rows[at : at + config.batch_size]) for at in range(0, len(rows), config.batch_size))


def packs_of(rows: Sequence[RowTokens], config: RunConfig) -> list[list[RowTokens]]:
    """Return rows with one key together, at most as many as a pack or a step holds."""
    lengths = [(row.shared, sum(row.branches)) for row in rows]
    most = min(config.pack_rows, config.batch_size * config.accumulation)
    groups = plan_packs([row.key for row in rows], lengths, config.seed, most, config.max_tokens)
    return [[rows[number] for number in group] for group in groups]


def epoch_tokens(rows: Sequence[RowTokens], config: RunConfig) -> tuple[int, int]:
    """Return the tokens of an epoch (each row by itself, packed by clip), without padding."""
    separate = sum(row.shared * len(row.branches) + sum(row.branches) for row in rows)
    return separate, sum(_pack(group).tokens for group in packs_of(rows, config))


def whole_clips(rows: Sequence[Row], most: int) -> list[Row]:
    """Return the rows of as many clips, in the order of their first rows, as `most` rows allow, at least of one clip."""
    if len(rows) <= most:
        return list(rows)
    by_clip: dict[object, list[Row]] = {}
    for row in rows:
        by_clip.setdefault(row.clip, []).append(row)
    chosen: list[Row] = []
    for group in by_clip.values():
        if chosen and len(chosen) + len(group) > most:
            break
        chosen += group
    return chosen


def tokenizer_of(model: str) -> Callable[[str], int] | None:
    """Return a function that counts a text's tokens by tokenizer.json in the model's folder, or None where there is none; loading takes 0.5 s."""
    path = Path(model).expanduser() / "tokenizer.json"
    if not path.is_file():
        return None
    # Not at the top: the page loads without it.
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


def count_by_words(text: str) -> int:
    """Return about how many tokens a text takes, from its words."""
    return round(len(text.split()) * TOKENS_A_WORD)


def _tokens_of(row: Row, view: View, count: Callable[[str], int], scored: str) -> RowTokens:
    blocks = view.context.blocks
    # What stands behind the last picture is the row's own: the question, and a hint before it.
    last = max((at for at, block in enumerate(blocks) if block.kind != "text"), default=-1)
    between = sum(count(block.text) for block in blocks[: last + 1] if block.kind == "text")
    own = sum(count(block.text) for block in blocks[last + 1 :]) + sum(count(turn.content) + _TURN_TOKENS for turn in row.prompt if turn.role != "user")
    replies = tuple(count(reply) + 1 for reply in replies_of(row))
    starts = [(answer_start(reply, row.kind) or 0) if scored == "final_answer" else 0 for reply in replies_of(row)]
    learnt = tuple(count(reply[start:]) + 1 for reply, start in zip(replies_of(row), starts, strict=True))
    stamps = view.family.stamps([moment.time_s for moment in view.context.moments]) if view.is_video else []
    marks = sum(block.kind != "text" for block in blocks) + max(0, len(stamps) - 1)
    shared = view.visual_tokens + between + sum(map(count, stamps)) + _MARK_TOKENS * marks + _TURN_TOKENS - 2
    key = repr((view.stretch, view.context.moments, [block.text for block in blocks[: last + 1]]))
    return RowTokens(row.id, key, shared, view.visual_tokens, tuple(own + 2 + _TURN_TOKENS + reply for reply in replies), learnt)


def _within_learnt(counted: list[RowTokens], all_rows: int, limit: int) -> tuple[list[RowTokens], int]:
    """Return the first rows that learn at most `limit` tokens together, at least one, and how many of all rows do; 0: all."""
    if not limit:
        return counted, all_rows
    sums = list(accumulate(max(row.learnt) for row in counted))
    if sums[-1] <= limit:  # what was counted is not enough: the rest is taken to be alike
        return counted, min(all_rows, int(limit / sums[-1] * len(counted)))
    kept = counted[: max(1, sum(total <= limit for total in sums))]
    return kept, len(kept)


def _separate(rows: Sequence[RowTokens]) -> Pass:
    replies = max(len(row.branches) for row in rows)
    visual, learnt = sum(row.visual for row in rows) * replies, sum(sum(row.learnt) for row in rows)
    return Pass(len(rows) * replies, max(row.longest for row in rows), visual, learnt, tuple(row.id for row in rows))


def _pack(rows: Sequence[RowTokens]) -> Pass:
    length = rows[0].shared + sum(sum(row.branches) for row in rows)
    return Pass(1, length, rows[0].visual, sum(sum(row.learnt) for row in rows), tuple(row.id for row in rows), packed=True)
