"""Supervised fine-tuning with TRL, and what it shares with DPO: arguments, progress, the fit itself, the figures."""

import math
import resource
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

import torch

from training import model as models  # first: it repairs torchvision, which the next two imports need

from datasets import Dataset  # isort: skip
from peft import PeftModel  # isort: skip
from transformers import PreTrainedModel, ProcessorMixin, Trainer, TrainerCallback, TrainerControl, TrainerState  # isort: skip
from trl import SFTConfig, SFTTrainer  # isort: skip

from training.encoding import Encoder, TokenCount, count_all, text_counter
from training.pictures import decode_all, pictures_seen
from training.plan import Reporter, RunPlan, Stopped, TrainingError, heed
from training.rows import Row, texts_of, total_steps
from training.views import View, views_of


def train_sft(plan: RunPlan, reporter: Reporter) -> dict[str, Any]:
    """Train a LoRA on the plan's rows, leave it in adapter/, and return the figures of the result."""
    source = plan.config.model
    if plan.config.random_weights:
        reporter.emit("phase", phase="building the tiny random model")
        folder = plan.directory / "model"
        models.build_tiny(folder, texts_of((*plan.train, *plan.held_out)), plan.config.seed)
        source = str(folder)
    processor, encoder, counts = prepare(source, plan, reporter)
    model = load(source, plan, reporter)
    lora, layers = models.lora_config(model, plan.config)
    reporter.emit("note", text=f"LoRA of rank {plan.config.lora_rank} on {layers} linear layers of the language model.", lora_layers=layers)

    def collate(examples: list[dict[str, int]]) -> dict[str, Any]:
        rows = [row_of(plan, example) for example in examples]
        batch = encoder.batch(rows, [row.reply for row in rows])
        mask = batch.pop("completion_mask")
        return {**batch, "labels": batch["input_ids"].masked_fill(mask == 0, -100)}

    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(**arguments(plan), dataset_kwargs={"skip_prepare_dataset": True}),
        data_collator=collate,
        **datasets_of(plan),
        processing_class=processor,
        peft_config=lora,
        callbacks=[Progress(reporter)],
    )
    return fit(trainer, plan, reporter, counts)


def prepare(source: str, plan: RunPlan, reporter: Reporter) -> tuple[ProcessorMixin, Encoder, list[TokenCount]]:
    """Return processor, encoder and the tokens of the training rows, before frames are decoded and the weights, which take minutes, are loaded.

    Raises InputError with every row that is too long, held-out ones too, and then with every clip that cannot be read.
    """
    reporter.emit("phase", phase="counting tokens")
    rows, how = (*plan.train, *plan.held_out), plan.config.context_plan()
    processor = models.load_processor(source)
    views = views_of(rows, plan.stretches, how, text_counter(processor))
    encoder = Encoder(processor, views, lambda one: pictures_seen(plan.directory, one, how))
    counts = count_all(encoder, rows, plan.config.max_tokens)[: len(plan.train)]
    reporter.emit("note", text=f"{len(counts)} rows, the longest of {max(count.total for count in counts)} tokens.{_left_out(views.values())}")
    reporter.emit("phase", phase=f"decoding {len({row.clip for row in rows})} clips")
    decode_all(plan.directory, [(row.clip.id, views[row.id]) for row in rows], how, lambda done: heed(reporter, "decoded", done))
    return processor, encoder, counts


def load(source: str, plan: RunPlan, reporter: Reporter) -> PreTrainedModel:
    """Return the model of `source`, frozen, on the device of this machine. Raises Stopped when asked to meanwhile."""
    reporter.emit("phase", phase="loading the model")
    model = models.load_model(source, plan.config.quantisation)
    if reporter.stop_asked():
        raise Stopped
    return model


def datasets_of(plan: RunPlan) -> dict[str, Any]:
    """Return the trainer's datasets: numbers of rows only, so that no library rewrites what stands in them."""
    held_out = Dataset.from_dict({"held_out": list(range(len(plan.held_out)))}) if plan.held_out else None
    return {"train_dataset": Dataset.from_dict({"train": list(range(len(plan.train)))}), "eval_dataset": held_out}


def row_of(plan: RunPlan, example: dict[str, int]) -> Row:
    """Return the row that stands behind an example of `datasets_of`."""
    return plan.train[example["train"]] if "train" in example else plan.held_out[example["held_out"]]


