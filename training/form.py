"""The fields of the training form as data, and the way from what stands in them to a RunConfig. No gradio."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from store.errors import InputError
from training.config import COMPATS, KINDS, LOCKED, LOSSES, PACKINGS, QUANTISATIONS, SCHEDULES, SCORED, STAGES, RunConfig
from training.context_plan import KEYFRAMES, LAYOUTS, POOLINGS, SELECTIONS
from training.presets import PRESETS, Preset

_TRAINING = ("sft", "dpo")


@dataclass(frozen=True)
class FormField:
    """One field of the form; `name` is RunConfig's, but for `losses` and `mixture`, which stand for names and weights."""

    name: str
    label: str  # with its unit
    info: str
    kind: str = "integer"  # "text", "choice", "switch", "integer" or "number"
    choices: tuple[str, ...] = ()
    stages: tuple[str, ...] = STAGES


# By the headings under which they stand on the page.
GROUPS: dict[str, tuple[FormField, ...]] = {
    "Model": (
        FormField("model", "Model", "pipeline-check, pipeline-check-qwen3, a local folder, or a hub id such as Qwen/Qwen2.5-VL-3B-Instruct", "text"),
        FormField("quantisation", "Quantisation", "nf4: 4 bits a weight, less memory; none: bfloat16, faster", "choice", QUANTISATIONS),
        FormField("lora_rank", "LoRA rank (columns)", "of each low-rank factor", stages=_TRAINING),
        FormField("lora_alpha", "LoRA alpha (scale x rank)", "the update is scaled by alpha / rank", stages=_TRAINING),
        FormField("lora_dropout", "LoRA dropout (share, 0-1)", "of the adapter's input, while training", "number", stages=_TRAINING),
        FormField("projector", "LoRA on the projector too", "the layers between vision tower and language model", "switch", stages=_TRAINING),
    ),
    "What is shown": (
        FormField(
            "layout", "Layout", "video: one video; interleaved: pictures, each with what is said then; block: pictures, then the lines", "choice", LAYOUTS
        ),
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
    ),
    "Data": (
        FormField("mixture", "Mixture (kind share, ...)", f"of {', '.join(KINDS)}, for example narrative 1, rationale 2; empty: all", "text", stages=("sft",)),
        FormField("max_rows", "Rows, at most (0: all)", "a choice by the seed", stages=("sft", "dpo", "write")),
        FormField("max_learnt_tokens", "Learnt tokens, at most (an epoch; 0: all)", "to compare sets at equal tokens", stages=_TRAINING),
        FormField("packing", "Packing", "clip: all rows of a clip in one sequence, its video once; none: each row by itself", "choice", PACKINGS, _TRAINING),
        FormField("pack_rows", "Packed together, at most (rows a sequence)", "pairs for DPO; fewer need less memory", stages=_TRAINING),
        FormField("feature_cache", "Keep vision features", "on disk, so that later epochs spare the frozen vision tower", "switch", stages=_TRAINING),
        FormField("validation_rows", "Held-out rows, at most", "scored before and after training; 0: none", stages=_TRAINING),
        FormField("seed", "Seed", "of initial weights, row order, dropout, and of what is chosen"),
    ),
    "Optimiser": (
        FormField("learning_rate", "Learning rate (per step)", "at the end of the warm-up", "number", stages=_TRAINING),
        FormField("schedule", "Schedule", "of the learning rate after the warm-up", "choice", SCHEDULES, _TRAINING),
        FormField("warmup_share", "Warm-up (share of steps, 0-1)", "while the learning rate rises from 0", "number", stages=_TRAINING),
        FormField("epochs", "Epochs (passes over the rows)", "whichever of epochs and steps ends first", stages=_TRAINING),
        FormField("max_steps", "Most steps (optimiser steps; 0: no limit)", "rows that no step would reach are left out", stages=_TRAINING),
        FormField("batch_size", "Batch (rows a forward pass)", "pairs for DPO", stages=_TRAINING),
        FormField("accumulation", "Accumulation (passes a step)", "batch x accumulation rows make one step", stages=_TRAINING),
        FormField("max_grad_norm", "Gradient norm, at most", "larger gradients are scaled down to it", "number", stages=_TRAINING),
        FormField("checkpoint_steps", "Checkpoint every (steps)", "the last two are kept", stages=_TRAINING),
    ),
    "Preference": (
        FormField("beta", "Beta (reward a nat)", "higher: closer to the reference", "number", stages=("dpo",)),
        FormField("losses", "Losses (type weight, ...)", f"of {', '.join(LOSSES)}", "text", stages=("dpo",)),
        FormField("scored", "Scored", "reply: all of its tokens; final_answer: what stands behind the words Final answer:", "choice", SCORED, ("dpo",)),
        FormField("pair_weights", "Weigh pairs", "by the weight in each pair's row", "switch", stages=("dpo",)),
        FormField("few_pairs", "Go on with few pairs", "although a preference cannot be learnt from so few", "switch", stages=("dpo",)),
    ),
    "Accuracy": (
        FormField("accuracy_questions", "Questions, at most (0: all)", "of the chosen set, a choice by the seed"),
        FormField("accuracy_steps", "Look every (steps; 0: never)", "optimiser steps between two looks at the accuracy", stages=_TRAINING),
    ),
    "Writing": (
        FormField("writes", "Writes", "which kind of text", "choice", KINDS, ("write",)),
        FormField("temperature", "Temperature (0-2; 0: the likeliest token)", "higher: more varied, by the seed", "number", stages=("write",)),
        FormField("new_tokens", "Longest text (tokens)", "one that reaches it is marked as cut", stages=("write",)),
    ),
}
FIELDS: tuple[FormField, ...] = tuple(field for group in GROUPS.values() for field in group)


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
    told = {"losses": terms_text(config.loss_types, config.loss_weights), "mixture": terms_text(config.kinds, config.shares)}
    given = {**asdict(config), **told}
    return [given[field.name] for field in FIELDS]


