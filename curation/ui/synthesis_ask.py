"""The tab Ask: what is asked about, how and of whom; what it will take; one item looked at or asked about; and the start."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

import gradio as gr

from curation.synthesis.arms import PRESETS, Arm, arm_of
from curation.synthesis.choosing import offered
from curation.synthesis.order import numbered
from curation.synthesis.ordering import command_of
from curation.synthesis.plan import Item, SynthesisPlan
from curation.synthesis.planning import plan_run, survey
from curation.synthesis.prompts import load
from curation.synthesis.running import start_detached
from curation.synthesis.trying import Tried, ask_once, look
from curation.synthesis.wishes import BATCH, batch_meant
from curation.synthesis.writers.keys import variables_of
from curation.synthesis.writers.making import default_spec, needs
from curation.ui.batches import whole
from curation.ui.synthesis_form import (
    BASE,
    OWN,
    SWITCHES,
    arm_in,
    build_limits,
    build_subjects,
    build_writer,
    is_on,
    name_of,
    picture_tokens_in,
    wish_of,
)
from curation.ui.synthesis_runs import Shared, choices_of, started
from curation.ui.synthesis_views import CSS, survey_html, tried_html
from store.adapters import list_adapters
from store.context import Context
from store.errors import InputError, RefusedError, UserError

HOW = (
    "Nothing is sent before **Run**, or **Ask this one**. Closing this page does not stop a run, and what was paid for is never asked again: "
    "the same order goes on where it stopped."
)
OPTIONS = (*(name for switches in SWITCHES.values() for _, name in switches), "answer", "shown")
# What an arm sets, in the order in which `AskPage` returns it.
ARM_FIELDS = (*OPTIONS[:-2], *(f"{kind}_row" for kind in SWITCHES), "answer", "shown", "view_row")
PROMPT = "What is sent: the sections that the arm switches on. A changed text is a new version."


@dataclass(frozen=True)
class Asked:
    """What the page needs of the tab."""

    context: Context
    form: Mapping[str, Any]
    start: gr.Button
    said_of: dict[str, Any]  # tells anew what a run would take, after a change; for `then`

    @property
    def prompt(self) -> gr.Textbox:
        """The field that holds the prompt."""
        field: gr.Textbox = self.form["prompt"]
        return field

    def start_with(self, run: gr.Dropdown, shared: Shared) -> None:
        """Let the button start a run and turn to it."""
        act = self.context.handler(_named(self.form, AskPage(self.context).run))
        self.start.click(act, _fields(self.form), [shared.said, run, shared.tabs, shared.timer, shared.until], trigger_mode="once").then(**self.said_of)


@dataclass(frozen=True)
class AskPage:
    """The tab's functions over one data directory; it keeps nothing itself."""

    context: Context

    def load(self, kind: str) -> list[Any]:
        """Return what there is to choose from, the adapters that can write, and the prompt of this kind."""
        with self.context.open() as db:
            there, adapters = offered(db, "rationale"), [(one.name, one.run_id) for one in list_adapters(db)]
        choices = [gr.update(choices=list(names)) for names in (there.datasets, there.splits, there.types)]
        return [*choices, gr.update(choices=[BASE, *adapters]), load(kind).text]

    def change_kind(self, kind: str, batch: str) -> list[Any]:
        """Return all that depends on the kind of text: arms, switches, batch, types of questions, prompt."""
        arm = arm_of(kind)
        arms = gr.update(choices=list(PRESETS[kind]), value=name_of(arm))
        return [arms, *self._switched(arm), self._batch(arm, batch), gr.update(visible=kind == "rationale"), load(kind).text]

    def choose_arm(self, kind: str, name: str, batch: str) -> list[Any]:
        """Return the switches as a preset has them, and the batch that is meant for its texts."""
        if name not in PRESETS[kind]:
            return [gr.skip()] * (len(ARM_FIELDS) + 1)
        arm = arm_of(kind, name)
        return [*self._switched(arm), self._batch(arm, batch)]

    def switch(self, values: Mapping[str, Any]) -> list[Any]:
        """Return the name of the arm that the switches stand for, whether frames are chosen, and the batch that is meant."""
        arm = arm_in(values)
        name = name_of(arm)
        names = list(PRESETS[arm.kind]) + ([OWN] if name == OWN else [])
        return [gr.update(choices=names, value=name), gr.update(visible=arm.shown == "frames"), self._batch(arm, values["batch"])]

    def choose_writer(self, generator: str) -> list[Any]:
        """Return the fields of a writer, filled with what is usual, those that mean nothing for it hidden."""
        spec, is_local, has_model = default_spec(generator), generator == "local", generator != "template"
        fields = [
            gr.update(value=spec.address or "", visible=not is_local),
            gr.update(value=spec.key_variable or "", placeholder=" or ".join(variables_of(spec)), visible=not is_local),
        ]
        limits = gr.update(open=generator in ("gemini", "openai"))
        model = spec.model if has_model else ""
        return [gr.update(visible=has_model), gr.update(visible=has_model), model, *fields, gr.update(value="", visible=is_local), limits]

    def describe(self, values: Mapping[str, Any]) -> list[str]:
        """Return what a run would take, or why it cannot be started, and the command line that does the same."""
        try:
            wish = wish_of(values)
            with self.context.open() as db:
                found = survey(db, self.context.data, wish, picture_tokens_in(values))
            told = survey_html(found, needs(wish.writer), variables_of(wish.writer))
            return [told, command_of(wish, self.context.data)]
        except UserError as error:
            return [f'<p class="bad" role="status">Not ready. {escape(str(error))}</p>', ""]

    def show_one(self, values: Mapping[str, Any]) -> str:
        """Return what is sent about one item, its pictures in place."""
        return self._tried(values, ask=False)

    def ask_one(self, values: Mapping[str, Any]) -> str:
        """Ask the writer about one item, once, and return what came with what the checks say; nothing is stored."""
        return self._tried(values, ask=True)

    def run(self, values: Mapping[str, Any]) -> list[Any]:
        """Start what the form asks for, or go on with it, and turn to its run."""
        wish = wish_of(values)
        lacking = needs(wish.writer)
        if lacking:
            raise RefusedError(lacking)
        with self.context.open() as db:
            planned = plan_run(db, self.context.data, wish)
        if not planned.new or planned.directory is None:
            raise InputError(
                f"There is nothing new to ask: all {planned.known:,} texts of this order are here already. Change the arm, the prompt, the writer or the "
                "number of texts of each to get others."
            )
        start_detached(self.context.data, planned.directory)
        known = f" {planned.known:,} more are here already." if planned.known else ""
        chosen = gr.update(choices=choices_of(self.context.data), value=planned.plan.id)
        return [f"{planned.new:,} texts are being asked for.{known}", chosen, gr.Tabs(selected="runs"), *started()]

    def _tried(self, values: Mapping[str, Any], ask: bool) -> str:
        try:
            wish = wish_of(values)
            lacking = needs(wish.writer) if ask else None
            if lacking:
                raise RefusedError(lacking)
            with self.context.open() as db:
                found = survey(db, self.context.data, wish)
            item = _pick(found.first, whole(values["which"], "number of the item"))
            tried: Tried = (ask_once if ask else look)(self.context.data, found.plan, item)
            return tried_html(tried, item.subject.name, _pairs(item, found.plan), wish.prices.currency if wish.prices else "")
        except UserError as error:
            # Said in its place, so that no older answer stands beside newer settings.
            return f'<p class="bad" role="alert">{escape(str(error))}</p>'

    def _switched(self, arm: Arm) -> list[Any]:
        """Return the switches of both kinds, their rows, the answer, what is shown, and the fields of frames, as an arm has them."""
        fields = asdict(arm)
        switches = [is_on(name, fields[name]) if kind == arm.kind else gr.skip() for kind, names in SWITCHES.items() for _, name in names]
        rows = [gr.update(visible=kind == arm.kind) for kind in SWITCHES]
        return [*switches, *rows, arm.answer, arm.shown, gr.update(visible=arm.shown == "frames")]

    def _batch(self, arm: Arm, batch: str) -> Any:
        # A name of the person's own stays.
        return gr.update(value=batch_meant(arm) or "") if batch in ("", BATCH) else gr.skip()


