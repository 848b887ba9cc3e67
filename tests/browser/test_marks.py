"""What an annotator marks beside one stretch of words: the other half of a flag, claims, what is left out, and an answer given blind."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, Response, Route, expect

from curation.claims import sentence_claims
from store.batches import add_batch
from store.candidates import add_candidate, candidate_of
from store.clips import add_qa_pair
from store.database import open_store
from store.queue import enqueue
from store.records import Batch, Candidate, QAPair
from store.rows import digest_id, utc_now
from tests.browser.conftest import OPERATIONS, WRITER, Server, expect_saved, fill, intercept, open_page, select_words, served, write_numbered_clip

Desk = Callable[[str], Page]
Contexts = Callable[[str], BrowserContext]

TEXTS = {
    "story": "The man throws the ball. He waves, then he runs. A lake glares behind him. So he shades his eyes.",
    "hebrew": "👦🏽 הילד רץ אל הכדור 🎾 לפני שהוא מנופף. אחר כך הוא יושב.",
    "typical": (
        "Two women stand on the green and raise their hands to their foreheads, squinting against the bright sun that glares off a nearby lake. "
        "They follow the ball while a third person watches beside them. Before that, they wave at the cart parked behind them. "
        "She lowers her arm when the ball lands. All of this shows that they want to see better."
    ),
    "blind": "He sprints because a ball flies over the fence, and only a quick man can reach it.",
    "open": "The kite tears loose at once, which is what the crowd shouts about.",
}
OPTIONS = ("to catch the ball", "to greet a friend", "to keep warm", "to leave the place", "to win a bet")
GIVEN = "the kite is gone"
BLIND_PEOPLE = ("chooser", "typist", "unheard", "killed", "double", "skipper", "second thought")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The app over texts to mark; a batch with seats for some asks them first."""
    folder = tmp_path_factory.mktemp("marks")
    frames = write_numbered_clip(folder / "numbers.mp4")
    data = folder / "data"
    candidates = fill(data, folder / "numbers.mp4", frames) | add_texts(data)
    with served(data) as address:
        yield Server(address, data, candidates, frames)


def add_texts(data: Path) -> dict[str, Candidate]:
    """Queue the texts of this module, two of them in a batch that asks first; return them by name."""
    with open_store(data) as db:
        (clip,) = db.query("SELECT id FROM clip")
        five = QAPair(digest_id("qa", "five"), clip["id"], "5", "Why does the man run?", OPTIONS[0], OPTIONS, 0, "CW", None, None, None)
        free = QAPair(digest_id("qa", "free"), clip["id"], "6", "What does the crowd shout about?", GIVEN, (), None, "DO", None, None, None)
        for pair in (five, free):
            add_qa_pair(db, pair, [])
        made = {name: candidate_of("rationale", clip["id"], (free if name == "open" else five).id, WRITER, text) for name, text in TEXTS.items()}
        batch = Batch("asks-first", "Asks first", 90, "given", None, 0, 0.0, 0.0, 0.0, True, False, "open", "admin", utc_now())
        add_batch(db, batch, BLIND_PEOPLE)
        for name, candidate in made.items():
            add_candidate(db, candidate, WRITER)
            enqueue(db, candidate.id, 90, batch.id if name in ("blind", "open") else "default")
    return made


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def given(server: Server, desk_of: Desk, annotator: str, name: str) -> Page:
    """Return the desk of an annotator with this text on it."""
    server.give(annotator, name)
    page = desk_of(annotator)
    expect(page.locator("#desk-text")).to_have_text(TEXTS[name])
    return page


def work_of(server: Server, annotator: str, name: str) -> dict[str, Any]:
    """Return what the tables hold of an annotator's work on a text, its flags and ticks with it."""
    (work,) = server.rows("SELECT * FROM annotation WHERE annotator = ? AND candidate_id = ?", annotator, server.candidates[name].id)
    more = {table: server.rows(f"SELECT * FROM {table} WHERE annotation_id = ? ORDER BY rowid", work["id"]) for table in ("flag", "claim_tick")}
    return work | {"flags": more["flag"], "ticks": more["claim_tick"]}