def config_of(stage: str, values: Sequence[Any], parent_id: str | None, parent: RunConfig | None, question_set: str | None = None) -> RunConfig:
    """Return the config that the fields ask for; with a parent the parent's model and pixels stand whatever the fields say.

    Raises InputError for a field that is empty or out of range, for a DPO run without an SFT run, and for an evaluation without questions.
    """
    if stage == "dpo" and (parent is None or parent_id is None):
        raise InputError("A DPO run starts from an SFT run, and none is chosen. Finish an SFT run first, then choose it.")
    if stage == "evaluate" and question_set is None:
        raise InputError("An evaluation answers questions, and no set of them is chosen. Freeze the questions first, then choose the set.")
    # What the form does not ask for in this stage is of no weight there, but a config is whole.
    given: dict[str, Any] = {**preset_named(presets_for(stage)[0]).values, "stage": stage, "question_set": question_set}
    for field, value in zip(FIELDS, values, strict=True):
        if stage in field.stages:
            given |= _read(field, value)
    if parent is not None and stage != "sft":
        given |= {"parent_run": parent_id, **{name: getattr(parent, name) for name in LOCKED}}
    return RunConfig.from_values(given)


def terms_text(names: Sequence[str], weights: Sequence[float]) -> str:
    """Return names and weights as the form shows them: "sigmoid 1, sft 0.2"."""
    return ", ".join(f"{name} {weight:g}" for name, weight in zip(names, weights, strict=True))


def parse_terms(text: str, what: str, example: str) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Return names and weights from "sigmoid 1, sft 0.2"; a name without a number weighs 1. Raises InputError with `what` they are."""
    terms = [term.split() for term in text.split(",") if term.strip()]
    try:
        weights = tuple(float(term[1]) if len(term) > 1 else 1.0 for term in terms)
    except ValueError as error:
        raise InputError(f'The {what} is "{text}", and a number in it is none. Write for example: {example}') from error
    if not terms or any(len(term) > 2 for term in terms):
        raise InputError(f'The {what} is "{text}". Write for example: {example}')
    return tuple(term[0] for term in terms), weights


def _read(field: FormField, value: Any) -> Mapping[str, Any]:
    empty = value is None or (isinstance(value, str) and not value.strip())
    if field.name == "mixture":
        kinds, shares = ((), ()) if empty else parse_terms(str(value), "mixture", "narrative 1, rationale 2")
        return {"kinds": kinds, "shares": shares}
    if empty:
        raise InputError(f"{field.label} is empty. Fill it in, or choose a preset.")
    if field.name == "losses":
        types, weights = parse_terms(str(value), "list of losses", "sigmoid 1, sft 0.2")
        return {"loss_types": types, "loss_weights": weights}
    if field.name == "model":
        folder = Path(str(value).strip()).expanduser()
        # The child works in another directory: a folder must be named whole.
        return {"model": str(folder.resolve()) if folder.is_dir() else str(value).strip()}
    return {field.name: value}
