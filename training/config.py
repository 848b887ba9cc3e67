"""What a run is asked to do: RunConfig, frozen, a unit beside each field."""

import json
import math
import types
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

from store.errors import InputError
from training.context import ContextPlan
from training.families import Family, family_of

PIPELINE_CHECK = "pipeline-check"  # a tiny Qwen2.5-VL
PIPELINE_CHECK_QWEN3 = "pipeline-check-qwen3"  # a tiny Qwen3-VL
PIPELINE_CHECKS = (PIPELINE_CHECK, PIPELINE_CHECK_QWEN3)
# "evaluate" scores multiple-choice questions, "write" has the model write texts; both with the base and, with a parent run, its adapter.
STAGES = ("sft", "dpo", "evaluate", "write")
_RUNS = {"sft": "An SFT", "evaluate": "An evaluating", "write": "A writing"}
KINDS = ("narrative", "rationale", "answer")
PACKINGS = ("none", "clip")
SCORED = ("reply", "final_answer")
QUANTISATIONS = ("nf4", "none")
SCHEDULES = ("cosine", "linear", "constant")
LOSSES = ("sigmoid", "sft", "ipo", "sigmoid_norm", "hinge", "apo_zero")
COMPATS = ("none", "povqa")
# How frames, lines and words become what the model sees.
SHOWN = (
    "layout", "frames", "longest_side_px", "selection", "pooling", "window_s", "compat", "keyframe", "hint", "pause_causal", "max_lines", "budget_tokens",
)  # fmt: skip
# What a DPO run takes over from its SFT run: a reference that saw other pixels or another base is no reference.
LOCKED = ("model", "quantisation", *SHOWN, "lora_rank", "lora_alpha", "lora_dropout", "projector")


