"""Which rows go through the model together: a clip's rows as one pack, or so many rows side by side; and how many passes make a step. No torch."""

from collections.abc import Sequence
from dataclasses import dataclass

from training.config import RunConfig
from training.encoding import Encoder, replies_of
from training.packing import pack_key, plan_packs
from training.rows import Row

Group = tuple[int, ...]  # numbers of rows


@dataclass(frozen=True)
class Passes:
    """The rows of a run in groups: with `packed` a group is one sequence, otherwise it is one row."""

    train: tuple[Group, ...]
    held_out: tuple[Group, ...]
    packed: bool
    batch: int  # groups a forward pass
    accumulation: int  # forward passes an optimiser step

    def steps(self, config: RunConfig) -> int:
        """Return how many optimiser steps the run takes."""
        passes = -(-len(self.train) // self.batch)
        by_epochs = -(-passes // self.accumulation) * config.epochs
        return min(by_epochs, config.max_steps) if config.max_steps else by_epochs


def passes_of(encoder: Encoder, train: Sequence[Row], held_out: Sequence[Row], config: RunConfig, packed: bool) -> Passes:
    """Return the groups of a run's rows; with `packed` the text of each row is made once more, 1 ms.

    A step holds batch_size x accumulation rows. Packs are of different sizes, so with `packed` one pack is one pass and the passes of a
    step are as many as hold about so many rows: that number over the mean size of a pack, rounded. No pack holds more than a step does.
    """
    if not packed:
        alone = [tuple((number,) for number in range(len(rows))) for rows in (train, held_out)]
        return Passes(alone[0], alone[1], False, config.batch_size, config.accumulation)
    step = config.batch_size * config.accumulation
    packs = _packs(encoder, train, config)
    return Passes(packs, _packs(encoder, held_out, config), True, 1, max(1, round(step * len(packs) / len(train))))


def _packs(encoder: Encoder, rows: Sequence[Row], config: RunConfig) -> tuple[Group, ...]:
    keys = [pack_key(encoder.text(row, row.reply), encoder.view(row)) for row in rows]
    lengths = []
    for row in rows:
        tails = [len(encoder.tail(row, reply)[0]) for reply in replies_of(row)]
        lengths.append((encoder.count(row, row.reply).total - tails[0], sum(tails)))
    most = min(config.pack_rows, config.batch_size * config.accumulation)
    return tuple(tuple(group) for group in plan_packs(keys, lengths, config.seed, most, config.max_tokens))
