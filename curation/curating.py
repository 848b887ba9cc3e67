"""What may be trained on: which texts people accepted, and the rows that texts and pairs become."""

import hashlib
import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import sqlite_utils

from curation.votes import Votes, standing_edits, votes_by_candidate
from store.annotations import final_annotations, first_annotations
from store.candidates import list_candidates, list_generators
from store.clips import get_media, get_qa_pair, list_clips, subtitles_of
from store.decisions import list_rulings
from store.errors import InputError
from store.pairs import list_pairs
from store.records import Annotation, Candidate, Clip, PreferencePair, QAPair, Subtitle
from store.rows import digest_id

PROMPTS = Path(__file__).resolve().parent.parent / "assets" / "prompts"
TRAINED_KINDS = ("narrative", "rationale")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# From the most to the least held out: a video that any clip holds out is held out for all its clips.
SPLITS = ("test", "validation", "train")
# A chat template speaks in such marks; one inside a text would open a turn of its own.
_MARK = re.compile(r"<\|[a-z_]+\|>")


@dataclass(frozen=True)
class AcceptRule:
    """Which texts an SFT set takes: accepted by a strict majority of at least `min_annotations`, or by a decision, and the edits by people."""

    min_annotations: int = 1  # final annotations of a text, skips left out; a decision is enough by itself
    edits: bool = True  # take edits that their author has not taken back, unless a strict majority or a decision rejects them
    kinds: tuple[str, ...] = TRAINED_KINDS

    def __post_init__(self) -> None:
        """Raise InputError when the rule would take a text that nobody looked at."""
        if self.min_annotations < 1:
            raise InputError(f"min_annotations is {self.min_annotations}, and must be 1 or more: a text that nobody judged is not accepted.")


@dataclass(frozen=True)
class Row:
    """One row of a curated set. Seconds are on the media file's own clock; `end_s` None is the end of the file."""

    id: str
    split: str
    kind: str
    clip_id: str
    digest: str
    start_s: float
    end_s: float | None
    prompt: str
    reply: str  # SFT: the completion; DPO: the chosen text
    rejected: str | None  # None for SFT
    context: Mapping[str, Any]  # what is said and where the viewer paused, as `_context` tells it
    source: Mapping[str, Any]  # ids to walk back by; no names of people


@dataclass(frozen=True)
class Selection:
    """The rows, how many others were left out for which reason, and the sha256 of each prompt text by name."""

    rows: tuple[Row, ...]
    left_out: Mapping[str, int]
    prompts: Mapping[str, str]


@dataclass(frozen=True)
class _Draft:
    """A row before its clip and its words were looked at."""

    id: str
    candidate: Candidate
    rejected: Candidate | None
    source: Mapping[str, Any]


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
    accepted = accepted_candidates(candidates, votes, edits, rule)
    drafts = [_Draft(candidate.id, candidate, None, _text_source(candidate, behind, votes)) for candidate, behind in accepted]
    return _selection(db, drafts, Counter())


def pair_rows(db: sqlite_utils.Database, state: str = "accepted") -> Selection:
    """Return the DPO rows of the pairs in `state`, in order of id; the same two texts from several origins are one row.

    Left out are pairs that another pair contradicts, and those from edits and verdicts whose chosen text a strict majority, or a decision in
    its place, rejects now.
    """
    candidates = {candidate.id: candidate for candidate in list_candidates(db)}
    votes = votes_by_candidate(final_annotations(db), list_rulings(db))
    merged: dict[tuple[str, str], list[PreferencePair]] = defaultdict(list)
    for pair in list_pairs(db, state):
        merged[pair.chosen_id, pair.rejected_id].append(pair)
    drafts, left_out = [], Counter[str]()
    for (chosen, rejected), pairs in merged.items():
        if (rejected, chosen) in merged:
            left_out["another pair of the same state says the opposite"] += 1
        elif votes.get(chosen, Votes()).agree_on("reject") and all(pair.origin != "comparison" for pair in pairs):
            # Side by side "both bad" was there to be chosen, so that a choice stands: one rejected text may still be the better one.
            left_out[f"{'a decision' if votes[chosen].ruling else 'a majority'} has rejected the chosen text"] += 1
        else:
            row_id = digest_id("pair row", chosen, rejected)
            source = _pair_source(pairs, candidates[chosen], candidates[rejected], votes)
            drafts.append(_Draft(row_id, candidates[chosen], candidates[rejected], source))
    return _selection(db, drafts, left_out)


def held_out_splits(clips: Sequence[Clip]) -> dict[str, str]:
    """Return clip id -> split, such that clips that share a group or a file share the most held-out split among them."""
    split: dict[str, str] = {clip.id: clip.split for clip in clips}
    changed = True
    while changed:
        by_source: dict[tuple[str, str], str] = {}
        for clip in clips:
            for source in _sources(clip):
                by_source[source] = min(by_source.get(source, "train"), split[clip.id], key=SPLITS.index)
        spread = {clip.id: min((by_source[source] for source in _sources(clip)), key=SPLITS.index) for clip in clips}
        changed, split = spread != split, spread
    return split


def load_prompts() -> dict[str, str]:
    """Return kind -> the prompt text of its file. Raises InputError when one that needs the question has no place for it."""
    prompts = {kind: (PROMPTS / f"{kind}.md").read_text(encoding="utf-8") for kind in (*TRAINED_KINDS, "answer")}
    for kind, text in prompts.items():
        if kind != "narrative" and "$question" not in text:
            raise InputError(f"{PROMPTS / kind}.md does not say $question, so no row would hold its question. Put it back.")
    return prompts


def prompt_for(prompts: Mapping[str, str], kind: str, qa: QAPair | None) -> str:
    """Return what the user says in a row of this kind; the options of the question are lettered."""
    return Template(prompts[kind]).substitute(question=_question(qa) if qa else "").strip()


