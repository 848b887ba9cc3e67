"""Questions made ready to be scored: what is shown of each, their clips decoded, and those that share a video together. No torch."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from store.errors import InputError
from training.encoding import Encoder, text_counter
from training.packing import pack_key
from training.pictures import decode_all, pictures_seen
from training.plan import Reporter, RunPlan, heed
from training.questions import Question
from training.views import View, view_of


@dataclass(frozen=True)
class Asked:
    """The questions of a run: groups that share a video, and why some cannot be scored, by id."""

    encoder: Encoder
    groups: tuple[tuple[Question, ...], ...]
    unscored: Mapping[str, str]


def prepare_questions(processor: Any, plan: RunPlan, reporter: Reporter) -> Asked:
    """Return the plan's questions ready to be scored, their pictures decoded; those too long, or of which nothing can be shown, have a reason.

    Raises InputError when none is left, or with every clip that cannot be read, and Stopped when asked to between two clips.
    """
    reporter.emit("phase", phase=f"counting the tokens of {len(plan.questions)} questions")
    how = plan.config.context_plan()
    views, unscored = _views(processor, plan)
    encoder = Encoder(processor, views, lambda seen: pictures_seen(plan.directory, seen, how))
    groups, long = group_questions(encoder, [one for one in plan.questions if one.id in views], plan.config.max_tokens)
    unscored |= long
    if not groups:
        raise InputError(f"None of the {len(plan.questions)} questions can be scored. {next(iter(unscored.values()), 'Choose a set that has some.')}")
    if unscored:
        name, reason = next(iter(unscored.items()))
        reporter.emit("note", text=f"{len(unscored)} of {len(plan.questions)} questions have no score and count as not correct. {name}: {reason}")
    shown = [question for group in groups for question in group]
    reporter.emit("phase", phase=f"decoding the clips of {len(shown)} questions")
    decode_all(plan.directory, [(one.clip.id, views[one.id]) for one in shown], how, lambda done: heed(reporter, "decoded", done))
    return Asked(encoder, groups, unscored)


def group_questions(encoder: Encoder, questions: Sequence[Question], max_tokens: int) -> tuple[tuple[tuple[Question, ...], ...], dict[str, str]]:
    """Return the questions that go through the model together, with at most `max_tokens` a group, and why some are too long for any, by id.

    A question stays whole: one whose options together have more tokens than that goes alone, as long as each of them has not.
    """
    together: defaultdict[str, list[tuple[Question, int, int]]] = defaultdict(list)
    long: dict[str, str] = {}
    for question in questions:
        row, replies = question.row, question.replies
        tails = [encoder.tail(row, reply) for reply in replies]
        shared = encoder.count(row, replies[0]).total - len(tails[0][0])
        longest = shared + max(len(ids) for ids, _ in tails)
        if longest > max_tokens:
            long[question.id] = f"It has {longest} tokens, and a row may have {max_tokens} (max_tokens): nothing is ever cut."
            continue
        # The words of the question once, then each reply from the token that foretells its first one.
        asked = tails[0][1].index(True) - 1
        own = asked + sum(len(ids) - asked for ids, _ in tails)
        key = pack_key(encoder.text(row, replies[0]), encoder.view(row)) or f"alone {question.id}"
        together[key].append((question, shared, own))
    return tuple(group for sized in together.values() for group in _parts(sized, max_tokens)), long


def _views(processor: Any, plan: RunPlan) -> tuple[dict[str, View], dict[str, str]]:
    how, count_text = plan.config.context_plan(), text_counter(processor)
    views: dict[str, View] = {}
    hidden: dict[str, str] = {}
    for question in plan.questions:
        try:
            views[question.id] = view_of(question.row, plan.stretches[question.clip], how, count_text, plan.config.family)
        except InputError as error:
            hidden[question.id] = str(error)
    return views, hidden


def _parts(sized: Sequence[tuple[Question, int, int]], max_tokens: int) -> Iterator[tuple[Question, ...]]:
    """Yield the questions of one video, cut where a group is full; sized: tokens that all share, and those of a question's own."""
    part: list[Question] = []
    tokens = 0
    for question, shared, own in sized:
        if part and shared + tokens + own > max_tokens:
            yield tuple(part)
            part, tokens = [], 0
        part.append(question)
        tokens += own
    yield tuple(part)
