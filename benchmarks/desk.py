"""What an annotator waits for in Chromium: the next clip after Enter, at once and over a network; and a session by keys alone."""

import contextlib
import json
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sqlite_utils
from playwright.sync_api import Browser, Page, expect, sync_playwright

from benchmarks.rows import Row, judged, main
from store.candidates import add_candidate, candidate_of
from store.clips import add_clip, add_media, add_qa_pair
from store.database import open_store, transaction
from store.media import keep, probe
from store.records import Candidate, Clip, FrameTimes, Media, QAPair
from store.rows import digest_id, utc_now
from tests.chromium import launch
from tests.kills import Annotator
from tests.seeds import WRITER

ROOT = Path(__file__).resolve().parents[1]
PLANTED = [flaw["quote"] for flaw in json.loads((ROOT / "assets" / "demo" / "planted.json").read_text(encoding="utf-8")) if flaw["quote"]]
ITEMS, USERS, THINK_S = 50_000, 20, 1.0
CLIPS, CLIP_S, CLIP_BITS = 24, 10, "8M"  # about 10 MB each, 1920 x 1080
# ms, bytes/s. Chromium shapes what a video loads too: 10 MB then take 2 s.
NETWORK = {"offline": False, "latency": 40, "downloadThroughput": 50e6 / 8, "uploadThroughput": 50e6 / 8}
SESSION = 20
PLAY_MS = 1_000
# From Enter to the screen refresh in which a frame of the next clip is drawn: the browser has reported the frame by then.
TIME_NEXT = """() => { window.next_ms = new Promise((resolve) => {
    const desk = document.querySelector('#desk');
    const { assignment } = desk.dataset;
    let begun = null;
    addEventListener('keydown', (event) => { begun = event.timeStamp; }, { capture: true, once: true });
    const look = () => {
        const shown = begun !== null && desk.dataset.assignment && desk.dataset.assignment !== assignment && desk.dataset.ready === 'true';
        if (shown) resolve(performance.now() - begun);
        else requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
}); }"""
NO_PRELOAD = "async () => { const { Player } = await import('/eyewitness/desk/player.js'); Player.prototype.preload = () => {}; }"


@dataclass(frozen=True)
class Walk:
    """How somebody goes through the queue: items to time, seconds on each, over a slow network or not, with the next clip loaded ahead or not."""

    name: str
    items: int
    seconds: float
    slow: bool
    ahead: bool


def measure(quick: bool) -> list[Row]:
    """Return the waits for the next clip, with their controls, and the session; `quick` times few items of a small queue."""
    with sync_playwright() as playwright:
        browser = launch(playwright)
        return [*next_clip(browser, quick), *session(browser, 4 if quick else SESSION)]


