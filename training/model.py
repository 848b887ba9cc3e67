"""The model of a run: loaded in 4 bits or bfloat16 with a frozen vision tower; the layers its LoRA adapts; the fingerprint of what must not move."""

import re
from collections.abc import Callable, Container, Mapping
from typing import Any

import torch

from training import torchvision_shim

# Held for the life of the process; see the shim for why it must come before transformers.
_OPERATORS = torchvision_shim.install()

import bitsandbytes as bnb  # noqa: E402
from peft import LoraConfig  # noqa: E402
from transformers import (  # noqa: E402
    AutoConfig,
    AutoProcessor,
    BitsAndBytesConfig,
    PreTrainedModel,
    ProcessorMixin,
    Qwen2_5_VLForConditionalGeneration,
    Qwen3VLForConditionalGeneration,
)
from transformers.utils.logging import disable_progress_bar  # noqa: E402

from store.errors import InputError, NotFoundError  # noqa: E402
from training.config import RunConfig  # noqa: E402
from training.families import QWEN2_5_VL, QWEN3_VL, family_named  # noqa: E402

# A bar that redraws itself has no place in a log.
disable_progress_bar()

CLASSES = {QWEN2_5_VL: Qwen2_5_VLForConditionalGeneration, QWEN3_VL: Qwen3VLForConditionalGeneration}
# Full names of linear layers: by suffix alone `gate_proj` would hit the vision tower, and a name of other models, such as `mm_projector`, nothing.
LANGUAGE_MODEL = r".*\.language_model\..*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
# What leads from the vision tower to the language model: one merger, in Qwen3-VL also those of the tower's earlier layers.
MERGER = r".*\.visual\.(merger\.mlp\.(0|2)|(merger|deepstack_merger_list\.\d+)\.linear_fc[12])"
# Full names again: the short "visual" is not recognised and leaves the tower in 4 bits. lm_head is multiplied by directly.
UNQUANTISED = ["model.visual", "lm_head"]


def load_processor(source: str) -> ProcessorMixin:
    """Return the processor of the model at `source`, a folder or hub id. Raises NotFoundError."""
    return _from(source, AutoProcessor.from_pretrained)


def load_model(source: str, quantisation: str, projector: bool = False) -> PreTrainedModel:
    """Return the frozen model at `source` on the GPU, or on the CPU where there is none; with `projector` gradients pass through its merger.

    Raises NotFoundError when it is neither here nor on the hub, InputError when it is of no family that can be trained.
    """
    family = family_named(_from(source, AutoConfig.from_pretrained).model_type, source)
    model = _from(
        source,
        CLASSES[family].from_pretrained,
        # bfloat16 on the CPU too: TRL casts adapters to it, and a float32 model would meet them with another type.
        dtype=torch.bfloat16,
        device_map={"": 0 if torch.cuda.is_available() else "cpu"},
        attn_implementation="sdpa",
        quantization_config=four_bits() if quantisation == "nf4" else None,
    )
    model.requires_grad_(False)
    _mend_cpu_layers(model)
    _keep_no_activations(model.model.visual, projector)
    return model


def lora_config(model: torch.nn.Module, config: RunConfig) -> tuple[LoraConfig, Mapping[str, int]]:
    """Return the LoRA of the run and how many linear layers it adapts by part, "language_model" and, with config.projector, "merger".

    Raises InputError when a part has none: such an adapter would train and change nothing there.
    """
    patterns = {"language_model": LANGUAGE_MODEL, **({"merger": MERGER} if config.projector else {})}
    linear = [name for name, layer in model.named_modules() if isinstance(layer, torch.nn.Linear)]
    targets = {part: sum(re.fullmatch(pattern, name) is not None for name in linear) for part, pattern in patterns.items()}
    empty = [part for part, count in targets.items() if not count]
    if empty:
        raise InputError(
            f"No linear layer of this model has the name of one of its {empty[0]} ({patterns[empty[0]]}), so there is nothing to adapt. "
            "Choose another model, or leave out this part."
        )
    lora = LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules="|".join(f"({pattern})" for pattern in patterns.values()),
        task_type="CAUSAL_LM",
    )
    return lora, targets


def frozen_sums(model: torch.nn.Module, names: Container[str] | None = None) -> dict[str, int]:
    """Return the sum of the bytes of every tensor that must not move, or of those among `names`; reads each once where it lies."""
    return {
        name: int(tensor.detach().contiguous().view(torch.uint8).sum(dtype=torch.int64))
        for name, tensor in model.named_parameters()
        if not tensor.requires_grad and (names is None or name in names)
    }


def four_bits() -> BitsAndBytesConfig:
    """Return how a model is put into 4 bits: NF4 with double quantisation, the language model's linear layers alone."""
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
        llm_int8_skip_modules=UNQUANTISED,
    )


def _from(source: str, load: Callable[..., Any], **options: Any) -> Any:
    try:
        return load(source, **options)
    except OSError as error:
        # transformers answers so for a missing folder, a missing file in it, and a hub that cannot be reached.
        first = str(error).strip().split("\n")[0]
        raise NotFoundError(
            f"The model {source} could not be loaded: it is no complete folder here, and the hub did not give it. {first} "
            "Give the full path of a folder with config.json and weights, or connect this machine."
        ) from error


def _mend_cpu_layers(model: PreTrainedModel) -> None:
    # On processors with AVX512-BF16 the first forward without gradients repacks a layer for inference for good; training then fails.
    for layer in model.modules():
        if isinstance(layer, bnb.nn.Linear4bit):
            layer.support_avx512bf16_for_cpu = False


def _keep_no_activations(visual: torch.nn.Module, projector: bool) -> None:
    # The tower is frozen, yet the hook that gives the inputs a gradient reaches it too and would keep all its activations.
    # The blocks' results go into the mergers, so with a merger to be trained only what stands before it is cut off.
    for part in (visual.patch_embed, *visual.blocks) if projector else (visual,):
        part.forward = torch.no_grad()(part.forward)
