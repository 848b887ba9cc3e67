"""The page Compare in a real Chromium over a real server: what an annotator chooses by keys is what the table holds, whatever happens meanwhile."""

import itertools
import random
import re
from collections.abc import Callable
from difflib import SequenceMatcher

import pytest
from playwright.sync_api import BrowserContext, Page, Request, Route, expect

from store.comparisons import AGAIN_BELOW
from store.replay_comparisons import comparison_key
from tests.browser.conftest import TEXTS, WRITER, Server

Contexts = Callable[..., BrowserContext]
RATIONALES = {name: text for name, text in TEXTS.items() if name != "narrative"}
PAIRS = len(RATIONALES) * (len(RATIONALES) - 1) // 2
OUTCOMES = {"1": "left", "2": "right", "3": "tie", "0": "tie", "4": "both_bad", "9": "both_bad"}


NAMELESS = (
    """() => [...document.querySelectorAll('#compare button')].filter(one => !(one.getAttribute('aria-label') || one.textContent).trim()).map(one => one.id)"""
)
OVERFLOWING = """() => [document.scrollingElement, ...document.querySelectorAll('#compare .ew-text')]
    .filter(one => one.scrollHeight > one.clientHeight).map(one => one.id || one.tagName)"""
# A text shows its focus on the card around it; what is not ours is not looked at.
OUTLINE_PX = """() => {
    const one = document.activeElement;
    return one.closest('#compare') ? parseFloat(getComputedStyle(one.matches('.ew-text') ? one.parentElement : one).outlineWidth) : 1;
}"""
# Texts whose contrast with what lies behind them is below 4.5, by the formula of WCAG 2.
FAINT = """() => {
    const pen = Object.assign(document.createElement('canvas'), {width: 1, height: 1}).getContext('2d', {willReadFrequently: true});
    const paint = name => { pen.fillStyle = name; pen.fillRect(0, 0, 1, 1); };
    const over = (name, under) => { paint(`rgb(${under.join()})`); paint(name); return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3); };
    const behind = element => element === null ? [255, 255, 255] : over(getComputedStyle(element).backgroundColor, behind(element.parentElement));
    const linear = one => one <= 10 ? one / 255 / 12.92 : ((one / 255 + 0.055) / 1.055) ** 2.4;
    const light = rgb => rgb.reduce((sum, one, place) => sum + [0.2126, 0.7152, 0.0722][place] * linear(one), 0.05);
    const faint = [];
    const walker = document.createTreeWalker(document.querySelector('#compare'), NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const element = walker.currentNode.parentElement;
        if (!walker.currentNode.textContent.trim() || !element.checkVisibility() || element.closest('.ew-stage')) continue;
        const ground = behind(element);
        const pair = [light(over(getComputedStyle(element).color, ground)), light(ground)];
        if (Math.max(...pair) / Math.min(...pair) < 4.5) faint.push(walker.currentNode.textContent);
    }
    return faint;
}"""


def open_compare(context: BrowserContext, server: Server) -> Page:
    """Return a new tab with two texts on screen."""
    page = context.new_page()
    page.goto(f"{server.address}/compare")
    expect(page.locator("#compare")).to_have_attribute("data-ready", "true")
    return page


def texts_on(page: Page) -> tuple[str, str]:
    """Return the left text and the right one, once they can be chosen."""
    expect(page.locator("#compare")).to_have_attribute("data-open", "true")
    return page.locator("#compare-text-left").inner_text(), page.locator("#compare-text-right").inner_text()


def choose(page: Page, key: str) -> tuple[str, str]:
    """Choose by a key; return the texts that were on screen."""
    texts = texts_on(page)
    before = page.locator("#compare").get_attribute("data-item")
    page.keyboard.press(key)
    expect(page.locator("#compare")).not_to_have_attribute("data-item", before or "")
    return texts


def expect_kept(page: Page) -> None:
    expect(page.locator("#desk-saved")).to_have_attribute("data-state", "saved")


