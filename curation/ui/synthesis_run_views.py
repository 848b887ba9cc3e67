"""What the tab Runs of the Synthesise page shows, as HTML in which each word that comes from data or a provider is escaped."""

from collections.abc import Sequence
from html import escape

from curation.synthesis.journal import Dead
from curation.synthesis.plan import SynthesisPlan
from curation.synthesis.status import Status
from curation.ui import synthesis_views
from curation.ui.synthesis_form import label_of
from curation.ui.synthesis_views import counts_words, money_text, table_html
from store.synthesis import QueuedTexts

NO_RUN = '<div class="empty">No run has been started yet. The tab Ask starts one.</div>'
CSS = f"""{synthesis_views.CSS}
div.list {{ max-height: 214px; overflow: auto; border: 1px solid var(--border-color-primary); border-radius: 8px; }}
.list table {{ width: 100%; margin: 0; }}
.list th {{ position: sticky; top: 0; background: var(--background-fill-secondary); }}
.list th, .list td {{ padding: 5px 10px; }}
.list tbody tr {{ cursor: pointer; border-top: 1px solid var(--border-color-primary); }}
.list tbody tr:hover {{ background: var(--background-fill-secondary); }}
.list tr[aria-selected=true] {{ background: color-mix(in srgb, var(--color-accent) 16%, transparent); }}
.list button {{ padding: 0; border: 0; background: none; color: inherit; font: inherit; text-align: left; cursor: pointer; overflow-wrap: anywhere; }}
.list button:focus-visible {{ outline: 2px solid var(--color-accent); outline-offset: 2px; }}
.state::before {{ content: "● "; }}
.running, .finished {{ color: color-mix(in srgb, #16a34a 60%, var(--body-text-color)); }}
.failed, .crashed {{ color: var(--bad); }}
.waiting, .stopped {{ color: color-mix(in srgb, #ca8a04 60%, var(--body-text-color)); }}
progress {{ appearance: none; width: 100%; max-width: 640px; height: 8px; border: 0; border-radius: 4px; background: var(--border-color-primary); }}
progress::-webkit-progress-bar {{ border-radius: 4px; background: var(--border-color-primary); }}
progress::-webkit-progress-value {{ border-radius: 4px; background: var(--color-accent); }}
progress::-moz-progress-bar {{ border-radius: 4px; background: var(--color-accent); }}
"""
CHOOSE_JS = """element.addEventListener('click', event => {
  const row = event.target.closest('[data-run]');
  if (row) trigger('click', { run: row.dataset.run });
});"""


def named(plans: Sequence[SynthesisPlan]) -> list[tuple[str, str]]:
    """Return the runs as choices of a list: what is shown, and the id."""
    return [(f"{plan.name} · {plan.created_at[:16].replace('T', ' ')} · {plan.id[:8]}", plan.id) for plan in plans]


def runs_html(runs: Sequence[tuple[SynthesisPlan, Status]], chosen: str | None) -> str:
    """Return the list of runs; of one that goes on with the time that is left."""
    if not runs:
        return NO_RUN
    head = "".join(f"<th scope=col>{name}</th>" for name in ("Texts", "Arm", "Writer", "Made", "State", "Written", "Left", "Spent"))
    lines = "".join(_line(plan, status, plan.id == chosen) for plan, status in runs)
    return f'<div class="list" tabindex="0" role="region" aria-label="Runs"><table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>'


def status_html(plan: SynthesisPlan, status: Status) -> str:
    """Return how one run goes: how far, how fast, what is spent of what may be, what failed."""
    held = status.written + status.known
    bar = f'<progress max="{max(1, status.of)}" value="{held}" aria-label="Written"></progress>'
    lines = [
        f'<p class="head"><span class="state {_tone(status)}">{escape(status.state)}</span>{f": {escape(status.sentence)}" if status.sentence else ""}</p>',
        f"<p>{bar}</p>" if status.of else "",
        f"<p>{_far(status)}</p>",
        f"<p>{_spent(plan, status)}</p>",
    ]
    if status.failed:
        lines.append(f"<p>Tries that failed and may pass: {escape(counts_words(status.failed))}.</p>")
    if status.silent:
        lines.append(f'<p class="note">Of {status.silent:,} tries the provider told no tokens: they count in the budget as reckoned, and not above.</p>')
    if status.cut_off:
        lines.append(f'<p class="note">{status.cut_off:,} were asked when a worker was killed: the provider may have counted them.</p>')
    return "".join(lines)


