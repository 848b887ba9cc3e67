"""The page Compare: one component that loads its own modules; everything else goes over the routes of compare_routes.py."""

import gradio as gr

from store.context import Context

START = """
import('/eyewitness/compare.js').then(module => module.mount(element)).catch(problem => {
    element.textContent = `This page could not start in this browser (${problem.message}). Reload it; if that does not help, use a current browser.`;
});
"""
LOADING = '<p role="status" style="padding: 2rem">Opening the next two texts ...</p>'


def build(context: Context) -> gr.HTML:
    """Return the component in which texts are compared; it asks for them itself, so that a dropped Gradio event costs nothing."""
    return gr.HTML(LOADING, js_on_load=START, apply_default_css=False, elem_id="compare-page", padding=False)
