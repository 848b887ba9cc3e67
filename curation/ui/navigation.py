"""The bar on top of every page."""

import gradio as gr


def build_navigation() -> gr.HTML:
    """Return the bar; the browser fills it with the pages that the signed-in person may open."""
    return gr.HTML("", js_on_load="import('/eyewitness/nav.js').then(module => module.mount(element))", elem_id="navigation", padding=False)