def kept(server: Server, annotator: str) -> list[tuple[str, str, str, int]]:
    """Return the annotator's rows as (left text, right text, what was chosen by side, round), in the order they were made."""
    text = {row["id"]: row["text"] for row in server.rows("SELECT id, text FROM candidate")}
    made = []
    for row in server.rows("SELECT * FROM comparison WHERE annotator = ? ORDER BY created_at, rowid", annotator):
        right = row["b_id"] if row["left_id"] == row["a_id"] else row["a_id"]
        better = {"a": row["a_id"], "b": row["b_id"]}.get(str(row["outcome"]))
        side = row["outcome"] if better is None else "left" if better == row["left_id"] else "right"
        made.append((text[row["left_id"]], text[right], str(side), int(str(row["round"]))))
    return made


def name_with_repeats(server: Server, wanted: int) -> str:
    """Return a name for which the lot draws so many of the pairs to be shown again."""
    ids = sorted(server.candidates[name].id for name in RATIONALES)
    for number in itertools.count():
        name = f"judge-{wanted}-{number}"
        if sum(comparison_key(name, a, b, 1) < AGAIN_BELOW for a, b in itertools.combinations(ids, 2)) == wanted:
            return name
    raise AssertionError("unreachable")


def test_a_session_by_keys_alone_with_a_swapped_repeat_is_kept_as_it_was_seen_and_stays_blind(context_of: Contexts, server: Server) -> None:
    name = name_with_repeats(server, 1)
    page = open_compare(context_of(name), server)
    told: list[str] = []
    page.on("response", lambda answer: told.append(answer.text()) if "/api/compare/" in answer.url else None)
    page.reload()
    keys, seen = itertools.cycle("132409"), []
    while page.locator("#compare-plain").is_hidden():
        key = next(keys)
        page.keyboard.press("Space")
        left, right = texts_on(page)
        page.keyboard.press("Space")
        assert choose(page, key) == (left, right)
        seen.append((left, right, OUTCOMES[key]))
        told.append(page.content())
        expect(page.locator("#compare")).to_have_attribute("data-ready", "true")
    expect(page.locator("#compare-plain")).to_contain_text("You have compared all that waits")
    expect_kept(page)
    assert [(left, right, side) for left, right, side, _ in kept(server, name)] == seen
    assert [round_ for *_, round_ in kept(server, name)] == [1] * PAIRS + [2]
    assert sum({left, right} == {seen[-1][0], seen[-1][1]} for left, right, _ in seen) == 2
    assert (seen[-1][1], seen[-1][0]) in [(left, right) for left, right, _ in seen[:-1]], "sides swapped"
    ids = [candidate.id for candidate in server.candidates.values()]
    assert sum('"upcoming"' in one for one in told) > PAIRS, "the answers were looked at"
    assert [word for word in (WRITER.name, WRITER.id, "generator", *ids) if word in "".join(told)] == []
    assert server.rows("SELECT id FROM comparison WHERE annotator = ? AND seconds_spent IS NULL", name) == []


def test_the_next_two_texts_are_there_before_the_server_has_answered(context_of: Contexts, server: Server) -> None:
    page = open_compare(context_of("ahead"), server)
    held: list[Route] = []
    page.route("**/api/compare/choose", lambda route: held.append(route))
    first = choose(page, "1")
    second = texts_on(page)
    assert second != first
    expect(page.locator("#desk-saved")).to_have_attribute("data-state", "saving")
    assert kept(server, "ahead") == []
    for route in held:
        route.continue_()
    expect_kept(page)
    assert texts_on(page) == second
    assert [row[:3] for row in kept(server, "ahead")] == [(*first, "left")]


