"""The training page in its tabs: set up, watch, compare, try, plan. Each tab is a module of its own; here they are put together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from store.context import Context
from training.config import RunConfig
from training.form import FIELDS, GROUPS, FormField, preset_named, presets_for, values_of
from training.ui.adapters import build_adapters
from training.ui.estimate import Estimated, build_estimate
from training.ui.plans import build_plans
from training.ui.preview import Previewer, build_preview
from training.ui.results import build_results
from training.ui.run_views import REMEMBER_JS
from training.ui.runs import LOOK_EVERY_S, Shared, build_runs
from training.ui.setup import FREEZE_FIRST, FREEZES, STAGES, SetupPage

FIELDS_A_ROW = 4


@dataclass(frozen=True)
class Form:
    """The components that hold what is asked for, and that show what that means."""

    stage: gr.Radio
    freeze_what: gr.Dropdown
    freeze_name: gr.Textbox
    freeze: gr.Button
    curated: gr.Dropdown
    parent: gr.Dropdown
    questions: gr.Dropdown
    preset: gr.Dropdown
    origin: gr.Markdown
    run_name: gr.Textbox
    start: gr.Button
    summary: gr.Markdown
    readiness: gr.Markdown
    groups: tuple[gr.Accordion, ...]
    fields: tuple[Any, ...]

    @property
    def inputs(self) -> list[Any]:
        """What `SetupPage.asked` reads, in its order."""
        return [self.stage, self.curated, self.parent, self.questions, *self.fields]


def build(context: Context) -> None:
    """Put the training page into the Blocks page that is open."""
    page, guard = SetupPage(context), context.handler
    timer, said = gr.Timer(LOOK_EVERY_S), gr.Markdown(elem_id="train-message")
    with gr.Tabs(elem_id="train-tabs") as tabs:
        shared = Shared(said, tabs, timer)
        with gr.Tab("Set up", id="setup"):
            form = _build_form()
            estimated = build_estimate(context, page.asked, form.inputs)
            build_preview(Previewer(context, page.asked), form.inputs)
            with gr.Accordion("The same without this page", open=False, elem_id="train-order-box"):
                order = gr.Code(show_label=False, show_line_numbers=False, interactive=False, elem_id="train-order")
        with gr.Tab("Runs", id="runs"):
            run = build_runs(context, shared)
        with gr.Tab("Compare", id="compare") as compare:
            build_results(context, compare)
        with gr.Tab("Adapters", id="adapters") as adapters:
            build_adapters(context, adapters)
        with gr.Tab("Plans", id="plans"):
            build_plans(context, page.asked, form.inputs, shared)
    _connect(page, form, shared, order, estimated)
    form.start.click(guard(page.start), [form.run_name, *form.inputs], [run, said, tabs]).then(None, run, None, js=REMEMBER_JS)


def _build_form() -> Form:
    preset = preset_named(presets_for("sft")[0])
    made: dict[str, Any] = {"stage": gr.Radio(STAGES, value="sft", label="Stage", elem_id="train-stage")}
    with gr.Row(equal_height=True, elem_classes="ew-acts"):
        made["freeze_what"] = gr.Dropdown(list(FREEZES), value=FREEZE_FIRST["sft"], label="1. Freeze what is there now", elem_id="train-freeze-what")
        made["freeze_name"] = gr.Textbox(label="Name of the new set", placeholder="may stay empty", elem_id="train-freeze-name")
        made["freeze"] = gr.Button("Freeze", elem_id="train-freeze")
    with gr.Row(equal_height=True):
        made["curated"] = gr.Dropdown([], label="Frozen set", elem_id="train-set")
        made["parent"] = gr.Dropdown([], label="SFT run to start from", visible=False, elem_id="train-parent")
        made["questions"] = gr.Dropdown([], label="Held-out questions, for the accuracy", elem_id="train-questions")
    with gr.Row(equal_height=True, elem_classes="ew-acts"):
        made["preset"] = gr.Dropdown(presets_for("sft"), value=preset.name, label="2. Preset", elem_id="train-preset")
        made["run_name"] = gr.Textbox(label="Name of the run", placeholder="may stay empty", elem_id="train-name")
        made["start"] = gr.Button("3. Start", variant="primary", elem_id="train-start")
    made["origin"] = gr.Markdown(preset.origin, elem_id="train-preset-origin")
    with gr.Row():
        made["readiness"] = gr.Markdown(elem_id="train-readiness")
        made["summary"] = gr.Markdown(elem_id="train-summary")
    with gr.Accordion("All settings", open=False, elem_id="train-settings"):
        made["groups"], made["fields"] = _build_fields(preset.config())
    return Form(**made)


def _build_fields(config: RunConfig) -> tuple[tuple[gr.Accordion, ...], tuple[Any, ...]]:
    """Return an accordion a group, and the components of all fields in the order of FIELDS."""
    values = dict(zip(FIELDS, values_of(config), strict=True))
    groups, made = [], []
    for name, fields in GROUPS.items():
        visible = any("sft" in field.stages for field in fields)
        with gr.Accordion(name, open=False, visible=visible, elem_id=f"train-group-{name.lower().replace(' ', '-')}") as group:
            groups.append(group)
            for start in range(0, len(fields), FIELDS_A_ROW):
                with gr.Row():
                    made += [_component(field, values[field]) for field in fields[start : start + FIELDS_A_ROW]]
    return tuple(groups), tuple(made)


def _component(field: FormField, value: Any) -> Any:
    common: dict[str, Any] = {
        "label": field.label,
        "info": field.info,
        "value": value,
        "visible": "sft" in field.stages,
        "elem_id": f"train-{field.name.replace('_', '-')}",
    }
    if field.kind == "choice":
        return gr.Dropdown(list(field.choices), **common)
    if field.kind == "text":
        return gr.Textbox(**common)
    if field.kind == "switch":
        return gr.Checkbox(**common)
    return gr.Number(precision=0 if field.kind == "integer" else None, **common)


def _connect(page: SetupPage, form: Form, shared: Shared, order: gr.Code, estimated: Estimated) -> None:
    guard = page.context.handler
    # One at a time, in order: of two answers that overtook each other the older would stay on the screen.
    describing: dict[str, Any] = {"trigger_mode": "always_last", "show_progress": "hidden", "concurrency_limit": 1, "concurrency_id": "train-describe"}
    said_of = {"fn": guard(page.describe), "inputs": form.inputs, "outputs": [form.summary, form.readiness, order], **describing}
    by_stage: Sequence[Any] = [form.freeze_what, form.curated, form.parent, form.preset, form.origin, *form.fields, *form.groups]
    # `input` is the person's own act. Listening to `change` would answer, field by field, to what `fill` fills in, half of it still old.
    acts = [
        gr.on(None, guard(page.load), None, [form.curated, form.questions, form.parent]),
        form.stage.input(guard(page.change_stage), form.stage, by_stage, trigger_mode="always_last"),
        gr.on([form.preset.input, form.parent.input], guard(page.fill), [form.stage, form.preset, form.parent], [form.origin, *form.fields]),
        form.freeze.click(guard(page.freeze), [form.stage, form.freeze_what, form.freeze_name, form.questions], [form.curated, form.questions, shared.said]),
    ]
    for act in acts:
        act.then(**said_of)
        act.then(**estimated.said_of)
    for act in estimated.acts:
        act.then(**said_of)
    for said in (said_of, estimated.said_of):
        gr.on([form.curated.input, form.questions.input, *(field.input for field in form.fields)], **said)
