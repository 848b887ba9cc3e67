"""The player alone in a real Chromium, before clips whose every frame carries its number: what it says is what is on screen."""

import io
import itertools
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import uvicorn
from playwright.sync_api import Browser, Page, expect
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from store.media import probe
from store.proxy import make_proxy
from tests.browser.conftest import Server
from tests.clips import BITS, cut_clip, make_clip, number_in, uneven_times

ROOT = Path(__file__).resolve().parents[2]
SIZE = (320, 240)
SEEKS_PER_CLIP = 48
UNREACHABLE = "unreachable.mp4"
CUT_S = 0.72  # not at a key frame: what lies between is hidden by an edit list
PAGE = """<!doctype html><title>Player</title><style>.ew-stage { width: 640px; height: 480px } video { width: 100% } [hidden] { display: none }</style>
<body><script type="module">
import { Player } from "/desk/player.js";
window.told = [];
window.player = new Player({ onFrame() {}, onPlaying() {}, onProblem: (problem) => problem && window.told.push(problem), onReady: () => window.hurry?.() });
document.body.append(player.stage);
const pen = Object.assign(document.createElement("canvas"), { width: 320, height: 240 }).getContext("2d", { willReadFrequently: true });
/* The number that the picture shows: a column a bit, its opposite below; `turned` by 90 degrees to the left. */
window.numberOnScreen = (bits, turned = false) => {
  const [wide, high] = turned ? [2, bits] : [bits, 2];
  pen.drawImage(player.video, 0, 0, wide, high);
  const { data } = pen.getImageData(0, 0, wide, high);
  const at = (bit, row) => data[4 * (turned ? (bits - 1 - bit) * 2 + row : row * bits + bit)];
  let number = 0;
  for (let bit = 0; bit < bits; bit += 1) number |= (at(bit, 0) > at(bit, 1)) << bit;
  return number;
};
/* Act, and wait until the player says that the frame can be seen. */
window.acted = (act) => new Promise((resolve) => { window.hurry = resolve; act(); });
window.opened = (clip) => acted(() => player.load(clip));
</script>"""


@dataclass(frozen=True)
class Sought:
    """A clip to look for frames in: the times of its frames on its own clock, and how its picture differs from the numbers."""

    name: str
    times_s: np.ndarray  # (n,) on the file's clock
    end_s: float | None
    first: int = 0  # number of the first frame
    turned: bool = False
    start_s: float = 0.0

    def clip(self) -> dict[str, Any]:
        """Return what the desk hands to the player."""
        return {"url": f"/clips/{self.name}", "start_s": self.start_s, "end_s": self.end_s, "frames": np.round(self.times_s - self.start_s, 6).tolist()}


def made_clips(folder: Path) -> list[Sought]:
    """Write clips of every kind that a data set brings; return them as the store knows them."""
    for name, rate in (("film", 24000 / 1001), ("24", 24), ("25", 25), ("ntsc", 30000 / 1001), ("30", 30), ("60", 60)):
        make_clip(folder / f"{name}.mp4", times_s=(np.arange(72) / rate).tolist(), fps=rate, size=SIZE)
    make_clip(folder / "uneven.mp4", times_s=uneven_times(72, seed=2).tolist(), size=SIZE)
    make_clip(folder / UNREACHABLE, times_s=uneven_times(60, seed=25).tolist(), size=SIZE)
    make_clip(folder / "uneven.webm", times_s=uneven_times(48, seed=1).tolist(), size=SIZE, codec="libvpx-vp9", sound="libopus")
    make_clip(folder / "turned.mp4", times_s=(np.arange(60) / 25).tolist(), size=SIZE, rotation=90, sound="aac")
    make_clip(folder / "late.mp4", times_s=(0.5 + np.arange(60) / 25).tolist(), size=SIZE, sound="aac", sound_s=(0.0, 2.9))
    make_clip(folder / "whole.mp4", times_s=(np.arange(90) / 25).tolist(), size=SIZE)
    cut_clip(folder / "whole.mp4", folder / "cut.mp4", CUT_S)
    make_clip(folder / "old.avi", times_s=(np.arange(60) / 25).tolist(), size=SIZE, codec="mpeg4", options={})
    make_proxy(folder / "old.avi", folder / "proxy.mp4")
    names = ("film.mp4", "24.mp4", "25.mp4", "ntsc.mp4", "30.mp4", "60.mp4", "uneven.mp4", "uneven.webm", "late.mp4", "proxy.mp4")
    span = [time for time in times_of(folder / "whole.mp4") if 1.2 <= time < 2.8]
    return [
        *(Sought(name, times_of(folder / name), None) for name in names),
        Sought(UNREACHABLE, times_of(folder / UNREACHABLE), None),
        Sought("turned.mp4", times_of(folder / "turned.mp4"), None, turned=True),
        Sought("cut.mp4", times_of(folder / "cut.mp4"), None, first=round(CUT_S * 25)),
        Sought("whole.mp4", np.array(span), 2.8, first=30, start_s=1.2),
    ]


