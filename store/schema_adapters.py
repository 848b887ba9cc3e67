"""What migration m006 does: runs that evaluate or write, sets of questions, pairs for correctness, adapters and what stands behind them.

Tables whose constraints change are made anew, as m004 makes them.
"""

import sqlite_utils

STATEMENTS = (
    """CREATE TABLE new_preference_pair (
        id TEXT PRIMARY KEY,
        subject_id TEXT NOT NULL,
        kind TEXT NOT NULL,
        chosen_id TEXT NOT NULL, rejected_id TEXT NOT NULL,
        origin TEXT NOT NULL CHECK (origin IN ('edit', 'verdict', 'comparison', 'correctness')),
        evidence TEXT NOT NULL CHECK (json_valid(evidence)),
        state TEXT NOT NULL CHECK (state IN ('proposed', 'accepted', 'dropped')),
        created_at TEXT NOT NULL,
        CHECK (chosen_id <> rejected_id),
        UNIQUE (chosen_id, rejected_id, origin),
        FOREIGN KEY (subject_id, kind, chosen_id) REFERENCES candidate (subject_id, kind, id),
        FOREIGN KEY (subject_id, kind, rejected_id) REFERENCES candidate (subject_id, kind, id)
    ) STRICT""",
    "INSERT INTO new_preference_pair SELECT * FROM preference_pair ORDER BY rowid",
    """CREATE TABLE new_curated_set (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('sft', 'dpo', 'questions')),
        sha256 TEXT NOT NULL,
        row_count INTEGER NOT NULL CHECK (row_count > 0),
        rule TEXT NOT NULL CHECK (json_valid(rule)),
        directory TEXT NOT NULL UNIQUE,
        created_at TEXT NOT NULL
    ) STRICT""",
    "INSERT INTO new_curated_set SELECT * FROM curated_set ORDER BY rowid",
    """CREATE TABLE new_run (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        stage TEXT NOT NULL CHECK (stage IN ('sft', 'dpo', 'evaluate', 'write')),
        curated_set_id TEXT NOT NULL REFERENCES new_curated_set (id),
        parent_id TEXT REFERENCES new_run (id),
        directory TEXT NOT NULL UNIQUE,
        created_at TEXT NOT NULL,
        CHECK (stage <> 'sft' OR parent_id IS NULL),
        CHECK (stage <> 'dpo' OR parent_id IS NOT NULL)
    ) STRICT""",
    "INSERT INTO new_run SELECT * FROM run ORDER BY rowid",
    "DROP TABLE preference_pair",
    "DROP TABLE run",
    "DROP TABLE curated_set",
    "ALTER TABLE new_preference_pair RENAME TO preference_pair",
    "ALTER TABLE new_curated_set RENAME TO curated_set",
    "ALTER TABLE new_run RENAME TO run",
    "CREATE INDEX run_by_parent ON run (parent_id)",
    "CREATE INDEX run_by_set ON run (curated_set_id)",
    """CREATE TABLE adapter (
        id TEXT PRIMARY KEY,
        run_id TEXT NOT NULL UNIQUE REFERENCES run (id),
        generator_id TEXT NOT NULL UNIQUE REFERENCES generator (id),
        sha256 TEXT NOT NULL CHECK (length(sha256) = 64),
        created_at TEXT NOT NULL
    ) STRICT""",
    """CREATE TABLE adapter_row (
        adapter_id TEXT NOT NULL REFERENCES adapter (id),
        row_id TEXT NOT NULL,
        PRIMARY KEY (adapter_id, row_id)
    ) STRICT""",
    "CREATE INDEX adapter_row_by_row ON adapter_row (row_id)",
    """CREATE TABLE set_source (
        curated_set_id TEXT NOT NULL REFERENCES curated_set (id),
        row_id TEXT NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('subject', 'candidate', 'annotation', 'comparison', 'decision', 'pair')),
        source_id TEXT NOT NULL,
        PRIMARY KEY (curated_set_id, row_id, kind, source_id)
    ) STRICT""",
    "CREATE INDEX set_source_by_source ON set_source (source_id)",
)


def add_adapters(db: sqlite_utils.Database) -> None:
    """Let runs evaluate and write, sets hold questions and pairs speak of correctness; add adapters and the index of what they learnt from."""
    for statement in STATEMENTS:
        db.conn.execute(statement)
