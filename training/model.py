"""The model of a run: loaded in 4 bits or bfloat16 with a frozen vision tower, or built tiny with random weights; its LoRA; its fingerprint."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from training import torchvision_shim

# Held for the life of the process; see the shim for why it must come before transformers.
_OPERATORS = torchvision_shim.install()

import bitsandbytes as bnb  # noqa: E402
from peft import LoraConfig  # noqa: E402
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers  # noqa: E402
from transformers import (  # noqa: E402
    AutoConfig,
    AutoProcessor,
    BitsAndBytesConfig,
    PreTrainedModel,
    ProcessorMixin,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2Tokenizer,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
    set_seed,
)
from transformers.utils.logging import disable_progress_bar  # noqa: E402

from store.errors import InputError, NotFoundError  # noqa: E402
from training.config import RunConfig  # noqa: E402

# A bar that redraws itself has no place in a log.
disable_progress_bar()

# Full names of the language model's linear layers. By suffix alone `gate_proj` would hit the vision tower's layers too.
LORA_TARGETS = r".*\.language_model\..*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
# Full names again: the short "visual" is not recognised and leaves the tower in 4 bits. lm_head is multiplied by directly.
UNQUANTISED = ["model.visual", "lm_head"]
SPECIAL_TOKENS = [
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>",
]  # fmt: skip
TEMPLATE = (
    "{% for turn in messages %}<|im_start|>{{ turn.role }}\n"
    "{% if turn.content is string %}{{ turn.content }}{% else %}{% for part in turn.content %}"
    "{% if part.type == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part.text }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def load_processor(source: str) -> ProcessorMixin:
    """Return the processor of the model at `source`, a folder or hub id. Raises NotFoundError."""
    return _from(source, AutoProcessor.from_pretrained)


def load_model(source: str, quantisation: str) -> PreTrainedModel:
    """Return the frozen Qwen2.5-VL at `source` on the GPU, or on the CPU where there is none.

    Raises NotFoundError when it is neither here nor on the hub, InputError when it is another kind of model.
    """
    config = _from(source, AutoConfig.from_pretrained)
    if config.model_type != "qwen2_5_vl":
        raise InputError(f"The model {source} is a {config.model_type}, and only Qwen2.5-VL can be trained here. Choose one.")
    model = _from(
        source,
        Qwen2_5_VLForConditionalGeneration.from_pretrained,
        # bfloat16 on the CPU too: TRL casts adapters to it, and a float32 model would meet them with another type.
        dtype=torch.bfloat16,
        device_map={"": 0 if torch.cuda.is_available() else "cpu"},
        attn_implementation="sdpa",
        quantization_config=_four_bits() if quantisation == "nf4" else None,
    )
    model.requires_grad_(False)
    _mend_cpu_layers(model)
    # The tower is frozen, yet the hook that gives the inputs a gradient reaches it too and would keep all its activations.
    model.model.visual.forward = torch.no_grad()(model.model.visual.forward)
    return model


def lora_config(model: PreTrainedModel, config: RunConfig) -> tuple[LoraConfig, int]:
    """Return the LoRA of the run and how many linear layers it adapts. Raises InputError when there are none."""
    targets = [name for name, layer in model.named_modules() if isinstance(layer, torch.nn.Linear) and re.fullmatch(LORA_TARGETS, name)]
    if not targets:
        raise InputError("No layer of this model has the name of a language model's linear layer, so there is nothing to adapt.")
    lora = LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=LORA_TARGETS,
        task_type="CAUSAL_LM",
    )
    return lora, len(targets)


def frozen_sums(model: torch.nn.Module) -> dict[str, int]:
    """Return the sum of the bytes of every tensor that must not move; reads each once where it lies."""
    return {
        name: int(tensor.detach().contiguous().view(torch.uint8).sum(dtype=torch.int64))
        for name, tensor in model.named_parameters()
        if not tensor.requires_grad
    }


def build_tiny(folder: Path, texts: list[str], seed: int) -> None:
    """Put a tiny Qwen2.5-VL with random weights and a tokenizer trained on `texts` into `folder`; half a second, 2 MB.

    It proves that every part fits, on any machine, without a download. It knows nothing and learns nothing of use.
    """
    set_seed(seed)
    processor = tiny_processor(texts)
    processor.save_pretrained(folder)
    tokenizer = processor.tokenizer
    model = Qwen2_5_VLForConditionalGeneration(_tiny_config(tokenizer)).to(torch.bfloat16)
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(folder)


def tiny_processor(texts: list[str]) -> ProcessorMixin:
    """Return the processor of the tiny model, its tokenizer trained on `texts`; pictures are cut as the large models' processors cut them."""
    pixels = {"shortest_edge": 56 * 56, "longest_edge": 28 * 28 * 768}
    patches = {"patch_size": 14, "temporal_patch_size": 2, "merge_size": 2, "size": pixels}
    return Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(**patches),
        video_processor=Qwen2VLVideoProcessor(**patches),
        tokenizer=_tiny_tokenizer(["system user assistant", *texts]),
        chat_template=TEMPLATE,
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


def _four_bits() -> BitsAndBytesConfig:
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
        llm_int8_skip_modules=UNQUANTISED,
    )


def _mend_cpu_layers(model: PreTrainedModel) -> None:
    # On processors with AVX512-BF16 the first forward without gradients repacks a layer for inference for good; training then fails.
    for layer in model.modules():
        if isinstance(layer, bnb.nn.Linear4bit):
            layer.support_avx512bf16_for_cpu = False


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


def _tiny_config(tokenizer: Qwen2Tokenizer) -> Qwen2_5_VLConfig:
    def token(text: str) -> int:
        return tokenizer.convert_tokens_to_ids(text)

    return Qwen2_5_VLConfig(
        text_config={
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 32768,
            "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 1e6},
            "bos_token_id": token("<|endoftext|>"),
            "eos_token_id": token("<|im_end|>"),
            "pad_token_id": token("<|endoftext|>"),
            "tie_word_embeddings": True,
        },
        vision_config={
            "depth": 2,
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_heads": 4,
            "out_hidden_size": 64,
            "window_size": 56,
            "fullatt_block_indexes": [1],
        },
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
        tie_word_embeddings=True,
    )