def flag_of(server: Server, annotator: str, name: str) -> dict[str, Any]:
    (flag,) = work_of(server, annotator, name)["flags"]
    return dict(flag)


def frames_seen(page: Page, turns: int = 60) -> list[int]:
    """Return the frames on screen while the browser draws so many times."""
    seen: list[int] = page.evaluate(
        """async turns => {
            const seen = [];
            for (; turns > 0; turns -= 1) {
                await new Promise(requestAnimationFrame);
                seen.push(Number(document.querySelector('#desk-stage').dataset.frame));
            }
            return seen;
        }""",
        turns,
    )
    return seen


# The other half of a flag.


def test_entity_drift_holds_two_mentions_and_two_moments_set_by_keys_alone(desk_of: Desk, server: Server) -> None:
    page = given(server, desk_of, "drifter", "story")
    press(page, "[", ".", ".", "]")
    select_words(page, "The man")
    press(page, "e")
    press(page, "End", ",", ",")
    select_words(page, "him")
    press(page, "k", "2")  # from the selection on: the words, their moment and the severity are two acts
    expect(page.locator("#desk-text mark")).to_have_text(["The man"[:1], "The man"[1:], "him"])
    expect(page.locator("#desk-text mark.second")).to_have_attribute("data-number", "1")
    expect(page.locator("#desk-lane-flags .ew-bar")).to_have_count(2)
    expect_saved(page)
    flag, text, frames = flag_of(server, "drifter", "story"), TEXTS["story"], server.frames
    assert (flag["quote"], flag["text_start"], flag["other_quote"], flag["other_start"]) == ("The man", 0, "him", text.index("him"))
    assert (flag["start_s"], flag["end_s"]) == pytest.approx((frames[0], frames[3]))
    assert (flag["other_start_s"], flag["other_end_s"]) == pytest.approx((frames[87], frames[-1] + 0.04))
    assert (flag["severity"], flag["claimed_order"], flag["true_order"], flag["props_up"]) == (2, None, None, "")
    # The keys work on the moment that is marked, K goes to the other one.
    press(page, "d", "k", "Shift+F")
    expect_saved(page)
    nudged = flag_of(server, "drifter", "story")
    assert (nudged["end_s"], nudged["other_start_s"]) == pytest.approx((frames[4], frames[86]))
    assert (nudged["start_s"], nudged["other_end_s"]) == (flag["start_s"], flag["other_end_s"])


def test_a_click_on_either_half_of_a_flag_loops_its_moment_after_a_reload_too(desk_of: Desk, server: Server) -> None:
    page = given(server, desk_of, "looper", "story")
    press(page, "[", ".", ".", ".", "]")
    select_words(page, "the ball")
    press(page, "e", "End", ",", ",", ",")
    select_words(page, "A lake")
    press(page, "k", "Escape")
    expect_saved(page)
    page.reload()
    expect(page.locator("#desk-text mark.second")).to_have_count(2)  # its first letter goes with the claim's mark
    page.locator("#desk-text mark.second").last.click()
    other = {frame for frame in frames_seen(page) if frame > 4}
    assert other and other <= set(range(86, 90))
    expect(page.locator(".ew-part.on")).to_have_attribute("data-part", "other")
    page.locator("#desk-lane-flags .ew-bar:not(.second)").click()
    expect(page.locator(".ew-part.on")).to_have_attribute("data-part", "words")
    page.wait_for_function("Number(document.querySelector('#desk-stage').dataset.frame) < 5")
    assert set(frames_seen(page)) <= {0, 1, 2, 3}


