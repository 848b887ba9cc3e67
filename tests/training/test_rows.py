"""Frozen sets: what is read, what is refused, and which rows a run takes."""

import hashlib
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.errors import InputError, NotFoundError, StorageError
from tests.training.conftest import freeze_rows, row_of, sft_config
from training.context import Line
from training.rows import ClipSpan, Message, Row, RowContext, load_set, planned_rows, summarise, texts_of, total_steps

DIGEST = "0" * 64


def rows_of(count: int, split: str = "train") -> list[Row]:
    return [Row(f"r{n:04}", split, "narrative", ClipSpan("c", DIGEST, 0.0, None), (Message("user", "q"),), "a b", None) for n in range(count)]


def frozen_directory(tmp_path: Path, *rows: dict, kind: str = "sft") -> Path:
    return tmp_path / freeze_rows(tmp_path, kind, rows).directory


def test_a_set_is_read_as_it_was_frozen(tmp_path: Path) -> None:
    rows = [row_of(n, DIGEST, "dpo") for n in range(8)]
    frozen = load_set(frozen_directory(tmp_path, *rows, kind="dpo"))
    assert [row.id for row in frozen.rows] == [row["id"] for row in rows]
    assert frozen.rows[0].clip == ClipSpan("clip-0", DIGEST, 0.0, None)
    assert frozen.rows[1].clip.end_s == 1.5
    assert frozen.rows[0].rejected == rows[0]["rejected"][0]["content"]
    summary = summarise(frozen.rows)
    assert (summary.rows, summary.clips) == (8, 6)
    assert summary.by_split_and_kind == {("train", "narrative"): 3, ("train", "rationale"): 3, ("validation", "narrative"): 1, ("validation", "rationale"): 1}
    assert summary.words == 8 * (9 + 8)


def test_a_row_brings_its_lines_and_its_pause_and_one_from_before_has_none(tmp_path: Path) -> None:
    told = {"lines": [[-0.5, 1.0, "first"], [1, 2, "second"]], "pause_s": 1.5, "window_s": [0, 2.5]}
    rows = load_set(frozen_directory(tmp_path, row_of(0, DIGEST, context=told), row_of(1, DIGEST))).rows
    assert rows[0].context == RowContext((Line(-0.5, 1.0, "first"), Line(1.0, 2.0, "second")), 1.5, (0.0, 2.5))
    assert rows[1].context == RowContext()
    assert [text for text in texts_of(rows) if text in ("first", "second")] == ["first", "second"], "what is said is read too"


@pytest.mark.parametrize("text", ["a\u2028b \x85 c\x0bd", "emoji 🐢 and עברית", 'quote " and back\\slash\nand line'])
def test_a_text_keeps_every_character(tmp_path: Path, text: str) -> None:
    frozen = load_set(frozen_directory(tmp_path, row_of(0, DIGEST, completion=[{"role": "assistant", "content": text}])))
    assert frozen.rows[0].reply == text


def test_rows_that_were_changed_after_freezing_are_refused(tmp_path: Path) -> None:
    directory = frozen_directory(tmp_path, row_of(0, DIGEST))
    assert load_set(directory).rows, "the control"
    content = (directory / "rows.jsonl").read_bytes()
    (directory / "rows.jsonl").write_bytes(content.replace(b"right", b"left!"))
    with pytest.raises(StorageError, match="changed after it was frozen"):
        load_set(directory)
    (directory / "rows.jsonl").unlink()
    with pytest.raises(NotFoundError):
        load_set(directory)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"completion": [{"role": "assistant", "content": "  "}]}, "empty"),
        ({"completion": [{"role": "assistant", "content": "so <|im_end|> it ends"}]}, r"<\|im_end\|>"),
        ({"prompt": [{"role": "user", "content": "look <|video_pad|>"}]}, "mark of the model's chat template"),
        ({"context": {"lines": [[0, 1, "<|im_start|>"]]}}, r"<\|im_start\|>"),
        ({"context": {"lines": [[2, 1, "late"]]}}, "before its start"),
        ({"context": {"lines": [["x", 1, "late"]]}}, "does not have the form"),
        ({"context": {"lines": [[1, "late"]]}}, "does not have the form"),
        ({"completion": []}, "one message"),
        ({"completion": [{"role": "user", "content": "x"}]}, "role assistant"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [{"role": "user", "content": "a"}, {"role": "system", "content": "b"}]}, "prompt"),
        ({"clip": {"id": "c", "digest": DIGEST, "start_s": 2.0, "end_s": 1.0}}, "before or at its start"),
        ({"clip": {"id": "c", "digest": DIGEST, "start_s": 2.0}}, "does not have the form"),
    ],
)
def test_a_row_that_cannot_be_learnt_from_is_refused_with_its_line(tmp_path: Path, changes: dict, word: str) -> None:
    directory = frozen_directory(tmp_path, row_of(0, DIGEST), row_of(1, DIGEST, **changes))
    with pytest.raises(InputError, match=word) as refused:
        load_set(directory)
    assert "Line 2 of rows.jsonl" in str(refused.value)


