"""The model card of an adapter: what it stands on, what it learnt from, by which rules, and how good it is, as Markdown. Pure.

What is not known is said to be unknown, with the reason; no figure stands without its n.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from training.config import LOCKED, RunConfig
from training.markdown import plain, plain_cell

SPLIT_RULE = "The split goes by source video: clips that share a group or a file are in one split only. Learnt from were rows of the split train."
_TOLD = (*LOCKED, "learning_rate", "schedule", "warmup_share", "epochs", "max_steps", "batch_size", "accumulation", "max_grad_norm", "seed", "packing")
_OF_DPO = ("beta", "loss_types", "loss_weights", "scored", "pair_weights")


@dataclass(frozen=True)
class CardStage:
    """One run behind the weights: its config and result, and the set it learnt from."""

    name: str
    run_id: str
    config: RunConfig
    result: Mapping[str, Any]
    manifest: Mapping[str, Any] | None  # of the frozen set; None: not on this machine
    learnt_rows: int | None  # None: not known
    agreement: str | None  # the datasheet's words on it; None: there is no datasheet on this machine


@dataclass(frozen=True)
class Measured:
    """An evaluation of exactly these weights: `accuracy` as in its result."""

    run_id: str
    set_name: str
    quantisation: str
    accuracy: Mapping[str, Any]


@dataclass(frozen=True)
class CardFacts:
    """All that a card tells."""

    name: str
    merged: bool  # into the base's weights, in bfloat16
    sha256: str  # of the adapter's weights
    stages: Sequence[CardStage]  # the adapter's own run first, then the one that it started from
    measured: Measured | None


def model_card(facts: CardFacts) -> str:
    """Return the card of an adapter, alone or merged."""
    parts = [_head(facts), _learnt(facts.stages), _rules(facts.stages), _agreement(facts.stages), _training(facts.stages), _accuracy(facts), _limits(facts)]
    return "\n\n".join(parts) + "\n"


def _head(facts: CardFacts) -> str:
    config = facts.stages[0].config
    what = "with a LoRA adapter merged into its weights, in bfloat16" if facts.merged else "a LoRA adapter; it works on this base model only"
    base = f"The base model is {plain(config.model)}: {what}."
    random = " Its weights were drawn at random: it proves the pipeline and is of no use." if config.random_weights else ""
    hub = [] if config.random_weights or config.model.startswith(("/", "~", ".")) else [f"base_model: {config.model}"]
    front = ["---", *hub, f"library_name: {'transformers' if facts.merged else 'peft'}", "tags: [eyewitness, video-text-to-text]", "---"]
    return "\n".join([*front, "", f"# {plain(facts.name)}", "", base + random, f"SHA-256 of the adapter's weights: {facts.sha256}"])


def _learnt(stages: Sequence[CardStage]) -> str:
    lines = ["## What it learnt from", ""]
    for stage in stages:
        rows = "an unknown number of" if stage.learnt_rows is None else f"{stage.learnt_rows:,}"
        lines.append(f"- {_told(stage)}: {rows} rows of {_set(stage)}")
    return "\n".join([*lines, "", SPLIT_RULE])


def _set(stage: CardStage) -> str:
    if stage.manifest is None:
        return "a set that is not on this machine, so unknown."
    counts = [f"{key}: {_counts(stage.manifest[key])}" for key in ("kinds", "splits") if stage.manifest.get(key)]
    found = f"the set {plain(str(stage.manifest.get('name')))} (id {stage.manifest.get('id')}, SHA-256 of its rows {stage.manifest.get('rows_sha256')})"
    return (
        f"{found}. Rows in the whole set by " + "; by ".join(counts) + "." if counts else f"{found}. Its rows by kind are unknown: the manifest does not tell."
    )


def _rules(stages: Sequence[CardStage]) -> str:
    lines = ["## Rules of acceptance", ""]
    for stage in stages:
        rule = (stage.manifest or {}).get("rule")
        left = (stage.manifest or {}).get("left_out")
        told = "unknown: the set's manifest tells none" if rule is None else _counts(rule)
        lines.append(f"- {_told(stage)}: {told}. Left out: {'unknown' if left is None else _counts(left) or 'nothing'}.")
    return "\n".join(lines)


def _agreement(stages: Sequence[CardStage]) -> str:
    lines = ["## Agreement of the annotators"]
    for stage in stages:
        unknown = "Unknown: the set's datasheet is not on this machine."
        lines += ["", f"When the set of {_told(stage)} was frozen, over all final annotations:", "", (stage.agreement or unknown).strip()]
    return "\n".join(lines)


def _training(stages: Sequence[CardStage]) -> str:
    names = (*_TOLD, *(_OF_DPO if any(stage.config.stage == "dpo" for stage in stages) else ()))
    rows = [[name, *(_setting(getattr(stage.config, name)) for stage in stages)] for name in names]
    table = [["setting", *(plain_cell(stage.name) for stage in stages)], ["---"] * (1 + len(stages)), *rows]
    return "\n".join(["## Training", "", *(_took(stage) for stage in stages), "", *(f"| {' | '.join(row)} |" for row in table)])


def _setting(value: Any) -> str:
    return plain_cell(value) if isinstance(value, str) else ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _took(stage: CardStage) -> str:
    seconds, device, steps = (stage.result.get(name) for name in ("training_seconds", "device", "steps"))
    took = "unknown" if seconds is None else f"{seconds:,} s"
    told = f"steps: {'unknown' if steps is None else steps}; time: {took}; on: {plain(str(device or 'unknown'))}"
    return f"- {_told(stage)}: {told}. {plain(str(stage.result.get('reason', '')))}"


def _accuracy(facts: CardFacts) -> str:
    lines = ["## Accuracy on held-out multiple-choice questions", ""]
    if facts.measured is None:
        return "\n".join([*lines, "Unknown: no run that evaluates exactly these weights is on this machine."])
    found = facts.measured.accuracy
    test = found.get("mcnemar")
    about = f"{found['n']:,} questions about {found['clips']:,} clips of the set {plain(facts.measured.set_name)} (run {facts.measured.run_id}):"
    lines += [about, "", f"- base: {_share(found['base'])}", f"- with the adapter: {_share(found['adapter'])}"]
    if test:
        lines.append(f"- right by the adapter alone {test['only_adapter']:,}, by the base alone {test['only_base']:,}; exact McNemar test p = {test['p']:.3g}")
    if found["contaminated"] is None:
        lines += ["", "Whether some of these questions are about videos that it learnt from is unknown: a run behind it does not tell which it did."]
    elif found["contaminated"]:
        lines += ["", f"{found['contaminated']:,} of these questions are about videos that it learnt from: they test its memory."]
    if facts.merged and facts.measured.quantisation != "none":
        lines += ["", "These were measured on the base in 4 bits; the merged weights in bfloat16 were not measured."]
    return "\n".join(lines)


def _share(one: Mapping[str, Any]) -> str:
    if not one["n"]:
        return "unknown: no question was scored."
    return f"{one['correct']:,} of {one['n']:,} right = {one['correct'] / one['n']:.3f} (95 % Wilson interval {one['low']:.3f} to {one['high']:.3f})"


def _limits(facts: CardFacts) -> str:
    config = facts.stages[0].config
    seen = f"It was shown {config.frames} pictures a clip at most, of a longest side of {config.longest_side_px} pixels at most; what lies between is not seen."
    lines = ["## Known limits", "", f"- {seen}"]
    if facts.merged and config.quantisation != "none":
        lines.append("- The adapter learnt on a base in 4 bits and is merged into one in bfloat16: it says nearly, not exactly, what it said in training.")
    if any(stage.result.get("outcome") == "stopped" for stage in facts.stages):
        lines.append("- A run behind it was stopped before its last step, so that not all of its rows may have been learnt from.")
    lines += [
        "- It may tell what a clip does not show; how often is unknown until its texts are annotated.",
        "- What holds for other videos, languages and kinds of questions than those above is unknown: it was not measured.",
        "- The licences of the base model and of the videos bind its use; this card does not know them.",
    ]
    return "\n".join(lines)


def _told(stage: CardStage) -> str:
    return f"{plain(stage.name)} ({stage.config.stage}, run {stage.run_id})"


def _counts(found: Mapping[str, Any]) -> str:
    return ", ".join(f"{plain(str(name))} {plain(str(value))}" for name, value in found.items())