def test_what_was_chosen_offline_outlives_the_tab_and_is_sent_by_the_next_one(context_of: Contexts, server: Server) -> None:
    context = context_of("offline")
    page = open_compare(context, server)
    expect(page.locator("#compare-count")).to_contain_text("0 compared")
    context.set_offline(True)
    seen = [(*choose(page, "1"), "left"), (*choose(page, "4"), "both_bad")]
    expect(page.locator("#desk-saved")).to_have_attribute("data-state", "unsaved")
    expect(page.locator("#desk-saved")).to_contain_text("NOT saved")
    page.close()
    context.set_offline(False)
    assert kept(server, "offline") == []
    page = open_compare(context, server)
    expect(page.locator("#compare-count")).to_contain_text("2 compared")
    assert [row[:3] for row in kept(server, "offline")] == seen
    assert texts_on(page) not in [row[:2] for row in seen]


def test_choices_are_taken_back_in_order_after_a_reload_and_a_skip_too(context_of: Contexts, server: Server) -> None:
    page = open_compare(context_of("undoing"), server)
    seen = [choose(page, key) for key in ("1", "2", "s", "3")]
    expect_kept(page)
    assert [row[2] for row in kept(server, "undoing")] == ["left", "right", "tie"]
    waiting = texts_on(page)
    page.keyboard.press("z")
    assert texts_on(page) == seen[3]
    expect_kept(page)
    page.reload()
    assert texts_on(page) == seen[3], "it waits first of all"
    for texts in reversed(seen[:3]):
        before = page.locator("#compare").get_attribute("data-item")
        page.keyboard.press("z")
        expect(page.locator("#compare")).not_to_have_attribute("data-item", before or "")
        assert texts_on(page) == texts
    expect_kept(page)
    assert kept(server, "undoing") == []
    page.keyboard.press("z")
    expect(page.locator("#compare-message")).to_have_text("Nothing is left to undo.")
    assert texts_on(page) == seen[0]
    assert [choose(page, "2") for _ in seen] == seen, "and they come again in the order in which they came first"
    assert texts_on(page) == waiting
    expect_kept(page)
    assert [row[2] for row in kept(server, "undoing")] == ["right"] * 4


def test_a_held_key_and_a_key_pressed_twice_choose_once(context_of: Contexts, server: Server) -> None:
    page = open_compare(context_of("heavy-handed"), server)
    texts_on(page)
    page.evaluate(
        """() => {
            const press = repeat => document.body.dispatchEvent(new KeyboardEvent('keydown', {key: '1', code: 'Digit1', repeat, bubbles: true}));
            [false, true, false].forEach(press);
        }"""
    )
    expect(page.locator("#compare-last")).to_have_text("last: left is better")
    texts_on(page)
    expect_kept(page)
    assert len(kept(server, "heavy-handed")) == 1


def test_differences_are_marked_in_both_texts_by_a_line_and_a_text_is_never_markup(context_of: Contexts, server: Server) -> None:
    page = open_compare(context_of("differ"), server)
    for _ in range(PAIRS):
        left, right = texts_on(page)
        page.keyboard.press("d")
        expect(page.locator("#compare-diff")).to_have_attribute("aria-pressed", "true")
        for side, own, other in (("left", left, right), ("right", right, left)):
            text = page.locator(f"#compare-text-{side}")
            assert text.inner_text() == own, "marks change no letter"
            marked = " ".join(text.locator("mark").all_inner_texts()).split()
            if page.locator("#compare-note").is_visible():
                assert marked == []
            else:
                assert set(own.split()) - set(other.split()) <= set(marked)
                assert "underline" in str(text.locator("mark").first.evaluate("mark => getComputedStyle(mark).textDecorationLine")) if marked else True
        assert page.locator("#compare-text-left img, #compare-text-right b").count() == 0
        page.keyboard.press("d")
        assert page.locator("mark").count() == 0
        choose(page, "3")
        if page.locator("#compare-plain").is_visible():
            break
    assert page.title() != "broken"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_has_a_name_is_seen_when_focused_and_can_be_read(context_of: Contexts, server: Server, scheme: str) -> None:
    page = open_compare(context_of(f"reader-{scheme}", color_scheme=scheme), server)
    texts_on(page)
    page.keyboard.press("d")
    assert page.evaluate(NAMELESS) == []
    assert page.evaluate(OVERFLOWING) == []
    assert faint_words(page) == []
    page.add_style_tag(content="#compare-count { color: #777 !important }")
    assert len(faint_words(page)) == 1, "the control: what is faint is seen"
    for _ in range(30):
        page.keyboard.press("Tab")
        assert page.evaluate(OUTLINE_PX) >= 1
    page.set_viewport_size({"width": 640, "height": 360})  # 1280x720 at 200 %
    assert page.evaluate("() => document.scrollingElement.scrollWidth") <= 640
    for target in ("#compare-text-left", "#compare-text-right", "#compare-right", "#compare-both-bad"):
        box = page.locator(target).bounding_box()
        assert box
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 640


