"""Whether everybody can work here: axe on every page of the annotator, keys alone with the focus in sight, a small window and a large type."""

from collections.abc import Callable
from typing import Any, TypedDict

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import BrowserContext, Locator, Page, expect

from store.database import open_store
from tests.browser.conftest import TEXTS, Server, open_page, select_words
from tests.curation.deciding import say

Contexts = Callable[..., BrowserContext]
SEVERE = {"serious", "critical"}
THEMES = ("light", "dark")
MOST_TABS = 90


def findings(page: Page, within: str | None = None) -> list[str]:
    """Return what axe finds that is serious or critical, on the page or within a part of it."""
    found: list[dict[str, Any]] = Axe().run(page, within).response["violations"]
    return [f"{one['id']}: {node['target']} {node['failureSummary']}" for one in found if one["impact"] in SEVERE for node in one["nodes"]]


@pytest.fixture
def disputed(server: Server) -> Server:
    """The app with a text on which two people differ."""
    if not server.rows("SELECT id FROM annotation WHERE annotator = 'stern'"):
        with open_store(server.data) as db:
            say(db, server.candidates["rationale"], "stern", "reject", [("justified_fabrication", "glares off a lake", 1.2, 2.4, 3, "No lake.")])
            say(db, server.candidates["rationale"], "mild", "accept", [("temporal_error", "before he waves", 0.4, 1.8, 1, "")])
    return server


def signed_in(contexts: Contexts, name: str, theme: str) -> BrowserContext:
    return contexts(name, color_scheme=theme)


def is_dark(page: Page) -> bool:
    return bool(page.evaluate("document.body.classList.contains('dark')"))


def flag_words(page: Page, words: str, *keys: str) -> None:
    select_words(page, words)
    for key in keys:
        page.keyboard.press(key)


@pytest.mark.parametrize("theme", THEMES)
def test_axe_finds_nothing_serious_on_the_desk_and_its_dialogs(context_of: Contexts, server: Server, theme: str) -> None:
    page = open_page(signed_in(context_of, f"axe-{theme}", theme), server)
    assert is_dark(page) == (theme == "dark")
    assert findings(page) == []
    for words, key in (("red coat", "h"), ("bright sun", "j"), ("before he waves", "t")):
        flag_words(page, words, key)
    page.keyboard.press("v")
    assert findings(page) == [], "with flags, one of them open"
    for key, dialog in (("?", "#desk-help"), ("q", "#desk-guide"), ("b", "#desk-recent"), ("s", "#desk-skip")):
        page.keyboard.press("Escape")
        page.keyboard.press(key)
        expect(page.locator("dialog[open]")).to_have_count(1)
        assert findings(page) == [], dialog
        page.keyboard.press("Escape")
        expect(page.locator("dialog[open]")).to_have_count(0)
    page.keyboard.press("Escape")
    page.keyboard.press("i")
    assert findings(page) == [], "while the text is edited"


@pytest.mark.parametrize("theme", THEMES)
def test_axe_finds_nothing_serious_when_all_is_done_and_at_the_door(context_of: Contexts, server: Server, theme: str) -> None:
    context = signed_in(context_of, f"axe-done-{theme}", theme)
    page = open_page(context, server)
    for _ in TEXTS:
        shown = page.locator("#desk").get_attribute("data-assignment") or ""
        page.keyboard.press("a")
        page.keyboard.press("Enter")
        page.wait_for_function(
            """shown => {
                const { ready, assignment } = document.querySelector('#desk').dataset;
                const done = document.querySelector('#desk-plain').textContent.includes('are done');
                return ready === 'true' && assignment !== shown && (assignment !== '' || done);
            }""",
            arg=shown,
        )
    expect(page.locator("#desk-plain")).to_contain_text("are done")
    assert findings(page) == []
    context.clear_cookies()
    page.goto(f"{server.address}/login")
    expect(page.locator("form")).to_be_visible()
    assert findings(page) == []


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(("path", "root", "part"), [("compare", "#compare", "#compare-text-left"), ("adjudicate", "#adjudicate", "#adj-decide")])
def test_axe_finds_nothing_serious_on_the_other_pages(context_of: Contexts, disputed: Server, theme: str, path: str, root: str, part: str) -> None:
    page = signed_in(context_of, f"axe-{path}-{theme}", theme).new_page()
    page.goto(f"{disputed.address}/{path}")
    expect(page.locator(root)).to_have_attribute("data-ready", "true")
    expect(page.locator(part)).to_be_visible()
    assert findings(page) == []


