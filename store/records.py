"""The nouns of the house: frozen dataclasses whose fields equal the columns of their table; no I/O.

Times in seconds on a clip's own clock: 0 is the first frame that a browser shows. Moments (`*_at`) are ISO 8601 in UTC.
A tuple field is kept as JSON text. Text offsets count Unicode code points.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Media:
    """One file, kept by its digest and never changed. Unknown is None; `health_reason` says why."""

    digest: str
    name: str
    bytes: int
    container: str | None
    video_codec: str | None
    audio_codec: str | None
    width: int | None  # as shown: rotation and pixel shape applied
    height: int | None
    rotation: int  # degrees that the file asks a player to turn
    duration_s: float | None  # end of the last frame shown
    frame_count: int | None  # frames shown, packets that an edit list hides left out
    playable: bool  # a browser plays the original as it is
    proxy_digest: str | None  # a playable copy, when the original is not
    health: str  # "ok", "damaged" (watch only) or "unreadable"
    health_reason: str | None
    added_at: str


@dataclass(frozen=True)
class FrameTimes:
    """When each frame of a file is shown: float64 seconds, little endian, ascending, one a frame."""

    digest: str
    times: bytes


@dataclass(frozen=True)
class Clip:
    """A span of one media file. `digest` is None while the media is missing."""

    id: str
    dataset: str
    external_id: str
    media_name: str  # the file that the data set asks for
    digest: str | None
    start_s: float
    end_s: float | None  # None: to the end of the file
    group_key: str  # source video, film or episode
    split: str  # "train", "validation" or "test", fixed by hash of group_key


@dataclass(frozen=True)
class Subtitle:
    """A line spoken in a clip, on the clip's clock."""

    clip_id: str
    position: int
    start_s: float
    end_s: float
    text: str


@dataclass(frozen=True)
class QAPair:
    """A question about a clip with its given answer."""

    id: str
    clip_id: str
    external_id: str
    question: str
    answer: str | None  # None: the data set withholds it
    options: tuple[str, ...]  # empty for open-ended questions
    answer_index: int | None  # into options
    question_type: str | None
    pause_s: float | None  # where the viewer paused to ask
    window_start_s: float | None  # the context that the question is about
    window_end_s: float | None


@dataclass(frozen=True)
class EvidenceSpan:
    """A stretch of the clip that shows the answer."""

    qa_id: str
    position: int
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Generator:
    """Who wrote a text. Never shown to an annotator."""

    id: str
    kind: str  # "api_model", "base_model", "adapter", "template" (a rule), "person" or "imported"
    name: str
    prompt_version: str | None
    settings: str | None  # JSON
    answer_given: bool | None  # whether the writer knew the answer


@dataclass(frozen=True)
class Candidate:
    """An immutable text about a subject; an edit is a new candidate with a parent."""

    id: str
    kind: str  # "narrative" (subject is the clip), "rationale" or "answer" (subject is the QA pair)
    clip_id: str
    qa_id: str | None
    subject_id: str  # qa_id, or clip_id for a narrative
    generator_id: str
    parent_id: str | None
    text: str
    created_at: str


@dataclass(frozen=True)
class Prompt:
    """A prompt file as it was when texts were asked for with it."""

    sha256: str  # of its words
    name: str
    text: str
    added_at: str


@dataclass(frozen=True)
class Synthesis:
    """One answer that was asked for: the text that it became, and what it cost. The same words asked for twice are one candidate of two of these."""

    key: str  # names subject, writer, prompt, settings and seed by their content
    run_id: str  # the directory in synthesis/ that the answer came from
    candidate_id: str
    prompt_sha256: str
    seed: int
    given_answer: str | None  # the words that the writer was told as the answer
    tokens_in: int | None  # None: the provider does not tell
    tokens_out: int | None
    money: float | None  # None: no prices were given, or no tokens told
    currency: str | None
    attempts: int
    seconds: float | None
    model: str | None  # the version that answered, as the provider names it
    sources: tuple[Mapping[str, Any], ...]  # {start, end (code points of the text), qa_ids}
    citations: tuple[Mapping[str, Any], ...]  # {start, end, start_s, end_s, problem}
    problems: tuple[Mapping[str, Any], ...]  # {name, count, of, words}
    shown: str  # JSON: {shown_s (moments in seconds), dropped}
    finished_at: str


