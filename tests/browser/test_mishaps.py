"""What seldom goes wrong, and then held up or lost something: answers that overtake each other, a tab in the background, a dialog closed by force."""

import json
import re
from collections.abc import Callable

from playwright.sync_api import BrowserContext, Page, Route, expect

from tests.browser.conftest import OPERATIONS, TEXTS, Server, expect_saved, intercept, open_page, select_words
from tests.browser.test_desk import press, work_of
from tests.browser.test_flow import Held
from tests.browser.test_keymap import remap

Desk = Callable[[str], Page]
Contexts = Callable[[str], BrowserContext]
HIDDEN = "hidden => Object.defineProperty(document, 'hidden', { value: hidden, configurable: true })"
DONE = {"done": 2, "open": 0, "verdicts": {"accept": 1, "unsure": 1}}


def test_the_wait_ends_though_the_answer_that_says_all_is_done_overtook_the_one_before(desk_of: Desk) -> None:
    page = desk_of("outrun")
    held = Held(page, "submit")
    press(page, "a", "Enter")
    expect(page.locator("#desk-text")).to_have_text(TEXTS["rival"])
    press(page, "u", "Enter")
    held.wait_for(2)
    held.routes.pop(1).fulfill(json={"sequence": 10**9, "saved_at": "", "annotator": "outrun", "next": None, "upcoming": None, "finished": DONE})
    expect(page.locator("#desk-plain")).to_contain_text("on its way")
    held.let_go()
    expect(page.locator("#desk-plain")).to_contain_text("All 2 of your items are done")


def test_new_items_appear_by_themselves_after_the_window_was_in_the_background(context_of: Contexts, server: Server) -> None:
    page = context_of("patient").new_page()
    page.clock.install()
    page.route("**/api/desk/item", lambda route: route.fulfill(json={"annotator": "patient", "next": None, "upcoming": None, "finished": DONE}))
    page.goto(server.address)
    expect(page.locator("#desk-plain")).to_contain_text("are done")
    page.unroute("**/api/desk/item")
    page.evaluate(HIDDEN, True)
    page.clock.fast_forward("00:31")
    expect(page.locator("#desk-plain")).to_contain_text("are done")
    page.evaluate(HIDDEN, False)
    page.clock.fast_forward("00:31")
    expect(page.locator("#desk-text")).to_have_text(TEXTS["rationale"])


def test_a_question_goes_out_by_itself_in_a_window_that_keeps_the_focus(context_of: Contexts, server: Server) -> None:
    page = context_of("curious").new_page()
    page.clock.install()
    page.goto(server.address)
    expect(page.locator("#desk")).to_have_attribute("data-ready", "true")
    page.route("**/guidelines/ask", lambda route: route.abort())
    press(page, "q")
    page.locator("#desk-ask").fill("Is a mirror image a person?")
    page.locator("#desk-ask-send").click()
    expect(page.locator("#desk-asked")).to_contain_text("goes out by itself")
    page.unroute("**/guidelines/ask")
    page.clock.fast_forward("00:16")
    expect_saved(page)
    assert len(server.rows("SELECT * FROM guideline_issue WHERE asked_by = 'curious'")) == 1


def test_two_versions_stay_a_question_until_one_is_chosen_whatever_esc_is_pressed(context_of: Contexts, server: Server) -> None:
    context = context_of("hasty")
    one, other = open_page(context, server), open_page(context, server)
    press(other, "x")
    expect_saved(other)
    press(one, "a")
    for _ in range(3):
        expect(one.locator("#desk-stale")).to_be_visible()
        press(one, "Escape", "Escape")
    with one.expect_response(lambda answer: answer.url.endswith("/operations") and answer.status == 200) as kept:
        one.locator("#desk-keep-mine").click()
    assert kept.value.request.post_data_json["state"]["verdict"] == "accept"
    expect(one.locator("#desk-stale")).to_have_count(0)
    expect_saved(one)
    assert work_of(server, "hasty")["verdict"] == "accept", server.rows("SELECT * FROM operation WHERE annotator = 'hasty' ORDER BY sequence")


