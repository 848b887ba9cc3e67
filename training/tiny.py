"""The models of the pipeline check: the real classes of both families, tiny, with random weights and a tokenizer of the run's own texts."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from training import torchvision_shim

# Held for the life of the process; see the shim for why it must come before transformers.
_OPERATORS = torchvision_shim.install()

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers  # noqa: E402
from transformers import (  # noqa: E402
    PreTrainedModel,
    ProcessorMixin,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2Tokenizer,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
    set_seed,
)

from store.errors import InputError  # noqa: E402
from training.shapes import TINY, ModelShape  # noqa: E402

SPECIAL_TOKENS = [
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>",
]  # fmt: skip
# What both families' published templates come to for turns of text, pictures and videos.
TEMPLATE = (
    "{% for turn in messages %}<|im_start|>{{ turn.role }}\n"
    "{% if turn.content is string %}{{ turn.content }}{% else %}{% for part in turn.content %}"
    "{% if part.type == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part.text }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def build_tiny(folder: Path, texts: list[str], seed: int, family: str = "qwen2_5_vl") -> None:
    """Put a tiny model of the family with random weights and a tokenizer trained on `texts` into `folder`; half a second, 1 MB.

    It proves that every part fits, on any machine, without a download. It knows nothing and learns nothing of use.
    Raises InputError for a family that is neither "qwen2_5_vl" nor "qwen3_vl".
    """
    processor = tiny_processor(texts, family)
    shape = next(shape for shape in TINY.values() if shape.family == family)
    _build(folder, processor, replace(shape, vocabulary=len(processor.tokenizer)), seed, "cpu")


def build_random(folder: Path, texts: list[str], seed: int, shape: ModelShape, device: str = "cpu") -> None:
    """Put a model of any shape with random weights into `folder`, made on `device`; its tokenizer is that of a tiny one.

    What it costs in memory and time is what the trained model of this shape costs. Takes 4 bytes a parameter on the device and 2 on the disk.
    """
    _build(folder, tiny_processor(texts, shape.family), shape, seed, device)


def tiny_processor(texts: list[str], family: str = "qwen2_5_vl") -> ProcessorMixin:
    """Return the processor of the tiny model, its tokenizer trained on `texts`; pictures are cut as the large models' processors cut them.

    Raises InputError for a family that is neither "qwen2_5_vl" nor "qwen3_vl".
    """
    tokenizer = _tiny_tokenizer(["system user assistant", *texts])
    if family == "qwen2_5_vl":
        images, videos = (kind(**_patches(14)) for kind in (Qwen2VLImageProcessor, Qwen2VLVideoProcessor))
        return Qwen2_5_VLProcessor(image_processor=images, video_processor=videos, tokenizer=tokenizer, chat_template=TEMPLATE)
    if family == "qwen3_vl":
        even = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}  # as published; the shared class would take CLIP's
        images, videos = (kind(**_patches(16), **even) for kind in (Qwen2VLImageProcessor, Qwen3VLVideoProcessor))
        return Qwen3VLProcessor(image_processor=images, video_processor=videos, tokenizer=tokenizer, chat_template=TEMPLATE)
    raise InputError(f"There is no tiny model of the family {family}. Choose qwen2_5_vl or qwen3_vl.")


def _patches(size: int) -> dict[str, Any]:
    pixels = {"shortest_edge": 4 * (2 * size) ** 2, "longest_edge": 768 * (2 * size) ** 2}
    return {"patch_size": size, "temporal_patch_size": 2, "merge_size": 2, "size": pixels}


def _tiny_tokenizer(texts: list[str]) -> Qwen2Tokenizer:
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trained.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=1000, initial_alphabet=alphabet, show_progress=False))
    # The library tells the merges only in its written form.
    merges = [tuple(merge) for merge in json.loads(trained.to_str())["model"]["merges"]]
    return Qwen2Tokenizer(
        vocab=trained.get_vocab(),
        merges=merges,
        unk_token="<|endoftext|>",
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=SPECIAL_TOKENS,
    )


def _build(folder: Path, processor: ProcessorMixin, shape: ModelShape, seed: int, device: str) -> None:
    set_seed(seed)
    processor.save_pretrained(folder)
    tokenizer = processor.tokenizer
    with torch.device(device):
        model = _random_model(tokenizer, shape).to(torch.bfloat16)
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(folder)


def _random_model(tokenizer: Qwen2Tokenizer, shape: ModelShape) -> PreTrainedModel:
    def token(text: str) -> int:
        return tokenizer.convert_tokens_to_ids(text)

    vision, width = shape.vision, shape.head_width
    # Of a head's pairs of numbers a quarter turn with time, the others with height and width.
    rope = {"rope_type": "default", "mrope_section": [width // 8, 3 * width // 16, 3 * width // 16], "rope_theta": 1e6}
    text = {
        "hidden_size": shape.hidden,
        "intermediate_size": shape.intermediate,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "max_position_embeddings": 32768,
        "vocab_size": shape.vocabulary,
        "bos_token_id": token("<|endoftext|>"),
        "eos_token_id": token("<|im_end|>"),
        "pad_token_id": token("<|endoftext|>"),
        "tie_word_embeddings": shape.tied,
    }
    tower = {
        "depth": vision.depth,
        "hidden_size": vision.width,
        "intermediate_size": vision.intermediate,
        "num_heads": vision.heads,
        "patch_size": vision.patch_px,
        "spatial_merge_size": vision.merge,
        "out_hidden_size": vision.out,
    }
    shared = {
        "image_token_id": token("<|image_pad|>"),
        "video_token_id": token("<|video_pad|>"),
        "vision_start_token_id": token("<|vision_start|>"),
        "vision_end_token_id": token("<|vision_end|>"),
        "tie_word_embeddings": shape.tied,
    }
    if shape.family == "qwen2_5_vl":
        text |= {"rope_parameters": rope}
        tower |= {"window_size": vision.window_px, "fullatt_block_indexes": _spread(vision.depth, vision.full_layers)}
        return Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(text_config=text, vision_config=tower, **shared))
    text |= {"head_dim": width, "rope_parameters": {**rope, "mrope_interleaved": True}}
    deepstack = _spread(vision.depth, vision.deepstack + 1)[:-1]
    tower |= {"num_position_embeddings": vision.positions, "deepstack_visual_indexes": deepstack}
    return Qwen3VLForConditionalGeneration(Qwen3VLConfig(text_config=text, vision_config=tower, **shared))


def _spread(layers: int, parts: int) -> list[int]:
    """Return the last layer of each of so many equal parts."""
    return [layers * (part + 1) // parts - 1 for part in range(parts)]