def dead_html(dead: Sequence[Dead], count: int) -> str:
    """Return what was set aside, each with its sentence."""
    if not count:
        return '<p class="note">Nothing was set aside.</p>'
    rows = [[escape(one.name), escape(one.code.replace("_", " ")), escape(one.reason), f"{one.attempts:,}"] for one in dead]
    more = f'<p class="note">And {count - len(dead):,} more.</p>' if count > len(dead) else ""
    return f'<p class="head">Set aside: {count:,}</p>{table_html(("About", "Why", "What was said", "Tries"), rows, frozenset({3}))}{more}'


def queued_html(queued: Sequence[QueuedTexts]) -> str:
    """Return where the texts of a run wait."""
    if not queued:
        return '<p class="note">It has no texts yet.</p>'
    told = [f"{one.texts:,} in {escape(repr(one.batch_name))} ({one.finished:,} finished)" for one in queued if one.batch_name is not None]
    told += [f"{one.texts:,} wait nowhere" for one in queued if one.batch_name is None]
    return f"<p>Its texts: {', '.join(told)}. Texts of several arms can be compared blind on <a href=/compare>Compare</a>.</p>"


def _line(plan: SynthesisPlan, status: Status, chosen: bool) -> str:
    made = plan.created_at[:16].replace("T", " ")
    writer = plan.writer.model if plan.writer.kind != "template" else "composer"
    spent = "" if status.money is None else money_text(status.money, status.currency or "")
    dead = sum(status.dead.values())
    aside = f' <small class="bad">{dead:,} set aside</small>' if dead else ""
    return (
        f'<tr data-run="{escape(plan.id)}" aria-selected="{str(chosen).lower()}"><td><button type=button>{escape(plan.arm.kind)}s</button></td>'
        f"<td>{escape(label_of(plan.arm))}</td><td>{escape(writer)}</td><td>{made}</td>"
        f'<td><span class="state {_tone(status)}">{escape(status.state)}</span></td><td>{status.written:,} of {status.of:,}{aside}</td>'
        f"<td>{_left(status)}</td><td>{escape(spent)}</td></tr>"
    )


def _far(status: Status) -> str:
    told = [f"{status.written:,} written of {status.of:,}"]
    told += [f"{status.known:,} were here already"] if status.known else []
    told += [f"{status.in_flight:,} asked now"] if status.in_flight else []
    told += [f"{status.rate:.2g} a second over the last minute"] if status.rate else []
    left = _left(status)
    return ", ".join(told) + (f"; about {left} left" if left else "") + "."


def _left(status: Status) -> str:
    if status.eta_s is None or status.state != "running":
        return ""
    return f"{status.eta_s:.0f} s" if status.eta_s < 90 else f"{status.eta_s / 60:.0f} min" if status.eta_s < 5400 else f"{status.eta_s / 3600:.1f} h"


def _spent(plan: SynthesisPlan, status: Status) -> str:
    tokens = f"Tokens: {status.tokens_in:,} in, {status.tokens_out:,} out"
    tokens += f", of {plan.limits.tokens:,} together" if plan.limits.tokens is not None else ""
    if status.money is None:
        return f"{tokens}. Money: unknown, because no prices were given." if plan.writer.kind != "template" else f"{tokens}."
    of = f" of {money_text(plan.limits.money, status.currency or '')}" if plan.limits.money is not None else ""
    return f"{tokens}. Money: {escape(money_text(status.money, status.currency or ''))}{of}."


def _tone(status: Status) -> str:
    return status.state.partition(":")[0]