def test_what_a_page_before_kept_in_another_form_stays_and_holds_up_nothing(context_of: Contexts, server: Server) -> None:
    page = open_page(context_of("veteran"), server)
    operation = {"id": "0" * 32, "kind": "draft", "candidate_id": "c", "base_sequence": 0, "client_at": "", "state": {"verdict": None}}
    kept = [
        {"tab": "t", "sequence": 0, "sent": operation, "waiting": None},
        {"tab": "t", "sequence": 0, "sent": None, "waiting": {"kind": "draft", "work": {}}},
    ]
    page.evaluate("kept => kept.forEach((one, index) => localStorage.setItem(`eyewitness/outbox/veteran/candidate${index}`, JSON.stringify(one)))", kept)
    page.reload()
    expect(page.locator("#desk")).to_have_attribute("data-ready", "true")
    press(page, "x")
    expect_saved(page)
    assert work_of(server, "veteran")["verdict"] == "reject"
    expect(page.locator("#desk-notices")).to_be_hidden()
    assert page.evaluate("Object.keys(localStorage).filter(name => name.includes('candidate')).length") == 2


def test_what_cannot_be_read_holds_up_no_choice(context_of: Contexts, server: Server) -> None:
    page = context_of("scrambled").new_page()
    page.goto(f"{server.address}/compare")
    page.evaluate("localStorage.setItem('eyewitness/compare/scrambled/1', '{')")
    page.reload()
    expect(page.locator("#compare")).to_have_attribute("data-open", "true")


def test_an_answer_given_blind_is_sent_behind_what_another_window_did(desk_of: Desk) -> None:
    """Such an answer was once compared with the other window's work, of which it is none, and nothing was sent any more."""
    sent = desk_of("answerer").evaluate(
        """async () => {
            const { Outbox } = await import('/eyewitness/desk/outbox.js');
            const { emptyWork } = await import('/eyewitness/desk/work.js');
            const sent = [];
            const send = async (operation) => {
                sent.push(operation);
                if (sent.length === 1) return { status: 409, body: { error: 'stale', current: { work: emptyWork(), sequence: 7 } } };
                return { status: 200, body: { sequence: 8 } };
            };
            const quiet = { send, onState() {}, onSaved() {}, onStale() {}, onRefused() {} };
            const outbox = new Outbox('answerer', quiet);
            outbox.open({ assignment_id: 'blind', sequence: 0 });
            outbox.put('blind', 'answer', { answer: null, answer_index: 1, seconds_spent: 2 });
            for (let tries = 0; tries < 100 && !outbox.empty; tries += 1) await new Promise((done) => setTimeout(done, 10));
            return sent.map(({ kind, base_sequence }) => [kind, base_sequence]);
        }"""
    )
    assert sent == [["answer", 0], ["answer", 7]]


def test_two_keys_that_were_exchanged_stay_so_after_a_reload_and_hints_name_the_new_ones(context_of: Contexts, server: Server) -> None:
    page = open_page(context_of("exchanger"), server)
    for cap, key in (("verdict accept", ";"), ("verdict reject", "a"), ("verdict accept", "x"), ("comment", "/"), ("deleteFlag", "\\")):
        remap(page, cap, key)
    page.reload()
    expect(page.locator("#desk")).to_have_attribute("data-ready", "true")
    expect(page.locator("#desk-accept kbd")).to_have_text("X")
    press(page, "a")
    expect(page.locator("#desk-reject")).to_have_attribute("aria-pressed", "true")
    select_words(page, "red coat")
    press(page, "h")
    expect(page.locator("[data-field=comment]")).to_have_attribute("placeholder", "comment (/)")
    expect(page.locator(".ew-flag.on [aria-label='Delete the flag']")).to_have_attribute("title", "Delete the flag (\\)")


def test_a_loop_that_is_cut_short_does_not_say_that_the_video_is_broken(desk_of: Desk) -> None:
    page = desk_of("cutter")
    press(page, "l")
    video = "document.querySelector('#desk-stage video:not([hidden])')"
    page.wait_for_function(f"!{video}.paused && {video}.currentTime > 0.5")
    page.evaluate("() => { HTMLMediaElement.prototype.play = () => Promise.reject(new DOMException('cut short', 'AbortError')); }")
    page.wait_for_function(f"{video}.currentTime < 0.5")
    page.wait_for_function(f"!{video}.seeking")
    expect(page.locator("#desk-problem")).to_be_hidden()


