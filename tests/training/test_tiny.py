"""The models of the pipeline check are the real classes of their families, whole on disk, and the same at every start."""

from pathlib import Path

import pytest
import torch

from training import model as models  # isort: skip  # first: it repairs torchvision before transformers is used
from transformers import AutoConfig  # isort: skip

from store.errors import InputError
from training.families import FAMILIES
from training.tiny import build_tiny, tiny_processor

TEXTS = ["What happens? A bar moves to the right.", "«Nothing» — 🐢"]
CLASSES = {
    "qwen2_5_vl": ("Qwen2_5_VLForConditionalGeneration", "Qwen2_5_VLProcessor", "Qwen2VLVideoProcessor"),
    "qwen3_vl": ("Qwen3VLForConditionalGeneration", "Qwen3VLProcessor", "Qwen3VLVideoProcessor"),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_tiny_model_is_its_familys_real_class_and_the_same_for_the_same_seed(tmp_path: Path, family: str) -> None:
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        build_tiny(tmp_path / name, TEXTS, seed, family)
    one, same, other = (models.load_model(str(tmp_path / name), "none") for name in ("one", "same", "other"))
    processor = models.load_processor(str(tmp_path / "one"))
    assert (type(one).__name__, type(processor).__name__, type(processor.video_processor).__name__) == CLASSES[family]
    assert AutoConfig.from_pretrained(tmp_path / "one").model_type == family
    weights = one.state_dict()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in same.state_dict().items())
    assert any(not torch.equal(tensor, weights[name]) for name, tensor in other.state_dict().items())
    assert sum(path.stat().st_size for path in (tmp_path / "one").iterdir()) < 2_000_000


@pytest.mark.parametrize("family", FAMILIES)
def test_its_processor_cuts_pictures_as_its_family_is_told_to(family: str) -> None:
    processor = tiny_processor(TEXTS, family)
    for part in (processor.image_processor, processor.video_processor):
        assert part.patch_size * part.merge_size == FAMILIES[family].token_px and part.temporal_patch_size == 2
    for text in TEXTS:
        assert processor.tokenizer.decode(processor.tokenizer(text)["input_ids"]) == text


def test_there_is_no_tiny_model_of_another_family() -> None:
    with pytest.raises(InputError, match="family llama"):
        tiny_processor(TEXTS, "llama")
