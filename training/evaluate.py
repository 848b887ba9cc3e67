"""Multiple-choice accuracy by option log-likelihood: a clip's video once, all its questions and all their options behind it in one sequence.

An option is scored as the whole reply that chooses it: the sum of the log-probabilities of its tokens, given video and question. The sum
decides, since each reply begins with the letter of its option, so that its length says little; the mean a token is told beside it.
"""

import contextlib
import resource
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import Any

import torch

from training import model as models  # first: it repairs torchvision, which the next two imports need

from peft import PeftModel  # isort: skip
from transformers import TrainerCallback, TrainerControl, TrainerState  # isort: skip

from training.events import FILE_NAME as EVENTS
from training.events import read_events
from training.features import FeatureCache
from training.fit import Prepared, base_source, clips_of, load
from training.forward import ClipEncoder, Vision, base_of, logps_by_branch, on
from training.metrics import accuracy, no_verdict, summary, verdict
from training.plan import Reporter, RunPlan, Stopped
from training.predictions import add_predictions, learnt_from, prediction, read_predictions
from training.question_groups import Asked, prepare_questions
from training.questions import Question
from training.results import clocked


@dataclass(frozen=True)
class Scores:
    """The log-probability of each option's whole reply, in nats, and of how many tokens it is, the mark of the end included."""

    sums: tuple[float, ...]
    tokens: tuple[int, ...]


class OneClip(FeatureCache):
    """The features of the pictures seen last, in memory: base and adapter look at one clip in turn."""

    def __init__(self) -> None:
        self._held: tuple[str, dict[str, Any]] = ("", {})

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the features, if they are those of this key."""
        return self._held[1] if self._held[0] == key else None

    def put(self, key: str, tensors: Mapping[str, Any]) -> None:
        """Hold these features in place of others."""
        self._held = key, dict(tensors)


def score_clip(model: Any, clips: ClipEncoder, questions: Sequence[Question]) -> list[Scores]:
    """Return the scores of questions that share a video, as if each option had been scored by itself; one pass through the model.

    Raises InputError when their pictures differ.
    """
    asked = [(question.row, reply) for question in questions for reply in question.replies]
    packed, inputs = clips.packed([row for row, _ in asked], [reply for _, reply in asked])
    with _scoring(model) as device:
        logps = iter([(float(one.double().sum()), len(one)) for one in logps_by_branch(model, on(inputs, device), packed)])
    return [Scores(*zip(*islice(logps, len(question.options)), strict=True)) for question in questions]


class Accuracy(TrainerCallback):
    """Scores the questions before training, every so many steps and at the end; each time it appends an event `accuracy`."""

    def __init__(self, prepared: Prepared, asked: Asked, reporter: Reporter, seen: Callable[[], Mapping[str, int]]) -> None:
        """`prepared` holds the encoder of the questions; `seen` tells how many "items" and learnt "tokens" the run has learnt from so far."""
        self._plan, self._asked, self._reporter, self._seen = prepared.plan, asked, reporter, seen
        self._prepared = prepared
        self._last_step: int | None = None
        self._trained_s = _trained_before(prepared.plan)
        self._since_s = 0.0

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Score what the run starts from; one that goes on where it was ended has done so already."""
        self._clips = clips_of(self._prepared, kwargs["model"])
        self._since_s = time.monotonic()
        if state.global_step == 0:
            self._look(kwargs["model"], state.global_step)

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Score every `accuracy_steps` steps."""
        if state.global_step % self._plan.config.accuracy_steps == 0:
            self._look(kwargs["model"], state.global_step)

    def on_train_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Score what the run ends with, unless it was just done or somebody waits for the end."""
        if self._last_step != state.global_step and not self._reporter.stop_asked():
            self._look(kwargs["model"], state.global_step)

    def _look(self, model: Any, step: int) -> None:
        """Append the event, unless somebody asks for the end meanwhile."""
        self._trained_s += time.monotonic() - self._since_s
        questions = self._plan.questions
        self._reporter.emit("phase", phase=f"scoring {len(questions)} questions")
        verdicts = [no_verdict(reason) for reason in self._asked.unscored.values()]
        for group in takewhile(lambda _: not self._reporter.stop_asked(), self._asked.groups):
            verdicts += _verdicts(model, self._clips, group)
        if len(verdicts) == len(questions):
            clips, seconds = len({one.clip for one in questions}), round(self._trained_s, 1)
            self._reporter.emit("accuracy", step=step, **self._seen(), seconds=seconds, clips=clips, **accuracy(verdicts))
        self._reporter.emit("phase", phase="training")
        self._last_step, self._since_s = step, time.monotonic()