def test_a_temporal_error_has_a_claimed_and_a_true_order_that_follow_words_and_moments_until_they_are_changed(desk_of: Desk, server: Server) -> None:
    page = given(server, desk_of, "orderer", "story")
    select_words(page, "throws the ball")
    press(page, "End", ",", "t")
    press(page, "Home", ".", ".")
    select_words(page, "he runs")
    press(page, "k")
    expect_saved(page)
    flag = flag_of(server, "orderer", "story")
    assert (flag["claimed_order"], flag["true_order"]) == ("before", "after")
    assert flag["start_s"] > flag["other_end_s"]
    # The proposal follows a moment that is typed, as long as nobody chose.
    page.locator("[data-field=other_end_s]").fill("3.85")
    press(page, "Enter")
    expect(page.locator("[data-field=true_order-same]")).to_have_attribute("aria-pressed", "true")
    press(page, "p")
    expect(page.locator("[data-field=true_order-absent]")).to_have_attribute("aria-pressed", "true")
    page.locator("[data-field=other_end_s]").fill("0.1")
    press(page, "Enter", "Shift+P")
    expect_saved(page)
    flag = flag_of(server, "orderer", "story")
    assert (flag["claimed_order"], flag["true_order"], flag["other_end_s"]) == ("after", "absent", 0.1)
    press(page, "z", "z", "z")
    expect(page.locator("[data-field=true_order-same]")).to_have_attribute("aria-pressed", "true")


def test_the_same_moment_played_once_is_not_taken_for_both_halves(desk_of: Desk, server: Server) -> None:
    page = given(server, desk_of, "once", "story")
    press(page, ".", ".")
    select_words(page, "waves")
    press(page, "t")
    select_words(page, "runs")
    press(page, "k")
    expect_saved(page)
    flag = flag_of(server, "once", "story")
    assert flag["start_s"] is not None
    assert (flag["other_quote"], flag["other_start_s"], flag["true_order"]) == ("runs", None, None)
    press(page, "End", "[")
    expect_saved(page)
    assert flag_of(server, "once", "story")["true_order"] == "before"


def test_a_fabrication_props_up_the_given_answer_unless_somebody_says_otherwise(desk_of: Desk, server: Server) -> None:
    page = given(server, desk_of, "propper", "story")
    select_words(page, "A lake glares")
    press(page, "j")
    expect_saved(page)
    assert flag_of(server, "propper", "story")["props_up"] == OPTIONS[0]
    select_words(page, "he shades his eyes")
    press(page, "k")
    expect(page.locator("[data-field=props_up_typed]")).to_have_value("he shades his eyes")
    press(page, "p", "ArrowUp", "Escape")  # the menu: the last of the claims
    expect_saved(page)
    assert flag_of(server, "propper", "story")["props_up"] == "So he shades his eyes."
    page.locator("[data-field=props_up]").select_option(label="in other words …")
    page.locator("[data-field=props_up_typed]").fill("that the sun is low")
    expect(page.locator("[data-field=props_up_typed]")).to_be_focused()
    expect_saved(page)
    assert flag_of(server, "propper", "story")["props_up"] == "that the sun is low"
    assert page.locator("#desk-text mark.second").count() == 0


def test_both_halves_are_code_points_in_right_to_left_text_behind_emoji_and_overlaps_survive(desk_of: Desk, server: Server) -> None:
    page = given(server, desk_of, "reader", "hebrew")
    text = TEXTS["hebrew"]
    assert page.locator("#desk-text").evaluate("node => getComputedStyle(node).direction") == "rtl"
    for key, words, other in (("e", "👦🏽 הילד", "הוא יושב"), ("t", "הילד רץ אל", "אל הכדור 🎾 לפני")):
        select_words(page, words)
        press(page, key)
        select_words(page, other)
        press(page, "k")
        expect(page.locator(".ew-part.on .ew-quote")).to_have_text(f"“{other}”")
    select_words(page, "הכדור")
    press(page, "Escape")
    expect_saved(page)
    spans = [(flag["text_start"], flag["quote"], flag["other_start"], flag["other_quote"]) for flag in work_of(server, "reader", "hebrew")["flags"]]
    assert spans == [(0, "👦🏽 הילד", text.index("הוא יושב"), "הוא יושב"), (text.index("הילד רץ"), "הילד רץ אל", text.index("אל הכדור"), "אל הכדור 🎾 לפני")]
    assert page.locator("#desk-text").evaluate("node => node.textContent") == text, "marks and numbers add no letter"
    page.reload()
    expect(page.locator("#desk-flags > li")).to_have_count(2)
    joined = page.locator("#desk-text").evaluate(
        "node => [...node.querySelectorAll('mark.second.ew-entity_drift')].map(mark => mark.textContent).join('')",
    )
    assert joined == "הוא יושב"


