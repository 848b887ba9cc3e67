"""Floor 0: what is kept. Knows SQL and files; no gradio, no torch, no model API."""
