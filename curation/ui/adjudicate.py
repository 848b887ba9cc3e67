"""The page Adjudicate: one component that loads its own modules; everything else goes over the routes of adjudication_routes.py."""

import gradio as gr

from store.context import Context

START = """
import('/eyewitness/adjudicate.js').then(module => module.mount(element)).catch(problem => {
    element.textContent = `This page could not start in this browser (${problem.message}). Reload it; if that does not help, use a current browser.`;
});
"""
LOADING = '<p role="status" style="padding: 2rem">Looking for what is disputed ...</p>'


def build(context: Context) -> gr.HTML:
    """Return the component in which disputes are decided; it asks for them itself, so that a dropped Gradio event costs nothing."""
    return gr.HTML(LOADING, js_on_load=START, apply_default_css=False, elem_id="adjudicate-page", padding=False)
