"""The desk in a real Chromium over a real server: what an annotator does is what the database holds."""

import itertools
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Error, Page, Route, expect

from store.database import open_store
from tests.browser.conftest import OPERATIONS, TEXTS, Server, expect_saved, frame_on_screen, intercept, open_page, select_words

Desk = Callable[[str], Page]
Contexts = Callable[[str], BrowserContext]


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def work_of(server: Server, annotator: str, name: str = "rationale") -> dict[str, Any]:
    """Return what the tables hold of an annotator's work on a text, its flags with it."""
    found = server.rows("SELECT * FROM annotation WHERE annotator = ? AND candidate_id = ?", annotator, server.candidates[name].id)
    assert len(found) == 1
    return found[0] | {"flags": server.rows("SELECT * FROM flag WHERE annotation_id = ? ORDER BY rowid", found[0]["id"])}


def step_to(page: Page, frame: int) -> None:
    """Go to a frame by keys: to the start, then one frame at a time."""
    press(page, "Home")
    for number in range(1, frame + 1):
        press(page, ".")
        expect(page.locator("#desk-stamp")).to_contain_text(f"frame {number + 1} of")


def test_a_flag_on_words_and_moment_is_set_by_keys_alone_and_the_next_item_comes_with_the_submission(desk_of: Desk, server: Server) -> None:
    page = desk_of("keys")
    step_to(page, 3)
    press(page, "[", ".", ".", "]", "w")
    for _ in range(TEXTS["rationale"].split().index("bright")):
        press(page, "ArrowRight")
    press(page, "Shift+ArrowRight", "j", "2", "c")
    page.keyboard.type("No lake, and no sun.")
    press(page, "Escape", "x", "2", "4", "Enter")
    expect(page.locator("#desk-text")).to_have_text(TEXTS["rival"])
    expect_saved(page)
    work = work_of(server, "keys")
    assert (work["state"], work["verdict"], work["factual_consistency"], work["logical_coherence"], work["no_error"]) == ("final", "reject", 2, 4, 0)
    (flag,) = work["flags"]
    assert (flag["kind"], flag["quote"], flag["severity"], flag["comment"]) == ("justified_fabrication", "bright sun", 2, "No lake, and no sun.")
    assert flag["text_start"] == TEXTS["rationale"].index("bright sun")
    assert (flag["start_s"], flag["end_s"]) == pytest.approx((server.frames[3], server.frames[6]))
    expect(page.locator("#desk-count")).to_have_text(f"1 done, {len(TEXTS) - 1} open")


def test_a_clean_item_is_two_keys_and_a_held_key_submits_once(desk_of: Desk, server: Server) -> None:
    page = desk_of("clean")
    press(page, "a")
    expect(page.locator("#desk-accept")).to_have_text(re.compile("No error found"))
    page.keyboard.down("Enter")
    page.keyboard.down("Enter")
    page.keyboard.up("Enter")
    expect(page.locator("#desk-text")).to_have_text(TEXTS["rival"])
    expect_saved(page)
    work = work_of(server, "clean")
    assert (work["verdict"], work["no_error"], work["state"]) == ("accept", 1, "final")
    assert len(server.rows("SELECT id FROM annotation WHERE annotator = 'clean' AND state = 'final'")) == 1


def test_what_was_played_last_is_the_moment_of_a_flag_and_is_counted_as_watched(desk_of: Desk, server: Server) -> None:
    page = desk_of("player")
    press(page, "Space")
    page.wait_for_function("Number(document.querySelector('#desk-stage').dataset.frame) > 14")
    press(page, "Space")
    select_words(page, "red coat")
    press(page, "e")
    expect_saved(page)
    work = work_of(server, "player")
    (flag,) = work["flags"]
    shown = int(page.locator("#desk-stage").get_attribute("data-frame") or -1)
    assert flag["start_s"] == 0
    assert flag["end_s"] == pytest.approx(server.frames[shown + 1])
    assert work["watched_share"] == pytest.approx((shown + 1) / len(server.frames), abs=0.03)


