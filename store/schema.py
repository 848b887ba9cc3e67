"""The tables, as numbered migrations: the only data definition in the house.

A migration, once released, is never edited; the next change is the next number.
"""

import sqlite3
from functools import cache

import sqlite_utils
from sqlite_utils.migrations import Migrations

from store.errors import StorageError
from store.schema_adapters import add_adapters
from store.schema_seats import add_seats
from store.schema_studies import add_studies
from store.schema_synthesis import add_synthesis_tables

MIGRATIONS = Migrations("eyewitness")


def is_current(db: sqlite_utils.Database) -> bool:
    """Return whether the schema is this version's; one query of a table of ours."""
    return _applied(db) == _known()


def migrate(db: sqlite_utils.Database) -> None:
    """Bring the schema up to date. Call inside a transaction: two apps may want to at once.

    Raises StorageError when a newer Eyewitness made the database.
    """
    MIGRATIONS.apply(db)
    if newer := _applied(db) - _known():
        names = ", ".join(sorted(newer))
        raise StorageError(f"A newer Eyewitness made this database (it has {names}). Install that version, or use another --data directory.")


def _applied(db: sqlite_utils.Database) -> set[str]:
    try:
        rows = db.conn.execute("SELECT name FROM _sqlite_migrations WHERE migration_set = 'eyewitness'")
        return {str(name) for (name,) in rows}
    except sqlite3.OperationalError as error:
        if "no such table" not in str(error):
            raise
        return set()


@cache
def _known() -> set[str]:
    return {migration.name for migration in MIGRATIONS.pending(sqlite_utils.Database(memory=True))}


def _run(db: sqlite_utils.Database, *statements: str) -> None:
    for statement in statements:
        db.conn.execute(statement)


