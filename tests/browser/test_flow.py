"""From one item to the next in a real Chromium: shown at once, kept in order, and nothing that was refused is dropped."""

import itertools
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from curation.work import NOT_BEGUN, check_submitted, work_from_json, work_to_json
from curation.work_flags import FlagState
from store.errors import InputError
from tests.browser.conftest import OPERATIONS, TEXTS, Server, expect_saved, intercept, open_page, select_words
from tests.browser.test_desk import press, work_of

Desk = Callable[[str], Page]
Contexts = Callable[[str], BrowserContext]


class Held:
    """Holds back what the page sends, until it is let go; `kinds` are those that were held so far."""

    def __init__(self, page: Page, *kinds: str) -> None:
        self.page, self.wanted, self.routes = page, kinds, list[Route]()
        intercept(page, self._take)

    def _take(self, route: Route) -> None:
        if json.loads(route.request.post_data or "{}")["kind"] in self.wanted:
            self.routes.append(route)
        else:
            route.continue_()

    def wait_for(self, count: int) -> None:
        for _ in range(3000):
            if len(self.routes) >= count:
                # Items do not wait for each other: on a slow machine what was done later may be sent first.
                self.routes.sort(key=lambda route: json.loads(route.request.post_data or "{}")["client_at"])
                return
            self.page.wait_for_timeout(10)
        raise AssertionError(f"{len(self.routes)} of {count} operations came")

    def let_go(self, index: int = 0) -> None:
        self.routes.pop(index).continue_()


def state_of(server: Server, annotator: str, name: str) -> str:
    (row,) = server.rows("SELECT state FROM assignment WHERE annotator = ? AND candidate_id = ?", annotator, server.candidates[name].id)
    return str(row["state"])


def expect_text(page: Page, name: str) -> None:
    expect(page.locator("#desk-text")).to_have_text(TEXTS[name])


def refuse(sentence: str, status: int, kind: str) -> Callable[[Route], None]:
    """Return a route that answers operations of one kind with a refusal, and lets all others through."""

    def answer(route: Route) -> None:
        if json.loads(route.request.post_data or "{}")["kind"] == kind:
            route.fulfill(status=status, json={"error": sentence})
        else:
            route.continue_()

    return answer


def test_the_next_item_is_on_screen_in_the_same_turn_and_the_saving_is_told_truly(desk_of: Desk, server: Server) -> None:
    page = desk_of("hurried")
    expect_saved(page)
    held = Held(page, "submit")
    press(page, "a")
    told = page.evaluate(
        """() => {
            document.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true }));
            return [document.querySelector('#desk-text').textContent, document.querySelector('#desk-saved').dataset.state];
        }"""
    )
    assert told == [TEXTS["rival"], "saving"]
    held.wait_for(1)
    assert work_of_or_none(server, "hurried") is None or work_of(server, "hurried")["state"] == "draft", "the control: the server had not heard of it"
    press(page, "x", "n")
    page.keyboard.type("both run")
    held.let_go()
    expect_saved(page)
    expect_text(page, "rival")
    expect(page.locator("#desk-note")).to_have_value("both run")
    assert (state_of(server, "hurried", "rationale"), work_of(server, "hurried", "rival")["note"]) == ("final", "both run")


def work_of_or_none(server: Server, annotator: str) -> dict[str, Any] | None:
    return next(iter(server.rows("SELECT state FROM annotation WHERE annotator = ?", annotator)), None)


def test_without_an_upcoming_item_the_desk_waits_for_the_answer(context_of: Contexts, server: Server) -> None:
    page = context_of("control").new_page()

    def without_upcoming(route: Route) -> None:
        route.fulfill(json=route.fetch().json() | {"upcoming": None})

    page.route("**/api/desk/item", without_upcoming)
    page.goto(server.address)
    expect(page.locator("#desk")).to_have_attribute("data-ready", "true")
    held = Held(page, "submit")
    press(page, "a", "Enter")
    expect(page.locator("#desk-plain")).to_contain_text("Your next item is on its way")
    held.wait_for(1)
    held.let_go()
    expect_text(page, "rival")


