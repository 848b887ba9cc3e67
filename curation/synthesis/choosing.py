"""What texts are asked about: clips and QA pairs of the store as subjects, in a stream, and why others are left out."""

import heapq
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import sqlite_utils

from curation.negatives import SEED, wrong_option
from curation.synthesis.arms import KINDS, Arm
from curation.synthesis.order import natural
from curation.synthesis.subjects import Subject, Told
from store.chances import chance
from store.clip_search import list_datasets
from store.clip_stream import FullClip, clip_splits, full_clip, question_types, stream_clips
from store.clips import has_clips
from store.errors import InputError, NotFoundError
from store.played import end_of
from store.records import QAPair
from store.row_words import context_of, right_option, span_of

LEAST_PAIRS = 2  # of a narrative: one fact has no order to tell
# Why something is left out; each is counted in what it names first.
TOO_FEW = f"clips with fewer than {LEAST_PAIRS} answered questions"
WITHHELD = "questions whose answer the data set withholds"
NO_WRONG = "questions without a wrong option that could be told"
NO_VIDEO = "of which nothing can be shown, because the video is missing, damaged or unreadable"
BEHIND = "of which nothing can be shown, because they begin where the video has ended"
NOT_DRAWN = "not drawn"
NOTHING_HERE = (
    "There are no clips here yet, so nothing can be asked about. Start the app once (python app.py --data DIR), which loads the demo project into an "
    "empty data directory, or bring in clips of your own (python -m curation import --help)."
)


@dataclass(frozen=True)
class Chosen:
    """Which clips and QA pairs texts are asked about; nothing chosen means all."""

    datasets: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    types: tuple[str, ...] = ()  # of questions; for rationales only, since a narrative tells all QA pairs of its clip
    words: str = ""  # each must stand in the clip's name, file or data set
    most: int | None = None  # subjects, drawn at random by `seed`; with the same seed fewer are a part of more
    seed: int = 0


@dataclass(frozen=True)
class Offered:
    """What there is to choose from."""

    datasets: tuple[str, ...]
    splits: tuple[str, ...]
    types: tuple[str, ...]  # none for narratives


def offered(db: sqlite_utils.Database, kind: str) -> Offered:
    """Return the data sets, splits and question types of the store; reads every clip and QA pair once."""
    return Offered(tuple(list_datasets(db)), tuple(clip_splits(db)), tuple(question_types(db)) if kind == "rationale" else ())


def subjects(db: sqlite_utils.Database, kind: str, chosen: Chosen, arm: Arm | None = None, left_out: Counter[str] | None = None) -> Iterator[Subject]:
    """Yield the chosen subjects by data set, clip and the questions' own ids; with an arm those that it can be asked about. `left_out` is counted up.

    Five queries for 500 clips, no more than those in memory, 0.03 ms a QA pair; with `most` everything is read twice, and the names of those drawn
    are in memory. Raises InputError for a choice that cannot be.
    """
    _check(db, kind, chosen)
    counts: Counter[str] = Counter() if left_out is None else left_out
    if chosen.most is None:
        yield from _all(db, kind, chosen, arm, counts)
        return
    named = (_name_of(subject) for subject in _all(db, kind, chosen, arm, counts))
    drawn, found = _draw(named, chosen.most, chosen.seed)
    if found > len(drawn):
        counts[NOT_DRAWN] += found - len(drawn)
    yield from (subject for subject in _all(db, kind, chosen, arm, Counter()) if _name_of(subject) in drawn)


def subject_of(db: sqlite_utils.Database, clip_id: str, qa_id: str | None) -> Subject:
    """Return the clip (without `qa_id`) or its QA pair as a subject. Raises NotFoundError when there is none such."""
    full = full_clip(db, clip_id)
    if full is None:
        raise NotFoundError(f"There is no clip {clip_id[:40]!r} here. Choose one from the list.")
    if qa_id is None:
        return _subject(full, None, [qa for qa in _in_order(full) if _answer(qa)])
    pair = next((qa for qa in full.pairs if qa.id == qa_id), None)
    if pair is None:
        raise NotFoundError(f"There is no question {qa_id[:40]!r} about {full.clip.external_id}. Choose one from the list.")
    return _subject(full, pair, (pair,))


def hard_option(subject: Subject) -> int | None:
    """Return the wrong option that is most like the right one, as correctness pairs have it (see `wrong_option`); None when there is none."""
    pair = subject.pairs[0]
    qa = QAPair(pair.qa_id, subject.clip_id, pair.name, pair.question, pair.answer, pair.options, pair.right, pair.question_type, None, None, None)
    return wrong_option(qa, SEED)


