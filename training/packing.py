"""Many items about one clip as one sequence: what they share stands once, and a mask lets each see only what it would see alone.

The sequence is the tree of the items' common beginnings, depth first: the pictures once, a question once for all its options. Each
token keeps the position that it has in its own item, so that a model gives it the same result as alone. Pure: no torch, no model.
"""

import hashlib
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from store.errors import InputError
from training.views import View

PREFIX = -1  # the branch of what all items share
PICTURES_END = "<|vision_end|>"

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Item:
    """One encoded row and reply, n tokens long."""

    ids: Ints  # (n,)
    learnt: Bools  # (n,): which tokens the loss, or a score, is about
    positions: Ints  # (3, n): time, height and width as the model counts them
    types: Ints  # (n,): 0 a word, else a picture's token

    def __post_init__(self) -> None:
        """Raise InputError when nothing is learnt, or a token that has none before it."""
        if not self.learnt.any() or self.learnt[0]:
            raise InputError("Of an item nothing is learnt, or its very first token, which no other one foretells. Give it a prompt and a reply.")

    @property
    def own_from(self) -> int:
        """Where the part begins that is never shared: at the token that foretells the first learnt one."""
        return int(self.learnt.argmax()) - 1

    @property
    def pictures_end(self) -> int:
        """How many tokens there are up to the last of a picture; 0: no picture."""
        return int(self.types.nonzero()[0].max(initial=-1)) + 1

    def rows(self) -> Ints:
        """Return all that two items must agree in to share a token: (n, 5)."""
        return np.vstack([self.ids, self.types, self.positions]).T


@dataclass(frozen=True, eq=False)
class Pack:
    """Items as one sequence of T tokens."""

    ids: Ints  # (T,)
    positions: Ints  # (3, T)
    types: Ints  # (T,)
    learnt: Bools  # (T,)
    branch: Ints  # (T,): PREFIX, or the branch of the token: k is what item k has alone, above the items what some of them share
    parents: tuple[int, ...]  # of each branch: the one that it grows out of
    items: int

    @property
    def prefix(self) -> int:
        """How many tokens all items share."""
        return int((self.branch == PREFIX).sum())

    def mask(self) -> Bools:
        """Return (T, T): whether token i sees token j, which is before it or itself, and in its own branch or one that this grows out of."""
        count = len(self.parents)
        within = np.zeros((count + 1, count + 1), bool)  # the last one is PREFIX, so that -1 finds it
        for branch in range(PREFIX, count):
            within[branch, list(self._line(branch))] = True
        return np.tril(within[self.branch][:, self.branch])

    def places(self, number: int) -> Ints:
        """Return where the tokens of one item lie in the sequence, in their order."""
        return np.isin(self.branch, list(self._line(number))).nonzero()[0]

    def item(self, number: int) -> Item:
        """Return one item as it was before."""
        at = self.places(number)
        return Item(self.ids[at], self.learnt[at], self.positions[:, at], self.types[at])

    def _line(self, branch: int) -> Iterator[int]:
        while branch != PREFIX:
            yield branch
            branch = self.parents[branch]
        yield PREFIX


def pack(items: Sequence[Item]) -> Pack:
    """Return the items as one sequence; costs a look at each token for each item that may share it.

    Raises InputError when there is no item, or when their pictures do not lie in what all of them share.
    """
    if not items:
        raise InputError("There is no item to pack. Give one or more.")
    tree = _Tree([item.rows() for item in items], [item.own_from for item in items], len(items))
    tree.grow()
    if any(item.pictures_end > tree.pieces[0].stop for item in items):
        raise InputError("The items do not show the same pictures before they part, so they cannot share one sequence. Take them apart.")

    def joined(part: str) -> NDArray[np.int64]:
        return np.concatenate([getattr(items[piece.item], part)[..., piece.start : piece.stop] for piece in tree.pieces], axis=-1)

    branch = np.concatenate([np.full(piece.stop - piece.start, piece.branch) for piece in tree.pieces])
    parents = tuple(tree.parents[number] for number in range(len(tree.parents)))
    return Pack(joined("ids"), joined("positions"), joined("types"), joined("learnt").astype(bool), branch, parents, len(items))


