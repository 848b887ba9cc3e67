"""The page Frames behind its routes: who may ask, what is decoded and where, what is kept, and what is said when it cannot be."""

import base64
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from starlette.middleware.sessions import SessionMiddleware

from curation.ui.access import make_access
from curation.ui.sentences import SentenceRoute
from curation.ui.session_routes import build_session_router
from store.accounts import add_account
from store.clip_search import find_clips
from store.clips import add_clip, add_media, set_health
from store.database import open_store
from store.errors import ConflictError, InputError, NotFoundError
from store.media import frame_times, shown_frames
from store.media_files import keep, media_path
from store.records import Clip, FrameTimes, Media
from store.rows import digest_id, utc_now
from tests.clips import make_clip, uneven_times
from tests.seeds import seed_project
from training.made_once import KeptFiles, MadeOnce
from training.pool_preview import LONGEST_S, MOST_COLUMNS, PreviewOrder, _names, pooled_preview
from training.pooling import METHODS, PoolSettings, average_fps, pool
from training.ui.frames_routes import build_frames_router

PASSWORD = "long enough"
ROOT = Path(__file__).resolve().parents[2]
START_S = 0.41  # of the clip in its file: no frame begins there
Json = dict[str, Any]
Visit = Callable[[str], TestClient]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of 9.6 s whose frames are shown for 20 to 80 ms."""
    path = tmp_path_factory.mktemp("film") / "uneven.mp4"
    make_clip(path, times_s=uneven_times(110).tolist())
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, film: Path) -> Path:
    """A project with one clip of the film, one without a file, one whose file is damaged, and texts about yet another."""
    data = tmp_path_factory.mktemp("data")
    broken = data / "broken.mp4"
    broken.write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    with open_store(data) as db:
        for name, role in (("ann", "annotator"), ("jo", "adjudicator"), ("lea", "admin")):
            add_account(db, name, PASSWORD, role)
        for name, source in (("film", film), ("broken", broken)):
            times_s, end_s = frame_times(film)
            digest = keep(data, source)
            media = Media(digest, f"{name}.mp4", 1, "mp4", "h264", None, 160, 64, 0, end_s, len(times_s), True, None, "ok", None, utc_now())
            add_media(db, media, FrameTimes(digest, times_s.tobytes()))
            add_clip(db, Clip(digest_id(name), "cinema", f"A {name} of Mine", f"{name}.mp4", digest, START_S, None, name, "train"))
        add_clip(db, Clip(digest_id("gone"), "series", "gone", "gone.mp4", None, 0.0, 3.0, "gone", "train"))
        seed_project(db)
    return data


@pytest.fixture
def visit(data: Path) -> Iterator[Visit]:
    """Return a function: name -> a browser in which that person is signed in; "" is nobody."""
    access = make_access(data)
    api = FastAPI()
    api.include_router(build_session_router(access))
    api.include_router(build_frames_router(access, SentenceRoute))
    api.add_middleware(SessionMiddleware, secret_key="secret")
    with TestClient(api) as client:

        def signed_in(name: str) -> TestClient:
            client.cookies.clear()
            if name:
                client.post("/login", data={"name": name, "password": PASSWORD}, headers={"origin": "http://testserver"})
            return client

        yield signed_in
    access.writer.close()


def pooled(client: TestClient, name: str = "film", **asked: object) -> tuple[int, Json]:
    answer = client.get(f"/api/frames/pooled/{digest_id(name)}", params=asked)  # type: ignore[arg-type]
    return answer.status_code, answer.json()


def pixels_of(url: str) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))))


# who may ask


def test_an_annotator_gets_403_and_nobody_401_on_every_route(visit: Visit) -> None:
    for name, status in (("ann", 403), ("", 401), ("jo", 200), ("lea", 200)):
        client = visit(name)
        for path in ("clips", f"clip/{digest_id('film')}", f"pooled/{digest_id('film')}"):
            assert client.get(f"/api/frames/{path}").status_code == status, (name, path)


def test_nothing_that_is_said_of_a_clip_tells_of_its_questions_and_texts(visit: Visit) -> None:
    client = visit("jo")
    told = client.get("/api/frames/clips").text + client.get(f"/api/frames/clip/{digest_id('clip', 'one')}").text
    assert "one" in told
    assert not [word for word in ("secret-writer", "why did he run", "to catch it", "runs", "smiles") if word in told]


# finding a clip


def test_clips_are_found_by_words_in_any_order_of_name_and_data_set(visit: Visit) -> None:
    client = visit("jo")

    def found(**asked: object) -> list[str]:
        return [one["name"] for one in client.get("/api/frames/clips", params=asked).json()["clips"]]  # type: ignore[arg-type]

    assert found() == ["A broken of Mine", "A film of Mine", "gone", "one"]
    assert found(words="MINE fil") == found(words="film mine") == ["A film of Mine"]
    assert found(words="%") == found(words="film gone") == []
    assert found(dataset="series") == found(words="series") == ["gone"]
    assert client.get("/api/frames/clips").json()["datasets"] == ["cinema", "series", "test"]


def test_pages_of_clips_hold_each_once(tmp_path: Path) -> None:
    with open_store(tmp_path) as db:
        for number in range(23):
            add_clip(db, Clip(digest_id(number), "set", f"clip {number:02}", "x.mp4", None, 0.0, 1.0, "g", "train"))
        pages = [find_clips(db, "clip", None, start, 10) for start in (0, 10, 20, 30)]
    assert [one.clip.external_id for page, _ in pages for one in page] == [f"clip {number:02}" for number in range(23)]
    assert [count for _, count in pages] == [23, 23, 23, 0]


# what is pooled


@pytest.mark.parametrize("weights", ["time", "povqa"])
@pytest.mark.parametrize("window_s", [0.5, 1.0, 2.5])
def test_the_pages_of_a_clip_hold_the_windows_of_the_whole_clip(film: Path, weights: Any, window_s: float) -> None:
    settings = PoolSettings(window_s, weights)
    order = PreviewOrder("x", START_S, None, 0, settings, 160)
    shown, total = [], 1
    while len(shown) < total:
        page = json.loads(pooled_preview(film, replace(order, first=len(shown))))
        shown, total = [*shown, *page["windows"]], page["total"]
    times_s, end_s = frame_times(film)
    whole = list(pool(shown_frames(film, START_S, end_s, 160), METHODS, settings, START_S, end_s, average_fps(times_s, end_s)))
    assert [one["name"] for one in shown] == [str(number + 1) for number in range(len(whole))]
    for one, other in zip(shown, whole, strict=True):
        assert (one["start_s"] + START_S, one["end_s"] + START_S, one["frames"]) == pytest.approx((other.start_s, other.end_s, len(other.times_s)), abs=1e-5)
        for method in METHODS:
            assert sum(column["weights"][method] for column in one["columns"]) == pytest.approx(1, abs=1e-4)
            off = np.abs(pixels_of(one["pictures"][method]).astype(int) - other.pictures[method])
            assert off.mean() < 2, "but for what JPEG does"
    assert np.abs(pixels_of(shown[0]["pictures"]["WA"]).astype(int) - whole[1].pictures["WA"]).mean() > 4, "the control: windows differ"


def test_columns_hold_every_frame_once_and_a_window_of_many_frames_has_no_more_than_fit(film: Path) -> None:
    page = json.loads(pooled_preview(film, PreviewOrder("x", 0.0, None, 0, PoolSettings(4.0), 160)))
    first = page["windows"][0]
    assert first["frames"] > MOST_COLUMNS >= len(first["columns"])
    assert sum(column["frames"] for column in first["columns"]) == first["frames"]
    assert len({column["frames"] for column in first["columns"][:-1]}) == 1, "groups of one size: their weights can be compared"
    assert all(column["thumb"].startswith("data:image/jpeg") for column in first["columns"])
    assert first["like_frames"]["WA"] > first["like_frames"]["WAR"] > first["like_frames"]["BBLF"]


def test_windows_that_shots_cut_are_named_by_their_place_in_the_clip(tmp_path: Path) -> None:
    path = tmp_path / "shots.mp4"
    write_shots(path)
    settings = PoolSettings(1.0, cut_at_shots=True)
    page = json.loads(pooled_preview(path, PreviewOrder("x", 0.0, None, 0, settings, 160)))
    assert [(one["name"], one["is_cut"]) for one in page["windows"]] == [("1", True), ("1b", True), ("2", False)]
    assert page["total"] == 2
    later = json.loads(pooled_preview(path, PreviewOrder("x", 0.0, None, 1, settings, 160)))
    assert [one["name"] for one in later["windows"]] == ["2"], "as on the page before"


def test_windows_of_one_place_have_names_of_their_own_however_many_there_are() -> None:
    pooled = [SimpleNamespace(start_s=30 + number / 10) for number in range(80)]
    names = _names(pooled, PreviewOrder("x", 0.0, None, 0, PoolSettings(30.0, cut_at_shots=True), 160), 2)  # type: ignore[arg-type]
    assert names[:2] + names[24:27] + names[50:52] == ["2", "2b", "2y", "2z", "2zb", "2zz", "2zzb"]
    assert len(set(names)) == 80


def test_a_rest_that_is_no_window_of_its_own_is_no_place_either(film: Path) -> None:
    length_s = frame_times(film)[1]
    settings = PoolSettings(length_s / 3.02)
    page = json.loads(pooled_preview(film, PreviewOrder("x", 0.0, None, 0, settings, 160)))
    assert ([one["name"] for one in page["windows"]], page["total"]) == (["1", "2", "3"], 3)
    assert page["windows"][-1]["end_s"] == pytest.approx(length_s, abs=1e-5)
    last = json.loads(pooled_preview(film, PreviewOrder("x", 0.0, None, 2, settings, 160)))["windows"]
    assert [(one["name"], one["end_s"]) for one in last] == [("3", page["windows"][-1]["end_s"])], "on a page of its own too"


def write_shots(path: Path) -> None:
    """Write 2 s of which the first 0.6 are dark and the others bright."""
    import av

    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 64, "yuv420p"
        for number in range(50):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((64, 160, 3), 30 if number < 15 else 200, np.uint8), format="rgb24")))
        out.mux(stream.encode())


@given(window_s=st.floats(0.001, LONGEST_S), first=st.integers(0, 10**6))
def test_what_is_decoded_at_once_is_never_longer_than_the_limit(window_s: float, first: int) -> None:
    order = PreviewOrder("x", 0.0, None, first, PoolSettings(window_s), 320)
    assert order.count >= 1
    assert order.count * window_s <= LONGEST_S


# what is said when it cannot be


def test_settings_that_cannot_be_are_refused_with_a_sentence(visit: Visit) -> None:
    client = visit("jo")
    for asked, said in (
        ({"window_s": 0}, "A window of 0 s cannot be"),
        ({"window_s": "nan"}, "A window of nan s"),
        ({"window_s": LONGEST_S + 1}, "longer than this page decodes at once"),
        ({"half_life_s": 0}, "half-life of 0 s"),
        ({"last_share": 2}, "share is 2"),
        ({"size_px": 99999}, "choose one of 160, 224"),
        ({"first": -1}, "counted from 1"),
        ({"first": 400}, "The clip has 9 windows of 1 s; number 401 lies behind them"),
        ({"weights": "povqa", "linear_light": True}, "turn linear light"),
        ({"window_s": "long"}, "has not the form"),
    ):
        status, body = pooled(client, **asked)
        assert status == 400, asked
        assert said in body["error"], body


def test_a_clip_without_a_file_that_can_be_read_says_why(visit: Visit, data: Path) -> None:
    client = visit("jo")
    status, body = pooled(client, "gone")
    assert (status, "'gone.mp4' of this clip has not been imported" in body["error"]) == (404, True)
    assert client.get(f"/api/frames/clip/{digest_id('gone')}").json()["problem"] == body["error"]
    status, body = pooled(client, "nobody")
    assert (status, "There is no clip" in body["error"]) == (404, True)
    with open_store(data) as db:
        clip = digest_id("clip", "one")
        assert "is gone" in client.get(f"/api/frames/clip/{clip}").json()["problem"], "a row without its file"
        set_health(db, next(db.query("SELECT digest FROM clip WHERE id = ?", [clip]))["digest"], "unreadable", "It holds no picture.")
    assert "It holds no picture" in client.get(f"/api/frames/pooled/{clip}").json()["error"]


def test_a_damaged_file_is_refused_under_the_name_that_people_know(visit: Visit, data: Path) -> None:
    status, body = pooled(visit("jo"), "broken")
    assert status == 400
    assert "broken.mp4" in body["error"]
    assert str(data) not in body["error"]


def test_a_clip_that_lies_behind_its_file_is_refused_with_its_times(film: Path) -> None:
    with pytest.raises(InputError, match="begins at 500 s, and its file ends at"):
        pooled_preview(film, PreviewOrder("x", 500.0, None, 0, PoolSettings(), 160))


# what is kept


def test_what_was_made_once_is_not_decoded_again(visit: Visit, data: Path, film: Path) -> None:
    asked = {"first": 1, "window_s": 0.7}
    status, body = pooled(visit("jo"), **asked)
    path = media_path(data, keep(data, film))
    path.rename(path.with_suffix(".away"))
    try:
        assert (status, pooled(visit("lea"), **asked)) == (200, (200, body))
        assert pooled(visit("jo"), first=1, window_s=0.8)[0] == 404, "the control: other windows need the file"
    finally:
        path.with_suffix(".away").rename(path)


def test_what_was_not_looked_at_for_longest_makes_room(tmp_path: Path) -> None:
    cache = KeptFiles(tmp_path / "kept", limit_bytes=250)
    for age, key in enumerate("abc"):
        cache.keep(key, key.encode() * 100)
        os.utime(tmp_path / "kept" / key, (age, age))
    assert cache.read("a") is None
    assert cache.read("b") == b"b" * 100
    cache.keep("d", b"d" * 100)
    assert [cache.read(key) is not None for key in "abcd"] == [False, True, False, True], "b was looked at after c was made"
    cache.keep("e", b"e" * 900)
    assert cache.read("e"), "the newest stays, however large"


def in_thread(results: list[object], previews: MadeOnce, person: str, key: str, make: Callable[[], bytes]) -> threading.Thread:
    def run() -> None:
        try:
            results.append(previews.get(person, key, make))
        except (ConflictError, InputError) as refusal:
            results.append(str(refusal))

    thread = threading.Thread(target=run)
    thread.start()
    return thread


class Making:
    """Something that is made slowly: it waits to be let go, and counts how often it was begun."""

    def __init__(self, made: bytes | InputError) -> None:
        self.made, self.count, self.begun, self.go = made, 0, threading.Event(), threading.Event()

    def __call__(self) -> bytes:
        self.count += 1
        self.begun.set()
        assert self.go.wait(10)
        if isinstance(self.made, InputError):
            raise self.made
        return self.made


@pytest.mark.parametrize("made", [b"frames", InputError("no frames")])
def test_two_who_ask_for_the_same_wait_for_one_making_of_it(tmp_path: Path, made: Any) -> None:
    previews, making, results = MadeOnce(KeptFiles(tmp_path)), Making(made), []
    first = in_thread(results, previews, "jo", "same", making)
    assert making.begun.wait(10)
    second = in_thread(results, previews, "lea", "same", making)
    wait_until(lambda: previews.wanted == {"jo": "same", "lea": "same"})
    making.go.set()
    for thread in (first, second):
        thread.join(10)
    assert making.count == 1
    assert results == [made if isinstance(made, bytes) else str(made)] * 2
    assert previews.get("jo", "other", lambda: b"other") == b"other", "and the next one is made"


OVERTAKEN = "You asked for something else meanwhile, so this was not made. Ask again if you want it."


def test_who_asks_for_something_else_waits_no_longer_and_what_nobody_wants_is_not_made(tmp_path: Path) -> None:
    previews, results = MadeOnce(KeptFiles(tmp_path), at_once=1), []
    slow, dropped, last = Making(b"slow"), Making(b"dropped"), Making(b"last")
    for making in (dropped, last):
        making.go.set()
    threads = [in_thread(results, previews, "lea", "slow", slow)]
    assert slow.begun.wait(10)
    # What another thread makes, and what waits for its turn.
    for asker, key, making in (("jo", "slow", slow), ("kim", "dropped", dropped)):
        waiting = in_thread(results, previews, asker, key, making)
        wait_until(lambda asker=asker, key=key: previews.wanted.get(asker) == key)  # type: ignore[misc]
        threads.append(in_thread(results, previews, asker, "last", last))
        waiting.join(10)
        assert results == [OVERTAKEN], "while the slow one still goes on"
        results.clear()
    slow.go.set()
    for thread in threads:
        thread.join(10)
    assert (slow.count, dropped.count, last.count) == (1, 0, 1)
    assert sorted(map(str, results)) == sorted(map(str, [b"slow", b"last", b"last"])), "both who wanted the last one got it"
    assert previews.wanted == {}


def test_what_one_leaves_is_still_made_for_another(tmp_path: Path) -> None:
    previews, results = MadeOnce(KeptFiles(tmp_path), at_once=1), []
    slow, shared = Making(b"slow"), Making(b"shared")
    shared.go.set()
    threads = [in_thread(results, previews, "lea", "slow", slow)]
    assert slow.begun.wait(10)
    for asker in ("jo", "kim"):
        threads.append(in_thread(results, previews, asker, "shared", shared))
        wait_until(lambda asker=asker: previews.wanted.get(asker) == "shared")  # type: ignore[misc]
    threads.append(in_thread(results, previews, "jo", "slow", slow))
    wait_until(lambda: previews.wanted["jo"] == "slow")
    slow.go.set()
    for thread in threads:
        thread.join(10)
    assert shared.count == 1
    assert results.count(b"shared") >= 1


def test_a_bug_in_making_leaves_nobody_waiting(tmp_path: Path) -> None:
    previews = MadeOnce(KeptFiles(tmp_path))
    with pytest.raises(ZeroDivisionError):
        previews.get("jo", "key", lambda: bytes(1 // 0))
    assert previews.get("jo", "key", lambda: b"made") == b"made"


def wait_until(true: Callable[[], bool]) -> None:
    waiting = threading.Event()
    for _ in range(1000):
        if true():
            return
        waiting.wait(0.01)
    raise AssertionError("it did not come")


# where it is decoded


def test_the_app_decodes_in_a_child_and_ends_it_with_the_server(data: Path) -> None:
    script = f"""
import sys
from pathlib import Path
from types import SimpleNamespace
import psutil
from fastapi import FastAPI
from fastapi.testclient import TestClient
from training.ui.frames_routes import build_frames_router

def anybody():
    return SimpleNamespace(name="jo")

api = FastAPI()
api.include_router(build_frames_router(SimpleNamespace(data=Path({str(data)!r}), adjudicator=anybody)))
with TestClient(api) as client:
    answer = client.get("/api/frames/pooled/{digest_id("film")}", params={{"window_s": 0.9}})
    print(answer.status_code, len(psutil.Process().children()), end=" ")
print(len(psutil.Process().children()), sorted({{"av", "torch", "PIL"}} & set(sys.modules)))
"""
    told = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert told.strip() == "200 1 0 []"


def test_a_missing_file_is_no_preview(film: Path) -> None:
    with pytest.raises(NotFoundError):
        pooled_preview(film.with_name("nothing.mp4"), PreviewOrder("x", 0.0, None, 0, PoolSettings(), 320))
