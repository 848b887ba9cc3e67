"""The tab Texts: what came, by run, arm, writer and finding, each text with its sources, citations and cost; and what was set aside."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr
import sqlite_utils

from curation.synthesis.arms import read_arm
from curation.synthesis.choosing import subject_of
from curation.synthesis.order import numbered
from curation.synthesis.plan_files import read_plan
from curation.synthesis.reading import Problem, Reading, citations_of, sources_of
from curation.synthesis.status import dead_letters, list_directories
from curation.synthesis.subjects import Subject, Told
from curation.ui.synthesis_form import label_of
from curation.ui.synthesis_run_views import dead_html
from curation.ui.synthesis_views import CSS, PROBLEMS, amounts, reading_html
from store.context import Context
from store.synthesis import SynthesisFilter, SynthesisRun, Written, count_syntheses, list_syntheses, synthesis_runs

ANY, DEAD = "", "set aside"
PER_PAGE = 10
MOST_DEAD = 200
NOTHING = '<div class="empty">No text here. The tab Ask starts a run, and what it writes is listed as it comes.</div>'


@dataclass(frozen=True)
class TextsPage:
    """The tab's functions over one data directory; it keeps nothing itself."""

    context: Context

    def load(self, run_id: str, arm: str, writer: str) -> list[Any]:
        """Return the choices of runs, arms and writers, what is chosen kept where it is still there."""
        with self.context.open() as db:
            runs = synthesis_runs(db)
        arms = {_arm_key(run): label_of(read_arm(_arm_key(run))) + f" ({run.kind})" for run in runs if run.arm}
        writers = {run.generator.id: f"{run.generator.name} · {run.generator.id[:6]}" for run in runs}
        named = {run.run_id: f"{run.kind}s by {run.generator.name} · {run.run_id[:8]} · {run.texts:,}" for run in runs}
        return [_choices(known, now) for known, now in ((named, run_id), (arms, arm), (writers, writer))]

    def show(self, run_id: str, arm: str, writer: str, problem: str, first: int) -> list[Any]:
        """Return a page of texts from place `first`, and whether there is one before and behind it."""
        if problem == DEAD:
            return [self._dead(run_id), 0, gr.update(interactive=False), gr.update(interactive=False)]
        chosen = SynthesisFilter(run_id or None, writer or None, json.loads(arm) if arm else None, None, problem or None)
        with self.context.open() as db:
            total = count_syntheses(db, chosen)
            first = min(max(0, first), max(0, total - 1) // PER_PAGE * PER_PAGE)
            page = list_syntheses(db, chosen, first, PER_PAGE)
            cards = "".join(_card(db, one) for one in page)
        place = f'<p class="note">{first + 1:,} to {first + len(page):,} of {total:,}, the newest first.</p>' if page else NOTHING
        return [f"{place}{cards}", first, gr.update(interactive=first > 0), gr.update(interactive=first + PER_PAGE < total)]

    def turn(self, pages: int) -> Any:
        """Return the handler that shows the page so many pages on."""

        def turned(run_id: str, arm: str, writer: str, problem: str, first: int) -> list[Any]:
            return self.show(run_id, arm, writer, problem, first + pages * PER_PAGE)

        return turned

    def _dead(self, run_id: str) -> str:
        directories = [one for one in list_directories(self.context.data) if run_id in (ANY, one.name)]
        shown = [f"<h4>{escape(read_plan(one).name)}</h4>{dead_html(dead, len(dead))}" for one in directories if (dead := dead_letters(one, MOST_DEAD))]
        return "".join(shown) or '<div class="empty">Nothing was set aside.</div>'


def build_texts(context: Context, tab: gr.Tab) -> None:
    """Put the tab's components into the tab that is open."""
    page, guard = TextsPage(context), context.handler
    problems = [("any, or none", ANY), *((words, name) for name, words in PROBLEMS.items()), ("set aside: no text", DEAD)]
    with gr.Row(equal_height=True, elem_classes="ew-acts"):
        run = gr.Dropdown([("all", ANY)], value=ANY, label="Run", scale=3, min_width=180, elem_id="synthesis-texts-run")
        arm = gr.Dropdown([("all", ANY)], value=ANY, label="Arm", scale=3, min_width=140, elem_id="synthesis-texts-arm")
        writer = gr.Dropdown([("all", ANY)], value=ANY, label="Writer", scale=2, min_width=140, elem_id="synthesis-texts-writer")
        problem = gr.Dropdown(problems, value=ANY, label="Finding", scale=2, min_width=150, elem_id="synthesis-texts-problem")
        back, forth = (gr.Button(text, scale=0, min_width=50, elem_id=f"synthesis-texts-{name}") for text, name in (("‹", "back"), ("›", "forth")))
    shown = gr.HTML(NOTHING, css_template=CSS, elem_id="synthesis-texts")
    first = gr.State(0)
    chosen, outputs = [run, arm, writer, problem, first], [shown, first, back, forth]
    quiet: dict[str, Any] = {"trigger_mode": "always_last", "show_progress": "hidden"}
    tab.select(guard(page.load), [run, arm, writer], [run, arm, writer], **quiet).then(guard(page.show), chosen, outputs, **quiet)
    gr.on([run.input, arm.input, writer.input, problem.input], guard(page.show), chosen, outputs, **quiet)
    back.click(guard(page.turn(-1)), chosen, outputs, **quiet)
    forth.click(guard(page.turn(1)), chosen, outputs, **quiet)


def _card(db: sqlite_utils.Database, one: Written) -> str:
    """Return a text with all that is known of how it came."""
    told, text = one.synthesis, one.candidate
    subject = subject_of(db, text.clip_id, text.qa_id)
    reading = Reading(text.text, sources_of(list(told.sources)), citations_of(list(told.citations)), None, tuple(Problem(**found) for found in told.problems))
    asked = f" · {escape(subject.pairs[0].question)}" if text.qa_id else ""
    given = f"<p>Told as the answer: <b>{escape(told.given_answer)}</b></p>" if told.given_answer and text.qa_id else ""
    cost = amounts(told.tokens_in, told.tokens_out, told.money, told.currency or "", told.seconds)
    tries = f", {told.attempts} tries" if told.attempts > 1 else ""
    who = f"{escape(one.generator.name)}{f' ({escape(told.model)})' if told.model and told.model != one.generator.name else ''}"
    return (
        f'<article><h4 dir="auto">{escape(one.clip_name)}{asked}</h4>{given}{reading_html(reading, _pairs(subject, one))}'
        f'<p class="note">{who}, {_arm_name(one)}, prompt {told.prompt_sha256[:8]}, seed {told.seed}: {escape(cost)}{tries}. {_place(one)}</p></article>'
    )


def _pairs(subject: Subject, one: Written) -> Sequence[Told]:
    arm = json.loads(one.generator.settings or "{}").get("arm")
    return numbered(subject, read_arm(json.dumps(arm))) if arm and subject.qa_id is None else ()


def _arm_name(one: Written) -> str:
    arm = json.loads(one.generator.settings or "{}").get("arm")
    return f"arm {label_of(read_arm(json.dumps(arm)))}" if arm else "arm unknown"


def _place(one: Written) -> str:
    if one.batch_name is None or one.entry is None:
        return "It waits nowhere."
    return f"In {escape(repr(one.batch_name))}, {one.entry.taken} of {one.entry.wanted} annotations taken."


def _arm_key(run: SynthesisRun) -> str:
    return json.dumps(dict(run.arm), sort_keys=True)


def _choices(known: dict[str, str], now: str) -> Any:
    return gr.update(choices=[("all", ANY), *((label, value) for value, label in known.items())], value=now if now in known else ANY)
