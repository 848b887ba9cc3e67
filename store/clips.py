"""Media, clips, subtitles, QA pairs and evidence spans. Functions take `db` first."""

import hashlib
from collections.abc import Iterable, Sequence

import sqlite_utils

from store.records import Clip, EvidenceSpan, FrameTimes, ImportRecord, Media, QAPair, Subtitle
from store.rows import as_record, as_row


def split_of(group_key: str) -> str:
    """Return "train" (8 in 10), "validation" or "test" (1 in 10 each), by the hash of the source video alone."""
    slot = int(hashlib.sha256(group_key.encode("utf-8")).hexdigest(), 16) % 10
    return {0: "test", 1: "validation"}.get(slot, "train")


def add_media(db: sqlite_utils.Database, media: Media, times: FrameTimes | None) -> None:
    """Keep what is known of a file; a digest that is known already is left as it is."""
    db.table("media").insert(as_row(media), ignore=True)
    if times is not None:
        db.table("frame_times").insert(as_row(times), ignore=True)


def set_proxy(db: sqlite_utils.Database, digest: str, proxy_digest: str) -> None:
    """Note the playable copy of a file."""
    db.execute("UPDATE media SET proxy_digest = ? WHERE digest = ?", [proxy_digest, digest])


def set_health(db: sqlite_utils.Database, digest: str, health: str, reason: str) -> None:
    """Note that a file is damaged or unreadable, and why."""
    db.execute("UPDATE media SET health = ?, health_reason = ? WHERE digest = ?", [health, reason, digest])


def get_media(db: sqlite_utils.Database, digest: str) -> Media | None:
    """Return the file with this digest, an original or a proxy's original, or None."""
    rows = list(db.query("SELECT * FROM media WHERE digest = :d OR proxy_digest = :d LIMIT 1", {"d": digest}))
    return as_record(Media, rows[0]) if rows else None


def frame_times(db: sqlite_utils.Database, digest: str) -> bytes:
    """Return the file's frame times as float64 seconds, little endian; empty when unknown."""
    rows = list(db.query("SELECT times FROM frame_times WHERE digest = ?", [digest]))
    return bytes(rows[0]["times"]) if rows else b""


def media_without_proxy(db: sqlite_utils.Database) -> list[Media]:
    """Return the readable files that no browser plays and that have no playable copy yet."""
    query = "SELECT * FROM media WHERE NOT playable AND proxy_digest IS NULL AND health <> 'unreadable' ORDER BY digest"
    return [as_record(Media, row) for row in db.query(query)]


def waiting_clips(db: sqlite_utils.Database, dataset: str | None = None) -> list[Clip]:
    """Return the clips, of one data set or of all, whose file is missing or cannot be read."""
    query = """SELECT clip.* FROM clip LEFT JOIN media ON media.digest = clip.digest
               WHERE (media.digest IS NULL OR media.health = 'unreadable') AND (:d IS NULL OR dataset = :d) ORDER BY dataset, external_id"""
    return [as_record(Clip, row) for row in db.query(query, {"d": dataset})]


def give_media(db: sqlite_utils.Database, media_name: str, digest: str, dataset: str | None = None) -> int:
    """Give the clips that wait for this file name, of one data set or of all, their media; return how many waited.

    A file that turned out unreadable is replaced. Call inside a transaction.
    """
    update = """UPDATE clip SET digest = :digest WHERE media_name = :name AND (:dataset IS NULL OR dataset = :dataset)
                AND (digest IS NULL OR digest IN (SELECT digest FROM media WHERE health = 'unreadable'))"""
    return int(db.execute(update, {"digest": digest, "name": media_name, "dataset": dataset}).rowcount)


