"""Many items as one sequence: nothing is lost, nothing is seen that would not be seen alone, and nothing goes together that may not."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.errors import InputError
from training.context_plan import Block, Context, Moment
from training.frames import Stretch
from training.packing import PREFIX, Item, Pack, may_pack, pack, pack_key, plan_packs
from training.views import View

PICTURE = 99
TAILS = st.tuples(st.lists(st.integers(1, 3), min_size=1, max_size=6), st.lists(st.integers(1, 3), min_size=1, max_size=4), st.integers(0, 2))


def item_of(head: list[int], words: list[int], reply: list[int], after: int = 0) -> Item:
    """Return an item: what comes first, pictures among it, then words, then what is learnt, then so many tokens that are not."""
    ids = np.array([*head, *words, *reply, *[7] * after])
    learnt = np.zeros(len(ids), bool)
    learnt[len(head) + len(words) :][: len(reply)] = True
    # Positions stand still in a picture, as they do in the models, so that they are no mere count.
    places = np.cumsum(ids != PICTURE)
    return Item(ids, learnt, np.stack([places, places + 1, places * 2]), (ids == PICTURE).astype(int))


@st.composite
def families(draw: st.DrawFn) -> list[Item]:
    """Return items that show the same pictures, or none; few kinds of words, so that they agree for a while and then part."""
    head = draw(st.sampled_from([[], [5], [5, PICTURE, PICTURE, 6], [PICTURE, 6, PICTURE]]))
    return [item_of(head or [5], words, reply, after) for words, reply, after in draw(st.lists(TAILS, min_size=1, max_size=6))]


def same(one: Item, other: Item) -> bool:
    return all(np.array_equal(getattr(one, part), getattr(other, part)) for part in ("ids", "learnt", "positions", "types"))


@given(families())
def test_each_item_comes_out_as_it_went_in(items: list[Item]) -> None:
    packed = pack(items)
    assert packed.items == len(items)
    assert all(same(packed.item(number), item) for number, item in enumerate(items))
    assert len(packed.ids) <= sum(len(item.ids) for item in items)
    assert packed.positions.shape == (3, len(packed.ids)) and packed.types.shape == packed.learnt.shape == packed.branch.shape


@given(families())
def test_a_token_sees_exactly_what_it_would_see_alone(items: list[Item]) -> None:
    packed = pack(items)
    mask = packed.mask()
    alone = np.zeros_like(mask)
    for number, item in enumerate(items):
        at = packed.places(number)
        alone[np.ix_(at, at)] |= np.tri(len(item.ids), dtype=bool)
        assert np.array_equal(mask[np.ix_(at, at)], np.tri(len(item.ids), dtype=bool))
    assert np.array_equal(mask, alone), "and nothing of another item"


@given(families())
def test_what_is_learnt_and_the_token_that_foretells_it_belong_to_one_item_alone(items: list[Item]) -> None:
    packed = pack(items)
    for number, item in enumerate(items):
        at = packed.places(number)
        own = at[packed.branch[at] == number]
        assert np.array_equal(own, np.arange(own[0], own[0] + len(own))), "in one piece"
        assert set(at[item.learnt]) <= set(own) and at[item.learnt][0] - 1 in own
    assert packed.learnt.sum() == sum(item.learnt.sum() for item in items)


@given(families())
def test_no_two_branches_could_have_been_one(items: list[Item]) -> None:
    """Short of what is never shared: siblings begin with different tokens, so the sequence is as short as it can be."""
    packed = pack(items)
    firsts: dict[int, list[tuple[int, ...]]] = {}
    for branch, parent in enumerate(packed.parents):
        at = (packed.branch == branch).nonzero()[0][0]
        never_shared = branch < len(items) and at == packed.places(branch)[items[branch].own_from]
        if not never_shared:
            firsts.setdefault(parent, []).append((packed.ids[at], packed.types[at], *packed.positions[:, at]))
    assert all(len(set(first)) == len(first) for first in firsts.values())


def test_a_question_stands_once_for_all_its_options() -> None:
    items = [item_of([5, PICTURE, 6], question, [option]) for question in ([1, 2, 2, 9], [3, 2, 2, 9]) for option in (1, 2, 3)]
    packed = pack(items)
    assert len(packed.ids) == 3 + 2 * 3 + 6 * 2, "the pictures, two questions but for their last token, six options with it"
    assert packed.prefix == 3 and packed.parents == (6, 6, 6, 7, 7, 7, PREFIX, PREFIX)


def test_an_item_alone_is_a_pack_of_one() -> None:
    item = item_of([5, PICTURE], [1, 2], [3])
    packed = pack([item])
    assert np.array_equal(packed.ids, item.ids) and np.array_equal(packed.mask(), np.tri(5, dtype=bool))


@pytest.mark.parametrize(
    "other",
    [
        item_of([5, PICTURE, PICTURE, PICTURE, 6], [1], [2]),
        item_of([4, PICTURE, PICTURE, 6], [1], [2]),
        item_of([5, PICTURE, PICTURE, 6, 8, PICTURE], [1], [2]),
        item_of([5, 6], [1], [2]),
        replace(item_of([5, PICTURE, PICTURE, 6], [1], [2]), positions=np.full((3, 6), 1)),
    ],
    ids=["more of it", "other words before", "one more behind", "no picture", "other times"],
)
def test_items_that_do_not_show_the_same_pictures_are_not_packed(other: Item) -> None:
    item = item_of([5, PICTURE, PICTURE, 6], [1], [2])
    assert may_pack(item, item) and pack([item, item]).items == 2, "the control"
    assert not may_pack(item, other)
    with pytest.raises(InputError, match="do not show the same pictures"):
        pack([item, other])


def test_an_item_of_which_nothing_can_be_learnt_is_refused() -> None:
    with pytest.raises(InputError, match="nothing is learnt"):
        item_of([5], [1], [])
    with pytest.raises(InputError, match="very first token"):
        item_of([], [], [1])
    with pytest.raises(InputError, match="no item"):
        pack([])


# ---- which rows go together

LENGTHS = st.lists(st.tuples(st.sampled_from(["a", "b", "c", None]), st.integers(1, 30)), min_size=1, max_size=40)


@given(LENGTHS, st.integers(0, 3), st.integers(1, 9), st.integers(20, 90))
def test_each_row_is_in_one_pack_with_rows_of_its_key_within_both_limits(rows: list, seed: int, most: int, max_tokens: int) -> None:
    keys, own = [key for key, _ in rows], [count for _, count in rows]
    packs = plan_packs(keys, [(20, count) for count in own], seed, most, max_tokens)
    assert sorted(number for group in packs for number in group) == list(range(len(rows)))
    for group in packs:
        assert len({keys[number] for number in group}) == 1 and (keys[group[0]] is not None or len(group) == 1)
        assert len(group) == 1 or (len(group) <= most and 20 + sum(own[number] for number in group) <= max_tokens)
    assert packs == plan_packs(keys, [(20, count) for count in own], seed, most, max_tokens), "the seed's alone"


@given(st.integers(1, 60), st.integers(1, 16))
def test_the_rows_of_a_clip_are_spread_evenly_over_as_few_packs_as_can_be(count: int, most: int) -> None:
    sizes = [len(group) for group in plan_packs(["a"] * count, [(9, 1)] * count, 1, most, 10_000)]
    assert len(sizes) == -(-count // most) and max(sizes) - min(sizes) <= len(sizes)
    assert max(sizes) == -(-count // len(sizes))


def test_another_seed_gives_another_order_of_the_same_packs() -> None:
    keys = [str(number // 3) for number in range(60)]
    one, other = (plan_packs(keys, [(9, 1)] * 60, seed, 3, 1000) for seed in (1, 2))
    assert one != other and Counter(map(tuple, one)) == Counter(map(tuple, other))


def view_of(digest: str = "d" * 64, time_s: float = 1.0, width: int = 96) -> View:
    moments = (Moment(time_s, time_s, "frame"),)
    return View(Stretch(digest, 0.0, 2.0, width, 64), Context((Block("video"), Block("text", "?")), moments, (), (), 0))


def test_the_key_of_a_row_names_its_film_its_moments_its_size_and_the_words_up_to_the_last_picture() -> None:
    text = "<|im_start|>user\nsee<|vision_start|><|video_pad|><|vision_end|>"
    key = pack_key(text + "Why?", view_of())
    assert key == pack_key(text + "How?", view_of()), "what follows is each row's own"
    others = [view_of(digest="e" * 64), view_of(time_s=1.1), view_of(width=98)]
    keys = {key, pack_key(text.replace("see", "look") + "Why?", view_of()), *(pack_key(text + "Why?", view) for view in others)}
    assert len(keys) == 5 and None not in keys
    assert pack_key("<|im_start|>user\nWhy?", view_of()) is None, "no picture, nothing to share"


def test_a_pack_tells_how_much_is_shared_by_all() -> None:
    packed: Pack = pack([item_of([5, PICTURE, 6], [1, number], [2]) for number in (1, 2, 3)])
    assert packed.prefix == 4 and (packed.branch[:4] == PREFIX).all()