@MIGRATIONS()
def m001_clips_and_texts(db: sqlite_utils.Database) -> None:
    """Media, clips, questions, generators and candidates."""
    _run(
        db,
        """CREATE TABLE media (
            digest TEXT PRIMARY KEY CHECK (length(digest) = 64),
            name TEXT NOT NULL,
            bytes INTEGER NOT NULL,
            container TEXT, video_codec TEXT, audio_codec TEXT,
            width INTEGER, height INTEGER, rotation INTEGER NOT NULL,
            duration_s REAL CHECK (duration_s > 0),
            frame_count INTEGER CHECK (frame_count > 0),
            playable INTEGER NOT NULL CHECK (playable IN (0, 1)),
            proxy_digest TEXT,
            health TEXT NOT NULL CHECK (health IN ('ok', 'damaged', 'unreadable')),
            health_reason TEXT,
            added_at TEXT NOT NULL,
            CHECK ((health = 'ok') = (health_reason IS NULL))
        ) STRICT""",
        """CREATE TABLE frame_times (
            digest TEXT PRIMARY KEY REFERENCES media (digest),
            times BLOB NOT NULL CHECK (length(times) % 8 = 0)
        ) STRICT""",
        """CREATE TABLE clip (
            id TEXT PRIMARY KEY,
            dataset TEXT NOT NULL,
            external_id TEXT NOT NULL,
            media_name TEXT NOT NULL,
            digest TEXT REFERENCES media (digest),
            start_s REAL NOT NULL CHECK (start_s >= 0),
            end_s REAL CHECK (end_s > start_s),
            group_key TEXT NOT NULL,
            split TEXT NOT NULL CHECK (split IN ('train', 'validation', 'test')),
            UNIQUE (dataset, external_id)
        ) STRICT""",
        "CREATE INDEX clip_by_media ON clip (media_name) WHERE digest IS NULL",
        """CREATE VIEW watchable_clip AS SELECT clip.id FROM clip JOIN media ON media.digest = clip.digest
           WHERE (media.playable OR media.proxy_digest IS NOT NULL) AND (media.duration_s IS NULL OR clip.start_s < media.duration_s)""",
        """CREATE TABLE subtitle (
            clip_id TEXT NOT NULL REFERENCES clip (id),
            position INTEGER NOT NULL,
            start_s REAL NOT NULL, end_s REAL NOT NULL CHECK (end_s >= start_s),
            text TEXT NOT NULL,
            PRIMARY KEY (clip_id, position)
        ) STRICT""",
        """CREATE TABLE qa_pair (
            id TEXT PRIMARY KEY,
            clip_id TEXT NOT NULL REFERENCES clip (id),
            external_id TEXT NOT NULL,
            question TEXT NOT NULL CHECK (trim(question) <> ''),
            answer TEXT,
            options TEXT NOT NULL CHECK (json_valid(options)),
            answer_index INTEGER CHECK (answer_index BETWEEN 0 AND json_array_length(options) - 1),
            question_type TEXT,
            pause_s REAL CHECK (pause_s >= 0),
            window_start_s REAL CHECK (window_start_s >= 0),
            window_end_s REAL CHECK (window_end_s > window_start_s),
            UNIQUE (clip_id, external_id)
        ) STRICT""",
        """CREATE TABLE evidence_span (
            qa_id TEXT NOT NULL REFERENCES qa_pair (id),
            position INTEGER NOT NULL,
            start_s REAL NOT NULL CHECK (start_s >= 0), end_s REAL NOT NULL CHECK (end_s > start_s),
            PRIMARY KEY (qa_id, position)
        ) STRICT""",
        """CREATE TABLE generator (
            id TEXT PRIMARY KEY,
            kind TEXT NOT NULL CHECK (kind IN ('api_model', 'base_model', 'adapter', 'person', 'imported')),
            name TEXT NOT NULL,
            prompt_version TEXT,
            settings TEXT CHECK (settings IS NULL OR json_valid(settings)),
            answer_given INTEGER CHECK (answer_given IN (0, 1))
        ) STRICT""",
        """CREATE TABLE candidate (
            id TEXT PRIMARY KEY,
            kind TEXT NOT NULL CHECK (kind IN ('narrative', 'rationale', 'answer')),
            clip_id TEXT NOT NULL REFERENCES clip (id),
            qa_id TEXT REFERENCES qa_pair (id),
            subject_id TEXT NOT NULL,
            generator_id TEXT NOT NULL REFERENCES generator (id),
            parent_id TEXT,
            text TEXT NOT NULL CHECK (trim(text) <> ''),
            created_at TEXT NOT NULL,
            CHECK ((kind = 'narrative') = (qa_id IS NULL)),
            CHECK (subject_id = coalesce(qa_id, clip_id)),
            UNIQUE (subject_id, kind, id),
            FOREIGN KEY (subject_id, kind, parent_id) REFERENCES candidate (subject_id, kind, id)
        ) STRICT""",
        "CREATE INDEX candidate_by_clip ON candidate (clip_id)",
        """CREATE TRIGGER candidate_never_changes BEFORE UPDATE ON candidate
           BEGIN SELECT RAISE(ABORT, 'a candidate is immutable'); END""",
        """CREATE TABLE import_record (
            id TEXT PRIMARY KEY,
            format TEXT NOT NULL, file_name TEXT NOT NULL, file_sha256 TEXT NOT NULL,
            summary TEXT NOT NULL CHECK (json_valid(summary)),
            finished_at TEXT NOT NULL
        ) STRICT""",
    )


