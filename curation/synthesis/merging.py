"""Answers that lie in synthesis directories become candidates with what they cost, once each, and wait for annotators where the plan says so.

A directory may be merged at any time, by several at once, and again: what is here by its key stays as it is.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlite_utils

from curation.final_answers import right_signals
from curation.synthesis.journal import read_lines, results_of, shard_names
from curation.synthesis.plan import Item, SynthesisPlan, WriterSpec
from curation.synthesis.plan_files import PLAN, ROOM, read_items, read_plan
from curation.synthesis.reading import reading_of
from curation.text_batches import batch_named, check_text_batch, text_batch
from store.adapters import list_adapters
from store.batches import rank_entries
from store.candidates import candidate_of, generator_of, list_generators
from store.clips import get_clip, get_qa_pair
from store.database import transaction
from store.errors import InputError, NotFoundError
from store.queue import enqueue
from store.records import Batch, Candidate, Generator, Prompt, Signal, Synthesis
from store.rows import utc_now
from store.signals import add_signals
from store.synthesis import add_prompt, add_syntheses, arm_in, known_keys, synthesis_runs, unqueued_of

# Texts a transaction: an annotator who saves meanwhile waits some milliseconds, not for all of them.
AT_ONCE = 100
BYTES_AT_ONCE = 1 << 24
MADE_BY = "synthesis"
_Room = tuple[SynthesisPlan, Generator]  # where the texts of a directory go
_Text = tuple[Candidate, Synthesis, tuple[Signal, ...]]
_KINDS = {"template": "template", "gemini": "api_model", "openai": "api_model", "local": "base_model"}


@dataclass(frozen=True)
class Merged:
    """What became of the answers of a directory, or of several."""

    new: int = 0  # answers that were not here
    known: int = 0
    queued: int = 0  # texts that wait in the plan's batch now and did not before
    refused: int = 0  # answers about a clip or question that is not here
    read: Mapping[str, int] = field(default_factory=dict)  # bytes by shard: where to go on

    def plus(self, other: "Merged") -> "Merged":
        """Return the counts of both together."""
        return Merged(self.new + other.new, self.known + other.known, self.queued + other.queued, self.refused + other.refused)


def merge(db: sqlite_utils.Database, directory: Path, since: Mapping[str, int] | None = None, last: bool = True) -> Merged:
    """Keep the answers of a synthesis directory that are not here yet; half a last line waits. Return what became of them.

    Reads all results, or what came after `since`, the `read` of an earlier call; 30 us a known answer, 0.2 ms a new one, in transactions of 100.
    With `last`, texts of the run that wait nowhere join its batch, and a batch that got texts is put in random order: 10 us an item. A closed
    batch gets none: the texts wait nowhere until it is open. Raises NotFoundError without a plan.
    """
    plan = read_plan(directory)
    writer, told, read = writer_of(db, plan), Merged(), dict(since or {})
    for shard in shard_names(directory):
        merged, read[shard] = _merge_shard(db, directory, shard, (plan, writer), read.get(shard, 0))
        told = told.plus(merged)
    if last and plan.batch:
        told = told.plus(Merged(queued=_queue_left(db, plan, mix=bool(told.queued or since))))
    return replace(told, read=read)


def merge_all(db: sqlite_utils.Database, data: Path) -> Merged:
    """Merge every synthesis directory. Cost grows with all that was ever written there, 30 us an answer."""
    told = Merged()
    for plan in sorted((data / ROOM).glob(f"[!.]*/{PLAN}")):
        told = told.plus(merge(db, plan.parent))
    return told


def check_batch(db: sqlite_utils.Database, plan: SynthesisPlan) -> None:
    """Refuse a plan whose texts could not be queued where it says, before anything is asked.

    Raises InputError for a name that is none or tells who writes, or a number of annotations that cannot be; ConflictError for a closed batch.
    """
    if plan.batch is not None:
        check_text_batch(db, plan.batch, plan.wanted, _telling(writer_of(db, plan), plan.id, plan.writer.kind))


def queue_run(db: sqlite_utils.Database, run_id: str, batch_name: str, wanted: int, made_by: str) -> str:
    """Queue the texts of a run that wait nowhere, in random order; return the sentence for the person who asked.

    Raises NotFoundError without texts of such a run, InputError when all of them wait somewhere, and what `check_batch` raises.
    """
    run = next((one for one in synthesis_runs(db) if one.run_id == run_id), None)
    if run is None:
        raise NotFoundError(f"No text of a synthesis {run_id[:40]!r} is here. Run it first, or resume it.")
    name = check_text_batch(db, batch_name, wanted, _telling(run.generator, run_id))
    waiting = unqueued_of(db, run_id)
    if not waiting:
        raise InputError(f"All {run.texts:,} texts of this run wait in a batch already. Ask for more annotations on the Batches page.")
    with transaction(db):
        batch = text_batch(db, name, wanted, made_by)
    queued = _queue(db, batch, waiting)
    return f"{queued:,} texts are queued in {name!r} for {batch.wanted} annotations each; nobody is shown who wrote them."


def writer_of(db: sqlite_utils.Database, plan: SynthesisPlan) -> Generator:
    """Return the generator of a plan's texts: one for all that have writer, prompt, arm and settings in common. An adapter keeps its name."""
    spec = plan.writer
    view = dict(plan.view) if plan.arm.shown != "nothing" else {}
    settings = {"arm": plan.arm.as_json(), "temperature": plan.sampling.temperature, "new_tokens": plan.sampling.new_tokens, "view": view}
    told = json.dumps(settings, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    kind, name = ("adapter", _adapter_name(db, spec.run_id)) if spec.run_id else (_KINDS[spec.kind], _model_name(spec))
    return generator_of(kind, name, plan.prompt.sha256[:12], told, plan.arm.answer_known)


def _merge_shard(db: sqlite_utils.Database, directory: Path, shard: str, room: _Room, offset: int) -> tuple[Merged, int]:
    path, told = results_of(directory, shard), Merged()
    while (found := read_lines(path, offset, BYTES_AT_ONCE)).lines:
        offset = found.offset
        written = [line for line in found.lines if line["what"] == "written"]
        known = known_keys(db, (line["key"] for line in written))
        new = {line["key"]: line for line in written if line["key"] not in known}
        told = told.plus(Merged(known=len(written) - len(new)))
        texts = list(_texts(db, room, directory / "shards" / f"{shard}.jsonl", new)) if new else []
        told = told.plus(Merged(refused=len(new) - len(texts)))
        for start in range(0, len(texts), AT_ONCE):
            with transaction(db):
                told = told.plus(_keep(db, room, texts[start : start + AT_ONCE]))
    return told, offset


def _texts(db: sqlite_utils.Database, room: _Room, shard: Path, lines: Mapping[str, Mapping[str, Any]]) -> Iterator[_Text]:
    """Yield what each of the answers becomes; none for one about a clip or question that is not here."""
    plan, writer = room
    for item in read_items(shard):
        if item.key not in lines:
            continue
        subject, line = item.subject, lines[item.key]
        read, qa = reading_of(line), get_qa_pair(db, subject.qa_id) if subject.qa_id else None
        if get_clip(db, subject.clip_id) is None or (subject.qa_id and qa is None) or not read.text.strip():
            continue
        candidate = candidate_of(subject.kind, subject.clip_id, subject.qa_id, writer, read.text)
        shares = (Signal(candidate.id, problem.name, problem.share) for problem in read.problems if problem.share is not None)
        right = right_signals(candidate.id, read.answer, qa) if plan.arm.answer == "withheld" else ()
        yield candidate, _synthesis(plan, item, line, candidate.id), (*shares, *right)


def _keep(db: sqlite_utils.Database, room: _Room, texts: Sequence[_Text]) -> Merged:
    plan, writer = room
    add_prompt(db, Prompt(plan.prompt.sha256, plan.prompt.name, plan.prompt.text, utc_now()))
    new = add_syntheses(db, writer, [(candidate, synthesis) for candidate, synthesis, _ in texts])
    fresh = [(candidate, signals) for candidate, synthesis, signals in texts if synthesis.key in new]
    add_signals(db, [signal for _, signals in fresh for signal in signals])
    batch = _batch_of(db, plan)
    queued = sum(enqueue(db, candidate.id, batch.wanted, batch.id) for candidate, _ in fresh) if batch else 0
    return Merged(new=len(new), known=len(texts) - len(new), queued=queued)


def _synthesis(plan: SynthesisPlan, item: Item, line: Mapping[str, Any], candidate_id: str) -> Synthesis:
    money = line["money"] if plan.prices else None
    return Synthesis(
        key=item.key,
        run_id=plan.id,
        candidate_id=candidate_id,
        prompt_sha256=plan.prompt.sha256,
        seed=item.seed,
        given_answer=line["given"],
        tokens_in=line["tokens_in"],
        tokens_out=line["tokens_out"],
        money=money,
        currency=plan.prices.currency if plan.prices and money is not None else None,
        attempts=line["attempts"],
        seconds=line["seconds"],
        model=line["model"],
        **{name: tuple(line[name]) for name in ("sources", "citations", "problems")},
        shown=json.dumps({"shown_s": line["shown_s"], "dropped": line["dropped"]}, ensure_ascii=False),
        finished_at=datetime.fromtimestamp(line["at"], UTC).isoformat(timespec="milliseconds"),
    )


def _queue_left(db: sqlite_utils.Database, plan: SynthesisPlan, mix: bool) -> int:
    """Queue the texts of a run that wait nowhere, as when its order came again with a batch; return how many. With `mix` the batch is ordered anyway."""
    waiting = unqueued_of(db, plan.id)
    if not waiting and not (mix and batch_named(db, (plan.batch or "").strip())):
        return 0
    with transaction(db):
        batch = _batch_of(db, plan)
    return _queue(db, batch, waiting) if batch else 0


def _queue(db: sqlite_utils.Database, batch: Batch, candidate_ids: Sequence[str]) -> int:
    """Queue the texts and put the batch in order."""
    queued = 0
    for start in range(0, len(candidate_ids), AT_ONCE):
        with transaction(db):
            queued += sum(enqueue(db, one, batch.wanted, batch.id) for one in candidate_ids[start : start + AT_ONCE])
    with transaction(db):
        rank_entries(db, batch)
    return queued


def _batch_of(db: sqlite_utils.Database, plan: SynthesisPlan) -> Batch | None:
    """Return the batch that a plan names, made when there is none; None when it names none, or a closed one."""
    batch = text_batch(db, plan.batch.strip(), plan.wanted, MADE_BY) if plan.batch else None
    return batch if batch and batch.state == "open" else None


def _adapter_name(db: sqlite_utils.Database, run_id: str) -> str:
    """Return the name under which the adapter writes; that of its run as long as it is not registered here."""
    known = next((one for one in list_adapters(db) if one.run_id == run_id), None)
    return next((one.name for one in list_generators(db) if known and one.id == known.generator_id), run_id)


def _model_name(spec: WriterSpec) -> str:
    return f"template {spec.model}" if spec.kind == "template" else spec.model


def _telling(writer: Generator, run_id: str, kind: str = "") -> tuple[str, ...]:
    """Return the words that would tell who wrote, or with which answer in hand."""
    arm = arm_in(writer).get("answer", "given")
    return (writer.name, writer.name.rstrip("/").rsplit("/")[-1], run_id, kind if kind != "local" else "", arm if arm != "given" else "")
