"""The part of the training page about finished adapters: where they come from, what they say, and where their words and weights may go."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from store.adapters import KnownAdapter, list_adapters
from store.clip_search import find_clips
from store.clips import qa_pairs_of
from store.context import Context
from store.errors import InputError
from store.records import Run
from training.asking import FILE_NAME, read_texts
from training.jobs import known_runs
from training.lineage import lineage_of
from training.markdown import plain, plain_cell
from training.registering import register_finished
from training.release import release
from training.trial import MOST_ADAPTERS, Answer, Tried, ask_trial, trial_of

MOST_CLIPS = 50
MOST_LINES = 60  # of where a thing was seen
KINDS = [("Answer", "answer"), ("Rationale, then the answer", "rationale"), ("Narrative of the clip", "narrative")]
CSS = """
font: 14px/1.55 system-ui, sans-serif; color: var(--body-text-color);
div.answers { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 280px), 1fr)); gap: 16px; }
section { min-width: 0; }
h4 { margin: 0 0 4px; font-size: 15px; overflow-wrap: anywhere; }
p { margin: 4px 0; max-width: 110ch; white-space: pre-wrap; overflow-wrap: anywhere; }
p.note { color: color-mix(in srgb, var(--body-text-color) 68%, var(--body-background-fill)); font-variant-numeric: tabular-nums; }
p.cut { color: var(--error-text-color, #b91c1c); font-weight: 600; }
"""


@dataclass(frozen=True)
class AdaptersPage:
    """The functions of this part over one data directory; it keeps nothing itself."""

    context: Context

    def load(self) -> list[Any]:
        """Return the table, the adapters to choose from (for one, for some), and the runs whose texts can be sent."""
        with self.context.open() as db:
            runs = known_runs(db, self.context.data)
            register_finished(db, self.context.data)
            adapters = list_adapters(db)
        choices = [(f"{one.name} · {one.stage} · {one.created_at[:16]}", one.run_id) for one in adapters]
        newest = choices[0][1] if choices else None
        several = gr.update(choices=choices, value=_lineal(adapters))
        return [adapter_table(adapters), gr.update(choices=choices, value=newest), several, self._wrote(runs)]

    def describe(self, run_id: str | None) -> str:
        """Return in Markdown what the chosen adapter learnt from, and which runs used it."""
        if not run_id:
            return "No adapter is chosen."
        with self.context.open() as db:
            lines = lineage_of(db, run_id).lines
            used = [run for run in known_runs(db, self.context.data) if run.parent_id == run_id]
        lines += [f"used by {run.name} ({run.stage}, run {run.id})" for run in used]
        return "\n".join(f"- {plain(line)}" for line in lines)

    def seen(self, asked_id: str) -> str:
        """Return in Markdown which sets, runs and adapters have the text or judgement with this id."""
        if not asked_id.strip():
            raise InputError("There is no id. Give the id of a text, an annotation, a decision, a question or a clip.")
        with self.context.open() as db:
            lines = lineage_of(db, asked_id.strip()).lines
        more = [f"and {len(lines) - MOST_LINES:,} more: python -m training lineage tells all"] if len(lines) > MOST_LINES else []
        return "\n".join(f"- {plain(line)}" for line in [*lines[:MOST_LINES], *more])

    def clips(self, words: str) -> tuple[Any, str]:
        """Return the clips whose name holds the words, as choices, and how many there are."""
        with self.context.open() as db:
            found, total = find_clips(db, words, None, 0, MOST_CLIPS)
        choices = [(f"{one.clip.dataset} · {one.clip.external_id}", one.clip.id) for one in found if one.problem is None]
        more = f" The first {len(found)} are listed: say more of the name." if total > len(found) else ""
        return gr.update(choices=choices, value=choices[0][1] if choices else None), f"{total:,} clips, {len(choices)} of those listed can be shown.{more}"

    def questions(self, clip_id: str | None) -> Any:
        """Return the questions about the clip as choices."""
        with self.context.open() as db:
            found = qa_pairs_of(db, clip_id) if clip_id else []
        choices = [(one.question, one.id) for one in found]
        return gr.update(choices=choices, value=choices[0][1] if choices else None)

    def ask(self, clip_id: str | None, question: str | None, kind: str, run_ids: Sequence[str], new_tokens: float | None) -> str:
        """Return as HTML what base and adapters say about the clip; 5 to 30 s for the libraries, longer for a large model."""
        if not clip_id:
            raise InputError("No clip is chosen. Find one by words of its name.")
        if new_tokens is None or not 1 <= new_tokens <= 4096:
            raise InputError(f"The number of tokens is {new_tokens}, and must lie between 1 and 4,096.")
        with self.context.open() as db:
            trial = trial_of(db, clip_id, question or "", kind, run_ids, int(new_tokens))
        return tried_html(ask_trial(self.context.data, trial))

    def send(self, run_id: str | None, batch_name: str, wanted: float | None) -> str:
        """Put the texts of the chosen run before annotators."""
        if not run_id:
            raise InputError("No run of the stage write has left texts. Start one on the tab Set up.")
        # A field that was emptied holds nothing, which is no number of annotations either.
        return plain(self.context.take_texts(run_id, batch_name, int(wanted or 0)))

    def export(self, run_id: str | None) -> tuple[str, str]:
        """Make the adapter's files and card ready to be given away."""
        return self._release(run_id, merged=False)

    def merge(self, run_id: str | None) -> tuple[str, str]:
        """Merge the adapter into its base; minutes for a large model."""
        return self._release(run_id, merged=True)

    def _release(self, run_id: str | None, merged: bool) -> tuple[str, str]:
        if not run_id:
            raise InputError("No adapter is chosen.")
        made = release(self.context.data, run_id, merged)
        card = (made.folder / "README.md").read_text(encoding="utf-8").partition("\n---\n")[2]
        return f"{'Made' if made.made else 'It was there already'}: {plain(str(made.folder))}, {made.bytes / 1e6:,.1f} MB.", card

    def _wrote(self, runs: Sequence[Run]) -> Any:
        counts = {run.id: len(read_texts(self.context.data / run.directory / FILE_NAME)) for run in runs if run.stage == "write"}
        choices = [(f"{run.name} · {counts[run.id]:,} texts", run.id) for run in runs if counts.get(run.id)]
        return gr.update(choices=choices, value=choices[0][1] if choices else None)


def build_adapters(context: Context, tab: gr.Tab | None = None) -> None:
    """Put the adapters into the Blocks page, or tab, that is open; `tab` loads them anew each time it is chosen."""
    page, guard = AdaptersPage(context), context.handler
    table = gr.Markdown(elem_id="train-adapters-table")
    with gr.Row(equal_height=True, elem_classes="ew-acts"):
        adapter = gr.Dropdown([], label="Adapter", elem_id="train-adapter")
        refresh = gr.Button("Refresh", elem_id="train-adapters-refresh")
    lineage = gr.Markdown(elem_id="train-lineage")
    with gr.Row(equal_height=True, elem_classes="ew-acts"):
        asked_id = gr.Textbox(label="Id of a text, annotation, decision, question or clip", elem_id="train-seen-id")
        look = gr.Button("Which adapters learnt from it", elem_id="train-seen-look")
    seen = gr.Markdown(elem_id="train-seen")
    several = _build_trial(page)
    wrote = _build_send(page)
    _build_release(page, adapter)
    shown = [table, adapter, several, wrote]
    loads = [gr.on(None, guard(page.load), None, shown), refresh.click(guard(page.load), None, shown)]
    for load in [*loads, *([tab.select(guard(page.load), None, shown)] if tab else [])]:
        load.then(guard(page.describe), adapter, lineage)
    adapter.input(guard(page.describe), adapter, lineage)
    gr.on([look.click, asked_id.submit], guard(page.seen), asked_id, seen)


def adapter_table(adapters: Sequence[KnownAdapter]) -> str:
    """Return the adapters as a Markdown table, the newest first."""
    if not adapters:
        return "No adapter is known yet. It is when an SFT or DPO run has ended."
    names = {one.run_id: one.name for one in adapters}
    lines = [
        f"| {plain_cell(one.name)} | {one.stage} | {plain_cell(names.get(one.parent_run_id or '', one.parent_run_id or 'the base'))} "
        f"| {plain_cell(one.set_name)} | {one.learnt_rows:,} | {one.created_at[:16]} | {one.sha256[:12]} |"
        for one in adapters
    ]
    return "\n".join(["| adapter | stage | started from | set | rows learnt from | made | SHA-256 |", "|---|---|---|---|---|---|---|", *lines])


def tried_html(tried: Tried) -> str:
    """Return the answers beside each other as HTML in which every word of a model is escaped."""
    columns = "".join(_column(one) for one in tried.answers)
    return f'<p class="note">The model was loaded in {tried.loading_s:,.1f} s.</p><div class="answers">{columns}</div>'


def _column(one: Answer) -> str:
    cut = '<p class="cut">Cut: it had as many tokens as it was allowed.</p>' if one.cut else ""
    said = escape(one.text) if one.text else "(no words)"
    return f'<section><h4>{escape(one.writer)}</h4><p>{said}</p>{cut}<p class="note">{one.tokens:,} tokens, {one.seconds:,.1f} s</p></section>'


def _lineal(adapters: Sequence[KnownAdapter]) -> list[str]:
    """Return the newest adapter's run and the one that it started from, that one first."""
    newest = adapters[0] if adapters else None
    known = {one.run_id for one in adapters}
    return [] if newest is None else [*([newest.parent_run_id] if newest.parent_run_id in known else []), newest.run_id]


def _build_trial(page: AdaptersPage) -> gr.Dropdown:
    guard = page.context.handler
    with gr.Accordion("Try it on a clip", open=False, elem_id="train-try"):
        with gr.Row(equal_height=True, elem_classes="ew-acts"):
            words = gr.Textbox(label="Words of the clip's name", elem_id="train-try-words")
            find = gr.Button("Find clips", elem_id="train-try-find")
        found = gr.Markdown(elem_id="train-try-found")
        clip = gr.Dropdown([], label="Clip", elem_id="train-try-clip")
        question = gr.Dropdown([], label="Question: one of the clip's, or your own words", allow_custom_value=True, elem_id="train-try-question")
        kind = gr.Radio(KINDS, value="answer", label="What to write", elem_id="train-try-kind")
        with gr.Row(equal_height=True, elem_classes="ew-acts"):
            several = gr.Dropdown([], multiselect=True, max_choices=MOST_ADAPTERS, label="Adapters, beside their base", elem_id="train-try-adapters")
            tokens = gr.Number(256, precision=0, label="Tokens each, at most", elem_id="train-try-tokens")
            go = gr.Button("Try", elem_id="train-try-go")
        gr.Markdown("The model is loaded anew each time: 5 to 30 s for the libraries, longer for a large one. Each writes its likeliest words.")
        answers = gr.HTML(css_template=CSS, elem_id="train-try-answers")
    find_clips_then = gr.on([find.click, words.submit], guard(page.clips), words, [clip, found])
    find_clips_then.then(guard(page.questions), clip, question)
    clip.input(guard(page.questions), clip, question)
    # One at a time: each loads the libraries and a model in a process of its own.
    go.click(guard(page.ask), [clip, question, kind, several, tokens], answers, trigger_mode="once", concurrency_limit=1, concurrency_id="train-try")
    return several


def _build_send(page: AdaptersPage) -> gr.Dropdown:
    with gr.Accordion("Send texts to the annotation queue", open=False, elem_id="train-send"):
        wrote = gr.Dropdown([], label="Run of the stage write", elem_id="train-send-run")
        with gr.Row(equal_height=True, elem_classes="ew-acts"):
            name = gr.Textbox(label="Batch, new or there already; its name must not tell who wrote", elem_id="train-send-batch")
            wanted = gr.Number(3, precision=0, label="Annotations of each text", elem_id="train-send-wanted")
            go = gr.Button("Send", elem_id="train-send-go")
        said = gr.Markdown(elem_id="train-send-said")
    go.click(page.context.handler(page.send), [wrote, name, wanted], said, trigger_mode="once")
    return wrote


def _build_release(page: AdaptersPage, adapter: gr.Dropdown) -> None:
    guard = page.context.handler
    with gr.Accordion("Give it away", open=False, elem_id="train-release"):
        gr.Markdown("A merge loads the base whole, in bfloat16, never in 4 bits, on the CPU: minutes, and two bytes of memory for each of its weights.")
        with gr.Row():
            export = gr.Button("Export the adapter alone", elem_id="train-release-export")
            merge = gr.Button("Merge it into its base", elem_id="train-release-merge")
        said = gr.Markdown(elem_id="train-release-said")
        card = gr.Markdown(elem_id="train-release-card")
    alone: dict[str, Any] = {"trigger_mode": "once", "concurrency_limit": 1, "concurrency_id": "train-release"}
    export.click(guard(page.export), adapter, [said, card], **alone)
    merge.click(guard(page.merge), adapter, [said, card], **alone)
