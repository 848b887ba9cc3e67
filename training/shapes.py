"""How large a model is inside: the numbers of its config.json, and what follows from them. No torch, no weights."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from store.errors import InputError
from training.config import PIPELINE_CHECK, PIPELINE_CHECK_QWEN3

CHANNELS = 3
PAIR = 2  # frames in a patch of a video


@dataclass(frozen=True)
class VisionShape:
    """The vision tower and what joins it to the language model."""

    depth: int
    width: int
    intermediate: int
    heads: int
    patch_px: int
    merge: int  # patches a side that become one token
    out: int  # width of a token that leaves it
    deepstack: int = 0  # Qwen3-VL: layers whose output goes to the language model too, through a merger each
    positions: int = 0  # Qwen3-VL: learnt position embeddings
    window_px: int = 0  # Qwen2.5-VL: side of the windows in which most layers look; 0: all look at a whole picture
    full_layers: int = 0  # of those, how many look at a whole picture

    @cached_property
    def block_parameters(self) -> int:
        """Parameters of all blocks."""
        w, i = self.width, self.intermediate
        attention = 4 * w * w + 4 * w
        if self.positions:  # two linear layers, LayerNorm
            return self.depth * (attention + 2 * w * i + i + w + 4 * w)
        return self.depth * (attention + 3 * w * i + 2 * i + w + 2 * w)  # three linear layers, RMSNorm

    @cached_property
    def merger_parameters(self) -> int:
        """Parameters of the layers that make tokens of patches, all mergers together."""
        wide = self.width * self.merge**2
        layers = wide * wide + wide + wide * self.out + self.out
        if not self.positions:
            return layers + self.width
        return layers + 2 * self.width + self.deepstack * (layers + 2 * wide)

    @cached_property
    def parameters(self) -> int:
        """All parameters of the tower."""
        patch = CHANNELS * PAIR * self.patch_px**2 * self.width
        return patch + (self.width + self.positions * self.width if self.positions else 0) + self.block_parameters + self.merger_parameters


@dataclass(frozen=True)
class ModelShape:
    """A Qwen2.5-VL or Qwen3-VL by its sizes; `source` says where they come from."""

    family: str  # "qwen2_5_vl" or "qwen3_vl"
    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_width: int
    vocabulary: int
    tied: bool  # the head that tells the next token is the embedding itself
    vision: VisionShape
    source: str = ""

    @cached_property
    def linears(self) -> tuple[tuple[int, int], ...]:
        """(inputs, outputs) of the seven linear layers of one language layer: q, k, v, o, gate, up, down."""
        queries, keys = self.heads * self.head_width, self.kv_heads * self.head_width
        h, i = self.hidden, self.intermediate
        return (h, queries), (h, keys), (h, keys), (queries, h), (h, i), (h, i), (i, h)

    @cached_property
    def linear_parameters(self) -> int:
        """Weights of the language model's linear layers: what nf4 quantises and every token is multiplied with."""
        return self.layers * sum(inputs * outputs for inputs, outputs in self.linears)

    @cached_property
    def embedding_parameters(self) -> int:
        """Parameters of the embedding and, where it is another tensor, the head."""
        return self.vocabulary * self.hidden * (1 if self.tied else 2)

    @cached_property
    def small_parameters(self) -> int:
        """Parameters of the language model's norms and biases."""
        queries, keys = self.heads * self.head_width, self.kv_heads * self.head_width
        of_heads = 2 * self.head_width if self.family == "qwen3_vl" else queries + 2 * keys  # norms of queries and keys, or biases
        return self.layers * (2 * self.hidden + of_heads) + self.hidden

    @cached_property
    def parameters(self) -> int:
        """All parameters of the model."""
        return self.linear_parameters + self.embedding_parameters + self.small_parameters + self.vision.parameters

    def lora_parameters(self, rank: int, projector: bool = False) -> int:
        """Return the parameters of a LoRA of this rank on the language model's linear layers and, with `projector`, on the mergers'."""
        total = self.layers * sum(rank * (inputs + outputs) for inputs, outputs in self.linears)
        if projector:
            wide = self.vision.width * self.vision.merge**2
            total += (1 + self.vision.deepstack) * rank * (2 * wide + wide + self.vision.out)
        return total