def test_axe_finds_a_button_without_a_name(context_of: Contexts, server: Server) -> None:
    """The control: the same run says so when something is wrong."""
    page = open_page(context_of("axe-control"), server)
    page.evaluate(
        """() => {
            const faint = Object.assign(document.createElement('p'), { textContent: 'hardly to be read', style: 'color: #aaa; background: #fff' });
            document.querySelector('#desk header').append(document.createElement('button'), faint);
        }"""
    )
    assert {finding.split(":")[0] for finding in findings(page)} == {"button-name", "color-contrast"}


class Box(TypedDict):
    """Where a part of the page lies in the window, in CSS pixels."""

    left: float
    right: float
    bottom: float
    height: float


def box(part: Locator) -> Box:
    found = part.bounding_box()
    assert found is not None
    return {"left": found["x"], "right": found["x"] + found["width"], "bottom": found["y"] + found["height"], "height": found["height"]}


def test_a_typical_item_needs_no_scrolling_at_1280_by_720(context_of: Contexts, server: Server) -> None:
    page = open_page(context_of("small"), server)
    flag_words(page, "red coat", "h")
    flag_words(page, "bright sun", "j", "Escape")
    scrolls = "node => [node.scrollWidth - node.clientWidth, node.scrollHeight - node.clientHeight]"
    assert page.evaluate(f"({scrolls})(document.scrollingElement)") == [0, 0]
    for part in ("#desk-stage", "#desk-timeline", "#desk-text", "#desk-flags", "#desk-note", "#desk-accept", "#desk-submit", "#desk-help-open"):
        edges = box(page.locator(part))
        assert edges["right"] <= 1280 and edges["bottom"] <= 720, part
    assert page.locator("#desk-text").evaluate(scrolls)[1] <= 0, "the whole text is in sight"
    assert box(page.locator("#desk-stage"))["height"] >= 200


def test_at_200_percent_the_page_is_read_from_top_to_bottom_without_scrolling_sideways(context_of: Contexts, server: Server) -> None:
    """A window of 1280 x 720 at 200 % has 640 x 360 CSS pixels."""
    page = open_page(context_of("large type"), server)
    page.set_viewport_size({"width": 640, "height": 360})
    flag_words(page, "red coat", "h")
    assert page.evaluate("document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth") == 0
    for part in ("#desk-stage", "#desk-timeline", "#desk-text", "#desk-flags", "#desk-note", "#desk-accept", "#desk-submit", "#desk-help-open"):
        page.locator(part).scroll_into_view_if_needed()
        expect(page.locator(part)).to_be_in_viewport()
        edges = box(page.locator(part))
        assert edges["left"] >= 0 and edges["right"] <= 640, part
    cut_off = page.evaluate(
        """() => [...document.querySelectorAll('#desk button')]
            .filter((one) => one.checkVisibility() && one.scrollWidth > one.clientWidth + 1).map((one) => one.textContent)"""
    )
    assert cut_off == []


def test_tab_reaches_every_control_of_the_desk_and_the_focus_is_seen_on_each(context_of: Contexts, server: Server) -> None:
    page = open_page(context_of("tabs"), server)
    flag_words(page, "red coat", "h")
    page.evaluate("document.activeElement.blur()")
    reached, unseen = set(), []
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        name, inside, seen = page.evaluate(
            """() => {
                const on = document.activeElement;
                const place = on.getBoundingClientRect();
                const outlined = (one) => getComputedStyle(one).outlineStyle !== 'none' && parseFloat(getComputedStyle(one).outlineWidth) >= 2;
                const marked = [on, on.closest('.ew-paper')].filter(Boolean).some(outlined); // the card stands for the text in it
                const name = on.id || on.dataset.field || on.getAttribute('aria-label') || on.textContent;
                return [name, Boolean(on.closest('#desk')), marked && place.width > 0 && place.bottom > 0 && place.top < innerHeight];
            }"""
        )
        if inside:
            reached.add(name)
            unseen += [] if seen else [name]
    assert unseen == []
    controls = ("help-open", "play", "loop", "text", "flag-temporal_error", "note", "factual_consistency-3", "accept", "submit")
    assert {"comment", *(f"desk-{name}" for name in controls)} <= reached
