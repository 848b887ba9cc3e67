"""Supervised fine-tuning with TRL: a pack of a clip's rows a forward pass, checked at the start against separate rows."""

import math
from collections import Counter
from typing import Any

import torch

from training import model as models  # first: it repairs torchvision, which the next import needs

from trl import SFTConfig, SFTTrainer  # isort: skip
from transformers import PreTrainedModel  # isort: skip

from training.encoding import replies_of
from training.evaluate import accuracy_callbacks
from training.fit import Prepared, arguments, base_source, clips_of, datasets_of, fit, load, prepare, rows_of, save_adapter
from training.forward import ClipEncoder, pack_differences, token_scores, wanted_of
from training.passes import Passes, passes_of
from training.plan import Reporter, RunPlan
from training.progress import Progress, check_gradients, finite

__all__ = [
    "Prepared",
    "Progress",
    "arguments",
    "base_source",
    "check_gradients",
    "clips_of",
    "datasets_of",
    "finite",
    "fit",
    "load",
    "prepare",
    "rows_of",
    "save_adapter",
    "train_sft",
]

# By how much a text's mean loss may differ in its pack: a quarter of what it would if the texts of a pack saw each other, but at least
# what bfloat16 rounds away, and never more than a tenth of a nat: a text that could copy another would differ by much.
LEAK_SHARE, LEAST_SLACK, MOST_SLACK = 0.25, 1e-3, 0.1
_CHECKED_PACKS, _CHECKED_TEXTS = 2, 4


def train_sft(plan: RunPlan, reporter: Reporter) -> dict[str, Any]:
    """Train a LoRA on the plan's rows, leave it in adapter/, and return the figures of the result."""
    source = base_source(plan, (*plan.train, *plan.held_out), reporter)
    prepared = prepare(source, plan, reporter)
    plan = prepared.plan
    looks = accuracy_callbacks(plan, prepared.processor, reporter, lambda: progress.seen)
    model = load(source, plan, reporter)
    lora, layers = models.lora_config(model, plan.config)
    told = " and ".join(f"{count} linear layers of the {part.replace('_', ' ')}" for part, count in layers.items())
    reporter.emit("note", text=f"LoRA of rank {plan.config.lora_rank} on {told}.", lora_layers=layers)
    clips = clips_of(prepared, model)
    passes, checked = checked_passes(prepared, model, clips, reporter)
    progress = Progress(reporter, plan, clips)
    trainer = PackTrainer(
        progress=progress,
        model=model,
        args=SFTConfig(**arguments(plan, passes), dataset_kwargs={"skip_prepare_dataset": True}),
        data_collator=lambda examples: collate(plan, clips, passes, examples),
        **datasets_of(passes),
        processing_class=prepared.processor,
        peft_config=lora,
        callbacks=[progress, *looks],
    )
    return fit(trainer, prepared, reporter) | {"packing": checked}


class PackTrainer(SFTTrainer):
    """SFTTrainer with our own pass through the model: packs, features, and a language head that sees only what foretells a learnt token."""

    def __init__(self, progress: "Progress", **options: Any) -> None:
        super().__init__(**options)
        self._progress = progress
        self._scored: Counter[str] = Counter()
        # Else the loss of Qwen3-VL would be a mean of the passes' means, in which a token of a short pass counts more.
        self.model_accepts_loss_kwargs = True

    def compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None) -> torch.Tensor:
        """Return the negative log-probability of the learnt tokens, summed over this pass and divided by their number in the whole step."""
        rows, learning = inputs.pop("rows"), self.model.training
        wanted = inputs.pop("labels") != -100
        with self.accelerator.autocast():
            logps, likeliest = token_scores(model, inputs, wanted)
        total, count = -logps.sum(), logps.numel()
        if learning:
            self._progress.count(items=rows, learnt=count, tokens=passed_tokens(inputs))
        else:
            self._scored.update(loss=float(total), tokens=count)
        self._metrics["train" if learning else "eval"]["mean_token_accuracy"] += likeliest.float().tolist()
        return total / (count if num_items_in_batch is None else num_items_in_batch)

    def evaluate(self, *args: Any, **options: Any) -> dict[str, float]:
        """Return the trainer's figures, with the loss as a mean over tokens, which is the same however rows are packed."""
        self._scored.clear()
        logs = super().evaluate(*args, **options)
        return logs | {"eval_loss": self._scored["loss"] / self._scored["tokens"]}


def collate(plan: RunPlan, clips: ClipEncoder, passes: Passes, examples: list[dict[str, int]]) -> dict[str, Any]:
    """Return a batch with `labels` and how many `rows` it holds: a pack, or rows side by side."""
    rows = rows_of(plan, passes, examples)
    replies = [row.reply for row in rows]
    if passes.packed and len(rows) > 1:
        packed, batch = clips.packed(rows, replies)
        wanted = wanted_of(packed)
    else:
        batch = clips.batch(rows, replies)
        wanted = batch.pop("completion_mask") != 0
    return {**batch, "labels": batch["input_ids"].masked_fill(~wanted, -100), "rows": len(rows)}


def passed_tokens(inputs: dict[str, Any]) -> int:
    """Return how many tokens go through the model, padding left out; the mask of a pack is no count of them."""
    seen = inputs.get("attention_mask")
    return int(seen.sum()) if seen is not None and seen.ndim == 2 else inputs["input_ids"].numel()


def checked_passes(prepared: Prepared, model: PreTrainedModel, clips: ClipEncoder, reporter: Reporter) -> tuple[Passes, dict[str, Any]]:
    """Return how the rows go through the model, and what is to be said of it in the result.

    With packing some texts of the first packs are scored in their pack and alone; unless they agree, no row is packed in this run.
    """
    plan = prepared.plan
    config = plan.config
    passes = passes_of(prepared.encoder, plan.train, plan.held_out, config, config.packing == "clip")
    several = [group for group in passes.train if passes.packed and sum(len(replies_of(plan.train[number])) for number in group) > 1]
    if not several:
        return passes_of(prepared.encoder, plan.train, plan.held_out, config, False), {"packs": None}
    reporter.emit("phase", phase="comparing packs with separate rows")
    groups = [[plan.train[number] for number in group] for group in several[:_CHECKED_PACKS]]
    found = [one for rows in groups for one in pack_differences(model, clips, rows, _CHECKED_TEXTS)]
    worst = max((one for one, _ in found), key=lambda one: (math.isnan(one), one))
    allowed = min(MOST_SLACK, max(LEAST_SLACK, LEAK_SHARE * max(leak for _, leak in found)))
    holds = worst <= allowed
    many = f"The losses of {len(found)} texts in their packs differ from those of the texts by themselves by at most {worst:.1e}"
    went = f"{len(plan.train)} rows go in {len(passes.train)} packs." if holds else f"more than {allowed:.1e}: no row is packed in this run."
    reporter.emit("note", text=f"{many}{'.' if holds else ','} {went}", packing=holds)
    told = {"packs": len(passes.train), "checked": len(found), "largest_difference": finite(worst), "allowed": allowed, "held": holds}
    if not holds:
        passes = passes_of(prepared.encoder, plan.train, plan.held_out, config, False)
    return passes, told
