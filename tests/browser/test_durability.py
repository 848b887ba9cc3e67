"""What an annotator did is kept, whatever happens to tab, network, session and keys; beside what tests/browser/test_desk.py shows of it."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Error, Page, Route, expect

from tests.browser.conftest import OPERATIONS, TEXTS, Server, expect_saved, intercept, open_page

Contexts = Callable[[str], BrowserContext]
SWITCHED_OFF = "Storage.prototype.setItem = () => { throw new DOMException('switched off', 'QuotaExceededError'); };"
AWAY_MS = 60_000


def type_note(page: Page, words: str) -> None:
    page.keyboard.press("n")
    page.keyboard.type(words)


def crash(page: Page) -> None:
    """Kill the page's process: no handler of the page runs any more."""
    with pytest.raises(Error):
        page.goto("chrome://crash")
    page.close()


def note_after_death(context: BrowserContext, server: Server, die: Callable[[Page], None]) -> str:
    """Return the note that a new tab shows, after the first one died 50 ms behind the last keystroke."""
    page = open_page(context, server)
    intercept(page, lambda route: None)  # on a slow machine the typing outlasts the wait before sending: nothing gets out
    type_note(page, "typed just before the end")
    page.wait_for_timeout(50)
    die(page)
    again = open_page(context, server)
    expect_saved(again)
    return again.locator("#desk-note").input_value()


@pytest.mark.parametrize(("name", "die"), [("crashed", crash), ("closed", Page.close)])
def test_a_tab_that_dies_fifty_milliseconds_after_a_keystroke_loses_none(context_of: Contexts, server: Server, name: str, die: Callable[[Page], None]) -> None:
    assert note_after_death(context_of(name), server, die) == "typed just before the end"


def test_without_the_copy_in_the_browser_the_same_death_loses_them(context_of: Contexts, server: Server) -> None:
    """The control: the server had not heard of them yet."""
    context = context_of("bare")
    context.add_init_script(SWITCHED_OFF)
    assert note_after_death(context, server, crash) == ""


def finals(server: Server, annotator: str) -> list[Any]:
    return [row["candidate_id"] for row in server.rows("SELECT candidate_id FROM annotation WHERE annotator = ? AND state = 'final'", annotator)]


def kinds_by_item(server: Server, annotator: str) -> Counter[Any]:
    return Counter((row["candidate_id"], row["kind"]) for row in server.rows("SELECT * FROM operation WHERE annotator = ?", annotator))


def test_a_minute_offline_is_tried_again_and_again_and_everything_arrives_once(context_of: Contexts, server: Server) -> None:
    context = context_of("minute")
    page = context.new_page()
    page.clock.install()
    page.goto(server.address)
    expect(page.locator("#desk")).to_have_attribute("data-ready", "true")
    tried: list[str] = []

    def cut(route: Route) -> None:
        tried.append(json.loads(route.request.post_data or "{}")["id"])
        route.abort("internetdisconnected")

    intercept(page, cut)
    type_note(page, "while offline")
    page.keyboard.press("Escape")
    page.keyboard.press("u")
    page.keyboard.press("Enter")
    expect(page.locator("#desk-text")).to_have_text(TEXTS["rival"])
    type_note(page, "on the next item too")
    expect(page.locator("#desk-saved")).to_have_attribute("data-state", "unsaved")
    for _ in range(AWAY_MS // 5_000):
        page.clock.run_for(5_000)
    expect(page.locator("#desk-saved")).to_contain_text("NOT saved")
    assert max(Counter(tried).values()) >= 4, "it goes out again, with the same id"
    assert server.rows("SELECT id FROM operation WHERE annotator = 'minute'") == []
    page.unroute(OPERATIONS)
    page.evaluate("window.dispatchEvent(new Event('online'))")
    expect_saved(page)
    assert max(kinds_by_item(server, "minute").values()) == 1
    notes = {row["note"]: row["state"] for row in server.rows("SELECT note, state FROM annotation WHERE annotator = 'minute'")}
    assert notes == {"while offline": "final", "on the next item too": "draft"}


def test_work_survives_a_login_that_ran_out_and_the_death_of_the_tab_behind_it(context_of: Contexts, server: Server) -> None:
    context = context_of("logged-out")
    page = open_page(context, server)
    context.clear_cookies()
    type_note(page, "nobody is signed in")
    expect(page.locator("#desk-saved")).to_contain_text("NOT saved")
    crash(page)
    assert server.rows("SELECT id FROM operation WHERE annotator = 'logged-out'") == [], "the control"
    context.request.post(f"{server.address}/login", form={"name": "logged-out"})
    again = open_page(context, server)
    expect(again.locator("#desk-note")).to_have_value("nobody is signed in")
    expect_saved(again)
    assert [row["note"] for row in server.rows("SELECT note FROM annotation WHERE annotator = 'logged-out'")] == ["nobody is signed in"]


def test_two_tabs_that_submit_one_item_make_one_annotation(context_of: Contexts, server: Server) -> None:
    context = context_of("tabs")
    one, other = open_page(context, server), open_page(context, server)
    for page in (one, other):
        page.keyboard.press("a")
        page.keyboard.press("Enter")
        expect(page.locator("#desk-text")).not_to_have_text(TEXTS["rationale"])
    for page in (one, other):
        expect_saved(page)
    first = server.candidates["rationale"].id
    assert finals(server, "tabs").count(first) == 1


def hold(page: Page, key: str, repeats: int) -> None:
    """Hold a key down as an operating system tells it: the same key again and again, marked as a repeat."""
    for _ in range(repeats):
        page.keyboard.down(key)
    page.keyboard.up(key)


def test_keys_that_are_held_down_do_nothing_twice(context_of: Contexts, server: Server) -> None:
    page = open_page(context_of("heavy-hand"), server)
    sent: list[tuple[str, str]] = []

    def count(route: Route) -> None:
        body = json.loads(route.request.post_data or "{}")
        sent.append((body["assignment_id"], body["kind"]))
        route.continue_()

    intercept(page, count)
    for text in (TEXTS["rationale"], TEXTS["rival"]):
        expect(page.locator("#desk-text")).to_have_text(text)
        hold(page, "a", 20)
        hold(page, "Enter", 20)
    expect(page.locator("#desk-text")).to_have_text(TEXTS["narrative"])
    expect_saved(page)
    assert [kind for (_, kind) in sent if kind == "submit"] == ["submit"] * 2
    assert len(finals(server, "heavy-hand")) == 2
    assert max(kinds_by_item(server, "heavy-hand").values()) == 1