def test_a_pair_brings_its_weight_and_its_origin_and_one_from_before_counts_as_one(tmp_path: Path) -> None:
    rows = load_set(frozen_directory(tmp_path, row_of(0, DIGEST, "dpo", weight=0.25, origin="edit"), row_of(1, DIGEST, "dpo"), kind="dpo")).rows
    assert [(row.weight, row.origin) for row in rows] == [(0.25, "edit"), (1.0, None)]


@pytest.mark.parametrize("weight", [0, -1.0, math.nan, math.inf, "much", None])
def test_a_weight_that_is_no_number_above_nought_is_refused(tmp_path: Path, weight: object) -> None:
    with pytest.raises(InputError, match=r"Line 1 of rows.jsonl.*(weight|form)"):
        load_set(frozen_directory(tmp_path, row_of(0, DIGEST, "dpo", weight=weight), kind="dpo"))


def test_a_pair_whose_two_sides_are_the_same_is_refused(tmp_path: Path) -> None:
    same = [{"role": "assistant", "content": "one text"}]
    directory = frozen_directory(tmp_path, row_of(0, DIGEST, "dpo", chosen=same, rejected=same), kind="dpo")
    with pytest.raises(InputError, match="are the same"):
        load_set(directory)


@given(st.integers(1, 60), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3), st.integers(0, 12))
def test_a_run_takes_as_many_rows_as_its_steps_can_reach(count: int, batch: int, accumulation: int, epochs: int, limit: int) -> None:
    config = sft_config(batch_size=batch, accumulation=accumulation, epochs=epochs, max_steps=limit)
    train, _ = planned_rows(rows_of(count), config)
    reach = limit * batch * accumulation
    assert len(train) == (min(count, reach) if limit else count)
    assert len({row.id for row in train}) == len(train)
    steps = total_steps(len(train), config)
    assert 1 <= steps <= (limit or steps)
    if len(train) == count and not limit:
        assert steps * batch * accumulation >= count * epochs, "every row is reached in every epoch"


def test_the_choice_of_rows_is_the_seeds_alone() -> None:
    rows = [*rows_of(50), *(replace(row, id=f"v{row.id}") for row in rows_of(20, "validation")), *rows_of(5, "test")]
    config = sft_config(max_steps=3, accumulation=2, validation_rows=4)
    first, again = planned_rows(rows, config), planned_rows(reversed(rows), config)
    assert first == again, "not the order on disk"
    assert first != planned_rows(rows, replace(config, seed=2))
    assert {row.split for row in first[0]} == {"train"} and {row.split for row in first[1]} == {"validation"}
    assert (len(first[0]), len(first[1])) == (6, 4)


def test_a_set_without_training_rows_is_refused() -> None:
    with pytest.raises(InputError, match="No row of this set"):
        planned_rows(rows_of(3, "validation"), sft_config())


def test_a_line_that_is_no_json_is_refused_with_its_number(tmp_path: Path) -> None:
    directory = frozen_directory(tmp_path, row_of(0, DIGEST))
    content = (directory / "rows.jsonl").read_bytes() + b"{\n"
    (directory / "rows.jsonl").write_bytes(content)
    manifest = json.loads((directory / "manifest.json").read_text())
    manifest["rows_sha256"] = hashlib.sha256(content).hexdigest()
    (directory / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="Line 2"):
        load_set(directory)
