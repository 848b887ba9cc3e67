"""Texts that were asked for: with which prompt, in which run, at what cost. Functions take `db` first.

All texts of a run have one generator, one kind and one prompt, since its id is made of them: a filter is first one of runs.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlite_utils

from store.records import Candidate, Generator, Prompt, QueueEntry, Synthesis
from store.rows import as_record, as_row

KEYS_AT_ONCE = 10_000


@dataclass(frozen=True)
class SynthesisRun:
    """What is known of a run by its texts."""

    run_id: str
    kind: str  # "narrative" or "rationale"
    generator: Generator
    prompt_sha256: str
    texts: int

    @property
    def arm(self) -> Mapping[str, Any]:
        """Return the options of the prompt."""
        return arm_in(self.generator)


@dataclass(frozen=True)
class SynthesisFilter:
    """Which texts are asked about; None: any."""

    run_id: str | None = None
    generator_id: str | None = None
    arm: Mapping[str, Any] | None = None
    kind: str | None = None
    problem: str | None = None  # the name of one that the text has


@dataclass(frozen=True)
class Written:
    """A text that was asked for, and where it waits."""

    synthesis: Synthesis
    candidate: Candidate
    generator: Generator
    clip_name: str  # data set and its own id
    batch_name: str | None  # None: it waits nowhere
    entry: QueueEntry | None


@dataclass(frozen=True)
class QueuedTexts:
    """How many texts of a run are in a batch."""

    batch_name: str | None  # None: in none
    texts: int
    finished: int  # with all the annotations that are wanted


def arm_in(generator: Generator) -> Mapping[str, Any]:
    """Return the options of the prompt that a generator's settings tell; empty when they tell none."""
    settings = json.loads(generator.settings or "null")
    arm = settings.get("arm") if isinstance(settings, dict) else None
    return arm if isinstance(arm, dict) else {}


def add_prompt(db: sqlite_utils.Database, prompt: Prompt) -> None:
    """Keep a prompt; one of the same words stays as it is."""
    db.table("prompt").insert(as_row(prompt), ignore=True)


def list_prompts(db: sqlite_utils.Database) -> list[Prompt]:
    """Return the prompts that texts were asked for with, the newest first."""
    return [as_record(Prompt, row) for row in db.query("SELECT * FROM prompt ORDER BY added_at DESC, rowid DESC")]


def prompt_counts(db: sqlite_utils.Database) -> dict[str, int]:
    """Return sha256 of a prompt -> answers that were kept."""
    counts: dict[str, int] = {}
    for run in synthesis_runs(db):
        counts[run.prompt_sha256] = counts.get(run.prompt_sha256, 0) + run.texts
    return counts


def add_syntheses(db: sqlite_utils.Database, writer: Generator, texts: Sequence[tuple[Candidate, Synthesis]]) -> set[str]:
    """Keep answers with the texts that they became; return the keys that were not here. Call inside a transaction; 0.1 ms an answer."""
    known = known_keys(db, [synthesis.key for _, synthesis in texts])
    new = [(candidate, synthesis) for candidate, synthesis in texts if synthesis.key not in known]
    db.table("generator").insert(as_row(writer), ignore=True)
    db.table("candidate").insert_all([as_row(candidate) for candidate, _ in new], ignore=True)
    db.table("synthesis").insert_all([as_row(synthesis) for _, synthesis in new], ignore=True)
    return {synthesis.key for _, synthesis in new}


def known_keys(db: sqlite_utils.Database, keys: Iterable[str]) -> set[str]:
    """Return those of the keys whose answers are kept; 2 us a key."""
    found: set[str] = set()
    asked = list(keys)
    for start in range(0, len(asked), KEYS_AT_ONCE):
        some = json.dumps(asked[start : start + KEYS_AT_ONCE])
        rows = db.execute("SELECT key FROM synthesis WHERE key IN (SELECT value FROM json_each(?))", [some])
        found.update(str(key) for (key,) in rows)
    return found


def synthesis_of(db: sqlite_utils.Database, candidate_id: str) -> list[Synthesis]:
    """Return what is known of the answers that became this text: several when the same words came again; none for a text from elsewhere."""
    return [as_record(Synthesis, row) for row in db.query("SELECT * FROM synthesis WHERE candidate_id = ? ORDER BY rowid", [candidate_id])]


def synthesis_runs(db: sqlite_utils.Database) -> list[SynthesisRun]:
    """Return the runs that texts are kept of, the newest first; cost grows with the texts, 0.1 us each."""
    query = """WITH RECURSIVE found (run_id) AS (
                 SELECT min(run_id) FROM synthesis
                 UNION ALL SELECT (SELECT min(run_id) FROM synthesis WHERE run_id > f.run_id) FROM found f WHERE f.run_id IS NOT NULL)
               SELECT f.run_id, c.kind AS text_kind, s.prompt_sha256, (SELECT count(*) FROM synthesis x WHERE x.run_id = f.run_id) AS texts, g.*
               FROM found f JOIN synthesis s ON s.rowid = (SELECT x.rowid FROM synthesis x WHERE x.run_id = f.run_id LIMIT 1)
               JOIN candidate c ON c.id = s.candidate_id JOIN generator g ON g.id = c.generator_id ORDER BY s.rowid DESC"""
    return [SynthesisRun(row["run_id"], row["text_kind"], as_record(Generator, row), row["prompt_sha256"], row["texts"]) for row in db.query(query)]