@dataclass(frozen=True)
class RunConfig:
    """One run, whole: two runs with equal configs on one curated set do the same work."""

    stage: str  # one of STAGES
    model: str  # "pipeline-check", "pipeline-check-qwen3", a local folder, or a hub id such as Qwen/Qwen2.5-VL-3B-Instruct
    quantisation: str  # "nf4" (4 bits, double quantised) or "none" (bfloat16)
    frames: int  # pictures a clip, at most; a key frame comes on top
    longest_side_px: int  # pixels; larger frames are scaled down to it, smaller ones stay
    max_tokens: int  # tokens a row, those of the video included; a longer row is refused, never cut
    lora_rank: int  # columns of each low-rank factor
    lora_alpha: int  # the update is scaled by alpha / rank
    lora_dropout: float  # share of the adapter's input dropped while training, 0 to below 1
    learning_rate: float  # step size at the end of the warm-up
    schedule: str  # "cosine", "linear" or "constant", after the warm-up
    warmup_share: float  # share of all optimiser steps, 0 to below 1
    epochs: int  # passes over the training rows
    max_steps: int  # optimiser steps after which the run ends although epochs are left; 0: no such limit
    batch_size: int  # rows (DPO: pairs) a forward pass
    accumulation: int  # forward passes an optimiser step
    max_grad_norm: float  # the gradient is scaled down to this Euclidean norm
    checkpoint_steps: int  # optimiser steps between two checkpoints
    validation_rows: int  # held-out rows scored before and after training, at most; 0: none
    seed: int  # of initial weights, row order and dropout
    beta: float | None = None  # DPO: reward = beta x (log-probability ratio, summed over tokens; sigmoid_norm: averaged)
    loss_types: tuple[str, ...] = ()  # DPO: terms that are added up
    loss_weights: tuple[float, ...] = ()  # DPO: one weight a term
    parent_run: str | None = None  # DPO: id of the SFT run whose adapter is start and reference; evaluate, write: of the run whose adapter is used
    # What is shown, as ContextPlan tells it. Configs that were written before these fields mean what stands here: frames as one video.
    layout: str = "video"  # "video" (one video), "interleaved" (pictures, each with what is said then) or "block" (pictures, then the lines)
    selection: str = "uniform"  # "uniform" over the clip, "near_ts" (nearest to the pause) or "all" (every window)
    pooling: str = "none"  # "none" (a picture is one frame) or "WA", "WAE", "WAR", "BBLF" (a picture blends the frames of a window)
    window_s: float = 1.0  # seconds a window
    compat: str = "none"  # "none": all by true time; "povqa": choice and weights by frame count, as POVQA's public code has them
    keyframe: str = "none"  # the frame at the pause: "none", "in_order" of time, or "last"
    hint: bool = False  # whether a line before the question tells where the clip is paused
    pause_causal: bool = False  # whether nothing after the pause is shown
    max_lines: int = 0  # spoken lines a row, at most
    budget_tokens: int = 0  # tokens of the user's turn, pictures included; what is least relevant is left out; 0: no such limit
    # Which rows are learnt from.
    kinds: tuple[str, ...] = ()  # SFT: kinds of rows, each with its share; empty: all rows as they are
    shares: tuple[float, ...] = ()  # SFT: of each of `kinds`, in any unit; rows are left out so that they hold, never repeated
    max_rows: int = 0  # training rows, at most; 0: no such limit
    max_learnt_tokens: int = 0  # tokens that are learnt in one epoch, at most; 0: no such limit
    # How they go through the model.
    packing: str = "none"  # "clip": all rows of a clip in one sequence, its video once; "none": each row by itself
    pack_rows: int = 16  # rows (DPO: pairs) a sequence, at most, with packing
    feature_cache: bool = False  # keep what the frozen vision tower makes of a clip
    projector: bool = False  # LoRA on the layers between vision tower and language model too
    # DPO only.
    scored: str = "reply"  # "reply" (all its tokens) or "final_answer" (what stands behind the words Final answer:)
    pair_weights: bool = False  # weigh each pair's loss with the weight in its row
    few_pairs: bool = False  # go on with fewer pairs than a preference can be learnt from
    # Multiple-choice accuracy, in a stage "evaluate" and while SFT or DPO goes on.
    question_set: str | None = None  # id of a curated set of the kind questions
    accuracy_questions: int = 0  # questions, at most; 0: all of the set
    accuracy_steps: int = 0  # optimiser steps between two looks at the accuracy; 0: none while training
    # Stage "write" only.
    writes: str = "answer"  # one of KINDS
    temperature: float = 0.0  # 0: the likeliest token each time
    new_tokens: int = 256  # tokens a text, at most; one that reaches it is marked as cut

    def __post_init__(self) -> None:
        """Raise InputError when a value is outside its range or two values contradict each other."""
        problems = _ranges(self) + _contradictions(self)
        if problems:
            raise InputError(problems[0])
        self.context_plan()

    @property
    def random_weights(self) -> bool:
        """Whether the model is the tiny random one, which proves the pipeline and learns nothing of use."""
        return self.model in PIPELINE_CHECKS

    @property
    def family(self) -> Family:
        """The family of the model, as far as its name or folder tells."""
        return family_of(self.model)

    def context_plan(self) -> ContextPlan:
        """Return how a row's context is built. Raises InputError when the values contradict each other."""
        return ContextPlan(
            layout=self.layout,
            selection=self.selection,
            frames=self.frames,
            pooling=self.pooling,
            window_s=self.window_s,
            keyframe=self.keyframe,
            hint=self.hint,
            pause_causal=self.pause_causal,
            max_lines=self.max_lines,
            budget_tokens=self.budget_tokens or None,
            candidates="povqa" if self.compat == "povqa" else "time",
        )

    def to_json(self) -> str:
        """Return the config as JSON text with a line a field, in the order above."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "RunConfig":
        """Return the config that `text` holds.

        Raises InputError when the text is no JSON object, or a field is unknown, missing, of the wrong type, or out of range.
        """
        return cls.from_values(_parse_object(text))

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> "RunConfig":
        """Return the config with these values by field name. Raises InputError as `from_json` does."""
        hints = _hints()
        unknown = sorted(set(values) - set(hints))
        if unknown:
            raise InputError(f"The run config has the unknown field {unknown[0]!r}. Known are: {', '.join(hints)}.")
        needed = {field.name for field in fields(cls) if field.default is MISSING}
        missing = [name for name in hints if name in needed and name not in values]
        if missing:
            raise InputError(f"The run config lacks the field {missing[0]!r}. Add it.")
        return cls(**{name: _typed(name, hints[name], value) for name, value in values.items()})


def lock_problem(parent: RunConfig, config: RunConfig) -> str | None:
    """Return the sentence that says which locked field of a DPO config differs from its SFT run's, or None."""
    for name in LOCKED:
        ours, theirs = getattr(config, name), getattr(parent, name)
        if ours != theirs:
            return (
                f"{name} is {ours!r}, but the SFT run that this DPO run starts from has {theirs!r}. "
                "The policy and its reference must see the same model and pixels: take the parent's value."
            )
    return None


def _ranges(config: RunConfig) -> list[str]:
    problems = [
        _one_of("stage", config.stage, STAGES),
        _one_of("quantisation", config.quantisation, QUANTISATIONS),
        _one_of("schedule", config.schedule, SCHEDULES),
        _one_of("compat", config.compat, COMPATS),
        _one_of("packing", config.packing, PACKINGS),
        _one_of("scored", config.scored, SCORED),
        _one_of("writes", config.writes, KINDS),
        None if config.model.strip() else 'model is empty. Give "pipeline-check", a local folder or a hub id.',
        _between("frames", config.frames, 1, 768),
        _between("longest_side_px", config.longest_side_px, 28, 4096),
        _between("lora_dropout", config.lora_dropout, 0.0, 0.99),
        _between("warmup_share", config.warmup_share, 0.0, 0.99),
        _between("temperature", config.temperature, 0.0, 2.0),
    ]
    for name in ("max_tokens", "lora_rank", "lora_alpha", "epochs", "batch_size", "accumulation", "checkpoint_steps", "pack_rows", "new_tokens"):
        problems.append(_between(name, getattr(config, name), 1, 10_000_000))
    for name in ("max_steps", "validation_rows", "seed", "max_lines", "budget_tokens", "max_rows", "max_learnt_tokens", "accuracy_questions", "accuracy_steps"):
        problems.append(_between(name, getattr(config, name), 0, 2**31 - 1))
    for name in ("learning_rate", "max_grad_norm", "beta"):
        value = getattr(config, name)
        if value is not None and not (math.isfinite(value) and value > 0):
            problems.append(f"{name} is {value:g}, and must be above 0. Give a positive number.")
    return [problem for problem in problems if problem]