@dataclass(frozen=True)
class Batch:
    """What is to be annotated, by whom and how; a candidate waits in one batch."""

    id: str
    name: str
    wanted: int  # final annotations a candidate
    ordering: str  # "given", "random", "disagreement" or "signal"
    signal: str | None  # the name of the signal that orders it, highest first
    seed: int
    scratch_share: float  # 0-1 of the items are shown without suggested flags
    gold_share: float  # 0-0.5 of the items that a person gets have a known verdict
    repeat_share: float  # 0-0.5 of the items that a person gets are ones that the person had before
    blind_first: bool  # the question is answered before answer and rationale are shown
    open_to_all: bool  # False: only who has a seat
    state: str  # "open" or "closed"
    created_by: str
    created_at: str


@dataclass(frozen=True)
class Seat:
    """One annotator in one batch. Triggers count; nothing that is open to the annotator stands at or before the cursor."""

    batch_id: str
    annotator: str
    position: int  # items given, asked again included
    cursor: int  # rank of the last item that was claimed
    done: int  # of these, final or skipped


@dataclass(frozen=True)
class QueueEntry:
    """A candidate that waits for `wanted` final annotations; `taken` counts leases and finals of round 1."""

    candidate_id: str
    batch_id: str
    part: str  # "main" or "gold"
    scratch: bool  # True: suggested flags are not shown
    rank: int
    wanted: int
    taken: int
    watchable: bool  # kept by triggers: whether a browser can play the clip


@dataclass(frozen=True)
class Assignment:
    """A lease on a candidate for one annotator; its id is all that the annotator's page knows of the candidate."""

    id: str
    candidate_id: str
    annotator: str
    round: int  # 2: the same person is asked again, unseen
    state: str  # "leased", "final", "skipped" or "released"
    leased_at: str
    expires_at: str


@dataclass(frozen=True)
class Signal:
    """A number that something said about a candidate; never shown to an annotator."""

    candidate_id: str
    name: str
    value: float


@dataclass(frozen=True)
class Suggestion:
    """A flag that came with a text; shown to an annotator as a beginning unless the item is one from scratch."""

    id: str
    candidate_id: str
    kind: str
    text_start: int | None
    text_end: int | None
    quote: str
    start_s: float | None
    end_s: float | None
    severity: int
    comment: str


@dataclass(frozen=True)
class Gold:
    """The known verdict on a candidate, by which annotators are measured."""

    candidate_id: str
    verdict: str  # "accept" or "reject"
    flag_kinds: tuple[str, ...]
    reason: str
    set_by: str
    set_at: str


@dataclass(frozen=True)
class Operation:
    """One line of the append-only log; `id` is made by the client and makes it idempotent."""

    sequence: int
    id: str
    annotator: str
    candidate_id: str | None  # None: a question on the guidelines that no text raised
    round: int
    kind: str  # work: "draft", "answer", "submit", "skip", "release", "reopen"; else "compare", "decide", "ask", "settle"
    payload: str  # JSON: for work the whole state of it
    client_at: str | None
    server_at: str


@dataclass(frozen=True)
class Annotation:
    """What one annotator says of one candidate, as its last operation left it."""

    id: str
    candidate_id: str
    annotator: str
    round: int  # 2: asked again; left out of votes and agreement between people
    state: str  # "draft" or "final"
    verdict: str | None  # "accept", "reject", "unsure" or "skip"; None while a draft
    no_error: bool  # "no error found" is an act, not an absence
    omission: str | None  # of the clip: what the text leaves out is "none", "minor" or "major"; None while nobody said
    factual_consistency: int | None  # 1-5
    logical_coherence: int | None  # 1-5
    note: str
    edited_text: str | None  # becomes a candidate when final
    skip_reason: str | None
    blind_answer: str | None  # what the annotator answered before the given answer was shown
    blind_answer_index: int | None
    seconds_spent: float
    watched_share: float  # 0-1 of the clip's frames shown at least once
    operation_sequence: int
    updated_at: str


@dataclass(frozen=True)
class Flag:
    """A problem of the taxonomy on a stretch of text and a stretch of time, one record."""

    id: str
    annotation_id: str
    kind: str
    text_start: int | None  # None: the problem has no words (omission)
    text_end: int | None
    quote: str
    start_s: float | None  # None: the annotator named no moment
    end_s: float | None
    severity: int  # 0-3
    comment: str
    other_start: int | None  # entity drift: the other mention; temporal error: the other event
    other_end: int | None
    other_quote: str
    other_start_s: float | None
    other_end_s: float | None
    claimed_order: str | None  # temporal error: the words' event is told "before", "after" or "same" as the other one
    true_order: str | None  # and really happened "before", "after", "same", or is "absent"
    props_up: str  # justified fabrication: the claim that it props up


