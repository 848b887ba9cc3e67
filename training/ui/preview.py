"""The part of the training page that shows what the model will get for one row: pictures in their order, text with the words that bear the loss marked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from store.context import Context
from store.curated import get_set
from store.errors import InputError, UserError
from training.config import RunConfig
from training.context import Dropped
from training.preview import Picture, Preview, Segment, Side, ask_preview
from training.rows import FrozenSet, Row, load_set

ANY = "any"
DROPPED_SHOWN = 60
SIDES = {"reply": "The conversation", "chosen": "Chosen", "rejected": "Rejected"}
KINDS = {"frame": "frame", "window": "blend", "key": "frame at the pause"}

CSS = """
--dim: color-mix(in srgb, var(--body-text-color) 68%, var(--body-background-fill));
font: 14px/1.55 system-ui, sans-serif; color: var(--body-text-color);
ol.pictures { display: flex; flex-wrap: wrap; gap: 8px; margin: 8px 0 16px; padding: 0; list-style: none; }
ol.pictures li { margin: 0; font-variant-numeric: tabular-nums; }
ol.pictures img { display: block; width: auto; height: auto; max-width: min(100%, 224px); max-height: 160px; border-radius: 4px; }
ol.pictures li.key img { outline: 3px solid #c2410c; outline-offset: -3px; }
ol.pictures small, p.note, table { color: var(--dim); }
div.sides { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 340px), 1fr)); gap: 16px; }
section h4 { margin: 0 0 4px; font-size: 15px; }
p { margin: 4px 0; max-width: 110ch; }
p.over { color: var(--error-text-color, #b91c1c); font-weight: 600; }
div.text { margin: 8px 0; padding: 10px 12px; border: 1px solid var(--border-color-primary); border-radius: 6px; white-space: pre-wrap; overflow-wrap: anywhere;
  font: 13px/1.6 ui-monospace, monospace; }
mark { color: inherit; background: color-mix(in srgb, #16a34a 26%, transparent); text-decoration: underline 2px #16a34a; text-underline-offset: 3px; }
div.text span.pad { padding: 0 6px; border-radius: 4px; background: color-mix(in srgb, #2563eb 18%, transparent); white-space: nowrap; }
table { border-collapse: collapse; margin: 4px 0; font-size: 13px; }
td, th { padding: 2px 12px 2px 0; border: 0; text-align: left; vertical-align: top; }
"""


@dataclass(frozen=True)
class Previewer:
    """The function of the preview over one data directory. `asked(*inputs)` returns the config in the form and the id of the chosen set."""

    context: Context
    asked: Callable[..., tuple[RunConfig, str | None]]

    def show(self, split: str, kind: str, which: str, *inputs: Any) -> str:
        """Return as HTML what the model will get for one row with these settings, or why that cannot be shown; 5 to 30 s."""
        try:
            config, set_id = self.asked(*inputs)
            if not set_id:
                raise InputError('There is no curated set. Press "Freeze" first.')
            with self.context.open() as db:
                curated = get_set(db, set_id)
            if curated.kind == "questions":
                raise InputError("Rows for SFT and DPO are shown here. To see questions, freeze raw question-answer pairs and choose their set.")
            directory = self.context.data / curated.directory
            row = pick(rows_like(load_set(directory), split, kind), which)
            return preview_html(ask_preview(self.context.data, directory, row.id, config))
        except UserError as error:
            # Said in its place, so that no older preview stands beside newer settings.
            return f'<p class="over" role="alert">{escape(str(error))}</p>'


def build_preview(previewer: Previewer, asked: Sequence[Any]) -> None:
    """Put the preview into the Blocks page that is open. asked: the components whose values `previewer.asked` reads."""
    with gr.Accordion("What the model will get", open=False, elem_id="train-preview"):
        with gr.Row(equal_height=True):
            split = gr.Dropdown([ANY, "train", "validation", "test"], value=ANY, label="Split", elem_id="train-preview-split")
            kind = gr.Dropdown([ANY, "narrative", "rationale", "answer"], value=ANY, label="Kind", elem_id="train-preview-kind")
            which = gr.Textbox("1", label="Row (its number among these, or its id)", elem_id="train-preview-row")
            look = gr.Button("Show what the model will get", elem_id="train-preview-look")
        shown = gr.HTML(css_template=CSS, elem_id="train-preview-shown")
    # One at a time: each loads the libraries in a process of its own.
    limit: dict[str, Any] = {"trigger_mode": "once", "concurrency_limit": 1, "concurrency_id": "train-preview"}
    gr.on([look.click, which.submit], previewer.context.handler(previewer.show), [split, kind, which, *asked], shown, **limit)


def rows_like(frozen: FrozenSet, split: str, kind: str) -> tuple[Row, ...]:
    """Return the rows of this split and kind, in the order of the set; "any" is every one."""
    return tuple(row for row in frozen.rows if split in (ANY, row.split) and kind in (ANY, row.kind))


def pick(rows: Sequence[Row], which: str) -> Row:
    """Return the row with this id, or the one with this number from 1 on. Raises InputError when there is none."""
    if not rows:
        raise InputError("No row of this set has this split and kind. Choose another one.")
    which = which.strip()
    found = {row.id: row for row in rows}.get(which)
    if found is None and which.isdecimal() and len(which) < 10 and 1 <= int(which) <= len(rows):
        found = rows[int(which) - 1]
    if found is None:
        raise InputError(f"There is no row {which!r}. Give a number from 1 to {len(rows):,}, or the id of a row of this split and kind.")
    return found


def preview_html(preview: Preview) -> str:
    """Return the preview as HTML in which every word of a row, a set or a model is escaped."""
    parts = [
        f"<p>Row <b>{escape(preview.row_id)}</b> ({escape(preview.split)}, {escape(preview.kind)}), layout {escape(preview.layout)}.</p>",
        *(f'<p class="note" role="note">{escape(note)}</p>' for note in preview.notes),
        _pictures(preview.pictures),
        '<p class="note">Words that bear the loss are <mark>green and underlined</mark>; all others are only read.</p>',
        f'<div class="sides">{"".join(_side(side, preview) for side in preview.sides)}</div>',
        _dropped(preview.dropped),
    ]
    return "".join(parts)


def _pictures(pictures: Sequence[Picture]) -> str:
    if not pictures:
        return '<p class="note">No picture: the model gets words alone.</p>'
    width, height = pictures[0].width, pictures[0].height
    items = "".join(_picture(number, picture) for number, picture in enumerate(pictures, start=1))
    return f'<p class="note">{len(pictures)} pictures of {width} x {height} pixels, as the model gets them, in its order.</p><ol class="pictures">{items}</ol>'


def _picture(number: int, picture: Picture) -> str:
    told = f"{number}: {KINDS.get(picture.kind, picture.kind)}, {_times(picture)}"
    return f'<li class="{escape(picture.kind)}"><img src="{escape(picture.source)}" alt="Picture {escape(told)}"><small>{escape(told)}</small></li>'


def _times(picture: Picture) -> str:
    return f"{picture.start_s:.2f} s" if picture.start_s == picture.end_s else f"{picture.start_s:.2f} to {picture.end_s:.2f} s"


def _side(side: Side, preview: Preview) -> str:
    over = side.total > preview.max_tokens
    counts = f"{side.total:,} tokens of at most {preview.max_tokens:,}: {side.visual:,} of pictures, {side.total - side.visual:,} of text"
    refused = " Too long: a run with this row is refused, and nothing is ever cut." if over else ""
    return (
        f'<section><h4>{escape(SIDES[side.name])}</h4><p class="{"over" if over else "counts"}">{counts}, {side.learnt:,} of which bear the loss.{refused}</p>'
        f'<div class="text">{_text(side.segments, preview.layout)}</div></section>'
    )


def _text(segments: Sequence[Segment], layout: str) -> str:
    written, number = [], 0
    for segment in segments:
        if segment.is_picture:
            number += 1
            name = "video" if layout == "video" else f"picture {number}"
            written.append(f'<span class="pad">{name}: {segment.tokens:,} tokens</span>')
        else:
            written.append(f"<mark>{escape(segment.text)}</mark>" if segment.learnt else escape(segment.text))
    return "".join(written)


def _dropped(dropped: Sequence[Dropped]) -> str:
    if not dropped:
        return '<p class="note">Nothing that was asked for is left out.</p>'
    lines = "".join(f"<tr><td>{escape(one.kind)}</td><td>{escape(one.what)}</td><td>{escape(one.reason)}</td></tr>" for one in dropped[:DROPPED_SHOWN])
    more = f'<p class="note">And {len(dropped) - DROPPED_SHOWN:,} more.</p>' if len(dropped) > DROPPED_SHOWN else ""
    return f"<h4>Left out: {len(dropped):,}</h4><table><tr><th>what</th><th>which</th><th>why</th></tr>{lines}</table>{more}"
