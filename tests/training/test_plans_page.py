"""The tab Plans: one click is one plan, and what its runs have come to is shown without drawing anew what has not changed."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from store.context import Context
from store.errors import ConflictError, InputError, RefusedError
from store.records import CuratedSet
from tests.training.conftest import Studio
from tests.training.test_stages import end, sets_of
from training.config import KINDS
from training.form import FIELDS, values_of
from training.presets import PRESETS
from training.recipes import ARMS
from training.stages import Plan, list_plans
from training.ui.plans import PLOTS, PlansPage, steps_html
from training.ui.setup import SetupPage

SFT = PRESETS[0].config()
AXIS = "optimiser steps"


@pytest.fixture
def page(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> PlansPage:
    """The tab, with nobody to give a run its turn: what is made waits in the queue."""
    sets, asked = sets_of(studio), []

    def freeze_set(kind: str, name: str, kinds: tuple[str, ...]) -> CuratedSet:
        asked.append((kind, kinds))
        return {"sft": sets.texts, "questions": sets.questions, "dpo": sets.pairs or sets.texts}[kind]

    monkeypatch.setattr("training.ui.plans.turns.advance", lambda data: [])
    context = Context(studio.data, lambda fn: fn, freeze_set)
    return PlansPage(context, SetupPage(context).asked)


def inputs(page: PlansPage, stage: str = "sft", **changes: Any) -> list[Any]:
    with page.context.open() as db:
        texts = next(row["id"] for row in db["curated_set"].rows_where("kind = 'sft' AND row_count = 24"))
    values = dict(zip((field.name for field in FIELDS), values_of(SFT), strict=True)) | changes
    return [stage, texts, None, None, *values.values()]


def arms(page: PlansPage, **changes: Any) -> Plan:
    choices, said = page.start_arms("", 20, 5, "items", 0, *inputs(page, **changes))
    assert "4 runs" in said and choices["value"] in [value for _, value in choices["choices"]]
    return next(plan for plan in list_plans(page.context.data) if plan.id == choices["value"])


def tell_accuracy(data: Path, plan: Plan, step: int, arms: int = 4) -> None:
    """Let the first arms say that they looked at their accuracy at this step."""
    for number, one in enumerate(plan.steps[:arms]):
        told = {"step": step, "items": 2 * step, "tokens": 9 * step, "seconds": 1.5 * step, "correct": number, "n": 4, "low": 0.1, "high": 0.9}
        event = {"kind": "accuracy", "at": 5.0 + step, **told, "nll": 1.2, "nll_n": 4, "clips": 1}
        with (data / "runs" / one.order.run_id / "events.jsonl").open("a") as stream:
            stream.write(json.dumps(event) + "\n")


def test_one_click_freezes_all_kinds_and_puts_an_arm_each_into_the_queue(page: PlansPage) -> None:
    plan = arms(page)
    assert [step.name for step in plan.steps] == list(ARMS) and arms(page) == plan, "a double click is one plan"
    assert arms(page, seed=2).id != plan.id, "the control"
    queued = list((page.context.data / "runs").glob("*/queued.json"))
    assert len(queued) == 8
    steps, _, *_ = page.look(plan.id, AXIS, ())
    assert steps.count('class="state queued"') == 4 and "raw QA" in steps


def test_a_field_that_was_emptied_is_refused_in_a_sentence(page: PlansPage) -> None:
    with pytest.raises(InputError, match="epochs is 0"):
        page.start_arms("", None, 5, "items", None, *inputs(page))


def test_the_course_takes_its_settings_from_the_first_tab(page: PlansPage) -> None:
    _, pairs = page.load()
    choices, said = page.start_course("mine", "Pipeline check (DPO)", pairs["value"], *inputs(page, seed=7))
    assert said.startswith("mine goes on: 4 runs")
    (plan,) = list_plans(page.context.data)
    assert plan.id == choices["value"] and {step.order.config.seed for step in plan.steps} == {7}
    without = page.start_course("", "Pipeline check (DPO)", None, *inputs(page, seed=8))
    assert "Course goes on" in without[1], "without a choice the pairs that are accepted now are frozen"
    with pytest.raises(InputError, match="begins with SFT"):
        page.start_course("", "Pipeline check (DPO)", pairs["value"], "write", *inputs(page)[1:])


def test_what_no_machine_here_can_do_is_refused_before_anything_is_made(page: PlansPage) -> None:
    for start in (lambda asked: page.start_arms("", 9, 3, "tokens", 50, *asked), lambda asked: page.start_course("", "DPO from SFT", None, *asked)):
        with pytest.raises((RefusedError, InputError), match="no folder on this machine"):
            start(inputs(page, model="/no/such/folder"))
    assert not (page.context.data / "plans").exists()


def test_arms_are_plotted_beside_each_other_and_only_anew_when_one_has_looked_again(page: PlansPage) -> None:
    plan = arms(page)
    _, table, *plots, seen = page.look(plan.id, AXIS, ())
    assert not any(plot["visible"] for plot in plots) and "None of these runs has looked at its accuracy" in table
    assert "not to be compared" in table, "tiny models made from the arms' own texts have no base in common"
    tell_accuracy(page.context.data, plan, 0, arms=1)
    frame = page.look(plan.id, AXIS, ())[2]["value"]
    assert set(frame["run"]) == set(ARMS) and frame["accuracy"].notna().sum() == 1, "each has its place from the first drawing on, begun or not"
    tell_accuracy(page.context.data, replace(plan, steps=plan.steps[1:]), 0)
    tell_accuracy(page.context.data, plan, 5)
    _, table, *plots, seen = page.look(plan.id, AXIS, seen)
    frame = plots[list(PLOTS).index("accuracy")]["value"]
    assert all(plot["visible"] for plot in plots) and len(frame.dropna()) == 8 and set(frame["run"]) == set(ARMS)
    assert "75.0% (10.0% to 90.0%)" in table and "| 4 |" in table, "with interval and n"
    assert page.look(plan.id, AXIS, seen) == [gr.skip()] * (3 + len(PLOTS))
    with (page.context.data / "runs" / plan.steps[0].order.run_id / "events.jsonl").open("a") as stream:
        stream.write(json.dumps({"kind": "heartbeat", "at": 30.0, "idle_s": 5}) + "\n")
    _, _, *plots, seen = page.look(plan.id, AXIS, seen)
    assert plots == [gr.skip()] * len(PLOTS), "a sign of life draws nothing"
    assert page.look(plan.id, "seconds of training", seen)[2] != gr.skip()
    assert page.look(None, AXIS, seen)[0].startswith('<p class="note">No plan')


def test_a_plan_is_stopped_with_all_its_runs_and_what_ended_cannot_be(page: PlansPage) -> None:
    plan = arms(page)
    end(page.context.data, plan.steps[0])
    assert page.stop(plan.id).startswith("3 runs of")
    assert len(list((page.context.data / "runs").glob("*/stop"))) == 3
    with pytest.raises(ConflictError, match="nothing to stop"):
        page.stop(plan.id)
    assert "is started once more" in page.try_again(plan.id)


def test_each_kind_of_rows_is_asked_for(page: PlansPage) -> None:
    asked: list[Any] = []
    real = page.context.freeze_set
    spy = Context(page.context.data, lambda fn: fn, lambda *order: (asked.append(order), real(*order))[1])
    arms(PlansPage(spy, page.asked))
    assert [(kind, kinds) for kind, _, kinds in asked] == [("sft", KINDS), ("questions", ())]


def test_every_word_of_a_step_is_escaped(page: PlansPage) -> None:
    plan = arms(page)
    found = [type("Status", (), {"step": plan.steps[0], "state": "refused", "reason": "<img src=x>"})]
    assert "<img" not in steps_html(found)  # type: ignore[arg-type]
