"""The tab Prompts: the given files and every version that texts were asked for with, and how two of them differ."""

from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from curation.synthesis.arms import KINDS
from curation.synthesis.prompts import diff, load
from curation.ui.synthesis_views import CSS, diff_html, table_html
from store.context import Context
from store.errors import NotFoundError
from store.synthesis import list_prompts, prompt_counts


@dataclass(frozen=True)
class Version:
    """One prompt by its words."""

    sha256: str
    name: str
    text: str
    added_at: str | None  # None: given with the project and never used
    texts: int


@dataclass(frozen=True)
class PromptsPage:
    """The tab's functions over one data directory; it keeps nothing itself."""

    context: Context

    def load(self) -> list[Any]:
        """Return the versions as a table and as choices: the given one beside the last that was used."""
        versions = self._versions()
        rows = [
            [escape(one.name), escape(one.sha256[:12]), "given with the project" if self._given(one) else "changed", _when(one), f"{one.texts:,}"]
            for one in versions.values()
        ]
        choices = [(f"{one.name} · {one.sha256[:12]}", one.sha256) for one in versions.values()]
        # The last that was used, beside what the project gives for the same kind of text.
        last = next((one for one in versions.values() if one.added_at), next(iter(versions.values())))
        first = next((one for one in versions.values() if one.name == last.name and self._given(one)), last)
        table = table_html(("Prompt", "Version", "Which", "First used", "Texts"), rows, frozenset({4}))
        return [table, gr.update(choices=choices, value=first.sha256), gr.update(choices=choices, value=last.sha256)]

    def compare(self, old: str | None, new: str | None) -> list[Any]:
        """Return how two versions differ, and the words of the second."""
        versions = self._versions()
        if old not in versions or new not in versions:
            return ["", ""]
        return [diff_html(diff(versions[old].text, versions[new].text)), versions[new].text]

    def take(self, sha256: str | None) -> list[Any]:
        """Return a version's words for the form of the tab Ask, and that tab."""
        found = self._versions().get(sha256 or "")
        if found is None:
            raise NotFoundError('No version is chosen. Choose one under "New".')
        return [found.text, gr.Tabs(selected="ask")]

    def _versions(self) -> dict[str, Version]:
        with self.context.open() as db:
            used, counts = list_prompts(db), prompt_counts(db)
        known = {one.sha256: Version(one.sha256, one.name, one.text, one.added_at, counts.get(one.sha256, 0)) for one in used}
        given = {one.sha256: Version(one.sha256, one.name, one.text, None, 0) for one in map(load, KINDS)}
        return known | {sha256: one for sha256, one in given.items() if sha256 not in known}

    def _given(self, version: Version) -> bool:
        return version.sha256 in {load(kind).sha256 for kind in KINDS}


def build_prompts(context: Context, tab: gr.Tab, tabs: gr.Tabs, prompt: gr.Textbox) -> Any:
    """Put the tab's components into the tab that is open; `prompt` is the field of the tab Ask. Returns the event by which it is filled."""
    page, guard = PromptsPage(context), context.handler
    table = gr.HTML(css_template=CSS, elem_id="synthesis-prompts")
    with gr.Row(equal_height=True, elem_classes="ew-acts"):
        old = gr.Dropdown([], label="Old", scale=2, elem_id="synthesis-prompt-old")
        new = gr.Dropdown([], label="New", scale=2, elem_id="synthesis-prompt-new")
        take = gr.Button("Ask with the new one", scale=1, elem_id="synthesis-prompt-take")
    with gr.Row():
        difference = gr.HTML(css_template=CSS, elem_id="synthesis-diff")
        words = gr.Textbox(label="The new one", lines=16, max_lines=30, interactive=False, elem_id="synthesis-prompt-words")
    quiet: dict[str, Any] = {"trigger_mode": "always_last", "show_progress": "hidden"}
    tab.select(guard(page.load), None, [table, old, new], **quiet).then(guard(page.compare), [old, new], [difference, words], **quiet)
    gr.on([old.input, new.input], guard(page.compare), [old, new], [difference, words], **quiet)
    return take.click(guard(page.take), new, [prompt, tabs], **quiet)


def _when(version: Version) -> str:
    return "never" if version.added_at is None else escape(version.added_at[:16].replace("T", " "))
