"""The page Frames in a real Chromium: what is pooled stands beside the video, by mouse and by keys, in both themes, without a jump."""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from store.clips import add_clip
from store.database import open_store
from store.records import Clip
from store.rows import digest_id
from tests.browser.conftest import Server, frame_on_screen, intercept
from tests.browser.test_accessibility import THEMES, findings, is_dark
from training.pooling import METHODS
from training.ui.frames import offered

CLIP = digest_id("clip")
LOST = digest_id("lost")
POOLED = "**/api/frames/pooled/**"
READY = "#frames[data-ready=true][data-old=false]"


@pytest.fixture(scope="module")
def project(server: Server) -> Iterator[Server]:
    """The shared project with one clip more, whose file nobody has imported."""
    with open_store(server.data) as db:
        add_clip(db, Clip(LOST, "zzz", "lost", "lost.mp4", None, 0.0, 3.0, "lost", "train"))
    yield server
    with open_store(server.data) as db:
        db.execute("DELETE FROM clip WHERE id = ?", [LOST])


@pytest.fixture(scope="module")
def context(chromium: Browser, project: Server) -> Iterator[BrowserContext]:
    """One browser for all tests, so that it fetches the page's parts once; what fades in it is there at once."""
    context = chromium.new_context(viewport={"width": 1280, "height": 720}, reduced_motion="reduce")
    context.set_default_timeout(10_000)
    context.request.post(f"{project.address}/login", form={"name": "judge"})
    yield context
    context.close()


@pytest.fixture(scope="module")
def tab(context: BrowserContext, project: Server) -> Page:
    """A tab with the page; the tests put a page of their own into it."""
    tab = context.new_page()
    tab.goto(f"{project.address}/frames")
    expect(tab.locator("#frames")).to_be_attached()
    return tab


@pytest.fixture
def page(tab: Page) -> Iterator[Page]:
    """The tab, with the page's component still to be put in."""
    tab.mouse.move(0, 0)
    yield tab
    tab.unroute_all()


def put_frames(page: Page, address: str) -> None:
    """Put the page into the tab anew, as if this address had been opened: that takes a tenth of loading the app around it."""
    page.evaluate(
        """async ([address, offered]) => {
            const place = document.querySelector('#frames').parentElement;
            place.replaceChildren();
            history.replaceState(history.state, '', '/frames' + address);
            (await import('/eyewitness/frames.js')).mount(place, offered);
        }""",
        [address, offered()],
    )


def open_frames(page: Page, address: str = f"?clip={CLIP}") -> None:
    """Open an address in the tab, its pictures on screen."""
    put_frames(page, address)
    expect(page.locator(READY)).to_be_visible()


def cell(page: Page, method: str, window: str) -> Any:
    return page.locator(f".fr-cell[data-method={method}][data-name='{window}']")


def first_frame_of(server: Server, window_s: float, number: int) -> int:
    """Return the frame on display where a window begins."""
    return sum(time_s <= window_s * number + 1e-6 for time_s in server.frames) - 1


def test_a_click_on_a_picture_brings_the_video_to_its_window_and_its_weights_into_sight(page: Page, project: Server) -> None:
    open_frames(page)
    expect(page.locator(".fr-cell img")).to_have_count(len(METHODS) * 4)
    cell(page, "BBLF", "3").click()
    expect(page.locator("#frames-title")).to_contain_text("Window 3: 2.0 to 3.0 s")
    expect(page.locator("#desk-stage")).to_have_attribute("data-frame", str(first_frame_of(project, 1.0, 2)))
    assert frame_on_screen(page) == first_frame_of(project, 1.0, 2)
    expect(page.locator(".fr-head.playing")).to_contain_text("3 2.0–3.0 s")
    shares = page.locator("#frames tbody tr.on td b").all_text_contents()
    assert len(shares) == int(page.locator("#frames-title").inner_text().split(",")[1].split()[0]), "a column a frame"
    assert sum(map(float, shares)) == pytest.approx(100, abs=0.1 * len(shares))
    assert float(shares[-1]) > 30, "the last frame of BBLF"
    assert page.locator("#frames tbody tr.on th").inner_text() == "BBLF"


def test_pointing_shows_a_picture_until_the_pointer_leaves(page: Page, project: Server) -> None:
    open_frames(page)
    cell(page, "WA", "2").click()
    cell(page, "WAR", "1").hover()
    expect(page.locator("#frames-picture")).to_have_attribute("alt", "WAR of window 1, 0.0 to 1.0 s")
    assert page.locator("#frames-picture").get_attribute("src") == cell(page, "WAR", "1").locator("img").get_attribute("src")
    page.locator(".ew-nav img").hover()
    expect(page.locator("#frames-picture")).to_have_attribute("alt", "WA of window 2, 1.0 to 2.0 s")


