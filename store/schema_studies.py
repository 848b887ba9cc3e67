"""What migration m004 does: studies. Tables whose constraints change are made anew.

The new table is filled, the children of the old one go first, and the names follow: no row is ever without its parent.
"""

import sqlite_utils

from store.rows import digest_id


def add_studies(db: sqlite_utils.Database) -> None:
    """Add batches, rounds, claim ticks, decisions, questions on the guidelines, roles and invitations."""
    db.conn.create_function("first_round_id", 2, lambda candidate_id, annotator: digest_id("assignment", candidate_id, annotator, 1), deterministic=True)
    _make_batches(db)
    _remake_work(db)
    _remake_comparisons(db)
    _make_adjudication(db)
    _remake_accounts(db)


def _make_batches(db: sqlite_utils.Database) -> None:
    _run(
        db,
        """CREATE TABLE batch (
            id TEXT PRIMARY KEY,
            name TEXT NOT NULL UNIQUE CHECK (trim(name) <> ''),
            wanted INTEGER NOT NULL CHECK (wanted >= 1),
            ordering TEXT NOT NULL CHECK (ordering IN ('given', 'random', 'disagreement', 'signal')),
            signal TEXT,
            seed INTEGER NOT NULL,
            scratch_share REAL NOT NULL CHECK (scratch_share BETWEEN 0 AND 1),
            gold_share REAL NOT NULL CHECK (gold_share BETWEEN 0 AND 0.5),
            repeat_share REAL NOT NULL CHECK (repeat_share BETWEEN 0 AND 0.5),
            blind_first INTEGER NOT NULL CHECK (blind_first IN (0, 1)),
            open_to_all INTEGER NOT NULL CHECK (open_to_all IN (0, 1)),
            state TEXT NOT NULL CHECK (state IN ('open', 'closed')),
            created_by TEXT NOT NULL,
            created_at TEXT NOT NULL,
            CHECK ((ordering = 'signal') = (signal IS NOT NULL))
        ) STRICT""",
        """INSERT INTO batch VALUES ('default', 'All that is imported', 1, 'given', NULL, 0, 0, 0, 0, 0, 1, 'open', 'Eyewitness',
           strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now'))""",
        """CREATE TABLE seat (
            batch_id TEXT NOT NULL REFERENCES batch (id),
            annotator TEXT NOT NULL CHECK (trim(annotator) <> ''),
            position INTEGER NOT NULL DEFAULT 0 CHECK (position >= 0),
            cursor INTEGER NOT NULL DEFAULT 0,
            PRIMARY KEY (batch_id, annotator)
        ) STRICT""",
        """CREATE TABLE signal (
            candidate_id TEXT NOT NULL REFERENCES candidate (id),
            name TEXT NOT NULL CHECK (trim(name) <> ''),
            value REAL NOT NULL,
            PRIMARY KEY (candidate_id, name)
        ) STRICT""",
        """CREATE TABLE suggestion (
            id TEXT PRIMARY KEY,
            candidate_id TEXT NOT NULL REFERENCES candidate (id),
            kind TEXT NOT NULL CHECK (kind IN ('justified_fabrication', 'temporal_error', 'entity_drift', 'plain_hallucination', 'omission', 'other')),
            text_start INTEGER CHECK (text_start >= 0), text_end INTEGER CHECK (text_end > text_start),
            quote TEXT NOT NULL,
            start_s REAL CHECK (start_s >= 0), end_s REAL CHECK (end_s >= start_s),
            severity INTEGER NOT NULL CHECK (severity BETWEEN 0 AND 3),
            comment TEXT NOT NULL
        ) STRICT""",
        "CREATE INDEX suggestion_by_candidate ON suggestion (candidate_id)",
        """CREATE TABLE gold (
            candidate_id TEXT PRIMARY KEY REFERENCES candidate (id),
            verdict TEXT NOT NULL CHECK (verdict IN ('accept', 'reject')),
            flag_kinds TEXT NOT NULL CHECK (json_valid(flag_kinds)),
            reason TEXT NOT NULL,
            set_by TEXT NOT NULL,
            set_at TEXT NOT NULL
        ) STRICT""",
    )


