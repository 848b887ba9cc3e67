"""The tab Plans: several runs from one click, how far they are, and the arms of a comparison beside each other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
import pandas as pd

from store.context import Context
from store.curated import get_set, list_sets
from store.errors import ConflictError, InputError, NotFoundError, RefusedError
from store.records import CuratedSet
from training import stages, turns
from training.config import KINDS, RunConfig
from training.events import FILE_NAME as EVENTS
from training.form import preset_named, presets_for
from training.jobs import stop_and_save
from training.markdown import plain
from training.readiness import check_machine, find_gpus
from training.recipes import EQUALS, Arms, Sets, arms, full_course
from training.results import AXES, curves_of, curves_text
from training.ui.results import plot_update
from training.ui.run_views import CSS
from training.ui.runs import PRESSED, Shared

PLOTS = {"accuracy": "accuracy on held-out questions", "nll": "-log p of the right option, nats"}
NO_PLAN = '<p class="note">No plan has been started yet.</p>'
COURSE = "SFT with the settings of the tab Set up, its evaluation, DPO from its adapter, the evaluation of that: each when what it builds on has finished."
NO_COMMON_BASE = (
    "**Random weights: these arms are not to be compared.** The pipeline check builds its tiny model from each arm's own texts, so that they begin as "
    "different models, at different values. Arms of a real model begin at the same one."
)
ARMS_SAID = (
    "Four SFT runs with the settings of the tab Set up that differ in their rows alone: raw question-answer pairs, narratives, rationales, "
    "narratives and rationales. The learning rate stays constant after the warm-up, and all are asked the same held-out questions while they learn. "
    "What is accepted now is frozen for them."
)


@dataclass(frozen=True)
class PlansPage:
    """The tab's functions over one data directory. `asked(*inputs)` returns config and set of the tab Set up."""

    context: Context
    asked: Callable[..., tuple[RunConfig, str | None]]

    def load(self) -> list[Any]:
        """Return the choices of plans and pairs, the newest chosen."""
        with self.context.open() as db:
            pairs = [(f"{known.name} · {known.row_count:,} pairs · {known.created_at[:16]}", known.id) for known in list_sets(db, "dpo")]
        return [self._plan_choices(), gr.update(choices=pairs, value=pairs[0][1] if pairs else None)]

    def start_course(self, name: str, preset: str, pairs_id: str | None, *inputs: Any) -> list[Any]:
        """Start SFT, its evaluation, DPO and the evaluation of that; while it goes on, it is not started twice."""
        config, set_id = self.asked(*inputs)
        if set_id is None:
            raise InputError("No set of texts is chosen in the tab Set up. Freeze one there, then start the course.")
        sets = Sets(self._set(set_id), self._questions(inputs), self._set(pairs_id) if pairs_id else self.context.freeze_set("dpo", "Pairs for a course", ()))
        named = name.strip() or "Course"
        _refuse_unready(config)
        return self._start(named, "course", lambda token: full_course(self.context.data, named, sets, config, preset_named(preset), token))

    def start_arms(self, name: str, steps: float | None, look: float | None, equal: str, tokens: float | None, *inputs: Any) -> list[Any]:
        """Freeze what is accepted, raw pairs beside it, and start an SFT run an arm."""
        config, _ = self.asked(*inputs)
        texts = self.context.freeze_set("sft", "Rows for arms", KINDS)
        sets, how = Sets(texts, self._questions(inputs)), Arms(int(steps or 0), int(look or 0), equal, int(tokens or 0))
        named = name.strip() or f"Arms of equal {equal}"
        _refuse_unready(config)
        return self._start(named, "arms", lambda token: arms(self.context.data, named, sets, config, how, token))

    def look(self, plan_id: str | None, axis: str, shown: tuple[Any, ...]) -> list[Any]:
        """Return the steps of the chosen plan, and of arms the table and the plots; what has not changed since `shown` is left alone."""
        if not plan_id:
            return [NO_PLAN, "", *([gr.update(visible=False)] * len(PLOTS)), ()]
        plan = self._plan(plan_id)
        statuses = stages.plan_status(self.context.data, plan)
        arms_ = {status.step.name: self.context.data / "runs" / status.step.order.run_id for status in statuses if plan.kind == "arms"}
        # To read what all arms have said takes longer than to ask how much it is.
        steps, sizes = steps_html(statuses), tuple(_size(directory / EVENTS) for directory in arms_.values())
        if (steps, axis, sizes) == shown[:3]:
            return [gr.skip()] * (3 + len(PLOTS))
        curves = [curve for name, directory in arms_.items() for curve in curves_of(name, directory)]
        points = sum(len(curve.points) for curve in curves if curve.value in PLOTS)
        # A plot that is sent again flickers.
        drawn = [gr.skip()] * len(PLOTS) if (plan.id, axis, points) == shown[3:] else [plot_update(curves, value, axis) for value in PLOTS]
        notes = [NO_COMMON_BASE] if arms_ and plan.steps[0].order.config.random_weights else []
        return [steps, "\n\n".join([*notes, curves_text(curves)]) if arms_ else "", *drawn, (steps, axis, sizes, plan.id, axis, points)]

    def stop(self, plan_id: str | None) -> str:
        """Ask all runs of the plan that go on to save and end; what builds on them is then not started."""
        plan = self._plan(plan_id)
        live = [status.step.order.run_id for status in stages.plan_status(self.context.data, plan) if status.state in ("queued", "running", "stalled")]
        if not live:
            raise ConflictError(f"No run of {plan.name} goes on: there is nothing to stop.")
        for run_id in live:
            stop_and_save(self.context.data / "runs" / run_id)
        return f"{len(live)} runs of {plain(plan.name)} will save and end."

    def try_again(self, plan_id: str | None) -> str:
        """Start once more what was refused at its start."""
        plan = self._plan(plan_id)
        stages.try_again(self.context.data, plan.id)
        self._advance()
        return f"What was refused of {plain(plan.name)} is started once more."

    def _start(self, name: str, kind: str, steps_of: Callable[[str], Sequence[stages.Step]]) -> list[Any]:
        plan = stages.make_plan(self.context.data, name, kind, steps_of, PRESSED)
        self._advance()
        return [self._plan_choices(plan.id), f"{plain(plan.name)} goes on: {len(plan.steps)} runs, one after another where they need the same device."]

    def _advance(self) -> None:
        stages.advance_plans(self.context.data)
        turns.advance(self.context.data)

    def _questions(self, inputs: Sequence[Any]) -> CuratedSet:
        questions_id = inputs[3]
        return self._set(questions_id) if questions_id else self.context.freeze_set("questions", "Questions for a plan", ())

    def _set(self, set_id: str) -> CuratedSet:
        with self.context.open() as db:
            return get_set(db, set_id)

    def _plan(self, plan_id: str | None) -> stages.Plan:
        if not plan_id:
            raise NotFoundError("No plan is chosen. Choose one in the list of plans.")
        return stages.read_plan(self.context.data, plan_id)

    def _plan_choices(self, chosen: str | None = None) -> Any:
        plans = [(f"{plan.name} · {plan.created_at[:16]}", plan.id) for plan in stages.list_plans(self.context.data)]
        return gr.update(choices=plans, value=chosen or (plans[0][1] if plans else None))


