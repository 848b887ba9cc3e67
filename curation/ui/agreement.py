"""The Agreement page: how far annotators agree on the verdict, each flag and each rating, with n and reasons."""

from collections.abc import Sequence
from html import escape
from typing import Any

import gradio as gr

from curation.study.agreement import AgreementRow, agreement_table
from store.context import Context

RELIABLE, TENTATIVE = 0.8, 0.667

CSS = """
--dim: color-mix(in srgb, var(--body-text-color) 68%, var(--body-background-fill));
font: 14px/1.5 system-ui, sans-serif; color: var(--body-text-color);
table { width: 100%; margin: 0; border: 0; border-collapse: collapse; font-variant-numeric: tabular-nums; }
tr { border: 0; }
th, td { padding: 5px 10px; border: 0; border-bottom: 1px solid var(--border-color-primary); text-align: right; vertical-align: top; white-space: nowrap; }
thead th { color: var(--dim); font-weight: 600; white-space: normal; vertical-align: bottom; line-height: 1.3; }
tbody th { font-weight: 600; }
th:first-child, td.words { text-align: left; }
td.words { white-space: normal; color: var(--dim); font-size: 13px; line-height: 1.35; padding: 0 10px 6px; }
tr.explained th, tr.explained td { border-bottom: 0; }
small { color: var(--dim); font-size: 12px; }
p { margin: 8px 0; color: var(--dim); max-width: 110ch; }
svg { width: 100%; max-width: 1000px; height: auto; display: block; font: 13px system-ui, sans-serif; }
svg text { fill: var(--body-text-color); }
svg .dim { fill: var(--dim); }
svg .grid { stroke: var(--border-color-primary); }
svg .limit { stroke: var(--dim); stroke-dasharray: 4 4; }
svg .mark { stroke: var(--body-text-color); fill: var(--body-text-color); stroke-width: 2; }
"""

HOW_TO_READ = (
    "An item is a text. Raw agreement is the share of pairs of annotators of one item that gave the same value. "
    "Alpha is Krippendorff's: 1 is full agreement, 0 what chance would give, below 0 worse than chance. "
    "He relies on 0.800 and above, and draws tentative conclusions from 0.667. "
    "Alpha falls when a flag is rare, with the same annotators: read it beside the prevalence and n. The interval is a jackknife over items."
)


def build(context: Context) -> None:
    """Put the table, the plot and the download into the current Gradio page."""
    with gr.Row():
        gr.Markdown("## Agreement", elem_id="agreement-title")
        refresh = gr.Button("Refresh", size="md", scale=0, min_width=90, elem_id="agreement-refresh")
        gr.Button("Download CSV", link="/download/agreement.csv", size="md", scale=0, min_width=140, elem_id="agreement-download")
    table = gr.HTML(css_template=CSS, elem_id="agreement-table")
    plot = gr.HTML(css_template=CSS, elem_id="agreement-plot")
    gr.HTML(f"<p>{HOW_TO_READ}</p>", css_template=CSS)

    def show() -> list[Any]:
        with context.open() as db:
            rows = agreement_table(db)
        return [table_html(rows), plot_svg(rows)]

    gr.on(None, context.handler(show), outputs=[table, plot], show_progress="hidden")
    refresh.click(context.handler(show), None, [table, plot])


def table_html(rows: Sequence[AgreementRow]) -> str:
    """Return the table: a row a measure, n in every cell that is a share."""
    head = ("Measure", "Items", "with 2 or more annotators", "Annotators", "Prevalence", "Raw agreement", "Alpha", "95 % interval")
    cells = "".join(f"<th scope=col>{name}</th>" for name in head)
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{''.join(_table_row(row) for row in rows)}</tbody></table>"


def plot_svg(rows: Sequence[AgreementRow]) -> str:
    """Return a forest plot as inline SVG: alpha as a dot, its interval as a line, n beside it; colour says nothing."""
    lowest = min([-0.2, *(value for row in rows for value in (row.alpha, row.alpha_low) if value is not None)])
    low, left, right, step = -1.0 if lowest < -0.5 else (-0.5 if lowest < -0.2 else -0.2), 190, 760, 24
    height = 34 + step * len(rows)

    def x(value: float) -> float:
        return round(left + (max(value, low) - low) / (1 - low) * (right - left), 1)

    lines = [("grid", value) for value in (-1.0, -0.5, 0.0, 0.5, 1.0) if value >= low] + [("limit", TENTATIVE), ("limit", RELIABLE)]
    grid = "".join(_scale_line(kind, f"{value:g}", x(value), height) for kind, value in lines)
    marks = "".join(_mark(row, x, 8 + step * (place + 0.5), left, right) for place, row in enumerate(rows))
    return f'<svg viewBox="0 0 1000 {height}" role="img" aria-label="Krippendorff\'s alpha of each measure with its 95 % interval">{grid}{marks}</svg>'


def _scale_line(kind: str, value: str, x: float, height: int) -> str:
    text = f'<text class="dim" x="{x}" y="{height - 4}" text-anchor="middle">{value}</text>'
    return f'<line class="{kind}" x1="{x}" x2="{x}" y1="8" y2="{height - 20}"/>{text}'


def _table_row(row: AgreementRow) -> str:
    """Return the row and, where something is undefined, a line below it that says why."""
    numbers = [row.n_items, row.n_pairable_items, row.n_raters]
    prevalence = "–" if row.prevalence is None else f"{row.prevalence:.1%} <small>{escape(row.fault)}, n = {row.n_ratings}</small>"
    raw = "–" if row.raw_agreement is None else f"{row.raw_agreement:.3f} <small>n = {row.n_pairs} pairs</small>"
    alpha = "undefined" if row.alpha is None else f"<b>{row.alpha:.3f}</b>"
    interval = "–" if row.alpha_low is None else f"{row.alpha_low:.3f} to {row.alpha_high:.3f}"
    why = f"No alpha: {row.reason}" if row.reason else f"No interval: {row.interval_reason}" if row.interval_reason else ""
    name = f'<th scope="row">{escape(row.name)} <small>{row.level}</small></th>'
    cells = name + "".join(f"<td>{cell}</td>" for cell in (*numbers, prevalence, raw, alpha, interval))
    return f'<tr class="explained">{cells}</tr><tr><td class="words" colspan="8">{escape(why)}</td></tr>' if why else f"<tr>{cells}</tr>"


def _mark(row: AgreementRow, x: Any, y: float, left: int, right: int) -> str:
    name = f'<text x="{left - 14}" y="{y + 4}" text-anchor="end">{escape(row.name)}</text>'
    if row.alpha is None:
        return f'{name}<text class="dim" x="{right + 16}" y="{y + 4}">undefined (n = {row.n_pairable_items} items)</text>'
    line = "" if row.alpha_low is None else f'<line class="mark" x1="{x(row.alpha_low)}" x2="{x(row.alpha_high)}" y1="{y}" y2="{y}"/>'
    text = f'<text x="{right + 16}" y="{y + 4}">{row.alpha:.3f} <tspan class="dim">n = {row.n_pairable_items} items</tspan></text>'
    return f'{name}{line}<circle class="mark" cx="{x(row.alpha)}" cy="{y}" r="4"/>{text}'
