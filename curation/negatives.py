"""Correctness pairs: the right answer of a multiple-choice question over the wrong option that is most like it, the words before it the same."""

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import sqlite_utils

from curation.curating import AcceptRule, accepted_candidates
from curation.pairing import CORRECTNESS, Evidence, changes, pair_of
from curation.votes import standing_edits, votes_by_candidate
from store.annotations import first_annotations
from store.candidates import candidate_of, generator_of, list_candidates, list_generators
from store.clips import list_clips, qa_pairs_of
from store.database import transaction
from store.decisions import list_rulings
from store.errors import InputError
from store.pairs import MADE_WRONG, add_made, list_pairs, remove_pair, update_pair
from store.records import Candidate, Generator, PreferencePair, QAPair
from store.row_words import final_answer, right_option
from store.rows import digest_id
from store.synthesis import told_wrong

SEED = 42
# Pairs a transaction: an annotator who submits meanwhile waits some milliseconds, not for all of them.
_AT_ONCE = 500
# A quarter of the words counts like a text e times as long.
_ECHO_WEIGHT = 4.0
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Made:
    """What became of it: pairs that are new, all that stand now by kind, pairs that went, and questions left out by reason."""

    new: int
    standing: Mapping[str, int]
    gone: int
    left_out: Mapping[str, int]
    seed: int

    @property
    def sentence(self) -> str:
        """Return it for the person who asked."""
        kinds = " and ".join(
            f"{count:,} {'behind an accepted rationale' if kind == 'rationale' else 'of answers alone'}" for kind, count in self.standing.items()
        )
        gone = f" {self.gone:,} of before went." if self.gone else ""
        left = "".join(f" Left out: {_count(count, 'question')} {reason}." for reason, count in self.left_out.items())
        return f"{_count(self.new, 'new correctness pair')} with seed {self.seed}; {kinds or 'none'} stand now.{gone}{left}"


@dataclass(frozen=True)
class _Draft:
    """A pair before it is kept, with those of its two texts that were made for it."""

    pair: PreferencePair
    made: tuple[Candidate, ...]


def make_negatives(db: sqlite_utils.Database, seed: int = SEED) -> Made:
    """Bring the stored correctness pairs up to what the questions, accepted rationales and `seed` say; accepted at once, what a person dropped stays so.

    A question of a train or validation clip gets a pair for each accepted rationale, or, without any, one of the bare answers. The same call
    again changes nothing. Reads all candidates, questions and annotations. Raises InputError for a seed below 0.
    """
    if seed < 0:
        raise InputError(f"The seed is {seed}, and must be 0 or more.")
    left_out: Counter[str] = Counter()
    drafts = list(_drafts(db, seed, left_out))
    stored = [pair for pair in list_pairs(db) if pair.origin == CORRECTNESS]
    gone, changed, new = changes(stored, [draft.pair for draft in drafts])
    with transaction(db):
        for pair in gone:
            remove_pair(db, pair.id)
        for pair in changed:
            update_pair(db, pair)
    fresh = {pair.id for pair in new}
    drafts = [draft for draft in drafts if draft.pair.id in fresh]
    for start in range(0, len(drafts), _AT_ONCE):
        some = drafts[start : start + _AT_ONCE]
        with transaction(db):
            add_made(db, (_writer(seed), _writer(None)), [text for draft in some for text in draft.made], [draft.pair for draft in some])
    standing = Counter(pair.kind for pair in list_pairs(db) if pair.origin == CORRECTNESS and pair.state != "dropped")
    return Made(len(new), dict(sorted(standing.items())), len(gone), dict(left_out), seed)


def wrong_option(qa: QAPair, seed: int) -> int | None:
    """Return the index of the wrong option that is most like the right one, or None when no option is wrong in other words.

    Most like: the least |ln(length / length of the right one)|, in characters, plus 4 x |share of its words that stand in the question - that of
    the right one|, so that neither length nor echo of the question gives the right one away. The seed decides between equals. The formula is ours.
    """
    right = right_option(qa)
    if right is None or not qa.options[right].strip():
        return None
    wrong = [at for at, option in enumerate(qa.options) if option.strip() and _plain(option) != _plain(qa.options[right])]
    return min(wrong, key=lambda at: (round(_unlike(qa, at, right), 9), digest_id("negative", seed, qa.id, at)), default=None)