def arguments(plan: RunPlan) -> dict[str, Any]:
    """Return the trainer arguments that SFT and DPO share."""
    config, cuda = plan.config, torch.cuda.is_available()
    steps = total_steps(len(plan.train), config)
    return {
        "output_dir": str(plan.directory / "checkpoints"),
        "max_steps": steps,
        "per_device_train_batch_size": config.batch_size,
        "per_device_eval_batch_size": config.batch_size,
        "gradient_accumulation_steps": config.accumulation,
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


class Progress(TrainerCallback):
    """Turns the trainer's log into events, checks the first gradients, and ends the run when asked to."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._last = (time.monotonic(), 0)
        self.first: dict[str, Any] = {}
        self.latest: dict[str, Any] = {}

    def more(self, logs: dict[str, float]) -> dict[str, float | None]:
        """Return what a step tells beside loss, rate, norm and tokens."""
        return {}

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Begin to count time."""
        self._reporter.emit("phase", phase="training", total_steps=state.max_steps)
        self._last = (time.monotonic(), 0)

    def on_pre_optimizer_step(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Raise TrainingError when, at the first step, a trainable tensor has no finite gradient."""
        if state.global_step == 0:
            check_gradients(kwargs["model"])

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Ask for a checkpoint and the end when the stop file is there."""
        if self._reporter.stop_asked():
            control.should_save = control.should_training_stop = True

    def on_log(self, args: Any, state: TrainerState, control: TrainerControl, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        """Append a step; raise TrainingError when the loss is no number."""
        if logs is None or "loss" not in logs:
            return
        now_s, tokens = time.monotonic(), int(logs.get("num_tokens", 0))
        seconds, added = now_s - self._last[0], tokens - self._last[1]
        self._last = (now_s, tokens)
        event = {
            "step": state.global_step,
            **{name: finite(logs.get(name)) for name in ("loss", "learning_rate", "grad_norm", "epoch", "mean_token_accuracy")},
            "tokens": tokens,
            "tokens_per_s": round(added / seconds, 1) if seconds > 0 else None,
            **self.more(logs),
        }
        self._reporter.emit("step", **event)
        self.first, self.latest = self.first or event, event
        if event["loss"] is None:
            raise TrainingError(f"The loss became {logs['loss']} at step {state.global_step}. Lower the learning rate or max_grad_norm.")


def check_gradients(model: torch.nn.Module) -> None:
    """Raise TrainingError when a trainable tensor has no gradient, or one that is not finite."""
    trainable = [(name, tensor) for name, tensor in model.named_parameters() if tensor.requires_grad]
    for name, tensor in trainable:
        if tensor.grad is None or not bool(torch.isfinite(tensor.grad).all()):
            kind = "no gradient" if tensor.grad is None else "a gradient that is not finite"
            raise TrainingError(f"After the first step {name} has {kind}, so it would never learn.")


def fit(trainer: Trainer, plan: RunPlan, reporter: Reporter, counts: list[TokenCount]) -> dict[str, Any]:
    """Train, score the held-out rows before and after, save the adapter, and return the figures of the result."""
    progress = next(callback for callback in trainer.callback_handler.callbacks if isinstance(callback, Progress))
    frozen = models.frozen_sums(trainer.model)
    before = held_out_scores(trainer, plan, reporter)
    started_s = time.monotonic()
    trainer.train()
    seconds = time.monotonic() - started_s
    early = trainer.state.global_step < trainer.args.max_steps
    after = {} if early else held_out_scores(trainer, plan, reporter)
    reporter.emit("phase", phase="saving the adapter")
    save_adapter(trainer.model, plan)
    after_sums = models.frozen_sums(trainer.model)
    moved = [name for name, total in frozen.items() if after_sums.get(name) != total]
    if moved:
        raise TrainingError(f"{len(moved)} frozen tensors have changed, {moved[0]} among them. The adapter does not belong to its base.")
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
        "tokens": progress.latest.get("tokens", 0),
        "tokens_an_epoch": {"total": sum(count.total for count in counts), "learnt": sum(count.learnt for count in counts)},
        "first_step": progress.first,
        "last_step": progress.latest,
        "validation": {
            "rows": len(plan.held_out),
            "before": before or None,
            "after": after or None,
            "reason": _why_no_scores(plan, early),
        },
        "trainable_tensors": len(trainable),
        "trainable_parameters": sum(tensor.numel() for tensor in trainable),
        "frozen_tensors_checked": len(frozen),
        "training_seconds": round(seconds, 1),
        "device": torch.cuda.get_device_name(0) if torch.cuda.is_available() else "cpu",
        "peak_device_bytes": torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None,
        "peak_host_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "adapter": "adapter",
    }


def held_out_scores(trainer: Trainer, plan: RunPlan, reporter: Reporter) -> dict[str, Any]:
    """Return loss (mean over held-out batches) and, for DPO, the share of pairs ranked right; empty without held-out rows."""
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


def _left_out(views: Iterable[View]) -> str:
    dropped = sum((Counter(one.context.dropped_counts) for one in views), Counter())
    return "".join(f" Left out: {count} x {kind}, {reason}" for (kind, reason), count in dropped.most_common(10))


def _why_no_scores(plan: RunPlan, early: bool) -> str | None:
    if not plan.config.validation_rows:
        return "The config asks for no held-out rows."
    if not plan.held_out:
        return "The set has no row with the split validation."
    return "Stopped before the end, so the rows were not scored again." if early else None


def finite(value: float | None) -> float | None:
    """Return the value, or None for what JSON cannot say: NaN and the infinities."""
    return value if value is not None and math.isfinite(value) else None