def list_syntheses(db: sqlite_utils.Database, chosen: SynthesisFilter, first: int, count: int) -> list[Written]:
    """Return `count` texts from place `first`, the newest first. Cost grows with the texts that the filter names, 1 us each."""
    query = """SELECT s.*, clip.dataset || ' ' || clip.external_id AS clip_name, b.name AS batch_name
               FROM synthesis s JOIN candidate c ON c.id = s.candidate_id JOIN clip ON clip.id = c.clip_id
               LEFT JOIN queue_entry q ON q.candidate_id = c.id LEFT JOIN batch b ON b.id = q.batch_id
               WHERE s.rowid IN (SELECT x.rowid FROM synthesis x WHERE x.run_id IN (SELECT value FROM json_each(:runs))
                                   AND (:problem IS NULL OR EXISTS (
                                     SELECT 1 FROM signal t WHERE t.candidate_id = x.candidate_id AND t.name = :problem AND t.value > 0))
                                 ORDER BY x.rowid DESC LIMIT :count OFFSET :first)
               ORDER BY s.rowid DESC"""
    rows = list(db.query(query, {"runs": _runs(db, chosen), "problem": chosen.problem, "first": first, "count": count}))
    ids = json.dumps([row["candidate_id"] for row in rows])
    candidates = {row["id"]: as_record(Candidate, row) for row in db.query("SELECT * FROM candidate WHERE id IN (SELECT value FROM json_each(?))", [ids])}
    writers = json.dumps([one.generator_id for one in candidates.values()])
    generators = {row["id"]: as_record(Generator, row) for row in db.query("SELECT * FROM generator WHERE id IN (SELECT value FROM json_each(?))", [writers])}
    waiting = db.query("SELECT * FROM queue_entry WHERE candidate_id IN (SELECT value FROM json_each(?))", [ids])
    entries = {row["candidate_id"]: as_record(QueueEntry, row) for row in waiting}
    return [
        Written(as_record(Synthesis, row), text, generators[text.generator_id], row["clip_name"], row["batch_name"], entries.get(text.id))
        for row in rows
        for text in (candidates[row["candidate_id"]],)
    ]


def count_syntheses(db: sqlite_utils.Database, chosen: SynthesisFilter) -> int:
    """Return how many texts the filter names. Cost grows with them, 1 us each."""
    query = """SELECT count(*) FROM synthesis s WHERE s.run_id IN (SELECT value FROM json_each(:runs)) AND (:problem IS NULL OR EXISTS (
                 SELECT 1 FROM signal t WHERE t.candidate_id = s.candidate_id AND t.name = :problem AND t.value > 0))"""
    return int(db.execute(query, {"runs": _runs(db, chosen), "problem": chosen.problem}).fetchone()[0])


def told_wrong(db: sqlite_utils.Database, candidate_ids: Iterable[str]) -> set[str]:
    """Return those of the texts whose writers were told a wrong answer: nothing may ever learn from them. 2 us a text.

    What a person made of one is not among them. A generator that came with an import, a person too, says so in its settings: {"answer": "wrong"}.
    """
    query = """SELECT c.id FROM candidate c JOIN generator g ON g.id = c.generator_id
               WHERE c.id IN (SELECT value FROM json_each(?)) AND (g.kind <> 'person' OR c.parent_id IS NULL)
                 AND 'wrong' IN (json_extract(g.settings, '$.arm.answer'), json_extract(g.settings, '$.answer'))"""
    return {str(candidate_id) for (candidate_id,) in db.execute(query, [json.dumps(list(candidate_ids))])}


def waiting_of(db: sqlite_utils.Database, run_id: str) -> list[QueuedTexts]:
    """Return in which batches the texts of a run are, those in none last."""
    query = """SELECT b.name AS batch_name, count(*) AS texts, coalesce(sum(q.taken >= q.wanted), 0) AS finished
               FROM (SELECT DISTINCT candidate_id FROM synthesis WHERE run_id = ?) s
               LEFT JOIN queue_entry q ON q.candidate_id = s.candidate_id LEFT JOIN batch b ON b.id = q.batch_id
               GROUP BY b.id ORDER BY b.name IS NULL, b.name"""
    return [as_record(QueuedTexts, row) for row in db.query(query, [run_id])]


def unqueued_of(db: sqlite_utils.Database, run_id: str) -> list[str]:
    """Return the ids of the run's texts that wait nowhere."""
    query = """SELECT DISTINCT s.candidate_id FROM synthesis s WHERE s.run_id = ?
                 AND NOT EXISTS (SELECT 1 FROM queue_entry q WHERE q.candidate_id = s.candidate_id) ORDER BY s.candidate_id"""
    return [str(candidate_id) for (candidate_id,) in db.execute(query, [run_id])]


def _runs(db: sqlite_utils.Database, chosen: SynthesisFilter) -> str:
    """Return the ids of the runs that the filter names as a JSON list."""
    return json.dumps(
        [
            run.run_id
            for run in synthesis_runs(db)
            if chosen.run_id in (None, run.run_id)
            and chosen.generator_id in (None, run.generator.id)
            and chosen.kind in (None, run.kind)
            and chosen.arm in (None, run.arm)
        ]
    )
