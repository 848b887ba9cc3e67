"""The training page: what will be trained on, with which settings, whether this machine can, and how each run goes."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr
import pandas as pd

from store.clips import get_media
from store.context import Context
from store.curated import get_set, list_sets
from store.errors import InputError, NotFoundError, RefusedError, UserError
from store.records import CuratedSet, Media, Run
from store.rows import utc_now
from training.config import LOCKED, RunConfig
from training.form import FIELDS, FormField, config_of, preset_named, presets_for, values_of
from training.jobs import Order, after_ended, cancel, known_runs, load_config, parent_problem, read_run, start_run, stop_and_save
from training.markdown import plain, plain_cell
from training.overview import describe, row_problem
from training.readiness import check_machine, find_gpus
from training.rows import FrozenSet, load_set
from training.status import RunStatus, log_tail, read_status
from training.ui.preview import Previewer, build_preview
from training.watch import SERIES, Watched, advance, series_of, status_text

LOOK_EVERY_S = 2.0
_STAGES = [("SFT: learn the accepted texts", "sft"), ("DPO: prefer the chosen text over the rejected", "dpo")]


@dataclass(frozen=True)
class TrainPage:
    """The page's functions over one data directory; it keeps nothing itself."""

    context: Context

    def load(self) -> list[Any]:
        """Return the choices of sets, parents and runs as the page opens: for SFT, the newest first and chosen."""
        runs = self._runs()
        newest = runs[0].id if runs else None
        return [self._set_choices("sft"), self._parent_choices(runs), gr.update(choices=_named(runs), value=newest)]

    def change_stage(self, stage: str) -> list[Any]:
        """Return all that depends on the stage: sets, parents, presets, the first preset's origin, and the fields with its values."""
        names = presets_for(stage)
        parents = {**self._parent_choices(self._runs()), "visible": stage == "dpo"}
        origin, *values = self.fill(stage, names[0], parents["value"])
        shown = [gr.update(value=value, visible=stage in field.stages, interactive=_open(field, stage)) for field, value in zip(FIELDS, values, strict=True)]
        return [self._set_choices(stage), parents, gr.update(choices=names, value=names[0]), origin, *shown]

    def fill(self, stage: str, preset: str, parent_id: str | None) -> list[Any]:
        """Return origin and values of the preset; for DPO with the model and pixels of the SFT run."""
        if preset not in presets_for(stage):
            # The stage has changed and its presets are on their way.
            return [gr.skip()] * (1 + len(FIELDS))
        found = preset_named(preset)
        parent = self._config(parent_id) if stage == "dpo" else None
        locked = {name: getattr(parent, name) for name in LOCKED} if parent else {}
        config = found.config(**locked, **({"parent_run": parent_id or "not chosen yet"} if stage == "dpo" else {}))
        return [found.origin, *values_of(config)]

    def freeze(self, stage: str, name: str) -> list[Any]:
        """Freeze what is accepted now and choose the new set."""
        made = self.context.freeze_set(stage, name.strip() or f"accepted by {utc_now()[:16]}")
        return [self._set_choices(stage, made.id), f"Frozen: {plain(made.name)}, {made.row_count:,} rows."]

    def describe(self, stage: str, set_id: str | None, parent_id: str | None, *values: Any) -> tuple[str, str]:
        """Return what would be trained on, and whether this machine can."""
        try:
            config = self.asked(stage, parent_id, values)
            frozen, media = self._load(set_id) if set_id else (None, {})
            overview = describe(frozen, config, media) if frozen else "No curated set of this kind is frozen yet."
            problem = row_problem(frozen, config, media) if frozen else None
        except UserError as error:
            return "", f"**Not ready.** {plain(str(error))}"
        if problem:
            return overview, f"**Not ready.** {plain(problem)}"
        readiness = check_machine(config.model, find_gpus())
        lines = [f"- {plain(line)}" for line in (*readiness.obstacles, *readiness.notes, *self._busy())]
        verdict = "**Ready.**" if readiness.ready else "**Not ready for this model.** The pipeline check can still be run: choose its preset."
        return overview, "\n".join([verdict, "", *lines])

    def start(self, nonce: str, name: str, stage: str, set_id: str | None, parent_id: str | None, *values: Any) -> list[Any]:
        """Start the run that the form asks for; pressed again on one form while that run goes on, it starts no other."""
        if not set_id:
            raise InputError('There is no curated set to train on. Press "Freeze what is accepted now" first.')
        config = self.asked(stage, parent_id, values)
        frozen, media = self._load(set_id)
        problems = [*check_machine(config.model, find_gpus()).obstacles, *filter(None, [row_problem(frozen, config, media)])]
        if problems:
            raise RefusedError(" ".join(problems))
        with self.context.open() as db:
            known = {run.id for run in known_runs(db, self.context.data)}
            order = after_ended(self.context.data, Order(name, config, get_set(db, set_id), nonce))
            run = start_run(db, self.context.data, order)
        once = "was started from this form already and goes on. Change a field, or wait for its end, to start another."
        said = f"{plain(run.name)} {'is started.' if run.id not in known else once}"
        return [gr.update(choices=_named(self._runs()), value=run.id), said]

    def watch(self, run_id: str | None, watched: Watched) -> list[Any]:
        """Return the list of runs, the watched run's status, log, buttons and plots; what has not changed is left alone."""
        runs = self._runs()
        table = _table([(run, self._status(run)) for run in runs])
        run = next((run for run in runs if run.id == run_id), None)
        if run is None:
            return [table, "No run is chosen.", "", *_buttons(ended=True), *(_frame(Watched(), name) for name in SERIES), Watched()]
        directory = self.context.data / run.directory
        status, now = self._status(run), advance(watched, run.id, directory)
        texts = (table, status_text(status, now, directory), log_tail(directory))
        now = replace(now, shown="\0".join((*texts, status.state)))
        # A plot that is sent again flickers, and loses what the reader has zoomed to.
        same_points = now.points == watched.points and watched.run_id == run.id
        plots = [gr.skip() if same_points else _frame(now, name) for name in SERIES]
        shown = [*texts, *_buttons(status.ended)]
        return [*([gr.skip()] * len(shown) if now.shown == watched.shown else shown), *plots, now]

    def stop(self, run_id: str | None) -> str:
        """Ask the chosen run to save and end."""
        stop_and_save(self.context.data / self._run(run_id).directory)
        return "The run will save and end after the present step."

    def cancel(self, run_id: str | None) -> str:
        """End the chosen run at once, without saving."""
        directory = self.context.data / self._run(run_id).directory
        cancel(directory)
        return plain(read_status(directory).reason)

    def asked(self, stage: str, parent_id: str | None, values: Sequence[Any]) -> RunConfig:
        """Return the config that stands in the form. Raises InputError when it is not whole, or a DPO run has nothing to start from."""
        if stage == "dpo" and not parent_id and not self._parent_choices(self._runs())["choices"]:
            raise InputError(
                "There is no finished SFT run to start from. Choose the stage SFT, start a run there, let it finish, then choose DPO again. "
                "A pipeline check will do to try it out."
            )
        return config_of(stage, values, parent_id, self._config(parent_id))

    def _runs(self) -> list[Run]:
        with self.context.open() as db:
            return known_runs(db, self.context.data)

    def _run(self, run_id: str | None) -> Run:
        if run_id is None:
            raise NotFoundError("No run is chosen. Choose one in the list of runs.")
        return read_run(self.context.data, run_id)

    def _status(self, run: Run) -> RunStatus:
        try:
            return read_status(self.context.data / run.directory)
        except NotFoundError as error:
            return RunStatus("missing", str(error))

    def _config(self, parent_id: str | None) -> RunConfig | None:
        return load_config(self.context.data / "runs" / parent_id) if parent_id else None

    def _busy(self) -> list[str]:
        working = [run.name for run in self._runs() if self._status(run).state in ("running", "stalled")]
        return [f"{', '.join(working)} is being run here now; another run beside it shares memory and time."] if working else []

    def _set_choices(self, stage: str, chosen: str | None = None) -> Any:
        with self.context.open() as db:
            sets: Sequence[CuratedSet] = list_sets(db, stage)
        choices = [(f"{known.name} · {known.row_count:,} rows · {known.created_at[:16]}", known.id) for known in sets]
        return gr.update(choices=choices, value=chosen or (choices[0][1] if choices else None))

    def _parent_choices(self, runs: Sequence[Run]) -> Any:
        fit = [run for run in runs if run.stage == "sft" and parent_problem(self.context.data, run.id) is None]
        return gr.update(choices=_named(fit), value=fit[0].id if fit else None)

    def _load(self, set_id: str) -> tuple[FrozenSet, dict[str, Media | None]]:
        with self.context.open() as db:
            frozen = load_set(self.context.data / get_set(db, set_id).directory)
            media = {digest: get_media(db, digest) for digest in {row.clip.digest for row in frozen.rows}}
        return frozen, media


