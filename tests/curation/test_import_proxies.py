"""A file that no browser plays gets a copy that one does; the original stays, and two makers never work at once."""

import fcntl
import subprocess
import threading
from pathlib import Path

import pytest

from curation.import_media import find_media
from curation.importing import ImportRequest, run_import
from curation.proxies import LOCK, LOG, make_proxies, start_proxy_maker
from store.clips import get_media, list_clips, media_without_proxy, waiting_clips
from store.database import check, open_store
from store.media import digest_of, media_path, probe
from store.records import Media
from tests.curation.test_importing import CLIP, REAL, videos, write


@pytest.fixture(scope="session")
def avi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a second of the real clip as MPEG-4 in AVI, which no browser plays."""
    path = tmp_path_factory.mktemp("avi") / "old.avi"
    subprocess.run(["ffmpeg", "-v", "error", "-i", str(REAL), "-t", "0.5", "-c:v", "mpeg4", "-an", str(path)], check=True)
    return path


@pytest.fixture
def data(tmp_path: Path, avi: Path) -> Path:
    """A data directory whose one clip has the AVI."""
    (videos(tmp_path) / "c.avi").write_bytes(avi.read_bytes())
    summary = run_import(ImportRequest("jsonl", write(tmp_path / "in.jsonl", CLIP), tmp_path / "data", tmp_path / "videos"))
    assert summary.media.waiting_for_proxy == ("c",)
    return tmp_path / "data"


def media_of_clip(data: Path) -> Media:
    with open_store(data) as db:
        digest = list_clips(db)[0].digest
        media = get_media(db, digest or "")
    assert media is not None
    return media


def test_the_copy_plays_and_the_original_is_as_it_was(data: Path, avi: Path) -> None:
    assert make_proxies(data).made == ("c.avi",)
    media = media_of_clip(data)
    assert media.proxy_digest is not None
    assert probe(media_path(data, media.proxy_digest)).playable
    assert digest_of(media_path(data, media.digest)) == digest_of(avi)
    assert make_proxies(data).made == ()
    assert check(data) == []


def test_a_file_of_which_no_copy_can_be_made_is_unreadable_with_the_reason_and_can_be_replaced(data: Path, tmp_path: Path) -> None:
    media_path(data, media_of_clip(data).digest).write_bytes(b"damaged since")
    ((name, reason),) = make_proxies(data).failed
    assert name == "c.avi"
    media = media_of_clip(data)
    assert (media.health, media.health_reason) == ("unreadable", reason)
    with open_store(data) as db:
        assert [clip.external_id for clip in waiting_clips(db)] == ["c"]
    (tmp_path / "videos" / "c.avi").unlink()
    assert find_media(data, videos(tmp_path, "c.mp4"), None, lambda share, text: None).clips == 1


def test_a_second_maker_leaves_the_work_to_the_first(data: Path) -> None:
    with (data / LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert make_proxies(data).is_elsewhere
    assert make_proxies(data).made


def test_a_file_that_comes_while_a_maker_works_is_not_forgotten(data: Path, tmp_path: Path, avi: Path) -> None:
    """The second file's own maker finds the lock held and goes away; the first one looks again before it ends."""

    def bring_another(share: float, text: str) -> None:
        folder = videos(tmp_path)
        if not (folder / "e.avi").exists():
            (folder / "e.avi").write_bytes(avi.read_bytes() + b"\0" * 16)
            run_import(ImportRequest("jsonl", write(tmp_path / "e.jsonl", {**CLIP, "id": "e", "video": "e"}), data, folder))
            assert make_proxies(data).is_elsewhere

    assert make_proxies(data, bring_another).made == ("c.avi", "e.avi")


def test_the_background_maker_outlives_its_starter_and_writes_a_log(data: Path) -> None:
    started = start_proxy_maker(data)
    waited = threading.Event()
    for _ in range(300):
        with open_store(data) as db:
            if not media_without_proxy(db):
                break
        waited.wait(0.1)
    assert started > 0
    assert media_of_clip(data).proxy_digest is not None
    assert (data / LOG).is_file()