def test_every_step_shows_the_frame_that_it_names_and_a_click_on_a_flag_loops_its_moment(desk_of: Desk, server: Server) -> None:
    page = desk_of("stepper")
    wrong = []
    for number in range(1, 25):
        press(page, ".")
        expect(page.locator("#desk-stamp")).to_contain_text(f"frame {number + 1} of 90")
        page.wait_for_function("() => !document.querySelector('#desk-stage video:not([hidden])').seeking")
        wrong += [number] if frame_on_screen(page) != number else []
    assert wrong == []
    # The control: with uneven frames a constant rate is off, so that the test above would see it.
    assert any(abs(int(server.frames[number] * 25) - number) > 1 for number in range(1, 25))
    press(page, "[", ".", ".", ".", ".", "]")
    select_words(page, "he waves")
    press(page, "t", "Escape", "Home")
    page.locator("#desk-text mark").click()
    seen = page.evaluate(
        """async () => {
            const stage = document.querySelector('#desk-stage');
            const seen = [];
            for (let turn = 0; turn < 90; turn += 1) {
                await new Promise(requestAnimationFrame);
                seen.push(Number(stage.dataset.frame));
            }
            return seen;
        }"""
    )
    looped = [frame for frame in seen if frame != 0]
    # A busy machine leaves frames out, and then the loop ends at most one frame late.
    assert set(looped) <= set(range(24, 30)) and len(set(looped)) >= 4
    assert sum(later < earlier for earlier, later in itertools.pairwise(looped)) >= 2, "it came round again"


def test_typing_in_a_field_moves_nothing_and_markup_in_a_text_is_only_text(desk_of: Desk, server: Server) -> None:
    server.give("writer", "markup")
    page = desk_of("writer")
    assert page.locator("#desk-text").text_content() == TEXTS["markup"]
    assert page.title() == "Eyewitness"
    before = page.locator("#desk-stamp").text_content()
    press(page, "n")
    page.keyboard.type("a x u s j t e h m o [ ] , . l z ? 1 2 3")
    expect(page.locator("#desk-note")).to_have_value("a x u s j t e h m o [ ] , . l z ? 1 2 3")
    expect_saved(page)
    work = work_of(server, "writer", "markup")
    assert (work["note"], work["verdict"], work["flags"], work["factual_consistency"]) == ("a x u s j t e h m o [ ] , . l z ? 1 2 3", None, [], None)
    assert page.locator("#desk-stamp").text_content() == before
    assert page.locator("#desk-help").count() == 0
    press(page, "Escape", "x")
    expect(page.locator("#desk-reject")).to_have_attribute("aria-pressed", "true")


def test_offsets_are_code_points_in_right_to_left_text_with_emoji_and_overlaps_survive_a_reload(desk_of: Desk, server: Server) -> None:
    server.give("hebrew reader", "hebrew")
    page = desk_of("hebrew reader")
    text = TEXTS["hebrew"]
    expect(page.locator("#desk-text")).to_have_text(text)
    assert page.locator("#desk-text").evaluate("node => getComputedStyle(node).direction") == "rtl"
    for words, key in (("👦🏽 רץ", "e"), ("רץ אל הכדור 🎾", "t"), ("מנופף", "h")):
        select_words(page, words)
        press(page, key)
        expect(page.locator(".ew-flag.on .ew-quote")).to_have_text(f"“{words}”")
    expect_saved(page)
    spans = [(flag["text_start"], flag["text_end"], flag["quote"]) for flag in work_of(server, "hebrew reader", "hebrew")["flags"]]
    assert spans == [(text.index(words), text.index(words) + len(words), words) for words in ("👦🏽 רץ", "רץ אל הכדור 🎾", "מנופף")]
    page.reload()
    expect(page.locator("#desk-flags > li")).to_have_count(3)
    assert page.locator("#desk-text").evaluate("node => node.textContent") == text
    press(page, "w", "ArrowLeft")
    assert page.evaluate("getSelection().toString()") == text.split()[2], "the word on the left is the next one"