def test_answers_that_come_in_the_wrong_order_bring_no_item_back(desk_of: Desk, server: Server) -> None:
    page = desk_of("overtaken")
    held = Held(page, "submit")
    press(page, "a", "Enter")
    expect_text(page, "rival")
    press(page, "u", "Enter")
    expect(page.locator("#desk-plain")).to_contain_text("on its way")
    held.wait_for(2)
    held.let_go(1)
    expect_text(page, "narrative")
    assert (state_of(server, "overtaken", "rationale"), state_of(server, "overtaken", "rival")) == ("leased", "final")
    held.let_go(0)
    expect_saved(page)
    expect_text(page, "narrative")
    assert state_of(server, "overtaken", "rationale") == "final"
    expect(page.locator("#desk-count")).to_have_text(f"2 done, {len(TEXTS) - 2} open")


def test_a_tab_that_died_with_an_unsent_submission_sends_it_and_goes_on(context_of: Contexts, server: Server) -> None:
    context = context_of("cut off")
    page = open_page(context, server)
    context.set_offline(True)
    press(page, "x", "n")
    page.keyboard.type("cut off")
    press(page, "Escape", "Enter")
    expect_text(page, "rival")
    page.close()
    context.set_offline(False)
    again = open_page(context, server)
    expect_text(again, "rival")
    expect_saved(again)
    assert (work_of(server, "cut off")["state"], work_of(server, "cut off")["note"]) == ("final", "cut off")