def times_of(path: Path) -> np.ndarray:
    found = probe(path, decode=False)
    assert found.playable, path
    return found.frame_times


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, list[Sought]]]:
    """Serve the desk's modules and the clips; give the address and the clips."""
    folder = tmp_path_factory.mktemp("clips")
    sought = made_clips(folder)
    parts = [Mount("/desk", StaticFiles(directory=ROOT / "assets" / "desk")), Mount("/clips", StaticFiles(directory=folder))]
    app = Starlette(routes=[Route("/", lambda request: HTMLResponse(PAGE)), *parts])
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", sought
        server.should_exit = True
        thread.join(timeout=10)


@pytest.fixture
def page(chromium: Browser, clips: tuple[str, list[Sought]]) -> Iterator[Page]:
    """A tab with the player and nothing else."""
    tab = chromium.new_page()
    tab.set_default_timeout(10_000)
    tab.goto(clips[0])
    tab.wait_for_function("window.player")
    yield tab
    tab.close()


Named = Callable[[str], Sought]


@pytest.fixture
def named(clips: tuple[str, list[Sought]]) -> Named:
    return lambda name: next(one for one in clips[1] if one.name == name)


def some_acts(random: np.random.Generator, count: int) -> list[tuple[str, int]]:
    """Return steps of one (a third) and seeks to anywhere in `count` frames; some ask for the frame that is on screen already."""
    steps = random.choice([-1, 1], SEEKS_PER_CLIP).tolist()
    places = random.integers(count, size=SEEKS_PER_CLIP).tolist()
    return [("step", step) if turn % 3 == 0 else ("seek", place) for turn, (step, place) in enumerate(zip(steps, places, strict=True))]


def test_every_seek_and_step_shows_the_frame_that_was_asked_for(page: Page, clips: tuple[str, list[Sought]]) -> None:
    random = np.random.default_rng(7)
    seeks, wrong = 0, []
    for sought in (one for one in clips[1] if one.name != UNREACHABLE):
        acts = some_acts(random, len(sought.times_s))
        found = page.evaluate(
            """async ([clip, acts, bits, turned]) => {
                await opened(clip);
                const found = [[0, Number(player.stage.dataset.frame), numberOnScreen(bits, turned)]];
                for (const [act, argument] of acts) {
                    await acted(() => player[act](argument));
                    found.push([player.head, Number(player.stage.dataset.frame), numberOnScreen(bits, turned)]);
                }
                return found;
            }""",
            [sought.clip(), acts, BITS, sought.turned],
        )
        asked = 0
        for (act, argument), (head, said, seen) in zip([("seek", 0), *acts], found, strict=True):
            asked = max(0, min(len(sought.times_s) - 1, asked + argument if act == "step" else argument))
            wrong += [] if (asked, asked, asked + sought.first) == (head, said, seen) else [(sought.name, asked, head, said, seen - sought.first)]
            seeks += 1
    assert wrong == []
    assert seeks >= 500
    assert page.evaluate("told") == []


def test_counting_frames_by_a_constant_rate_is_wrong_on_an_uneven_clip(page: Page, named: Named) -> None:
    """The control: the same clip, the same picture read, but sought at number / rate."""
    uneven = named("uneven.mp4")
    rate = (len(uneven.times_s) - 1) / (uneven.times_s[-1] - uneven.times_s[0])
    seen = page.evaluate(
        """async ([clip, rate, bits]) => {
            await opened(clip);
            const seen = [];
            for (let number = 0; number < 40; number += 1) {
                const found = new Promise((resolve) => player.video.addEventListener("seeked", resolve, { once: true }));
                player.video.currentTime = (number + 0.5) / rate;
                await found;
                seen.push(numberOnScreen(bits));
            }
            return seen;
        }""",
        [uneven.clip(), rate, BITS],
    )
    assert sum(number != asked for asked, number in enumerate(seen)) > 20