def _remake_work(db: sqlite_utils.Database) -> None:
    """Make queue, leases, log, annotations and flags anew; what is there becomes round 1 of the default batch."""
    _run(
        db,
        """CREATE TABLE new_queue_entry (
            candidate_id TEXT PRIMARY KEY REFERENCES candidate (id),
            batch_id TEXT NOT NULL REFERENCES batch (id),
            part TEXT NOT NULL CHECK (part IN ('main', 'gold')),
            scratch INTEGER NOT NULL CHECK (scratch IN (0, 1)),
            rank INTEGER NOT NULL,
            wanted INTEGER NOT NULL CHECK (wanted >= 1),
            taken INTEGER NOT NULL DEFAULT 0 CHECK (taken BETWEEN 0 AND wanted),
            watchable INTEGER NOT NULL CHECK (watchable IN (0, 1))
        ) STRICT""",
        """INSERT INTO new_queue_entry SELECT q.candidate_id, 'default', 'main', 0, q.rank, q.wanted, q.taken, w.id IS NOT NULL
           FROM queue_entry q JOIN candidate c ON c.id = q.candidate_id LEFT JOIN watchable_clip w ON w.id = c.clip_id""",
        """CREATE TABLE new_assignment (
            id TEXT PRIMARY KEY,
            candidate_id TEXT NOT NULL REFERENCES new_queue_entry (candidate_id),
            annotator TEXT NOT NULL CHECK (trim(annotator) <> ''),
            round INTEGER NOT NULL CHECK (round IN (1, 2)),
            state TEXT NOT NULL CHECK (state IN ('leased', 'final', 'skipped', 'released')),
            leased_at TEXT NOT NULL,
            expires_at TEXT NOT NULL,
            UNIQUE (candidate_id, annotator, round)
        ) STRICT""",
        "INSERT INTO new_assignment SELECT first_round_id(candidate_id, annotator), candidate_id, annotator, 1, state, leased_at, expires_at FROM assignment",
        """CREATE TABLE new_operation (
            sequence INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE CHECK (length(id) BETWEEN 8 AND 64),
            annotator TEXT NOT NULL,
            candidate_id TEXT REFERENCES candidate (id),
            round INTEGER NOT NULL CHECK (round IN (1, 2)),
            kind TEXT NOT NULL CHECK (kind IN ('draft', 'answer', 'submit', 'skip', 'release', 'reopen', 'compare', 'decide', 'ask', 'settle')),
            payload TEXT NOT NULL CHECK (json_valid(payload)),
            client_at TEXT,
            server_at TEXT NOT NULL,
            CHECK (candidate_id IS NOT NULL OR kind IN ('ask', 'settle'))
        ) STRICT""",
        "INSERT INTO new_operation SELECT sequence, id, annotator, candidate_id, 1, kind, payload, client_at, server_at FROM operation",
        """CREATE TABLE new_annotation (
            id TEXT PRIMARY KEY,
            candidate_id TEXT NOT NULL REFERENCES candidate (id),
            annotator TEXT NOT NULL,
            round INTEGER NOT NULL CHECK (round IN (1, 2)),
            state TEXT NOT NULL CHECK (state IN ('draft', 'final')),
            verdict TEXT CHECK (verdict IN ('accept', 'reject', 'unsure', 'skip')),
            no_error INTEGER NOT NULL CHECK (no_error IN (0, 1)),
            omission TEXT CHECK (omission IN ('none', 'minor', 'major')),
            factual_consistency INTEGER CHECK (factual_consistency BETWEEN 1 AND 5),
            logical_coherence INTEGER CHECK (logical_coherence BETWEEN 1 AND 5),
            note TEXT NOT NULL,
            edited_text TEXT,
            skip_reason TEXT,
            blind_answer TEXT,
            blind_answer_index INTEGER CHECK (blind_answer_index >= 0),
            seconds_spent REAL NOT NULL CHECK (seconds_spent >= 0),
            watched_share REAL NOT NULL CHECK (watched_share BETWEEN 0 AND 1),
            operation_sequence INTEGER NOT NULL REFERENCES new_operation (sequence),
            updated_at TEXT NOT NULL,
            UNIQUE (candidate_id, annotator, round),
            CHECK (state = 'draft' OR verdict IS NOT NULL)
        ) STRICT""",
        """INSERT INTO new_annotation SELECT id, candidate_id, annotator, 1, state, verdict, no_error, NULL, factual_consistency, logical_coherence, note,
           edited_text, NULL, NULL, NULL, seconds_spent, watched_share, operation_sequence, updated_at FROM annotation""",
        """CREATE TABLE new_flag (
            id TEXT PRIMARY KEY,
            annotation_id TEXT NOT NULL REFERENCES new_annotation (id),
            kind TEXT NOT NULL CHECK (kind IN ('justified_fabrication', 'temporal_error', 'entity_drift', 'plain_hallucination', 'omission', 'other')),
            text_start INTEGER CHECK (text_start >= 0),
            text_end INTEGER CHECK (text_end > text_start),
            quote TEXT NOT NULL,
            start_s REAL CHECK (start_s >= 0),
            end_s REAL CHECK (end_s >= start_s),
            severity INTEGER NOT NULL CHECK (severity BETWEEN 0 AND 3),
            comment TEXT NOT NULL,
            other_start INTEGER CHECK (other_start >= 0),
            other_end INTEGER CHECK (other_end > other_start),
            other_quote TEXT NOT NULL,
            other_start_s REAL CHECK (other_start_s >= 0),
            other_end_s REAL CHECK (other_end_s >= other_start_s),
            claimed_order TEXT CHECK (claimed_order IN ('before', 'after', 'same')),
            true_order TEXT CHECK (true_order IN ('before', 'after', 'same', 'absent')),
            props_up TEXT NOT NULL,
            CHECK ((text_start IS NULL) = (text_end IS NULL)),
            CHECK ((start_s IS NULL) = (end_s IS NULL)),
            CHECK ((other_start IS NULL) = (other_end IS NULL)),
            CHECK ((other_start_s IS NULL) = (other_end_s IS NULL)),
            CHECK (text_end IS NULL OR length(quote) = text_end - text_start),
            CHECK (other_end IS NULL OR length(other_quote) = other_end - other_start)
        ) STRICT""",
        """INSERT INTO new_flag SELECT id, annotation_id, kind, text_start, text_end, quote, start_s, end_s, severity, comment,
           NULL, NULL, '', NULL, NULL, NULL, NULL, '' FROM flag ORDER BY rowid""",
        "DROP TABLE flag",
        "DROP TABLE annotation",
        "DROP TABLE assignment",
        "DROP TABLE queue_entry",
        "DROP TABLE operation",
        *(f"ALTER TABLE new_{name} RENAME TO {name}" for name in ("queue_entry", "assignment", "operation", "annotation", "flag")),
        "CREATE INDEX queue_by_rank ON queue_entry (batch_id, rank)",
        "CREATE INDEX queue_open ON queue_entry (batch_id, rank) WHERE taken < wanted AND watchable = 1 AND part = 'main'",
        "CREATE INDEX queue_gold ON queue_entry (batch_id, rank) WHERE part = 'gold'",
        "CREATE INDEX assignment_by_annotator ON assignment (annotator, state)",
        "CREATE INDEX assignment_expiring ON assignment (expires_at) WHERE state = 'leased'",
        """CREATE TRIGGER assignment_taken AFTER INSERT ON assignment WHEN NEW.round = 1 AND NEW.state IN ('leased', 'final')
           BEGIN UPDATE queue_entry SET taken = taken + 1 WHERE candidate_id = NEW.candidate_id; END""",
        """CREATE TRIGGER assignment_changed AFTER UPDATE OF state ON assignment
           WHEN NEW.round = 1 AND (OLD.state IN ('leased', 'final')) <> (NEW.state IN ('leased', 'final'))
           BEGIN UPDATE queue_entry SET taken = taken + (CASE WHEN NEW.state IN ('leased', 'final') THEN 1 ELSE -1 END)
                 WHERE candidate_id = NEW.candidate_id; END""",
        """CREATE TRIGGER watchable_by_clip AFTER UPDATE OF digest, start_s ON clip
           BEGIN UPDATE queue_entry SET watchable = EXISTS (SELECT 1 FROM watchable_clip WHERE id = NEW.id)
                 WHERE candidate_id IN (SELECT id FROM candidate WHERE clip_id = NEW.id); END""",
        """CREATE TRIGGER watchable_by_media AFTER UPDATE OF playable, proxy_digest, duration_s ON media
           BEGIN UPDATE queue_entry SET watchable = EXISTS (SELECT 1 FROM watchable_clip w JOIN candidate c ON c.clip_id = w.id WHERE c.id = candidate_id)
                 WHERE candidate_id IN (SELECT c.id FROM candidate c JOIN clip ON clip.id = c.clip_id WHERE clip.digest = NEW.digest); END""",
        "CREATE INDEX clip_by_digest ON clip (digest)",
        "CREATE INDEX operation_by_work ON operation (candidate_id, annotator, round, sequence)",
        "CREATE INDEX operation_compare ON operation (annotator, sequence) WHERE kind = 'compare'",
        """CREATE TRIGGER operation_never_changes BEFORE UPDATE ON operation
           BEGIN SELECT RAISE(ABORT, 'the log only grows'); END""",
        """CREATE TRIGGER operation_never_leaves BEFORE DELETE ON operation
           BEGIN SELECT RAISE(ABORT, 'the log only grows'); END""",
        "CREATE INDEX annotation_by_annotator ON annotation (annotator, updated_at)",
        "CREATE INDEX flag_by_annotation ON flag (annotation_id)",
        """CREATE TABLE claim_tick (
            annotation_id TEXT NOT NULL REFERENCES annotation (id),
            text_start INTEGER NOT NULL CHECK (text_start >= 0),
            text_end INTEGER NOT NULL CHECK (text_end > text_start),
            support TEXT NOT NULL CHECK (support IN ('supported', 'contradicted', 'not_visible', 'cannot_tell')),
            PRIMARY KEY (annotation_id, text_start, text_end)
        ) STRICT""",
    )