def trim_evidence(db: sqlite_utils.Database, digest: str) -> tuple[int, int]:
    """Cut the evidence of the file's clips at the end of the clip; return (spans cut, spans dropped because they lie behind it).

    Nothing is cut while the file's duration is unknown. Call inside a transaction.
    """
    query = """SELECT e.qa_id, e.position, e.start_s, min(coalesce(clip.end_s, m.duration_s), m.duration_s) - clip.start_s AS length_s
               FROM media m JOIN clip USING (digest) JOIN qa_pair qa ON qa.clip_id = clip.id JOIN evidence_span e ON e.qa_id = qa.id
               WHERE m.digest = ? AND e.end_s > min(coalesce(clip.end_s, m.duration_s), m.duration_s) - clip.start_s"""
    over = list(db.query(query, [digest]))
    behind = [row for row in over if row["start_s"] >= row["length_s"]]
    for row in behind:
        db.execute("DELETE FROM evidence_span WHERE qa_id = :qa_id AND position = :position", row)
    for row in over:
        db.execute("UPDATE evidence_span SET end_s = :length_s WHERE qa_id = :qa_id AND position = :position", row)
    return len(over) - len(behind), len(behind)


def add_clip(db: sqlite_utils.Database, clip: Clip, subtitles: Sequence[Subtitle] = ()) -> bool:
    """Keep a clip and its subtitles; return False when it was there already."""
    added = bool(_insert(db, "clip", as_row(clip)))
    if added:
        add_subtitles(db, subtitles)
    return added


def add_subtitles(db: sqlite_utils.Database, subtitles: Iterable[Subtitle]) -> None:
    """Keep the spoken lines of a clip that has none."""
    for line in subtitles:
        db.table("subtitle").insert(as_row(line))


def get_clip(db: sqlite_utils.Database, clip_id: str) -> Clip | None:
    """Return the clip, or None."""
    rows = list(db.query("SELECT * FROM clip WHERE id = ?", [clip_id]))
    return as_record(Clip, rows[0]) if rows else None


def list_clips(db: sqlite_utils.Database) -> list[Clip]:
    """Return all clips by data set and name; one row a clip."""
    return [as_record(Clip, row) for row in db.query("SELECT * FROM clip ORDER BY dataset, external_id")]


def subtitles_of(db: sqlite_utils.Database, clip_id: str) -> list[Subtitle]:
    """Return the clip's spoken lines in order."""
    return [as_record(Subtitle, row) for row in db.query("SELECT * FROM subtitle WHERE clip_id = ? ORDER BY position", [clip_id])]


def add_qa_pair(db: sqlite_utils.Database, pair: QAPair, evidence: Iterable[EvidenceSpan] = ()) -> bool:
    """Keep a QA pair and its evidence; return False when it was there already. Evidence that is new to a known pair is added."""
    added = bool(_insert(db, "qa_pair", as_row(pair)))
    for span in evidence:
        db.table("evidence_span").insert(as_row(span), ignore=True)
    return added


def get_qa_pair(db: sqlite_utils.Database, qa_id: str) -> QAPair | None:
    """Return the QA pair, or None."""
    rows = list(db.query("SELECT * FROM qa_pair WHERE id = ?", [qa_id]))
    return as_record(QAPair, rows[0]) if rows else None


def qa_pairs_of(db: sqlite_utils.Database, clip_id: str) -> list[QAPair]:
    """Return the clip's QA pairs in the order of the data set."""
    return [as_record(QAPair, row) for row in db.query("SELECT * FROM qa_pair WHERE clip_id = ? ORDER BY rowid", [clip_id])]


def evidence_of(db: sqlite_utils.Database, qa_id: str) -> list[EvidenceSpan]:
    """Return the spans that show the answer, in order."""
    return [as_record(EvidenceSpan, row) for row in db.query("SELECT * FROM evidence_span WHERE qa_id = ? ORDER BY position", [qa_id])]


def add_import(db: sqlite_utils.Database, record: ImportRecord) -> None:
    """Keep the summary of one import."""
    db.table("import_record").insert(as_row(record))


def list_imports(db: sqlite_utils.Database) -> list[ImportRecord]:
    """Return all imports, the newest first."""
    return [as_record(ImportRecord, row) for row in db.query("SELECT * FROM import_record ORDER BY finished_at DESC, rowid DESC")]


def has_clips(db: sqlite_utils.Database) -> bool:
    """Return whether anything was ever imported."""
    return bool(next(db.query("SELECT EXISTS (SELECT 1 FROM clip) AS found"))["found"])


def _insert(db: sqlite_utils.Database, table: str, row: dict[str, object]) -> int:
    """Insert unless the key is there; return the number of rows added."""
    before = db.conn.total_changes
    db.table(table).insert(row, ignore=True)
    return db.conn.total_changes - before
