"""What SFT and DPO share: preparation, arguments, the fit itself, the figures of the result."""

import json
import resource
import shutil
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch

from training import model as models  # first: it repairs torchvision, which the next two imports need

from datasets import Dataset  # isort: skip
from peft import PeftModel  # isort: skip
from transformers import PreTrainedModel, ProcessorMixin, Trainer  # isort: skip

from store.process import write_whole
from training.encoding import Encoder, TokenCount, count_all, text_counter
from training.features import FeatureCache
from training.forward import ClipEncoder, Vision
from training.passes import Passes
from training.pictures import decode_all, pictures_seen
from training.plan import Reporter, RunPlan, Stopped, heed
from training.progress import Progress, check_frozen, finite
from training.rows import Row, texts_of, within_learnt
from training.tiny import build_tiny
from training.views import View, views_of


@dataclass(frozen=True)
class Prepared:
    """What a stage has before its weights are loaded."""

    plan: RunPlan  # without the rows that max_learnt_tokens leaves out
    processor: ProcessorMixin
    encoder: Encoder
    counts: list[TokenCount]  # of the training rows


def base_source(plan: RunPlan, rows: Iterable[Row], reporter: Reporter) -> str:
    """Return where the base model lies: as the config says, or, of a pipeline check, in the parent run's folder or, built from the rows' texts, in its own.

    It is built once and appears whole: a run that goes on has it already, and runs that started from it read the same files, which are links.
    """
    if not plan.config.random_weights:
        return plan.config.model
    if plan.config.parent_run:
        return str(plan.directory / "parent" / "model")
    folder, part = plan.directory / "model", plan.directory / ".model"
    if not folder.exists():
        reporter.emit("phase", phase="building the tiny random model")
        build_tiny(part, texts_of(rows), plan.config.seed, plan.config.family.name)
        part.rename(folder)
    return str(folder)


def prepare(source: str, plan: RunPlan, reporter: Reporter) -> Prepared:
    """Return processor, encoder and the tokens of the training rows, before frames are decoded and the weights, which take minutes, are loaded.

    Raises InputError with every row that is too long, held-out ones too, and then with every clip that cannot be read.
    """
    reporter.emit("phase", phase="counting tokens")
    rows, how = (*plan.train, *plan.held_out), plan.config.context_plan()
    processor = models.load_processor(source)
    views = views_of(rows, plan.stretches, how, text_counter(processor), plan.config.family)
    encoder = Encoder(processor, views, lambda one: pictures_seen(plan.directory, one, how), plan.config.scored)
    counts = count_all(encoder, rows, plan.config.max_tokens)[: len(plan.train)]
    plan = _within_learnt(plan, counts)
    counts, rows = counts[: len(plan.train)], (*plan.train, *plan.held_out)
    reporter.emit("note", text=f"{len(counts)} rows, the longest of {max(count.total for count in counts)} tokens.{_left_out(views.values())}")
    reporter.emit("phase", phase=f"decoding {len({row.clip for row in rows})} clips")
    decode_all(plan.directory, [(row.clip.id, views[row.id]) for row in rows], how, lambda done: heed(reporter, "decoded", done))
    return Prepared(plan, processor, encoder, counts)


def load(source: str, plan: RunPlan, reporter: Reporter) -> PreTrainedModel:
    """Return the model of `source`, frozen, on the device of this machine. Raises Stopped when asked to meanwhile."""
    reporter.emit("phase", phase="loading the model")
    model = models.load_model(source, plan.config.quantisation, plan.config.projector)
    if reporter.stop_asked():
        raise Stopped
    return model


