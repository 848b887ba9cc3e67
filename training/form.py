"""The fields of the training form as data, and the way from what stands in them to a RunConfig. No gradio."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from store.errors import InputError
from training.config import COMPATS, LOCKED, LOSSES, QUANTISATIONS, SCHEDULES, RunConfig
from training.context_plan import KEYFRAMES, LAYOUTS, POOLINGS, SELECTIONS
from training.presets import PRESETS, Preset


@dataclass(frozen=True)
class FormField:
    """One field of the form; `name` is RunConfig's, but for `losses`, which stands for types and weights."""

    name: str
    label: str  # with its unit
    info: str
    kind: str = "integer"  # "text", "choice", "switch", "integer" or "number"
    choices: tuple[str, ...] = ()
    stages: tuple[str, ...] = ("sft", "dpo")


FIELDS: tuple[FormField, ...] = (
    FormField("model", "Model", "pipeline-check, a local folder, or a hub id such as Qwen/Qwen2.5-VL-3B-Instruct", "text"),
    FormField("quantisation", "Quantisation", "nf4: 4 bits a weight, less memory; none: bfloat16, faster", "choice", QUANTISATIONS),
    FormField("layout", "Layout", "video: one video; interleaved: pictures, each with what is said then; block: pictures, then the lines", "choice", LAYOUTS),
    FormField("frames", "Frames (a clip, at most)", "an even number in a video; the frame at the pause comes on top"),
    FormField("longest_side_px", "Longest side (pixels)", "larger frames are scaled down; the main dial of memory and time"),
    FormField("selection", "Selection", "uniform over the clip, near_ts: nearest to the pause, all: every window", "choice", SELECTIONS),
    FormField("pooling", "Pooling", "none: a picture is one frame; else it blends the frames of a window", "choice", POOLINGS),
    FormField("window_s", "Window (seconds)", "that a pooled picture covers, and the grid of near_ts and all", "number"),
    FormField("compat", "Compatible with", "none: all by true time; povqa: by frame count, as that public code chooses and weighs", "choice", COMPATS),
    FormField("keyframe", "Frame at the pause", "in_order of time, or last; not in a video", "choice", KEYFRAMES),
    FormField("hint", "Tell the pause", "a line before the question says where the clip is paused", "switch"),
    FormField("pause_causal", "Nothing after the pause", "withholds frames and lines that come later", "switch"),
    FormField("max_lines", "Spoken lines, at most (a row)", "the nearest to the pause stay"),
    FormField("budget_tokens", "Budget (tokens of pictures and lines; 0: none)", "what is least relevant is left out and told"),
    FormField("max_tokens", "Longest row (tokens)", "video included; a longer row is refused, never cut"),
    FormField("lora_rank", "LoRA rank (columns)", "of each low-rank factor"),
    FormField("lora_alpha", "LoRA alpha (scale x rank)", "the update is scaled by alpha / rank"),
    FormField("lora_dropout", "LoRA dropout (share, 0-1)", "of the adapter's input, while training", "number"),
    FormField("learning_rate", "Learning rate (per step)", "at the end of the warm-up", "number"),
    FormField("schedule", "Schedule", "of the learning rate after the warm-up", "choice", SCHEDULES),
    FormField("warmup_share", "Warm-up (share of steps, 0-1)", "while the learning rate rises from 0", "number"),
    FormField("epochs", "Epochs (passes over the rows)", "whichever of epochs and steps ends first"),
    FormField("max_steps", "Most steps (optimiser steps; 0: no limit)", "rows that no step would reach are left out"),
    FormField("batch_size", "Batch (rows a forward pass)", "pairs for DPO"),
    FormField("accumulation", "Accumulation (passes a step)", "batch x accumulation rows make one step"),
    FormField("max_grad_norm", "Gradient norm, at most", "larger gradients are scaled down to it", "number"),
    FormField("checkpoint_steps", "Checkpoint every (steps)", "the last two are kept"),
    FormField("validation_rows", "Held-out rows, at most", "scored before and after training; 0: none"),
    FormField("seed", "Seed", "of initial weights, row order and dropout"),
    FormField("beta", "Beta (reward a nat)", "higher: closer to the reference", "number", stages=("dpo",)),
    FormField("losses", "Losses (type weight, ...)", f"of {', '.join(LOSSES)}", "text", stages=("dpo",)),
)


def presets_for(stage: str) -> list[str]:
    """Return the names of the presets of a stage, the safest to try first."""
    return [preset.name for preset in PRESETS if preset.stage == stage]


def preset_named(name: str) -> Preset:
    """Return the preset. Raises InputError for a name that there is not."""
    found = [preset for preset in PRESETS if preset.name == name]
    if not found:
        raise InputError(f"There is no preset {name!r}. Choose one of {', '.join(preset.name for preset in PRESETS)}.")
    return found[0]


def values_of(config: RunConfig) -> list[Any]:
    """Return what stands in the fields, in the order of FIELDS, for a config."""
    given = {**asdict(config), "losses": losses_text(config.loss_types, config.loss_weights)}
    return [given[field.name] for field in FIELDS]


def config_of(stage: str, values: Sequence[Any], parent_id: str | None, parent: RunConfig | None) -> RunConfig:
    """Return the config that the fields ask for; for DPO the parent's model and pixels stand whatever the fields say.

    Raises InputError for a field that is empty or out of range, and for a DPO run without an SFT run.
    """
    if stage == "dpo" and (parent is None or parent_id is None):
        raise InputError("A DPO run starts from an SFT run, and none is chosen. Finish an SFT run first, then choose it.")
    given: dict[str, Any] = {"stage": stage}
    for field, value in zip(FIELDS, values, strict=True):
        if stage in field.stages:
            given |= _read(field, value)
    if parent is not None and stage == "dpo":
        given |= {"parent_run": parent_id, **{name: getattr(parent, name) for name in LOCKED}}
    return RunConfig.from_values(given)


def losses_text(types: Sequence[str], weights: Sequence[float]) -> str:
    """Return loss types and weights as the form shows them: "sigmoid 1, sft 0.2"."""
    return ", ".join(f"{name} {weight:g}" for name, weight in zip(types, weights, strict=True))


def parse_losses(text: str) -> Mapping[str, tuple[Any, ...]]:
    """Return loss_types and loss_weights from "sigmoid 1, sft 0.2"; a type without a number weighs 1. Raises InputError."""
    terms = [term.split() for term in text.split(",") if term.strip()]
    try:
        weights = tuple(float(term[1]) if len(term) > 1 else 1.0 for term in terms)
    except ValueError as error:
        raise InputError(f'The losses are "{text}", and a weight among them is no number. Write for example: sigmoid 1, sft 0.2') from error
    if not terms or any(len(term) > 2 for term in terms):
        raise InputError(f'The losses are "{text}". Write for example: sigmoid 1, sft 0.2')
    return {"loss_types": tuple(term[0] for term in terms), "loss_weights": weights}


def _read(field: FormField, value: Any) -> Mapping[str, Any]:
    if value is None or (isinstance(value, str) and not value.strip()):
        raise InputError(f"{field.label} is empty. Fill it in, or choose a preset.")
    if field.name == "losses":
        return parse_losses(str(value))
    if field.name == "model":
        folder = Path(str(value).strip()).expanduser()
        # The child works in another directory: a folder must be named whole.
        return {"model": str(folder.resolve()) if folder.is_dir() else str(value).strip()}
    return {field.name: value}