def test_the_other_half_can_be_taken_away_and_set_anew(desk_of: Desk, server: Server) -> None:
    page = given(server, desk_of, "second thoughts", "story")
    select_words(page, "throws the ball")
    press(page, "End", "t", "Home", ".")
    select_words(page, "he runs")
    press(page, "k", "Shift+K")
    expect(page.locator("#desk-text mark.second")).to_have_count(0)
    expect_saved(page)
    flag = flag_of(server, "second thoughts", "story")
    assert [flag[name] for name in ("other_start", "other_quote", "other_start_s", "claimed_order", "true_order")] == [None, "", None, None, None]
    assert (flag["quote"], flag["start_s"]) == ("throws the ball", pytest.approx(server.frames[-1]))
    press(page, "w", "ArrowDown", "ArrowDown", "k", "Escape")  # a whole claim can be the other half
    expect(page.locator(".ew-flag .ew-quote").last).to_have_text("⇄ “He waves, then he runs.”")
    select_words(page, "A lake")
    press(page, "k")
    expect(page.locator("#desk-message")).to_contain_text("Select the flag first")


def test_only_flags_with_another_half_take_one(desk_of: Desk, server: Server) -> None:
    page = given(server, desk_of, "plain", "story")
    select_words(page, "A lake")
    press(page, "h")
    select_words(page, "eyes")
    press(page, "k")
    expect(page.locator("#desk-message")).to_have_text("Plain hallucination has no other half.")
    press(page, "p")
    expect(page.locator("#desk-message")).to_have_text("Plain hallucination says nothing of an order.")
    assert page.evaluate("getSelection().toString()") == "eyes"


# Claims and what is left out.


def test_claims_are_ticked_by_keys_and_each_tick_is_kept_and_can_be_undone(desk_of: Desk, server: Server) -> None:
    page = given(server, desk_of, "ticker", "story")
    line, marks = page.locator("#desk-claims"), page.locator("#desk-text .ew-claim")
    expect(line).to_contain_text("0 of 4 claims ticked")
    press(page, "y", "1", "3", "y", "y", "ArrowDown", "4")
    told = ["supported", "not_visible", "contradicted", "cannot_tell"]
    expect(line).to_contain_text("4 of 4 claims ticked")
    assert [marks.nth(index).get_attribute("data-support") for index in range(4)] == told
    assert marks.nth(2).get_attribute("aria-label") == "Claim 3 of 4: contradicted"
    expect_saved(page)
    work, text = work_of(server, "ticker", "story"), TEXTS["story"]
    assert [(tick["text_start"], tick["text_end"], tick["support"]) for tick in work["ticks"]] == [
        (claim.start, claim.end, support) for claim, support in zip(sentence_claims(text), told, strict=True)
    ]
    assert (work["factual_consistency"], work["logical_coherence"]) == (None, None), "the digits rated nothing"
    press(page, "Escape", "5")
    expect(page.locator("#desk-factual_consistency-5")).to_have_attribute("aria-pressed", "true")
    press(page, "z", "z", "z")
    expect(line).to_contain_text("2 of 4 claims ticked")
    page.reload()
    expect(line).to_contain_text("2 of 4 claims ticked")
    marks.nth(1).click()
    expect(marks.nth(1)).to_have_attribute("data-support", "cannot_tell")
    marks.nth(1).click()
    expect(line).to_contain_text("1 of 4 claims ticked")
    press(page, "y")
    assert page.evaluate("getSelection().toString()") == "He waves, then he runs.", "the first one without a tick"
    press(page, "ArrowUp", "0")
    expect(line).to_contain_text("0 of 4 claims ticked")