def test_a_refusal_of_an_item_that_was_left_is_said_and_brings_it_back_with_its_work(desk_of: Desk, server: Server) -> None:
    page = desk_of("refused")
    intercept(page, refuse("The desk lost its pencil. Sharpen it.", 400, "submit"))
    select_words(page, "red coat")
    press(page, "h", "Escape", "x", "4", "Enter")
    expect_text(page, "rival")
    expect(page.locator("#desk-notices")).to_contain_text("The desk lost its pencil")
    expect(page.locator("#desk-saved")).to_have_attribute("data-state", "unsaved")
    expect(page.locator("#desk-count")).to_have_text(f"0 done, {len(TEXTS)} open")
    page.unroute(OPERATIONS)
    press(page, "u", "Shift+B")
    expect_text(page, "rationale")
    expect(page.locator("#desk-flags > li")).to_have_count(1)
    expect(page.locator("#desk-factual_consistency-4")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#desk-notices")).to_be_hidden()
    press(page, "Enter")
    expect_text(page, "rival")
    expect(page.locator("#desk-unsure")).to_have_attribute("aria-pressed", "true")
    expect_saved(page)
    assert (work_of(server, "refused")["state"], work_of(server, "refused", "rival")["verdict"]) == ("final", "unsure")


def test_a_submission_that_is_stale_after_it_was_left_offers_the_choice(context_of: Contexts, server: Server) -> None:
    context = context_of("behind")
    one, other = open_page(context, server), open_page(context, server)
    press(other, "x", "5")
    expect_saved(other)
    press(one, "a", "Enter")
    expect_text(one, "rival")
    expect(one.locator("#desk-notices")).to_contain_text("in another window")
    assert (work_of(server, "behind")["verdict"], work_of(server, "behind")["state"]) == ("reject", "draft")
    one.locator("#desk-notices [data-act=bring]").click()
    one.locator("#desk-take-theirs").click()
    expect(one.locator("#desk-reject")).to_have_attribute("aria-pressed", "true")
    expect_saved(one)


def test_work_whose_item_is_gone_can_at_least_be_read(context_of: Contexts, server: Server) -> None:
    context = context_of("gone")
    page = open_page(context, server)
    kept = "Object.keys(localStorage).filter(name => name.startsWith('eyewitness/outbox')).length"
    context.set_offline(True)
    press(page, "x", "n")
    page.keyboard.type("a thought worth keeping")
    page.close()
    context.set_offline(False)
    page = context.new_page()
    page.route(OPERATIONS, refuse("Others have finished it.", 409, "draft"))
    page.route(re.compile("/api/desk/item$"), lambda route: route.fulfill(json=_without(route, server.candidates["rationale"].text)))
    page.route("**/api/desk/item/*", lambda route: route.fulfill(status=404, json={"error": "This item was not given to you."}))
    page.goto(server.address)
    expect(page.locator("#desk-notices")).to_contain_text("Others have finished it")
    press(page, "Shift+B")
    expect(page.locator("#desk-plain")).to_contain_text("a thought worth keeping")
    assert page.evaluate(kept) == 1


def _without(route: Route, text: str) -> dict[str, Any]:
    """Return the queue's answer without the item that has this text."""
    told = route.fetch().json()
    rest = [item for item in (told["next"], told["upcoming"]) if item and item["text"] != text]
    return dict(told | {"next": rest[0], "upcoming": None})


def test_a_skip_wants_a_reason_by_a_digit_and_goes_on(desk_of: Desk, server: Server) -> None:
    page = desk_of("skipper")
    press(page, "s")
    expect(page.locator("#desk-skip-reason")).to_be_visible()
    press(page, "Escape")
    expect(page.locator("#desk-skip-reason")).to_have_count(0)
    expect_text(page, "rationale")
    press(page, "s", "2")
    expect_text(page, "rival")
    press(page, "s")
    expect(page.locator("#desk-skip-reason [data-reason='1']")).to_be_focused()
    press(page, "4")
    expect(page.locator("#desk-skip-other")).to_be_focused()
    page.keyboard.type("too dark to see")
    expect(page.locator("#desk-skip-other")).to_have_value("too dark to see")
    press(page, "Enter")
    expect_text(page, "narrative")
    expect_saved(page)
    told = [(work_of(server, "skipper", name)["skip_reason"], state_of(server, "skipper", name)) for name in ("rationale", "rival")]
    assert told == [("I do not know the language", "skipped"), ("too dark to see", "skipped")]


def test_an_item_is_given_back_without_a_reason(desk_of: Desk, server: Server) -> None:
    page = desk_of("giver")
    press(page, "Shift+S")
    expect_text(page, "rival")
    expect_saved(page)
    assert state_of(server, "giver", "rationale") == "released"


def test_a_beating_heart_keeps_the_items_and_an_idle_person_lets_them_go(context_of: Contexts, server: Server) -> None:
    page = context_of("sleeper").new_page()
    page.clock.install()
    beats: list[list[str]] = []
    page.on("request", lambda request: beats.append(json.loads(request.post_data or "{}")["assignment_ids"]) if "heartbeat" in request.url else None)
    page.goto(server.address)
    expect(page.locator("#desk")).to_have_attribute("data-ready", "true")
    with page.expect_response("**/heartbeat") as beat:
        page.clock.fast_forward("04:01")
    assert beat.value.json()["held"] == beats[0]
    assert len(beats[0]) == 2, "the item on screen and the one after it"
    page.clock.fast_forward("12:00")
    with page.expect_request("**/heartbeat"):
        press(page, ".")  # a sign of life, long after: it beats at once
    expect(page.locator("#desk-stamp")).to_contain_text("frame 2")
    assert len(beats) == 2
    page.clock.fast_forward("11:00")
    page.clock.fast_forward("04:00")
    assert len(beats) == 2, "nobody was active for ten minutes"


def test_an_item_that_is_not_held_any_more_is_said_plainly(context_of: Contexts, server: Server) -> None:
    page = context_of("evicted").new_page()
    page.clock.install()
    page.goto(server.address)
    expect(page.locator("#desk")).to_have_attribute("data-ready", "true")
    page.route("**/heartbeat", lambda route: route.fulfill(json={"held": []}))
    expect(page.locator("#desk-notices")).to_be_hidden()
    page.clock.fast_forward("04:01")
    expect(page.locator("#desk-notices")).to_contain_text("not held for you any more")
    page.locator("#desk-lost-next").click()
    expect(page.locator("#desk-notices")).to_be_hidden()


def test_a_question_on_the_guidelines_outlives_the_network_and_the_tab(context_of: Contexts, server: Server) -> None:
    context = context_of("asker")
    page = open_page(context, server)
    press(page, "q")
    expect(page.locator("#desk-guide")).to_contain_text("Severity")
    context.set_offline(True)
    page.locator("#desk-ask").fill("Is a shadow a person?")
    page.locator("#desk-ask-send").click()
    expect(page.locator("#desk-asked")).to_contain_text("kept in this browser")
    expect(page.locator("#desk-saved")).to_have_attribute("data-state", "unsaved")
    page.close()
    assert server.rows("SELECT * FROM guideline_issue WHERE asked_by = 'asker'") == []
    context.set_offline(False)
    held: list[Route] = []
    context.route("**/api/desk/guidelines/ask", lambda route: held.append(route))
    again = open_page(context, server)
    expect(again.locator("#desk-saved")).to_have_attribute("data-state", "unsaved")
    held[0].continue_()
    expect_saved(again)
    (kept,) = server.rows("SELECT * FROM guideline_issue WHERE asked_by = 'asker'")
    assert (kept["question"], kept["candidate_id"]) == ("Is a shadow a person?", server.candidates["rationale"].id)
    press(again, "q")
    expect(again.locator("#desk-issues")).to_contain_text("Is a shadow a person?")


def test_a_question_that_is_refused_stays_on_screen(desk_of: Desk) -> None:
    page = desk_of("long-winded")
    page.route("**/api/desk/guidelines/ask", lambda route: route.fulfill(status=400, json={"error": "Shorten it."}))
    press(page, "q")
    page.locator("#desk-ask").fill("Why, oh why?")
    page.locator("#desk-ask-send").click()
    expect(page.locator("#desk-ask")).to_have_value("Why, oh why?")
    press(page, "Escape", "Escape")
    expect(page.locator("#desk-notices")).to_contain_text("Shorten it. You asked: “Why, oh why?”")


def test_the_page_refuses_what_the_server_would_in_the_same_words(desk_of: Desk) -> None:
    page = desk_of("checked")
    flags = [
        FlagState("flag-00000001", "other", 0, 1, "A", None, None, 1, " "),
        FlagState("flag-00000002", "omission", None, None, "", None, None, 1, ""),
        FlagState("flag-00000003", "entity_drift", 0, 1, "A", None, None, 1, ""),
        FlagState("flag-00000004", "other", 0, 1, "A", None, None, 1, "so"),
    ]
    several = [(), *((flag,) for flag in flags), (flags[2], flags[1])]
    cases = [
        {"verdict": verdict, "no_error": no_error, "flags": [flag.__dict__ for flag in some], "note": note, "edited_text": edited}
        for verdict, no_error, some, note, edited in itertools.product(
            (None, "accept", "reject", "unsure", "skip"), (True, False), several, ("", " ", "why"), (None, " ", "so")
        )
    ]
    works = [work_from_json(json.dumps(json.loads(work_to_json(NOT_BEGUN)) | case)) for case in cases]
    told = page.evaluate(
        """async (cases) => {
            const { emptyWork, whyNotFinal } = await import('/eyewitness/desk/work.js');
            const taxonomy = await (await fetch('/eyewitness/taxonomy.json')).json();
            const names = new Map(taxonomy.flags.map((flag) => [flag.kind, flag.name]));
            return cases.map((one) => whyNotFinal({ ...emptyWork(), ...one }, names));
        }""",
        cases,
    )
    expected = [_refusal(work) for work in works]
    assert told == expected
    assert len(set(expected)) >= 7, "the control: every sentence was met"


def _refusal(work: Any) -> str | None:
    try:
        check_submitted(work)
    except InputError as problem:
        return str(problem)
    return None


@pytest.mark.parametrize(("open_items", "shown"), [(48, "12 done, 48 open"), (500, "12 done, 500 open"), (501, "12 done, 500+ open")])
def test_the_head_says_how_much_is_done_and_how_much_is_open(context_of: Contexts, server: Server, open_items: int, shown: str) -> None:
    page = context_of(f"counter {open_items}").new_page()

    def counted(route: Route) -> None:
        told = route.fetch().json()
        route.fulfill(json=told | {"next": told["next"] | {"done": 12, "open": open_items}})

    page.route("**/api/desk/item", counted)
    page.goto(server.address)
    expect(page.locator("#desk-count")).to_have_text(shown)
