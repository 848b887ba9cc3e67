"""What a trainer tells while it works, and the guards over its first step, its checkpoints and what it goes on from."""

import json
import math
import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import torch
from safetensors.torch import load_file

from training import model as models  # first: it repairs torchvision, which the next two imports need

from peft import PeftModel, get_peft_model_state_dict  # isort: skip
from transformers import TrainerCallback, TrainerControl, TrainerState  # isort: skip

from training.checkpoints import check_resumed, write_manifest
from training.forward import ClipEncoder, text_loss
from training.plan import Reporter, RunPlan, Stopped, TrainingError

_LOOKED_AT = 32  # frozen tensors, after the first step; at the end all are
_COUNTS = "counts.json"  # in a checkpoint


class Progress(TrainerCallback):
    """Turns the trainer's log into events, watches over the first step and each checkpoint, and ends the run when asked to."""

    def __init__(self, reporter: Reporter, plan: RunPlan | None = None, clips: ClipEncoder | None = None) -> None:
        """With a plan and its clips, checkpoints are sealed with the loss of the plan's first row, and that of a resumed run is compared."""
        self._reporter = reporter
        self._plan = plan
        self._clips = clips
        self._counts: Counter[str] = Counter(items=0, learnt=0, tokens=0, seconds=0)
        self._passed = 0  # tokens, up to the step before
        self._began_s = self._step_s = self._reading_s = 0.0
        self._frozen: dict[str, int] = {}
        self._unchecked = True
        self.first: dict[str, Any] = {}
        self.latest: dict[str, Any] = {}

    @property
    def seen(self) -> dict[str, int]:
        """Return what was learnt from since step 0: "items" (rows) and "tokens" (learnt ones)."""
        return {"items": self._counts["items"], "tokens": self._counts["learnt"]}

    @property
    def total(self) -> dict[str, float]:
        """Return since step 0, in all attempts: "items", "learnt", "tokens" that went through the model, "seconds" of the steps alone."""
        return dict(self._counts)

    def count(self, items: int, learnt: int, tokens: int) -> None:
        """Add a training pass: its rows, its learnt tokens, and all that went through the model."""
        self._counts.update(items=items, learnt=learnt, tokens=tokens)

    def more(self, logs: dict[str, float]) -> dict[str, float | None]:
        """Return what a step tells beside loss, rate, norm and tokens."""
        return {}

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Raise TrainingError when a resumed run does not stand where its checkpoint was saved."""
        self._reporter.emit("phase", phase="training", total_steps=state.max_steps)
        plan = self._plan
        if plan is not None:
            self._frozen = models.frozen_sums(kwargs["model"], _some_frozen(kwargs["model"], plan.config.seed))
        if plan is not None and plan.resume_from is not None:
            self._counts = Counter(json.loads((plan.resume_from / _COUNTS).read_text(encoding="utf-8")))
            check_loaded(plan.resume_from, kwargs["model"])
            check_resumed(plan.resume_from, self._probe(kwargs["model"]))
        self._passed = self._counts["tokens"]

    def timed(self, collate: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Return the function that makes batches, its time counted towards the step that they are for."""

        def batch(examples: Any) -> Any:
            began_s = time.monotonic()
            made = collate(examples)
            self._reading_s += time.monotonic() - began_s
            return made

        return batch

    def on_step_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Begin to time a step; its batches are made by now."""
        self._began_s = time.monotonic()

    def on_pre_optimizer_step(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Raise TrainingError when, at the first step, a trainable tensor has no finite gradient."""
        if self._unchecked:
            check_gradients(kwargs["model"])

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Ask for a checkpoint and the end when the stop file is there; raise TrainingError when the first step moved what is frozen."""
        # Saving and scoring, which come between two steps, are no part of either.
        self._step_s = time.monotonic() - self._began_s + self._reading_s
        self._counts["seconds"] += self._step_s
        if self._unchecked and self._frozen:
            check_frozen(self._frozen, models.frozen_sums(kwargs["model"], self._frozen))
        self._unchecked = False
        if self._reporter.stop_asked():
            control.should_save = control.should_training_stop = True

    def on_prediction_step(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Raise Stopped when asked to, between two held-out batches."""
        if self._reporter.stop_asked():
            raise Stopped

    def on_save(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Seal the checkpoint: only one with its manifest is ever resumed from."""
        if self._plan is not None:
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            (folder / _COUNTS).write_text(json.dumps(self._counts), encoding="utf-8")
            write_manifest(folder, self._plan.config, state.global_step, self._probe(kwargs["model"]))

    def on_log(self, args: Any, state: TrainerState, control: TrainerControl, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        """Append a step; raise TrainingError when the loss is no number."""
        if logs is None or "loss" not in logs:
            return
        added, reading_s = self._counts["tokens"] - self._passed, self._reading_s
        self._passed, self._reading_s = self._counts["tokens"], 0.0
        event = {
            "step": state.global_step,
            **{name: finite(logs.get(name)) for name in ("loss", "learning_rate", "grad_norm", "epoch", "mean_token_accuracy")},
            **{name: self._counts[name] for name in ("items", "learnt", "tokens")},
            "tokens_per_s": round(added / self._step_s, 1) if self._step_s > 0 else None,
            "seconds": round(self._step_s, 4),
            "reading_seconds": round(reading_s, 4),
            **memory(),
            **self.more(logs),
        }
        self._reporter.emit("step", **event)
        self.first, self.latest = self.first or event, event
        if event["loss"] is None:
            raise TrainingError(f"The loss became {logs['loss']} at step {state.global_step}. Lower the learning rate or max_grad_norm.")

    def _probe(self, model: Any) -> float | None:
        if self._plan is None or self._clips is None:
            return None
        row = self._plan.train[0]
        return finite(text_loss(model, self._clips, row, row.reply))


def memory() -> dict[str, int]:
    """Return what the process holds now, in bytes: host_bytes, and on a GPU device_bytes, the most so far."""
    held = {"host_bytes": psutil.Process().memory_info().rss}
    return held | ({"device_bytes": torch.cuda.max_memory_allocated()} if torch.cuda.is_available() else {})


def check_gradients(model: torch.nn.Module) -> None:
    """Raise TrainingError when a trainable tensor has no gradient, one that is not finite, or, as the second factor of a LoRA, one of noughts."""
    for name, tensor in model.named_parameters():
        if tensor.requires_grad and (problem := _gradient_problem(name, tensor.grad)):
            raise TrainingError(f"After the first step {name} has {problem}, so it would never learn.")


def _gradient_problem(name: str, grad: torch.Tensor | None) -> str | None:
    if grad is None:
        return "no gradient"
    if not bool(torch.isfinite(grad).all()):
        return "a gradient that is not finite"
    # The first factor's is nought at the first step, since the second factor is.
    return "a gradient of noughts" if "lora_B" in name and not bool(grad.any()) else None


def check_loaded(checkpoint: Path, model: PeftModel) -> None:
    """Raise TrainingError when the adapter of the model is not bit for bit that of the checkpoint."""
    now = get_peft_model_state_dict(model, adapter_name="default")
    saved = load_file(checkpoint / "adapter_model.safetensors")
    other = [name for name, tensor in saved.items() if name not in now or not torch.equal(now[name].cpu(), tensor)]
    if other or len(saved) != len(now):
        raise TrainingError(f"The adapter that was loaded from {checkpoint.name} is not the one that was saved there: {(other or ['its parts'])[0]} differs.")


def check_frozen(before: dict[str, int], after: dict[str, int]) -> None:
    """Raise TrainingError when a frozen tensor is not what it was."""
    moved = [name for name, total in before.items() if after.get(name) != total]
    if moved:
        raise TrainingError(f"{len(moved)} frozen tensors have changed, {moved[0]} among them. The adapter does not belong to its base.")


def _some_frozen(model: torch.nn.Module, seed: int) -> set[str]:
    names = sorted(name for name, tensor in model.named_parameters() if not tensor.requires_grad)
    return set(random.Random(seed).sample(names, min(_LOOKED_AT, len(names))))


def finite(value: float | None) -> float | None:
    """Return the value, or None for what JSON cannot say: NaN and the infinities."""
    return value if value is not None and math.isfinite(value) else None