def build(context: Context) -> None:
    """Put the training page into the Blocks page that is open."""
    page, guard = TrainPage(context), context.handler
    gr.Markdown("## What will be trained on")
    with gr.Row():
        stage = gr.Radio(_STAGES, value="sft", label="Stage", elem_id="train-stage")
        chosen_set = gr.Dropdown([], label="Frozen set", elem_id="train-set")
        parent = gr.Dropdown([], label="SFT run to start from", visible=False, elem_id="train-parent")
    with gr.Row(equal_height=True):
        set_name = gr.Textbox(label="Name of a new set", placeholder="may stay empty", elem_id="train-freeze-name")
        freeze = gr.Button("Freeze what is accepted now", elem_id="train-freeze")
    summary = gr.Markdown(elem_id="train-summary")
    gr.Markdown("## Settings")
    preset = gr.Dropdown(presets_for("sft"), value=presets_for("sft")[0], label="Preset", elem_id="train-preset")
    origin = gr.Markdown(preset_named(presets_for("sft")[0]).origin, elem_id="train-preset-origin")
    with gr.Accordion("All settings", open=False, elem_id="train-settings"):
        fields = _build_fields(preset_named(presets_for("sft")[0]).config())
    readiness = gr.Markdown(elem_id="train-readiness")
    build_preview(Previewer(context, page.asked), [stage, chosen_set, parent, *fields])
    with gr.Row(equal_height=True):
        run_name = gr.Textbox(label="Name of the run", placeholder="may stay empty", elem_id="train-name")
        start = gr.Button("Start", variant="primary", elem_id="train-start")
    said = gr.Markdown(elem_id="train-message")
    # Made anew at each load of the page, so that what a double click sends twice is the same order.
    nonce = gr.Textbox(visible="hidden", elem_id="train-nonce")
    gr.Markdown("## Runs")
    table = gr.Markdown(elem_id="train-runs")
    run = gr.Dropdown([], label="Run to watch", elem_id="train-run")

    asked = [stage, chosen_set, parent, *fields]
    # One at a time, in order: of two answers that overtook each other the older would stay on the screen.
    describing: dict[str, Any] = {"trigger_mode": "always_last", "show_progress": "hidden", "concurrency_limit": 1, "concurrency_id": "train-describe"}
    said_of = {"fn": guard(page.describe), "inputs": asked, "outputs": [summary, readiness], **describing}
    # `input` is the person's own act. Listening to `change` would answer, field by field, to what `fill` fills in, half of it still old.
    acts = [
        gr.on(None, guard(page.load), None, [chosen_set, parent, run]),
        stage.input(guard(page.change_stage), stage, [chosen_set, parent, preset, origin, *fields], trigger_mode="always_last"),
        gr.on([preset.input, parent.input], guard(page.fill), [stage, preset, parent], [origin, *fields], trigger_mode="always_last"),
        freeze.click(guard(page.freeze), [stage, set_name], [chosen_set, said]),
    ]
    for act in acts:
        act.then(**said_of)
    gr.on(None, guard(lambda: uuid.uuid4().hex), None, nonce)
    gr.on([chosen_set.input, *(field.input for field in fields)], **said_of)
    start.click(guard(page.start), [nonce, run_name, *asked], [run, said])
    _build_watch(page, run, table, said)


