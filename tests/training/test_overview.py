"""What the page says a run would be trained on."""

from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from store.records import Media
from store.rows import utc_now
from tests.training.conftest import freeze_rows, row_of, sft_config
from training.config import PIPELINE_CHECK
from training.overview import COUNTED_ROWS, clip_tokens, describe, text_tokens
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
    assert "Visual tokens a clip: 1,152 (16 frames, the largest of 448 x 252 pixels)" in text


def test_what_is_not_known_is_said_with_its_reason(frozen: FrozenSet) -> None:
    text = describe(frozen, sft_config(), {})
    assert "Visual tokens a clip: unknown (the size of its video is not known)" in text
    assert "Text tokens of the training rows: unknown (the tokenizer of the pipeline check is made from these texts" in text
    assert clip_tokens(media_of(None, 5), 4, 448).value is None


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