def _check(db: sqlite_utils.Database, kind: str, chosen: Chosen) -> None:
    if kind not in KINDS:
        raise InputError(f"{kind!r} is no kind of text. There are: {', '.join(KINDS)}.")
    if not has_clips(db):
        raise InputError(NOTHING_HERE)
    if chosen.most is not None and chosen.most < 1:
        raise InputError(f"The most is {chosen.most}, and must be 1 or more. Leave it out to ask about everything.")
    if kind == "narrative" and chosen.types:
        raise InputError("A narrative tells all questions of its clip, so a type of question chooses none. Leave the type out.")
    there = offered(db, kind) if chosen.datasets or chosen.splits or chosen.types else Offered((), (), ())
    for what, asked, known in (
        ("data set", chosen.datasets, there.datasets),
        ("split", chosen.splits, there.splits),
        ("type of question", chosen.types, there.types),
    ):
        unknown = [one for one in asked if one not in known]
        if unknown:
            raise InputError(f"There is no {what} {unknown[0]!r} here. There are: {', '.join(known) or 'none'}.")


def _name_of(subject: Subject) -> str:
    return subject.qa_id or subject.clip_id


def _draw(names: Iterator[str], most: int, seed: int) -> tuple[set[str], int]:
    """Return `most` names by seeded chance, and how many there were; no more than `most` are in memory."""
    count = 0

    def counted() -> Iterator[str]:
        nonlocal count
        for count, name in enumerate(names, start=1):  # noqa: B007  told to the function around
            yield name

    drawn = heapq.nsmallest(most, counted(), key=lambda name: (chance("synthesis", seed, name), name))
    return set(drawn), count


def _all(db: sqlite_utils.Database, kind: str, chosen: Chosen, arm: Arm | None, left_out: Counter[str]) -> Iterator[Subject]:
    for full in stream_clips(db, chosen.datasets, chosen.splits, chosen.words):
        pairs = [qa for qa in _in_order(full) if not chosen.types or qa.question_type in chosen.types]
        answered = [qa for qa in pairs if _answer(qa)]
        if len(answered) < len(pairs):
            left_out[WITHHELD] += len(pairs) - len(answered)
        if kind == "rationale":
            found = [_subject(full, qa, (qa,)) for qa in answered]
        elif len(answered) < LEAST_PAIRS:
            left_out[TOO_FEW] += 1
            continue
        else:
            found = [_subject(full, None, answered)]
        for subject in found:
            reason = arm and _unfit(subject, arm, full)
            if reason:
                left_out[reason] += 1
            else:
                yield subject


def _in_order(full: FullClip) -> list[QAPair]:
    """Return the QA pairs by the data set's own ids: the rows of a file may be shuffled, and are in NExT-QA's."""
    return sorted(full.pairs, key=lambda qa: natural(qa.external_id))


def _unfit(subject: Subject, arm: Arm, full: FullClip) -> str | None:
    """Return why a text of this arm cannot be asked about the subject, or None."""
    if arm.answer == "wrong" and hard_option(subject) is None:
        return NO_WRONG
    if arm.shown == "nothing":
        return None
    noun = "clips" if subject.qa_id is None else "questions"
    if subject.digest is None:
        return f"{noun} {NO_VIDEO}"
    end_s = end_of(full.clip, full.media)
    return f"{noun} {BEHIND}" if end_s is not None and subject.start_s >= end_s else None


def _subject(full: FullClip, qa: QAPair | None, pairs: Sequence[QAPair]) -> Subject:
    clip, media = full.clip, full.media
    start_s, end_s = span_of(clip, qa)
    clip_end_s = end_of(clip, media)
    # Data sets round durations up: evidence ends where the clip does, or the question's own window.
    ends_s = min((known for known in (clip_end_s, end_s) if known is not None), default=None)
    length_s = None if clip_end_s is None else max(0.0, clip_end_s - clip.start_s)
    name = f"{clip.dataset} · {clip.external_id}"
    return Subject(
        kind="narrative" if qa is None else "rationale",
        clip_id=clip.id,
        qa_id=qa.id if qa else None,
        name=f"{name} · {qa.external_id}" if qa else name,
        split=clip.split,
        # Nothing is trained on a damaged file, and what a model is shown of it is not what the clip shows.
        digest=media.digest if media and media.health == "ok" else None,
        start_s=start_s,
        end_s=end_s,
        length_s=length_s,
        said=context_of(clip, qa, full.lines),
        pairs=tuple(_told(one, full, start_s - clip.start_s, math.inf if ends_s is None else ends_s - clip.start_s) for one in pairs),
    )


def _told(qa: QAPair, full: FullClip, from_s: float, to_s: float) -> Told:
    """Return the pair with its evidence from the start of what is shown, which is from `from_s` to `to_s` on the clip's clock."""
    spans = ((max(span.start_s, from_s) - from_s, min(span.end_s, to_s) - from_s) for span in full.evidence.get(qa.id, ()))
    return Told(
        qa_id=qa.id,
        name=qa.external_id,
        question=qa.question.strip(),
        answer=_answer(qa),
        options=qa.options,
        right=right_option(qa),
        question_type=qa.question_type,
        spans=tuple((start_s, end_s) for start_s, end_s in spans if start_s < end_s),
    )


def _answer(qa: QAPair) -> str | None:
    """Return the words of the given answer, or None when the data set withholds it."""
    right = right_option(qa)
    answer = qa.answer if right is None else qa.options[right]
    return (answer or "").strip() or None