def _remake_comparisons(db: sqlite_utils.Database) -> None:
    _run(
        db,
        """CREATE TABLE new_comparison (
            id TEXT PRIMARY KEY,
            annotator TEXT NOT NULL,
            subject_id TEXT NOT NULL,
            kind TEXT NOT NULL,
            a_id TEXT NOT NULL, b_id TEXT NOT NULL, left_id TEXT NOT NULL,
            round INTEGER NOT NULL CHECK (round IN (1, 2)),
            outcome TEXT NOT NULL CHECK (outcome IN ('a', 'b', 'tie', 'both_bad')),
            seconds_spent REAL CHECK (seconds_spent >= 0),
            created_at TEXT NOT NULL,
            CHECK (a_id < b_id AND left_id IN (a_id, b_id)),
            UNIQUE (annotator, a_id, b_id, round),
            FOREIGN KEY (subject_id, kind, a_id) REFERENCES candidate (subject_id, kind, id),
            FOREIGN KEY (subject_id, kind, b_id) REFERENCES candidate (subject_id, kind, id)
        ) STRICT""",
        """INSERT INTO new_comparison
           SELECT id, annotator, subject_id, kind, a_id, b_id, left_id, 1, outcome, NULL, created_at FROM comparison ORDER BY rowid""",
        # They were made before the log knew of comparisons: it learns of them now.
        """INSERT INTO operation (id, annotator, candidate_id, round, kind, payload, client_at, server_at)
           SELECT 'migrated-' || id, annotator, a_id, 1, 'compare', json_object('subject_id', subject_id, 'kind', kind,
                  'a_id', a_id, 'b_id', b_id, 'left_id', left_id, 'outcome', outcome, 'seconds_spent', NULL), NULL, created_at
           FROM comparison ORDER BY rowid""",
        "DROP TABLE comparison",
        "ALTER TABLE new_comparison RENAME TO comparison",
        "CREATE INDEX comparison_by_pair ON comparison (a_id, b_id)",
        "CREATE INDEX comparison_by_annotator ON comparison (annotator, round, id)",
    )


