"""An import that is killed, interrupted or out of room leaves no row; two at once do not spoil each other; the command line says it in one sentence."""

import json
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from curation.__main__ import main
from curation.importing import ImportRequest, run_import
from store.database import check, open_store
from tests.curation.test_importing import CLIP, QA, all_rows, videos, write

ROOT = Path(__file__).resolve().parents[2]
BIG = ROOT / "assets" / "demo" / "cockatoo.mp4"  # 878 kB
ROWS = 1_000
# Stops the process without a chance to clean up, once some rows are in.
KILLED = """
import os, signal, sys
from pathlib import Path
from curation.importing import ImportRequest, run_import
def kill(share, text):
    if share > 0.9: os.kill(os.getpid(), signal.SIGKILL)
run_import(ImportRequest("jsonl", Path(sys.argv[1]), Path(sys.argv[2])), kill)
"""
# The same rows by the same function, but without the transaction.
UNGUARDED = """
import os, signal, sys
from pathlib import Path
from curation.import_records import Shelf
from curation.import_rows import store_rows
from curation.importing import ImportRequest, read_all
from store.database import open_store
def kill(share):
    if share > 0.5: os.kill(os.getpid(), signal.SIGKILL)
reading = read_all(ImportRequest("jsonl", Path(sys.argv[1]), Path(sys.argv[2])))
with open_store(Path(sys.argv[2])) as db:
    store_rows(Shelf(db, {}, 2), reading.items, kill)
"""


def many(tmp_path: Path) -> Path:
    return write(tmp_path / "in.jsonl", CLIP, *({**QA, "id": str(number)} for number in range(ROWS)))


def run_script(script: str, *arguments: Path) -> int:
    return subprocess.run([sys.executable, "-c", script, *map(str, arguments)], cwd=ROOT, check=False).returncode


def command_for(source: Path, folder: Path, data: Path) -> list[str]:
    return [sys.executable, "-m", "curation", "import", "jsonl", str(source), "--videos", str(folder), "--data", str(data)]


def rows_in(data: Path) -> int:
    return sum(len(rows) for rows in all_rows(data).values())


def test_a_killed_import_leaves_no_row_and_the_next_one_is_whole(tmp_path: Path) -> None:
    assert run_script(KILLED, many(tmp_path), tmp_path / "data") == -signal.SIGKILL
    assert rows_in(tmp_path / "data") == 0
    summary = run_import(ImportRequest("jsonl", many(tmp_path), tmp_path / "data"))
    assert summary.rows.added == ROWS + 1
    assert check(tmp_path / "data") == []


def test_the_control_without_the_transaction_a_killed_import_leaves_half(tmp_path: Path) -> None:
    with open_store(tmp_path / "data"):
        pass
    assert run_script(UNGUARDED, many(tmp_path), tmp_path / "data") == -signal.SIGKILL
    assert 0 < rows_in(tmp_path / "data") < ROWS


def test_an_import_that_is_interrupted_keeps_only_what_it_knows_of_files(tmp_path: Path) -> None:
    def interrupt(share: float, text: str) -> None:
        if text.startswith("Storing"):
            raise KeyboardInterrupt

    videos(tmp_path, "c.mp4")
    with pytest.raises(KeyboardInterrupt):
        run_import(ImportRequest("jsonl", many(tmp_path), tmp_path / "data", tmp_path / "videos"), interrupt)
    left = {table for table, rows in all_rows(tmp_path / "data").items() if rows}
    assert left == {"media", "frame_times"}
    assert check(tmp_path / "data") == []


def test_two_imports_at_once_take_every_row_in_once(tmp_path: Path) -> None:
    command = command_for(many(tmp_path), videos(tmp_path, "c.mp4"), tmp_path / "data")
    both = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    told = [json.loads(process.communicate()[0]) for process in both]
    assert sorted(summary["added"] for summary in told) == [0, ROWS + 1]
    assert check(tmp_path / "data") == []


def test_a_full_disk_is_one_sentence_and_leaves_no_row(tmp_path: Path) -> None:
    shutil.copy(BIG, videos(tmp_path) / "c.mp4")
    limit = BIG.stat().st_size - 1  # the database fits, the video does not
    command = command_for(write(tmp_path / "in.jsonl", CLIP), tmp_path / "videos", tmp_path / "data")
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "there is no room on the disk" in done.stderr.splitlines()[-1]
    assert rows_in(tmp_path / "data") == 0


def test_the_command_prints_json_and_returns_0_although_rows_were_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write(tmp_path / "in.jsonl", CLIP, {"record": "x"})
    arguments = ["import", "jsonl", str(source), "--videos", str(videos(tmp_path)), "--data", str(tmp_path / "data")]
    for added in (1, 0):
        assert main(arguments) == 0
        summary = json.loads(capsys.readouterr().out)
        assert (summary["rows_read"], summary["added"], summary["rejected"]) == (2, added, 1)
        assert summary["rejections"][0].keys() == {"file", "line", "field", "reason"}
        assert summary["media"]["missing"] == ["c"]


def test_the_command_returns_2_with_one_sentence_when_nothing_can_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.csv").write_text("video,question\n")
    assert main(["import", "nextqa", str(tmp_path / "bad.csv"), "--videos", str(tmp_path), "--data", str(tmp_path / "data")]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.splitlines()[-1] == "bad.csv lacks the columns answer, qid, type. Its first row names: video, question."


def test_find_media_is_a_command_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write(tmp_path / "in.jsonl", CLIP)
    main(["import", "jsonl", str(source), "--videos", str(videos(tmp_path)), "--data", str(tmp_path / "data")])
    videos(tmp_path, "c.mp4")
    capsys.readouterr()
    assert main(["find-media", "--videos", str(tmp_path / "videos"), "--data", str(tmp_path / "data")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["clips_given"], told["media"]["found"]) == (1, 1)