def clips_of(prepared: Prepared, model: PreTrainedModel) -> ClipEncoder:
    """Return what makes batches; it keeps the features of the pictures if the config asks for it, but never with an adapter in the tower."""
    config, directory = prepared.plan.config, prepared.plan.directory
    if not config.feature_cache or config.projector:
        return ClipEncoder(prepared.encoder, model)
    # The other half of the disk is for checkpoints.
    cache = FeatureCache(directory / "features", shutil.disk_usage(directory).free // 2)
    return ClipEncoder(prepared.encoder, model, Vision(model, cache, prepared.processor, config.context_plan()))


def datasets_of(passes: Passes) -> dict[str, Any]:
    """Return the trainer's datasets: numbers of groups only, so that no library rewrites what stands in their rows."""
    held_out = Dataset.from_dict({"held_out": list(range(len(passes.held_out)))}) if passes.held_out else None
    return {"train_dataset": Dataset.from_dict({"train": list(range(len(passes.train)))}), "eval_dataset": held_out}


def rows_of(plan: RunPlan, passes: Passes, examples: Iterable[dict[str, int]]) -> list[Row]:
    """Return the rows that stand behind examples of `datasets_of`."""
    rows: list[Row] = []
    for example in examples:
        if "train" in example:
            rows += [plan.train[number] for number in passes.train[example["train"]]]
        else:
            rows += [plan.held_out[number] for number in passes.held_out[example["held_out"]]]
    return rows


def arguments(plan: RunPlan, passes: Passes) -> dict[str, Any]:
    """Return the trainer arguments that SFT and DPO share."""
    config, cuda = plan.config, torch.cuda.is_available()
    steps = passes.steps(config)
    return {
        "output_dir": str(plan.directory / "checkpoints"),
        "max_steps": steps,
        "per_device_train_batch_size": passes.batch,
        "per_device_eval_batch_size": passes.batch,
        "gradient_accumulation_steps": passes.accumulation,
        "learning_rate": config.learning_rate,
        "lr_scheduler_type": config.schedule if config.schedule != "constant" else "constant_with_warmup",
        "warmup_steps": round(config.warmup_share * steps),
        "max_grad_norm": config.max_grad_norm,
        "optim": "adamw_torch",
        "bf16": True,
        "use_cpu": not cuda,
        "gradient_checkpointing": True,
        "gradient_checkpointing_kwargs": {"use_reentrant": False},
        "max_length": None,  # never cut: the default would cut the video's tokens
        "remove_unused_columns": False,
        "dataloader_pin_memory": cuda,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # the default shows the last good loss instead of NaN
        "save_strategy": "steps",
        "save_steps": config.checkpoint_steps,
        "save_total_limit": 2,
        "report_to": "none",
        "disable_tqdm": True,
        "seed": config.seed,
        "prediction_loss_only": True,
    }


def fit(trainer: Trainer, prepared: Prepared, reporter: Reporter) -> dict[str, Any]:
    """Train, score the held-out rows before and after, save the adapter, and return the figures of the result."""
    plan, counts = prepared.plan, prepared.counts
    progress = next(callback for callback in trainer.callback_handler.callbacks if isinstance(callback, Progress))
    trainer.data_collator = progress.timed(trainer.data_collator)
    for tensor in trainer.model.parameters():
        if tensor.requires_grad:
            # TRL makes them bfloat16 for a model in 4 bits: small updates would be lost, and a resumed run would go on in another type.
            tensor.data = tensor.data.float()
    frozen = models.frozen_sums(trainer.model)
    before = held_out_scores(trainer, plan, reporter)
    trainer.train(resume_from_checkpoint=None if plan.resume_from is None else str(plan.resume_from))
    early = trainer.state.global_step < trainer.args.max_steps
    try:
        after = {} if early else held_out_scores(trainer, plan, reporter)
    except Stopped:
        after = {}
    reporter.emit("phase", phase="saving the adapter")
    check_frozen(frozen, models.frozen_sums(trainer.model))
    save_adapter(trainer.model, plan)
    trainable = [tensor for tensor in trainer.model.parameters() if tensor.requires_grad]
    return {
        "stage": plan.config.stage,
        "model": plan.config.model,
        "random_weights": plan.config.random_weights,
        "note": "Random weights: proves the pipeline, learns nothing of use." if plan.config.random_weights else None,
        "stopped_early": early,
        "steps": trainer.state.global_step,
        "rows": len(plan.train),
        "rows_in_set": plan.rows_in_set,
        "tokens": progress.total["tokens"],
        "learnt_tokens": progress.total["learnt"],
        "resumed_from_step": None if plan.resume_from is None else int(plan.resume_from.name.partition("-")[2]),
        "tokens_an_epoch": {"total": sum(count.total for count in counts), "learnt": sum(count.learnt for count in counts)},
        "first_step": progress.first,
        "last_step": progress.latest,
        "validation": {
            "rows": len(plan.held_out),
            "before": before or None,
            "after": after or None,
            "reason": _why_no_scores(plan, not after),
        },
        "trainable_tensors": len(trainable),
        "trainable_parameters": sum(tensor.numel() for tensor in trainable),
        "frozen_tensors_checked": len(frozen),
        "training_seconds": round(progress.total["seconds"], 1),
        "device": torch.cuda.get_device_name(0) if torch.cuda.is_available() else "cpu",
        "peak_device_bytes": torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None,
        "peak_device_reserved_bytes": torch.cuda.max_memory_reserved() if torch.cuda.is_available() else None,
        "peak_host_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "adapter": "adapter",
    }


def held_out_scores(trainer: Trainer, plan: RunPlan, reporter: Reporter) -> dict[str, Any]:
    """Return the loss of the held-out rows and, for DPO, the share of pairs ranked right; empty without held-out rows."""
    if not plan.held_out:
        return {}
    reporter.emit("phase", phase=f"scoring {len(plan.held_out)} held-out rows")
    logs = trainer.evaluate()
    scores = {"loss": finite(logs["eval_loss"])}
    if "eval_rewards/accuracies" in logs:
        scores["pairs_ranked_right"] = finite(logs["eval_rewards/accuracies"])
    reporter.emit("validation", rows=len(plan.held_out), **scores)
    return scores


def save_adapter(model: PeftModel, plan: RunPlan) -> None:
    """Put the trained adapter into adapter/, whole or not at all; the frozen reference of DPO is left out."""
    config = model.peft_config["default"]
    # A path of this machine would be wrong on the next one.
    config.base_model_name_or_path = "../model" if plan.config.random_weights else plan.config.model
    part = plan.directory / ".adapter"
    model.save_pretrained(part, selected_adapters=["default"], save_embedding_layers=False)
    # The library's card is an empty form that names a folder of this machine.
    (part / "README.md").unlink(missing_ok=True)
    part.rename(plan.directory / "adapter")


def _within_learnt(plan: RunPlan, counts: list[TokenCount]) -> RunPlan:
    """Return the plan with at most max_learnt_tokens to learn; when rows were left out, learnt_rows.json tells which stayed."""
    kept = within_learnt(plan.train, [count.learnt for count in counts], plan.config.max_learnt_tokens)
    if len(kept) < len(plan.train):
        write_whole(plan.directory / "learnt_rows.json", json.dumps([row.id for row in kept]) + "\n")
    return replace(plan, train=kept)


def _left_out(views: Iterable[View]) -> str:
    dropped = sum((Counter(one.context.dropped_counts) for one in views), Counter())
    return "".join(f" Left out: {count} x {kind}, {reason}" for (kind, reason), count in dropped.most_common(10))


def _why_no_scores(plan: RunPlan, unscored: bool) -> str | None:
    if not plan.config.validation_rows:
        return "The config asks for no held-out rows."
    if not plan.held_out:
        return "The set has no row with the split validation."
    return "Stopped before the end, so the rows were not scored again." if unscored else None