def build_ask(context: Context) -> Asked:
    """Put the tab into the Blocks page that is open; what starts a run waits until the tab Runs is there."""
    form: dict[str, Any] = {}
    with gr.Row():
        with gr.Column(scale=3, min_width=520):
            build_subjects(form)
            build_writer(form)
            with gr.Accordion("Prices, budget and pace", open=False, elem_id="synthesis-limits") as limits:
                build_limits(form)
            with gr.Accordion("Prompt", open=False, elem_id="synthesis-prompt-box"):
                form["prompt"] = gr.Textbox(lines=12, max_lines=24, label=PROMPT, elem_id="synthesis-prompt")
        with gr.Column(scale=2, min_width=380):
            told = gr.HTML(css_template=CSS, elem_id="synthesis-estimate")
            with gr.Row(equal_height=True, elem_classes="ew-acts"):
                form["batch"] = gr.Textbox(BATCH, label="Into the batch", placeholder="none", elem_id="synthesis-batch", scale=2, min_width=160)
                form["wanted"] = gr.Number(2, precision=0, label="Annotations", elem_id="synthesis-wanted", scale=1, min_width=100)
                start = gr.Button("4. Run", variant="primary", elem_id="synthesis-run", scale=1, min_width=90)
            gr.Markdown(HOW)
    with gr.Accordion("One item, before all are asked for", open=True, elem_id="synthesis-one"):
        _build_one(context, form)
    with gr.Accordion("The same without this page", open=False, elem_id="synthesis-command-box"):
        command = gr.Code(show_label=False, show_line_numbers=False, interactive=False, language="shell", elem_id="synthesis-command")
    return Asked(context, form, start, _connect(context, form, limits, [told, command]))


