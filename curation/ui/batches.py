"""The Batches page: what is to be annotated, by whom and how; how far it is; and how its people work."""

from collections.abc import Mapping
from html import escape
from typing import Any

import gradio as gr
import sqlite_utils

from curation.batching import ORDERINGS, BatchRequest, ask_more, make_batch, open_or_close, order_again, read_people
from curation.study.progress import batch_progress
from curation.ui.batch_views import CSS, batches_html, ordered_sentence, progress_html, state_sentence
from store.batches import counts_of, dataset_names, get_batch, list_batches
from store.context import Context
from store.errors import InputError
from store.signals import signal_names

ALL = ""  # what a dropdown holds when nothing is filtered
CLOSE, OPEN = "Close this batch", "Open this batch"
KINDS = ("narrative", "rationale", "answer")
HOW = (
    "A text waits in one batch: a new one takes what nobody has begun from *All that is imported*. Batches are worked off in this order. "
    "Gold items and items asked again are mixed in unseen, at seeded places; gold comes with an import (docs/formats.md)."
)


def build(context: Context) -> None:
    """Put the list, the progress of one batch and the form into the current Gradio page."""
    with gr.Row():
        gr.Markdown("## Batches", elem_id="batches-title")
        refresh = gr.Button("Refresh", size="md", scale=0, min_width=90, elem_id="batches-refresh")
        gr.Button("Progress as CSV", link="/download/progress.csv", size="md", scale=0, min_width=180, elem_id="batches-csv")
        gr.Button("Annotations as JSON lines", link="/download/annotations.jsonl", size="md", scale=0, min_width=250, elem_id="batches-annotations")
    told = gr.HTML(css_template=CSS, elem_id="batches-told")
    listed = gr.HTML(css_template=CSS, elem_id="batches-list")
    gr.Markdown(HOW)
    with gr.Row(elem_classes="ew-acts"):
        chosen = gr.Dropdown([], label="Batch", elem_id="batches-chosen", scale=3)
        change = gr.Button(CLOSE, elem_id="batches-change", size="md", scale=1)
        each = gr.Number(None, label="Annotations each", precision=0, elem_id="batches-each", scale=1)
        more = gr.Button("Ask for so many", elem_id="batches-more", size="md", scale=1)
    with gr.Row(elem_classes="ew-acts"):
        ordering = gr.Dropdown(list(ORDERINGS), value="given", label="Order", elem_id="batches-order", scale=2)
        signal = gr.Dropdown([], label="Signal, highest first", elem_id="batches-signal", scale=2)
        seed = gr.Number(0, label="Seed", precision=0, elem_id="batches-seed", scale=1)
        again = gr.Button("Order again", elem_id="batches-again", size="md", scale=1)
    progress = gr.HTML(css_template=CSS, elem_id="batches-progress")
    with gr.Accordion("Make a batch", open=False, elem_id="batches-make"):
        form = _build_form()
        make = gr.Button("Make the batch", variant="primary", elem_id="batches-start")
    shown = [listed, chosen, progress, change, each, ordering, signal, seed, form["signal"], form["dataset"]]

    def show(batch_id: str | None) -> list[Any]:
        with context.open() as db:
            return _shown(db, batch_id)

    def add(values: dict[Any, Any], request: gr.Request) -> list[Any]:
        wanted = request_of({name: values[component] for name, component in form.items()})
        with context.open() as db:
            made = make_batch(db, wanted, request.username or "")
            return [_paragraph(made.sentence), *_shown(db, made.batch.id)]

    def close(batch_id: str, act: str) -> list[Any]:
        with context.open() as db:
            # What the button said, not the other of today's states: somebody else may have changed it meanwhile.
            batch = open_or_close(db, batch_id, "open" if act == OPEN else "closed")
            return [_paragraph(state_sentence(batch)), *_shown(db, batch_id)]

    def raise_wanted(batch_id: str, wanted: float | None) -> list[Any]:
        with context.open() as db:
            asked = ask_more(db, batch_id, whole(wanted, "number of annotations of each item"))
            return [_paragraph(asked.sentence), *_shown(db, batch_id)]

    def order(batch_id: str, ordering: str, signal: str | None, seed: float | None) -> list[Any]:
        with context.open() as db:
            before = get_batch(db, batch_id)
            count = order_again(db, batch_id, ordering, signal, whole(seed, "seed"))
            return [_paragraph(ordered_sentence(before, get_batch(db, batch_id), count)), *_shown(db, batch_id)]

    # Hidden: else a refusal shows as a red "Error" in place of every value.
    gr.on(None, context.handler(show), chosen, shown, show_progress="hidden")
    refresh.click(context.handler(show), chosen, shown, show_progress="hidden")
    chosen.input(context.handler(show), chosen, shown, show_progress="hidden")
    change.click(context.handler(close), [chosen, change], [told, *shown], show_progress="hidden")
    more.click(context.handler(raise_wanted), [chosen, each], [told, *shown], show_progress="hidden")
    again.click(context.handler(order), [chosen, ordering, signal, seed], [told, *shown], show_progress="hidden")
    make.click(context.handler(add), set(form.values()), [told, *shown], show_progress="hidden")


