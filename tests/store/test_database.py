"""Backup, check, accounts, and what the disk may do to us."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import sqlite_utils

from store.__main__ import main
from store.accounts import add_account, verify
from store.clips import split_of
from store.database import backup, check, open_store
from store.errors import ConflictError, InputError, StorageError
from tests.seeds import seed_project

ROOT = Path(__file__).resolve().parents[2]


def _with_media(data: Path) -> Path:
    """Seed a project whose one media file is really there; return the file."""
    content = b"not a video, but kept as one"
    digest = hashlib.sha256(content).hexdigest()
    with open_store(data) as db:
        seed_project(db, digest=digest)
    kept = data / "media" / digest[:2] / digest
    kept.parent.mkdir(parents=True)
    kept.write_bytes(content)
    return kept


def test_every_connection_waits_for_the_disk_and_checks_foreign_keys(tmp_path: Path) -> None:
    with open_store(tmp_path) as db:
        found = {name: db.conn.execute("PRAGMA " + name).fetchone()[0] for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")}
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 10_000}


def test_a_backup_taken_beside_a_writer_opens_and_holds_what_was_committed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_store(tmp_path) as db:
        seed_project(db)
        db.conn.execute("BEGIN IMMEDIATE")
        db.conn.execute("UPDATE queue_entry SET rank = rank + 10")
        assert main(["backup", str(tmp_path / "copy.db"), "--data", str(tmp_path)]) == 0
        db.conn.execute("ROLLBACK")
    copy = sqlite_utils.Database(tmp_path / "copy.db")
    assert copy.table("candidate").count == 3
    assert [row["rank"] for row in copy.query("SELECT rank FROM queue_entry ORDER BY rank")] == [1, 2, 3]
    assert main(["backup", str(tmp_path / "copy.db"), "--data", str(tmp_path)]) == 2
    assert "never overwrites" in capsys.readouterr().err


def test_a_backup_that_does_not_fit_leaves_nothing_and_blames_the_right_place(tmp_path: Path) -> None:
    with open_store(tmp_path / "data") as db:
        seed_project(db)
    with pytest.raises(StorageError, match=r"could not be written to .*nowhere"):
        backup(tmp_path / "data", tmp_path / "nowhere" / "copy.db")
    script = "import resource, signal, sys; from pathlib import Path; from store.database import backup; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    script += "resource.setrlimit(resource.RLIMIT_FSIZE, (50000, 50000)); backup(Path(sys.argv[1]), Path(sys.argv[2]))"
    done = subprocess.run([sys.executable, "-c", script, tmp_path / "data", tmp_path / "copy.db"], cwd=ROOT, capture_output=True, text=True)
    assert "StorageError: The backup could not be written" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir() if "copy" in path.name) == []
    assert backup(tmp_path / "data", tmp_path / "copy.db") > 50_000, "the control: with room it fits"


def test_a_mistyped_directory_is_told_and_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--data", str(tmp_path / "typo")]) == 2
    assert main(["backup", str(tmp_path / "copy.db"), "--data", str(tmp_path / "typo")]) == 2
    assert capsys.readouterr().err.count("There is no database in") == 2
    assert not list(tmp_path.iterdir())


def test_a_new_data_directory_is_for_its_owner_alone(tmp_path: Path) -> None:
    with open_store(tmp_path / "data"):
        assert (tmp_path / "data").stat().st_mode & 0o077 == 0


def test_check_is_silent_on_a_sound_directory_and_names_each_damage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = _with_media(tmp_path)
    assert main(["check", "--data", str(tmp_path)]) == 0
    kept.write_bytes(b"changed")
    (changed,) = check(tmp_path)
    assert "has changed" in changed
    kept.unlink()
    (missing,) = check(tmp_path)
    assert "is missing" in missing
    with open_store(tmp_path) as db:
        db.conn.execute("PRAGMA foreign_keys = OFF")
        db.execute("UPDATE clip SET digest = 'nowhere'")
    assert main(["check", "--data", str(tmp_path)]) == 1
    assert "points at nothing in media" in capsys.readouterr().out


def test_a_full_disk_is_a_sentence_and_keeps_nothing_of_the_step(tmp_path: Path) -> None:
    with open_store(tmp_path) as db:
        seed_project(db, "before")
        pages = db.conn.execute("PRAGMA page_count").fetchone()[0]
    with pytest.raises(StorageError, match=r"disk is full.*Nothing of this step was kept"), open_store(tmp_path) as db:
        # SQLite's own ceiling raises the very error that a full disk does.
        db.conn.execute(f"PRAGMA max_page_count = {pages}")
        with db.conn:
            db.conn.execute("BEGIN IMMEDIATE")
            for i in range(1000):
                seed_project(db, f"clip {i}")
    with open_store(tmp_path) as db:
        assert db.table("clip").count == 1


def test_a_directory_that_may_not_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file where a directory should be")
    with pytest.raises(StorageError, match="Give another --data directory"), open_store(tmp_path / "file" / "data"):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody without rights")
def test_a_read_only_directory_is_a_sentence_on_the_command_line() -> None:
    # Not under tmp_path: nobody but its owner may enter that.
    data = Path(tempfile.mkdtemp()) / "data"
    with open_store(data) as db:
        seed_project(db)
    for path in (*data.iterdir(), data, data.parent):
        path.chmod(0o555 if path.is_dir() else 0o444)
    script = "import os, sys; from store.__main__ import main; os.setuid(65534); sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", script, "account", "ann", "admin", "--data", str(data)], cwd=ROOT, input="long enough\n", capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "cannot be written" in done.stderr or "cannot be used" in done.stderr
    assert "Traceback" not in done.stderr
    shutil.rmtree(data.parent)


def test_a_file_that_is_no_database_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "eyewitness.db").write_text("this is text, and long enough to be read as a header of something" * 50)
    with pytest.raises(StorageError, match="not a sound SQLite database"), open_store(tmp_path):
        pass


def test_only_the_right_password_opens_an_account(tmp_path: Path) -> None:
    with open_store(tmp_path) as db:
        add_account(db, " ann ", "correct horse", "annotator")
        assert verify(db, "ann", "correct horse").role == "annotator"  # type: ignore[union-attr]
        assert verify(db, "ann", "correct horsE") is None
        assert verify(db, "nobody", "") is None
        add_account(db, "ann", "other horse", "admin", change=True)
        assert verify(db, "ann", "correct horse") is None
        assert verify(db, "ann", "other horse").role == "admin"  # type: ignore[union-attr]
        assert "horse" not in str(list(db.query("SELECT * FROM account")))
        with pytest.raises(ConflictError):
            add_account(db, "ann", "another one", "admin")
        for name, password, role in (("", "long enough", "admin"), ("x" * 41, "long enough", "admin"), ("b", "short", "admin"), ("b", "long enough", "boss")):
            with pytest.raises(InputError):
                add_account(db, name, password, role)


def test_the_split_depends_on_the_source_alone_and_is_about_eight_one_one() -> None:
    splits = [split_of(f"video {i}") for i in range(3000)]
    assert splits == [split_of(f"video {i}") for i in range(3000)]
    assert 0.77 < splits.count("train") / 3000 < 0.83
    assert 0.08 < splits.count("test") / 3000 < 0.12
