"""The composer: texts from the QA pairs alone, by rule, without any model. The embedded default, and the baseline.

The same subject and arm give the same words. What it tells is what the pairs say, so it invents nothing, sees nothing, and can withhold nothing that
a model would have found. It speaks the markup that models are asked for, and is read and checked as they are.
"""

from collections.abc import Sequence

from curation.synthesis.arms import Arm
from curation.synthesis.order import hull, numbered, plan_order
from curation.synthesis.rationales import shown_length_s
from curation.synthesis.register import named_in
from curation.synthesis.subjects import Subject, Told
from curation.synthesis.telling import tell
from curation.synthesis.writing import Ask, LastingError, Reply
from store.chances import chance

VERSION = "1"


class Template:
    """A writer of curation.synthesis.writing that needs no network, no key and no tokens; some 0.1 ms a text."""

    sees = "nothing"

    async def write(self, ask: Ask) -> Reply:
        """Return the composed text. Raises LastingError when the pairs hold nothing to tell."""
        return Reply(compose(ask.subject, ask.arm, ask.wrong), tokens_in=0, tokens_out=0, model=f"template {VERSION}")

    async def close(self) -> None:
        """Nothing is open."""


def compose(subject: Subject, arm: Arm, wrong: int | None = None) -> str:
    """Return the text of a subject as this arm asks for it, markup included. Raises LastingError when the pairs hold nothing to tell."""
    return _narrative(subject, arm) if subject.kind == "narrative" else _rationale(subject, arm, wrong)


def _narrative(subject: Subject, arm: Arm) -> str:
    pairs = numbered(subject, arm)
    if not pairs:
        raise LastingError(f"No question about {subject.name} has a given answer, so there is nothing to tell.", "subject")
    told = plan_order(pairs) if arm.plan else range(len(pairs))
    sentences = [*_opening(pairs, arm), *(_told(pairs[place], f"Q{place + 1}", arm) for place in told)]
    text = " ".join(sentences)
    if not arm.plan:
        return text
    plan = "\n".join(f"{number}. Q{place + 1}" for number, place in enumerate(told, start=1))
    return f"Plan:\n{plan}\n\nNarrative:\n{text}"


def _opening(pairs: Sequence[Told], arm: Arm) -> list[str]:
    """Return a sentence on who is there, when the arm has a register and the questions name anybody."""
    names = named_in(pairs) if arm.register else {}
    if not names:
        return []
    everybody = _listed([*names])
    sources = sorted({place for places in names.values() for place in places})
    return [f"The clip shows {everybody}." + (" " + "".join(f"[Q{place + 1}]" for place in sources) if arm.sources else "")]


def _told(pair: Told, number: str, arm: Arm) -> str:
    sentence = tell(pair.question, pair.answer or "")
    span = hull(pair.spans)
    if arm.times and span is not None:
        sentence = f"From {span[0]:.1f} to {span[1]:.1f} s: {_continued(sentence)}"
    return f"{sentence} [{number}]" if arm.sources else sentence


def _rationale(subject: Subject, arm: Arm, wrong: int | None) -> str:
    pair = subject.pairs[0]
    answer = _answer(pair, arm, wrong)
    if answer is None:
        why = "has no options to choose from" if arm.answer == "withheld" else "has no answer to tell"
        raise LastingError(f"The question of {subject.name} {why}, so the composer has nothing to say.", "subject")
    length_s = shown_length_s(subject)
    spans = pair.spans or (((0.0, length_s),) if length_s else ())
    marks = " " + "".join(f"[{start:.1f}-{end:.1f}]" for start, end in spans) if arm.citations and spans else ""
    sentence = tell(pair.question, answer) + marks
    return f"{sentence}\nFinal answer: {answer}" if arm.answer == "withheld" else sentence


def _answer(pair: Told, arm: Arm, wrong: int | None) -> str | None:
    """Return the answer that the text speaks for: the given one, the wrong one, or, withheld, an option drawn by the question alone."""
    if arm.answer == "wrong":
        return pair.options[wrong] if wrong is not None else None
    if arm.answer == "given":
        return pair.answer
    return pair.options[int(chance("composer", pair.question, list(pair.options)) * len(pair.options))] if pair.options else None


def _continued(sentence: str) -> str:
    first, _, rest = sentence.partition(" ")
    return f"{first.lower()} {rest}" if first in _OPENERS else sentence


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


# Words that begin a sentence of `tell` and are no name.
_OPENERS = frozenset(
    ("The", "A", "An", "To", "What", "Who", "There", "After", "Before", "When", "While", "As", "At", "In", "During", "On", "His", "Her", "Their")
)
