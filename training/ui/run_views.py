"""What the tab Runs shows, as HTML, plots and commands: pure of everything but the runs that it is given."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from shlex import quote
from typing import Any

import gradio as gr
import pandas as pd

from store.errors import NotFoundError
from store.records import Run
from training.status import RunStatus, read_status
from training.watch import Watched, eta_text, series_of

NOTHING = '<p class="note">No run has been started yet. Set one up in the first tab.</p>'
CSS = """
font: 14px/1.45 system-ui, sans-serif; color: var(--body-text-color);
div.list { max-height: 232px; overflow: auto; border: 1px solid var(--border-color-primary); border-radius: 8px; }
table { width: 100%; margin: 0; border: 0; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th { position: sticky; top: 0; background: var(--background-fill-secondary); font-weight: 600; }
th, td, thead, tbody, tr { border: 0; }
th, td { padding: 5px 10px; text-align: left; vertical-align: top; }
tr + tr td, thead + tbody tr td { border-top: 1px solid var(--border-color-primary); }
tbody tr { cursor: pointer; }
tbody tr:hover { background: var(--background-fill-secondary); }
tr[aria-selected=true] { background: color-mix(in srgb, var(--color-accent) 16%, transparent); }
td button { padding: 0; border: 0; background: none; color: inherit; font: inherit; text-align: left; cursor: pointer; overflow-wrap: anywhere; }
td button:focus-visible { outline: 2px solid var(--color-accent); outline-offset: 2px; }
.note, td.why { color: color-mix(in srgb, var(--body-text-color) 76%, var(--body-background-fill)); }
.state, td.made { white-space: nowrap; }
.state::before { content: "● "; }
.running, .finished { color: color-mix(in srgb, #16a34a 60%, var(--body-text-color)); }
.failed, .crashed, .stalled, .refused { color: color-mix(in srgb, #dc2626 80%, var(--body-text-color)); }
.queued, .waiting, .ready, .stopped, .blocked { color: color-mix(in srgb, #ca8a04 60%, var(--body-text-color)); }
"""
CHOOSE_JS = """element.addEventListener('click', event => {
  const row = event.target.closest('[data-run]');
  if (row) trigger('click', { run: row.dataset.run });
});"""
TITLES = {
    "tokens_per_s": "tokens per second",
    "accuracy": "accuracy on held-out questions",
    "rewards/margins": "reward margin",
    "rewards/accuracies": "share of pairs ranked right",
    "logps/chosen": "log-probability of the chosen texts",
    "logps/rejected": "log-probability of the rejected texts",
    "device_gib": "GPU memory, GiB at most",
    "host_gib": "memory of the process, GiB",
}
# So that the page can be closed, and opened elsewhere at the same run.
REMEMBER_JS = (
    "run => { const to = new URL(location); run ? to.searchParams.set('run', run) : to.searchParams.delete('run'); history.replaceState(null, '', to); }"
)


def named(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """Return the runs as choices of a list: what is shown, and the id."""
    return [(f"{run.name} · {run.stage} · {run.created_at[:16]}", run.id) for run in runs]


def status_of(data: Path, run: Run) -> RunStatus:
    """Return the run's status; one whose directory is gone is "missing"."""
    try:
        return read_status(data / run.directory)
    except NotFoundError as error:
        return RunStatus("missing", str(error))


def table_html(runs: Sequence[tuple[Run, RunStatus, Watched | None]], chosen: str | None) -> str:
    """Return the list of runs as HTML in which each word is escaped; of one that goes on with the time that is left."""
    if not runs:
        return NOTHING
    head = "".join(f"<th scope=col>{name}</th>" for name in ("Run", "Stage", "Made", "State", "Left", "Why"))
    lines = "".join(_line(run, status, watched, run.id == chosen) for run, status, watched in runs)
    return f'<div class="list" tabindex="0" role="region" aria-label="Runs"><table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>'


def plot_update(watched: Watched, name: str) -> Any:
    """Return the plot of one series; one without points is not shown."""
    # Numbers by type even while there are none: from an empty column Gradio concludes that they are names.
    points = series_of(watched, name)
    return gr.update(value=pd.DataFrame(points, columns=["step", name], dtype="float64"), visible=bool(points))


def command_text(data: Path, run_id: str, order: str) -> str:
    """Return how to watch and end this run, and start another like it, without the page."""
    acts = (f"status {run_id}", f"logs {run_id} --follow", f"stop {run_id}", f"resume {run_id}")
    told = "\n".join(f"python -m training {act} --data {quote(str(data))}" for act in acts)
    return f"{told}\n\n# another run of the same order\n{launch_text(data, order)}"


def launch_text(data: Path, order: str) -> str:
    """Return what starts the order's run when it is pasted into a shell: the order as a file, and the command."""
    return f"cat > order.json <<'END'\n{order.rstrip()}\nEND\npython -m training launch order.json --data {quote(str(data))}"


def plot_of(name: str) -> gr.LinePlot:
    """Return the plot of one series, without points and not shown."""
    empty = pd.DataFrame([], columns=["step", name], dtype="float64")
    title = TITLES.get(name, name.replace("_", " "))
    return gr.LinePlot(empty, x="step", y=name, title=title, y_title=" ", height=220, visible=False, elem_id=f"train-plot-{elem_part(name)}")


def elem_part(name: str) -> str:
    """Return the name as a part of an elem_id."""
    return "".join(letter if letter.isalnum() else "-" for letter in name)


def _line(run: Run, status: RunStatus, watched: Watched | None, chosen: bool) -> str:
    left = eta_text(watched, status) if watched is not None else ""
    made = run.created_at[:16].replace("T", " ")
    return (
        f'<tr data-run="{escape(run.id)}" aria-selected="{str(chosen).lower()}"><td><button type=button>{escape(run.name)}</button></td>'
        f'<td>{escape(run.stage)}</td><td class="made">{made}</td>'
        f'<td><span class="state {escape(status.state)}">{escape(status.state)}</span></td><td>{escape(left)}</td>'
        f'<td class="why">{escape(status.reason)}</td></tr>'
    )
