"""The tab Runs: how each run goes, its plots, and how it is stopped, cancelled or taken up again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import gradio as gr

from store.context import Context
from store.curated import get_set
from store.errors import NotFoundError, UserError
from store.records import Run
from training import stages, turns
from training.carrying import TRAINING
from training.jobs import Order, cancel, known_runs, load_config, order_json, read_run, resume, resume_problem, start_run, stop_and_save
from training.markdown import plain
from training.reckoning import retries
from training.registering import register_finished
from training.remedies import MOST
from training.status import RESUMABLE, RunStatus, is_alive, log_tail, read_status
from training.ui.run_views import CHOOSE_JS, CSS, NOTHING, REMEMBER_JS, command_text, named, plot_of, plot_update, status_of, table_html
from training.watch import SERIES, Watched, advance, status_text

LOOK_EVERY_S = 2.0
# The token of all that is started by a click: while a run goes on, the same click asks for that very run.
PRESSED = "pressed"
LIVE = ("queued", "waiting", "running", "stalled")
NOTHING_READ = Watched()


@dataclass(frozen=True)
class End:
    """What can be done after a run has ended as it did."""

    of: str = ""  # the run and how it ended
    resumable: bool = False
    retries: tuple[str, ...] = ()  # with which changes it might not run out of memory


NOT_ENDED = End()


@dataclass(frozen=True)
class Look:
    """What the tab knows from its earlier looks: how far it has read, and what stands on the screen."""

    watched: Watched = NOTHING_READ
    others: Mapping[str, Watched] = field(default_factory=dict)  # of the other runs that live
    shown: tuple[str, ...] = ()
    command: tuple[str, str] = ("", "")  # run id and what is shown of it
    listed: tuple[str, ...] = ()  # the runs that can be chosen
    end: End = NOT_ENDED


@dataclass(frozen=True)
class Shared:
    """What the tabs share: where they say what was done, the tabs themselves, and the timer, which ticks whatever tab is open."""

    said: gr.Markdown
    tabs: gr.Tabs
    timer: gr.Timer


@dataclass(frozen=True)
class RunsPage:
    """The tab's functions over one data directory; it keeps nothing itself."""

    context: Context

    def load(self, request: gr.Request | None) -> list[Any]:
        """Return runs and tab as the page opens: the run in its address, else the newest; a run that lives or was asked for opens the tab."""
        runs = self._runs()
        asked = request.query_params.get("run") if request is not None else None
        known = next((run for run in runs if run.id == asked), None)
        chosen = known or next(iter(runs), None)
        goes_on = any(status_of(self.context.data, run).state in LIVE for run in runs[:20])
        tab = gr.Tabs(selected="runs") if known or goes_on else gr.skip()
        return [gr.update(choices=named(runs), value=chosen.id if chosen else None), tab]

    def watch(self, run_id: str | None, look: Look) -> list[Any]:
        """Return table, status, log, commands, buttons, choices and plots after another look; what has not changed is left alone.

        Gives free devices to waiting runs and starts the steps of plans that have become ready.
        """
        data = self.context.data
        stages.advance_plans(data)
        turns.advance(data)
        runs = self._runs()
        statuses = {run.id: status_of(data, run) for run in runs}
        run = next((run for run in runs if run.id == run_id), None)
        watched = advance(look.watched, run.id, data / run.directory) if run else Watched()
        now = self._seen(replace(look, watched=watched), runs, statuses, run)
        table = table_html([(one, statuses[one.id], now.others.get(one.id)) for one in runs], run_id)
        texts, live, end = (table, "No run is chosen.", "", ""), False, NOT_ENDED
        if run is not None:
            directory, status = data / run.directory, statuses[run.id]
            texts = (table, status_text(status, watched, directory), log_tail(directory), now.command[1])
            live, end = not status.ended, now.end
        now = replace(now, shown=(*texts, str(live), str(end)), listed=tuple(one.id for one in runs))
        shown = [*texts, *(gr.update(interactive=on) for on in (live, live, end.resumable)), *_retry_buttons(end.retries)]
        # A plot that is sent again flickers, and loses what the reader has zoomed to.
        before, points = look.watched.points, watched.points
        plots = [gr.skip() if points.get(name) == before.get(name) else plot_update(watched, name) for name in SERIES]
        choices = gr.skip() if now.listed == look.listed else gr.update(choices=named(runs))
        return [*([gr.skip()] * len(shown) if now.shown == look.shown else shown), choices, *plots, now]

    def choose(self, event: gr.EventData) -> Any:
        """Return the run on whose line somebody clicked."""
        return gr.update(choices=named(self._runs()), value=event.run)

    def stop(self, run_id: str | None) -> str:
        """Ask the chosen run to save and end."""
        stop_and_save(self._directory(run_id))
        return "The run will save and end after the present step."

    def cancel(self, run_id: str | None) -> str:
        """End the chosen run at once, without saving."""
        directory = self._directory(run_id)
        cancel(directory)
        return plain(read_status(directory).reason)

    def resume(self, run_id: str | None) -> str:
        """Take the chosen run up again from its newest checkpoint that verifies."""
        self._directory(run_id)
        run = resume(self.context.data, str(run_id))
        return f"{plain(run.name)} goes on from {'its last checkpoint' if run.stage in TRAINING else 'what it has done'}."

    def retry(self, number: int, run_id: str | None) -> list[Any]:
        """Start the chosen run, which ran out of memory, once more with a remedy."""
        self._directory(run_id)
        ways = self._retries(str(run_id))
        if number >= len(ways):
            raise NotFoundError("This way out is gone. Look at the run again.")
        with self.context.open() as db:
            run = start_run(db, self.context.data, ways[number][1])
        return [gr.update(choices=named(self._runs()), value=run.id), f"{plain(run.name)} is started."]

    def _seen(self, look: Look, runs: Sequence[Run], statuses: Mapping[str, RunStatus], run: Run | None) -> Look:
        data = self.context.data
        going = [one for one in runs if statuses[one.id].state in ("running", "stalled")]
        others = {one.id: advance(look.others.get(one.id, Watched()), one.id, data / one.directory) for one in going}
        if run is None:
            return replace(look, others=others)
        command = look.command if look.command[0] == run.id else (run.id, self._command(run))
        return replace(look, others=others, end=self._end(run, statuses[run.id], look.end), command=command)

    def _end(self, run: Run, status: RunStatus, known: End) -> End:
        # A run leaves its result a moment before its process is gone, and cannot be resumed within that moment.
        of = f"{run.id} {status.state} {status.reason} {is_alive(self.context.data / run.directory)}"
        # The files of a checkpoint are read whole to verify them: once for each end of a run.
        if known.of == of:
            return known
        if status.state not in RESUMABLE:
            return End(of)
        return End(of, resume_problem(self.context.data, run.id) is None, tuple(name for name, _ in self._retries(run.id)))

    def _retries(self, run_id: str) -> list[tuple[str, Order]]:
        """Return the ways in which a run that ran out of memory might do with less, each with its order."""
        try:
            with self.context.open() as db:
                found = retries(db, self.context.data, run_id)
        except UserError:
            # The sizes of model or videos are not known: nothing can be reckoned.
            return []
        return [(f"Retry: {remedy.what}", order) for remedy, order in (found[1] if found else ())]

    def _command(self, run: Run) -> str:
        try:
            config = load_config(self.context.data / run.directory)
            with self.context.open() as db:
                questions = get_set(db, config.question_set) if config.question_set else None
                order = Order(run.name, config, get_set(db, run.curated_set_id), "", questions)
        except UserError as error:
            return f"# {error}"
        return command_text(self.context.data, run.id, order_json(order))

    def _runs(self) -> list[Run]:
        with self.context.open() as db:
            runs = known_runs(db, self.context.data)
            register_finished(db, self.context.data)
        return runs

    def _directory(self, run_id: str | None) -> Path:
        if run_id is None:
            raise NotFoundError("No run is chosen. Choose one in the list of runs.")
        return self.context.data / read_run(self.context.data, run_id).directory


