"""Which rows a run learns from: shares that hold, limits that are kept, and the seed that decides the rest."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.errors import InputError
from tests.training.conftest import sft_config
from training.config import KINDS, RunConfig
from training.rows import ClipSpan, Message, Row, apportioned, mixed_rows, planned_rows, within_learnt

DIGEST = "0" * 64
COUNTS = st.fixed_dictionaries({kind: st.integers(1, 40) for kind in KINDS})
SHARES = st.tuples(*[st.floats(0.1, 10.0) for _ in KINDS])


def rows_of(counts: dict[str, int], clips: int = 5) -> list[Row]:
    rows: list[Row] = []
    for kind, count in counts.items():
        for number in range(count):
            span = ClipSpan(f"c{number % clips}", DIGEST, 0.0, None)
            rows.append(Row(f"{kind}-{number:03}", "train", kind, span, (Message("user", "q"),), "a", None))
    return rows


def mixing(shares: tuple[float, ...] = (), **changes: object) -> RunConfig:
    return sft_config(kinds=KINDS if shares else (), shares=shares, **{"max_steps": 0, **changes})


def counted(rows: tuple[Row, ...]) -> dict[str, int]:
    return dict(Counter(row.kind for row in rows))


@given(COUNTS, SHARES)
def test_each_kind_has_its_share_to_within_a_row_and_none_stands_twice(counts: dict[str, int], shares: tuple[float, ...]) -> None:
    rows = rows_of(counts)
    mixed = mixed_rows(rows, mixing(shares))
    told = Counter(row.kind for row in mixed)
    for kind, share in zip(KINDS, shares, strict=True):
        assert abs(told[kind] - len(mixed) * share / sum(shares)) < 1
        assert told[kind] <= counts[kind]
    assert len({row.id for row in mixed}) == len(mixed) and [row for row in rows if row in mixed] == list(mixed), "in their order"


@given(COUNTS, SHARES)
def test_no_larger_mixture_would_hold_the_shares(counts: dict[str, int], shares: tuple[float, ...]) -> None:
    config = mixing(shares)
    size = len(mixed_rows(rows_of(counts), config))
    for larger in range(size + 1, sum(counts.values()) + 1):
        assert any(count > counts[kind] for kind, count in apportioned(config, larger).items())


@given(SHARES, st.integers(0, 500))
def test_the_counts_of_a_mixture_add_up(shares: tuple[float, ...], total: int) -> None:
    assert sum(apportioned(mixing(shares), total).values()) == total


def test_shares_are_taken_in_any_unit() -> None:
    rows = rows_of({"narrative": 10, "rationale": 10, "answer": 10})
    one, hundred = (counted(mixed_rows(rows, mixing(shares))) for shares in ((0.2, 0.3, 0.5), (20.0, 30.0, 50.0)))
    assert one == hundred == {"narrative": 4, "rationale": 6, "answer": 10}


def test_without_shares_all_rows_are_taken_as_they_are() -> None:
    rows = rows_of({"narrative": 3, "answer": 2})
    assert mixed_rows(rows, mixing()) == tuple(rows)
    assert len(mixed_rows(rows, mixing(max_rows=4))) == 4
    assert len(mixed_rows(rows, mixing(max_rows=9))) == 5


def test_a_kind_without_a_share_is_left_out_of_learning_and_of_scoring() -> None:
    rows = [*rows_of({"narrative": 4, "answer": 4}), *(replace(row, id=f"v{row.id}", split="validation") for row in rows_of({"narrative": 3, "answer": 3}))]
    config = sft_config(kinds=("answer",), shares=(1.0,), validation_rows=9, max_steps=0)
    train, held_out = planned_rows(rows, config)
    assert counted(train) == {"answer": 4} and counted(held_out) == {"answer": 3}


def test_a_kind_that_is_not_there_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="of the kind answer"):
        mixed_rows(rows_of({"narrative": 3, "rationale": 3}), mixing((1.0, 1.0, 1.0)))


@given(st.integers(1, 60), st.integers(0, 3))
def test_a_limit_of_rows_keeps_the_shares(limit: int, seed: int) -> None:
    rows = rows_of({"narrative": 30, "rationale": 30, "answer": 30})
    train, _ = planned_rows(rows, mixing((1.0, 2.0, 1.0), max_rows=limit, seed=seed))
    assert len(train) == min(limit, 60)
    assert all(abs(counted(train).get(kind, 0) - len(train) * share) < 1 for kind, share in zip(KINDS, (0.25, 0.5, 0.25), strict=True))
    assert train == planned_rows(reversed(rows), mixing((1.0, 2.0, 1.0), max_rows=limit, seed=seed))[0], "the seed's alone, not the disk's"


def test_the_steps_that_a_run_takes_limit_its_rows_as_max_rows_does() -> None:
    rows = rows_of({"narrative": 30, "rationale": 30, "answer": 30})
    train, _ = planned_rows(rows, mixing((1.0, 1.0, 1.0), max_steps=3, batch_size=1, accumulation=4))
    assert counted(train) == dict.fromkeys(KINDS, 4)


def test_with_packing_a_limit_keeps_whole_clips_together() -> None:
    rows = rows_of({"answer": 60}, clips=10)
    packed, apart = (planned_rows(rows, mixing(packing=packing, max_rows=18))[0] for packing in ("clip", "none"))
    assert Counter(Counter(row.clip.id for row in packed).values()) == {6: 3}
    assert len({row.clip.id for row in apart}) > 3, "the control"
    assert packed != planned_rows(rows, mixing(packing="clip", max_rows=18, seed=9))[0]


@given(st.lists(st.integers(1, 20), min_size=1, max_size=30), st.integers(0, 200))
def test_learnt_tokens_stay_within_their_limit_and_one_row_more_would_not(learnt: list[int], limit: int) -> None:
    rows = rows_of({"answer": len(learnt)})
    if 0 < limit < learnt[0]:
        with pytest.raises(InputError, match="max_learnt_tokens"):
            within_learnt(rows, learnt, limit)
        return
    kept = within_learnt(rows, learnt, limit)
    assert kept == tuple(rows[: len(kept)])
    if limit:
        assert sum(learnt[: len(kept)]) <= limit and (len(kept) == len(rows) or sum(learnt[: len(kept) + 1]) > limit)
    else:
        assert len(kept) == len(rows)