def next_clip(browser: Browser, quick: bool) -> list[Row]:
    """Return how long the next clip takes while others annotate."""
    share = 4 if quick else 1
    walks = [
        Walk("near", 20 // share, 2.0, slow=False, ahead=True),
        Walk("near without", 12 // share, 2.0, slow=False, ahead=False),
        Walk("far", 20 // share, 3.0, slow=True, ahead=True),
        Walk("far without", 12 // share, 3.0, slow=True, ahead=False),
    ]
    items = 500 if quick else ITEMS
    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder), items, 6 if quick else CLIPS)
        with served(Path(folder), "--no-demo") as address, others_at_work(address):
            took = {walk.name: waits_ms(browser, address, walk) for walk in walks}
    where = f"Enter -> next 1080p clip of 10 MB drawn, {items:,} items, {USERS} others at work"

    def told(name: str, figure: float) -> str:
        bare = len(took[f"{name} without"])
        return f"n = {len(took[name])}, max {max(took[name]):.0f} ms; with the hidden preloaded video switched off {figure:.0f} ms, n = {bare}"

    far, bare = float(np.percentile(took["far"], 95)), float(np.percentile(took["far without"], 95))
    return [
        judged(f"{where}, loopback, 2 s an item: median", float(np.median(took["near"])), "ms", "<= 20", told("near", float(np.median(took["near without"])))),
        judged(
            f"{where}, 50 Mbit/s and 40 ms, 3 s an item: median", float(np.median(took["far"])), "ms", None, told("far", float(np.median(took["far without"])))
        ),
        judged(f"{where}, 50 Mbit/s and 40 ms, 3 s an item: p95", far, "ms", "<= 100", told("far", bare)),
    ]


def waits_ms(browser: Browser, address: str, walk: Walk) -> list[float]:
    """Return how long each next clip took, for a person who is new and has an empty cache."""
    page = signed_in(browser, address, walk.name)
    if not walk.ahead:
        page.evaluate(NO_PRELOAD)
    if walk.slow:
        page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", NETWORK)
    found = []
    for _ in range(walk.items):
        page.keyboard.press("a")
        page.wait_for_timeout(1000 * walk.seconds)
        page.evaluate(TIME_NEXT)
        page.keyboard.press("Enter")
        found.append(float(page.evaluate("next_ms")))
    page.context.close()
    return found


def session(browser: Browser, items: int) -> list[Row]:
    """Return the active seconds of an item, as the app records them, when a script annotates the demo by keys alone."""
    with tempfile.TemporaryDirectory() as folder:
        with served(Path(folder)) as address:
            page = signed_in(browser, address, "script")
            page.evaluate("() => { window.clicks = 0; addEventListener('pointerdown', () => { window.clicks += 1; }, true); }")
            for _ in range(items):
                annotate(page)
            expect(page.locator("#desk-saved")).to_have_attribute("data-state", "saved")
            clicks = int(page.evaluate("clicks"))
            page.context.close()
        with open_store(Path(folder)) as db:
            kept = list(db.query("SELECT seconds_spent, verdict FROM annotation WHERE annotator = 'script' AND state = 'final'"))
    spent = [float(row["seconds_spent"]) for row in kept]
    rejected = sum(row["verdict"] == "reject" for row in kept)
    control = f"n = {len(spent)}, {rejected} with a flag on words and moment; a person reads and thinks besides: this is the least that the keys take"
    return [
        judged(f"a script, no person, annotates {items} demo items by keys alone: finished", len(spent), "items", f"== {items}", f"clicks: {clicks}"),
        judged(f"the same script, {PLAY_MS / 1000:g} s of each clip played: active seconds an item, median", float(np.median(spent)), "s", None, control),
    ]


def annotate(page: Page) -> None:
    """Play a bit; where a planted flaw stands select words, flag, say how bad and reject; else accept; rate, submit, wait for the next."""
    before = page.locator("#desk").get_attribute("data-assignment") or ""
    text = page.locator("#desk-text").inner_text()
    page.keyboard.press("Space")
    page.wait_for_timeout(PLAY_MS)
    page.keyboard.press("Space")
    quote = next((quote for quote in PLANTED if quote in text), None)
    if quote is not None:
        words = text[: text.index(quote)].split()
        keys = ["w", *["ArrowRight"] * len(words), *["Shift+ArrowRight"] * (len(quote.split()) - 1), "h", "2", "Escape", "Escape"]
    else:
        keys = []
    for key in [*keys, "2" if quote else "5", "4", "x" if quote else "a", "Enter"]:
        page.keyboard.press(key)
    shown = "desk => desk.ready === 'true' && desk.assignment && desk.assignment !== before"
    page.wait_for_function(f"before => ({shown})(document.querySelector('#desk').dataset)", arg=before)


def signed_in(browser: Browser, address: str, name: str) -> Page:
    """Return the desk of this person, ready."""
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    context.request.post(f"{address}/login", form={"name": name})
    page = context.new_page()
    page.goto(address)
    expect(page.locator("#desk")).to_have_attribute("data-ready", "true", timeout=30_000)
    return page


@contextlib.contextmanager
def served(data: Path, *arguments: str) -> Iterator[str]:
    """Run the app over a data directory while the block runs; gives its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "app.py", "--data", str(data), "--port", str(port), *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    address = f"http://127.0.0.1:{port}"
    try:
        while address not in process.stdout.readline():
            assert process.poll() is None, "the app did not start"
        yield address
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def others_at_work(address: str) -> Iterator[None]:
    """Let others draft and submit, an act each second, while the block runs."""
    stop = threading.Event()
    people = [Annotator(f"other-{number}", address, True, stop, threading.Event(), think_s=THINK_S) for number in range(USERS)]
    threads = [threading.Thread(target=person.work, daemon=True) for person in people]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)


def fill(data: Path, items: int, clips: int) -> None:
    """Make a queue in which each item has another clip than the one before it, and everybody gets all of them."""
    with tempfile.TemporaryDirectory() as made, open_store(data) as db, transaction(db):
        sources = [add_source(db, data, film) for film in make_films(Path(made), clips)]
        db.execute("DELETE FROM queue_entry")
        for number, source in enumerate(sources):
            given = {"items": items // clips, "clips": clips, "number": number, "source": source.id, "wanted": USERS + 10}
            db.execute(
                """WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < :items)
                   INSERT INTO candidate SELECT printf('c%019d', i * :clips + :number), kind, clip_id, qa_id, subject_id, generator_id, NULL, text, created_at
                   FROM n, candidate WHERE id = :source""",
                given,
            )
            db.execute(
                """WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < :items)
                   INSERT INTO queue_entry (candidate_id, batch_id, part, scratch, rank, wanted, watchable)
                   SELECT printf('c%019d', i * :clips + :number), 'default', 'main', 0, i * :clips + :number + 1, :wanted, 1 FROM n""",
                given,
            )


def make_films(folder: Path, count: int) -> Iterator[Path]:
    """Yield 1080p films of about 10 MB: one is encoded, the others are the same pictures under another name, so that no cache helps."""
    first = folder / "film.mp4"
    noise = f"testsrc2=size=1920x1080:rate=25:duration={CLIP_S},noise=alls=24:allf=t"
    encode = ["-c:v", "libx264", "-preset", "ultrafast", "-b:v", CLIP_BITS, "-maxrate", CLIP_BITS, "-bufsize", "4M", "-pix_fmt", "yuv420p"]
    ffmpeg = ["ffmpeg", "-v", "error", "-y"]
    subprocess.run([*ffmpeg, "-f", "lavfi", "-i", noise, *encode, "-movflags", "faststart", str(first)], check=True)
    for number in range(count):
        film = folder / f"film {number}.mp4"
        subprocess.run([*ffmpeg, "-i", str(first), "-c", "copy", "-metadata", f"title={number}", "-movflags", "faststart", str(film)], check=True)
        yield film


def add_source(db: sqlite_utils.Database, data: Path, film: Path) -> Candidate:
    """Put a film with a question and a text into the store."""
    found = probe(film, decode=False)
    size = film.stat().st_size
    digest = keep(data, film)
    made = Media(digest, film.name, size, "mp4", "h264", None, 1920, 1080, 0, found.duration_s, found.frame_count, True, None, "ok", None, utc_now())
    add_media(db, made, FrameTimes(digest, found.frame_times.astype("<f8").tobytes()))
    clip = Clip(digest_id("clip", film.name), "bench", film.stem, film.name, digest, 0.0, None, film.stem, "train")
    add_clip(db, clip)
    pair = QAPair(digest_id("qa", film.name), clip.id, "1", "why did he run", "to catch it", ("to catch it", "for fun"), 0, "CW", None, None, None)
    add_qa_pair(db, pair)
    candidate = candidate_of("rationale", clip.id, pair.id, WRITER, f"In {film.stem} he runs towards the ball. Then he stops and waves to somebody.")
    add_candidate(db, candidate, WRITER)
    return candidate


if __name__ == "__main__":
    main(measure, __doc__ or "")