def _contradictions(config: RunConfig) -> list[str]:
    problems = []
    if config.layout == "video" and config.frames % 2:
        problems.append(f"frames is {config.frames}, and Qwen2.5-VL reads a video in twos: the last one would be counted twice. Give {config.frames + 1}.")
    if config.layout == "video" and config.keyframe != "none":
        problems.append(f"keyframe is {config.keyframe!r}, and a video, which Qwen2.5-VL reads in twos, has no room for it. Choose none or another layout.")
    if config.budget_tokens >= config.max_tokens:
        problems.append(
            f"budget_tokens is {config.budget_tokens}, and a row may have {config.max_tokens} tokens (max_tokens) with its prompt and reply. "
            "Give a smaller budget, or raise max_tokens."
        )
    problems += _mixture_problems(config)
    if config.accuracy_steps and config.question_set is None:
        problems.append("accuracy_steps is set, and there is no question_set to score. Choose one, or set accuracy_steps to 0.")
    preference = {"beta": config.beta, "loss_types": config.loss_types, "loss_weights": config.loss_weights}
    if config.stage != "dpo":
        given = [name for name, value in preference.items() if value]
        if config.stage == "sft" and config.parent_run:
            given.append("parent_run")
        if given:
            problems.append(f"{_RUNS[config.stage]} run has no {given[0]}. Leave it empty, or choose the stage dpo.")
        return problems
    lacking = [name for name, value in {**preference, "parent_run": config.parent_run}.items() if not value and name != "loss_weights"]
    if lacking:
        problems.append(f"A DPO run needs {lacking[0]}: it starts from the adapter of an SFT run and weighs pairs with beta.")
    if len(config.loss_types) != len(config.loss_weights):
        problems.append(f"There are {len(config.loss_types)} loss types and {len(config.loss_weights)} loss weights. Give one weight a type.")
    problems += [p for name in config.loss_types if (p := _one_of("a loss type", name, LOSSES))]
    if len(set(config.loss_types)) != len(config.loss_types):
        problems.append("A loss type stands twice. Name it once, with the sum of its weights.")
    if any(not (math.isfinite(weight) and weight > 0) for weight in config.loss_weights):
        problems.append(f"The loss weights are {config.loss_weights}, and each must be above 0. Leave out a term without weight.")
    if config.loss_types == ("sft",):
        problems.append("The only loss type is sft, which looks at no pair. Add sigmoid, or choose the stage sft.")
    return problems


def _mixture_problems(config: RunConfig) -> list[str]:
    if len(config.kinds) != len(config.shares):
        return [f"There are {len(config.kinds)} kinds of rows and {len(config.shares)} shares. Give one share a kind."]
    problems = [p for name in config.kinds if (p := _one_of("a kind of rows", name, KINDS))]
    if len(set(config.kinds)) != len(config.kinds):
        problems.append("A kind of rows stands twice. Name it once, with the sum of its shares.")
    if any(not (math.isfinite(share) and share > 0) for share in config.shares):
        problems.append(f"The shares are {config.shares}, and each must be above 0. Leave out a kind without a share.")
    if config.kinds and config.stage != "sft":
        problems.append("Only an SFT run mixes kinds of rows. Leave kinds and shares empty.")
    return problems


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> str | None:
    return None if value in choices else f"{name} is {value!r}, and must be one of {', '.join(choices)}."


def _between(name: str, value: float, low: float, high: float) -> str | None:
    # Written so that NaN, which compares false with everything, is out of range.
    return None if low <= value <= high else f"{name} is {value:g}, and must lie between {low:g} and {high:g}."


def _parse_object(text: str) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except ValueError as error:
        raise InputError(f"The run config is no JSON: {error}. Write it anew.") from error
    if not isinstance(values, dict):
        raise InputError(f"The run config is a JSON {type(values).__name__}, and must be an object of fields.")
    return values


@cache
def _hints() -> dict[str, Any]:
    return get_type_hints(RunConfig)


def _typed(name: str, hint: Any, value: Any) -> Any:
    if get_origin(hint) is types.UnionType:
        if value is None:
            return None
        hint = next(part for part in get_args(hint) if part is not types.NoneType)
    if get_origin(hint) is tuple and isinstance(value, list | tuple):
        return tuple(_typed(name, get_args(hint)[0], item) for item in value)
    if hint is bool and isinstance(value, bool):
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if get_origin(hint) is tuple or not isinstance(value, hint) or isinstance(value, bool):
        wanted = "list" if get_origin(hint) is tuple else hint.__name__
        raise InputError(f"{name} is {value!r}, and must be of the type {wanted}.")
    return value