def test_a_draft_is_there_after_a_reload_and_undo_takes_acts_back(desk_of: Desk, server: Server) -> None:
    page = desk_of("reloader")
    select_words(page, "red coat")
    press(page, "h", "3", "x", "5")
    press(page, "z", "z", "z")
    expect(page.locator("#desk-reject")).to_have_attribute("aria-pressed", "false")
    press(page, "Shift+Z")
    expect(page.locator(".ew-dots")).to_have_text("●●●")
    expect_saved(page)
    page.reload()
    expect(page.locator(".ew-dots")).to_have_text("●●●")
    assert work_of(server, "reloader")["flags"][0]["severity"] == 3
    press(page, "z", "z")
    expect(page.locator("#desk-flags > li")).to_have_count(0)
    press(page, "z")
    expect(page.locator("#desk-message")).to_have_text("Nothing is left to undo.")


def test_an_act_survives_the_death_of_the_tab_fifty_milliseconds_later(context_of: Contexts, server: Server) -> None:
    context = context_of("unlucky")
    page = open_page(context, server)
    intercept(page, lambda route: None)  # on a slow machine the typing outlasts the wait before sending: nothing gets out
    press(page, "n")
    page.keyboard.type("typed just before the crash")
    page.wait_for_timeout(50)
    with pytest.raises(Error):
        page.goto("chrome://crash")
    assert server.rows("SELECT id FROM annotation WHERE annotator = 'unlucky'") == [], "the control: the server had not heard of it"
    page.close()
    again = open_page(context, server)
    expect(again.locator("#desk-note")).to_have_value("typed just before the crash")
    expect_saved(again)
    assert work_of(server, "unlucky")["note"] == "typed just before the crash"


def test_without_a_network_the_desk_says_not_saved_keeps_on_working_and_catches_up(context_of: Contexts, server: Server) -> None:
    context = context_of("offline")
    page = open_page(context, server)
    context.set_offline(True)
    select_words(page, "red coat")
    press(page, "h")
    expect(page.locator("#desk-saved")).to_have_attribute("data-state", "unsaved")
    press(page, "x", "n")
    page.keyboard.type("while offline")
    press(page, "Escape", "Enter")
    expect(page.locator("#desk-text")).to_have_text(TEXTS["rival"])
    press(page, "u", "Enter")
    expect(page.locator("#desk-plain")).to_contain_text("It comes by itself when the network is back")
    assert server.rows("SELECT id FROM annotation WHERE annotator = 'offline'") == []
    context.set_offline(False)
    expect(page.locator("#desk-text")).to_have_text(TEXTS["narrative"])
    expect_saved(page)
    work = work_of(server, "offline")
    assert (work["verdict"], work["note"], len(work["flags"]), work["state"]) == ("reject", "while offline", 1, "final")
    assert (work_of(server, "offline", "rival")["verdict"], work_of(server, "offline", "rival")["state"]) == ("unsure", "final")


def test_an_answer_that_is_lost_on_the_way_makes_no_second_operation(context_of: Contexts, server: Server) -> None:
    context = context_of("unheard")
    page = open_page(context, server)
    lost: list[str] = []

    def swallow(route: Any) -> None:
        route.fetch()  # the server keeps it, and its answer never comes
        lost.append(json.loads(route.request.post_data)["id"])
        route.abort()
        page.unroute(OPERATIONS)

    intercept(page, swallow)
    press(page, "u")
    expect(page.locator("#desk-saved")).to_have_attribute("data-state", "unsaved")
    expect_saved(page)
    press(page, "4")
    expect_saved(page)
    kept = [row["id"] for row in server.rows("SELECT id FROM operation WHERE annotator = 'unheard' ORDER BY sequence")]
    assert (kept[:1], len(kept)) == (lost, 2)