def _make_adjudication(db: sqlite_utils.Database) -> None:
    _run(
        db,
        """CREATE TABLE decision (
            id TEXT PRIMARY KEY,
            candidate_id TEXT NOT NULL UNIQUE REFERENCES candidate (id),
            adjudicator TEXT NOT NULL,
            verdict TEXT NOT NULL CHECK (verdict IN ('accept', 'reject', 'unsure')),
            reason TEXT NOT NULL,
            overrides INTEGER NOT NULL CHECK (overrides IN (0, 1)),
            operation_sequence INTEGER NOT NULL REFERENCES operation (sequence),
            decided_at TEXT NOT NULL,
            CHECK (overrides = 0 OR trim(reason) <> '')
        ) STRICT""",
        """CREATE TABLE decision_flag (
            decision_id TEXT NOT NULL REFERENCES decision (id),
            position INTEGER NOT NULL,
            kind TEXT NOT NULL CHECK (kind IN ('justified_fabrication', 'temporal_error', 'entity_drift', 'plain_hallucination', 'omission', 'other')),
            text_start INTEGER CHECK (text_start >= 0), text_end INTEGER CHECK (text_end > text_start),
            quote TEXT NOT NULL,
            start_s REAL CHECK (start_s >= 0), end_s REAL CHECK (end_s >= start_s),
            severity INTEGER NOT NULL CHECK (severity BETWEEN 0 AND 3),
            comment TEXT NOT NULL,
            other_start INTEGER CHECK (other_start >= 0), other_end INTEGER CHECK (other_end > other_start),
            other_quote TEXT NOT NULL,
            other_start_s REAL CHECK (other_start_s >= 0), other_end_s REAL CHECK (other_end_s >= other_start_s),
            claimed_order TEXT CHECK (claimed_order IN ('before', 'after', 'same')),
            true_order TEXT CHECK (true_order IN ('before', 'after', 'same', 'absent')),
            props_up TEXT NOT NULL,
            PRIMARY KEY (decision_id, position)
        ) STRICT""",
        """CREATE TABLE guideline_issue (
            id TEXT PRIMARY KEY,
            asked_by TEXT NOT NULL,
            candidate_id TEXT REFERENCES candidate (id),
            question TEXT NOT NULL CHECK (trim(question) <> ''),
            asked_at TEXT NOT NULL,
            answer TEXT,
            answered_by TEXT,
            answered_at TEXT,
            CHECK ((answer IS NULL) = (answered_by IS NULL) AND (answer IS NULL) = (answered_at IS NULL))
        ) STRICT""",
    )