def may_pack(first: Item, second: Item) -> bool:
    """Return whether two items show the same pictures before they part."""
    shared = _agreement([first.rows(), second.rows()], 0, min(first.own_from, second.own_from))
    return max(first.pictures_end, second.pictures_end) <= shared


def pack_key(text: str, view: View) -> str | None:
    """Return a name of the pictures and of all words up to their end: rows of one key may share a sequence; None: there is no picture.

    text: the conversation as the chat template writes it, with a mark a picture. The name holds the digest of the film.
    """
    end = text.rfind(PICTURES_END)
    told = f"{view.stretch!r} {view.context.moments!r} {text[:end]}"
    return None if end < 0 else hashlib.sha256(told.encode()).hexdigest()


def plan_packs(keys: Sequence[str | None], lengths: Sequence[tuple[int, int]], seed: int, most: int, max_tokens: int) -> list[list[int]]:
    """Return the numbers of the rows that go together: of one key, at most `most`, evenly many a pack, packs in an order fixed by the seed.

    lengths: tokens of each row that its key names, and those that are its own. A pack stays within `max_tokens`, but for a row that
    is longer by itself. A row without a key goes alone.
    """
    together: defaultdict[str, list[int]] = defaultdict(list)
    for number, key in enumerate(keys):
        together[f"alone {number}" if key is None else key].append(number)
    packs = [part for numbers in together.values() for part in _parts(numbers, lengths, most, max_tokens)]
    random.Random(seed).shuffle(packs)
    return packs


def _parts(numbers: list[int], lengths: Sequence[tuple[int, int]], most: int, max_tokens: int) -> Iterator[list[int]]:
    """Yield the rows of one key, cut where a pack is full."""
    wanted = -(-len(numbers) // -(-len(numbers) // most))
    part: list[int] = []
    tokens = 0
    for number in numbers:
        shared, own = lengths[number]
        if part and (len(part) == wanted or shared + tokens + own > max_tokens):
            yield part
            part, tokens = [], 0
        part.append(number)
        tokens += own
    yield part


@dataclass(frozen=True)
class _Piece:
    """A stretch of the sequence: tokens start to stop of an item, which is one of those that share it."""

    branch: int
    item: int
    start: int
    stop: int


@dataclass
class _Tree:
    """The common beginnings of items, as pieces in the order of the sequence."""

    rows: list[Ints]
    own_from: list[int]
    free: int  # the next number for a branch that several items share
    pieces: list[_Piece] = field(default_factory=list)
    parents: dict[int, int] = field(default_factory=dict)

    def grow(self) -> None:
        """Make all pieces."""
        everyone = list(range(len(self.rows)))
        stop = self._shared(everyone, 0)
        self.pieces.append(_Piece(PREFIX, 0, 0, stop))
        self._grow(everyone, stop, PREFIX)

    def _grow(self, numbers: list[int], start: int, parent: int) -> None:
        for group in self._groups(numbers, start):
            branch, stop = group[0], len(self.rows[group[0]])
            if len(group) > 1:
                branch, stop, self.free = self.free, self._shared(group, start), self.free + 1
            self.parents[branch] = parent
            self.pieces.append(_Piece(branch, group[0], start, stop))
            if len(group) > 1:
                self._grow(group, stop, branch)

    def _groups(self, numbers: list[int], start: int) -> list[list[int]]:
        """Return the items that go on together: by their next token, and alone from where an item is on its own."""
        groups: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
        for number in numbers:
            alone = start >= self.own_from[number]
            groups[(number,) if alone else tuple(self.rows[number][start].tolist())].append(number)
        return list(groups.values())

    def _shared(self, numbers: list[int], start: int) -> int:
        return _agreement([self.rows[number] for number in numbers], start, min(self.own_from[number] for number in numbers))


def _agreement(rows: list[Ints], start: int, stop: int) -> int:
    """Return up to where all rows are alike, from `start` and not beyond `stop`."""
    for other in rows[1:]:
        differ = (rows[0][start:stop] != other[start:stop]).any(axis=1).nonzero()[0]
        stop = start + int(differ[0]) if differ.size else stop
    return stop
