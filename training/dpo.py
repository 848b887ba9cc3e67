"""Direct preference optimisation from an SFT adapter: one base model, the adapter `default` that learns, and `ref`, its frozen copy."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from training.sft import (  # first: it repairs torchvision
    Prepared,
    Progress,
    arguments,
    base_source,
    checked_passes,
    clips_of,
    datasets_of,
    finite,
    fit,
    load,
    passed_tokens,
    prepare,
    rows_of,
)

from datasets import Dataset  # isort: skip
from peft import PeftModel  # isort: skip
from trl import DPOConfig, DPOTrainer  # isort: skip

from store.errors import InputError
from training.config import RunConfig
from training.encoding import Encoder
from training.evaluate import accuracy_callbacks
from training.forward import ClipEncoder, token_scores, wanted_of
from training.losses import preference_loss
from training.packing import Pack
from training.passes import Passes
from training.plan import Reporter, RunPlan, TrainingError
from training.preferences import Alarms, effective_beta, few_pairs_problem, scored_problem, weights_of
from training.references import FILE_NAME, References, made_by
from training.rows import Row

# The first loss is ln 2 exactly when policy and reference agree; bfloat16 sums over long texts may stray by a little.
_START_SLACK = 0.05


def train_dpo(plan: RunPlan, reporter: Reporter) -> dict[str, Any]:
    """Train the parent's adapter on the plan's pairs, leave it in adapter/, and return the figures of the result.

    Raises InputError when there are too few pairs to learn a preference from, or one has no final answer where only that is scored.
    """
    config, parent = plan.config, plan.directory / "parent"
    refuse(plan.train, plan.held_out, config)
    source = base_source(plan, (), reporter)
    prepared = prepare(source, plan, reporter)
    plan = prepared.plan
    looks = accuracy_callbacks(plan, prepared.processor, reporter, lambda: progress.seen)
    base = load(source, plan, reporter)
    # The adapter must keep the name `default`: TRL looks for it when it makes the reference.
    model = PeftModel.from_pretrained(base, str(parent / "adapter"), is_trainable=True)
    clips = clips_of(prepared, model)
    passes, checked = checked_passes(prepared, model, clips, reporter)
    progress = PairProgress(reporter, plan, clips)
    pairs = Pairs(plan, prepared.encoder, clips, References(plan.directory / FILE_NAME, made_by(parent / "adapter", config)))
    trainer = PairTrainer(
        pairs=pairs,
        progress=progress,
        model=model,
        ref_model=None,
        args=DPOConfig(**arguments(plan, passes), beta=config.beta, loss_type=list(config.loss_types), loss_weights=list(config.loss_weights)),
        data_collator=lambda examples: pairs.batch(rows_of(plan, passes, examples), passes),
        **datasets_of(passes),
        processing_class=prepared.processor,
        callbacks=[progress, *looks],
    )
    begin_alike(trainer.model)
    adapters = sorted(trainer.model.peft_config)
    reporter.emit("note", text=f"Adapters of the one base model: {', '.join(adapters)}. {_strength(prepared)}", adapters=adapters)
    if adapters != ["default", "ref"]:
        raise TrainingError(f"The adapters are {adapters}; a DPO run needs default, which learns, and ref, its frozen start.")
    return fit(trainer, prepared, reporter) | {"packing": checked}


def refuse(train: Sequence[Row], held_out: Sequence[Row], config: RunConfig) -> None:
    """Raise InputError when these pairs are too few, or one of them lacks what is to be scored."""
    problem = few_pairs_problem(len(train), config) or scored_problem((*train, *held_out), config)
    if problem:
        raise InputError(problem)


@dataclass(frozen=True)
class PairBatch:
    """What is known of the pairs of a batch beside the model's inputs. Texts are numbered chosen ones first, then rejected ones."""

    wanted: Tensor  # (rows, T) bool: the scored tokens
    owners: Tensor  # (scored tokens,): the number of the text of each, in the order of `wanted`
    keys: tuple[str, ...]  # of each text, for the reference
    weights: Tensor  # (pairs,)


class Pairs:
    """Turns pairs into batches, and knows what the reference says of them."""

    def __init__(self, plan: RunPlan, encoder: Encoder, clips: ClipEncoder, references: References) -> None:
        self.config = plan.config
        self.references = references
        self._encoder = encoder
        self._clips = clips
        self._weights = weights_of(plan.train, plan.config)

    def batch(self, rows: Sequence[Row], passes: Passes) -> dict[str, Any]:
        """Return the model's inputs, and under "pairs" a PairBatch: both texts of all rows behind one video, or side by side."""
        sides, replies = [*rows, *rows], [*(row.reply for row in rows), *(row.rejected or "" for row in rows)]
        if passes.packed:
            packed, inputs = self._clips.packed(sides, replies)
            wanted, owners = wanted_of(packed), _owners(packed)
        else:
            inputs = self._clips.batch(sides, replies)
            wanted = inputs.pop("completion_mask") != 0
            owners = wanted.nonzero()[:, 0]
        if len(owners.unique()) < len(sides):
            raise TrainingError(f"Of one of the pairs {', '.join(row.id for row in rows)} a text has no token to score. Leave it out of the set.")
        keys = tuple(self.references.key(self._encoder.text(row, reply), self._encoder.view(row)) for row, reply in zip(sides, replies, strict=True))
        # Held-out pairs count alike.
        weights = torch.tensor([self._weights.get(row.id, 1.0) for row in rows])
        return {**inputs, "pairs": PairBatch(wanted, owners, keys, weights)}


