"""What the page says a run would be trained on."""

from dataclasses import replace
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from store.records import Media
from store.rows import utc_now
from tests.training.conftest import freeze_rows, row_of, sft_config
from training.overview import describe, row_problem, visual_tokens
from training.rows import FrozenSet, load_set

DIGEST = "0" * 64


def media_of(width: int | None, height: int | None) -> Media:
    return Media(DIGEST, "a.mp4", 1, "mp4", "h264", None, width, height, 0, 2.0, 24, True, None, "ok", None, utc_now())


@pytest.fixture
def frozen(tmp_path: Path) -> FrozenSet:
    return load_set(tmp_path / freeze_rows(tmp_path, "sft", [row_of(n, DIGEST) for n in range(8)], "first round").directory)


def test_rows_steps_clips_words_and_tokens_are_told(frozen: FrozenSet) -> None:
    text = describe(frozen, sft_config(frames=16, longest_side_px=448, packing="none"), {DIGEST: media_of(1920, 1080)})
    assert "8 rows about 6 clips, 72 words" in text
    assert "| rows | narrative | rationale |" in text
    assert "| train | 3 | 3 |" in text and "| validation | 1 | 1 |" in text
    assert "6 training rows (narrative 3, rationale 3), 2 held-out rows" in text and "12 optimiser steps. Tokens a row: 1,1" in text
    assert "Visual tokens a row: 1,152 (16 frames as one video, the largest of 448 x 252 pixels)" in text


def test_pictures_cost_twice_what_a_video_of_them_does_and_the_one_at_the_pause_comes_on_top(tmp_path: Path) -> None:
    rows = [row_of(n, DIGEST, context={"lines": [], "pause_s": 0.75 if n % 2 else None, "window_s": None}) for n in range(4)]
    frozen, media = load_set(tmp_path / freeze_rows(tmp_path, "sft", rows).directory), {DIGEST: media_of(1920, 1080)}
    config = sft_config(layout="interleaved", frames=16, longest_side_px=448, keyframe="in_order")
    assert "Visual tokens a row: 2,304 to 2,448 (at most 16 and the one at the pause, as pictures," in describe(frozen, config, media)
    pooled = sft_config(layout="block", selection="all", pooling="WA", window_s=0.5, frames=16, longest_side_px=448, budget_tokens=500)
    text = describe(frozen, pooled, media)
    assert "Visual tokens a row: 432 to 576 (every window, as pictures," in text, "windows of half a second: three of 1.5 s, four of 2 s"
    assert "the budget of 500 tokens may leave some out" in text
    assert row_problem(frozen, replace(pooled, max_tokens=501), media) is None, "the budget sees to it"
    refused = row_problem(frozen, replace(pooled, max_tokens=501, budget_tokens=0), media)
    assert refused and "clip-0 takes 576 visual tokens" in refused


def test_a_clip_of_which_nothing_can_be_shown_is_told_before_the_start(tmp_path: Path) -> None:
    rows = [row_of(0, DIGEST, clip={"id": "late", "digest": DIGEST, "start_s": 9.0, "end_s": 12.0}), row_of(1, DIGEST)]
    frozen = load_set(tmp_path / freeze_rows(tmp_path, "sft", rows).directory)
    problem = row_problem(frozen, sft_config(), {DIGEST: media_of(64, 48)})
    assert problem and "Of 1 clips nothing can be shown" in problem and "late: It starts at 9 s, and the file lasts 2 s" in problem
    assert "Visual tokens a row: 8 (" in describe(frozen, sft_config(), {DIGEST: media_of(64, 48)}), "the other one is counted all the same"


@pytest.mark.parametrize("health", ["damaged", "unreadable"])
def test_a_clip_whose_file_is_not_sound_is_refused_with_the_reason(frozen: FrozenSet, health: str) -> None:
    sound = media_of(64, 48)
    assert row_problem(frozen, sft_config(), {DIGEST: sound}) is None, "the control"
    problem = row_problem(frozen, sft_config(), {DIGEST: replace(sound, health=health, health_reason="Frames at 1.2 s do not decode.")})
    assert problem and f"is {health}. Frames at 1.2 s do not decode. Freeze the set again" in problem


def test_what_is_not_known_is_said_with_its_reason(frozen: FrozenSet) -> None:
    text = describe(frozen, sft_config(), {})
    assert "Visual tokens a row: unknown (the size of its video is not known)" in text
    assert "Tokens and steps: unknown. Of no clip of these rows the size and length of the video are known" in text
    assert visual_tokens(frozen.rows[0], media_of(None, 5), sft_config()).value is None


def test_rows_are_counted_by_the_rule_that_brought_them(frozen: FrozenSet) -> None:
    told = replace(frozen, rows=tuple(replace(row, origin=("edit", "verdict", "edit")[at % 3]) for at, row in enumerate(frozen.rows)))
    assert "By rule: accepted against rejected 2, an edit of the rejected text 4." in describe(told, sft_config(), {DIGEST: media_of(64, 48)})
    assert "By rule" not in describe(replace(frozen, rows=tuple(replace(row, origin=None) for row in frozen.rows)), sft_config(), {}), "sets of before"


def test_rows_over_the_longest_are_named_before_the_start_the_longest_first(tmp_path: Path) -> None:
    rows = [row_of(n, DIGEST, completion=[{"role": "assistant", "content": "word " * (100 if n in (2, 4) else 3)}]) for n in range(6)]
    frozen, media = load_set(tmp_path / freeze_rows(tmp_path, "sft", rows).directory), {DIGEST: media_of(64, 48)}
    text = describe(frozen, sft_config(max_tokens=100), media)
    assert "**2 rows are longer than the 100 tokens that a row may have" in text and "sft-2 1" in text and "sft-4 1" in text and "sft-0" not in text
    assert "longer than the" not in describe(frozen, sft_config(max_tokens=1000), media), "the control"


def test_tokens_are_told_with_the_way_in_which_they_were_counted(frozen: FrozenSet, tmp_path: Path) -> None:
    media = {DIGEST: media_of(64, 48)}
    assert "(words estimated from words, 4 tokens to 3 words, until the processor counts them; tokens of pictures exact)." in describe(
        frozen, sft_config(), media
    )
    tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.train_from_iterator([row.reply for row in frozen.rows], trainers.WordLevelTrainer(special_tokens=["[UNK]"]))
    folder = tmp_path / "weights"
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text('{"model_type": "qwen2_5_vl"}')
    assert "(words counted by the model's own tokenizer; tokens of pictures exact)." in describe(frozen, sft_config(model=str(folder)), media)


def test_a_set_without_training_rows_says_so_instead_of_failing(tmp_path: Path) -> None:
    made = freeze_rows(tmp_path, "sft", [row_of(6, DIGEST)])
    assert "No row of this set has the split train" in describe(load_set(tmp_path / made.directory), sft_config(), {})
