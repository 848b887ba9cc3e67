"""The desk's page: one component that loads its own modules; everything else goes over the desk's routes."""

import gradio as gr

from store.context import Context

START = """
import('/eyewitness/desk.js').then(module => module.mount(element)).catch(problem => {
    element.textContent = `The desk could not start in this browser (${problem.message}). Reload the page; if that does not help, use a current browser.`;
});
"""
LOADING = '<p role="status" style="padding: 2rem">Opening the desk ...</p>'


def build(context: Context) -> gr.HTML:
    """Return the component in which the desk runs; it asks for its items itself, so that a dropped Gradio event costs nothing."""
    return gr.HTML(
        LOADING,
        js_on_load=START,
        apply_default_css=False,
        elem_id="annotate",
        padding=False,
    )