def _build_watch(page: TrainPage, run: gr.Dropdown, table: gr.Markdown, said: gr.Markdown) -> None:
    guard = page.context.handler
    status = gr.Markdown(elem_id="train-status")
    with gr.Row():
        save = gr.Button("Stop and save", elem_id="train-stop-save", interactive=False)
        end = gr.Button("Cancel", variant="stop", elem_id="train-cancel", interactive=False)
    with gr.Row():
        plots = [
            gr.LinePlot(_frame(Watched(), name), x="step", y=name, title=name.replace("_", " "), height=220, elem_id=f"train-plot-{name.replace('_', '-')}")
            for name in SERIES
        ]
    log = gr.Textbox(label="Log, its last lines", lines=15, max_lines=15, interactive=False, elem_id="train-log")
    watched = gr.State(Watched())
    timer = gr.Timer(LOOK_EVERY_S)
    shown = [table, status, log, save, end, *plots, watched]
    gr.on([timer.tick, run.change], guard(page.watch), [run, watched], shown, trigger_mode="always_last", show_progress="hidden", queue=True)
    save.click(guard(page.stop), run, said)
    end.click(guard(page.cancel), run, said)


def _build_fields(config: RunConfig) -> list[Any]:
    made = []
    for start in range(0, len(FIELDS), 4):
        with gr.Row():
            row = list(zip(FIELDS, [*values_of(config)], strict=True))[start : start + 4]
            made += [_component(field, value) for field, value in row]
    return made


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


def _open(field: FormField, stage: str) -> bool:
    return not (stage == "dpo" and field.name in LOCKED)


def _named(runs: Sequence[Run]) -> list[tuple[str, str]]:
    return [(f"{run.name} · {run.stage} · {run.created_at[:16]}", run.id) for run in runs]


def _buttons(ended: bool) -> list[Any]:
    return [gr.update(interactive=not ended)] * 2


def _table(runs: Sequence[tuple[Run, RunStatus]]) -> str:
    if not runs:
        return "No run has been started yet."
    lines = [f"| {plain_cell(run.name)} | {run.stage} | {run.created_at[:16]} | {status.state} | {plain_cell(status.reason)} |" for run, status in runs]
    return "\n".join(["| run | stage | made | status | why |", "|---|---|---|---|---|", *lines])


def _frame(watched: Watched, name: str) -> pd.DataFrame:
    # Numbers by type even while there are none: from an empty column Gradio concludes that they are names.
    return pd.DataFrame(series_of(watched, name), columns=["step", name], dtype="float64")