def test_seeking_without_asking_the_browser_what_it_shows_is_wrong_on_an_uneven_clip(page: Page, named: Named) -> None:
    """The control of the confirmation: the middle of a frame is not enough where the file says wrongly how long frames last."""
    uneven = named("uneven.webm")
    deaf = page.evaluate(
        """async ([clip, bits]) => {
            await opened(clip);
            const wrong = [];
            for (let number = 0; number < clip.frames.length; number += 1) {
                const found = new Promise((resolve) => player.video.addEventListener("seeked", resolve, { once: true }));
                player.video.currentTime = player.frames.middle(number);
                await found;
                if (numberOnScreen(bits) !== number) wrong.push(number);
            }
            return wrong;
        }""",
        [uneven.clip(), BITS],
    )
    assert deaf != []


def test_a_frame_that_no_seek_finds_is_played_into_and_what_is_said_is_what_is_seen(page: Page, named: Named) -> None:
    """Frame 47 stands before a key frame that was decoded early: wherever in it a browser seeks, it shows frame 48."""
    sought = named(UNREACHABLE)
    found = page.evaluate(
        """async ([clip, bits]) => {
            await opened(clip);
            const found = [];
            for (const from of [10, 46, 55]) {
                await acted(() => player.seek(from));
                await acted(() => player.seek(47));
                found.push([Number(player.stage.dataset.frame), numberOnScreen(bits)]);
            }
            return found;
        }""",
        [sought.clip(), BITS],
    )
    assert [said for said, _ in found] == [seen for _, seen in found]
    assert 47 in [seen for _, seen in found], "a machine with too much to do may overshoot now and then"


@pytest.mark.parametrize("speed", [0.5, 1.0, 2.0])
def test_a_loop_shows_its_span_and_at_most_one_frame_beyond(page: Page, named: Named, speed: float) -> None:
    # A machine with too much to do runs every timer late, so the best of three goes counts.
    for _ in range(3):
        shown = looped(page, named("25.mp4"), speed)
        if max(shown) <= 35:
            break
    rounds = sum(later < earlier for earlier, later in itertools.pairwise(shown))
    assert set(shown) <= set(range(20, 36)), sorted(set(shown))
    assert rounds >= round(2 * speed / 0.6) - 1
    assert sum(frame == 35 for frame in shown) <= rounds
    assert {20, 21} & set(shown) and {33, 34} & set(shown) and len(set(shown)) >= 10, "the whole span is seen, but for what a busy machine leaves out"


def looped(page: Page, sought: Sought, speed: float) -> list[int]:
    """Return the frames that the browser reports in 2 s of the loop of frames 20 to 34."""
    shown: list[int] = page.evaluate(
        """async ([clip, speed]) => {
            await opened(clip);
            while (player.speed !== speed) player.changeSpeed(Math.sign(speed - player.speed));
            const shown = [];
            const told = (_, { mediaTime }) => {
                player.video.requestVideoFrameCallback(told);
                shown.push(Math.round((mediaTime + 1e-4) * 25 - 0.5));
            };
            player.setLoop([20, 34]);
            await new Promise((resolve) => player.video.addEventListener("seeked", resolve, { once: true }));
            player.video.requestVideoFrameCallback(told);
            await new Promise((resolve) => setTimeout(resolve, 2000));
            player.setLoop(null);
            player.pause();
            return shown;
        }""",
        [sought.clip(), speed],
    )
    return shown


def test_a_held_key_piles_up_no_seeks_and_ends_on_the_frame_that_was_asked_for_last(page: Page, named: Named) -> None:
    seeks, said, seen = page.evaluate(
        """async ([clip, bits]) => {
            await opened(clip);
            let seeks = 0;
            player.video.addEventListener("seeking", () => { seeks += 1; });
            for (let turn = 0; turn < 40; turn += 1) {
                player.step(1);
                if (turn % 8 === 7) await new Promise((resolve) => setTimeout(resolve, 4));
            }
            await acted(() => player.step(1));
            return [seeks, Number(player.stage.dataset.frame), numberOnScreen(bits)];
        }""",
        [named("25.mp4").clip(), BITS],
    )
    assert (said, seen) == (41, 41)
    assert seeks <= 12, f"{seeks} seeks for 41 steps"