def final_answer(qa: QAPair) -> str | None:
    """Return the given answer with its letter when it is one of the options; None when the data set withholds it."""
    index = qa.answer_index
    if index is None and qa.answer in qa.options:
        index = qa.options.index(qa.answer)
    return qa.answer if index is None else f"{_letter(index)}. {qa.options[index]}"


def _selection(db: sqlite_utils.Database, drafts: Sequence[_Draft], left_out: Counter[str]) -> Selection:
    clips = {clip.id: clip for clip in list_clips(db)}
    splits = held_out_splits(list(clips.values()))
    prompts = load_prompts()
    seen: set[tuple[str, ...]] = set()
    rows = []
    for draft in sorted(drafts, key=lambda draft: draft.id):
        clip = clips[draft.candidate.clip_id]
        qa = get_qa_pair(db, draft.candidate.qa_id) if draft.candidate.qa_id else None
        prompt = prompt_for(prompts, draft.candidate.kind, qa)
        lines = subtitles_of(db, clip.id)
        problem = next(_problems(db, draft, clip, qa, splits, [prompt, *(line.text for line in lines)]), None)
        row = None if problem else _row(draft, clip, qa, prompt, lines)
        told = (row.clip_id, row.kind, row.prompt, row.reply, row.rejected or "") if row else ()
        if row and told in seen:
            problem = "the same text of the same clip or question stands in another row"
        if problem:
            left_out[problem] += 1
        elif row:
            seen.add(told)
            rows.append(row)
    digests = {kind: hashlib.sha256(text.encode("utf-8")).hexdigest() for kind, text in prompts.items()}
    return Selection(tuple(rows), dict(sorted(left_out.items())), digests)


def _problems(db: sqlite_utils.Database, draft: _Draft, clip: Clip, qa: QAPair | None, splits: Mapping[str, str], shown: Sequence[str]) -> Iterator[str]:
    """Yield why the draft cannot be a row, as the end of the sentence "left out because"."""
    media = get_media(db, clip.digest) if clip.digest else None
    if media is None:
        yield "the clip waits for its media file"
    elif media.health != "ok":
        yield f"the clip's media file is {media.health}"
    if splits[clip.id] != clip.split:
        yield f"the same video is in the {splits[clip.id]} split under another name"
    if draft.candidate.kind == "rationale" and (qa is None or final_answer(qa) is None):
        yield "the data set withholds the answer"
    texts = [draft.candidate.text, draft.rejected.text if draft.rejected else "", *shown, (qa and final_answer(qa)) or ""]
    if any(_MARK.search(text) for text in texts):
        yield "a text holds a mark of a chat template, such as <|im_end|>"
    if draft.rejected and draft.rejected.text.strip() == draft.candidate.text.strip():
        yield "the chosen and the rejected text are the same"


def _row(draft: _Draft, clip: Clip, qa: QAPair | None, prompt: str, lines: Sequence[Subtitle]) -> Row:
    start_s, end_s = _span(clip, qa)
    kind = draft.candidate.kind
    rejected = _reply(draft.rejected, qa) if draft.rejected else None
    words = prompt, _reply(draft.candidate, qa), rejected
    return Row(draft.id, clip.split, kind, clip.id, clip.digest or "", start_s, end_s, *words, _context(clip, qa, lines), draft.source)


def _span(clip: Clip, qa: QAPair | None) -> tuple[float, float | None]:
    """Return where to look: the question's window when it has one (it counts from the clip's start), else the whole clip."""
    if qa is None or qa.window_end_s is None:
        return clip.start_s, clip.end_s
    start_s, end_s = clip.start_s + (qa.window_start_s or 0.0), clip.start_s + qa.window_end_s
    end_s = end_s if clip.end_s is None else min(end_s, clip.end_s)
    return (start_s, end_s) if start_s < end_s else (clip.start_s, clip.end_s)


def _context(clip: Clip, qa: QAPair | None, lines: Sequence[Subtitle]) -> dict[str, Any]:
    """Return the lines that are spoken in the row's span, the pause and, where the span is the question's own window, that window.

    Seconds from the row's start: a line that has begun before it starts below 0.
    """
    start_s, end_s = _span(clip, qa)
    shift_s, length_s = start_s - clip.start_s, math.inf if end_s is None else _seconds(end_s - start_s)
    heard = [(_seconds(line.start_s - shift_s), _seconds(line.end_s - shift_s), line.text.strip()) for line in lines]
    return {
        "lines": [list(line) for line in sorted(heard) if line[0] < length_s and line[1] > 0 and line[2]],
        "pause_s": None if qa is None or qa.pause_s is None else _seconds(qa.pause_s - shift_s),
        "window_s": [0.0, length_s] if end_s is not None and (start_s, end_s) != (clip.start_s, clip.end_s) else None,
    }


def _seconds(value_s: float) -> float:
    # To the microsecond: what a subtraction leaves behind is no time.
    return round(value_s, 6)


def _reply(candidate: Candidate, qa: QAPair | None) -> str:
    text = candidate.text.strip()
    return f"{text}\n\nFinal answer: {final_answer(qa)}" if candidate.kind == "rationale" and qa else text


def _question(qa: QAPair) -> str:
    options = [f"{_letter(index)}. {option}" for index, option in enumerate(qa.options)]
    return "\n".join([qa.question.strip(), *(["Options:", *options] if options else [])])


def _letter(index: int) -> str:
    return LETTERS[index] if index < len(LETTERS) else str(index + 1)


def _sources(clip: Clip) -> list[tuple[str, str]]:
    return [("group", clip.group_key), *([("file", clip.digest)] if clip.digest else [])]


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
