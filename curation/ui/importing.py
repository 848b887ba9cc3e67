"""The Import page: an annotation file and its videos in; what was refused, what is missing, what came in earlier."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from curation.datasets import FORMATS
from curation.import_media import find_media
from curation.importing import ImportRequest, run_import
from curation.proxies import start_proxy_maker
from curation.ui.import_views import CSS, given_html, history_html, summary_html, waiting_html
from store.clips import list_imports, waiting_clips
from store.context import Context
from store.errors import InputError

HOW = (
    "Paths are on the machine that serves this page. An import changes nothing that is here: the same again adds nothing, "
    "and a row that says otherwise is refused. Closing this page does not stop an import."
)


def build(context: Context) -> None:
    """Put the form, the result and the lists into the current Gradio page."""
    with gr.Row():
        with gr.Column(scale=2, min_width=380):
            form = _build_form()
            start = gr.Button("Import", variant="primary", elem_id="import-start")
        with gr.Column(scale=3, min_width=420):
            gr.Markdown(HOW)
            result = gr.HTML(css_template=CSS, elem_id="import-result")
    gr.Markdown("### Clips that wait for their file")
    waiting = gr.HTML(css_template=CSS, elem_id="import-waiting")
    with gr.Row(equal_height=True):
        folder = gr.Textbox(label="Folder to look in", placeholder="/data/videos", elem_id="import-look-folder", scale=4)
        look = gr.Button("Look again", elem_id="import-look", scale=1)
    gr.Markdown("### Earlier imports")
    history = gr.HTML(css_template=CSS, elem_id="import-history")

    def lists() -> list[str]:
        with context.open() as db:
            return [waiting_html(waiting_clips(db)), history_html(list_imports(db))]

    def run(values: dict[Any, Any], progress: gr.Progress = gr.Progress()) -> list[str]:  # noqa: B008 - how Gradio is asked for a progress bar
        request = request_of(context.data, {name: values[component] for name, component in form.items()})
        summary = run_import(request, lambda share, text: progress(share, desc=text))
        if summary.media.waiting_for_proxy:
            start_proxy_maker(context.data)
        return [summary_html(summary.as_json()), *lists()]

    def look_again(path: str, progress: gr.Progress = gr.Progress()) -> list[str]:  # noqa: B008
        given = find_media(context.data, needed_path(path), None, lambda share, text: progress(share, desc=text))
        if given.media.waiting_for_proxy:
            start_proxy_maker(context.data)
        return [given_html(given), *lists()]

    # One at a time: two imports would only wait for each other's transaction.
    shown = [result, waiting, history]
    gr.on(None, context.handler(lists), outputs=[waiting, history], show_progress="hidden")
    explain = context.handler(lambda name: [FORMATS[name].sentence, gr.update(visible=name == "nextgqa")])
    form["format"].change(explain, form["format"], [form["sentence"], form["intervals"]])
    start.click(context.handler(run), set(form.values()), shown, concurrency_limit=1, concurrency_id="import", show_progress_on=result)
    look.click(context.handler(look_again), folder, shown, concurrency_limit=1, concurrency_id="import", show_progress_on=result)


def request_of(data: Path, values: Mapping[str, Any]) -> ImportRequest:
    """Return what the form asks for. Raises InputError when the annotation file is missing or given twice."""
    given = [path for path in (path_of(values["path"]), path_of(values["file"])) if path]
    if len(given) != 1:
        told = "both uploaded and given as a path" if given else "missing"
        raise InputError(f"The annotation file is {told}. Upload one, or give its path on this machine.")
    return ImportRequest(
        format=values["format"],
        file=given[0],
        data=data,
        **{name: path_of(values[name]) for name in ("videos", "subtitles", "candidates", "intervals")},
        dataset=(values["dataset"] or "").strip() or None,
        overlap=int(values["overlap"] or 0),
    )


def path_of(typed: str | None) -> Path | None:
    """Return what was typed as a path, or None when nothing was."""
    return Path(typed.strip()).expanduser() if typed and typed.strip() else None


def needed_path(typed: str) -> Path:
    """Return what was typed as a path. Raises InputError when nothing was."""
    path = path_of(typed)
    if path is None:
        raise InputError("No folder was given. Type the full path of the folder to look in, as in /data/videos.")
    return path


def _build_form() -> dict[str, Any]:
    """Return the components by what they ask for; `sentence` explains the format."""
    first = next(iter(FORMATS.values()))
    form: dict[str, Any] = {"format": gr.Dropdown(list(FORMATS), value=first.name, label="Format", elem_id="import-format")}
    form["sentence"] = gr.Textbox(first.sentence, show_label=False, container=False, interactive=False, lines=2, elem_id="import-sentence")
    form["file"] = gr.File(label="Annotation file", elem_id="import-file", height=130)
    form["path"] = gr.Textbox(label="... or its path on this machine", placeholder="/data/nextqa/val.csv", elem_id="import-path")
    form["intervals"] = gr.File(label="Intervals (gsub JSON); not needed when they lie beside a path", visible=False, height=130, elem_id="import-intervals")
    form["videos"] = gr.Textbox(label="Folder of the videos; empty: the clips wait", placeholder="/data/nextqa/videos", elem_id="import-videos")
    with gr.Accordion("Subtitles, texts and more", open=False, elem_id="import-more"):
        form["subtitles"] = gr.Textbox(label="Folder of subtitles (.srt, .vtt), named like the clips or videos", elem_id="import-subtitles")
        form["candidates"] = gr.File(label="Texts about the clips (.jsonl: candidate records; .csv: a table of texts)", height=130, elem_id="import-candidates")
        form["dataset"] = gr.Textbox(label="Name of the data set, where the format's own will not do", elem_id="import-dataset")
    form["overlap"] = gr.Number(2, precision=0, minimum=0, label="Annotations wanted of each text", info="0 queues none", elem_id="import-overlap")
    return form
