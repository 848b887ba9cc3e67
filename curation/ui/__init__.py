"""Floor 2: Gradio pages and routes; they translate and decide nothing."""
