"""What the Pairs page shows, as HTML: every word that comes from data is escaped."""

from collections.abc import Mapping, Sequence
from html import escape
from urllib.parse import quote

from curation.contrast import Piece, Subject, word_diff
from curation.negatives import Made
from curation.pairing import CORRECTNESS, evidence_in_words
from curation.selecting import Selection
from store.records import PreferencePair

# Below this share of common words two texts are two tellings: marks on nearly every word would hide more than they show.
LEAST_COMMON = 0.35

CSS = """
--dim: color-mix(in srgb, var(--body-text-color) 68%, var(--body-background-fill));
font: 14px/1.5 system-ui, sans-serif; color: var(--body-text-color);
.empty { padding: 28px; text-align: center; border: 1px dashed var(--border-color-primary); border-radius: 8px; color: var(--dim); }
table { width: 100%; margin: 0; border: 0; border-collapse: collapse; font-variant-numeric: tabular-nums; }
tr { border: 0; }
th { text-align: left; font-weight: 600; color: var(--dim); position: sticky; top: 0; background: var(--body-background-fill); }
th, td { padding: 5px 10px; border: 0; border-bottom: 1px solid var(--border-color-primary); vertical-align: top; }
.list { max-height: 178px; overflow-y: auto; border: 1px solid var(--border-color-primary); border-radius: 8px; }
.list tr[data-pair] { cursor: pointer; }
.list tr[data-pair]:hover { background: var(--background-fill-secondary); }
.list tr[aria-selected=true] { background: var(--background-fill-secondary); box-shadow: inset 3px 0 0 var(--color-accent); }
.list button { all: unset; cursor: pointer; }
.list button:focus-visible { outline: 2px solid var(--color-accent); outline-offset: 2px; }
.list td { max-width: 460px; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.bench { display: grid; grid-template-columns: minmax(260px, 340px) 1fr 1fr; gap: 14px; align-items: start; }
@media (max-width: 900px) { .bench { grid-template-columns: 1fr; } }
video { width: 100%; max-height: 215px; background: #000; border-radius: 8px; }
.subject h3 { margin: 8px 0 4px; font-size: 15px; line-height: 1.35; overflow-wrap: anywhere; }
.subject ol { margin: 0; padding-left: 22px; list-style: upper-alpha; }
.subject li { margin: 0; }
.subject p, .note { margin: 4px 0; color: var(--dim); }
.text { border: 1px solid var(--border-color-primary); border-radius: 8px; padding: 10px 14px; background: var(--background-fill-primary); }
.text h4 { margin: 0 0 6px; font-size: 13px; color: var(--dim); font-weight: 600; }
.text p { margin: 0; font: 16px/1.6 ui-serif, Georgia, serif; color: inherit; white-space: pre-wrap; overflow-wrap: anywhere; }
.text p { max-height: 330px; overflow-y: auto; }
ins { color: inherit; text-decoration: underline 2px; font-weight: 700; background: color-mix(in srgb, #1a7f4b 18%, transparent); }
del { color: inherit; text-decoration: line-through 2px; background: color-mix(in srgb, #d55e00 18%, transparent); }
"""

PICK_JS = """element.addEventListener('click', event => {
  const row = event.target.closest('[data-pair]');
  if (row) trigger('click', { pair: row.dataset.pair });
});"""


def list_html(pairs: Sequence[tuple[PreferencePair, Subject]], picked: str | None, total: int, first: int) -> str:
    """Return the table of pairs, `first` of `total` on top; the picked row is marked."""
    if not pairs:
        return '<div class="empty">No pair here. Edits, verdicts and side-by-side choices make them; press Refresh after new work.</div>'
    head = "<tr><th scope=col>From</th><th scope=col>Kind</th><th scope=col>About</th><th scope=col>Evidence</th></tr>"
    rows = "".join(_list_row(pair, subject, pair.id == picked) for pair, subject in pairs)
    shown = f"{first + 1} to {first + len(pairs)} of {total}"
    table = f"<table><thead>{head}</thead><tbody>{rows}</tbody></table>"
    return f'<div class="list" tabindex="0" role="region" aria-label="Pairs">{table}</div><p class="note">{shown}</p>'


