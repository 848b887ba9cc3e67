"""The tab Runs: how each run goes, what it has spent, what was set aside and why; how it is stopped, resumed and queued."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import gradio as gr

from curation.synthesis.merging import queue_run
from curation.synthesis.plan import SynthesisPlan
from curation.synthesis.plan_files import directory_of, read_plan
from curation.synthesis.planning import set_budget
from curation.synthesis.running import ask_to_stop, start_detached
from curation.synthesis.status import ENDED, MARK, Status, dead_letters, list_directories, read_status
from curation.ui.batches import whole
from curation.ui.synthesis_form import optional_number
from curation.ui.synthesis_run_views import CHOOSE_JS, CSS, NO_RUN, dead_html, named, queued_html, runs_html, status_html
from store.context import Context
from store.errors import NotFoundError
from store.synthesis import waiting_of

LIVE, OUT_OF_BUDGET = ("waiting", "running"), "stopped: budget"
MOST_LISTED, MOST_GOING_ON = 100, 10
MOST_DEAD = 100
LOOK_EVERY_S, STARTING_S = 2.0, 20.0


@dataclass(frozen=True)
class Shared:
    """What the tabs share: where they say what was done, the tabs themselves, and the timer, which ticks while something runs."""

    said: gr.Markdown
    tabs: gr.Tabs
    timer: gr.Timer
    until: gr.State  # seconds since 1970 up to which it ticks in any case: a process that was just started has not said so yet


@dataclass(frozen=True)
class Look:
    """What the tab knows from its earlier looks, so that only what is new is read and only what has changed is sent."""

    statuses: Mapping[str, Status] = field(default_factory=dict)  # of the runs that go on, and of the chosen one
    shown: tuple[Any, ...] = ()
    listed: tuple[str, ...] = ()
    live: bool | None = None


@dataclass(frozen=True)
class RunsPage:
    """The tab's functions over one data directory; it keeps nothing itself."""

    context: Context

    def load(self, request: gr.Request | None) -> list[Any]:
        """Return runs and tab as the page opens: the run in its address, else the newest; a run that goes on or was asked for opens the tab."""
        plans = self._plans()
        asked = request.query_params.get("run") if request is not None else None
        chosen = asked if asked in plans else next(iter(plans), None)
        goes_on = any(_listed(self._directory(run_id)).state in LIVE for run_id in list(plans)[:MOST_GOING_ON])
        tab = gr.Tabs(selected="runs") if asked in plans or goes_on else gr.skip()
        return [gr.update(choices=named(list(plans.values())), value=chosen), tab]

    def watch(self, run_id: str | None, look: Look, until: float) -> list[Any]:
        """Return table, status, dead letters, queue, buttons and choices after another look; what has not changed is left alone."""
        plans = self._plans()
        statuses = {one: self._status(one, look, one == run_id) for one in plans}
        live = any(status.state in LIVE for status in statuses.values()) or time.time() < until
        table = runs_html([(plans[one], statuses[one]) for one in plans], run_id)
        shown: tuple[Any, ...] = (table, NO_RUN, "", "", False, False, False, False)
        if run_id in plans:
            status = statuses[run_id]
            dead = dead_letters(self._directory(run_id), MOST_DEAD, status)
            with self.context.open() as db:
                queued = waiting_of(db, run_id)
            texts = (status_html(plans[run_id], status), dead_html(dead, sum(status.dead.values())), queued_html(queued))
            unqueued = any(one.batch_name is None for one in queued)
            shown = (table, *texts, status.state in LIVE, status.resumable, unqueued, status.state == OUT_OF_BUDGET)
        now = Look({one: status for one, status in statuses.items() if status.seen}, shown, tuple(plans), live)
        buttons = [*(gr.update(interactive=on) for on in shown[4:6]), *(gr.update(visible=on) for on in shown[6:])]
        sent = [gr.skip()] * len(shown) if shown == look.shown else [*shown[:4], *buttons]
        choices = gr.skip() if now.listed == look.listed else gr.update(choices=named(list(plans.values())))
        return [*sent, choices, gr.skip() if live == look.live else gr.Timer(active=live), now]

    def choose(self, event: gr.EventData) -> Any:
        """Return the run on whose line somebody clicked."""
        return gr.update(choices=named(list(self._plans().values())), value=event.run)

    def stop(self, run_id: str | None) -> str:
        """Let the chosen run end: what is asked now is waited for, nothing more is asked."""
        ask_to_stop(self._directory(run_id))
        return "The run ends when what is asked now is answered. Resume goes on from there."

    def resume(self, run_id: str | None, money: str, tokens: str) -> list[Any]:
        """Go on with the chosen run, with another budget where one is given: what is written is not asked again."""
        directory = self._directory(run_id)
        given = optional_number(money, "budget"), optional_number(tokens, "budget of tokens")
        if given != (None, None):
            set_budget(directory, given[0], None if given[1] is None else whole(given[1], "budget of tokens"))
        start_detached(self.context.data, directory)
        return ["The run goes on.", *started()]

    def queue(self, run_id: str | None, batch_name: str, wanted: float | None, request: gr.Request) -> str:
        """Queue the texts of the chosen run that wait nowhere, and return what became of them."""
        directory = self._directory(run_id)
        with self.context.open() as db:
            return queue_run(db, directory.name, batch_name, whole(wanted, "number of annotations of each"), request.username or "")

    def _plans(self) -> dict[str, SynthesisPlan]:
        return _plans_in(self.context.data)

    def _directory(self, run_id: str | None) -> Path:
        if not run_id:
            raise NotFoundError("No run is chosen. Choose one in the list of runs.")
        return directory_of(self.context.data, run_id)

    def _status(self, run_id: str, look: Look, chosen: bool) -> Status:
        listed = _listed(self._directory(run_id))
        return read_status(self._directory(run_id), look.statuses.get(run_id)) if chosen or listed.state in LIVE else listed


