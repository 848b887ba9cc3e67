"""The page Frames: one component that loads its own modules; everything else goes over the routes of frames_routes.py."""

import dataclasses
import json
from typing import Any

import gradio as gr

from store.context import Context
from training.pool_preview import SHOWN_PX, SIZES_PX
from training.pooling import PoolSettings

START = """
import('/eyewitness/frames.js').then(module => module.mount(element, %s)).catch(problem => {
    element.textContent = `This page could not start in this browser (${problem.message}). Reload it; if that does not help, use a current browser.`;
});
"""
LOADING = '<p role="status" style="padding: 2rem">Opening a clip ...</p>'


def offered() -> dict[str, Any]:
    """Return what the component starts with: the settings as they are at first, and the sizes of pictures."""
    return {"settings": dataclasses.asdict(PoolSettings()) | {"size_px": SHOWN_PX}, "sizes": SIZES_PX}


def build(context: Context) -> gr.HTML:
    """Return the component in which pooled frames are looked at; it asks for them itself, so that a dropped Gradio event costs nothing."""
    return gr.HTML(LOADING, js_on_load=START % json.dumps(offered()), apply_default_css=False, elem_id="frames-page", padding=False)