# config.json of each repository on the Hugging Face hub; tests count the parameters of the real classes with these numbers.
_QWEN25_VISION: dict[str, int] = {
    "depth": 32, "width": 1280, "intermediate": 3420, "heads": 16, "patch_px": 14, "merge": 2, "window_px": 112, "full_layers": 4,
}  # fmt: skip
_QWEN3_VISION: dict[str, int] = {"heads": 16, "patch_px": 16, "merge": 2, "deepstack": 3, "positions": 2304}
_HUB = "its config.json on the hub"
KNOWN: Mapping[str, ModelShape] = {
    "Qwen/Qwen2.5-VL-3B-Instruct": ModelShape(
        "qwen2_5_vl", 36, 2048, 11008, 16, 2, 128, 151936, True, VisionShape(**_QWEN25_VISION, out=2048), _HUB
    ),
    "Qwen/Qwen2.5-VL-7B-Instruct": ModelShape(
        "qwen2_5_vl", 28, 3584, 18944, 28, 4, 128, 152064, False, VisionShape(**_QWEN25_VISION, out=3584), _HUB
    ),
    "Qwen/Qwen3-VL-4B-Instruct": ModelShape(
        "qwen3_vl", 36, 2560, 9728, 32, 8, 128, 151936, True, VisionShape(**_QWEN3_VISION, depth=24, width=1024, intermediate=4096, out=2560), _HUB
    ),
    "Qwen/Qwen3-VL-8B-Instruct": ModelShape(
        "qwen3_vl", 36, 4096, 12288, 32, 8, 128, 151936, False, VisionShape(**_QWEN3_VISION, depth=27, width=1152, intermediate=4304, out=4096), _HUB
    ),
}  # fmt: skip
# What training/tiny.py builds; its vocabulary is at most this large, smaller for few texts.
_TINY_VISION: dict[str, int] = {"depth": 2, "width": 64, "intermediate": 128, "heads": 4, "merge": 2, "out": 64}
_TINY = "training/tiny.py"
TINY: Mapping[str, ModelShape] = {
    PIPELINE_CHECK: ModelShape("qwen2_5_vl", 2, 64, 128, 4, 2, 16, 1007, True, VisionShape(**_TINY_VISION, patch_px=14, window_px=56, full_layers=1), _TINY),
    PIPELINE_CHECK_QWEN3: ModelShape("qwen3_vl", 2, 64, 128, 4, 2, 16, 1007, True, VisionShape(**_TINY_VISION, patch_px=16, deepstack=1, positions=64), _TINY),
}


def shape_of(model: str) -> ModelShape:
    """Return the sizes of a model: of a folder from its config.json, of a hub id known here, or fetched before, from that.

    Raises InputError when they are not known, or the model is of another family.
    """
    known = {**KNOWN, **TINY}.get(model)
    if known is not None:
        return known
    path = _config_path(model)
    if path is None:
        raise InputError(
            f"The sizes of {model} are not known here: it is no folder with a config.json, none of {', '.join(KNOWN)}, and was not fetched before. "
            "The run itself will tell its memory and time."
        )
    try:
        return shape_from(json.loads(path.read_text(encoding="utf-8")), str(path))
    except ValueError as error:
        raise InputError(f"{path} is no JSON: {error}. Download the model again.") from error


def shape_from(config: Mapping[str, Any], source: str) -> ModelShape:
    """Return the sizes that a config.json tells, with its language model nested, as written now, or flat, as published first.

    Raises InputError for another family and for a number that is missing.
    """
    family = str(config.get("model_type"))
    if family not in ("qwen2_5_vl", "qwen3_vl"):
        raise InputError(f"{source} tells of a {family}, and only Qwen2.5-VL and Qwen3-VL can be trained here.")
    text = config.get("text_config", config)
    try:
        heads = int(text["num_attention_heads"])
        return ModelShape(
            family=family,
            layers=int(text["num_hidden_layers"]),
            hidden=int(text["hidden_size"]),
            intermediate=int(text["intermediate_size"]),
            heads=heads,
            kv_heads=int(text["num_key_value_heads"]),
            head_width=int(text.get("head_dim") or text["hidden_size"] // heads),
            vocabulary=int(text["vocab_size"]),
            tied=bool(config.get("tie_word_embeddings", text.get("tie_word_embeddings", False))),
            vision=_vision_from(config["vision_config"], family),
            source=source,
        )
    except KeyError as error:
        raise InputError(f"{source} lacks {error}, so the size of the model is not known. Download the model again.") from error


def _vision_from(vision: Mapping[str, Any], family: str) -> VisionShape:
    old = family == "qwen2_5_vl"
    # What a published file leaves out stands at the library's default.
    return VisionShape(
        depth=int(vision["depth"]),
        width=int(vision["hidden_size"]),
        intermediate=int(vision["intermediate_size"]),
        heads=int(vision["num_heads"]),
        patch_px=int(vision.get("patch_size", 14 if old else 16)),
        merge=int(vision.get("spatial_merge_size", 2)),
        out=int(vision["out_hidden_size"]),
        deepstack=0 if old else len(vision.get("deepstack_visual_indexes", (8, 16, 24))),
        positions=0 if old else int(vision.get("num_position_embeddings", 2304)),
        window_px=int(vision.get("window_size", 112)) if old else 0,
        full_layers=len(vision.get("fullatt_block_indexes", (7, 15, 23, 31))) if old else 0,
    )


def _config_path(model: str) -> Path | None:
    folder = Path(model).expanduser()
    if (folder / "config.json").is_file():
        return folder / "config.json"
    if folder.is_dir() or model.count("/") != 1:
        return None
    # Not at the top: gradio brings it, the command line need not.
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(model, "config.json")
    return Path(found) if isinstance(found, str) else None