def test_the_whole_page_goes_by_keys(page: Page, project: Server) -> None:
    open_frames(page, f"?clip={CLIP}&window_s=0.5")
    cell(page, "WA", "1").focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowRight", "ArrowRight", "ArrowRight", "ArrowLeft"):
        page.keyboard.press(key)
    expect(cell(page, "WAR", "3")).to_be_focused()
    expect(page.locator("#frames-picture")).to_have_attribute("alt", "WAR of window 3, 1.0 to 1.5 s")
    page.keyboard.press("Enter")
    head = first_frame_of(project, 0.5, 2)
    expect(page.locator("#desk-stage")).to_have_attribute("data-frame", str(head))
    page.keyboard.press("n")
    expect(cell(page, "WAR", "6")).to_be_focused()
    page.keyboard.press("m")
    expect(page.locator("#frames-povqa")).to_be_checked()
    expect(page.locator(READY)).to_be_visible()
    expect(page.locator("#frames-title")).to_contain_text("POVQA's code calls it 2.5 to 3.0 s.")
    assert page.url.endswith(f"?clip={CLIP}&first=5&window_s=0.5&weights=povqa")
    a_window = page.locator("#frames tbody tr.on td").count()
    last = len(project.frames) // a_window + 1  # a shorter one, from which no other is counted
    page.locator("#frames-first").fill(str(last))
    page.keyboard.press("Enter")
    expect(page.locator(".fr-head.on")).to_contain_text(f"{last} ")
    page.locator("#frames-first").blur()
    page.keyboard.press("h")
    expect(page.locator("#frames-first")).to_have_value(str(head // a_window + 1))
    expect(page.locator(".fr-head.playing")).to_contain_text(f"{head // a_window + 1} ")
    page.keyboard.press("c")
    page.locator("#frames-search").fill("lost")
    expect(page.locator("#frames-clips button")).to_have_count(1)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#frames-problem")).to_contain_text("'lost.mp4' of this clip has not been imported")


def test_ours_and_povqas_differ_as_their_formulas_do(page: Page, project: Server) -> None:
    open_frames(page)
    page.locator(".ew-nav img").hover()

    def shares(method: str) -> list[float]:
        return [float(one) for one in page.locator(f"#frames tr[data-method={method}] td b").all_text_contents()]

    gaps = [later - sooner for sooner, later in zip(project.frames, project.frames[1:], strict=False)]
    ours = shares("WA")
    assert ours[:-1] == pytest.approx([100 * gap for gap in gaps[: len(ours) - 1]], abs=0.06), "as long as each is on display"
    page.locator("#frames-povqa").check()
    expect(page.locator("#frames-title")).to_contain_text("POVQA's code")
    ramp = [0.1 + 0.9 * place / (len(shares("WA")) - 1) for place in range(len(shares("WA")))]
    assert shares("WA") == pytest.approx([100 * one / sum(ramp) for one in ramp], abs=0.06)
    page.locator("#frames-time").check()
    expect(page.locator("#frames-title")).not_to_contain_text("POVQA's code")
    assert shares("WA") == ours


def test_nothing_moves_while_pictures_come_and_a_sentence_says_what_goes_on(page: Page, project: Server) -> None:
    waiting: list[Route] = []
    page.route(POOLED, lambda route: waiting.append(route))
    put_frames(page, f"?clip={CLIP}&size_px=224")
    expect(page.locator("#frames-state")).to_contain_text("Decoding numbers from 0.0 s on and pooling it four ways")
    parts = (".fr-matrix", ".fr-side", ".fr-sources", ".fr-settings", "#frames-picture >> xpath=..")
    before = [page.locator(part).bounding_box() for part in parts]
    release(waiting)
    expect(page.locator(READY)).to_be_visible()
    assert [page.locator(part).bounding_box() for part in parts] == before
    expect(page.locator("#frames-state")).to_be_empty()
    # Who changes the question before the answer came sees the last one's answer only.
    page.locator("#frames-window_s").fill("2")
    expect(page.locator("#frames[data-ready=false]")).to_be_visible()
    page.locator("#frames-window_s").fill("3")
    expect(page.locator("#frames-state")).to_contain_text("Decoding")
    wait_for(page, lambda: len(waiting) == 2)
    release(waiting)
    expect(page.locator(READY)).to_be_visible()
    expect(page.locator(".fr-head").first).to_contain_text("0.0–3.0 s")


def test_the_clip_chosen_last_is_shown_whichever_answer_comes_last(page: Page, project: Server) -> None:
    waiting: list[Route] = []
    page.route(f"**/api/frames/clip/{LOST}", lambda route: waiting.append(route))
    open_frames(page)
    pick(page, "lost")
    pick(page, "numbers")
    expect(page.locator(READY)).to_be_visible()
    with page.expect_response(f"**/api/frames/clip/{LOST}"):
        release(waiting)
    expect(page.locator("#frames-problem")).to_be_hidden()
    assert page.locator("#frames").get_attribute("data-clip") == CLIP
    pick(page, "lost")  # the control: the answer counts when nothing else was chosen meanwhile
    wait_for(page, lambda: len(waiting) == 1)
    release(waiting)
    expect(page.locator("#frames-problem")).to_contain_text("has not been imported")


def pick(page: Page, words: str) -> None:
    """Choose the first clip with these words, faster than the list can follow."""
    page.keyboard.press("c")
    expect(page.locator("#frames-clips button").first).to_be_visible()
    page.keyboard.type(words)
    page.keyboard.press("Enter")
    expect(page.locator("#frames-picker")).to_have_count(0)


def test_when_a_clip_does_not_come_the_one_before_stops_and_there_is_a_way_on(page: Page, project: Server) -> None:
    open_frames(page, f"?clip={CLIP}&first=1&window_s=0.5")
    page.locator("#frames-loop").click()
    page.wait_for_function("!document.querySelector('#desk-stage video').paused")
    page.route("**/api/frames/clip/**", lambda route: route.abort())
    pick(page, "numbers")
    expect(page.locator("#frames-plain")).to_contain_text("The server does not answer.")
    assert page.evaluate("[...document.querySelectorAll('#desk-stage video')].every(video => video.paused)")
    page.unroute("**/api/frames/clip/**")
    page.get_by_text("Try again").click()
    expect(page.locator(READY)).to_be_visible()
    expect(page.locator(".fr-head.on")).to_contain_text("1 0.0–0.5 s")
    intercept(page, lambda route: route.fulfill(status=401, json={"error": "Sign in first."}), POOLED, "/api/frames/pooled/none?probe")
    page.keyboard.press("n")
    href = page.locator("#frames-problem a").get_attribute("href")
    assert href == "/login?next=" + quote(f"/frames?clip={CLIP}&first=5&window_s=0.5", safe=""), "back to what was asked for"


def test_a_length_that_cannot_be_loses_no_place_and_another_one_keeps_the_moment(page: Page, project: Server) -> None:
    open_frames(page, f"?clip={CLIP}&first=2&window_s=0.5")
    cell(page, "WA", "5").click()
    page.locator(".ew-nav img").hover()
    for typed, said in (("99", "longer than"), ("0.5", ""), ("0.25", "")):
        type_window(page, typed)
        if said:
            expect(page.locator("#frames-problem")).to_contain_text(said)
            continue
        expect(page.locator(f"{READY}:has(.fr-head.on)")).to_be_visible()
        expect(page.locator("#frames-title")).to_contain_text("2.0 to")
    expect(page.locator("#frames-first")).to_have_value("5")
    expect(page.locator(".fr-head.on")).to_contain_text("9 2.0–2.25 s")


def type_window(page: Page, typed: str) -> None:
    """Give another length of windows, without the wait for more digits."""
    page.locator("#frames-window_s").fill(typed)
    page.locator("#frames-window_s").press("Enter")


def release(waiting: list[Route]) -> None:
    """Let the requests through that are held; those that the page called off are gone."""
    while waiting:
        waiting.pop().continue_()


def wait_for(page: Page, true: Callable[[], bool]) -> None:
    for _ in range(100):
        if true():
            return
        page.wait_for_timeout(20)
    raise AssertionError("it did not come")


def test_what_cannot_be_is_said_and_what_was_shown_is_marked_as_old(page: Page, project: Server) -> None:
    open_frames(page)
    for typed, said in (("0", "A window of 0 s cannot be"), ("", "A window of nan s"), ("99", "longer than this page decodes at once")):
        type_window(page, typed)
        expect(page.locator("#frames-problem")).to_contain_text(said)
        expect(page.locator("#frames")).to_have_attribute("data-old", "true")
    type_window(page, "1")
    expect(page.locator(READY)).to_be_visible()
    expect(page.locator("#frames-problem")).to_be_hidden()
    put_frames(page, "?clip=nothing")
    expect(page.locator("#frames-plain")).to_contain_text("There is no clip 'nothing' here")


@pytest.mark.parametrize("theme", THEMES)
def test_axe_finds_nothing_serious_and_nothing_is_wider_than_a_window_at_200_percent(page: Page, project: Server, theme: str) -> None:
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light", reduced_motion="reduce")
    page.set_viewport_size({"width": 1280, "height": 720})
    page.goto(f"{project.address}/frames?clip={CLIP}")
    expect(page.locator(READY)).to_be_visible()
    assert is_dark(page) == (theme == "dark")
    assert findings(page) == []
    assert page.evaluate("document.scrollingElement.scrollHeight") <= 720, "all in sight"
    page.keyboard.press("c")
    expect(page.locator("#frames-clips button").first).to_be_visible()
    assert findings(page) == [], "the list of clips"
    page.keyboard.press("Escape")
    type_window(page, "0")
    expect(page.locator("#frames-problem")).to_be_visible()
    assert findings(page, "#frames-problem") == []
    page.set_viewport_size({"width": 640, "height": 360})
    assert page.evaluate("document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth") == 0
