"""What a synthesis is to do: frozen values that lie in its directory as plan.json and shards/*.jsonl.

    synthesis/<run id>/plan.json  shards/<name>.jsonl (one Item a line)  results/<name>.jsonl  process.json  stop  log.txt  ended.json

The directory and the media files are all that a worker needs; it never opens the database.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from curation.synthesis.arms import Arm
from curation.synthesis.subjects import Subject
from curation.synthesis.writing import Sampling


@dataclass(frozen=True)
class WriterSpec:
    """Who is asked. Never a key: `key_variable` names the variable of the environment that holds it."""

    kind: str  # "template", "gemini", "openai" (any server that speaks so) or "local"
    model: str  # as the provider names it; of "local" a folder or hub id; of "template" its version
    address: str | None = None  # base URL; None: the provider's own
    key_variable: str | None = None
    run_id: str | None = None  # of "local": the run whose adapter writes; None: the base model
    quantisation: str | None = None  # of a local base model: "nf4" or "none"; None: as the preset Write
    answer_s: float = 120.0  # seconds that an answer may take


@dataclass(frozen=True)
class Prices:
    """Money for a million tokens, as the person gave it; the project knows no prices."""

    per_million_in: float
    per_million_out: float
    currency: str = "USD"


@dataclass(frozen=True)
class Limits:
    """What bounds a run."""

    in_flight: int = 16  # questions asked at a time, in each worker
    a_minute: float | None = None  # requests, all workers together
    tokens_a_minute: float | None = None
    attempts: int = 5  # of one item, when what failed may pass
    money: float | None = None  # None: no budget
    tokens: int | None = None  # in and out together
    workers: int = 1


@dataclass(frozen=True)
class PromptText:
    """A prompt file as it was: its version is the sha256 of its words."""

    name: str
    sha256: str
    text: str


@dataclass(frozen=True)
class Item:
    """One text that is to be written. `key` names subject, writer, prompt, settings and seed by their content: what has it was paid for."""

    key: str
    subject: Subject
    seed: int
    wrong: int | None = None  # option that is told as the answer


@dataclass(frozen=True)
class SynthesisPlan:
    """One run of a synthesis."""

    id: str
    name: str
    arm: Arm
    writer: WriterSpec
    sampling: Sampling
    prompt: PromptText
    limits: Limits = Limits()
    prices: Prices | None = None
    view: Mapping[str, Any] = field(default_factory=dict)  # fields of the context builder's plan, and "longest_px"
    batch: str | None = None  # the texts wait for annotators there; None: nowhere
    wanted: int = 2  # annotations of each
    executor: str = "local"  # or "ray"
    items: int = 0
    created_at: str = ""
