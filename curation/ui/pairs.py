"""The Pairs page: decide on proposed pairs, see whether choices side by side follow the side or the length, make correctness pairs, download."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr
import sqlite_utils

from curation.contrast import subject_of
from curation.curating import pair_rows
from curation.export import export_pairs_jsonl
from curation.negatives import SEED, make_negatives, with_answer
from curation.pairing import CORRECTNESS, propose_pairs
from curation.study.sides import side_report
from curation.ui.pair_views import CSS, PICK_JS, counts_html, list_html, made_html, pair_html
from curation.ui.side_views import sides_html
from store.candidates import get_candidate
from store.clips import get_qa_pair
from store.comparisons import list_comparisons, texts_of
from store.context import Context
from store.errors import InputError, NotFoundError
from store.pairs import get_pair, list_pairs, set_pair_state
from store.records import Candidate, PreferencePair
from store.row_words import final_answer

STATES = ["proposed", "accepted", "dropped"]
ORIGINS = ["all", "edit", "verdict", "comparison", CORRECTNESS]
PER_PAGE = 25
MADE = (
    "For each multiple-choice question of a train or validation clip: the right answer over the wrong option that is most like it in length and in "
    "words of the question, behind each accepted rationale, else alone. They are accepted at once, nobody is asked about them, and the same seed "
    "makes the same pairs. Train on them with only the final answer scored."
)
FORMAT = "One row a line in TRL's conversational preference format: prompt, chosen, rejected; beside them the clip, the origins and the evidence."


@dataclass(frozen=True)
class View:
    """What the list shows: a filter, a page of it, and the row that is picked."""

    state: str = "proposed"
    origin: str = "all"
    first: int = 0
    shown: tuple[str, ...] = ()  # pair ids, in order
    picked: str | None = None
    total: int = 0


def build(context: Context) -> None:
    """Put the four tabs of the page into the current Gradio page."""
    with gr.Tabs(elem_id="pairs-tabs"):
        with gr.Tab("Proposed pairs", elem_id="pairs-tab-proposed"):
            _build_proposed(context)
        with gr.Tab("Side by side", elem_id="pairs-tab-side") as side:
            _build_side_by_side(context, side)
        with gr.Tab("Correctness", elem_id="pairs-tab-correctness"):
            _build_correctness(context)
        with gr.Tab("Export", elem_id="pairs-tab-export") as export:
            _build_export(context, export)


def _build_proposed(context: Context) -> None:
    view = gr.State(View())
    with gr.Row():
        state = gr.Radio(STATES, value="proposed", show_label=False, container=False, elem_id="pairs-state", scale=3)
        origin = gr.Dropdown(ORIGINS, value="all", show_label=False, container=False, elem_id="pairs-origin", scale=1, min_width=120)
        back, forth = (gr.Button(text, size="md", scale=0, min_width=50, elem_id=f"pairs-{name}") for text, name in (("‹", "back"), ("›", "forth")))
        refresh = gr.Button("Refresh", size="md", scale=0, min_width=100, elem_id="pairs-refresh")
    table = gr.HTML(css_template=CSS, js_on_load=PICK_JS, elem_id="pairs-list")
    with gr.Row():
        accept = gr.Button("Accept", variant="primary", size="md", interactive=False, elem_id="pairs-accept")
        drop = gr.Button("Drop", size="md", interactive=False, elem_id="pairs-drop")
        accept_all = gr.Button("Accept all shown", size="md", interactive=False, elem_id="pairs-accept-all")
    detail = gr.HTML(css_template=CSS, elem_id="pairs-detail")
    shown = [view, table, detail, accept, drop, accept_all, back, forth]

    def open_page() -> list[Any]:
        with context.open() as db:
            propose_pairs(db)
            return _show(db, View())

    def reload(now: View) -> list[Any]:
        with context.open() as db:
            propose_pairs(db)
            return _show(db, now)

    def narrow(now: View, state: str, origin: str) -> list[Any]:
        with context.open() as db:
            return _show(db, View(state, origin))

    def pick(now: View, event: gr.EventData) -> list[Any]:
        with context.open() as db:
            return _show(db, replace(now, picked=str(event.pair)))

    def decide(state: str, all_shown: bool) -> Callable[[View], list[Any]]:
        def decided(now: View) -> list[Any]:
            with context.open() as db:
                for pair_id in now.shown if all_shown else [now.picked or ""]:
                    set_pair_state(db, pair_id, state)
                return _show(db, replace(now, picked=_after(now)))

        return decided

    def turn(pages: int) -> Callable[[View], list[Any]]:
        def turned(now: View) -> list[Any]:
            with context.open() as db:
                return _show(db, replace(now, first=max(0, now.first + pages * PER_PAGE), picked=None))

        return turned

    gr.on(None, context.handler(open_page), outputs=shown, show_progress="hidden")
    refresh.click(context.handler(reload), [view], shown)
    gr.on([state.input, origin.input], context.handler(narrow), [view, state, origin], shown)
    table.click(context.handler(pick), [view], shown, show_progress="hidden")
    accept.click(context.handler(decide("accepted", False)), [view], shown)
    drop.click(context.handler(decide("dropped", False)), [view], shown)
    accept_all.click(context.handler(decide("accepted", True)), [view], shown)
    back.click(context.handler(turn(-1)), [view], shown)
    forth.click(context.handler(turn(1)), [view], shown)


def _build_side_by_side(context: Context, tab: gr.Tab) -> None:
    gr.Button("Compare texts", link="/compare", variant="primary", size="md", scale=0, min_width=180, elem_id="pairs-compare")
    report = gr.HTML(css_template=CSS, elem_id="pairs-sides")

    def show_sides() -> str:
        with context.open() as db:
            return sides_html(side_report(list_comparisons(db), texts_of(db)))

    gr.on([tab.select], context.handler(show_sides), None, [report], show_progress="hidden")


def _build_correctness(context: Context) -> None:
    gr.HTML(f'<p class="note">{MADE}</p>', css_template=CSS)
    with gr.Row():
        seed = gr.Number(SEED, label="Seed", precision=0, elem_id="pairs-seed", scale=0, min_width=140)
        make = gr.Button("Make correctness pairs", variant="primary", size="md", scale=0, min_width=220, elem_id="pairs-make")
    told = gr.HTML(css_template=CSS, elem_id="pairs-made")

    def make_pairs(seed: float | None) -> str:
        if seed is None:
            raise InputError("There is no seed. Give a whole number.")
        with context.open() as db:
            return made_html(make_negatives(db, int(seed)))

    make.click(context.handler(make_pairs), [seed], [told])


def _build_export(context: Context, tab: gr.Tab) -> None:
    state = gr.Radio(STATES, value="accepted", label="Pairs to download", elem_id="pairs-export-state")
    counts = gr.HTML(css_template=CSS, elem_id="pairs-counts")
    download = gr.Button("Download JSONL", variant="primary", size="md", scale=0, min_width=180, elem_id="pairs-download")
    gr.HTML(f'<p class="note">{FORMAT}</p>', css_template=CSS)

    def show(state: str) -> str:
        with context.open() as db:
            made = Counter((pair.state, pair.origin) for pair in list_pairs(db))
            return counts_html(made, pair_rows(db, state), state)

    def write(state: str) -> None:
        export_pairs_jsonl(context.data, state)

    gr.on([tab.select, state.input], context.handler(show), [state], [counts], show_progress="hidden")
    # Written first, so that an empty export is a message here and not a page of its own.
    download.click(context.handler(write), [state]).success(fn=None, inputs=[state], js="state => { location.assign(`/download/pairs-${state}.jsonl`) }")


def _show(db: sqlite_utils.Database, view: View) -> list[Any]:
    """Return what the Proposed tab shows for `view`, read anew."""
    found = [pair for pair in list_pairs(db, view.state) if view.origin in ("all", pair.origin)]
    first = min(view.first, max(0, len(found) - 1) // PER_PAGE * PER_PAGE)
    page = [(pair, subject_of(db, _text(db, pair.chosen_id))) for pair in found[first : first + PER_PAGE]]
    shown = tuple(pair.id for pair, _ in page)
    picked = view.picked if view.picked in shown else next(iter(shown), None)
    detail = ""
    if picked is not None:
        pair = get_pair(db, picked)
        chosen, rejected = _text(db, pair.chosen_id), _text(db, pair.rejected_id)
        detail = pair_html(pair, subject_of(db, chosen), _as_trained(db, pair, chosen), rejected.text)
    now = replace(view, first=first, shown=shown, picked=picked, total=len(found))
    accept, drop = (gr.Button(interactive=picked is not None and view.state != state) for state in ("accepted", "dropped"))
    accept_all = gr.Button(f"Accept all {len(shown)} shown", interactive=bool(shown) and view.state != "accepted")
    back, forth = gr.Button(interactive=first > 0), gr.Button(interactive=first + PER_PAGE < len(found))
    return [now, list_html(page, picked, len(found), first), detail, accept, drop, accept_all, back, forth]


def _after(view: View) -> str | None:
    """Return the row below the picked one: what a decision moves on to."""
    place = view.shown.index(view.picked) if view.picked in view.shown else -1
    return next(iter(view.shown[place + 1 :]), None)


def _as_trained(db: sqlite_utils.Database, pair: PreferencePair, chosen: Candidate) -> str:
    """Return the chosen text; beside a rejected one that ends in an answer of its own, with the answer that a row gives it."""
    qa = get_qa_pair(db, chosen.qa_id) if pair.origin == CORRECTNESS and pair.kind == "rationale" and chosen.qa_id else None
    return with_answer(chosen.text, final_answer(qa) or "") if qa else chosen.text


def _text(db: sqlite_utils.Database, candidate_id: str) -> Candidate:
    found = get_candidate(db, candidate_id)
    if found is None:
        raise NotFoundError(f"There is no candidate {candidate_id}. Load the page again.")
    return found