def test_a_claim_that_is_selected_can_be_flagged_and_the_digits_are_the_flags_then(desk_of: Desk, server: Server) -> None:
    page = given(server, desk_of, "claimer", "story")
    press(page, "w", "ArrowDown", "ArrowDown", "ArrowDown")
    expect(page.locator(".ew-supports")).to_be_visible()
    press(page, "h", "3")
    expect(page.locator(".ew-supports")).to_be_hidden()
    expect_saved(page)
    flag = flag_of(server, "claimer", "story")
    assert (flag["quote"], flag["severity"], work_of(server, "claimer", "story")["ticks"]) == ("A lake glares behind him.", 3, [])


def test_what_the_text_leaves_out_is_said_of_the_clip_and_an_omission_flag_says_at_least_minor(desk_of: Desk, server: Server) -> None:
    page = given(server, desk_of, "omitter", "story")
    pressed = ".ew-left-out [aria-pressed=true]"
    press(page, "Shift+M")
    expect(page.locator(pressed)).to_have_text("nothing")
    press(page, "m")
    expect(page.locator(pressed)).to_have_text("minor")
    press(page, "Delete")
    page.locator("#desk-omission-major").click()
    press(page, "m", "c")
    page.keyboard.type("He fell before.")
    press(page, "Escape", "Escape", "x", "Enter")
    expect(page.locator("#desk-text")).not_to_have_text(TEXTS["story"])
    expect_saved(page)
    work = work_of(server, "omitter", "story")
    assert (work["omission"], work["state"], [flag["comment"] for flag in work["flags"]]) == ("major", "final", ["He fell before."])


# Blind first.


class Heard:
    """Everything that the server told a page."""

    def __init__(self, page: Page) -> None:
        self.told: list[str] = []
        page.on("response", lambda answer: self.told.append(answer.text()) if "/api/" in answer.url else None)

    def __contains__(self, words: str) -> bool:
        return any(words in one for one in self.told)


def asked(context: BrowserContext, server: Server) -> tuple[Page, Heard]:
    """Return a desk that asks first, and what the server told it."""
    page = context.new_page()
    heard = Heard(page)
    page.goto(server.address)
    expect(page.locator("#desk-blind")).to_be_visible()
    return page, heard


def assert_blind(page: Page, heard: Heard, name: str, answer: str | None) -> None:
    """Neither the page nor the wire has the text or which answer is given."""
    seen = page.content()
    assert [words for words in (TEXTS[name], answer) if words and (words in seen or words in heard)] == []
    assert all('"answer_index":0' not in one and '"answer_index": 0' not in one for one in heard.told)
    assert page.locator(".given, #desk-text mark, #desk-text .ew-claim").count() == 0
    for part in ("#desk-text", "#desk-question", "#desk-accept", "#desk-submit", "#desk-note"):
        expect(page.locator(part)).to_be_hidden()


def test_the_question_is_answered_before_text_and_answer_reach_the_page(context_of: Contexts, server: Server) -> None:
    page, heard = asked(context_of("chooser"), server)
    assert_blind(page, heard, "blind", None)
    assert "answer_index" in heard, "the control: the answers were read"
    press(page, "a", "j", "Enter")
    expect(page.locator("#desk-message")).to_contain_text("Choose an answer first")
    page.reload()
    expect(page.locator("#desk-blind button[data-index]")).to_have_count(5)
    assert_blind(page, heard, "blind", None)
    press(page, "2")
    expect(page.locator("#desk-blind [aria-pressed=true]")).to_contain_text("to greet a friend")
    press(page, "5", "2", "Enter")
    expect(page.locator("#desk-text")).to_have_text(TEXTS["blind"])
    expect(page.locator("#desk-blind")).to_be_hidden()
    expect(page.locator("#desk-question .given")).to_contain_text("to catch the ball")
    expect(page.locator("#desk-question .yours")).to_have_text("to greet a friendyou answered")
    page.reload()
    expect(page.locator("#desk-blind-said")).to_have_text("you answered")
    assert TEXTS["blind"] in heard, "the control: the text would have been seen"
    press(page, "a", "5", "5", "Enter")
    expect(page.locator("#desk-blind-question")).to_have_text("What does the crowd shout about?")
    expect_saved(page)
    work = work_of(server, "chooser", "blind")
    assert (work["blind_answer"], work["blind_answer_index"], work["state"], work["verdict"]) == (None, 1, "final", "accept")
    kinds = [row["kind"] for row in server.rows("SELECT kind FROM operation WHERE annotator = 'chooser' ORDER BY sequence")]
    assert (kinds[0], kinds.count("answer")) == ("answer", 1)