def _build_one(context: Context, form: dict[str, Any]) -> None:
    with gr.Row(equal_height=True, elem_classes="ew-acts"):
        form["which"] = gr.Number(1, precision=0, label="Which of them", elem_id="synthesis-which", scale=0, min_width=140)
        show = gr.Button("Show what is sent", elem_id="synthesis-show", scale=0, min_width=200)
        ask = gr.Button("Ask this one", elem_id="synthesis-ask-one", scale=0, min_width=200)
    shown = gr.HTML(css_template=CSS, elem_id="synthesis-shown-one")
    page, values = AskPage(context), _fields(form)
    one: dict[str, Any] = {"trigger_mode": "once", "concurrency_limit": 1, "concurrency_id": "synthesis-one"}
    for button, act in ((show, page.show_one), (ask, page.ask_one)):
        button.click(context.handler(_named(form, act)), values, shown, **one)


def _connect(context: Context, form: dict[str, Any], limits: gr.Accordion, told: list[Any]) -> dict[str, Any]:
    """Connect the fields with each other and with what is told of them; return the event that tells it anew, for `then`."""
    page, guard, values = AskPage(context), context.handler, _fields(form)
    quiet: dict[str, Any] = {"trigger_mode": "always_last", "show_progress": "hidden"}
    # One at a time, in order: of two answers that overtook each other the older would stay on the screen.
    said_of = {
        "fn": guard(_named(form, page.describe)), "inputs": values, "outputs": told, "concurrency_limit": 1, "concurrency_id": "synthesis-describe", **quiet,
    }  # fmt: skip
    where = [form[name] for name in ("datasets", "splits", "types")]
    arm_fields, batch = [form[name] for name in ARM_FIELDS], form["batch"]
    writer_fields = [form[name] for name in ("writer_row", "sampling_row", "model", "address", "key_variable", "adapter")]
    switched = [form[name].input for name in OPTIONS]
    acts = [
        gr.on(None, guard(page.load), form["kind"], [*where, form["adapter"], form["prompt"]], show_progress="hidden"),
        form["kind"].input(guard(page.change_kind), [form["kind"], batch], [form["arm"], *arm_fields, batch, form["types"], form["prompt"]], **quiet),
        form["arm"].input(guard(page.choose_arm), [form["kind"], form["arm"], batch], [*arm_fields, batch], **quiet),
        form["generator"].input(guard(page.choose_writer), form["generator"], [*writer_fields, limits], **quiet),
        gr.on(switched, guard(_named(form, page.switch)), values, [form["arm"], form["view_row"], batch], **quiet),
    ]
    for act in acts:
        act.then(**said_of)
    alone = {"kind", "generator", *OPTIONS, "which"}
    listened = {name: part for name, part in form.items() if _is_read(name) and name not in alone}
    # A text says `input` at each key, and nothing when it is pasted with the mouse; of a whole prompt each key would be too much.
    left = [part.blur for part in listened.values() if isinstance(part, gr.Textbox)]
    gr.on([*left, *(part.input for name, part in listened.items() if name != "prompt")], **said_of)
    return said_of


def _fields(form: Mapping[str, Any]) -> set[Any]:
    return {part for name, part in form.items() if _is_read(name)}


def _is_read(name: str) -> bool:
    # The arm is read from its switches: its name alone would be of the kind before for a moment.
    return name != "arm" and not name.endswith("_row")


def _named(form: Mapping[str, Any], act: Any) -> Any:
    """Return the act with the values of the form by name, as Gradio hands them by component."""

    def told(values: dict[Any, Any]) -> Any:
        return act({name: values[part] for name, part in form.items() if _is_read(name)})

    return told


def _pick(first: Sequence[Item], which: int) -> Item:
    if not first:
        raise InputError("Nothing new would be asked for, so there is nothing to show. Choose other subjects, or another arm, writer or prompt.")
    if not 1 <= which <= len(first):
        raise InputError(f"The item {which:,} cannot be shown: give a number from 1 to {len(first)}. To see others, narrow the subjects by words.")
    return first[which - 1]


def _pairs(item: Item, plan: SynthesisPlan) -> Any:
    return numbered(item.subject, plan.arm) if plan.arm.kind == "narrative" else ()
