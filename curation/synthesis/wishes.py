"""What a person orders, as a value, and what cannot be ordered: said before anything is paid. Reads the store for the batch alone."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import sqlite_utils

from curation.synthesis.arms import PRESETS, Arm
from curation.synthesis.choosing import Chosen
from curation.synthesis.merging import check_batch
from curation.synthesis.pictures import DEFAULT_VIEW, full_view
from curation.synthesis.plan import Limits, Prices, PromptText, SynthesisPlan, WriterSpec
from curation.synthesis.prompts import check
from curation.synthesis.writers.making import sees
from curation.synthesis.writing import Sampling
from store.errors import InputError

EXECUTORS = ("local", "ray")
LAYOUTS = ("interleaved", "block", "video")  # of the context builder
MOST_SEEDS = 64
BATCH = "Synthesised texts"


@dataclass(frozen=True)
class Wish:
    """What a person orders."""

    kind: str  # "narrative" or "rationale"
    arm: Arm
    writer: WriterSpec
    sampling: Sampling
    prompt: PromptText
    seeds: int = 1  # texts of each subject: with the sampling's seed, the next one, ...
    chosen: Chosen = field(default_factory=Chosen)
    limits: Limits = field(default_factory=Limits)
    prices: Prices | None = None
    view: Mapping[str, Any] = field(default_factory=dict)  # what differs from pictures.DEFAULT_VIEW
    batch: str | None = None  # the texts are queued there; None: nowhere
    wanted: int = 2  # annotations of each
    executor: str = "local"


def batch_meant(arm: Arm) -> str | None:
    """Return the batch that texts of the arm wait in when nobody says; None: nowhere, for people do not judge what is wrong on purpose unasked."""
    return None if arm.answer == "wrong" else BATCH


def plan_of_wish(db: sqlite_utils.Database, wish: Wish) -> SynthesisPlan:
    """Return the plan without id and items. Raises InputError or ConflictError when the order cannot be."""
    for problem in _problems(wish):
        raise InputError(problem)
    arm, sampling = wish.arm, wish.sampling
    if wish.writer.kind == "template":
        # It looks at nothing and draws no words; the record of its texts must say so.
        arm, sampling = replace(arm, shown="nothing"), replace(sampling, temperature=0.0)
    plan = SynthesisPlan(
        id="",
        name="",
        arm=arm,
        writer=wish.writer,
        sampling=sampling,
        prompt=wish.prompt,
        limits=wish.limits,
        prices=wish.prices,
        # An adapter is shown clips as the rows that it learnt from were.
        view={} if arm.shown == "nothing" or wish.writer.run_id else full_view(wish.view),
        batch=wish.batch,
        wanted=wish.wanted,
        executor=wish.executor,
    )
    check(plan.prompt, plan.arm)
    check_batch(db, plan)
    return replace(plan, name=name_of(plan))


def limit_problems(limits: Limits, prices: Prices | None) -> Iterator[str]:
    """Yield a sentence for each bound that cannot be."""
    if limits.money is not None and prices is None:
        yield "A budget in money needs prices, and none are known here. Give them (--prices IN,OUT), or a budget in tokens (--token-budget)."
    yield from _below(
        1,
        {
            "number in flight": limits.in_flight,
            "number of attempts": limits.attempts,
            "number of workers": limits.workers,
            "budget in tokens": limits.tokens,
        },
    )
    for what, value in {"rate a minute": limits.a_minute, "rate of tokens a minute": limits.tokens_a_minute, "budget": limits.money}.items():
        if value is not None and not (math.isfinite(value) and value > 0):
            yield f"The {what} is {value:g}, and must be more than 0. Leave it out for none."
    if prices is not None:
        yield from _below(0, {"price of tokens that are read": prices.per_million_in, "price of tokens that are written": prices.per_million_out})


def _problems(wish: Wish) -> Iterator[str]:
    yield from _writer_problems(wish)
    yield from _view_problems(wish.view)
    yield from limit_problems(wish.limits, wish.prices)
    yield from _below(0, {"temperature": wish.sampling.temperature})
    yield from _below(
        1,
        {
            "number of texts of each subject": wish.seeds,
            "number of tokens of an answer": wish.sampling.new_tokens,
            "number of annotations wanted": wish.wanted,
            "number of seconds that an answer may take": wish.writer.answer_s,
        },
    )
    if wish.seeds > MOST_SEEDS:
        yield f"{wish.seeds} texts of each subject are too many: {MOST_SEEDS} at most."
    if wish.executor not in EXECUTORS:
        yield f"{wish.executor!r} is no executor. There are: {', '.join(EXECUTORS)}."


def _below(least: float, values: Mapping[str, float | None]) -> Iterator[str]:
    for what, value in values.items():
        if value is not None and not (math.isfinite(value) and value >= least):
            yield f"The {what} is {value:g}, and must be {least:g} or more."


def _view_problems(view: Mapping[str, Any]) -> Iterator[str]:
    for name, value in view.items():
        meant = DEFAULT_VIEW.get(name)
        if meant is None:
            yield f"{name} is nothing that a view says. There are: {', '.join(DEFAULT_VIEW)}."
        elif isinstance(meant, int) and (not isinstance(value, int) or value < (0 if name == "max_lines" else 1)):
            yield f"{name} is {value!r}, and must be a whole number, such as {meant}."
        elif name == "layout" and value not in LAYOUTS:
            yield f"The layout is {value!r}, and must be one of {', '.join(LAYOUTS)}."


def _writer_problems(wish: Wish) -> Iterator[str]:
    writer, arm = wish.writer, wish.arm
    if wish.kind != arm.kind:
        yield f"The arm is one of {arm.kind}s, and {wish.kind}s were asked for. Choose an arm of {wish.kind}s."
    seen = sees(writer)
    if writer.kind == "template":
        if wish.seeds > 1:
            yield f"The template writes the same text each time, so {wish.seeds} of each subject would be one. Ask for 1."
        if arm.kind == "narrative" and arm.shown != "nothing":
            yield "The template looks at nothing, so no narrative of it can be shown frames or the video. Choose another generator, or shown=nothing."
    elif not writer.model.strip():
        yield f"The generator {writer.kind} needs the name of a model (--model)."
    elif arm.shown == "video" and seen not in ("film", "clip"):
        yield f"The generator {writer.kind} can be shown pictures, not the video. Choose shown=frames, or the generator gemini."


def name_of(plan: SynthesisPlan) -> str:
    """Return what people call the run: what is written, by whom, in which arm."""
    preset = next((name for name, arm in PRESETS[plan.arm.kind].items() if arm == plan.arm), None)
    # The template's arms are those of the others with nothing shown.
    preset = preset or next((name for name, arm in PRESETS[plan.arm.kind].items() if replace(arm, shown=plan.arm.shown) == plan.arm), "own arm")
    return f"{plan.arm.kind}s, {preset}, {plan.writer.kind} {plan.writer.run_id or plan.writer.model}"
