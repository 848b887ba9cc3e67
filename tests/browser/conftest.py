"""A real server, a real Chromium and a clip whose every frame says its number: what browser tests start from."""

import re
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from app import Settings, make_server_app
from store.candidates import add_candidate, candidate_of, generator_of
from store.clips import add_clip, add_media, add_qa_pair
from store.database import open_store
from store.media_files import keep
from store.queue import enqueue
from store.records import Candidate, Clip, EvidenceSpan, FrameTimes, Media, QAPair, Subtitle
from store.rows import digest_id, utc_now

expect.set_options(timeout=15_000)
# Frames at uneven times: what counts frames by a constant rate is off by several at the end.
GAPS_MS = (20, 40, 60, 40, 20, 80)
FRAME_COUNT = 90
BITS = 8
# What the desk says to the server; with "?probe" what `intercept` asks with.
OPERATIONS = re.compile(r"/api/desk/operations(\?probe)?$")
TEXTS = {
    "rationale": "A man in a red coat runs to the ball before he waves. The bright sun glares off a lake, so he shades his eyes.",
    "rival": "He waves first, and then he runs. She picks the ball up.",
    "narrative": "A man runs to catch a ball. Then he stops and waves to somebody who stands behind the camera.",
    "markup": "<b>He</b> runs & <img src=x onerror=\"document.title='broken'\"> stops.",
    "hebrew": "הילד 👦🏽 רץ אל הכדור 🎾 לפני שהוא מנופף ביד.",
}
WRITER = generator_of("imported", "secret-writer", settings='{"temperature": 0.7}', answer_given=True)


@dataclass(frozen=True)
class Server:
    """Where the app answers, its data directory, and the candidates in it by name."""

    address: str
    data: Path
    candidates: dict[str, Candidate]
    frames: tuple[float, ...]

    def rows(self, query: str, *arguments: object) -> list[dict[str, object]]:
        """Return what the database says."""
        with open_store(self.data) as db:
            return list(db.query(query, list(arguments)))

    def give(self, annotator: str, name: str) -> str:
        """Lease a candidate to an annotator, so that it is shown first; return the assignment's id."""
        candidate_id = self.candidates[name].id
        assignment_id = digest_id("assignment", candidate_id, annotator, 1)
        with open_store(self.data) as db:
            row = {"id": assignment_id, "candidate_id": candidate_id, "annotator": annotator, "round": 1, "state": "leased"}
            db.table("assignment").insert(row | {"leased_at": "2000-01-01T00:00:00.000+00:00", "expires_at": "2100-01-01T00:00:00.000+00:00"})
        return assignment_id