def _remake_accounts(db: sqlite_utils.Database) -> None:
    """Make accounts anew with three roles: who was a lead is an admin."""
    _run(
        db,
        """CREATE TABLE new_account (
            name TEXT PRIMARY KEY CHECK (trim(name) = name AND name <> ''),
            role TEXT NOT NULL CHECK (role IN ('annotator', 'adjudicator', 'admin')),
            password_hash TEXT NOT NULL,
            created_at TEXT NOT NULL
        ) STRICT""",
        "INSERT INTO new_account SELECT name, CASE role WHEN 'lead' THEN 'admin' ELSE role END, password_hash, created_at FROM account",
        "DROP TABLE account",
        "ALTER TABLE new_account RENAME TO account",
        """CREATE TABLE invitation (
            token_sha256 TEXT PRIMARY KEY CHECK (length(token_sha256) = 64),
            role TEXT NOT NULL CHECK (role IN ('annotator', 'adjudicator', 'admin')),
            made_by TEXT NOT NULL,
            made_at TEXT NOT NULL,
            expires_at TEXT NOT NULL,
            used_by TEXT,
            used_at TEXT,
            CHECK ((used_by IS NULL) = (used_at IS NULL))
        ) STRICT""",
        """CREATE TABLE login_failure (
            name TEXT NOT NULL,
            address TEXT NOT NULL,
            at TEXT NOT NULL
        ) STRICT""",
        "CREATE INDEX login_failure_by_name ON login_failure (name, at)",
    )


def _run(db: sqlite_utils.Database, *statements: str) -> None:
    for statement in statements:
        db.conn.execute(statement)