@MIGRATIONS()
def m002_annotation(db: sqlite_utils.Database) -> None:
    """Queue, leases, the log of operations, annotations and flags."""
    _run(
        db,
        """CREATE TABLE queue_entry (
            candidate_id TEXT PRIMARY KEY REFERENCES candidate (id),
            rank INTEGER NOT NULL,
            wanted INTEGER NOT NULL CHECK (wanted >= 1),
            taken INTEGER NOT NULL DEFAULT 0 CHECK (taken BETWEEN 0 AND wanted)
        ) STRICT""",
        "CREATE INDEX queue_by_rank ON queue_entry (rank)",
        "CREATE INDEX queue_open ON queue_entry (rank) WHERE taken < wanted",
        """CREATE TABLE assignment (
            candidate_id TEXT NOT NULL REFERENCES queue_entry (candidate_id),
            annotator TEXT NOT NULL CHECK (trim(annotator) <> ''),
            state TEXT NOT NULL CHECK (state IN ('leased', 'final', 'skipped', 'released')),
            leased_at TEXT NOT NULL,
            expires_at TEXT NOT NULL,
            PRIMARY KEY (candidate_id, annotator)
        ) STRICT""",
        "CREATE INDEX assignment_by_annotator ON assignment (annotator, state)",
        "CREATE INDEX assignment_expiring ON assignment (expires_at) WHERE state = 'leased'",
        """CREATE TRIGGER assignment_taken AFTER INSERT ON assignment WHEN NEW.state IN ('leased', 'final')
           BEGIN UPDATE queue_entry SET taken = taken + 1 WHERE candidate_id = NEW.candidate_id; END""",
        """CREATE TRIGGER assignment_changed AFTER UPDATE OF state ON assignment
           WHEN (OLD.state IN ('leased', 'final')) <> (NEW.state IN ('leased', 'final'))
           BEGIN UPDATE queue_entry SET taken = taken + (CASE WHEN NEW.state IN ('leased', 'final') THEN 1 ELSE -1 END)
                 WHERE candidate_id = NEW.candidate_id; END""",
        """CREATE TABLE operation (
            sequence INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE CHECK (length(id) BETWEEN 8 AND 64),
            annotator TEXT NOT NULL,
            candidate_id TEXT NOT NULL REFERENCES candidate (id),
            kind TEXT NOT NULL CHECK (kind IN ('draft', 'submit', 'skip')),
            payload TEXT NOT NULL CHECK (json_valid(payload)),
            client_at TEXT,
            server_at TEXT NOT NULL
        ) STRICT""",
        "CREATE INDEX operation_by_work ON operation (candidate_id, annotator, sequence)",
        """CREATE TRIGGER operation_never_changes BEFORE UPDATE ON operation
           BEGIN SELECT RAISE(ABORT, 'the log only grows'); END""",
        """CREATE TRIGGER operation_never_leaves BEFORE DELETE ON operation
           BEGIN SELECT RAISE(ABORT, 'the log only grows'); END""",
        """CREATE TABLE annotation (
            id TEXT PRIMARY KEY,
            candidate_id TEXT NOT NULL REFERENCES candidate (id),
            annotator TEXT NOT NULL,
            state TEXT NOT NULL CHECK (state IN ('draft', 'final')),
            verdict TEXT CHECK (verdict IN ('accept', 'reject', 'unsure', 'skip')),
            no_error INTEGER NOT NULL CHECK (no_error IN (0, 1)),
            factual_consistency INTEGER CHECK (factual_consistency BETWEEN 1 AND 5),
            logical_coherence INTEGER CHECK (logical_coherence BETWEEN 1 AND 5),
            note TEXT NOT NULL,
            edited_text TEXT,
            seconds_spent REAL NOT NULL CHECK (seconds_spent >= 0),
            watched_share REAL NOT NULL CHECK (watched_share BETWEEN 0 AND 1),
            operation_sequence INTEGER NOT NULL REFERENCES operation (sequence),
            updated_at TEXT NOT NULL,
            UNIQUE (candidate_id, annotator),
            CHECK (state = 'draft' OR verdict IS NOT NULL)
        ) STRICT""",
        """CREATE TABLE flag (
            id TEXT PRIMARY KEY,
            annotation_id TEXT NOT NULL REFERENCES annotation (id),
            kind TEXT NOT NULL CHECK (kind IN ('justified_fabrication', 'temporal_error', 'entity_drift', 'plain_hallucination', 'omission', 'other')),
            text_start INTEGER CHECK (text_start >= 0),
            text_end INTEGER CHECK (text_end > text_start),
            quote TEXT NOT NULL,
            start_s REAL CHECK (start_s >= 0),
            end_s REAL CHECK (end_s >= start_s),
            severity INTEGER NOT NULL CHECK (severity BETWEEN 0 AND 3),
            comment TEXT NOT NULL,
            CHECK ((text_start IS NULL) = (text_end IS NULL)),
            CHECK ((start_s IS NULL) = (end_s IS NULL)),
            CHECK (text_end IS NULL OR length(quote) = text_end - text_start)
        ) STRICT""",
        "CREATE INDEX flag_by_annotation ON flag (annotation_id)",
    )