def started() -> list[Any]:
    """Return the timer, ticking, and until when it does so in any case."""
    return [gr.Timer(active=True), time.time() + STARTING_S]


def choices_of(data: Path) -> list[tuple[str, str]]:
    """Return the runs as choices of a list."""
    return named(list(_plans_in(data).values()))


def build_runs(context: Context, shared: Shared, tab: gr.Tab) -> gr.Dropdown:
    """Put the tab's components into the tab that is open and return the list of runs."""
    page, guard = RunsPage(context), context.handler
    table = gr.HTML(NO_RUN, css_template=CSS, js_on_load=CHOOSE_JS, elem_id="synthesis-runs")
    with gr.Row(equal_height=True, elem_classes="ew-acts"):
        run = gr.Dropdown([], label="Run to watch", scale=4, elem_id="synthesis-run-id")
        end = gr.Button("Stop", variant="stop", interactive=False, elem_id="synthesis-stop")
        again = gr.Button("Resume", interactive=False, elem_id="synthesis-resume")
        refresh = gr.Button("Refresh", elem_id="synthesis-refresh")
    status = gr.HTML(css_template=CSS, elem_id="synthesis-status")
    with gr.Row(visible=False) as spent:
        money = gr.Textbox(label="New budget, money", placeholder="as it was", elem_id="synthesis-new-budget", min_width=120)
        tokens = gr.Textbox(label="New budget, tokens", placeholder="as it was", elem_id="synthesis-new-token-budget", min_width=120)
    queued = gr.HTML(css_template=CSS, elem_id="synthesis-queued")
    with gr.Row(equal_height=True, elem_classes="ew-acts", visible=False) as unqueued:
        batch = gr.Textbox(label="Batch for the texts that wait nowhere", elem_id="synthesis-queue-batch", min_width=180)
        wanted = gr.Number(2, precision=0, label="Annotations each", elem_id="synthesis-queue-wanted", min_width=110)
        queue = gr.Button("Queue them", scale=0, min_width=160, elem_id="synthesis-queue")
    dead = gr.HTML(css_template=CSS, elem_id="synthesis-dead")
    look = gr.State(Look())
    shown = [table, status, dead, queued, end, again, unqueued, spent, run, shared.timer, look]
    watching: dict[str, Any] = {
        "fn": guard(page.watch), "inputs": [run, look, shared.until], "outputs": shown, "trigger_mode": "always_last", "show_progress": "hidden",
    }  # fmt: skip
    gr.on(None, guard(page.load), None, [run, shared.tabs], show_progress="hidden")
    gr.on([shared.timer.tick, run.change, tab.select, refresh.click], **watching)
    table.click(guard(page.choose), None, run, show_progress="hidden")
    end.click(guard(page.stop), run, shared.said).then(**watching)
    again.click(guard(page.resume), [run, money, tokens], [shared.said, shared.timer, shared.until]).then(**watching)
    queue.click(guard(page.queue), [run, batch, wanted], shared.said).then(**watching)
    return run


def _plans_in(data: Path) -> dict[str, SynthesisPlan]:
    return {directory.name: read_plan(directory) for directory in list_directories(data)[:MOST_LISTED]}


def _listed(directory: Path) -> Status:
    """Return how a run stands, without what was read of it: all of its results, once, as long as it is not taken up again."""
    files = (directory / name for name in (MARK, ENDED))
    return _as_it_ended(directory, tuple(path.stat().st_mtime_ns if path.exists() else 0 for path in files))


@lru_cache(maxsize=4 * MOST_LISTED)
def _as_it_ended(directory: Path, changed: tuple[int, ...]) -> Status:
    return replace(read_status(directory), seen={})