def test_an_open_question_is_answered_in_words(context_of: Contexts, server: Server) -> None:
    server.give("typist", "open")
    page, heard = asked(context_of("typist"), server)
    assert_blind(page, heard, "open", GIVEN)
    press(page, "Enter")
    expect(page.locator("#desk-message")).to_contain_text("Write your answer first")
    press(page, "w")
    page.keyboard.type("a 2 x the kite", delay=1)
    press(page, "Enter")
    expect(page.locator("#desk-text")).to_have_text(TEXTS["open"])
    expect(page.locator("#desk-blind-said")).to_have_text("You answered: a 2 x the kite")
    expect(page.locator("#desk-question")).to_contain_text(f"Given answer: {GIVEN}")
    work = work_of(server, "typist", "open")
    assert (work["blind_answer"], work["verdict"], work["factual_consistency"]) == ("a 2 x the kite", None, None)


def test_an_answer_whose_reply_is_lost_goes_out_again_and_is_kept_once(context_of: Contexts, server: Server) -> None:
    page, _ = asked(context_of("unheard"), server)

    def swallow(route: Route) -> None:
        route.fetch()  # the server keeps it, and its reply never comes
        route.abort()
        page.unroute(OPERATIONS)

    intercept(page, swallow)
    press(page, "3", "Enter")
    expect(page.locator("#desk-saved")).to_have_attribute("data-state", "unsaved")
    expect(page.locator("#desk-text")).to_have_text(TEXTS["blind"])
    expect_saved(page)
    assert len(server.rows("SELECT id FROM operation WHERE annotator = 'unheard' AND kind = 'answer'")) == 1
    assert work_of(server, "unheard", "blind")["blind_answer_index"] == 2


def test_an_answer_outlives_the_tab_and_is_not_asked_for_again(context_of: Contexts, server: Server) -> None:
    context = context_of("killed")
    page, _ = asked(context, server)
    context.set_offline(True)
    press(page, "4", "Enter")
    expect(page.locator("#desk-saved")).to_have_attribute("data-state", "unsaved")
    page.close()
    assert server.rows("SELECT id FROM operation WHERE annotator = 'killed'") == [], "the control: the server had not heard of it"
    context.set_offline(False)
    again = open_page(context, server)
    expect(again.locator("#desk-text")).to_have_text(TEXTS["blind"])
    expect(again.locator("#desk-question .yours")).to_contain_text("to leave the place")
    assert work_of(server, "killed", "blind")["blind_answer_index"] == 3


def test_of_two_windows_the_first_answer_counts_and_the_other_one_shows_it(context_of: Contexts, server: Server) -> None:
    context = context_of("double")
    (one, _), (other, _) = asked(context, server), asked(context, server)
    press(one, "2", "Enter")
    expect(one.locator("#desk-text")).to_have_text(TEXTS["blind"])
    press(other, "3", "Enter")
    expect(other.locator("#desk-message")).to_contain_text("has it already")
    expect(other.locator("#desk-question .yours")).to_contain_text("to greet a friend")
    expect_saved(other)
    press(other, "u")
    expect_saved(other)
    work = work_of(server, "double", "blind")
    assert (work["blind_answer_index"], work["verdict"]) == (1, "unsure")


def test_an_item_can_be_skipped_without_an_answer(context_of: Contexts, server: Server) -> None:
    page, heard = asked(context_of("skipper"), server)
    press(page, "s", "1")
    expect(page.locator("#desk-blind-question")).to_have_text("What does the crowd shout about?")
    expect_saved(page)
    assert TEXTS["blind"] not in heard
    (skipped,) = server.rows("SELECT candidate_id FROM assignment WHERE annotator = 'skipper' AND state = 'skipped'")
    assert skipped["candidate_id"] == server.candidates["blind"].id
    assert work_of(server, "skipper", "blind")["skip_reason"] == "the clip does not play"


