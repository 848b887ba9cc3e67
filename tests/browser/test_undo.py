"""Undo and redo in a real Chromium: every kind of act, across items, after a reload, and never over somebody else's work."""

import itertools
import re
from collections.abc import Callable
from typing import Any

from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import OPERATIONS, Server, expect_saved, intercept, open_page, select_words
from tests.browser.test_desk import press, work_of
from tests.browser.test_flow import Held, expect_text, refuse, state_of

Desk = Callable[[str], Page]
Contexts = Callable[[str], BrowserContext]
MOVING = {"operation_sequence", "updated_at", "seconds_spent", "watched_share", "id", "annotation_id"}


def type_note(page: Page) -> None:
    press(page, "n")
    page.keyboard.type("two words")
    press(page, "Escape")


def set_flag(page: Page) -> None:
    select_words(page, "red coat")
    press(page, "h")


def write_comment(page: Page) -> None:
    press(page, "c")
    page.keyboard.type("it is blue")
    press(page, "Escape")


def edit_text(page: Page) -> None:
    press(page, "i")
    page.locator("#desk-edited").fill("A man runs.")
    press(page, "Escape")


def tick_claim(page: Page) -> None:
    page.locator(".ew-claim").first.click()


ACTS: dict[str, tuple[Callable[[Page], None], str]] = {
    "a rating": (lambda page: press(page, "4"), "a rating"),
    "the other rating": (lambda page: press(page, "2"), "a rating"),
    "the note": (type_note, "the note"),
    "an edit": (edit_text, "the edit"),
    "what is left out": (lambda page: page.locator("#desk-omission-minor").click(), "what is left out"),
    "a tick": (tick_claim, "a claim's tick"),
    "a flag": (set_flag, "a flag"),
    "a severity": (lambda page: press(page, "3"), "a flag's severity"),
    "a comment": (write_comment, "a flag's comment"),
    "a moment": (lambda page: press(page, "]"), "a flag's moment"),
    "its deletion": (lambda page: press(page, "Delete"), "the deletion of a flag"),
    "a verdict": (lambda page: press(page, "x"), "the verdict"),
}


def said(server: Server, annotator: str, name: str = "rationale") -> dict[str, Any]:
    """Return what the tables hold of the work, without what goes on by itself."""
    work = work_of(server, annotator, name)
    ticks = server.rows("SELECT text_start, support FROM claim_tick WHERE annotation_id = ?", work["id"])
    flags = [{key: value for key, value in flag.items() if key not in MOVING} for flag in work["flags"]]
    return {key: value for key, value in work.items() if key not in MOVING} | {"flags": flags, "ticks": ticks}


def message(page: Page) -> str:
    return page.locator("#desk-message").text_content() or ""


def test_every_kind_of_act_is_taken_back_and_done_again_one_by_one(desk_of: Desk, server: Server) -> None:
    page = desk_of("undoer")
    states = []
    press(page, "4", "z")
    expect_saved(page)
    for act, _ in ACTS.values():
        states.append(said(server, "undoer"))
        act(page)
        expect_saved(page)
    states.append(said(server, "undoer"))
    assert all(before != after for before, after in itertools.pairwise(states)), "the control: every act changed something"
    for before, (_, name) in zip(reversed(states[:-1]), reversed(ACTS.values()), strict=True):
        press(page, "z")
        assert message(page) == f"Undone: {name}."
        expect_saved(page)
        assert said(server, "undoer") == before
    for after in states[1:]:
        press(page, "Shift+Z")
        expect_saved(page)
        assert said(server, "undoer") == after


