"""The page Synthesise: ask for texts, watch the runs, read what came, compare prompts. Each tab is a module of its own."""

import gradio as gr

from curation.ui.synthesis_ask import build_ask
from curation.ui.synthesis_prompts import build_prompts
from curation.ui.synthesis_runs import LOOK_EVERY_S, Shared, build_runs
from curation.ui.synthesis_texts import build_texts
from store.context import Context


def build(context: Context) -> None:
    """Put the four tabs into the Blocks page that is open."""
    # Outside of the tabs: what stands among them counts as one.
    timer, until, said = gr.Timer(LOOK_EVERY_S, active=False), gr.State(0.0), gr.Markdown(elem_id="synthesis-message")
    with gr.Tabs(elem_id="synthesis-tabs") as tabs:
        shared = Shared(said, tabs, timer, until)
        with gr.Tab("Ask", id="ask"):
            ask = build_ask(context)
        with gr.Tab("Runs", id="runs") as runs:
            run = build_runs(context, shared, runs)
        with gr.Tab("Texts", id="texts") as texts:
            build_texts(context, texts)
        with gr.Tab("Prompts", id="prompts") as prompts:
            taken = build_prompts(context, prompts, tabs, ask.prompt)
    ask.start_with(run, shared)
    taken.then(**ask.said_of)
