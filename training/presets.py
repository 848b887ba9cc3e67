"""Values to start a run from, with where they come from."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from training.config import PIPELINE_CHECK, RunConfig
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

PRESETS: tuple[Preset, ...] = (
    Preset(
        "Pipeline check (SFT)",
        "sft",
        "A tiny Qwen2.5-VL with random weights, built on the spot: proves the pipeline in a minute, learns nothing of use.",
        _CHECK,
    ),
    Preset(
        "Pipeline check, frames between lines (SFT)",
        "sft",
        "The pipeline check with frames as pictures, each beside what is said then, and the frame at the pause.",
        {**_CHECK, **plan_values(replace(PLANS["train-16"], frames=4))},
    ),
    Preset(
        "Pipeline check (DPO)",
        "dpo",
        "For an SFT run of the pipeline check: a step size at which the tiny model moves in a few steps.",
        {
            **_SFT_SAFE,
            "learning_rate": 1e-3,
            "epochs": 4,
            "max_steps": 20,
            "accumulation": 2,
            "checkpoint_steps": 10,
            "validation_rows": 8,
            "beta": 0.1,
            "loss_types": ("sigmoid", "sft"),
            "loss_weights": (1.0, 0.2),
        },
    ),
    Preset("SFT safe", "sft", "ms-swift's default step size; 16 frames of at most 448 pixels.", _SFT_SAFE),
    Preset(
        "SFT 16 frames between lines",
        "sft",
        "SFT safe, but with the context that arXiv 2510.01009 trains on: 16 frames beside what is said then, and the frame at the pause; all by true time.",
        {**_SFT_SAFE, **plan_values(PLANS["train-16"])},
    ),
    Preset(
        "SFT POVQA",
        "sft",
        "arXiv 2510.01009 and its public code: 7B, rank 32, 2 epochs; 16 pooled pictures by frame count between lines, the frame at the pause last.",
        {
            **_SFT_SAFE,
            **plan_values(replace(PLANS["povqa"], frames=16, max_lines=2048)),
            "model": "Qwen/Qwen2.5-VL-7B-Instruct",
            "lora_rank": 32,
            "lora_alpha": 32,
            "learning_rate": 5e-5,
            "warmup_share": 0.08,
            "epochs": 2,
            "accumulation": 8,
        },
    ),
    Preset(
        "DPO from SFT",
        "dpo",
        "arXiv 2510.01009's step size; the sft term keeps the chosen text likely when pairs are edits of one another.",
        {
            **_SFT_SAFE,
            "learning_rate": 5e-6,
            "warmup_share": 0.03,
            "accumulation": 8,
            "beta": 0.1,
            "loss_types": ("sigmoid", "sft"),
            "loss_weights": (1.0, 0.2),
        },
    ),
)
