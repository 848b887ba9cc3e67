"""A file that is made to break its decoder costs itself only: the import goes on, the maker of copies goes on, and the app decodes nothing."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from curation import import_media, proxies
from curation.importing import ImportRequest, run_import
from curation.proxies import WORK, make_proxies
from store.database import check, open_store
from store.guard import Limits
from tests.clips import make_clip
from tests.curation.test_importing import CLIP, videos, write
from tests.store import hostile
from tests.store.test_guard import is_gone

ROOT = Path(__file__).resolve().parents[2]


def request(tmp_path: Path, *names: str) -> ImportRequest:
    """Ask for a clip of each of these videos."""
    records = [{**CLIP, "id": name, "video": name} for name in names]
    return ImportRequest("jsonl", write(tmp_path / "in.jsonl", *records), tmp_path / "data", videos(tmp_path))


@pytest.mark.parametrize(("statement", "loads"), [("run_import(request)", False), ("probe(request.videos / 'c.mp4')", True)], ids=["import", "the control"])
def test_an_import_of_videos_does_not_load_the_decoder_into_the_app(tmp_path: Path, statement: str, loads: bool) -> None:
    videos(tmp_path, "c.mp4")
    script = f"""
import sys
from pathlib import Path
from curation.importing import ImportRequest, run_import
from store.media import probe
request = ImportRequest("jsonl", Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
found = {statement}
sys.stdout.write(str("av" in sys.modules))
"""
    asked = request(tmp_path, "c")
    command = [sys.executable, "-c", script, str(asked.file), str(asked.data), str(asked.videos)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == str(loads)
    with open_store(tmp_path / "data") as db:
        assert db["media"].count == (not loads)


def test_pictures_too_large_for_memory_are_named_and_the_other_files_come_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_media, "limits_for", lambda *_: Limits(memory_bytes=384 << 20))
    folder = videos(tmp_path, "a.mp4", "z.mp4")
    hostile.make_huge(folder / "huge.gif", 8_000)
    (folder / "garbage.mp4").write_bytes(os.urandom(10_000))
    summary = run_import(request(tmp_path, "a", "garbage", "huge", "z"))
    assert summary.media.found == ("a", "z")
    garbage, huge = summary.media.unreadable
    assert (garbage.name, huge.name) == ("garbage", "huge")
    assert "garbage.mp4 is not a video" in garbage.reason
    assert "huge.gif needs more than 0.375 GiB of memory" in huge.reason
    assert check(tmp_path / "data") == []


@pytest.mark.parametrize(("stand_in", "said"), [(hostile.crash_on, "SIGSEGV"), (hostile.loop_on, "given up after 1 s")])
def test_a_decoder_that_crashes_or_hangs_is_a_reason_beside_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stand_in: Callable[..., None], said: str
) -> None:
    monkeypatch.setattr(import_media, "probe", stand_in)
    monkeypatch.setattr(import_media, "limits_for", lambda *_: Limits(seconds=1.0))
    videos(tmp_path, "c.mp4")
    (trouble,) = run_import(request(tmp_path, "c")).media.unreadable
    assert said in trouble.reason
    assert "c.mp4" in trouble.reason


@pytest.mark.parametrize(("stand_in", "said"), [(hostile.crash_on, "SIGSEGV"), (hostile.loop_on, "given up after 1 s")])
def test_the_maker_of_copies_outlives_a_file_that_crashes_or_hangs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stand_in: Callable[..., None], said: str
) -> None:
    make_clip(videos(tmp_path) / "old.avi", seconds=0.4, codec="mpeg4")
    run_import(request(tmp_path, "old"))
    with monkeypatch.context() as patch:
        patch.setattr(proxies, "make_proxy", stand_in)
        patch.setattr(proxies, "limits_for", lambda *_: Limits(seconds=1.0))
        ((name, reason),) = make_proxies(tmp_path / "data").failed
    assert name == "old.avi"
    assert reason.startswith("old.avi ")
    assert said in reason
    assert not (tmp_path / "data" / WORK).exists()
    with open_store(tmp_path / "data") as db:
        assert [(row["health"], row["health_reason"]) for row in db["media"].rows] == [("unreadable", reason)]


def test_an_import_that_is_stopped_does_not_wait_for_the_file_that_is_being_read(tmp_path: Path) -> None:
    script = """
import signal, sys
from pathlib import Path
from curation import import_media
from curation.importing import ImportRequest, run_import
from tests.store.hostile import tell_and_loop
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests in the background may have switched it off
import_media._probed = lambda path, size_bytes, worker: worker.call(tell_and_loop, Path(sys.argv[4]))
run_import(ImportRequest("jsonl", Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])))
"""
    os.mkfifo(tmp_path / "pipe")
    videos(tmp_path, "c.mp4")
    asked = request(tmp_path, "c")
    command = [sys.executable, "-c", script, str(asked.file), str(asked.data), str(asked.videos), str(tmp_path / "pipe")]
    app = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    looping = int((tmp_path / "pipe").read_text())  # waits until the child is at work
    try:
        app.send_signal(signal.SIGINT)
        assert app.wait(20) != 0
        assert is_gone(looping)
    finally:
        app.kill()  # else a failure here would take a core from all tests that follow