def faint_words(page: Page) -> list[str]:
    """Return the visible texts of the page whose contrast with what lies behind them is below 4.5."""
    found: list[str] = page.evaluate(FAINT)
    return found


def test_a_session_that_ended_keeps_the_choice_until_somebody_signs_in_again(context_of: Contexts, server: Server) -> None:
    context = context_of("expired")
    page = open_compare(context, server)
    expect(page.locator("#compare-count")).to_contain_text(re.compile("0 compared"))
    cookies = context.cookies()
    context.clear_cookies()
    seen = choose(page, "2")
    expect(page.locator("#desk-saved")).to_contain_text("Sign in")
    assert kept(server, "expired") == []
    context.add_cookies([{key: cookie[key] for key in ("name", "value", "domain", "path")} for cookie in cookies])  # type: ignore[misc, literal-required]
    page.evaluate("() => window.dispatchEvent(new Event('focus'))")
    expect_kept(page)
    assert [row[:3] for row in kept(server, "expired")] == [(*seen, "right")]


def test_two_windows_send_a_choice_once_and_a_repeated_operation_is_one(context_of: Contexts, server: Server) -> None:
    context = context_of("twice")
    page = open_compare(context, server)
    sent: list[Request] = []
    page.on("request", lambda request: sent.append(request) if request.url.endswith("/choose") else None)
    choose(page, "1")
    expect_kept(page)
    (request,) = sent
    again = context.request.post(
        request.url, data=request.post_data, headers={"content-type": "application/json", "x-annotator": "twice", "origin": server.address}
    )
    assert again.status == 200
    assert len(kept(server, "twice")) == 1
    assert len(server.rows("SELECT id FROM operation WHERE annotator = 'twice'")) == 1


def test_the_words_that_are_left_unmarked_are_the_same_in_both_texts_and_no_letter_is_lost(context_of: Contexts, server: Server) -> None:
    page = open_compare(context_of("diffs"), server)
    drawn = random.Random(7)
    texts = [
        "",
        " ",
        "one",
        "  two\n words ",
        *("".join(drawn.choice(("a ", "b ", "c\n", "dd  ", " e ")) for _ in range(drawn.randrange(1, 60))) for _ in range(60)),
    ]
    pairs = list(itertools.pairwise(texts))
    told = page.evaluate(
        """async pairs => {
            const { piecesOf, wordDiff } = await import('/eyewitness/compare/diff.js');
            return pairs.map(pair => ({ ...wordDiff(...pair), pieces: pair.map(piecesOf) }));
        }""",
        pairs,
    )
    for pair, diff in zip(pairs, told, strict=True):
        assert tuple("".join(pieces) for pieces in diff["pieces"]) == pair
        common = [
            [piece.strip() for piece, alone in zip(pieces, diff[side], strict=True) if not alone]
            for pieces, side in zip(diff["pieces"], ("left", "right"), strict=True)
        ]
        shared = sum(block.size for block in SequenceMatcher(None, *(text.split() for text in pair), autojunk=False).get_matching_blocks())
        assert not diff["alike"] or (common[0] == common[1] and len([word for word in common[0] if word]) >= shared), "as many as Python finds, or more"
    assert sum(diff["alike"] for diff in told) > 20
