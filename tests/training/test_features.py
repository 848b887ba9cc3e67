"""Tensors kept as files: the same ones come back, the one used longest ago goes first, and nothing half-written is ever read."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from store.errors import InputError
from training.features import FeatureCache

ROOM = 10**9
KINDS = st.sampled_from([torch.bfloat16, torch.float32, torch.int64])


def tensors(fill: int = 1, count: int = 100) -> dict[str, torch.Tensor]:
    return {"vision.video": torch.full((count,), fill, dtype=torch.float32)}


def size_of_one(tmp_path: Path) -> int:
    FeatureCache(tmp_path / "measured", ROOM).put("one", tensors())
    return (tmp_path / "measured" / "one.safetensors").stat().st_size


@given(st.dictionaries(st.text(min_size=1, max_size=9), st.tuples(KINDS, st.integers(0, 4), st.integers(1, 4)), min_size=1, max_size=4))
def test_what_is_kept_comes_back_bit_for_bit(tmp_path_factory: pytest.TempPathFactory, shapes: dict) -> None:
    cache = FeatureCache(tmp_path_factory.mktemp("features"), ROOM)
    kept = {name: torch.randn(rows, columns).to(kind) for name, (kind, rows, columns) in shapes.items() if name != "__metadata__"}
    cache.put("key", kept)
    found = cache.get("key")
    assert found is not None and set(found) == set(kept)
    assert all(torch.equal(found[name], tensor) and found[name].dtype == tensor.dtype for name, tensor in kept.items())


def test_a_view_of_a_larger_tensor_is_kept_by_itself(tmp_path: Path) -> None:
    cache, whole = FeatureCache(tmp_path, ROOM), torch.arange(20).reshape(4, 5)
    cache.put("key", {"column": whole[:, 1], "row": whole[2]})
    found = cache.get("key")
    assert found is not None and torch.equal(found["column"], whole[:, 1]) and torch.equal(found["row"], whole[2])


def test_what_was_never_kept_or_is_damaged_is_not_found(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, ROOM)
    assert cache.get("key") is None
    cache.put("key", tensors())
    assert cache.get("key") is not None, "the control"
    entry = tmp_path / "key.safetensors"
    entry.write_bytes(entry.read_bytes()[:-4])
    assert cache.get("key") is None, "cut off"
    entry.write_bytes(b"no tensors at all")
    assert cache.get("key") is None


def test_the_one_used_longest_ago_goes_first(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path / "features", 2 * size_of_one(tmp_path))
    for key in ("a", "b"):
        cache.put(key, tensors())
    assert cache.get("a") is not None, "used after b"
    cache.put("c", tensors())
    assert [cache.get(key) is not None for key in "abc"] == [True, False, True]


def test_what_is_larger_than_the_limit_is_not_kept_and_drives_nothing_out(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path / "features", size_of_one(tmp_path))
    cache.put("a", tensors())
    cache.put("b", tensors(count=10_000))
    assert cache.get("a") is not None and cache.get("b") is None
    with pytest.raises(InputError, match="0 or more"):
        FeatureCache(tmp_path, -1)


def test_an_entry_that_is_removed_while_it_is_used_stays_readable(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, ROOM)
    cache.put("a", tensors(7))
    found = cache.get("a")
    (tmp_path / "a.safetensors").unlink()
    assert found is not None and float(found["vision.video"].sum()) == 700.0
