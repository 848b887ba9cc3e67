"""What the Synthesise page shows of one item and of texts, as HTML: every word that comes from data or a writer is escaped."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from curation.synthesis.estimate import Estimate, Range
from curation.synthesis.plan import SynthesisPlan
from curation.synthesis.planning import Survey
from curation.synthesis.reading import Citation, Problem, Reading, Source
from curation.synthesis.subjects import Told
from curation.synthesis.trying import Shown, Tried

CSS = """
--dim: color-mix(in srgb, var(--body-text-color) 68%, var(--body-background-fill));
--bad: color-mix(in srgb, #dc2626 60%, var(--body-text-color));
font: 14px/1.5 system-ui, sans-serif; color: var(--body-text-color);
p { margin: 4px 0; max-width: 110ch; }
a { margin: 0; padding: 0; }
p.head { font-size: 15px; font-weight: 600; }
.note, small, summary { color: var(--dim); }
.bad { color: var(--bad); }
p.bad { font-weight: 600; }
.empty { padding: 24px; text-align: center; border: 1px dashed var(--border-color-primary); border-radius: 8px; color: var(--dim); }
table { border: 0; border-collapse: collapse; margin: 6px 0; font-variant-numeric: tabular-nums; }
tr { border: 0; }
th, td { padding: 3px 18px 3px 0; border: 0; text-align: left; vertical-align: top; overflow-wrap: anywhere; }
th { color: var(--dim); font-weight: 600; }
td:first-child { min-width: 8em; overflow-wrap: break-word; }
td.number, th.number { text-align: right; white-space: nowrap; }
article { margin: 0 0 10px; padding: 10px 14px; border: 1px solid var(--border-color-primary); border-radius: 8px; background: var(--background-fill-primary); }
article h4 { margin: 0 0 4px; font-size: 14px; overflow-wrap: anywhere; }
.told { margin: 4px 0; font: 16px/1.6 ui-serif, Georgia, serif; white-space: pre-wrap; overflow-wrap: anywhere; max-width: 90ch; }
.told sup { margin-left: 2px; padding: 0 4px; border-radius: 4px; font: 600 11px/1.4 system-ui, sans-serif; white-space: nowrap;
  background: color-mix(in srgb, #2563eb 18%, transparent); cursor: help; }
.told sup.bad { background: color-mix(in srgb, #dc2626 16%, transparent); text-decoration: underline wavy; }
.raw, pre { margin: 6px 0; padding: 8px 10px; border: 1px solid var(--border-color-primary); border-radius: 6px; white-space: pre-wrap; overflow-wrap: anywhere;
  font: 13px/1.5 ui-monospace, monospace; background: none; color: inherit; }
.pieces { display: flex; flex-wrap: wrap; align-items: start; gap: 8px; max-height: 460px; overflow-y: auto; }
.pieces .raw { flex: 1 1 100%; margin: 0; }
.pieces .raw.short { flex: 0 1 auto; max-width: 22ch; }
figure { margin: 0; }
figure img { display: block; width: auto; height: auto; max-width: min(100%, 208px); max-height: 120px; border-radius: 4px; }
figcaption { color: var(--dim); font-size: 12px; font-variant-numeric: tabular-nums; }
details { margin: 4px 0; }
summary { cursor: pointer; }
summary:focus-visible { outline: 2px solid var(--color-accent); outline-offset: 2px; }
details ol { margin: 4px 0; padding-left: 28px; }
.added { background: color-mix(in srgb, #16a34a 18%, transparent); }
.gone { background: color-mix(in srgb, #dc2626 14%, transparent); }
"""
SHORT = 80  # characters of words that stand beside a picture, as the time before it does
PROBLEMS = {
    "uncovered_pairs": "pairs not told",
    "unsourced_sentences": "sentences without a source",
    "unknown_sources": "sources that there are not",
    "bad_citations": "citations that do not hold",
    "uncited_sentences": "sentences without a citation",
    "order_not_followed": "order not followed",
}


@dataclass(frozen=True)
class Mark:
    """What stands behind a stretch of a text, small: code points of the text, the end excluded."""

    start: int
    end: int
    short: str
    long: str  # shown on hover
    bad: bool = False


def survey_html(found: Survey, lacking: str | None, variables: Sequence[str]) -> str:
    """Return what a run would do and take, what it assumes, and whether it can be started; `variables`: where its key may stand."""
    known = f"{found.known:,} {'more ' if found.new else ''}are here already and are not asked again." if found.known else ""
    head = f"{_texts(found.new)} to ask for." if found.new else "Nothing new to ask for."
    left_out = "".join(f"<li>{count:,} {escape(reason)}</li>" for reason, count in found.left_out.items())
    return (
        f'<p class="head">{head}</p><p>{known}</p>{f"<p>Left out:</p><ul>{left_out}</ul>" if left_out else ""}'
        f"{_key_html(lacking, variables)}{_estimate_html(found.estimate, found.plan)}"
    )


def source_marks(sources: Sequence[Source], pairs: Sequence[Told]) -> list[Mark]:
    """Return a mark for each pair that a sentence rests on, by its number among `pairs`, the words of the pair on hover."""
    places = {pair.qa_id: (number, pair) for number, pair in enumerate(pairs, start=1)}
    marks = []
    for source in sources:
        for qa_id in source.qa_ids:
            number, pair = places.get(qa_id, (None, None))
            long = "This pair is not among those of the clip." if pair is None else f"{pair.question} – {pair.answer or 'answer withheld'}"
            marks.append(Mark(source.start, source.end, f"Q{number or '?'}", long, pair is None))
    return marks


def citation_marks(citations: Sequence[Citation]) -> list[Mark]:
    """Return a mark for each citation, what is wrong with it on hover."""
    return [Mark(one.start, one.end, f"{one.start_s:g}–{one.end_s:g} s", one.problem or "It lies in what was shown.", bool(one.problem)) for one in citations]


def text_html(text: str, marks: Sequence[Mark]) -> str:
    """Return the text with each mark behind the stretch that it is of."""
    written, at = [], 0
    for mark in sorted(marks, key=lambda mark: mark.end):
        end = max(at, min(mark.end, len(text)))
        tone = ' class="bad"' if mark.bad else ""
        written.append(f'{escape(text[at:end])}<sup{tone} title="{escape(mark.long)}">{escape(mark.short)}</sup>')
        at = end
    return f'<div class="told" dir="auto">{"".join(written)}{escape(text[at:])}</div>'


def problems_html(problems: Sequence[Problem]) -> str:
    """Return what the checks found, each with its count of how many, and what they looked for and did not find."""
    found = "".join(f"<li>{escape(problem_words(one))}</li>" for one in problems if one.count)
    clean = [f"{PROBLEMS.get(one.name, one.name)} (0 of {one.of})" for one in problems if not one.count]
    told = f"Not found: {', '.join(clean)}." if clean else "" if found else "There was nothing to check."
    return (f'<ul class="bad">{found}</ul>' if found else "") + (f'<p class="note">{escape(told)}</p>' if told else "")


def problem_words(problem: Problem) -> str:
    """Return one finding in a line: what, how many of how many, and which."""
    return f"{PROBLEMS.get(problem.name, problem.name)}: {problem.count} of {problem.of}. {problem.words}"


def pairs_html(pairs: Sequence[Told]) -> str:
    """Return the QA pairs by number, folded away: where a person without a mouse reads what the marks stand for."""
    if not pairs:
        return ""
    lines = "".join(f"<li dir=auto>{escape(pair.question)} <b>{escape(pair.answer or 'answer withheld')}</b>{_times(pair)}</li>" for pair in pairs)
    return f"<details><summary>{len(pairs)} {'pair' if len(pairs) == 1 else 'pairs'}, Q1 to Q{len(pairs)}</summary><ol>{lines}</ol></details>"


def reading_html(reading: Reading, pairs: Sequence[Told]) -> str:
    """Return an answer as it was read: text, sources, citations, final answer, findings."""
    marks = [*source_marks(reading.sources, pairs), *citation_marks(reading.citations)]
    answer = f"<p>Its final answer: <b>{escape(reading.answer)}</b></p>" if reading.answer else ""
    return f"{text_html(reading.text, marks)}{answer}{problems_html(reading.problems)}{pairs_html(pairs)}"


def tried_html(tried: Tried, name: str, pairs: Sequence[Told], currency: str) -> str:
    """Return what a writer is sent about one item, in its order, and the answer when it was asked."""
    dropped = "".join(f"<li>{escape(one)}</li>" for one in tried.dropped)
    left_out = f"<details><summary>Left out: {len(tried.dropped)}</summary><ul>{dropped}</ul></details>" if dropped else ""
    answer = _answer_html(tried, pairs, currency)
    return (
        f'{answer}<p class="head">What the writer is told about {escape(name)}</p><div class="pieces" tabindex="0">{_parts_html(tried.parts)}</div>{left_out}'
    )


def diff_html(lines: Sequence[str]) -> str:
    """Return the lines of a unified diff behind its two names, what came and what went marked."""
    if not lines:
        return '<p class="note">The two are the same.</p>'
    tones = {"+": "added", "-": "gone"}
    return f"<pre>{''.join(_diff_line(line, tones.get(line[:1], '')) for line in lines[2:])}</pre>"


def amounts(tokens_in: int | None, tokens_out: int | None, money: float | None, currency: str, seconds: float | None = None) -> str:
    """Return tokens, money and time in words; what is not known says so."""
    if tokens_in == tokens_out == 0:
        told = ["no tokens"]
    else:
        told = [f"{_count(tokens_in)} tokens in, {_count(tokens_out)} out", "no price given" if money is None else money_text(money, currency)]
    return ", ".join([*told, *([] if seconds is None else [f"{seconds:.1f} s"])])


def money_text(money: float, currency: str) -> str:
    """Return an amount: two digits behind the point, of less than a tenth six."""
    return f"{money:,.2f} {currency}" if money == 0 or money >= 0.1 else f"{money:.6f} {currency}"


def table_html(head: Sequence[str], rows: Sequence[Sequence[str]], numbers: frozenset[int] = frozenset()) -> str:
    """Return a table of cells that are HTML already; columns in `numbers` stand to the right."""
    tone = [' class="number"' if at in numbers else "" for at in range(len(head))]
    top = "".join(f"<th scope=col{tone[at]}>{name}</th>" for at, name in enumerate(head))
    body = "".join(f"<tr>{''.join(f'<td{tone[at]}>{cell}</td>' for at, cell in enumerate(row))}</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def counts_words(counts: Mapping[str, int]) -> str:
    """Return "3 cut, 1 blocked", the most frequent first; nothing for nothing."""
    return ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in sorted(counts.items(), key=lambda one: (-one[1], one[0])) if n)


def _key_html(lacking: str | None, variables: Sequence[str]) -> str:
    if lacking:
        return f'<p class="bad" role="status">Not ready. {escape(lacking)}</p>'
    where = " or ".join(f"<code>{escape(name)}</code>" for name in variables)
    return f'<p class="note">The key stands in {where} of this app\'s environment; it is neither stored nor shown.</p>' if variables else ""


def _estimate_html(made: Estimate, plan: SynthesisPlan) -> str:
    if plan.writer.kind == "template":
        return f'<p class="note">{escape(" ".join(made.assumed))}</p>'
    rows = [
        ["Requests", f"{made.requests:,}"],
        ["Pictures, at most", "the video itself" if made.pictures is None else f"{made.pictures:,}"],
        ["Tokens in", _range(made.tokens_in, made.unknown.get("tokens_in"))],
        ["Tokens out", _range(made.tokens_out, None)],
        ["Money", _range(made.money, made.unknown.get("money"), made.currency)],
        ["Time", f"about {made.seconds / 60:,.1f} min" if made.seconds is not None else _unknown(made.unknown.get("seconds"))],
    ]
    budget = plan.limits.money
    short = budget is not None and made.money is not None and made.money.high > budget
    warning = f"<p>The budget of {escape(money_text(budget or 0, made.currency or ''))} may end the run before all is written.</p>" if short else ""
    return f'{table_html(("What", "Estimate"), rows)}{warning}<p class="note">{escape(" ".join(made.assumed))}</p>'


def _range(span: Range | None, reason: str | None, currency: str | None = None) -> str:
    if span is None:
        return _unknown(reason)
    if currency is not None:
        return escape(f"{money_text(span.low, currency)} to {money_text(span.high, currency)}")
    return f"{span.low:,.0f} to {span.high:,.0f}"


def _unknown(reason: str | None) -> str:
    return f'<span class="note">unknown. {escape(reason or "")}</span>'


def _texts(count: int) -> str:
    return "1 text" if count == 1 else f"{count:,} texts"


def _answer_html(tried: Tried, pairs: Sequence[Told], currency: str) -> str:
    if tried.reading is None and tried.problem is None:
        return ""
    who = f" by {escape(tried.model)}" if tried.model else ""
    cost = escape(amounts(tried.tokens_in, tried.tokens_out, tried.money, currency, tried.seconds))
    found = reading_html(tried.reading, pairs) if tried.reading else f'<p class="bad" role="alert">No text: {escape(tried.problem or "")}</p>'
    raw = f'<details><summary>The answer as it came</summary><div class="raw" dir="auto">{escape(tried.reply)}</div></details>' if tried.reply else ""
    return f'<article><h4>The answer{who}</h4>{found}{raw}<p class="note">{cost[:1].upper()}{cost[1:]}. Asked once; nothing of it is stored.</p></article>'


def _parts_html(parts: Sequence[Shown]) -> str:
    written = []
    for part in parts:
        if part.kind == "picture":
            told = f"{part.time_s:.2f} s"
            written.append(f'<figure><img src="{escape(part.source)}" alt="What the clip shows at {told}"><figcaption>{told}</figcaption></figure>')
        elif part.kind == "film":
            written.append(f"<p><b>{escape(part.text)}</b></p>")
        else:
            short = " short" if len(part.text) <= SHORT else ""
            written.append(f'<div class="raw{short}" dir="auto">{escape(part.text)}</div>')
    return "".join(written)


def _diff_line(line: str, tone: str) -> str:
    return f'<span class="{tone}">{escape(line.rstrip())}</span>\n' if tone else f"{escape(line.rstrip())}\n"


def _times(pair: Told) -> str:
    spans = ", ".join(f"{start:g}–{end:g} s" for start, end in pair.spans)
    return f" <small>{spans}</small>" if spans else ""


def _count(tokens: int | None) -> str:
    return "unknown" if tokens is None else f"{tokens:,}"