def build_runs(context: Context, shared: Shared) -> gr.Dropdown:
    """Put the tab's components into the tab that is open and return the list of runs."""
    page, guard = RunsPage(context), context.handler
    table = gr.HTML(NOTHING, css_template=CSS, js_on_load=CHOOSE_JS, elem_id="train-runs")
    with gr.Row(equal_height=True, elem_classes="ew-acts"):
        run = gr.Dropdown([], label="Run to watch", scale=3, elem_id="train-run")
        save = gr.Button("Stop and save", interactive=False, elem_id="train-stop-save")
        end = gr.Button("Cancel", variant="stop", interactive=False, elem_id="train-cancel")
        again = gr.Button("Resume", interactive=False, elem_id="train-resume")
    status = gr.Markdown(elem_id="train-status")
    with gr.Row():
        ways = [gr.Button(visible=False, size="sm", elem_id=f"train-retry-{number + 1}") for number in range(MOST)]
    with gr.Row(elem_classes="ew-grid"):
        plots = [plot_of(name) for name in SERIES]
    with gr.Accordion("Log", open=False, elem_id="train-log-box"):
        log = gr.Textbox(label="Its last lines", lines=15, max_lines=15, interactive=False, elem_id="train-log")
    with gr.Accordion("The same without this page", open=False, elem_id="train-command-box"):
        command = gr.Code(show_label=False, show_line_numbers=False, interactive=False, elem_id="train-command")
    look = gr.State(Look())
    shown = [table, status, log, command, save, end, again, *ways, run, *plots, look]
    gr.on(None, guard(page.load), None, [run, shared.tabs])
    gr.on([shared.timer.tick, run.change], guard(page.watch), [run, look], shown, trigger_mode="always_last", show_progress="hidden")
    table.click(guard(page.choose), None, run, show_progress="hidden").then(None, run, None, js=REMEMBER_JS)
    run.input(None, run, None, js=REMEMBER_JS)
    for button, act in ((save, page.stop), (end, page.cancel), (again, page.resume)):
        button.click(guard(act), run, shared.said)
    for number, button in enumerate(ways):
        button.click(guard(_retrying(page, number)), run, [run, shared.said])
    return run


def _retrying(page: RunsPage, number: int) -> Callable[[str | None], list[Any]]:
    def retry(run_id: str | None) -> list[Any]:
        return page.retry(number, run_id)

    return retry


def _retry_buttons(ways: Sequence[str]) -> list[Any]:
    return [gr.update(value=ways[number], visible=True) if number < len(ways) else gr.update(visible=False) for number in range(MOST)]
