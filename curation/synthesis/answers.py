"""What a writer is asked, and whether what it said is an answer: nothing else becomes a text."""

import re
from collections.abc import Sequence
from dataclasses import replace

from curation.synthesis.faults import LONGEST_TEXT, Fault, is_echo, text_fault
from curation.synthesis.language import is_foreign
from curation.synthesis.narratives import narrative_prompt, read_narrative
from curation.synthesis.plan import Item, SynthesisPlan
from curation.synthesis.prompts import instructions
from curation.synthesis.rationales import question_words, rationale_prompt, read_rationale
from curation.synthesis.reading import Reading
from curation.synthesis.subjects import Subject, Told
from curation.synthesis.writing import Ask, Part, Reply, Words

# Some servers send what a model thought before its answer.
_THOUGHT = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)


def words_of(item: Item, plan: SynthesisPlan) -> str:
    """Return the prompt, filled for this item. Raises InputError when the prompt or the item does not fit the arm."""
    if plan.arm.kind == "narrative":
        return narrative_prompt(item.subject, plan.arm, plan.prompt)
    return rationale_prompt(item.subject, plan.arm, plan.prompt, item.wrong)


def compose(item: Item, plan: SynthesisPlan, parts: Sequence[Part] = ()) -> Ask:
    """Return the question to a writer. `parts` are all that it is sent, the prompt's words among them; none: these words alone."""
    return Ask(tuple(parts) or (Words(words_of(item, plan)),), replace(plan.sampling, seed=item.seed), item.subject, plan.arm, item.wrong)


def read(item: Item, plan: SynthesisPlan, reply: Reply, shown_s: Sequence[float]) -> Reading | Fault:
    """Return what is read in a reply, or why it becomes no text.

    `shown_s` are the moments that the writer was shown, in seconds from the start of what is shown; a reply that tells them knows better.
    """
    said = replace(reply, text=_THOUGHT.sub("", reply.text))
    if len(said.text) > LONGEST_TEXT and (fault := text_fault(said.text)):
        return fault
    if plan.arm.kind == "narrative":
        reading = read_narrative(said.text, item.subject, plan.arm)
    else:
        reading = read_rationale(said.text, item.subject, plan.arm, shown_s if reply.shown_s is None else reply.shown_s)
    return fault_of(said, reading, item, plan) or reading


def fault_of(reply: Reply, reading: Reading, item: Item, plan: SynthesisPlan) -> Fault | None:
    """Return why a reply becomes no text, the weightiest reason first; None when it is an answer."""
    if reply.cut:
        return Fault("cut", f"The answer was cut off after the {plan.sampling.new_tokens:,} tokens that it may take. Allow more.", passing=False)
    found = text_fault(reply.text)
    if found:
        return found
    if is_echo(reading.text or reply.text, instructions(plan.prompt, plan.arm), map(question_words, item.subject.pairs)):
        return Fault("echo", "The answer says back what was asked instead of answering.", passing=False)
    if text_fault(reading.text):
        return Fault("empty", "The answer has no words beside its marks and its final answer.", passing=True)
    if is_foreign(reading.text, _source(item.subject)):
        return Fault("wrong_language", "The answer is not in the language of the questions that it was made from.", passing=True)
    return _unmarked(reading, plan)


def _unmarked(reading: Reading, plan: SynthesisPlan) -> Fault | None:
    if plan.arm.sources and not reading.sources:
        return Fault("no_markup", "No sentence says on which pairs it rests, though that was asked for.", passing=True)
    if plan.arm.citations and not reading.citations:
        return Fault("no_markup", "No sentence says when it is seen, though that was asked for.", passing=True)
    return None


def _source(subject: Subject) -> str:
    return "\n".join(_sentence(told) for told in subject.pairs)


def _sentence(told: Told) -> str:
    return " ".join([f"{told.question}.", *(f"{words}." for words in told.options or (told.answer or "",))])
