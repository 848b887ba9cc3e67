"""What the page says a run would be trained on."""

from dataclasses import replace
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from store.records import Media
from store.rows import utc_now
from tests.training.conftest import freeze_rows, row_of, sft_config
from training.config import PIPELINE_CHECK
from training.overview import COUNTED_ROWS, describe, row_problem, text_tokens, visual_tokens
from training.rows import FrozenSet, load_set

DIGEST = "0" * 64


def media_of(width: int | None, height: int | None) -> Media:
    return Media(DIGEST, "a.mp4", 1, "mp4", "h264", None, width, height, 0, 2.0, 24, True, None, "ok", None, utc_now())


@pytest.fixture
def frozen(tmp_path: Path) -> FrozenSet:
    return load_set(tmp_path / freeze_rows(tmp_path, "sft", [row_of(n, DIGEST) for n in range(8)], "first round").directory)


def test_rows_steps_clips_words_and_tokens_are_told(frozen: FrozenSet) -> None:
    text = describe(frozen, sft_config(frames=16, longest_side_px=448), {DIGEST: media_of(1920, 1080)})
    assert "8 rows about 6 clips, 72 words" in text
    assert "| rows | narrative | rationale |" in text
    assert "| train | 3 | 3 |" in text and "| validation | 1 | 1 |" in text
    assert "6 training rows, 12 optimiser steps, 2 held-out rows" in text
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
    assert "Text tokens of prompts and replies of the training rows: unknown (the tokenizer of the pipeline check is made from these texts" in text
    assert visual_tokens(frozen.rows[0], media_of(None, 5), sft_config()).value is None


def test_text_tokens_come_from_the_tokenizer_in_the_models_folder(frozen: FrozenSet, tmp_path: Path) -> None:
    tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.train_from_iterator([row.reply for row in frozen.rows], trainers.WordLevelTrainer(special_tokens=["[UNK]"]))
    folder = tmp_path / "weights"
    folder.mkdir()
    assert text_tokens(frozen.rows, str(folder)).value is None
    tokenizer.save(str(folder / "tokenizer.json"))
    assert text_tokens(frozen.rows, str(folder)).value == 8 * (9 + 3), "nine words a reply, three a prompt"
    assert "too many" in text_tokens(frozen.rows * COUNTED_ROWS, str(folder)).reason
    assert "pipeline check" in text_tokens(frozen.rows, PIPELINE_CHECK).reason


def test_a_set_without_training_rows_says_so_instead_of_failing(tmp_path: Path) -> None:
    made = freeze_rows(tmp_path, "sft", [row_of(6, DIGEST)])
    assert "No row of this set has the split train" in describe(load_set(tmp_path / made.directory), sft_config(), {})
