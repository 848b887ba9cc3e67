"""What may be trained on: which texts people accepted, and the rows that texts and pairs become."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlite_utils

from curation.pair_weights import highest_severities, pair_strength, severity_on, with_mean_one
from curation.pairing import Evidence
from curation.selecting import Draft, Selection, select_rows
from curation.splits import HELD_OUT, SPLITS
from curation.votes import Votes, standing_edits, votes_by_candidate
from store.annotations import final_annotations, first_annotations, flags_of_finals
from store.candidates import list_candidates, list_generators
from store.clips import get_qa_pair, list_clips, qa_pairs_of
from store.decisions import list_rulings
from store.errors import InputError
from store.pairs import ORIGINS, list_pairs
from store.records import Annotation, Candidate, PreferencePair, QAPair
from store.row_words import final_answer, right_option
from store.rows import digest_id

TRAINED_KINDS = ("narrative", "rationale")


@dataclass(frozen=True)
class AcceptRule:
    """Which texts an SFT set takes: accepted by a strict majority of at least `min_annotations`, or by a decision, and the edits by people.

    Beside them, when asked for, the answers that the data set gives, which nobody judges.
    """

    min_annotations: int = 1  # final annotations of a text, skips left out; a decision is enough by itself
    edits: bool = True  # take edits that their author has not taken back, unless a strict majority or a decision rejects them
    kinds: tuple[str, ...] = TRAINED_KINDS
    given_answers: bool = False  # take every QA pair with its given answer as it stands

    def __post_init__(self) -> None:
        """Raise InputError when the rule would take a text that nobody looked at."""
        if self.min_annotations < 1:
            raise InputError(f"min_annotations is {self.min_annotations}, and must be 1 or more: a text that nobody judged is not accepted.")


def accepted_candidates(
    candidates: Sequence[Candidate], votes: Mapping[str, Votes], edits: Mapping[str, tuple[Annotation, ...]], rule: AcceptRule
) -> list[tuple[Candidate, tuple[str, ...]]]:
    """Return the candidates that the rule accepts, each with the ids of the annotations behind it."""
    accepted = []
    for candidate in candidates:
        own = votes.get(candidate.id, Votes())
        by_vote = own.enough(rule.min_annotations) and own.agree_on("accept")
        by_edit = rule.edits and candidate.id in edits and not own.agree_on("reject")
        if candidate.kind in rule.kinds and (by_vote or by_edit):
            behind = (*own.ids, *(a.id for a in edits.get(candidate.id, ())))
            accepted.append((candidate, behind))
    return accepted


def accepted_rows(db: sqlite_utils.Database, rule: AcceptRule) -> Selection:
    """Return the SFT rows that `rule` accepts now, in order of id; reads all candidates and final annotations."""
    candidates, annotations = list_candidates(db), first_annotations(db)
    edits = standing_edits(candidates, list_generators(db), annotations)
    votes = votes_by_candidate(annotations, list_rulings(db))
    drafts, left_out = [], Counter[str]()
    for candidate, behind in accepted_candidates(candidates, votes, edits, rule):
        qa = _qa_of(db, candidate)
        drafts.append(Draft(candidate.id, candidate.kind, candidate.clip_id, qa, _reply(candidate, qa), None, _text_source(candidate, behind, votes)))
    if rule.given_answers:
        drafts += _given_answers(db, left_out)
    return select_rows(db, drafts, left_out)


def question_rows(db: sqlite_utils.Database) -> Selection:
    """Return the multiple-choice questions about held-out clips as rows of kind "answer", in order of id; reads all QA pairs.

    Left out are those whose answer is withheld, and those between whose options nobody could choose.
    """
    left_out, drafts = Counter[str](), []
    for draft in _given_answers(db, left_out, HELD_OUT):
        problem = _no_choice(draft.qa) if draft.qa else None
        if problem:
            left_out[problem] += 1
        else:
            drafts.append(draft)
    return select_rows(db, drafts, left_out)


def pair_rows(db: sqlite_utils.Database, state: str = "accepted", origins: Sequence[str] = ORIGINS) -> Selection:
    """Return the DPO rows of the pairs in `state` of these origins, in order of id; the same two texts from several origins are one row.

    Left out are pairs that another pair contradicts, and those from edits and verdicts whose chosen text a strict majority, or a decision in
    its place, rejects now.
    """
    candidates = {candidate.id: candidate for candidate in list_candidates(db)}
    votes = votes_by_candidate(final_annotations(db), list_rulings(db))
    severities = highest_severities(flags_of_finals(db))
    merged: dict[tuple[str, str], list[PreferencePair]] = defaultdict(list)
    for pair in (pair for pair in list_pairs(db, state) if pair.origin in origins):
        merged[pair.chosen_id, pair.rejected_id].append(pair)
    drafts, left_out, strengths = [], Counter[str](), {}
    for (chosen, rejected), pairs in merged.items():
        if (rejected, chosen) in merged:
            left_out["another pair of the same state says the opposite"] += 1
        elif votes.get(chosen, Votes()).agree_on("reject") and all(pair.origin != "comparison" for pair in pairs):
            # Side by side "both bad" was there to be chosen, so that a choice stands: one rejected text may still be the better one.
            left_out[f"{'a decision' if votes[chosen].ruling else 'a majority'} has rejected the chosen text"] += 1
        else:
            draft = _pair_draft(db, pairs, candidates[chosen], candidates[rejected], votes)
            strengths[draft.id] = _strength(pairs, severity_on(votes.get(rejected, Votes()), severities))
            drafts.append(draft)
    return _weighted(select_rows(db, drafts, left_out), strengths)


def _given_answers(db: sqlite_utils.Database, left_out: Counter[str], splits: Sequence[str] = SPLITS) -> Iterator[Draft]:
    """Yield each QA pair about a clip of these splits with its given answer; counts those that the data set withholds."""
    for clip in list_clips(db):
        for qa in qa_pairs_of(db, clip.id) if clip.split in splits else ():
            answer = (final_answer(qa) or "").strip()
            if answer:
                nobody: dict[str, Any] = dict.fromkeys(("candidate_id", "parent_id", "generator_id"))
                source = {**nobody, "subject_id": qa.id, "qa_id": qa.id, "annotation_ids": [], "decision_ids": []}
                yield Draft(digest_id("given answer", qa.id), "answer", clip.id, qa, answer, None, source)
            else:
                left_out["the data set withholds the answer"] += 1


def _no_choice(qa: QAPair) -> str | None:
    """Return why nobody can choose one right option of the question, as the end of the sentence "left out because"."""
    options = [option.strip() for option in qa.options]
    if len(options) < 2 or right_option(qa) is None:
        return "it has no options to choose from"
    if not all(options):
        return "one of its options is empty"
    return "two of its options say the same" if len(set(options)) < len(options) else None


def _pair_draft(db: sqlite_utils.Database, pairs: Sequence[PreferencePair], chosen: Candidate, rejected: Candidate, votes: Mapping[str, Votes]) -> Draft:
    qa, origins = _qa_of(db, chosen), {pair.origin for pair in pairs}
    # What is rejected for its wrong answer says that answer itself.
    texts = _reply(chosen, qa), rejected.text.strip() if origins == {"correctness"} else _reply(rejected, qa)
    source = _pair_source(pairs, chosen, rejected, votes)
    origin = next(name for name in ORIGINS if name in origins)
    return Draft(digest_id("pair row", chosen.id, rejected.id), chosen.kind, chosen.clip_id, qa, *texts, source, origin)


def _strength(pairs: Sequence[PreferencePair], severity: int | None) -> float | None:
    known = (pair_strength(Evidence.from_json(pair.evidence), severity) for pair in pairs)
    return next((one for one in known if one is not None), None)


def _weighted(selection: Selection, strengths: Mapping[str, float | None]) -> Selection:
    weights = with_mean_one([strengths[row.id] for row in selection.rows])
    return replace(selection, rows=tuple(replace(row, weight=weight) for row, weight in zip(selection.rows, weights, strict=True)))


def _qa_of(db: sqlite_utils.Database, candidate: Candidate) -> QAPair | None:
    return get_qa_pair(db, candidate.qa_id) if candidate.qa_id else None


def _reply(candidate: Candidate, qa: QAPair | None) -> str:
    text = candidate.text.strip()
    return f"{text}\n\nFinal answer: {final_answer(qa)}" if candidate.kind == "rationale" and qa else text


def _text_source(candidate: Candidate, behind: tuple[str, ...], votes: Mapping[str, Votes]) -> dict[str, Any]:
    return {
        "candidate_id": candidate.id,
        "parent_id": candidate.parent_id,
        "subject_id": candidate.subject_id,
        "generator_id": candidate.generator_id,
        "annotation_ids": sorted(behind),
        "decision_ids": _decisions([candidate.id], votes),
    }


def _pair_source(pairs: Sequence[PreferencePair], chosen: Candidate, rejected: Candidate, votes: Mapping[str, Votes]) -> dict[str, Any]:
    evidence = [json.loads(pair.evidence) for pair in pairs]
    return {
        "subject_id": chosen.subject_id,
        "chosen_id": chosen.id,
        "rejected_id": rejected.id,
        "chosen_generator_id": chosen.generator_id,
        "rejected_generator_id": rejected.generator_id,
        "pair_ids": [pair.id for pair in pairs],
        "origins": [pair.origin for pair in pairs],
        "annotation_ids": sorted({found for one in evidence for found in one.get("annotation_ids", [])}),
        "comparison_ids": sorted({found for one in evidence for found in one.get("comparison_ids", [])}),
        "decision_ids": _decisions([chosen.id, rejected.id], votes),
    }


def _decisions(candidate_ids: Sequence[str], votes: Mapping[str, Votes]) -> list[str]:
    """Return the decisions that count for these candidates in place of their votes."""
    return [ruling.decision.id for one in candidate_ids if (ruling := votes.get(one, Votes()).ruling)]