def test_two_windows_on_one_item_never_overwrite_each_other_in_silence(context_of: Contexts, server: Server) -> None:
    context = context_of("double")
    one, other = open_page(context, server), open_page(context, server)
    press(one, "x")
    expect_saved(one)
    press(other, "u")
    expect(other.locator("#desk-stale")).to_be_visible()
    assert work_of(server, "double")["verdict"] == "reject"
    other.locator("#desk-take-theirs").click()
    expect(other.locator("#desk-reject")).to_have_attribute("aria-pressed", "true")
    press(other, "5")
    expect_saved(other)
    press(one, "u")
    one.locator("#desk-keep-mine").click()
    expect_saved(one)
    work = work_of(server, "double")
    assert (work["verdict"], work["factual_consistency"]) == ("unsure", None)


def test_two_windows_with_the_same_work_have_nothing_to_choose(context_of: Contexts, server: Server) -> None:
    context = context_of("twin")
    one, other = open_page(context, server), open_page(context, server)
    sent: list[Route] = []
    # Its first one is held until its work is the same as the first window's: half of that work would be something to choose.
    intercept(other, lambda route: route.continue_() if sent else sent.append(route))
    for page in (one, other):
        select_words(page, "red coat")
        press(page, "h", "Escape", "x")
    expect_saved(one)
    while not sent:
        other.wait_for_timeout(10)
    sent[0].continue_()
    expect_saved(other)
    expect(other.locator("#desk-stale")).to_have_count(0)
    press(one, "Enter")  # behind the other's draft, and the same
    expect(one.locator("#desk-text")).to_have_text(TEXTS["rival"])
    expect_saved(one)
    assert (work_of(server, "twin")["state"], len(work_of(server, "twin")["flags"])) == ("final", 1)
    press(other, "5")
    expect(other.locator("#desk-stale")).to_have_count(0)


@pytest.mark.parametrize("chosen", ["mine", "theirs"])
def test_work_kept_over_a_submission_of_another_window_is_known_to_be_a_draft(context_of: Contexts, server: Server, chosen: str) -> None:
    context = context_of(f"torn-{chosen}")
    one, other = open_page(context, server), open_page(context, server)
    press(other, "u", "Enter")
    expect(other.locator("#desk-text")).to_have_text(TEXTS["rival"])
    expect_saved(other)
    press(one, "5")
    one.locator("#desk-keep-mine" if chosen == "mine" else "#desk-take-theirs").click()
    expect(one.locator("#desk-again")).to_have_text("You finished this item before. Submit to change it.")
    expect(one.locator("#desk-back")).to_be_visible()
    expect_saved(one)
    work = work_of(server, f"torn-{chosen}")
    assert (work["state"], work["verdict"], work["factual_consistency"]) == ("final", "unsure", None)
    if chosen == "mine":
        press(one, "5", "a", "Enter")
        expect(one.locator("#desk-text")).to_have_text(TEXTS["rival"])
        expect_saved(one)
        work = work_of(server, f"torn-{chosen}")
        assert (work["state"], work["verdict"]) == ("final", "accept")


def test_the_same_work_as_another_window_submitted_is_known_to_be_final(context_of: Contexts, server: Server) -> None:
    context = context_of("echoed")
    one, other = open_page(context, server), open_page(context, server)
    press(other, "u", "Enter")
    expect(other.locator("#desk-text")).to_have_text(TEXTS["rival"])
    expect_saved(other)
    press(one, "u")
    expect(one.locator("#desk-again")).to_be_visible()
    expect(one.locator("#desk-stale")).to_have_count(0)


def test_a_sentence_goes_once_its_reason_is_gone(desk_of: Desk) -> None:
    page = desk_of("obedient")
    message = page.locator("#desk-message")
    press(page, "Enter")
    expect(message).to_contain_text("There is no verdict yet")
    press(page, ".")
    expect(message).to_be_visible()
    press(page, "u")
    assert message.is_hidden()


