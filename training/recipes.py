"""The two plans that a click makes: the whole course from texts to preferences, and arms that differ in their rows alone."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from store.errors import InputError
from store.records import CuratedSet
from training.config import LOCKED, PIPELINE_CHECKS, RunConfig
from training.jobs import Order
from training.preferences import few_pairs_problem
from training.presets import Preset
from training.questions import contamination_problem, load_questions
from training.rows import Row, load_set, planned_rows
from training.stages import Step

# What each arm learns from: kinds of rows, in equal shares.
ARMS: dict[str, tuple[str, ...]] = {
    "raw QA": ("answer",),
    "narratives": ("narrative",),
    "rationales": ("rationale",),
    "both": ("narrative", "rationale"),
}
EQUALS = ("items", "tokens")


@dataclass(frozen=True)
class Sets:
    """What a plan works on."""

    texts: CuratedSet
    questions: CuratedSet
    pairs: CuratedSet | None = None  # course only


@dataclass(frozen=True)
class Arms:
    """How arms are made equal, and how closely they are watched."""

    steps: int  # optimiser steps an arm
    look_steps: int  # optimiser steps between two looks at the accuracy
    equal: str  # one of EQUALS: what of the rows is the same in all arms
    learnt_tokens: int = 0  # an epoch and arm, for equal tokens; 0: as many as the smallest arm has


def full_course(data: Path, name: str, sets: Sets, config: RunConfig, preference: Preset, token: str) -> tuple[Step, ...]:
    """Return SFT with `config`, then DPO with the preset `preference` from its adapter, each with its evaluation.

    Raises InputError for a config that is no SFT's, without pairs or with too few of them.
    """
    _refuse_other_stage(config)
    if sets.pairs is None:
        raise InputError("The course ends with DPO, and there is no set of preference pairs. Accept pairs, freeze them, then start it.")
    sft = _order(f"{name}: SFT", replace(config, question_set=None, accuracy_steps=0), sets.texts, token)
    locked = {field: getattr(sft.config, field) for field in LOCKED}
    dpo = _order(f"{name}: DPO", preference.config(**{**locked, "parent_run": sft.run_id, "seed": config.seed}), sets.pairs, token)
    pairs = planned_rows(load_set(data / sets.pairs.directory).rows, dpo.config)[0]
    texts = planned_rows(load_set(data / sets.texts.directory).rows, sft.config)[0]
    problem = few_pairs_problem(len(pairs), dpo.config) or _memory_problem(data, sets, (*texts, *pairs))
    if problem:
        raise InputError(problem)
    return (
        Step("SFT", sft),
        Step("Evaluation of SFT", _evaluation(f"{name}: evaluation of SFT", sft, sets.questions, token), ("SFT",)),
        Step("DPO", dpo, ("SFT",)),
        Step("Evaluation of DPO", _evaluation(f"{name}: evaluation of DPO", dpo, sets.questions, token), ("DPO",)),
    )


def arms(data: Path, name: str, sets: Sets, config: RunConfig, how: Arms, token: str) -> tuple[Step, ...]:
    """Return one SFT run an arm, alike in all but the kinds of rows: as many steps, warm-up and then a constant learning rate, as many rows or tokens.

    A learning rate that falls would tie the curve to the planned length, so that arms could be compared at their ends only.

    Raises InputError when the set lacks a kind, or the learnt tokens cannot be counted and are not given.
    """
    _refuse_other_stage(config)
    base = replace(
        config,
        schedule="constant",
        max_steps=how.steps,
        epochs=how.steps,  # the steps end the run, however few rows there are
        max_rows=0,
        max_learnt_tokens=0,
        question_set=sets.questions.id,
        accuracy_steps=how.look_steps,
    )
    configs = {arm: replace(base, kinds=kinds, shares=(1.0,) * len(kinds)) for arm, kinds in ARMS.items()}
    every = load_set(data / sets.texts.directory).rows
    rows = {arm: planned_rows(every, one)[0] for arm, one in configs.items()}
    problem = _memory_problem(data, sets, [row for part in rows.values() for row in part])
    if problem:
        raise InputError(problem)
    if how.equal == "items":
        limit: dict[str, Any] = {"max_rows": min(map(len, rows.values()))}
    else:
        limit = {"max_learnt_tokens": how.learnt_tokens or min(learnt_tokens(part, config.model) for part in rows.values())}
    return tuple(Step(arm, _order(f"{name}: {arm}", replace(one, **limit), sets.texts, token, sets.questions)) for arm, one in configs.items())


def learnt_tokens(rows: Sequence[Row], model: str) -> int:
    """Return the tokens of the replies by the tokenizer in the model's folder, the marks that end a turn left out.

    Raises InputError when there is no such file, with what to do.
    """
    path = Path(model).expanduser() / "tokenizer.json"
    if model in PIPELINE_CHECKS or not path.is_file():
        raise InputError(f"How many tokens the replies have is not known: the tokenizer of {model} is not on this machine. Give the learnt tokens an arm.")
    # Not at the top: the page loads without it, and most pages never count.
    from tokenizers import Tokenizer

    return sum(len(encoding.ids) for encoding in Tokenizer.from_file(str(path)).encode_batch([row.reply for row in rows]))


def _memory_problem(data: Path, sets: Sets, rows: Iterable[Row]) -> str | None:
    return contamination_problem({row.clip.digest for row in rows}, load_questions(data / sets.questions.directory))


def _evaluation(name: str, of: Order, questions: CuratedSet, token: str) -> Order:
    quiet: dict[str, Any] = {"kinds": (), "shares": (), "beta": None, "loss_types": (), "loss_weights": (), "accuracy_steps": 0, "packing": "none"}
    config = replace(of.config, stage="evaluate", parent_run=of.run_id, question_set=questions.id, **quiet)
    return _order(name, config, questions, token, questions)


def _order(name: str, config: RunConfig, curated: CuratedSet, token: str, questions: CuratedSet | None = None) -> Order:
    return Order(name, config, curated, token, questions)


def _refuse_other_stage(config: RunConfig) -> None:
    if config.stage != "sft":
        raise InputError(f"A plan begins with SFT, and the settings are those of the stage {config.stage}. Choose the stage SFT in the tab Set up.")