def test_a_clip_that_failed_while_it_was_loaded_ahead_is_loaded_again_when_it_is_shown(context_of: Contexts, server: Server) -> None:
    page = context_of("reloader").new_page()
    page.route("**/media/*", lambda route: route.abort() if "ahead" in route.request.url else route.continue_())

    def elsewhere(route: Route) -> None:
        told = route.fetch().json()
        told["upcoming"]["media_digest"] += "?ahead"
        route.fulfill(json=told)

    page.route("**/api/desk/item", elsewhere)
    page.goto(server.address)
    expect(page.locator("#desk")).to_have_attribute("data-ready", "true")
    page.wait_for_function("document.querySelector('#desk-stage video[hidden]').error")
    page.unroute("**/media/*")
    press(page, "a", "Enter")
    expect(page.locator("#desk-stage")).to_have_attribute("data-frame", "0")
    expect(page.locator("#desk-problem")).to_be_hidden()


def test_a_drag_that_was_broken_off_moves_nothing_later(desk_of: Desk, server: Server) -> None:
    page = desk_of("dropper")
    select_words(page, "red coat")
    press(page, "[", "j")
    page.locator("[data-edge=end]").evaluate(
        """edge => {
            const { left, width, top } = document.querySelector('.ew-lanes').getBoundingClientRect();
            const lanes = document.querySelector('.ew-lanes');
            lanes.setPointerCapture = () => {};
            const given = { pointerId: 1, button: 0, bubbles: true, cancelable: true, clientY: top };
            const event = (name, share) => new PointerEvent(name, { ...given, clientX: left + share * width });
            edge.dispatchEvent(event('pointerdown', 0.1));
            lanes.dispatchEvent(event('pointercancel', 0.1));
            lanes.dispatchEvent(event('pointerup', 0.9));
        }"""
    )
    expect_saved(page)
    assert work_of(server, "dropper")["flags"][0]["end_s"] < 1


def test_an_act_while_the_item_to_undo_is_fetched_is_not_what_is_undone(context_of: Contexts, server: Server) -> None:
    context = context_of("impatient")
    page = open_page(context, server)
    press(page, "a", "Enter")
    expect(page.locator("#desk-text")).to_have_text(TEXTS["rival"])
    expect_saved(page)
    page.reload()
    expect(page.locator("#desk-text")).to_have_text(TEXTS["rival"])
    expect(page.locator("#desk")).to_have_attribute("data-ready", "true")
    fetched: list[Route] = []
    intercept(page, fetched.append, re.compile("/api/desk/item/"), "/api/desk/item/none?probe")
    with page.expect_request(re.compile("/api/desk/item/")):
        press(page, "z")
    press(page, "u")
    expect_saved(page)
    fetched[0].continue_()
    expect(page.locator("#desk-text")).to_have_text(TEXTS["rationale"])
    acts = page.evaluate("JSON.parse(localStorage.getItem('eyewitness/history/impatient/'))")
    assert [len(acts["past"]), len(acts["future"])] == [3, 0]
    assert work_of(server, "impatient")["state"] == "final"


def test_the_reason_of_a_skip_counts_though_the_item_was_opened_again_meanwhile(desk_of: Desk, server: Server) -> None:
    page = desk_of("reopener")
    press(page, "x", "n")
    page.keyboard.type("why")
    press(page, "Escape", "Enter")
    expect_saved(page)
    held = Held(page, "reopen")
    press(page, "z")
    held.wait_for(1)
    press(page, "s")
    expect(page.locator("#desk-skip-reason")).to_be_visible()
    with page.expect_response(OPERATIONS) as reopened:
        held.let_go()
    assert json.loads(reopened.value.request.post_data or "{}")["kind"] == "reopen"
    press(page, "1")
    expect(page.locator("#desk-text")).to_have_text(TEXTS["rival"])
    expect_saved(page)
    assert work_of(server, "reopener")["skip_reason"] == "the clip does not play"
