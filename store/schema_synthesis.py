"""What migration m007 does: generators that are rules, prompts by their words, and what is known of each text that was asked for."""

import sqlite_utils

STATEMENTS = (
    "CREATE INDEX candidate_by_generator ON candidate (generator_id)",
    # Candidates and adapters point at generators: they wait until the rows are back under the same name. The setting ends with the transaction.
    "PRAGMA defer_foreign_keys = ON",
    "CREATE TEMPORARY TABLE kept_generator AS SELECT * FROM generator ORDER BY rowid",
    "DROP TABLE generator",
    """CREATE TABLE generator (
        id TEXT PRIMARY KEY,
        kind TEXT NOT NULL CHECK (kind IN ('api_model', 'base_model', 'adapter', 'template', 'person', 'imported')),
        name TEXT NOT NULL,
        prompt_version TEXT,
        settings TEXT CHECK (settings IS NULL OR json_valid(settings)),
        answer_given INTEGER CHECK (answer_given IN (0, 1))
    ) STRICT""",
    "INSERT INTO generator SELECT * FROM kept_generator ORDER BY rowid",
    "DROP TABLE kept_generator",
    """CREATE TABLE prompt (
        sha256 TEXT PRIMARY KEY CHECK (length(sha256) = 64),
        name TEXT NOT NULL,
        text TEXT NOT NULL,
        added_at TEXT NOT NULL
    ) STRICT""",
    """CREATE TABLE synthesis (
        key TEXT PRIMARY KEY,
        run_id TEXT NOT NULL,
        candidate_id TEXT NOT NULL REFERENCES candidate (id),
        prompt_sha256 TEXT NOT NULL REFERENCES prompt (sha256),
        seed INTEGER NOT NULL,
        given_answer TEXT,
        tokens_in INTEGER CHECK (tokens_in >= 0),
        tokens_out INTEGER CHECK (tokens_out >= 0),
        money REAL CHECK (money >= 0),
        currency TEXT,
        attempts INTEGER NOT NULL CHECK (attempts >= 1),
        seconds REAL CHECK (seconds >= 0),
        model TEXT,
        sources TEXT NOT NULL CHECK (json_valid(sources)),
        citations TEXT NOT NULL CHECK (json_valid(citations)),
        problems TEXT NOT NULL CHECK (json_valid(problems)),
        shown TEXT NOT NULL CHECK (json_valid(shown)),
        finished_at TEXT NOT NULL,
        CHECK ((money IS NULL) = (currency IS NULL))
    ) STRICT""",
    "CREATE INDEX synthesis_by_candidate ON synthesis (candidate_id)",
    "CREATE INDEX synthesis_by_run ON synthesis (run_id, candidate_id)",
)


def add_synthesis_tables(db: sqlite_utils.Database) -> None:
    """Let generators be rules, and add prompts and what is known of each text that was asked for. Cost grows with the candidates: one index."""
    for statement in STATEMENTS:
        db.conn.execute(statement)