def request_of(values: Mapping[str, Any]) -> BatchRequest:
    """Return what the form asks for. Raises InputError for a number that is none, or a name that no account can have."""
    at_most = None if values["at_most"] in (None, 0) else whole(values["at_most"], "number of items")
    shares = {name: _share(values[name], name) for name in ("scratch_share", "gold_share", "repeat_share")}
    return BatchRequest(
        name=values["name"] or "",
        wanted=whole(values["wanted"], "number of annotations of each item"),
        dataset=values["dataset"] or None,
        kind=values["kind"] or None,
        at_most=at_most,
        ordering=values["ordering"],
        signal=values["signal"] or None,
        seed=whole(values["seed"], "seed"),
        blind_first=bool(values["blind_first"]),
        people=read_people(values["people"] or ""),
        **shares,
    )


def whole(value: float | None, what: str) -> int:
    """Return the number of a form as a whole one. Raises InputError when it is none."""
    if value is None or value != int(value):
        raise InputError(f"The {what} is {'missing' if value is None else value}; it has to be a whole number.")
    return int(value)


def _share(value: float | None, name: str) -> float:
    if value is None:
        raise InputError(f"The {name.replace('_', ' ')} is missing. Give a number in per cent, 0 for none.")
    return value / 100


def _shown(db: sqlite_utils.Database, batch_id: str | None) -> list[Any]:
    """Return the list, the choice, the progress of the chosen batch (the first when none is), what it is set to, and what there is to choose from."""
    batches = list_batches(db)
    chosen = batch_id if batch_id in [batch.id for batch in batches] else batches[0].id
    signals, datasets = signal_names(db), [("all", ALL), *((name, name) for name in dataset_names(db))]
    progress = batch_progress(db, chosen)
    batch = progress.batch
    return [
        batches_html([(one, counts_of(db, one.id)) for one in batches]),
        gr.update(choices=[(f"{one.name} ({one.state})", one.id) for one in batches], value=chosen),
        progress_html(progress),
        CLOSE if batch.state == "open" else OPEN,
        progress.counts.each,
        batch.ordering,
        gr.update(choices=signals, value=batch.signal),
        batch.seed,
        gr.update(choices=signals),
        gr.update(choices=datasets),
    ]


def _paragraph(sentence: str) -> str:
    return f"<p>{escape(sentence)}</p>"


def _build_form() -> dict[str, Any]:
    form: dict[str, Any] = {}
    with gr.Row():
        form["name"] = gr.Textbox(label="Name", elem_id="batches-name", scale=3)
        form["dataset"] = gr.Dropdown([("all", ALL)], value=ALL, label="Data set", elem_id="batches-dataset", scale=2)
        form["kind"] = gr.Dropdown([("all", ALL), *((kind, kind) for kind in KINDS)], value=ALL, label="Kind of text", elem_id="batches-kind", scale=2)
        form["at_most"] = gr.Number(0, label="At most so many items (0: all)", precision=0, elem_id="batches-most", scale=2)
        form["wanted"] = gr.Number(3, label="Annotations each", precision=0, elem_id="batches-wanted", scale=1)
    with gr.Row():
        form["ordering"] = gr.Dropdown(list(ORDERINGS), value="given", label="Order", elem_id="batches-new-order", scale=2)
        form["signal"] = gr.Dropdown([], label="Signal, highest first", elem_id="batches-new-signal", scale=2)
        form["seed"] = gr.Number(0, label="Seed", precision=0, elem_id="batches-new-seed", scale=1)
        form["scratch_share"] = gr.Number(0, label="From scratch, %", elem_id="batches-scratch", scale=1)
        form["gold_share"] = gr.Number(0, label="Gold items, %", elem_id="batches-gold", scale=1)
        form["repeat_share"] = gr.Number(0, label="Asked again, %", elem_id="batches-repeat", scale=1)
    with gr.Row():
        form["people"] = gr.Textbox(label="For these people only (names between commas; empty: all)", elem_id="batches-people", scale=4)
        form["blind_first"] = gr.Checkbox(label="Ask the question of a rationale before it is shown", elem_id="batches-blind", scale=2)
    return form
