"""Files by digest: whole or not at all, twice is once, and no name leads out of the folder."""

import hashlib
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.errors import ConflictError, InputError, NotFoundError, StorageError
from store.media_files import digest_of, keep, media_path, replacing

ROOT = Path(__file__).resolve().parents[2]
CHANGES_AT_EACH_READING = Path("/proc/sys/kernel/random/uuid")


def all_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@given(content=st.binary(max_size=300))
def test_a_kept_file_lies_under_its_digest_byte_for_byte(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        data, original = Path(folder) / "data", Path(folder) / "clip.mp4"
        original.write_bytes(content)
        digest = keep(data, original)
        assert digest == hashlib.sha256(content).hexdigest() == digest_of(original)
        assert all_files(data) == [media_path(data, digest)]
        assert media_path(data, digest).read_bytes() == content


@pytest.mark.parametrize("name", ["a b.mp4", 'it\'s "q".mp4', "-dash.mp4", "a:b %03d.mp4", "漢字 🎬.webm", "two\nlines.mp4"])
def test_any_name_is_taken_and_the_original_stays_as_it_was(tmp_path: Path, name: str) -> None:
    original = tmp_path / name
    original.write_bytes(b"content")
    original.chmod(0o444)
    before = original.stat()
    keep(tmp_path / "data", original)
    after = original.stat()
    assert (before.st_mtime_ns, before.st_mode, before.st_ino) == (after.st_mtime_ns, after.st_mode, after.st_ino)


def test_keeping_twice_writes_once(tmp_path: Path) -> None:
    original = tmp_path / "clip.mp4"
    original.write_bytes(b"content")
    first = media_path(tmp_path, keep(tmp_path, original)).stat()
    second = media_path(tmp_path, keep(tmp_path, original)).stat()
    assert (first.st_ino, first.st_mtime_ns) == (second.st_ino, second.st_mtime_ns)


def test_a_kept_file_that_was_cut_short_is_made_whole_again(tmp_path: Path) -> None:
    original = tmp_path / "clip.mp4"
    original.write_bytes(b"content")
    kept = media_path(tmp_path, keep(tmp_path, original))
    kept.write_bytes(b"con")
    keep(tmp_path, original)
    assert kept.read_bytes() == b"content"


def test_many_at_once_keep_one_file_and_leave_nothing_else(tmp_path: Path) -> None:
    original = tmp_path / "clip.mp4"
    original.write_bytes(os.urandom(1 << 20))
    with ThreadPoolExecutor(8) as pool:
        digests = set(pool.map(lambda _: keep(tmp_path / "data", original), range(16)))
    assert all_files(tmp_path / "data") == [media_path(tmp_path / "data", digest) for digest in digests]
    assert digest_of(all_files(tmp_path / "data")[0]) in digests


@pytest.mark.parametrize("digest", ["", "a" * 63, "a" * 65, "A" * 64, "g" * 64, "../" + "a" * 61, "a" * 64 + "\n", "/" * 64, "a" * 62 + "/.", "٣" * 64])
def test_only_digests_name_media(tmp_path: Path, digest: str) -> None:
    with pytest.raises(InputError, match="64 digits"):
        media_path(tmp_path, digest)


def test_a_missing_file_and_a_folder_are_named_in_the_refusal(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"gone\.mp4"):
        keep(tmp_path / "data", tmp_path / "gone.mp4")
    with pytest.raises(InputError, match="cannot be read"):
        keep(tmp_path / "data", tmp_path)
    assert not (tmp_path / "data").exists()


@pytest.mark.skipif(not CHANGES_AT_EACH_READING.exists(), reason="needs a file that differs at each reading")
def test_a_file_that_changes_while_it_is_copied_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConflictError, match="changed while it was copied"):
        keep(tmp_path, CHANGES_AT_EACH_READING)
    assert all_files(tmp_path) == []


@pytest.mark.parametrize("problem", [KeyboardInterrupt, ValueError])
def test_what_breaks_off_leaves_the_old_file_and_nothing_half_written(tmp_path: Path, problem: type[BaseException]) -> None:
    target = tmp_path / "proxy.mp4"
    target.write_bytes(b"old")
    with pytest.raises(problem), replacing(target) as part:
        part.write_bytes(b"ne")
        assert target.read_bytes() == b"old", "nobody sees the new one before it is whole"
        raise problem
    assert all_files(tmp_path) == [target]
    assert target.read_bytes() == b"old"


def run_keep(limit: str, data: Path, original: Path) -> str:
    """Keep a file in a process of its own after running `limit` there; return "kept", or the text of the StorageError."""
    script = f"""
import os, resource, sys
from pathlib import Path
from store.errors import StorageError
from store.media_files import keep
{limit}
try:
    keep(Path(sys.argv[1]), Path(sys.argv[2]))
    print("kept")
except StorageError as problem:
    print(problem)
"""
    command = [sys.executable, "-c", script, str(data), str(original)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def test_a_full_disk_is_told_in_a_sentence_and_nothing_half_written_stays(tmp_path: Path) -> None:
    original = tmp_path / "clip.mp4"
    original.write_bytes(os.urandom(3 << 20))
    data = tmp_path / "data"
    said = run_keep("resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))", data, original)
    assert "no room on the disk" in said and "another data directory" in said
    assert all_files(data) == []
    assert run_keep("resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 20, 4 << 20))", data, original) == "kept", "the control: enough room"


def test_a_read_only_folder_is_told_in_a_sentence() -> None:
    become_nobody = "os.setgid(65534); os.setuid(65534)" if os.geteuid() == 0 else ""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        data, original = Path(folder) / "data", Path(folder) / "clip.mp4"
        original.write_bytes(b"content")
        data.mkdir(mode=0o555)
        said = run_keep(become_nobody, data, original)
        assert "cannot be written" in said and "another data directory" in said
        data.chmod(0o777)
        assert run_keep(become_nobody, data, original) == "kept", "the control: the right to write is what was missing"


def test_a_data_directory_that_is_a_file_is_told_in_a_sentence(tmp_path: Path) -> None:
    original = tmp_path / "clip.mp4"
    original.write_bytes(b"content")
    with pytest.raises(StorageError, match="Not a directory"):
        keep(original, original)