def write_numbered_clip(path: Path) -> tuple[float, ...]:
    """Write an H.264 clip with uneven frame times, each frame's number as white and black blocks; return when each frame is shown."""
    import av

    times_ms = np.cumsum((0, *(GAPS_MS[index % len(GAPS_MS)] for index in range(FRAME_COUNT - 1))))
    with av.open(str(path), "w", format="mp4") as file:
        stream = file.add_stream("libx264", rate=25, options={"crf": "18", "g": "12", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        for number, time_ms in enumerate(times_ms):
            frame = av.VideoFrame.from_ndarray(numbered_picture(number), format="rgb24")
            frame.pts, frame.time_base = int(time_ms), Fraction(1, 1000)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return tuple(float(time) / 1000 for time in times_ms)


def numbered_picture(number: int) -> np.ndarray:
    picture = np.full((240, 320, 3), (70, 110, 90), np.uint8)
    for bit in range(BITS):
        picture[20:80, bit * 40 : bit * 40 + 40] = 235 if number >> bit & 1 else 20
    picture[140:200, number * 3 : number * 3 + 40] = (220, 120, 60)
    return picture


def fill(data: Path, clip_path: Path, frames: tuple[float, ...]) -> dict[str, Candidate]:
    """Put the clip, a question and four texts into a data directory, each wanted by many annotators; return the texts by name."""
    digest = keep(data, clip_path)
    length_s = frames[-1] + 0.04
    media = Media(digest, "numbers.mp4", clip_path.stat().st_size, "mp4", "h264", None, 320, 240, 0, length_s, len(frames), True, None, "ok", None, utc_now())
    with open_store(data) as db:
        add_media(db, media, FrameTimes(digest, np.array(frames, "<f8").tobytes()))
        clip = Clip(digest_id("clip"), "test", "numbers", media.name, digest, 0.0, None, "numbers", "train")
        add_clip(db, clip, [Subtitle(clip.id, 0, 0.5, 1.4, "Here, catch!")])
        options = ("to catch the ball", "to greet a friend", "to keep warm")
        pair = QAPair(digest_id("qa"), clip.id, "1", "Why did the man run?", options[0], options, 0, "CW", None, None, None)
        add_qa_pair(db, pair, [EvidenceSpan(pair.id, 0, 0.8, 2.2)])
        made = {name: candidate_of("rationale", clip.id, pair.id, WRITER, text) for name, text in TEXTS.items()}
        made["narrative"] = candidate_of("narrative", clip.id, None, WRITER, TEXTS["narrative"])
        for candidate in made.values():
            add_candidate(db, candidate, WRITER)
            enqueue(db, candidate.id, 90)
    return made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The app over a small project of the file's own, in a thread of this process; every annotator starts at the first text."""
    folder = tmp_path_factory.mktemp("desk")
    frames = write_numbered_clip(folder / "numbers.mp4")
    data = folder / "data"
    candidates = fill(data, folder / "numbers.mp4", frames)
    with served(data) as address:
        yield Server(address, data, candidates, frames)


class served:
    """Serve a data directory on a free port while the block runs; gives the address."""

    def __init__(self, data: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        app = make_server_app(Settings(data, port=self.port))
        self.server = uvicorn.Server(uvicorn.Config(app, port=self.port, log_level="warning", timeout_graceful_shutdown=1))
        self.thread = threading.Thread(target=self.server.run, daemon=True)

    def __enter__(self) -> str:
        self.thread.start()
        waiting = threading.Event()
        while not self.server.started:
            assert self.thread.is_alive(), "the server died while starting"
            waiting.wait(0.02)
        return f"http://127.0.0.1:{self.port}"

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self.thread.join(timeout=10)


@pytest.fixture
def context_of(chromium: Browser, server: Server) -> Iterator[Callable[[str], BrowserContext]]:
    """Return a function: annotator's name -> a browser of their own in which they are signed in."""
    opened: list[BrowserContext] = []

    def sign_in(name: str, **options: object) -> BrowserContext:
        context = chromium.new_context(viewport={"width": 1280, "height": 720}, **options)  # type: ignore[arg-type]
        context.set_default_timeout(10_000)
        context.request.post(f"{server.address}/login", form={"name": name})
        opened.append(context)
        return context

    yield sign_in
    for context in opened:
        context.close()


@pytest.fixture
def desk_of(context_of: Callable[[str], BrowserContext], server: Server) -> Callable[[str], Page]:
    """Return a function: annotator's name -> the desk with its first item on screen, the clip ready to play."""

    def open_desk(name: str) -> Page:
        return open_page(context_of(name), server)

    return open_desk


@pytest.fixture(autouse=True)
def _same_queue(request: pytest.FixtureRequest) -> Iterator[None]:
    """Put the queue's order right after each test of the shared project: what is given back goes behind all others, for everybody."""
    # Asked for before the test: at teardown a module's own server may be gone already.
    server = request.getfixturevalue("server") if "server" in request.fixturenames else None
    yield
    if not isinstance(server, Server) or set(TEXTS) != set(server.candidates):
        return
    with open_store(server.data) as db:
        for rank, name in enumerate(TEXTS, start=1):
            db.execute("UPDATE queue_entry SET rank = ? WHERE candidate_id = ?", [rank, server.candidates[name].id])


def open_page(context: BrowserContext, server: Server) -> Page:
    """Return a new tab with the desk, ready."""
    page = context.new_page()
    page.goto(server.address)
    expect(page.locator("#desk")).to_have_attribute("data-ready", "true")
    return page


def intercept(page: Page, answer: Callable[[Route], object], where: str | re.Pattern[str] = OPERATIONS, probe: str = "/api/desk/operations?probe") -> None:
    """Hand what the page sends to `where`, by default its operations, to `answer`, from now on; `page.unroute(where)` ends it. `probe` is sent there too.

    Chromium says yes to a route a moment before its first request takes it; on a slow machine the next key press was faster. So it is asked until it does.
    """
    probes: list[Route] = []

    def take(route: Route) -> None:
        if route.request.url.endswith("?probe"):
            probes.append(route)
            route.fulfill(status=204)
        else:
            answer(route)

    page.route(where, take)
    for _ in range(500):
        page.evaluate("probe => fetch(probe).then(() => null, () => null)", probe)
        if probes:
            return
    raise AssertionError("the route never took a request")


def select_words(page: Page, words: str) -> None:
    """Select words of the text as a mouse would, at their first place."""
    page.evaluate(
        """words => {
            const text = document.querySelector('#desk-text');
            const at = text.textContent.indexOf(words);
            const place = (offset) => {
                const walker = document.createTreeWalker(text, NodeFilter.SHOW_TEXT);
                for (let node = walker.nextNode(), before = 0; node; before += node.length, node = walker.nextNode())
                    if (offset <= before + node.length) return [node, offset - before];
            };
            getSelection().setBaseAndExtent(...place(at), ...place(at + words.length));
        }""",
        words,
    )


def expect_saved(page: Page) -> None:
    """Wait until the server has acknowledged everything."""
    expect(page.locator("#desk-saved")).to_have_attribute("data-state", "saved")


def frame_on_screen(page: Page) -> int:
    """Return the number that the picture in the video really shows."""
    return int(
        page.evaluate(
            """bits => {
                const video = document.querySelector('#desk-stage video:not([hidden])');
                const canvas = Object.assign(document.createElement('canvas'), {width: 320, height: 240});
                const pen = canvas.getContext('2d');
                pen.drawImage(video, 0, 0);
                let number = 0;
                for (let bit = 0; bit < bits; bit += 1) number |= (pen.getImageData(bit * 40 + 20, 50, 1, 1).data[0] > 128) << bit;
                return number;
            }""",
            BITS,
        )
    )


SEEN = re.compile(r"seen (\d+) %")