def pair_html(pair: PreferencePair, subject: Subject, chosen: str, rejected: str) -> str:
    """Return chosen and rejected side by side beside the clip: what only one says is bold and underlined, or struck through."""
    pieces = word_diff(rejected, chosen)
    alike = _alike(pieces)
    better = _marked(pieces, "chosen", "ins") if alike else escape(chosen)
    worse = _marked(pieces, "rejected", "del") if alike else escape(rejected)
    note = "" if alike else " The two share few words, so differences are not marked."
    return (
        f'<div class="bench">{subject_html(subject)}'
        f'<article class="text" id="pairs-chosen"><h4>Chosen</h4><p dir="auto">{better}</p></article>'
        f'<article class="text" id="pairs-rejected"><h4>Rejected</h4><p dir="auto">{worse}</p></article></div>'
        f'<p class="note">{escape(pair.state.capitalize())}: {escape(evidence_in_words(pair))}.{note}</p>'
    )


def subject_html(subject: Subject) -> str:
    """Return the clip as a player with its question, options and given answer."""
    if subject.play_digest:
        end = "" if subject.end_s is None else f",{subject.end_s:g}"
        player = f'<video controls preload="metadata" src="/media/{escape(subject.play_digest)}#t={subject.start_s:g}{end}"></video>'
    else:
        player = '<div class="empty">No file of this clip can be played here yet.</div>'
    question = subject.question or "What happens in the clip?"
    options = f"<ol>{''.join(f'<li dir=auto>{escape(option)}</li>' for option in subject.options)}</ol>" if subject.options else ""
    answer = f'<p dir="auto">Given answer: <b>{escape(subject.answer)}</b></p>' if subject.answer else ""
    pooled = f'<a href="/frames?clip={quote(subject.clip_id)}">pooled frames</a>'
    place = f"<p>{escape(subject.kind.capitalize())} · clip {escape(subject.clip_name)} · {pooled}</p>"
    return f'<section class="subject">{player}<h3 dir="auto">{escape(question)}</h3>{options}{answer}{place}</section>'


def counts_html(counts: Mapping[tuple[str, str], int], selection: Selection, state: str) -> str:
    """Return how many pairs of each origin stand in each state, and what a download of `state` holds."""
    states, origins = ("proposed", "accepted", "dropped"), ("edit", "verdict", "comparison", CORRECTNESS)
    head = "".join(f"<th scope=col>{escape(one)}</th>" for one in ("From", *states))
    body = "".join(f"<tr><th scope=row>{origin}</th>{''.join(f'<td>{counts.get((one, origin), 0)}</td>' for one in states)}</tr>" for origin in origins)
    splits = ", ".join(f"{sum(row.split == split for row in selection.rows)} {split}" for split in ("train", "validation", "test"))
    left_out = "".join(f"<li>{n}: {escape(reason)}</li>" for reason, n in selection.left_out.items())
    told = f"<p>The download of {escape(state)} pairs holds <b>{len(selection.rows)}</b> rows ({splits}); one row for each two texts.</p>"
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{told}{f'<p>Left out:</p><ul>{left_out}</ul>' if left_out else ''}"


def made_html(made: Made) -> str:
    """Return what became of making correctness pairs: how many are new, how many stand by kind, and why questions were left out."""
    return f'<p class="note" role="status">{escape(made.sentence)}</p>'


def _list_row(pair: PreferencePair, subject: Subject, picked: bool) -> str:
    about = subject.question or subject.clip_name
    cells = (escape(pair.origin), escape(pair.kind), f'<button type="button" dir="auto">{escape(about)}</button>', escape(evidence_in_words(pair)))
    tips = ("", "", about, evidence_in_words(pair))
    inner = "".join(f'<td title="{escape(tip)}">{cell}</td>' for cell, tip in zip(cells, tips, strict=True))
    return f'<tr data-pair="{escape(pair.id)}" aria-selected="{str(picked).lower()}">{inner}</tr>'


def _alike(pieces: Sequence[Piece]) -> bool:
    words = {where: sum(len(piece.words.split()) for piece in pieces if piece.where == where) for where in ("same", "rejected", "chosen")}
    return words["same"] >= LEAST_COMMON * (words["same"] + max(words["rejected"], words["chosen"]))


def _marked(pieces: Sequence[Piece], own: str, tag: str) -> str:
    """Return one of the two texts, its own words inside `tag`."""
    return " ".join(
        escape(piece.words) if piece.where == "same" else f"<{tag}>{escape(piece.words)}</{tag}>" for piece in pieces if piece.where in ("same", own)
    )
