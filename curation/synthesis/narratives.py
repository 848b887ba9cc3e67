"""How a narrative is asked for and how its answer is read: numbered QA pairs in, text and the pairs that each sentence rests on out. Pure.

The writer knows the pairs as Q1, Q2, ... in the order in which they are listed. Behind a sentence it puts "[Q3]" or "[Q3][Q7]"; the marks, and a plan
that was asked for before the narrative, are cut off and never become part of a candidate.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from curation.claims import ClaimSpan, sentence_claims
from curation.synthesis.arms import Arm
from curation.synthesis.order import certain_order, numbered, plan_lines, score
from curation.synthesis.plan import PromptText
from curation.synthesis.prompts import fill
from curation.synthesis.reading import Problem, Reading, Source
from curation.synthesis.register import register_lines
from curation.synthesis.subjects import Subject, Told
from store.errors import InputError

_RANGE = r"[0-9]{1,6}(?:\s?[-–—]\s?[Qq]?[0-9]{1,6})?"
_LIST = rf"[Qq]\s?{_RANGE}(?:(?:\s*(?:,|;|/|&|\band\b)\s*|\s+)(?:[Qq]\s?)?{_RANGE})*"
_MARK = rf"(?:\[\s*{_LIST}\s*\]|\(\s*{_LIST}\s*\)|【\s*{_LIST}\s*】)"
_MARKS = re.compile(rf"(?:(?<!\s)\s+)?{_MARK}(?:,?\s*{_MARK})*")  # with the blanks before them, looked at from their start alone: many cost nothing
_NUMBERS = re.compile(r"([0-9]+)(?:\s?[-–—]\s?[Qq]?([0-9]+))?")
_HEADING = re.compile(r"[ \t]*(?:#+[ \t]*)?[*_]*(plan|narrative)[*_]*[ \t]*(?::[*_]*|$)[ \t]*", re.IGNORECASE)
_LISTED = re.compile(r"\s*(?:$|[-*•]|[0-9]+[.)]|[\[(]?[Qq][0-9])")
_UNIT = r"(?:s|secs?|seconds?)"
_TIME = re.compile(
    rf"(?:\b(?:from|between|at|around)\s+|[\[(])([0-9]+(?:\.[0-9]+)?)(?:\s*{_UNIT})?(?:\s*(?:to|and|until|-|–)\s*[0-9.]+)?\s*{_UNIT}\b", re.IGNORECASE
)


def narrative_prompt(subject: Subject, arm: Arm, template: PromptText) -> str:
    """Return the words that ask for a narrative. Raises InputError when no pair has an answer, or the template lacks a place."""
    pairs = numbered(subject, arm)
    if not pairs:
        raise InputError(f"No question about {subject.name} has a known answer, so there is nothing to tell. Choose other clips.")
    places = {
        "pairs": "\n".join(_pair_lines(pairs, arm)),
        "plan": "\n".join(plan_lines(pairs)),
        "register": "\n".join(register_lines(pairs)) or "- (nobody is named)",
        "count": str(len(pairs)),
    }
    return fill(template, arm, places)


def read_narrative(text: str, subject: Subject, arm: Arm) -> Reading:
    """Return the narrative without marks and plan, its sources, and, where the arm asks for sources, all that was checked with how often it fails."""
    pairs = numbered(subject, arm)
    cut = _cut(_without_plan(text) if arm.plan else text, len(pairs))
    sentences = sentence_claims(cut.text)
    rests_on: list[list[str]] = [[] for _ in sentences]
    for mark in cut.marks if sentences else ():
        known = rests_on[_sentence_of(mark.at, sentences, cut.is_ahead)]
        known.extend(qa_id for number in mark.known if (qa_id := pairs[number - 1].qa_id) not in known)
    sources = tuple(Source(span.start, span.end, tuple(ids)) for span, ids in zip(sentences, rests_on, strict=True) if ids)
    return Reading(cut.text, sources, problems=_problems(cut, sentences, sources, pairs) if arm.sources else ())


def told_at(sources: Sequence[Source]) -> dict[str, int]:
    """Return where each QA pair is told: the sentence that rests on the fewest pairs, the first of these. What opens or sums up tells no order."""
    told: dict[str, int] = {}
    for source in sorted(sources, key=lambda source: (len(source.qa_ids), source.start)):
        for qa_id in source.qa_ids:
            told.setdefault(qa_id, source.start)
    return told


def stated_at(text: str, sources: Sequence[Source]) -> dict[str, float]:
    """Return when each QA pair is said to begin, in seconds, of those whose sentence says a time ("From 3.0 to 7.5 s", "at 4 seconds")."""
    times = {source.start: float(time[1]) for source in sources if (time := _TIME.search(text, source.start, source.end))}
    return {qa_id: times[start] for qa_id, start in told_at(sources).items() if start in times}


@dataclass(frozen=True)
class _Mark:
    """Source marks that stood together, by where they stood in the text that is left."""

    at: int
    known: tuple[int, ...]  # numbers of pairs
    unknown: tuple[int, ...]


@dataclass(frozen=True)
class _Cut:
    text: str
    marks: tuple[_Mark, ...]

    @property
    def is_ahead(self) -> bool:
        """Whether marks stand before their sentences: one does at the start of the text, and none at its end."""
        return bool(self.marks) and self.marks[0].at == 0 and self.marks[-1].at < len(self.text)


def _pair_lines(pairs: Sequence[Told], arm: Arm) -> list[str]:
    lines = []
    for number, pair in enumerate(pairs, start=1):
        lines += [f"Q{number}. Question: {_line(pair.question)}", f"    Answer: {_line(pair.answer or '')}"]
        if arm.times:
            seen = "; ".join(f"{start:.1f} to {end:.1f} s" for start, end in pair.spans)
            lines.append(f"    Seen: {seen or 'when is not known'}")
    return lines


def _line(text: str) -> str:
    return " ".join(text.split())


def _without_plan(text: str) -> str:
    """Return what stands behind the heading "Narrative:", or, without one, all but "Plan:" and the list under it."""
    lines = text.splitlines(keepends=True)
    headings = [(place, found) for place, line in enumerate(lines) if (found := _HEADING.match(line))]
    for place, found in headings:
        if found[1].lower() == "narrative":
            return lines[place][found.end() :] + "".join(lines[place + 1 :])
    if not headings:
        return text
    place = headings[0][0] + 1
    while place < len(lines) and _LISTED.match(lines[place]):
        place += 1
    return "".join([*lines[: headings[0][0]], *lines[place:]])


def _cut(text: str, count: int) -> _Cut:
    """Return the text without its marks, and the marks. The blanks before a mark go with it, so that what follows stands as if it had not been."""
    left, marks, last = "", [], 0
    for found in _MARKS.finditer(text):
        left += text[last : found.start()]
        marks.append(_mark(found.group(), len(left), count))
        last = found.end()
        if left[-1:].isascii() and left[-1:].strip() and text[last : last + 1].isalnum():
            left += " "  # "He fell.[Q1]She ran."
    left += text[last:]
    lead = len(left) - len(left.lstrip())
    left = left.strip()
    return _Cut(left, tuple(_Mark(min(max(mark.at - lead, 0), len(left)), mark.known, mark.unknown) for mark in marks))


def _mark(words: str, at: int, count: int) -> _Mark:
    known: list[int] = []
    unknown: list[int] = []
    for found in _NUMBERS.finditer(words):
        low, high = sorted((int(found[1]), int(found[2] or found[1])))
        known.extend(range(max(low, 1), min(high, count) + 1))
        unknown.extend(number for number in sorted({low, high}) if not 1 <= number <= count)
    return _Mark(at, tuple(known), tuple(unknown))


def _sentence_of(at: int, sentences: Sequence[ClaimSpan], is_ahead: bool) -> int:
    """Return which sentence a mark belongs to: the one that it stands in or behind; ahead, the one that it stands in or before."""
    if is_ahead:
        return next((place for place, span in enumerate(sentences) if at < span.end), len(sentences) - 1)
    return max((place for place, span in enumerate(sentences) if span.start < at), default=0)


def _problems(cut: _Cut, sentences: Sequence[ClaimSpan], sources: Sequence[Source], pairs: Sequence[Told]) -> tuple[Problem, ...]:
    told = told_at(sources)
    names = {pair.qa_id: f"Q{number}" for number, pair in enumerate(pairs, start=1)}
    uncovered = [names[pair.qa_id] for pair in pairs if pair.qa_id not in told]
    sourced = {source.start for source in sources}
    without = [cut.text[span.start : span.end] for span in sentences if span.start not in sourced]
    unknown = [number for mark in cut.marks for number in mark.unknown]
    named = len(unknown) + sum(len(mark.known) for mark in cut.marks)
    order = score({pair.qa_id: pair.spans for pair in pairs}, told)
    return (
        Problem("uncovered_pairs", len(uncovered), len(pairs), f"No sentence rests on {', '.join(uncovered)}." if uncovered else "Every pair is told."),
        Problem("unsourced_sentences", len(without), len(sentences), f"No source: “{without[0]}”" if without else "Every sentence has a source."),
        Problem("unknown_sources", len(unknown), named, f"There is no Q{unknown[0]}." if unknown else "Every source that is named is a pair."),
        Problem("order_not_followed", order.discordant, order.concordant + order.discordant, _order_words(pairs, told, names)),
    )


def _order_words(pairs: Sequence[Told], told: Mapping[str, float], names: Mapping[str, str]) -> str:
    """Return which two pairs are told the wrong way round, of the first that are."""
    known = [pair for pair in pairs if pair.qa_id in told]
    for earlier, later in sorted(certain_order(known)):
        one, other = known[earlier].qa_id, known[later].qa_id
        if told[other] < told[one]:
            return f"{names[other]} is told before {names[one]}, and happens after it."
    return "No order that is certain and told is broken."