class PairTrainer(DPOTrainer):
    """DPOTrainer with our own pass through the model: all pairs of a clip behind its one video, and a reference that is asked once for each text."""

    # compute_loss divides by the pairs of the whole step: packs are of different sizes, and each pair counts alike.
    loss_is_scaled_for_ga = True

    def __init__(self, pairs: Pairs, progress: Progress, **options: Any) -> None:
        super().__init__(**options)
        self._pairs = pairs
        self._progress = progress
        self._chosen_tokens = 0.0  # a pair, in the present step

    def _prepare_dataset(self, dataset: Dataset, *args: Any, **kwargs: Any) -> Dataset:
        # Without this TRL would cut and complete the texts of rows, because they name no images.
        return dataset

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> tuple[list[dict[str, Any]], int]:
        """Return the batches of a step and how many pairs they hold; keep how long the chosen texts of these are."""
        batches, _ = super().get_batch_samples(*args, **kwargs)
        pairs = [batch["pairs"] for batch in batches]
        count = sum(len(batch.weights) for batch in pairs)
        self._chosen_tokens = sum(int((batch.owners < len(batch.weights)).sum()) for batch in pairs) / max(count, 1)
        return batches, count

    def compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None) -> Tensor:
        """Return the loss of the pairs, a mean over those of the whole step when their number is given; keep the figures of this pass."""
        batch, learning = inputs.pop("pairs"), self.model.training
        count, device = len(batch.weights), inputs["input_ids"].device
        wanted, owners = batch.wanted.to(device), batch.owners.to(device)
        reference = self._reference(model, inputs, batch)
        with self.accelerator.autocast():
            logps, likeliest = token_scores(model, inputs, wanted)
        lengths = torch.bincount(owners, minlength=2 * count).reshape(2, count)
        policy = _sums(logps, owners, 2 * count).reshape(2, count)
        chosen_tokens = self._chosen_tokens if num_items_in_batch else None
        loss, told = preference_loss(policy, reference.reshape(2, count), lengths, self._pairs.config, batch.weights.to(device), chosen_tokens)
        told |= {"mean_token_accuracy": float(likeliest[owners < count].float().mean())}
        told |= {} if learning else {"loss": float(loss)}
        for name, value in told.items():
            # As often as there are pairs, so that the mean over passes of different sizes is one over pairs.
            self._metrics["train" if learning else "eval"][name] += [value] * count
        if learning:
            self._progress.count(items=count, learnt=logps.numel(), tokens=passed_tokens(inputs))
        return loss * (count / (num_items_in_batch or count))

    def _reference(self, model: Any, inputs: dict[str, Any], batch: PairBatch) -> Tensor:
        """Return the reference's summed log-probability of each text: (texts,), from the file or, at the first time, by a pass."""
        known = [self._pairs.references.get(key) for key in batch.keys]
        if None in known:
            device = inputs["input_ids"].device
            with torch.no_grad(), as_reference(self.accelerator.unwrap_model(model)), self.accelerator.autocast():
                logps, _ = token_scores(model, inputs, batch.wanted.to(device))
            known = _sums(logps, batch.owners.to(device), len(batch.keys)).tolist()
            self._pairs.references.put(dict(zip(batch.keys, known, strict=True)))
        return torch.tensor(known, device=inputs["input_ids"].device)


class PairProgress(Progress):
    """Progress that also tells rewards, raises alarms, and checks at the first step that policy and reference are the same."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._alarms = Alarms()

    def more(self, logs: dict[str, float]) -> dict[str, float | None]:
        """Return rewards, log-probabilities, and the sigmoid loss of the pairs, whatever losses are asked for."""
        return {name: finite(value) for name, value in logs.items() if name.startswith(("rewards/", "logps/")) or name == "preference_loss"}

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        """Append a step and the alarms that it raises; raise TrainingError when the sigmoid loss of the very first one is not ln 2."""
        super().on_log(args, state, control, logs=logs, **kwargs)
        if logs is None or "loss" not in logs:
            return
        start = finite(logs["preference_loss"])
        if state.global_step == 1 and (start is None or abs(start - math.log(2)) > _START_SLACK):
            raise TrainingError(f"The first preference loss is {start}, and must be ln 2 = 0.6931: the reference is not the policy's start.")
        for text in self._alarms.hear(state.global_step, logs):
            self._reporter.emit("alarm", text=text)


@contextmanager
def as_reference(model: PeftModel) -> Iterator[None]:
    """Let the model speak with its adapter `ref` for a while."""
    model.set_adapter("ref")
    try:
        yield
    finally:
        model.set_adapter("default")


def begin_alike(model: PeftModel) -> None:
    """Make the adapters `default` and `ref` equal to the last bit, in float32.

    For a model in 4 bits TRL rounds the one that learns to bfloat16 after it has copied it, so that they would differ from the start.
    """
    for name, tensor in model.named_parameters():
        if ".ref." in name:
            tensor.data = tensor.data.float()
            model.get_parameter(name.replace(".ref.", ".default.")).data = tensor.data.clone()


def _owners(packed: Pack) -> Tensor:
    # Learnt tokens are never shared, so that their branch is the number of their item.
    return torch.from_numpy(packed.branch[packed.learnt])


def _sums(logps: Tensor, owners: Tensor, count: int) -> Tensor:
    return logps.new_zeros(count).index_add(0, owners, logps)


def _strength(prepared: Prepared) -> str:
    config, tokens = prepared.plan.config, fmean(count.learnt for count in prepared.counts)
    strength = effective_beta(config, tokens)
    if strength is None or strength == config.beta:
        return f"beta = {config.beta:g} on the summed log-probability."
    return f"beta = {config.beta:g} on a mean is as strong as {strength:.2g} on a sum, with {tokens:.0f} scored tokens in the longer reply on average."
