"""Values to start a run from, with where they come from."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from training.config import PIPELINE_CHECK, PIPELINE_CHECK_QWEN3, RunConfig
from training.context import PRESETS as PLANS
from training.context import ContextPlan


@dataclass(frozen=True)
class Preset:
    """Values to start from, with where they come from. `values` are fields of RunConfig."""

    name: str
    stage: str
    origin: str
    values: Mapping[str, Any]

    def config(self, **changes: Any) -> RunConfig:
        """Return the preset's config with `changes`; a DPO preset needs `parent_run`. Raises InputError."""
        return RunConfig.from_values({**self.values, "stage": self.stage, **changes})


def plan_values(plan: ContextPlan) -> Mapping[str, Any]:
    """Return the fields of RunConfig that ask for this plan."""
    return {
        **{name: getattr(plan, name) for name in ("layout", "selection", "frames", "pooling", "window_s", "keyframe", "hint", "pause_causal", "max_lines")},
        "compat": "povqa" if plan.candidates == "povqa" else "none",
        "budget_tokens": plan.budget_tokens or 0,
    }


_SFT_SAFE: Mapping[str, Any] = {
    "model": "Qwen/Qwen2.5-VL-3B-Instruct",
    "quantisation": "nf4",
    "frames": 16,
    "longest_side_px": 448,
    "max_tokens": 8192,
    "lora_rank": 16,
    "lora_alpha": 32,
    "lora_dropout": 0.05,
    "learning_rate": 1e-4,
    "schedule": "cosine",
    "warmup_share": 0.05,
    "epochs": 1,
    "max_steps": 0,
    "batch_size": 1,
    "accumulation": 16,
    "max_grad_norm": 1.0,
    "checkpoint_steps": 50,
    "validation_rows": 100,
    "seed": 1,
    "packing": "clip",
}

_CHECK: Mapping[str, Any] = {
    **_SFT_SAFE,
    "model": PIPELINE_CHECK,
    "frames": 4,
    "longest_side_px": 112,
    "lora_rank": 8,
    "lora_alpha": 16,
    "learning_rate": 5e-3,
    "epochs": 4,
    "max_steps": 20,
    "accumulation": 2,
    "checkpoint_steps": 10,
    "validation_rows": 8,
}

# Of what is only looked at there is nothing to train; all else stays as it is, so that it can be done without an adapter too.
_LOOK: Mapping[str, Any] = {**_SFT_SAFE, "packing": "none"}
_LOOK_CHECK: Mapping[str, Any] = {**_CHECK, "packing": "none"}

# arXiv 2510.01009's step size and passes.
_DPO: Mapping[str, Any] = {
    **_SFT_SAFE,
    "learning_rate": 5e-6,
    "warmup_share": 0.03,
    "accumulation": 8,
    "pack_rows": 8,
    "beta": 0.1,
    "loss_types": ("sigmoid", "sft"),
    "loss_weights": (1.0, 0.2),
}

PRESETS: tuple[Preset, ...] = (
    Preset(
        "Pipeline check (SFT)",
        "sft",
        "A tiny Qwen2.5-VL with random weights, built on the spot: proves the pipeline in a minute, learns nothing of use.",
        _CHECK,
    ),
    Preset(
        "Pipeline check, Qwen3-VL (SFT)",
        "sft",
        "The pipeline check with a tiny Qwen3-VL: other frame grids, time stamps as text, features of several layers.",
        {**_CHECK, "model": PIPELINE_CHECK_QWEN3},
    ),
    Preset(
        "Pipeline check, frames between lines (SFT)",
        "sft",
        "The pipeline check with frames as pictures, each beside what is said then, and the frame at the pause.",
        {**_CHECK, **plan_values(replace(PLANS["train-16"], frames=4))},
    ),
    Preset(
        "Pipeline check, a text by heart (SFT)",
        "sft",
        "200 steps in which the tiny model learns what the texts have in common so well that it writes it: proof that what is shown is what is learnt.",
        {**_CHECK, "lora_rank": 16, "lora_alpha": 32, "learning_rate": 1e-2, "epochs": 200, "max_steps": 200, "accumulation": 1, "checkpoint_steps": 100},
    ),
    Preset(
        "Pipeline check (DPO)",
        "dpo",
        "For an SFT run of the pipeline check: a step size at which the tiny model moves in a few steps, with however few pairs there are.",
        {**_DPO, "learning_rate": 1e-3, "epochs": 4, "max_steps": 20, "accumulation": 2, "checkpoint_steps": 10, "validation_rows": 8, "few_pairs": True},
    ),
    Preset("SFT safe", "sft", "ms-swift's default step size; 16 frames of at most 448 pixels, the model in 4 bits.", _SFT_SAFE),
    Preset(
        "SFT, bf16: faster where memory allows",
        "sft",
        "SFT safe with the model in 16 bits: no step has to unpack weights. The estimate tells whether it fits.",
        {**_SFT_SAFE, "quantisation": "none"},
    ),
    Preset(
        "SFT 16 frames between lines",
        "sft",
        "SFT safe, but with the context that arXiv 2510.01009 trains on: 16 frames beside what is said then, and the frame at the pause; all by true time.",
        {**_SFT_SAFE, **plan_values(PLANS["train-16"])},
    ),
    Preset(
        "SFT POVQA",
        "sft",
        "arXiv 2510.01009 and its code: 7B, rank 32, projector too, 2 epochs; 16 pooled pictures by frame count between lines, that of the pause last.",
        {
            **_SFT_SAFE,
            **plan_values(replace(PLANS["povqa"], frames=16, max_lines=2048)),
            "model": "Qwen/Qwen2.5-VL-7B-Instruct",
            "lora_rank": 32,
            "lora_alpha": 32,
            "projector": True,
            "learning_rate": 5e-5,
            "warmup_share": 0.08,
            "epochs": 2,
            "accumulation": 8,
            "seed": 42,
        },
    ),
    Preset(
        "DPO from SFT",
        "dpo",
        "arXiv 2510.01009's step size; the sft term keeps the chosen text likely when pairs are edits of one another.",
        _DPO,
    ),
    Preset(
        "DPO, correctness only",
        "dpo",
        "arXiv 2510.01009: only what stands behind the words Final answer: counts, averaged over its tokens; for pairs that differ there alone.",
        {**_DPO, "scored": "final_answer", "loss_types": ("sigmoid_norm",), "loss_weights": (1.0,), "beta": 0.3, "seed": 42},
    ),
    Preset("Pipeline check (evaluate)", "evaluate", "The tiny model, or the adapter that is chosen, answers: proves the pipeline in a minute.", _LOOK_CHECK),
    Preset("Evaluate", "evaluate", "Base model and, if chosen, an adapter answer the same questions; model and frames are those of the adapter's run.", _LOOK),
    Preset(
        "Pipeline check (write)",
        "write",
        "The tiny model, or the adapter that is chosen, writes a few short texts.",
        {**_LOOK_CHECK, "writes": "rationale", "max_rows": 4, "new_tokens": 32},
    ),
    Preset("Write", "write", "The likeliest text each time, by the adapter that is chosen, or by the base model.", {**_LOOK, "writes": "rationale"}),
)
