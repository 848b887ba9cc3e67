"""Direct preference optimisation from an SFT adapter: one base model, the adapter `default` that learns, and `ref`, its frozen copy."""

import math
from typing import Any

from training.sft import (  # first: it repairs torchvision
    Progress,
    arguments,
    datasets_of,
    finite,
    fit,
    load,
    prepare,
    row_of,
)

from datasets import Dataset  # isort: skip
from peft import PeftModel  # isort: skip
from trl import DPOConfig, DPOTrainer  # isort: skip

from training.plan import Reporter, RunPlan, TrainingError

# The first loss is ln 2 exactly when policy and reference agree; bfloat16 sums over long texts may stray by a little.
_START_SLACK = 0.05


class VideoDPOTrainer(DPOTrainer):
    """DPOTrainer that leaves rows alone: without this it would cut and complete their texts, because they name no images."""

    def _prepare_dataset(self, dataset: Dataset, *args: Any, **kwargs: Any) -> Dataset:
        return dataset


class PairProgress(Progress):
    """Progress that also tells rewards, and checks at the first step that policy and reference are the same."""

    def __init__(self, reporter: Reporter, loss_types: tuple[str, ...]) -> None:
        super().__init__(reporter)
        self._sigmoid = "sigmoid" in loss_types

    def more(self, logs: dict[str, float]) -> dict[str, float | None]:
        """Return rewards and log-probabilities and, if it is a term of the loss, the sigmoid loss at the mean margin.

        That is below the mean over pairs by Jensen's inequality, and equal to it while all margins are 0.
        """
        told = {name: finite(value) for name, value in logs.items() if name.startswith(("rewards/", "logps/"))}
        return {**told, "preference_loss": sigmoid_loss(logs["rewards/margins"])} if self._sigmoid else told

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        """Raise TrainingError when the sigmoid loss of the first step is not ln 2, whatever losses are asked for."""
        first = not self.first
        super().on_log(args, state, control, logs=logs, **kwargs)
        if first and self.first and logs is not None:
            start = sigmoid_loss(logs["rewards/margins"])
            if start is None or abs(start - math.log(2)) > _START_SLACK:
                raise TrainingError(f"The first preference loss is {start}, and must be ln 2 = 0.6931: the reference is not the policy's start.")


def sigmoid_loss(margin: float) -> float | None:
    """Return -log sigmoid(margin), ln 2 for a margin of 0; None when the margin is no number."""
    # Written so that a large negative margin does not overflow.
    return finite(max(0.0, -margin) + math.log1p(math.exp(-abs(margin))))


def train_dpo(plan: RunPlan, reporter: Reporter) -> dict[str, Any]:
    """Train the parent's adapter on the plan's pairs, leave it in adapter/, and return the figures of the result."""
    config, parent = plan.config, plan.directory / "parent"
    source = str(parent / "model") if config.random_weights else config.model
    processor, encoder, counts = prepare(source, plan, reporter)
    base = load(source, plan, reporter)
    # The adapter must keep the name `default`: TRL looks for it when it makes the reference.
    model = PeftModel.from_pretrained(base, str(parent / "adapter"), is_trainable=True)

    def collate(examples: list[dict[str, int]]) -> dict[str, Any]:
        rows = [row_of(plan, example) for example in examples]
        return encoder.batch([*rows, *rows], [*(row.reply for row in rows), *(row.rejected for row in rows)])

    trainer = VideoDPOTrainer(
        model=model,
        ref_model=None,
        args=DPOConfig(
            **arguments(plan),
            beta=config.beta,
            loss_type=list(config.loss_types),
            loss_weights=list(config.loss_weights),
        ),
        data_collator=collate,
        **datasets_of(plan),
        processing_class=processor,
        callbacks=[PairProgress(reporter, config.loss_types)],
    )
    adapters = sorted(trainer.model.peft_config)
    reporter.emit("note", text=f"Adapters of the one base model: {', '.join(adapters)}.", adapters=adapters)
    if adapters != ["default", "ref"]:
        raise TrainingError(f"The adapters are {adapters}; a DPO run needs default, which learns, and ref, its frozen start.")
    return fit(trainer, plan, reporter, counts)