def test_work_waits_for_a_login_that_ran_out(context_of: Contexts, server: Server) -> None:
    context = context_of("expired")
    page = open_page(context, server)
    context.clear_cookies()
    press(page, "n")
    page.keyboard.type("long thought")
    expect(page.locator("#desk-sign-in")).to_be_visible()
    expect(page.locator("#desk-saved")).to_have_text("▲ NOT saved. Sign in first. Your work waits here.")
    context.request.post(f"{server.address}/login", form={"name": "expired"})
    page.evaluate("window.dispatchEvent(new Event('focus'))")
    expect_saved(page)
    assert work_of(server, "expired")["note"] == "long thought"


def test_a_refused_submission_says_why_and_loses_nothing(desk_of: Desk, server: Server) -> None:
    page = desk_of("hasty")
    select_words(page, "red coat")
    press(page, "o", "Escape", "x", "Enter")
    expect(page.locator("#desk-message")).to_contain_text("'Other' needs a comment")
    expect_saved(page)
    assert (work_of(server, "hasty")["state"], len(work_of(server, "hasty")["flags"])) == ("draft", 1)
    press(page, "j")
    expect(page.locator("#desk-message")).to_contain_text("Select the words first")
    press(page, "c")  # the flag that the refusal names is selected
    page.keyboard.type("no coat at all")
    press(page, "Escape", "Enter")
    expect(page.locator("#desk-text")).to_have_text(TEXTS["rival"])


def test_work_on_an_item_that_was_taken_away_is_not_called_saved(desk_of: Desk, server: Server) -> None:
    page = desk_of("late")
    with open_store(server.data) as db:
        db.execute("DELETE FROM assignment WHERE annotator = 'late'")
        db.execute("UPDATE seat SET cursor = 0 WHERE annotator = 'late'")
    press(page, "x")
    expect(page.locator("#desk-plain")).to_contain_text("This work could not be saved")
    expect(page.locator("#desk-saved")).to_have_attribute("data-state", "unsaved")
    page.locator("#desk-take-next").click()
    expect(page.locator("#desk-text")).to_have_text(TEXTS["rationale"])
    expect(page.locator("#desk-reject")).to_have_attribute("aria-pressed", "true")
    expect_saved(page)


def test_an_edit_becomes_a_text_of_its_own_and_an_item_can_be_opened_again(desk_of: Desk, server: Server) -> None:
    page = desk_of("editor")
    press(page, "i")
    page.locator("#desk-edited").fill("A man in a red coat runs to the ball.")
    press(page, "Escape")
    expect(page.locator(".ew-edit-state")).to_contain_text("Edited: A man in a red coat runs to the ball.")
    press(page, "x", "n")
    page.keyboard.type("no lake")
    press(page, "Escape", "Enter")
    expect(page.locator("#desk-text")).to_have_text(TEXTS["rival"])
    expect_saved(page)
    query = "SELECT parent_id, generator.kind, name FROM candidate JOIN generator ON generator.id = generator_id WHERE name = ?"
    (edit,) = server.rows(query, "editor")
    assert edit == {"parent_id": server.candidates["rationale"].id, "kind": "person", "name": "editor"}
    press(page, "b")
    page.locator("#desk-recent button[data-assignment]").click()
    expect(page.locator("#desk-again")).to_be_visible()
    expect(page.locator("#desk-note")).to_have_value("no lake")
    press(page, "u", "Enter")
    expect(page.locator("#desk-text")).to_have_text(TEXTS["rival"])
    expect_saved(page)
    assert (work_of(server, "editor")["verdict"], work_of(server, "editor")["state"]) == ("unsure", "final")