def test_a_skip_before_the_answer_is_taken_back_without_a_draft_that_the_server_would_refuse(context_of: Contexts, server: Server) -> None:
    server.give("second thought", "blind")
    page, _ = asked(context_of("second thought"), server)
    expect(page.locator("#desk-blind-question")).to_have_text("Why does the man run?")
    sent: list[tuple[str, int]] = []

    def note(answer: Response) -> None:
        if "/operations" in answer.url:
            sent.append((json.loads(answer.request.post_data or "{}")["kind"], answer.status))

    page.on("response", note)
    press(page, "s", "1")
    expect(page.locator("#desk-blind-question")).to_have_text("What does the crowd shout about?")
    press(page, "z")
    expect(page.locator("#desk-blind-question")).to_have_text("Why does the man run?")
    expect_saved(page)
    press(page, "Enter")
    expect(page.locator("#desk-message")).to_contain_text("Choose an answer first")
    press(page, "2")
    assert page.locator("#desk-message").is_hidden()
    press(page, "Enter")
    expect(page.locator("#desk-text")).to_have_text(TEXTS["blind"])
    with page.expect_response("**/api/desk/operations"):
        press(page, "u")
    expect_saved(page)
    assert sent == [("skip", 200), ("reopen", 200), ("answer", 200), ("draft", 200)]
    work = work_of(server, "second thought", "blind")
    assert (work["skip_reason"], work["blind_answer_index"], work["verdict"]) == (None, 1, "unsure")


# Layout.


def test_the_flag_buttons_stay_where_they_are_while_flags_come_and_go(desk_of: Desk, server: Server) -> None:
    page = given(server, desk_of, "pointer", "typical")
    page.set_viewport_size({"width": 1280, "height": 640})  # the text and the flags do not fit at once
    top = "document.querySelector('#desk-flag-justified_fabrication').getBoundingClientRect().top"
    tops = [page.evaluate(top)]
    for words, key in (("bright sun", "j"), ("wave at the cart", "t"), ("They", "e"), ("ball", "h")):
        select_words(page, words)
        press(page, key)
        tops.append(page.evaluate(top))
        expect(page.locator(".ew-flag.on")).to_be_in_viewport(ratio=0.3)
    assert page.locator("#desk-flags").evaluate("node => node.scrollHeight - node.clientHeight") > 0, "the control: they do not fit"
    press(page, "Escape", "z", "z")
    tops.append(page.evaluate(top))
    assert len(set(tops)) == 1
    assert page.evaluate("document.documentElement.scrollHeight - innerHeight") == 0


def test_the_last_label_of_the_ruler_stays_inside_the_timeline(desk_of: Desk, server: Server) -> None:
    """The clip of 90 frames is 3.9 s long: the label of 3.5 s is not near the end, that of a clip of 4 s would be."""
    page = desk_of("measurer")
    beyond = page.evaluate(
        """async () => {
            const { Timeline } = await import('/eyewitness/desk/timeline.js');
            const timeline = new Timeline({});
            document.querySelector('#desk-timeline').after(timeline.body);
            const beyond = [4, 6.05, 30, 61, 600].map((end_s) => {
                timeline.show({ end_s, count: 1, start: () => 0, end: () => end_s }, { evidence: [], subtitles: [] });
                const edge = timeline.lanes.getBoundingClientRect().right;
                return [...timeline.ruler.children].filter((one) => one.getBoundingClientRect().right > edge + 0.5).length;
            });
            timeline.body.remove();
            return beyond;
        }"""
    )
    assert beyond == [0] * 5