def accuracy_callbacks(plan: RunPlan, processor: Any, reporter: Reporter, seen: Callable[[], Mapping[str, int]]) -> list[TrainerCallback]:
    """Return what a trainer needs to tell the accuracy while it trains; nothing when the config asks for none. Decodes the questions' clips.

    Raises what `prepare_questions` raises.
    """
    if not (plan.config.accuracy_steps and plan.questions):
        return []
    asked = prepare_questions(processor, plan, reporter)
    return [Accuracy(Prepared(plan, processor, asked.encoder, []), asked, reporter, seen)]


def evaluate_run(plan: RunPlan, reporter: Reporter) -> dict[str, Any]:
    """Score the plan's questions with the base and, with a parent run, its adapter; return the figures of the result.

    What predictions.jsonl tells already is not asked again. Raises what `prepare_questions` raises, and Stopped before the first score.
    """
    source = base_source(plan, (question.row for question in plan.questions), reporter)
    processor = models.load_processor(source)
    asked = prepare_questions(processor, plan, reporter)
    model = load(source, plan, reporter)
    if plan.config.parent_run:
        model = PeftModel.from_pretrained(model, str(plan.directory / "parent" / "adapter"))
    vision = Vision(model, OneClip(), processor, plan.config.context_plan()) if _sees_alike(model) else None
    clips = ClipEncoder(asked.encoder, model, vision)
    started_s = time.monotonic()
    early = _predict(model, clips, asked, plan, reporter)
    predictions = read_predictions(plan.directory)
    if not predictions:
        raise Stopped
    cuda = torch.cuda.is_available()
    said = {"reason": f"Stopped as asked; {len(predictions)} of {len(plan.questions)} questions are scored. A resumed run asks the others."} if early else {}
    return {
        **said,
        "stage": plan.config.stage,
        "model": plan.config.model,
        "random_weights": plan.config.random_weights,
        "note": "Random weights: proves the pipeline, knows nothing." if plan.config.random_weights else None,
        "stopped_early": early,
        "questions_in_run": len(plan.questions),
        "accuracy": summary(predictions),
        "scoring_seconds": round(time.monotonic() - started_s, 1),
        "device": torch.cuda.get_device_name(0) if cuda else "cpu",
        "peak_device_bytes": torch.cuda.max_memory_allocated() if cuda else None,
        "peak_host_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def _predict(model: Any, clips: ClipEncoder, asked: Asked, plan: RunPlan, reporter: Reporter) -> bool:
    """Append the predictions that are not there yet, group by group; return whether it was stopped before the end."""
    by_id = {question.id: question for question in plan.questions}
    digests = learnt_from(plan.directory / "parent") if plan.config.parent_run else frozenset()
    done = {one["question"] for one in read_predictions(plan.directory)}
    hidden = {name: no_verdict(reason) for name, reason in asked.unscored.items() if name not in done}
    paired = isinstance(model, PeftModel)
    add_predictions(plan.directory, [prediction(by_id[name], one, one if paired else None, digests) for name, one in hidden.items()])
    done |= set(hidden)
    reporter.emit("phase", phase=f"scoring {len(by_id)} questions", questions=len(by_id))
    for group in asked.groups:
        left = [question for question in group if question.id not in done]
        if not left:
            continue
        if reporter.stop_asked():
            return True
        with model.disable_adapter() if paired else contextlib.nullcontext():
            base = _verdicts(model, clips, left)
        adapter = _verdicts(model, clips, left) if paired else [None] * len(left)
        add_predictions(plan.directory, [prediction(*one, digests) for one in zip(left, base, adapter, strict=True)])
        done |= {question.id for question in left}
        reporter.emit("scored", questions=len(done), of=len(by_id))
    return False


def _verdicts(model: Any, clips: ClipEncoder, questions: Sequence[Question]) -> list[dict[str, Any]]:
    scores = score_clip(model, clips, questions)
    return [verdict(one.sums, one.tokens, question.answer) for one, question in zip(scores, questions, strict=True)]


@contextlib.contextmanager
def _scoring(model: Any) -> Iterator[torch.device]:
    """Yield the model's device while nothing is dropped out or remembered for gradients; afterwards the model trains on as before."""
    base, trained = base_of(model), model.training
    dtype = base.get_input_embeddings().weight.dtype
    model.eval()
    try:
        # In the types of a training step, where the trainer lets the library choose them.
        with torch.no_grad(), torch.autocast(base.device.type, dtype=dtype, enabled=dtype != torch.float32):
            yield base.device
    finally:
        model.train(trained)


def _sees_alike(model: Any) -> bool:
    """Return whether pictures become the same with the adapter as without: an adapter on the projector shares no features with its base."""
    return not any("lora_" in name for name, _ in base_of(model).model.visual.named_parameters())


def _trained_before(plan: RunPlan) -> float:
    """Return the seconds of training up to the checkpoint from which the run goes on; 0 for one that begins."""
    begun = [seconds for event, seconds in clocked(read_events(plan.directory / EVENTS).events) if event["kind"] == "resumed"]
    return begun[-1] if begun and plan.resume_from else 0.0
