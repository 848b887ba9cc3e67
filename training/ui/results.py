"""The tab Compare: what runs came to. Base against adapter on held-out questions, the questions that flipped, and curves of several runs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
import pandas as pd

from store.context import Context
from store.records import Run
from training.jobs import known_runs, read_run
from training.results import AXES, Curve, accuracy_text, curves_of, curves_text, flips_text, points_of, types_text
from training.status import read_result

PLOTS = {"accuracy": "accuracy on held-out questions", "nll": "-log p of the right option, nats", "loss": "training loss"}
FIRST_SHOWN = 4  # runs whose curves are shown before anybody has chosen
NO_RUNS = "No run has scored questions yet. Freeze questions, then start a run of the stage evaluate."


@dataclass(frozen=True)
class ResultsPage:
    """The tab's functions over one data directory; it keeps nothing itself."""

    context: Context

    def load(self, run_id: str | None, compared: Sequence[str]) -> list[Any]:
        """Return the runs to choose from; what was chosen before stays, at first it is the newest."""
        runs = self._runs()
        scored = [run for run in runs if "accuracy" in (read_result(self._directory(run)) or {})]
        learning = [run for run in runs if run.stage in ("sft", "dpo")]
        known = {run.id for run in runs}
        chosen = run_id if run_id in known else (scored[0].id if scored else None)
        shown = [one for one in compared if one in known] or [run.id for run in learning[:FIRST_SHOWN]]
        return [gr.update(choices=_named(scored), value=chosen), gr.update(choices=_named(learning), value=shown)]

    def show(self, run_id: str | None) -> tuple[str, str, str]:
        """Return accuracy, accuracy by type and flips of the chosen run as Markdown."""
        if run_id is None:
            return NO_RUNS, "", ""
        directory = self._directory(read_run(self.context.data, run_id))
        return accuracy_text(directory), types_text(directory), flips_text(directory)

    def compare(self, run_ids: Sequence[str], axis: str) -> list[Any]:
        """Return the last accuracies of the chosen runs as Markdown, and the plots of their curves against the axis."""
        runs = [read_run(self.context.data, run_id) for run_id in run_ids]
        curves = [curve for run in runs for curve in curves_of(_name(run), self._directory(run))]
        return [curves_text(curves), *(plot_update(curves, value, axis) for value in PLOTS)]

    def _runs(self) -> list[Run]:
        with self.context.open() as db:
            return [run for run in known_runs(db, self.context.data) if self._directory(run).is_dir()]

    def _directory(self, run: Run) -> Path:
        return self.context.data / run.directory


def plot_update(curves: Sequence[Curve], value: str, axis: str) -> Any:
    """Return the plot of one value against one of AXES; one without points is not shown.

    Gradio knows the runs of a plot from when it first shows it, so that each has a place even while it has no point.
    """
    points = points_of(curves, value, AXES[axis])
    # Named first and in one order, so that a run has the same colour in each plot.
    places = [(name, math.nan, math.nan) for name in dict.fromkeys(curve.name for curve in curves)]
    return gr.update(value=_frame([*places, *points], value), x_title=axis, visible=bool(points))


def hidden() -> list[Any]:
    """Return the plots not shown, so that they are drawn whole when they are shown again, with the runs that are chosen then."""
    return [gr.update(visible=False)] * len(PLOTS)


def build_results(context: Context, tab: gr.Tab) -> None:
    """Put the tab's components into the tab that is open; they are filled when `tab` is chosen."""
    page, guard = ResultsPage(context), context.handler
    gr.Markdown("## Base against adapter")
    with gr.Row(equal_height=True, elem_classes="ew-acts"):
        run = gr.Dropdown([], label="Run that scored questions", scale=3, elem_id="train-results-run")
        refresh = gr.Button("Refresh", elem_id="train-results-refresh")
    accuracy = gr.Markdown(NO_RUNS, elem_id="train-results-accuracy")
    types = gr.Markdown(elem_id="train-results-types")
    with gr.Accordion("Questions that only one of the two answers right", open=False, elem_id="train-results-flips-box"):
        flips = gr.Markdown(elem_id="train-results-flips")
    gr.Markdown("## Runs against each other")
    compared = gr.Dropdown([], multiselect=True, label="Runs that learn", elem_id="train-results-compared")
    axis = gr.Radio(list(AXES), value=next(iter(AXES)), label="Against", elem_id="train-results-axis")
    table = gr.Markdown(elem_id="train-results-table")
    with gr.Row(elem_classes="ew-grid"):
        plots = [_plot(value, title) for value, title in PLOTS.items()]
    shown, drawn = [accuracy, types, flips], [table, *plots]
    quiet: dict[str, Any] = {"trigger_mode": "always_last", "show_progress": "hidden"}
    loaded = gr.on([tab.select, refresh.click], guard(page.load), [run, compared], [run, compared], **quiet)
    acts = [loaded.then(guard(page.show), run, shown, **quiet), gr.on([compared.input, axis.input], guard(hidden), None, plots, **quiet)]
    for act in (acts[0].then(guard(hidden), None, plots, **quiet), acts[1]):
        act.then(guard(page.compare), [compared, axis], drawn, **quiet)
    run.input(guard(page.show), run, shown, **quiet)


def _plot(value: str, title: str) -> gr.LinePlot:
    return gr.LinePlot(
        _frame([], value), x="x", y=value, color="run", title=title, x_title=next(iter(AXES)), height=260, visible=False, elem_id=f"train-results-plot-{value}"
    )


def _frame(points: Sequence[tuple[str, float, float]], value: str) -> pd.DataFrame:
    # Numbers by type even while there are none: from an empty column Gradio concludes that they are names.
    return pd.DataFrame(points, columns=["run", "x", value]).astype({"run": "str", "x": "float64", value: "float64"})


def _name(run: Run) -> str:
    # Names need not differ.
    return f"{run.name} · {run.id[:6]}"


def _named(runs: Sequence[Run]) -> list[tuple[str, str]]:
    return [(f"{_name(run)} · {run.stage} · {run.created_at[:16]}", run.id) for run in runs]
