"""The pages: what each is called, who may open it, and the bar on top of every one."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import gradio as gr

from store.context import Context


@dataclass(frozen=True)
class Page:
    """One page: its path, its name in the bar, the least role that may open it, and what puts it into the current Gradio page.

    The context that `build` gets has the handler of that role; whoever has less is stopped at the gate, and again by each handler.
    """

    path: str
    name: str
    least: str
    build: Callable[[Context], object]


def build_navigation(pages: Sequence[Page]) -> gr.HTML:
    """Return the bar; the browser fills it with those of the pages that the signed-in person may open."""
    listed = json.dumps([{"path": page.path, "name": page.name, "least": page.least} for page in pages])
    start = f"import('/eyewitness/nav.js').then(module => module.mount(element, {listed}))"
    return gr.HTML("", js_on_load=start, elem_id="navigation", padding=False)
