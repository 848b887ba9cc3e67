"""What the Import page shows, as HTML: pure functions of an import's summary."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from curation.import_media import Given
from curation.import_summary import media_json
from store.records import Clip, ImportRecord

CSS = """
--dim: color-mix(in srgb, var(--body-text-color) 68%, var(--body-background-fill));
font: 14px/1.5 system-ui, sans-serif; color: var(--body-text-color);
h4 { margin: 14px 0 4px; font-size: 15px; }
table, thead, tbody, tr { border: 0; }
table { width: 100%; margin: 0; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 10px; border: 0; border-bottom: 1px solid var(--border-color-primary); text-align: left; vertical-align: top; overflow-wrap: anywhere; }
thead th { color: var(--dim); font-weight: 600; white-space: nowrap; }
td.number, th.number { text-align: right; white-space: nowrap; }
p { margin: 6px 0; max-width: 110ch; }
p.dim { color: var(--dim); }
summary { cursor: pointer; font-weight: 600; padding: 6px 0; }
"""
SHOWN = 50
# A longer table is folded away under its title.
FOLDED = 12
NAMES = {"clips": "Clips", "qa_pairs": "Questions", "evidence_spans": "Evidence spans", "subtitles": "Subtitle lines", "candidates": "Texts"}
NAMES |= {"signals": "Signals", "suggested_flags": "Suggested flags", "known_verdicts": "Known verdicts"}
FATES = ("added", "unchanged", "rejected")


def summary_html(summary: Mapping[str, Any]) -> str:
    """Return counts, refused rows, warnings and the state of the files of one import's JSON summary."""
    rows = [["Rows", *(summary[fate] for fate in FATES)]]
    rows += [[NAMES[name], *(counts[fate] for fate in FATES)] for name, counts in summary["records"].items() if any(counts.values())]
    head = f"<p><b>{escape(summary['file'])}</b>: {summary['rows_read']:,} rows read, {summary['queued']:,} texts newly queued.</p>"
    parts = [head, _table(["", "New", "Here already", "Refused"], rows)]
    parts.append(_told("Refused", summary["rejections"], summary["rejections_total"]))
    parts.append(_told("Worth a look", summary["warnings"], summary["warnings_total"]))
    return "".join([*parts, _media_html(summary["media"])])


def given_html(given: Given) -> str:
    """Return what another look for files brought."""
    told = f"<p><b>{given.clips:,} clips</b> have their file now."
    if given.spans_cut or given.spans_dropped:
        told += f" Evidence at the end of clips: {given.spans_cut} spans cut, {given.spans_dropped} left out because they lie behind it."
    return f"{told}</p>{_media_html(media_json(given.media))}"


def history_html(records: Sequence[ImportRecord]) -> str:
    """Return the earlier imports, the newest first."""
    if not records:
        return "<p class=dim>Nothing has been imported yet.</p>"
    rows = []
    for record in records[:SHOWN]:
        summary = json.loads(record.summary)
        missing = len(summary["media"]["missing"])
        rows.append([record.finished_at[:16].replace("T", " "), record.format, record.file_name, *(summary[fate] for fate in FATES), missing])
    return _table(["Finished (UTC)", "Format", "File", "Rows new", "Here already", "Refused", "Videos missing"], rows) + _more(len(records))


def waiting_html(clips: Sequence[Clip]) -> str:
    """Return the files that clips wait for, with how many clips wait."""
    if not clips:
        return "<p class=dim>No clip waits for its file.</p>"
    waiting: dict[tuple[str, str], int] = {}
    for clip in clips:
        key = (clip.dataset, clip.media_name)
        waiting[key] = waiting.get(key, 0) + 1
    rows = [[dataset, name, count] for (dataset, name), count in waiting.items()]
    return _titled(f"{len(clips):,} clips wait for {len(rows):,} files", ["Data set", "File", "Clips"], rows, len(rows))


def _media_html(media: Mapping[str, Any]) -> str:
    told = [f"{media['found']:,} found"]
    told += [f"{len(media[key]):,} {name}" for key, name in _STATES.items() if media[key]]
    rows: list[list[Any]] = [[name, "not found; its clips wait"] for name in media["missing"]]
    rows += [[file["name"], f"{state}: {file['reason']}"] for state in ("unreadable", "damaged") for file in media[state]]
    rows += [[name, "no browser plays it; a playable copy is being made"] for name in media["waiting_for_proxy"]]
    return _titled(f"Videos: {', '.join(told)}", ["File", "State"], rows, len(rows))


_STATES = {"missing": "missing", "unreadable": "unreadable", "damaged": "damaged", "waiting_for_proxy": "not playable as they are"}


def _told(title: str, told: Sequence[Mapping[str, Any]], total: int) -> str:
    if not total:
        return ""
    rows = [[one["file"], str(one["line"] or ""), one["field"], one["reason"]] for one in told]
    return _titled(f"{title}: {total:,}", ["File", "Line", "Field", "Reason"], rows, total)


def _titled(title: str, head: Sequence[str], rows: Sequence[Sequence[Any]], total: int) -> str:
    """Return a table under its title, folded when it is long; the title alone when there is nothing to list."""
    if not rows:
        return f"<h4>{escape(title)}</h4>"
    is_open = " open" if len(rows) <= FOLDED else ""
    return f"<details{is_open}><summary>{escape(title)}</summary>{_table(head, rows[:SHOWN])}{_more(total)}</details>"


def _more(total: int) -> str:
    return f"<p class=dim>The first {SHOWN} of {total:,}.</p>" if total > SHOWN else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    kinds = [" class=number" if isinstance(value, int) else "" for value in (rows[0] if rows else head)]
    titles = "".join(f"<th scope=col{kind}>{escape(title)}</th>" for title, kind in zip(head, kinds, strict=True))
    body = "".join(f"<tr>{''.join(_cell(value) for value in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: Any) -> str:
    return f"<td class=number>{value:,}</td>" if isinstance(value, int) else f"<td>{escape(str(value))}</td>"