@MIGRATIONS()
def m003_pairs_and_runs(db: sqlite_utils.Database) -> None:
    """Comparisons, preference pairs, curated sets, runs and accounts."""
    _run(
        db,
        """CREATE TABLE comparison (
            id TEXT PRIMARY KEY,
            annotator TEXT NOT NULL,
            subject_id TEXT NOT NULL,
            kind TEXT NOT NULL,
            a_id TEXT NOT NULL, b_id TEXT NOT NULL, left_id TEXT NOT NULL,
            outcome TEXT NOT NULL CHECK (outcome IN ('a', 'b', 'tie', 'both_bad')),
            created_at TEXT NOT NULL,
            CHECK (a_id < b_id AND left_id IN (a_id, b_id)),
            UNIQUE (annotator, a_id, b_id),
            FOREIGN KEY (subject_id, kind, a_id) REFERENCES candidate (subject_id, kind, id),
            FOREIGN KEY (subject_id, kind, b_id) REFERENCES candidate (subject_id, kind, id)
        ) STRICT""",
        """CREATE TABLE preference_pair (
            id TEXT PRIMARY KEY,
            subject_id TEXT NOT NULL,
            kind TEXT NOT NULL,
            chosen_id TEXT NOT NULL, rejected_id TEXT NOT NULL,
            origin TEXT NOT NULL CHECK (origin IN ('edit', 'verdict', 'comparison')),
            evidence TEXT NOT NULL CHECK (json_valid(evidence)),
            state TEXT NOT NULL CHECK (state IN ('proposed', 'accepted', 'dropped')),
            created_at TEXT NOT NULL,
            CHECK (chosen_id <> rejected_id),
            UNIQUE (chosen_id, rejected_id, origin),
            FOREIGN KEY (subject_id, kind, chosen_id) REFERENCES candidate (subject_id, kind, id),
            FOREIGN KEY (subject_id, kind, rejected_id) REFERENCES candidate (subject_id, kind, id)
        ) STRICT""",
        """CREATE TABLE curated_set (
            id TEXT PRIMARY KEY,
            name TEXT NOT NULL,
            kind TEXT NOT NULL CHECK (kind IN ('sft', 'dpo')),
            sha256 TEXT NOT NULL,
            row_count INTEGER NOT NULL CHECK (row_count > 0),
            rule TEXT NOT NULL CHECK (json_valid(rule)),
            directory TEXT NOT NULL UNIQUE,
            created_at TEXT NOT NULL
        ) STRICT""",
        """CREATE TABLE run (
            id TEXT PRIMARY KEY,
            name TEXT NOT NULL,
            stage TEXT NOT NULL CHECK (stage IN ('sft', 'dpo')),
            curated_set_id TEXT NOT NULL REFERENCES curated_set (id),
            parent_id TEXT REFERENCES run (id),
            directory TEXT NOT NULL UNIQUE,
            created_at TEXT NOT NULL,
            CHECK ((stage = 'dpo') = (parent_id IS NOT NULL))
        ) STRICT""",
        """CREATE TABLE account (
            name TEXT PRIMARY KEY CHECK (trim(name) = name AND name <> ''),
            role TEXT NOT NULL CHECK (role IN ('annotator', 'lead')),
            password_hash TEXT NOT NULL,
            created_at TEXT NOT NULL
        ) STRICT""",
    )


@MIGRATIONS()
def m004_studies(db: sqlite_utils.Database) -> None:
    """Batches, rounds, claim ticks, decisions, questions on the guidelines, roles and invitations."""
    add_studies(db)


@MIGRATIONS()
def m005_seats(db: sqlite_utils.Database) -> None:
    """Seats that count, and a queue whose cursors never turn back."""
    add_seats(db)


@MIGRATIONS()
def m006_adapters(db: sqlite_utils.Database) -> None:
    """Runs that evaluate or write, sets of questions, adapters and the rows behind them."""
    add_adapters(db)


@MIGRATIONS()
def m007_synthesis(db: sqlite_utils.Database) -> None:
    """Generators that are rules, prompts, and what is known of each text that was asked for."""
    add_synthesis_tables(db)


def table_of(record: type) -> str:
    """Return the table that keeps records of this kind: QAPair is kept in qa_pair."""
    special = {"QAPair": "qa_pair", "FrameTimes": "frame_times"}
    name = record.__name__
    return special.get(name) or "".join("_" + c.lower() if c.isupper() else c for c in name).lstrip("_")
