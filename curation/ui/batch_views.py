"""What the Batches page shows, as HTML: pure functions of progress. Every share and middle with its n."""

from collections.abc import Sequence
from html import escape

from curation.batching import each_of
from curation.study.progress import BatchProgress, Suggested, Work, shown_open
from curation.study.rates import Middle, Rate
from store.batches import BatchCounts
from store.records import Batch

CSS = """
--dim: color-mix(in srgb, var(--body-text-color) 68%, var(--body-background-fill));
font: 14px/1.5 system-ui, sans-serif; color: var(--body-text-color);
table { width: 100%; margin: 0; border: 0; border-collapse: collapse; font-variant-numeric: tabular-nums; }
tr { border: 0; }
th, td { padding: 5px 10px; border: 0; border-bottom: 1px solid var(--border-color-primary); text-align: right; vertical-align: top; }
thead th { color: var(--dim); font-weight: 600; vertical-align: bottom; line-height: 1.3; }
th:first-child, td.words { text-align: left; }
td.none { color: var(--dim); }
small { color: var(--dim); font-size: 12px; white-space: nowrap; }
p { margin: 8px 0; color: var(--dim); max-width: 110ch; }
"""
ORDERS = {"given": "as imported", "random": "random", "disagreement": "by disagreement", "signal": "by"}
HOW_TO_READ = (
    "Seconds are active ones: idle time over 30 s is left out. Hasty is an answer sooner than the clip can be watched at double speed. "
    "Gold: the share of gold items with the known verdict; same again: of items asked twice, the share with the same verdict. "
    "Shares have Wilson's 95 % interval: to tell an 85 % annotator from a 70 % one takes about 52 gold items. "
    "Suggested flags: seconds and flags an item where the flags that came with a text were shown, and where they were kept back."
)
HEAD = ("Annotator", "Done", "Open", "Seconds", "Clip watched", "Hasty", "Gold", "Same again", "Flags shown", "Flags kept back")


def batches_html(batches: Sequence[tuple[Batch, BatchCounts]]) -> str:
    """Return the batches in the order in which they are worked off, a row each."""
    head = ("Batch", "State", "Items", "Finished", "Begun", "Open", "Not watchable", "Each", "Order", "Gold", "Again", "From scratch", "For")
    return _table(head, [_batch_row(batch, counts) for batch, counts in batches])


def progress_html(progress: BatchProgress) -> str:
    """Return the batch's annotators, everybody first, and how to read them."""
    return f"{_table(HEAD, [_work_row(row) for row in progress.rows])}<p>{HOW_TO_READ}</p>"


def order_of(batch: Batch) -> str:
    """Return the batch's order in words."""
    told = ORDERS[batch.ordering]
    return f"{told} {batch.signal}" if batch.signal else f"{told} (seed {batch.seed})" if batch.ordering == "random" else told


def ordered_sentence(before: Batch, after: Batch, count: int) -> str:
    """Return for the person who asked what ordering anew did; `count` items got another rank."""
    was, now = order_of(before), order_of(after)
    told = f"Batch {after.name!r} is ordered {now} now, not {was}" if was != now else f"Batch {after.name!r} is ordered {now} as before"
    return f"{told}: {count:,} items have another place; what somebody has begun keeps its own."


def state_sentence(batch: Batch) -> str:
    """Return for the person who asked what the state of the batch means."""
    if batch.state == "open":
        return f"Batch {batch.name!r} is open: its items are given out."
    return f"Batch {batch.name!r} is closed: nothing more of it is given out, and what is begun may be finished."


def _batch_row(batch: Batch, counts: BatchCounts) -> str:
    gold = f"{batch.gold_share:.0%} <small>of {counts.gold} items</small>" if batch.gold_share or counts.gold else "–"
    numbers = [counts.main, counts.finished, counts.begun, counts.open, counts.unwatchable]
    cells = [f"<td>{batch.state}</td>", *(f"<td>{number:,}</td>" for number in numbers), f"<td>{each_of(counts)}</td>"]
    cells += [f"<td>{escape(order_of(batch))}</td>", f"<td>{gold}</td>", *(f"<td>{_share(share)}</td>" for share in (batch.repeat_share, batch.scratch_share))]
    cells.append(f"<td>{'all' if batch.open_to_all else 'named people'}{', blind first' if batch.blind_first else ''}</td>")
    return f'<tr><th scope="row">{escape(batch.name)}</th>{"".join(cells)}</tr>'


def _work_row(row: Work) -> str:
    done, still_open = ("–" if row.done is None else f"{row.done:,}"), ("–" if row.open is None else shown_open(row.open))
    cells = [f"<td>{done}</td>", f"<td>{still_open}</td>", _seconds(row.seconds), _watched(row.watched_share)]
    cells += [_rate(rate) for rate in (row.hasty, row.gold, row.self_agreement)]
    cells += [_suggested(part) for part in (row.with_suggestions, row.without_suggestions)]
    return f'<tr><th scope="row">{escape(row.annotator)}</th>{"".join(cells)}</tr>'


def _seconds(middle: Middle) -> str:
    if middle.median is None:
        return _none(middle.reason)
    return f"<td>{middle.median:.1f} <small>90 % under {middle.p90:.1f}, n = {middle.n}</small></td>"


def _watched(middle: Middle) -> str:
    return _none(middle.reason) if middle.median is None else f"<td>{middle.median:.0%} <small>n = {middle.n}</small></td>"


def _rate(rate: Rate) -> str:
    if rate.share is None or rate.low is None or rate.high is None:
        return _none(rate.reason)
    return f"<td>{rate.share:.0%} <small>{rate.low:.0%}–{rate.high:.0%}, n = {rate.n}</small></td>"


def _suggested(part: Suggested) -> str:
    if part.seconds.median is None or part.flags_per_item is None:
        return _none(part.seconds.reason)
    return f"<td>{part.seconds.median:.1f} s, {part.flags_per_item:.1f} flags <small>n = {part.seconds.n}</small></td>"


def _none(reason: str | None) -> str:
    return f'<td class="none" title="{escape(reason or "")}">– <small>n = 0</small></td>'


def _share(share: float) -> str:
    return f"{share:.0%}" if share else "–"


def _table(head: Sequence[str], rows: Sequence[str]) -> str:
    cells = "".join(f"<th scope=col>{name}</th>" for name in head)
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