@dataclass(frozen=True)
class ClaimTick:
    """What an annotator says of one claim of the text."""

    annotation_id: str
    text_start: int
    text_end: int
    support: str  # "supported", "contradicted", "not_visible" or "cannot_tell"


@dataclass(frozen=True)
class Comparison:
    """A against B for one subject; the side shown is seeded by (annotator, pair) and logged."""

    id: str
    annotator: str
    subject_id: str
    kind: str
    a_id: str
    b_id: str
    left_id: str
    round: int  # 2: asked again with the sides swapped
    outcome: str  # "a", "b", "tie" or "both_bad"
    seconds_spent: float | None
    created_at: str


@dataclass(frozen=True)
class Decision:
    """The adjudicator's word on a candidate; a reason is required when it overrides a majority."""

    id: str
    candidate_id: str
    adjudicator: str
    verdict: str  # "accept", "reject" or "unsure"
    reason: str
    overrides: bool
    operation_sequence: int
    decided_at: str


@dataclass(frozen=True)
class DecisionFlag:
    """A flag that stands after the decision."""

    decision_id: str
    position: int
    kind: str
    text_start: int | None
    text_end: int | None
    quote: str
    start_s: float | None
    end_s: float | None
    severity: int
    comment: str
    other_start: int | None  # as in Flag
    other_end: int | None
    other_quote: str
    other_start_s: float | None
    other_end_s: float | None
    claimed_order: str | None
    true_order: str | None
    props_up: str


@dataclass(frozen=True)
class GuidelineIssue:
    """A question that the guidelines leave open, and its answer."""

    id: str
    asked_by: str
    candidate_id: str | None
    question: str
    asked_at: str
    answer: str | None
    answered_by: str | None
    answered_at: str | None


@dataclass(frozen=True)
class PreferencePair:
    """Chosen over rejected for one subject, and where that comes from."""

    id: str
    subject_id: str
    kind: str
    chosen_id: str
    rejected_id: str
    origin: str  # "edit", "verdict", "comparison" or "correctness"
    evidence: str  # JSON: ids of the annotations or comparisons behind it, and who made them
    state: str  # "proposed", "accepted" or "dropped"
    created_at: str


@dataclass(frozen=True)
class CuratedSet:
    """A frozen, hashed dataset in its own directory under exports/."""

    id: str
    name: str
    kind: str  # "sft", "dpo" or "questions"
    sha256: str  # of rows.jsonl
    row_count: int
    rule: str  # JSON: the rule that made it
    directory: str  # relative to the data directory
    created_at: str


@dataclass(frozen=True)
class Run:
    """Config + curated set + directory. Its status is read from files, never stored."""

    id: str
    name: str
    stage: str  # "sft", "dpo", "evaluate" or "write"
    curated_set_id: str
    parent_id: str | None  # the run whose adapter this one starts from (dpo) or uses (evaluate, write; None: the base alone)
    directory: str  # relative to the data directory
    created_at: str


@dataclass(frozen=True)
class Adapter:
    """The LoRA weights that a finished SFT or DPO run left, and the generator under whose name it writes texts."""

    id: str
    run_id: str
    generator_id: str
    sha256: str  # of adapter_model.safetensors
    created_at: str  # when the run ended


@dataclass(frozen=True)
class AdapterRow:
    """A row that an adapter learnt from; held-out rows are not among them, nor those of its parent run."""

    adapter_id: str
    row_id: str  # of the curated set of its run


@dataclass(frozen=True)
class SetSource:
    """What stands behind a row of a curated set: one thing a record."""

    curated_set_id: str
    row_id: str
    kind: str  # "subject" (clip or QA pair), "candidate", "annotation", "comparison", "decision" or "pair"
    source_id: str


@dataclass(frozen=True)
class Account:
    """A person who may sign in when the app is not on loopback."""

    name: str
    role: str  # "annotator", "adjudicator" or "admin"
    password_hash: str
    created_at: str


@dataclass(frozen=True)
class Invitation:
    """A link that lets one person make an account; only the digest of its token is kept."""

    token_sha256: str
    role: str
    made_by: str
    made_at: str
    expires_at: str
    used_by: str | None
    used_at: str | None


@dataclass(frozen=True)
class LoginFailure:
    """A sign-in that failed; enough of them in a short time make the next ones wait."""

    name: str
    address: str
    at: str


@dataclass(frozen=True)
class ImportRecord:
    """One import and its summary."""

    id: str
    format: str
    file_name: str
    file_sha256: str
    summary: str  # JSON
    finished_at: str