def test_undo_goes_back_over_items_and_a_reload_and_redo_goes_on_again(context_of: Contexts, server: Server) -> None:
    context = context_of("returner")
    page = open_page(context, server)
    press(page, "x", "n")
    page.keyboard.type("no lake")
    press(page, "Escape", "Enter")
    expect_text(page, "rival")
    press(page, "u", "5")
    expect_saved(page)
    page.close()
    page = open_page(context, server)
    expect_text(page, "rival")
    press(page, "z", "z")
    expect(page.locator("#desk-unsure")).to_have_attribute("aria-pressed", "false")
    press(page, "z")
    expect_text(page, "rationale")
    assert message(page) == "Undone: the submission. This is the item before, open again."
    expect(page.locator("#desk-count")).to_have_text(re.compile("^0 done"))
    expect_saved(page)
    assert (state_of(server, "returner", "rationale"), said(server, "returner")["note"], said(server, "returner")["verdict"]) == ("leased", "no lake", "reject")
    press(page, "z", "z")
    expect_saved(page)
    assert (said(server, "returner")["note"], said(server, "returner")["verdict"]) == ("", None)
    press(page, "Shift+Z", "Shift+Z", "Shift+Z")
    expect_text(page, "rival")
    press(page, "Shift+Z", "Shift+Z")
    expect_saved(page)
    assert (state_of(server, "returner", "rationale"), said(server, "returner")["note"]) == ("final", "no lake")
    assert (said(server, "returner", "rival")["verdict"], said(server, "returner", "rival")["factual_consistency"]) == ("unsure", 5)


def test_a_submission_that_has_not_left_yet_is_taken_back_without_a_trace(context_of: Contexts, server: Server) -> None:
    context = context_of("second thought")
    page = open_page(context, server)
    context.set_offline(True)
    press(page, "x", "n")
    page.keyboard.type("no lake")
    press(page, "Escape", "Enter")
    expect_text(page, "rival")
    press(page, "z", "u")
    expect_text(page, "rationale")
    context.set_offline(False)
    expect_saved(page)
    assert (state_of(server, "second thought", "rationale"), said(server, "second thought")["verdict"]) == ("leased", "unsure")


def test_undo_while_the_submission_is_under_way_reopens_behind_it(desk_of: Desk, server: Server) -> None:
    page = desk_of("quick")
    held = Held(page, "submit")
    press(page, "a", "Enter")
    expect_text(page, "rival")
    held.wait_for(1)
    press(page, "z", "x")
    expect_text(page, "rationale")
    held.let_go()
    expect_saved(page)
    expect_text(page, "rationale")
    assert (state_of(server, "quick", "rationale"), said(server, "quick")["verdict"], said(server, "quick")["state"]) == ("leased", "reject", "draft")
    kinds = [row["kind"] for row in server.rows("SELECT kind FROM operation WHERE annotator = 'quick' ORDER BY sequence") if row["kind"] != "draft"]
    assert kinds == ["submit", "reopen"]


def test_a_skip_and_an_item_that_was_given_back_can_be_had_again(desk_of: Desk, server: Server) -> None:
    page = desk_of("undecided")
    press(page, "4", "s", "3")
    expect_text(page, "rival")
    press(page, "Shift+S")
    expect_text(page, "narrative")
    expect_saved(page)
    press(page, "z")
    expect_text(page, "rival")
    assert message(page).startswith("Undone: giving it back.")
    expect_saved(page)
    assert state_of(server, "undecided", "rival") == "leased"
    press(page, "z")
    expect_text(page, "rationale")
    expect_saved(page)
    assert (state_of(server, "undecided", "rationale"), said(server, "undecided")["skip_reason"], said(server, "undecided")["factual_consistency"]) == (
        "leased",
        None,
        4,
    )


def test_fifty_acts_are_kept_and_no_more(desk_of: Desk) -> None:
    page = desk_of("busy hands")
    for number in range(55):
        press(page, "xu"[number % 2])
    for _ in range(50):
        press(page, "z")
        assert message(page) == "Undone: the verdict."
    press(page, "z")
    assert message(page) == "Nothing is left to undo."
    expect(page.locator("#desk-reject")).to_have_attribute("aria-pressed", "true")