def echo(option: str, question: str) -> float:
    """Return which share of the option's words stand in the question, 0 to 1."""
    words, asked = _WORD.findall(option.casefold()), set(_WORD.findall(question.casefold()))
    return sum(word in asked for word in words) / len(words) if words else 0.0


def with_answer(text: str, answer: str) -> str:
    """Return a rationale with its final answer, in the form in which a curated set writes it."""
    return f"{text.strip()}\n\nFinal answer: {answer}"


def _drafts(db: sqlite_utils.Database, seed: int, left_out: Counter[str]) -> Iterator[_Draft]:
    rationales = _accepted_rationales(db)
    for clip in list_clips(db):
        for qa in (one for one in qa_pairs_of(db, clip.id) if one.options):
            wrong = wrong_option(qa, seed)
            if clip.split == "test":
                left_out["of the test split"] += 1
            elif right_option(qa) is None:
                left_out["whose answer the data set withholds"] += 1
            elif wrong is None:
                left_out["without another option than the right one"] += 1
            else:
                yield from _of_question(qa, wrong, rationales.get(qa.id, ()), seed)


def _of_question(qa: QAPair, wrong: int, rationales: Sequence[tuple[Candidate, tuple[str, ...]]], seed: int) -> Iterator[_Draft]:
    right, answer = final_answer(qa) or "", final_answer(replace(qa, answer_index=wrong)) or ""
    for rationale, behind in rationales:
        rejected = candidate_of("rationale", qa.clip_id, qa.id, _writer(seed), with_answer(rationale.text, answer), rationale.id)
        yield _Draft(_accepted(rationale, rejected, Evidence(annotation_ids=behind)), (rejected,))
    if not rationales:
        chosen = candidate_of("answer", qa.clip_id, qa.id, _writer(None), right)
        rejected = candidate_of("answer", qa.clip_id, qa.id, _writer(seed), answer)
        yield _Draft(_accepted(chosen, rejected, Evidence()), (chosen, rejected))


def _accepted_rationales(db: sqlite_utils.Database) -> Mapping[str, Sequence[tuple[Candidate, tuple[str, ...]]]]:
    candidates, annotations = list_candidates(db), first_annotations(db)
    edits = standing_edits(candidates, list_generators(db), annotations)
    accepted = accepted_candidates(candidates, votes_by_candidate(annotations, list_rulings(db)), edits, AcceptRule(kinds=("rationale",)))
    found: dict[str, list[tuple[Candidate, tuple[str, ...]]]] = defaultdict(list)
    wrong = told_wrong(db, [candidate.id for candidate, _ in accepted])
    for candidate, behind in (one for one in accepted if one[0].id not in wrong):
        found[candidate.subject_id].append((candidate, tuple(sorted(behind))))
    return found


def _writer(seed: int | None) -> Generator:
    """Return who made the texts: the wrong ones with a seed, the right ones, which no seed changes, without."""
    return generator_of("imported", MADE_WRONG, settings=None if seed is None else json.dumps({"seed": seed}), answer_given=True)


def _accepted(chosen: Candidate, rejected: Candidate, evidence: Evidence) -> PreferencePair:
    return replace(pair_of(chosen, rejected, CORRECTNESS, evidence), state="accepted")


def _unlike(qa: QAPair, one: int, other: int) -> float:
    a, b = qa.options[one].strip(), qa.options[other].strip()
    return abs(math.log(len(a) / len(b))) + _ECHO_WEIGHT * abs(echo(a, qa.question) - echo(b, qa.question))


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def _plain(text: str) -> str:
    return " ".join(_WORD.findall(text.casefold())) or text.strip()