def steps_html(statuses: Sequence[stages.StepStatus]) -> str:
    """Return the steps of a plan as HTML in which each word is escaped."""
    head = "".join(f"<th scope=col>{name}</th>" for name in ("Step", "Builds on", "State", "Why"))
    lines = "".join(
        f"<tr><td>{escape(one.step.name)}</td><td>{escape(', '.join(one.step.after)) or 'nothing'}</td>"
        f'<td><span class="state {escape(one.state)}">{escape(one.state)}</span></td><td class="why">{escape(one.reason)}</td></tr>'
        for one in statuses
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"


def build_plans(context: Context, asked: Callable[..., tuple[RunConfig, str | None]], inputs: Sequence[Any], shared: Shared) -> None:
    """Put the tab's components into the tab that is open. asked, inputs: of the tab Set up."""
    page, guard = PlansPage(context, asked), context.handler
    with gr.Row():
        with gr.Column():
            gr.Markdown(f"### The whole course\n{COURSE}")
            with gr.Row(equal_height=True, elem_classes="ew-acts"):
                course_name = gr.Textbox(label="Name", placeholder="may stay empty", elem_id="train-course-name")
                preference = gr.Dropdown(presets_for("dpo"), value="DPO from SFT", label="Preset of DPO", elem_id="train-course-preset")
                pairs = gr.Dropdown([], label="Pairs", elem_id="train-course-pairs")
            course = gr.Button("Start the course", variant="primary", elem_id="train-course-start")
        with gr.Column():
            gr.Markdown(f"### Which texts teach most\n{ARMS_SAID}")
            with gr.Row(equal_height=True, elem_classes="ew-acts"):
                arms_name = gr.Textbox(label="Name", placeholder="may stay empty", elem_id="train-arms-name")
                equal = gr.Dropdown(list(EQUALS), value=EQUALS[0], label="Equal in all arms", elem_id="train-arms-equal")
                tokens = gr.Number(0, precision=0, label="Learnt tokens (an epoch; 0: count)", elem_id="train-arms-tokens")
                steps = gr.Number(200, precision=0, label="Steps (an arm)", elem_id="train-arms-steps")
                every = gr.Number(20, precision=0, label="Look every (steps)", elem_id="train-arms-look")
            start_arms = gr.Button("Start the arms", variant="primary", elem_id="train-arms-start")
    with gr.Row(equal_height=True, elem_classes="ew-acts"):
        plan = gr.Dropdown([], label="Plan to watch", scale=3, elem_id="train-plan")
        axis = gr.Dropdown(list(AXES), value=next(iter(AXES)), label="Plotted against", elem_id="train-plan-axis")
        end = gr.Button("Stop and save its runs", elem_id="train-plan-stop")
        again = gr.Button("Try again what was refused", elem_id="train-plan-again")
    shown = gr.HTML(NO_PLAN, css_template=CSS, elem_id="train-plan-steps")
    table = gr.Markdown(elem_id="train-plan-accuracy")
    with gr.Row(elem_classes="ew-grid"):
        plots = [_plot(value, title) for value, title in PLOTS.items()]
    seen = gr.State(())
    looking: dict[str, Any] = {"trigger_mode": "always_last", "show_progress": "hidden"}
    gr.on(None, guard(page.load), None, [plan, pairs])
    gr.on([shared.timer.tick, plan.change, axis.input], guard(page.look), [plan, axis, seen], [shown, table, *plots, seen], **looking)
    course.click(guard(page.start_course), [course_name, preference, pairs, *inputs], [plan, shared.said])
    start_arms.click(guard(page.start_arms), [arms_name, steps, every, equal, tokens, *inputs], [plan, shared.said])
    end.click(guard(page.stop), plan, shared.said)
    again.click(guard(page.try_again), plan, shared.said)


def _refuse_unready(config: RunConfig) -> None:
    obstacles = check_machine(config.model, find_gpus()).obstacles
    if obstacles:
        raise RefusedError(" ".join(obstacles))


def _plot(value: str, title: str) -> gr.LinePlot:
    empty = pd.DataFrame([], columns=["run", "x", value]).astype({"x": "float64", value: "float64"})
    return gr.LinePlot(empty, x="x", y=value, color="run", title=title, x_title=next(iter(AXES)), height=260, visible=False, elem_id=f"train-plan-plot-{value}")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