def test_what_another_window_changed_meanwhile_stays(context_of: Contexts, server: Server) -> None:
    context = context_of("two minds")
    one = open_page(context, server)
    press(one, "4", "x")
    expect_saved(one)
    elsewhere = context_of("two minds")  # another browser of the same person
    other = open_page(elsewhere, server)
    press(other, "u")
    expect_saved(other)
    one.reload()
    expect(one.locator("#desk-unsure")).to_have_attribute("aria-pressed", "true")
    press(one, "z")
    expect(one.locator("#desk-message")).to_contain_text("changed in another window meanwhile")
    expect(one.locator("#desk-unsure")).to_have_attribute("aria-pressed", "true")
    expect_saved(one)
    assert (said(server, "two minds")["verdict"], said(server, "two minds")["factual_consistency"]) == ("unsure", 4)


def test_a_window_in_which_nothing_was_done_since_yields_to_the_other_one_without_a_question(context_of: Contexts, server: Server) -> None:
    page = context_of("absent").new_page()
    page.clock.install()
    page.goto(server.address)
    expect(page.locator("#desk")).to_have_attribute("data-ready", "true")
    press(page, "x")
    page.clock.run_for(1000)
    expect_saved(page)
    other = open_page(context_of("absent"), server)
    press(other, "u")
    expect_saved(other)
    page.clock.run_for(20_000)
    press(page, ".")  # a sign of life: there is time to save, and nothing else
    page.evaluate("window.dispatchEvent(new Event('pagehide'))")
    expect(page.locator("#desk-unsure")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#desk-stale")).to_have_count(0)
    expect_saved(page)
    assert said(server, "absent")["verdict"] == "unsure"


def test_an_item_that_another_window_submitted_anew_is_reopened_as_it_is_there(context_of: Contexts, server: Server) -> None:
    one = open_page(context_of("echo"), server)
    press(one, "x", "n")
    one.keyboard.type("no lake")
    press(one, "Escape", "Enter")
    expect_text(one, "rival")
    expect_saved(one)
    other = open_page(context_of("echo"), server)
    press(other, "b")
    other.locator("#desk-recent button[data-assignment]").click()
    expect_text(other, "rationale")
    press(other, "u", "Enter")
    expect_text(other, "rival")
    expect_saved(other)
    press(one, "z")
    expect(one.locator("#desk-message")).to_contain_text("changed in another window meanwhile")
    expect(one.locator("#desk-unsure")).to_have_attribute("aria-pressed", "true")
    expect_saved(one)
    assert (state_of(server, "echo", "rationale"), said(server, "echo")["verdict"]) == ("leased", "unsure")


def test_an_item_that_cannot_be_opened_again_stays_submitted_and_says_so(desk_of: Desk, server: Server) -> None:
    page = desk_of("too late")
    press(page, "a", "Enter")
    expect_text(page, "rival")
    expect_saved(page)
    intercept(page, refuse("The study is closed.", 409, "reopen"))
    press(page, "z")
    expect(page.locator("#desk-plain")).to_contain_text("This item stays as you submitted it")
    expect(page.locator("#desk-plain")).to_contain_text("The study is closed.")
    page.unroute(OPERATIONS)
    page.locator("#desk-take-next").click()
    expect_text(page, "rival")
    expect_saved(page)
    assert state_of(server, "too late", "rationale") == "final"


def test_the_history_is_bounded_in_size_and_a_full_browser_is_said(context_of: Contexts, server: Server) -> None:
    page = open_page(context_of("hoarder"), server)
    kept = "localStorage.getItem('eyewitness/history/hoarder/').length"
    for number in range(8):
        press(page, "i")
        page.locator("#desk-edited").fill(str(number) * 40_000)
        press(page, "Escape")
        press(page, "xu"[number % 2])
    assert 200_000 < page.evaluate(kept) <= 400_000
    page.evaluate("() => { Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); }; }")
    press(page, "4")
    expect(page.locator("#desk-message")).to_contain_text("no room left")
    press(page, "z")
    expect(page.locator("#desk-factual_consistency-4")).to_have_attribute("aria-pressed", "false")
