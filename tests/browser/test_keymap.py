"""Keys that a person changes, in a real Chromium."""

from collections.abc import Callable

from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import Server, open_page
from tests.browser.test_desk import press

Desk = Callable[[str], Page]
Contexts = Callable[[str], BrowserContext]


def remap(page: Page, cap: str, key: str) -> None:
    """Change a key in the list of keys, which stays open."""
    if page.locator("#desk-help").count() == 0:
        press(page, "?")
    page.locator(f"[data-cap='{cap}']").click()
    press(page, key)


def test_a_changed_key_works_is_shown_and_outlives_a_reload_for_that_person_alone(context_of: Contexts, server: Server) -> None:
    context = context_of("left-handed")
    page = open_page(context, server)
    remap(page, "note", "/")
    remap(page, "verdict accept", ";")
    expect(page.locator("#desk-keys-said")).to_have_text('"Accept" is now ;.')
    press(page, "Escape")
    expect(page.locator("#desk-accept kbd")).to_have_text(";")
    page.reload()
    expect(page.locator("#desk-accept kbd")).to_have_text(";")
    press(page, "a")
    expect(page.locator("#desk-accept")).to_have_attribute("aria-pressed", "false")
    press(page, ";")
    expect(page.locator("#desk-accept")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#desk-note")).to_have_attribute("placeholder", "Note (/): why, in your words")
    press(page, "/")
    page.keyboard.type("; is text here")
    expect(page.locator("#desk-note")).to_have_value("; is text here")
    context.request.post(f"{server.address}/login", form={"name": "right-handed"})
    page.goto(server.address)
    expect(page.locator("#desk")).to_have_attribute("data-ready", "true")
    expect(page.locator("#desk-accept kbd")).to_have_text("A")


def test_a_clash_is_refused_with_its_sentence_and_so_is_what_the_browser_needs(desk_of: Desk) -> None:
    page = desk_of("clasher")
    remap(page, "verdict accept", "x")
    expect(page.locator("#desk-keys-said")).to_contain_text("The key x means")
    for key, sentence in (("F5", "belongs to the browser"), ("Control+s", "belong to the browser")):
        remap(page, "verdict accept", key)
        expect(page.locator("#desk-keys-said")).to_contain_text(sentence)
    remap(page, "verdict accept", "Escape")
    expect(page.locator("#desk-help")).to_be_visible()
    press(page, "Escape", "a")
    expect(page.locator("#desk-accept")).to_have_attribute("aria-pressed", "true")


def test_one_key_or_all_are_given_back_and_two_can_be_exchanged(desk_of: Desk) -> None:
    page = desk_of("tinkerer")
    remap(page, "verdict accept", ";")
    remap(page, "verdict reject", "a")
    remap(page, "verdict accept", "x")
    press(page, "Escape")
    expect(page.locator("#desk-accept kbd")).to_have_text("X")
    expect(page.locator("#desk-reject kbd")).to_have_text("A")
    remap(page, "verdict accept", "Backspace")
    expect(page.locator("#desk-keys-said")).to_contain_text("The key a means")
    page.locator("#desk-keys-reset").click()
    expect(page.locator("#desk-keys-said")).to_contain_text("as they were at first")
    remap(page, "step 1", "/")
    remap(page, "step 1", "Backspace")
    expect(page.locator("#desk-keys-said")).to_contain_text("has its first key again")
    press(page, "Escape", "x", ".")
    expect(page.locator("#desk-reject")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#desk-stamp")).to_contain_text("frame 2 of")


def test_a_kept_key_that_a_new_version_uses_itself_is_left_out(context_of: Contexts, server: Server) -> None:
    context = context_of("upgrader")
    page = open_page(context, server)
    kept = {"judge verdict accept": "x", "always verdict accept": "x", "gone": "k"}
    page.evaluate("kept => localStorage.setItem('eyewitness/keys/upgrader/', JSON.stringify(kept))", kept)
    page.reload()
    expect(page.locator("#desk")).to_have_attribute("data-ready", "true")
    expect(page.locator("#desk-accept kbd")).to_have_text("A")
    press(page, "x")
    expect(page.locator("#desk-reject")).to_have_attribute("aria-pressed", "true")