def test_a_moment_is_dragged_nudged_and_typed(desk_of: Desk, server: Server) -> None:
    page = desk_of("dragger")
    step_to(page, 4)
    press(page, "[")
    select_words(page, "red coat")
    press(page, "j")
    end = page.locator("[data-edge=end]")
    box, lanes = end.bounding_box(), page.locator(".ew-lanes").bounding_box()
    assert box is not None and lanes is not None
    page.mouse.move(box["x"] + 4, box["y"] + 5)
    page.mouse.down()
    page.mouse.move(lanes["x"] + lanes["width"] / 2, box["y"] + 5, steps=4)
    page.mouse.up()
    expect(page.locator("#desk-stamp")).to_contain_text("frame 4")
    expect_saved(page)
    length_s = server.frames[-1] + 0.04
    (dragged,) = work_of(server, "dragger")["flags"]
    assert dragged["start_s"] == pytest.approx(server.frames[4])
    assert dragged["end_s"] == pytest.approx(length_s / 2, abs=0.1)
    at = server.frames.index(pytest.approx(dragged["end_s"]))
    press(page, "Shift+F")
    end.focus()
    press(page, "ArrowRight", "d")
    expect_saved(page)
    (nudged,) = work_of(server, "dragger")["flags"]
    assert (nudged["start_s"], nudged["end_s"]) == pytest.approx((server.frames[3], server.frames[at + 2]))
    page.locator("[data-field=start_s]").fill("soon")
    press(page, "Enter")
    expect(page.locator("#desk-message")).to_contain_text("“soon” is not a time")
    page.locator("[data-field=start_s]").fill("0:00.5")
    expect(page.locator("#desk-message")).to_be_hidden(timeout=2000)
    press(page, "Enter")
    expect_saved(page)
    assert work_of(server, "dragger")["flags"][0]["start_s"] == 0.5


def test_the_loop_of_a_flag_ends_with_the_flag(desk_of: Desk) -> None:
    page = desk_of("looper")
    playing = "!document.querySelector('#desk-stage video:not([hidden])').paused"
    step_to(page, 3)
    press(page, "[", ".", ".", ".", "]")
    select_words(page, "red coat")
    press(page, "h", "l")
    page.wait_for_function(playing)
    expect(page.locator("#desk-loop")).to_have_attribute("aria-pressed", "true")
    press(page, "Delete")
    page.wait_for_function(f"!({playing})")
    expect(page.locator("#desk-loop")).to_have_attribute("aria-pressed", "false")


def test_the_second_annotator_sees_nothing_of_the_first(desk_of: Desk, server: Server) -> None:
    first, told = desk_of("zoe-the-first"), []
    select_words(first, "red coat")
    press(first, "h", "x", "n")
    first.keyboard.type("a note of zoe's")
    press(first, "Escape", "Enter")
    expect(first.locator("#desk-text")).to_have_text(TEXTS["rival"])
    second = desk_of("ben")
    second.on("response", lambda answer: told.append(answer.text()) if "/api/" in answer.url else None)
    second.reload()
    expect(second.locator("#desk")).to_have_attribute("data-ready", "true")
    expect(second.locator("#desk-text")).to_have_text(TEXTS["rationale"])
    expect(second.locator("#desk-flags > li")).to_have_count(0)
    seen = second.content() + "".join(told)
    assert TEXTS["rationale"] in "".join(told), "the control: the answers were read"
    assert [word for word in ("zoe-the-first", "a note of zoe's", "secret-writer", "temperature") if word in seen] == []


def test_the_list_of_keys_is_complete_and_a_clash_stops_the_desk(desk_of: Desk) -> None:
    page = desk_of("learner")
    press(page, "?")
    shown = page.locator("#desk-help dd").all_text_contents()
    registered = page.evaluate(
        """async () => {
            const { allKeys, clashes } = await import('/eyewitness/desk/keys.js');
            const taxonomy = await (await fetch('/eyewitness/taxonomy.json')).json();
            return { keys: allKeys(taxonomy), clashes: clashes(allKeys(taxonomy)) };
        }"""
    )
    assert registered["clashes"] == []
    assert {key["what"] for key in registered["keys"] if key["act"] != "rate"} <= set(shown)
    assert len(registered["keys"]) >= 50
    press(page, "Escape")
    expect(page.locator("#desk-help")).to_have_count(0)
    refused = page.evaluate(
        """async () => {
            const { Keys, allKeys, clashes } = await import('/eyewitness/desk/keys.js');
            const taxonomy = await (await fetch('/eyewitness/taxonomy.json')).json();
            taxonomy.flags[0].key = 'a';
            try { new Keys(allKeys(taxonomy), {}, () => []); } catch (problem) { return problem.message; }
        }"""
    )
    assert refused == 'The key a means "Justified fabrication" and "Accept".'


