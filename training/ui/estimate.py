"""The part of the tab Set up that says what a run will take, before it starts: memory, time, tokens; the probe; and what to change when it does not fit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from store.context import Context
from store.curated import get_set
from store.errors import InputError, UserError
from store.records import CuratedSet
from training.config import RunConfig
from training.estimate import PROBE, Estimate, Machine
from training.form import values_of
from training.pace import duration_text
from training.probing import Probe, ask_probe
from training.reckoning import NO_GPU, Reckoned, find_machine, ground_of, reckon
from training.remedies import MOST, RESERVE, Remedy
from training.rows import load_set, planned_rows

GIB = 2**30
Asked = Callable[..., tuple[RunConfig, str | None]]

CSS = """
font: 14px/1.5 system-ui, sans-serif; color: var(--body-text-color);
p { margin: 4px 0; max-width: 110ch; }
p.verdict { font-size: 15px; }
.no { color: var(--error-text-color, #b91c1c); font-weight: 600; }
.yes { font-weight: 600; }
.note, td.source { color: color-mix(in srgb, var(--body-text-color) 68%, var(--body-background-fill)); }
table, tbody, tr { border: 0; }
table { border-collapse: collapse; margin: 6px 0; font-variant-numeric: tabular-nums; }
th, td { padding: 2px 24px 2px 0; border: 0; text-align: left; }
td.number { text-align: right; }
tr.sum td { border-top: 1px solid var(--border-color-primary); font-weight: 600; }
"""


@dataclass(frozen=True)
class Estimator:
    """The functions of the panel over one data directory. `asked(*inputs)` returns the config in the form and the id of its set."""

    context: Context
    asked: Asked
    machine: Callable[[RunConfig], Machine]

    def show(self, *inputs: Any) -> list[Any]:
        """Return the estimate as HTML, the buttons of the remedies, and the configs that stand behind these."""
        try:
            return _shown(self._reckon(*inputs)[0])
        except UserError as error:
            return [f'<p class="note">{escape(str(error))}</p>', *_buttons(()), ()]

    def probe(self, *inputs: Any) -> list[Any]:
        """Do two steps on the longest item of what the form asks for, keep what they took, and return the estimate anew."""
        now, curated = self._reckon(*inputs)
        if now.machine == NO_GPU:
            raise InputError("There is no GPU on this machine to probe. Probe where the run will be done, or choose the pipeline check.")
        ask_probe(self.context.data, curated, now.config, now.load.longest, now.machine)
        return self.show(*inputs)

    def take(self, number: int, configs: Sequence[str]) -> list[Any]:
        """Return what the fields say after remedy `number`."""
        if number >= len(configs):
            raise InputError("The settings have changed meanwhile, and this way out is gone. Look at the estimate again.")
        return values_of(RunConfig.from_json(configs[number]))

    def _reckon(self, *inputs: Any) -> tuple[Reckoned, CuratedSet]:
        config, set_id = self.asked(*inputs)
        if config.stage not in ("sft", "dpo"):
            raise InputError("Memory and time are reckoned for SFT and DPO runs; scoring and writing take less than training at the same settings.")
        if set_id is None:
            raise InputError("There is no curated set yet, so there is nothing to reckon with.")
        with self.context.open() as db:
            curated = get_set(db, set_id)
            rows = planned_rows(load_set(self.context.data / curated.directory).rows, config)[0]
            ground = ground_of(db, self.context.data, rows, self.machine(config))
        return reckon(ground, config), curated


@dataclass(frozen=True)
class Estimated:
    """What the page needs of the panel: how to bring it up to date after a change, and the events by which it changes the fields itself."""

    said_of: dict[str, Any]  # for `then` and gr.on
    acts: tuple[Any, ...]


def build_estimate(context: Context, asked: Asked, inputs: Sequence[Any], machine: Callable[[RunConfig], Machine] | None = None) -> Estimated:
    """Put the panel into the Blocks page that is open. inputs: the components of stage, set, parent, questions and all fields."""
    page, guard = Estimator(context, asked, machine or find_machine), context.handler
    with gr.Accordion("What it will take", open=True, elem_id="train-estimate-box"):
        told = gr.HTML(css_template=CSS, elem_id="train-estimate")
        with gr.Row():
            buttons = [gr.Button(visible=False, size="sm", elem_id=f"train-remedy-{number + 1}") for number in range(MOST)]
        probe = gr.Button("Probe: two steps on the longest item", elem_id="train-probe")
    configs = gr.State(())
    shown = [told, *buttons, configs]
    # One at a time, in order: of two answers that overtook each other the older would stay on the screen.
    said_of: dict[str, Any] = {
        "fn": guard(page.show), "inputs": list(inputs), "outputs": shown, "trigger_mode": "always_last", "show_progress": "hidden",
        "concurrency_limit": 1, "concurrency_id": "train-estimate",
    }  # fmt: skip
    probe.click(guard(page.probe), list(inputs), shown, trigger_mode="once", concurrency_limit=1, concurrency_id="train-probe")
    acts = tuple(button.click(guard(_taking(page, number)), configs, list(inputs[4:])) for number, button in enumerate(buttons))
    for act in acts:
        act.then(**said_of)
    return Estimated(said_of, acts)


def estimate_html(made: Estimate, machine: Machine, probe: Probe | None) -> str:
    """Return the estimate as HTML in which every name is escaped."""
    rows = "".join(
        f'<tr><td>{escape(part.name)}</td><td class="number">{size_text(part.bytes)}</td><td class="source">{escape(part.source)}</td></tr>'
        for part in made.parts
    )
    total = f'<tr class="sum"><td>together</td><td class="number">{size_text(made.bytes)}</td><td></td></tr>'
    return (
        f'<p class="verdict">{_verdict(made, machine)}</p>'
        f"<p>{_longest(made)} {_time(made)}</p>"
        f"<table><tr><th>memory</th><th>takes</th><th>from</th></tr>{rows}{total}</table>"
        f"<p>{_tokens(made)}</p>{_probe_text(probe)}"
    )


def size_text(size: int) -> str:
    """Return a size in bytes for a reader: "12.5 GiB", from a tenth of that down "34.0 MiB"."""
    return f"{size / GIB:,.2f} GiB" if size >= GIB / 10 else f"{size / 2**20:,.1f} MiB"


def _shown(now: Reckoned) -> list[Any]:
    html = estimate_html(now.made, now.machine, now.probe)
    if now.ways_out:
        html += "<p>Ways out, by what they cost in quality, the cheapest first; a button changes the settings:</p>"
    return [html, *_buttons(now.ways_out), tuple(remedy.config.to_json() for remedy in now.ways_out)]


def _buttons(ways_out: Sequence[Remedy]) -> list[Any]:
    texts = [f"{way.what} Saves {size_text(way.saves_bytes)}{'' if way.fits else ', which is not enough by itself'}." for way in ways_out]
    return [gr.update(value=texts[at], visible=True) if at < len(texts) else gr.update(visible=False) for at in range(MOST)]


def _taking(page: Estimator, number: int) -> Callable[[Sequence[str]], list[Any]]:
    def take(configs: Sequence[str]) -> list[Any]:
        return page.take(number, configs)

    return take


def _verdict(made: Estimate, machine: Machine) -> str:
    how = "measured here in a probe" if made.source == PROBE else "by a formula, whose spread is not known; a probe measures it"
    needs = f"about {size_text(made.bytes)} ({how})"
    if machine == NO_GPU:
        return f"It needs {needs}. There is no GPU on this machine to hold that against."
    of = f"{machine.free_bytes / GIB:.1f} GiB free of {machine.total_bytes / GIB:.1f} GiB on {escape(machine.name)}"
    if made.bytes <= machine.free_bytes * (1 - RESERVE):
        return f'<span class="yes">It fits</span>: {needs}, {of}.'
    if made.bytes <= machine.total_bytes * (1 - RESERVE):
        return f'<span class="no">It fits only when what else uses {escape(machine.name)} has ended</span>: {needs}, {of}.'
    return f'<span class="no">It will not fit</span>: {needs}, {of}.'


def _longest(made: Estimate) -> str:
    one = made.longest
    rows = "1 row" if len(one.rows) == 1 else f"{len(one.rows)} rows"
    many = f"{one.sequences} sequences of {one.length:,} tokens" if one.sequences > 1 else f"{one.length:,} tokens"
    return f"The longest pass: {rows}, {many}, {one.visual:,} of them of pictures, {one.learnt:,} learnt."


def _time(made: Estimate) -> str:
    if made.run_s.value is None or made.pass_s.value is None:
        return f"Time: unknown ({escape(made.run_s.source)})."
    return (
        f"That pass takes {made.pass_s.value:.2g} s, all {made.steps:,} steps about {duration_text(made.run_s.value)} "
        "(from one timed step; without loading, decoding and saving)."
    )


def _tokens(made: Estimate) -> str:
    said = f'<span class="note">{escape(made.tokens_said[0].upper() + made.tokens_said[1:])}.</span>'
    if made.packed_tokens == made.separate_tokens:
        return f"An epoch: {made.separate_tokens:,} tokens; no two rows go through the model together, so no pictures are shared. {said}"
    times = made.separate_tokens / made.packed_tokens
    return f"An epoch: {made.separate_tokens:,} tokens with each row by itself, {made.packed_tokens:,} packed by clip ({times:.1f} times fewer). {said}"


def _probe_text(probe: Probe | None) -> str:
    if probe is None:
        return ""
    at = escape(probe.at[:16].replace("T", " "))
    if probe.problem is not None:
        return f'<p class="no">The probe of {at} failed while at: {escape(str(probe.phase))}. {escape(probe.problem)}</p>'
    took = f"{size_text(probe.peak_bytes or 0)} at most, the first step {probe.first_step_s:.2g} s, the second {probe.step_s:.2g} s"
    return f'<p class="note">Probed on {at} with {probe.rows} rows of {probe.tokens:,} tokens: {took}.</p>'