def test_a_typical_item_with_an_open_flag_needs_no_scrolling_at_1280_by_720(desk_of: Desk, server: Server) -> None:
    page = given(server, desk_of, "viewer", "typical")
    assert 50 <= len(TEXTS["typical"].split()) <= 80
    select_words(page, "squinting against the bright sun that glares off a nearby lake")
    press(page, ".", ".", "j", "2")
    select_words(page, "they wave at the cart")
    press(page, "t", "End", ",")
    select_words(page, "lowers her arm")
    press(page, "k", "y")
    expect(page.locator(".ew-flag.on .ew-part")).to_have_count(2)
    assert page.evaluate("[document.documentElement.scrollHeight - innerHeight, document.documentElement.scrollWidth - innerWidth]") == [0, 0]
    for part in ("#desk-text", "#desk-flags", "#desk-question", ".ew-right:visible"):
        assert page.locator(part).evaluate("node => node.scrollHeight - node.clientHeight") <= 1, part
    for part in ("#desk-stage", "#desk-question", "#desk-text", ".ew-flag.on", "#desk-note", "#desk-omission-major", "#desk-submit"):
        expect(page.locator(part)).to_be_in_viewport(ratio=0.99)
    page.set_viewport_size({"width": 640, "height": 360})  # what 1280x720 is at 200 %
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") == 0
    for part in ("[data-field=true_order-absent]", "#desk-omission-major", "#desk-submit"):
        page.locator(part).scroll_into_view_if_needed()
        expect(page.locator(part)).to_be_in_viewport(ratio=1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_words_have_enough_contrast_and_all_controls_a_name(context_of: Contexts, server: Server, scheme: str) -> None:
    server.give(f"eye-{scheme}", "typical")
    page = open_page(context_of(f"eye-{scheme}"), server)
    if scheme == "dark":
        page.evaluate("document.body.classList.add('dark')")
    for words, key in (("foreheads", "j"), ("cart", "e"), ("ball", "h"), ("better", "t"), ("sun", "o"), ("arm", "m")):
        select_words(page, words)
        press(page, key, "Escape")
    select_words(page, "green")
    press(page, "t", "y", "1", "2", "3", "4", "Escape", "g")
    assert page.evaluate(TOO_FAINT) == []
    controls = page.locator("#desk :is(button, input, textarea, select, [role=slider])")
    assert controls.evaluate_all("nodes => nodes.filter(node => !(node.ariaLabel || node.textContent.trim() || node.title)).length") == 0
    # The control: a word that is too faint is found.
    page.locator("#desk-count").evaluate("node => { node.style.color = '#808080'; node.style.background = '#999'; }")
    assert len(page.evaluate(TOO_FAINT)) == 1


# Return the words on screen whose contrast with what lies behind them is under 4.5 to 1 (WCAG 2.2, 1.4.3).
TOO_FAINT = """() => {
    const pen = Object.assign(document.createElement('canvas'), {width: 1, height: 1}).getContext('2d', {willReadFrequently: true});
    const over = (colours) => {
        pen.clearRect(0, 0, 1, 1);
        for (const colour of colours) { pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1); }
        return [...pen.getImageData(0, 0, 1, 1).data];
    };
    const light = ([...rgb]) => rgb.slice(0, 3).map(one => one / 255).map(one => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4)
        .reduce((sum, one, index) => sum + one * [0.2126, 0.7152, 0.0722][index], 0);
    const behind = (node) => node ? [...behind(node.parentElement), getComputedStyle(node).backgroundColor] : ['#fff'];
    const walker = document.createTreeWalker(document.querySelector('#desk'), NodeFilter.SHOW_TEXT);
    const faint = [];
    for (let text = walker.nextNode(); text; text = walker.nextNode()) {
        const node = text.parentElement;
        if (!text.data.trim() || !node.checkVisibility() || node.closest('.ew-stage, [inert]')) continue;
        const paper = behind(node);
        const [one, other] = [light(over(paper)), light(over([...paper, getComputedStyle(node).color]))].sort((a, b) => b - a);
        const ratio = (one + 0.05) / (other + 0.05);
        if (ratio < 4.5) faint.push(`${text.data.trim().slice(0, 30)}: ${ratio.toFixed(2)}`);
    }
    return faint;
}"""