def test_who_plays_while_a_frame_is_still_looked_for_plays_from_there(page: Page, named: Named) -> None:
    first = page.evaluate(
        """async (clip) => {
            await opened(clip);
            for (const index of [3, 50, 20, 40]) player.seek(index); // the first is on its way, the last is a wish
            const seen = [];
            player.play();
            player.callbacks.onFrame = (index) => seen.push(index);
            await new Promise((resolve) => setTimeout(resolve, 600));
            player.pause();
            return seen[0];
        }""",
        named("25.mp4").clip(),
    )
    assert 40 <= first <= 46


def test_the_next_clip_is_swapped_in_with_its_first_frame_found(page: Page, named: Named) -> None:
    """A clip that begins inside its file: the hidden element has looked there already, so that no seek is left to do."""
    inside = named("whole.mp4")
    number, seeks = page.evaluate(
        """async ([clip, next, bits]) => {
            await opened(clip);
            player.preload(next);
            await new Promise((resolve) => player.spare.addEventListener("seeked", resolve, { once: true }));
            while (!player.reports.has(player.spare)) await new Promise(requestAnimationFrame); // it is said which frame that is a moment later
            let seeks = 0;
            player.spare.addEventListener("seeking", () => { seeks += 1; });
            await opened(next);
            return [numberOnScreen(bits), seeks];
        }""",
        [named("25.mp4").clip(), inside.clip(), BITS],
    )
    assert (number, seeks) == (inside.first, 0)
    picture = page.locator("video:visible").screenshot()
    with av.open(io.BytesIO(picture), "r") as file:
        pixels = np.asarray(next(file.decode(video=0)).to_ndarray(format="rgb24"), np.uint8)
    assert number_in(pixels) == inside.first


def test_a_window_that_nobody_sees_reports_no_frames_and_seeks_go_on(page: Page, named: Named) -> None:
    head = page.evaluate(
        """async (clip) => {
            for (const video of [player.video, player.spare]) { video.requestVideoFrameCallback = () => {}; }
            Object.defineProperty(document, "hidden", { get: () => true });
            await opened(clip);
            await acted(() => player.seek(12));
            await acted(() => player.step(-2));
            return player.head;
        }""",
        named("25.mp4").clip(),
    )
    assert head == 10


def test_keys_show_and_hide_subtitles_and_evidence_and_jump_from_span_to_span(desk_of: Callable[[str], Page], server: Server) -> None:
    page = desk_of("jumper")
    stage, caption = page.locator("#desk-stage"), page.locator("#desk-caption")
    expect(page.locator("#desk-lane-subtitles")).to_be_visible()
    expect(page.locator("#desk-lane-evidence")).to_be_hidden()
    expect(caption).to_be_hidden()
    page.keyboard.press("Shift+ArrowRight")
    expect(stage).to_have_attribute("data-frame", str(last_begun(server, 0.5)))
    page.keyboard.press(".")
    expect(caption).to_have_text("Here, catch!")
    page.keyboard.press("Shift+ArrowRight")
    expect(page.locator("#desk-message")).to_contain_text("No flag, evidence or subtitle in view begins later")
    page.keyboard.press("v")
    page.keyboard.press("Shift+ArrowRight")
    expect(stage).to_have_attribute("data-frame", str(last_begun(server, 0.8)))
    page.keyboard.press("Shift+V")
    expect(page.locator("#desk-lane-subtitles")).to_be_hidden()
    expect(caption).to_be_hidden()
    page.keyboard.press("Shift+ArrowLeft")
    expect(page.locator("#desk-message")).to_contain_text("begins earlier")
    expect(stage).to_have_attribute("data-frame", str(last_begun(server, 0.8)))


def last_begun(server: Server, time_s: float) -> int:
    """Return the frame on screen at a moment."""
    return sum(start_s <= time_s + 1e-4 for start_s in server.frames) - 1
