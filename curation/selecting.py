"""Drafts of rows become the rows of a curated set, but for those whose clip or words cannot be trained on."""

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlite_utils

from curation.splits import held_out_splits
from store.clips import get_media, list_clips, subtitles_of
from store.records import Clip, QAPair, Subtitle
from store.row_words import context_of, final_answer, load_prompts, prompt_for, span_of
from store.synthesis import told_wrong

# A chat template speaks in such marks; one inside a text would open a turn of its own.
_MARK = re.compile(r"<\|[a-z_]+\|>")


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
    context: Mapping[str, Any]  # what is said and where the viewer paused, as `context_of` tells it
    source: Mapping[str, Any]  # ids to walk back by; no names of people
    qa: QAPair | None  # the question that the row asks
    weight: float = 1.0  # DPO: of the pair in the loss; the mean over the rows is 1
    origin: str | None = None  # DPO: one of ORIGINS


@dataclass(frozen=True)
class Selection:
    """The rows, how many others were left out for which reason, and the sha256 of each prompt text by name."""

    rows: tuple[Row, ...]
    left_out: Mapping[str, int]
    prompts: Mapping[str, str]


@dataclass(frozen=True)
class Draft:
    """A row before its clip and its words were looked at."""

    id: str
    kind: str
    clip_id: str
    qa: QAPair | None
    reply: str
    rejected: str | None
    source: Mapping[str, Any]
    origin: str | None = None


def select_rows(db: sqlite_utils.Database, drafts: Sequence[Draft], left_out: Counter[str]) -> Selection:
    """Return the drafts that can be rows, in order of id; counts the others in `left_out`, by the end of the sentence "left out because"."""
    clips = {clip.id: clip for clip in list_clips(db)}
    splits = held_out_splits(list(clips.values()))
    prompts, wrong = load_prompts(), told_wrong(db, filter(None, (_learnt(draft) for draft in drafts)))
    found: dict[str, tuple[str | None, list[Subtitle]]] = {}  # clip id -> what is wrong with it, and its lines
    seen: set[tuple[str, ...]] = set()
    rows = []
    for draft in sorted(drafts, key=lambda draft: draft.id):
        clip = clips[draft.clip_id]
        if clip.id not in found:
            found[clip.id] = _clip_problem(db, clip, splits[clip.id]), subtitles_of(db, clip.id)
        problem, lines = found[clip.id]
        prompt = prompt_for(prompts, draft.kind, draft.qa)
        problem = problem or next(_problems(draft, wrong, [prompt, *(line.text for line in lines)]), None)
        told = (clip.id, draft.kind, prompt, draft.reply, draft.rejected or "")
        if not problem and told in seen:
            problem = "the same text of the same clip or question stands in another row"
        if problem:
            left_out[problem] += 1
        else:
            seen.add(told)
            rows.append(_row(draft, clip, prompt, lines))
    digests = {kind: hashlib.sha256(text.encode("utf-8")).hexdigest() for kind, text in prompts.items()}
    return Selection(tuple(rows), dict(sorted(left_out.items())), digests)


def _clip_problem(db: sqlite_utils.Database, clip: Clip, split: str) -> str | None:
    """Return why no row can be about the clip, as the end of the sentence "left out because"; `split` is its most held-out one."""
    media = get_media(db, clip.digest) if clip.digest else None
    if media is None:
        return "the clip waits for its media file"
    if media.health != "ok":
        return f"the clip's media file is {media.health}"
    return f"the same video is in the {split} split under another name" if split != clip.split else None


def _problems(draft: Draft, wrong: Collection[str], shown: Sequence[str]) -> Iterator[str]:
    """Yield why the draft's words cannot be a row's."""
    # Such a text argues for what is not so, and may do it well enough to be accepted. Rejected it may be.
    if _learnt(draft) in wrong:
        yield "its writer was told a wrong answer"
    if draft.kind == "rationale" and (draft.qa is None or final_answer(draft.qa) is None):
        yield "the data set withholds the answer"
    if any(_MARK.search(text) for text in (draft.reply, draft.rejected or "", *shown)):
        yield "a text holds a mark of a chat template, such as <|im_end|>"
    if draft.rejected == draft.reply:
        yield "the chosen and the rejected text are the same"


def _learnt(draft: Draft) -> str | None:
    """Return the candidate whose words are to be learnt; None for the data set's own."""
    found: str | None = draft.source.get("candidate_id", draft.source.get("chosen_id"))
    return found


def _row(draft: Draft, clip: Clip, prompt: str, lines: Sequence[Subtitle]) -> Row:
    start_s, end_s = span_of(clip, draft.qa)
    words, context = (prompt, draft.reply, draft.rejected), context_of(clip, draft.qa, lines)
    place = (clip.id, clip.digest or "", start_s, end_s)
    return Row(draft.id, clip.split, draft.kind, *place, *words, context, draft.source, draft.qa, origin=draft.origin)