def test_keys_are_told_from_what_the_browser_and_the_keyboard_mean_by_them(desk_of: Desk) -> None:
    page = desk_of("typist")
    chords = page.evaluate(
        """async () => {
            const { chordOf } = await import('/eyewitness/desk/keys.js');
            const press = (key, more = {}) => chordOf(new KeyboardEvent('keydown', { key, ...more }));
            return {
                letter: press('J'), shifted: press('J', { shiftKey: true }), russian: press('о', { code: 'KeyJ' }),
                copy: press('c', { ctrlKey: true }), composing: press('j', { isComposing: true }), question: press('?', { shiftKey: true }),
                plus: press('='), numpad: press('3', { code: 'Numpad3' }),
                french: press('é', { code: 'Digit2' }), space: press(' '),
            };
        }"""
    )
    assert chords == {
        "letter": "j",
        "shifted": "shift+j",
        "russian": "j",
        "copy": None,
        "composing": None,
        "question": "?",
        "plus": "+",
        "numpad": "3",
        "french": "2",
        "space": "space",
    }


def test_the_desk_fits_a_small_screen_and_stays_usable_at_twice_the_size(desk_of: Desk) -> None:
    page = desk_of("viewer")
    scrolls = "[document.documentElement.scrollHeight - innerHeight, document.documentElement.scrollWidth - innerWidth]"
    assert page.evaluate(scrolls) == [0, 0]
    for part in ("#desk-stage", "#desk-question", "#desk-text", "#desk-note", "#desk-submit", "#desk-help-open"):
        expect(page.locator(part)).to_be_in_viewport(ratio=0.95)
    page.set_viewport_size({"width": 640, "height": 360})  # what 1280x720 is at 200 %
    assert page.evaluate(scrolls)[1] == 0
    press(page, "a")
    page.locator("#desk-submit").scroll_into_view_if_needed()
    expect(page.locator("#desk-submit")).to_be_in_viewport(ratio=1)
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll('#desk :is(button, input, textarea, [role=slider])')]
            .filter(node => !(node.ariaLabel || node.textContent.trim() || node.title)).length"""
    )
    assert unnamed == 0


def test_when_all_is_done_the_desk_says_so(desk_of: Desk) -> None:
    page = desk_of("finisher")
    for done in range(1, len(TEXTS) + 1):
        press(page, "a", "Enter")
        expect(page.locator("#desk-count")).to_have_text(f"{done} done, {len(TEXTS) - done} open")
        expect_saved(page)
    expect(page.locator("#desk-plain")).to_contain_text(f"All {len(TEXTS)} of your items are done")
    expect(page.locator("#desk-plain")).to_contain_text(f"{len(TEXTS)} accept")
    for key, dialog in (("?", "#desk-help"), ("q", "#desk-guide"), ("b", "#desk-recent")):
        press(page, "x", key)
        expect(page.locator(dialog)).to_be_visible()
        press(page, "Escape")
        expect(page.locator(dialog)).to_have_count(0)


@pytest.mark.parametrize(("role", "links"), [("admin", 1), ("annotator", 0)])
def test_only_an_admin_is_sent_to_the_import_page(context_of: Contexts, server: Server, role: str, links: int) -> None:
    page = context_of(f"idle-{role}").new_page()
    nothing = {"annotator": f"idle-{role}", "next": None, "upcoming": None, "finished": {"done": 0, "open": 0, "verdicts": {}}}
    page.route("**/api/desk/item", lambda route: route.fulfill(json=nothing))
    page.route("**/api/me", lambda route: route.fulfill(json={"name": f"idle-{role}", "role": role}))
    page.goto(server.address)
    expect(page.locator("#desk-plain")).to_contain_text("Nothing waits for you yet")
    expect(page.locator("#desk-plain a[href='/import']")).to_have_count(links)
    expect(page.locator("#desk-plain").get_by_text("Ask an admin")).to_have_count(1 - links)
