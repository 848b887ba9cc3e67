"""Held-out multiple-choice questions of a frozen set: read, checked and chosen for a run. No torch, no video."""

import random
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from store.errors import InputError
from training.config import RunConfig
from training.rows import ClipSpan, Message, Row, RowContext, context_of, read_frozen, shown_problem, span_of

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class Question:
    """One question with its options, of which `answer` numbers the right one."""

    id: str  # of the QA pair
    split: str  # "validation" or "test"
    type: str | None  # None: the data set tells none
    clip: ClipSpan
    context: RowContext
    prompt: str  # what the user says: question and lettered options
    question: str
    options: tuple[str, ...]
    answer: int

    @property
    def replies(self) -> tuple[str, ...]:
        """The whole reply that chooses each option, written as in a row that teaches a raw QA pair: "B. the dog"."""
        return tuple(f"{LETTERS[at] if at < len(LETTERS) else at + 1}. {option}".strip() for at, option in enumerate(self.options))

    @property
    def row(self) -> Row:
        """The question as a row of which the right option is the reply: what is shown of it is built like any row's."""
        return Row(self.id, self.split, "answer", self.clip, (Message("user", self.prompt),), self.replies[self.answer], None, context=self.context)


def load_questions(directory: Path) -> tuple[Question, ...]:
    """Return the questions of the frozen set in `directory`, in its order; reads all of rows.jsonl.

    Raises NotFoundError when a file is missing, StorageError when the rows are not those of the manifest, InputError for another kind of set
    or a wrong row.
    """
    manifest, lines = read_frozen(directory)
    if manifest.get("kind") != "questions":
        raise InputError(f"The set in {directory} is of the kind {manifest.get('kind')}, and holds no questions. Freeze a set of questions.")
    return tuple(_question(value, place) for place, value in lines)


def chosen_questions(questions: Iterable[Question], config: RunConfig) -> tuple[Question, ...]:
    """Return the questions that a run scores, `accuracy_questions` at most, drawn by the seed; in order of clip, so that each is opened once."""
    ordered = sorted(questions, key=lambda question: question.id)
    if config.accuracy_questions:
        random.Random(config.seed).shuffle(ordered)
        ordered = ordered[: config.accuracy_questions]
    return tuple(sorted(ordered, key=lambda question: (question.clip.digest, question.clip.id, question.clip.start_s, question.id)))


def contaminated(digests: Collection[str], questions: Iterable[Question]) -> tuple[str, ...]:
    """Return the ids of the questions about a video file that is among `digests`, those of the clips that a model learnt from."""
    return tuple(question.id for question in questions if question.clip.digest in digests)


def contamination_problem(digests: Collection[str], questions: Iterable[Question]) -> str | None:
    """Return the sentence that says why these questions would test memory, or None when no clip of theirs is learnt from."""
    asked = tuple(questions)
    found = contaminated(digests, asked)
    if not found:
        return None
    return (
        f"{len(found)} of {len(asked)} questions are about videos that the run learns from, {found[0]} among them, "
        "so that they would test its memory. Freeze questions and training rows anew: the split goes by source video."
    )


def _question(value: Mapping[str, Any], place: str) -> Question:
    try:
        question = Question(
            str(value["id"]),
            str(value["split"]),
            None if value.get("type") is None else str(value["type"]),
            span_of(value["clip"]),
            context_of(value.get("context", {}), place),
            str(value["prompt"]),
            str(value["question"]),
            tuple(str(option) for option in value["options"]),
            int(value["answer"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{place} does not have the form of a question: {error!r}.") from error
    problem = _problem(question)
    if problem:
        raise InputError(f"{place}: {problem}")
    return question


def _problem(question: Question) -> str | None:
    texts = (question.prompt, question.question, *question.options)
    if question.split not in ("validation", "test"):
        return f"the split is {question.split!r}, and only what is held out (validation, test) may be asked."
    if len(question.options) < 2 or not 0 <= question.answer < len(question.options):
        return f"the answer is number {question.answer} of {len(question.options)} options. Give two or more, and one of them as the answer."
    if any(not text.strip() for text in texts):
        return "a text is empty, so there is nothing to ask or to choose."
    return shown_problem(texts, question.context, question.clip)
