"""What a run will take, before it starts: memory by part and time, from the model's sizes and the tokens of the longest pass. Pure arithmetic.

No figure here is a measurement: `source` says "formula", whose spread is not known, until a probe has measured two real steps on this
machine; then the parts that a formula can miss, and the rate, are what the probe saw, and the source says "probe".
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from training.config import RunConfig
from training.rows import total_steps
from training.shapes import PAIR, ModelShape
from training.workload import Pass, Workload, epoch_tokens

FORMULA, PROBE = "formula", "probe"
# Bytes a weight. NF4 with double quantisation: 4 bits, a byte of scale to 64 weights, and 4 bytes to 256 of those (arXiv 2305.14314).
NF4_BYTES = 0.5 + 1 / 64 + 4 / (64 * 256)
BF16_BYTES = 2
# A trained parameter with its gradient and Adam's two moments, and one of DPO's frozen copy of the adapter: all in float32.
_TRAINED_BYTES = 16
_REFERENCE_BYTES = 4
# Per token with a loss, times the vocabulary: logits in float32, their logarithms, and the gradient. forward.py does so many tokens at a time.
_LOGIT_BYTES = 12
HEAD_TOKENS = 512
# CUDA's context, the libraries' own buffers and what the allocator cannot use; on the CPU the process with all libraries loaded.
OVERHEAD_BYTES = {"cuda": 1_400_000_000, "cpu": 600_000_000}
# What a probe corrects. A GPU's own overhead is not in what PyTorch tells of its memory.
VARYING = {"cuda": ("activations", "logits", "vision tower at work"), "cpu": ("activations", "logits", "vision tower at work", "overhead")}


@dataclass(frozen=True)
class Figure:
    """A number with where it comes from, or None with the reason."""

    value: float | None
    source: str  # FORMULA, PROBE, or, when there is no value, why

    @property
    def known(self) -> bool:
        """Whether there is a value."""
        return self.value is not None


@dataclass(frozen=True)
class Part:
    """A part of the memory, in bytes."""

    name: str
    bytes: int
    source: str = FORMULA


@dataclass(frozen=True)
class Correction:
    """What a probe on this device with this model and quantisation saw."""

    spread: float  # measured bytes of the parts in VARYING / those of the formula
    flops_per_s: float  # floating-point operations of the formula / measured seconds of the second step
    steps: int  # measured


@dataclass(frozen=True)
class Estimate:
    """What a run will take on one device."""

    parts: tuple[Part, ...]
    longest: Pass
    pass_s: Figure  # seconds: forward and backward of the longest pass
    run_s: Figure  # seconds: the whole run, without loading and decoding
    steps: int  # optimiser steps
    separate_tokens: int  # of an epoch, each row by itself
    packed_tokens: int  # of an epoch, packed by clip
    tokens_said: str  # how they were counted

    @property
    def bytes(self) -> int:
        """All parts together."""
        return sum(part.bytes for part in self.parts)

    @property
    def source(self) -> str:
        """PROBE when a probe has corrected the memory, else FORMULA."""
        return PROBE if any(part.source == PROBE for part in self.parts) else FORMULA


@dataclass(frozen=True)
class Machine:
    """The device that a run will use."""

    name: str
    kind: str  # "cuda" or "cpu"
    total_bytes: int
    free_bytes: int


def estimate(shape: ModelShape, config: RunConfig, load: Workload, machine: Machine, correction: Correction | None = None) -> Estimate:
    """Return what the run takes on the machine. Cost: a few operations a pass."""
    parts = memory_parts(shape, config, load.longest, machine.kind)
    if correction is not None:
        parts = tuple(
            replace(part, bytes=round(part.bytes * correction.spread), source=PROBE) if part.name in VARYING[machine.kind] else part for part in parts
        )
    steps = steps_of(config, load)
    pass_s, run_s = _times(shape, config, load, steps, correction)
    separate, packed = (round(tokens / load.share) for tokens in epoch_tokens(load.rows, config))
    return Estimate(parts, load.longest, pass_s, run_s, steps, separate, packed, load.said)


def memory_parts(shape: ModelShape, config: RunConfig, one: Pass, kind: str, checkpointing: bool = True) -> tuple[Part, ...]:
    """Return the memory of the pass by part.

    h hidden, I intermediate, L layers, V vocabulary, T tokens of the pass (padding included), S tokens of one sequence:
    weights: NF4_BYTES a weight of the language model's linear layers, 2 bytes all others; adapter: _TRAINED_BYTES a parameter;
    activations with gradient checkpointing: 2 T h L for the inputs of the layers and T (32 h + 16 I) for the one that is worked on, with LoRA
    dropout T (24 h + 8 I) more; without: T (24 h + 8 I), with dropout T (47 h + 12 I), for each layer; with packing 2 S^2 for the mask; with
    nf4 one linear layer in bfloat16; logits: 12 V for each token with a loss, HEAD_TOKENS at a time; vision tower (no gradients), w wide, i
    its intermediate: each patch the larger of 34 w (Qwen3-VL 38 w) and 6 w + 6 i, and its pixels.
    The coefficients are those of the live tensors of the real classes, forward and backward on the CPU, at several widths (a test counts
    again); what CUDA's kernels and allocator take beside is not in them: a probe corrects that.
    """
    h, i, layers, tokens = shape.hidden, shape.intermediate, shape.layers, one.tokens
    dropout = bool(config.lora_dropout)
    at_work = 32 * h + 16 * i + dropout * (24 * h + 8 * i)
    kept = layers * 2 * h if checkpointing else (layers - 1) * (24 * h + 8 * i + dropout * (23 * h + 4 * i))
    more = (2 * one.sequences * one.length**2 if one.packed else 0) + (BF16_BYTES * h * i if config.quantisation == "nf4" else 0)
    linear = NF4_BYTES if config.quantisation == "nf4" else BF16_BYTES
    lora = shape.lora_parameters(config.lora_rank, config.projector)
    trained = _TRAINED_BYTES + (_REFERENCE_BYTES if config.stage == "dpo" else 0)
    return (
        Part("language model", round(shape.linear_parameters * linear) + BF16_BYTES * shape.small_parameters),
        Part("embedding and head", BF16_BYTES * shape.embedding_parameters),
        Part("vision tower", BF16_BYTES * shape.vision.parameters),
        Part("adapter and optimiser", lora * trained),
        Part("activations", tokens * (kept + at_work) + more),
        Part("logits", _LOGIT_BYTES * shape.vocabulary * min(one.learnt, HEAD_TOKENS)),
        Part("vision tower at work", _vision_bytes(shape, one.visual)),
        Part("overhead", OVERHEAD_BYTES[kind]),
    )


def pass_flops(shape: ModelShape, one: Pass, train: bool = True) -> float:
    """Return the floating-point operations of a pass, two for each multiplication and addition.

    Forward: 2 a weight and token, 4 q S a token of attention (half of it where no later token is looked at, q width of the queries), 2 V h a
    token with a loss. Training with frozen weights and checkpointing does the forward twice and as much again for gradients of activations:
    3 times the linear layers, 4 times the attention, 3 times the head. The frozen tower runs forward once; its attention, below a tenth of it
    at 448 x 252 pixels, is left out.
    """
    linear = 2.0 * shape.linear_parameters * one.tokens
    attention = 4.0 * shape.heads * shape.head_width * one.length * one.tokens * shape.layers * (1.0 if one.packed else 0.5)
    head = 2.0 * shape.vocabulary * shape.hidden * one.learnt
    vision = shape.vision
    tower = 2.0 * one.visual * (vision.merge**2 * vision.block_parameters + vision.merger_parameters)
    return (3 * linear + 4 * attention + 3 * head if train else linear + attention + head) + tower


def steps_of(config: RunConfig, load: Workload) -> int:
    """Return the optimiser steps of the run; where only some rows were counted, from their share."""
    if config.packing != "clip":
        return total_steps(load.all_rows, config)
    by_epochs = -(-round(len(load.passes) / load.share) // passes_a_step(config, load)) * config.epochs
    return min(by_epochs, config.max_steps) if config.max_steps else by_epochs


def passes_a_step(config: RunConfig, load: Workload) -> int:
    """Return the forward passes of an optimiser step, as training/passes.py has it: with packing as many as hold batch_size x accumulation rows."""
    if config.packing != "clip":
        return config.accumulation
    return max(1, round(config.batch_size * config.accumulation * len(load.passes) / len(load.rows)))


def correction_from(shape: ModelShape, config: RunConfig, one: Pass, kind: str, measured: tuple[int, float, int]) -> Correction:
    """Return how the formula must be corrected after a probe of the pass. measured: (peak bytes, seconds of a step, steps)."""
    peak_bytes, seconds, steps = measured
    parts = memory_parts(shape, config, one, kind)
    varying = sum(part.bytes for part in parts if part.name in VARYING[kind])
    told = {"cuda": OVERHEAD_BYTES["cuda"], "cpu": 0}[kind]  # not in the measurement
    fixed = sum(part.bytes for part in parts) - varying - told
    # Never below a twentieth: weights that were only mapped from a file do not count in a process's memory.
    return Correction(max(0.05, (peak_bytes - fixed) / varying), pass_flops(shape, one) / seconds, steps)


def _times(shape: ModelShape, config: RunConfig, load: Workload, steps: int, correction: Correction | None) -> tuple[Figure, Figure]:
    if correction is None:
        unknown = Figure(None, "no step of this model was measured on this device yet: probe it")
        return unknown, unknown
    epoch = sum(pass_flops(shape, one) for one in load.passes)
    a_step = epoch / len(load.passes) * passes_a_step(config, load)
    forward_a_row = sum(pass_flops(shape, one, train=False) for one in load.passes) / len(load.rows)
    # Held-out rows are scored before and after; DPO's reference scores each pair once.
    forward_rows = 2 * config.validation_rows + (load.all_rows if config.stage == "dpo" else 0)
    total = a_step * steps + forward_a_row * forward_rows
    rate = correction.flops_per_s
    return Figure(pass_flops(shape, load.longest) / rate, PROBE), Figure(total / rate, PROBE)


def _vision_bytes(shape: ModelShape, visual: int) -> int:
    vision = shape.vision
    patches, pixels = visual * vision.merge**2, 3 * PAIR * vision.patch_px**2
    attention = (38 if vision.positions else 34) * vision.width
    # The pixels in float32 and bfloat16, and the angles by which attention turns.
    at_work = max(attention, 6 * vision.width + 6 * vision.intermediate) + 6 * pixels + 8 * vision.width // vision.heads
    return patches * at_work + visual * BF16_BYTES * vision.out * (1 + vision.deepstack)


def machine_of(gpus: Sequence[tuple[str, int, int]], host: tuple[int, int]) -> Machine:
    """Return the device that a run will use: the GPU with the most free memory, else the CPU. gpus: (name, total, free) in bytes; host: (total, free)."""
    if not gpus:
        return Machine("cpu", "cpu", *host)
    name, total, free = max(gpus, key=lambda gpu: gpu[2])
    return Machine(name, "cuda", total, free)
