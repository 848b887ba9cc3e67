"""`make screenshots`: the pages of the demo project as pictures in docs/, after two annotators worked and a run was trained."""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from store.candidates import add_candidate, candidate_of, generator_of, list_candidates
from store.database import open_store
from store.queue import enqueue
from tests.chromium import launch
from tests.curation.deciding import say

ROOT = Path(__file__).resolve().parents[1]
PORT = 7899
ADDRESS = f"http://127.0.0.1:{PORT}"
ITEMS = 14
MOST_COMPARED = 30
PLANTED = {flaw["quote"]: flaw for flaw in json.loads((ROOT / "assets" / "demo" / "planted.json").read_text(encoding="utf-8")) if flaw["quote"]}
KEYS = {"justified_fabrication": "j", "temporal_error": "t", "entity_drift": "e", "plain_hallucination": "h"}


def main() -> None:
    """Serve a fresh demo, work in it, and write the pictures."""
    with served() as data, sync_playwright() as playwright:
        browser = launch(playwright)
        ann = signed_in(browser, "ann")
        annotate(ann, picture=True)
        annotate(signed_in(browser, "ben"), picture=False)
        for path, ready in (("pairs", "#pairs-detail"), ("agreement", "#agreement-plot"), ("import", "#import-history")):
            ann.goto(f"{ADDRESS}/{path}")
            expect(ann.locator(ready).first).to_be_visible()
            ann.wait_for_timeout(1500)  # plots draw themselves in; a picture is no test
            ann.screenshot(path=ROOT / "docs" / f"{path}.png")
        frames(ann)
        compare(ann)
        synthesise(ann)
        adjudicate(signed_in(browser, "judge"), data)
        for take in (train, results, plans, adapters, preview):
            take(ann)
        browser.close()


@contextmanager
def served() -> Iterator[Path]:
    """Run the app on a fresh data directory, and yield it, while the block runs."""
    with tempfile.TemporaryDirectory() as data:
        command = [sys.executable, "app.py", "--data", data, "--port", str(PORT)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        while ADDRESS not in process.stdout.readline():
            assert process.poll() is None, "the app did not start"
        try:
            yield Path(data)
        finally:
            process.terminate()
            process.wait()


def signed_in(browser: Browser, name: str) -> Page:
    """Return the desk of this person, ready."""
    page = browser.new_context(viewport={"width": 1280, "height": 720}, color_scheme="light").new_page()
    page.goto(ADDRESS)
    page.fill("#name", name)
    page.click("#sign-in")
    expect(page.locator("#desk")).to_have_attribute("data-ready", "true")
    return page


def annotate(page: Page, picture: bool) -> None:
    """Mark the planted flaws, reject what has one, accept the rest."""
    for _ in range(ITEMS):
        expect(page.locator("#desk-text")).to_be_visible()
        text = page.locator("#desk-text").inner_text()
        found = next((flaw for quote, flaw in PLANTED.items() if quote in text), None)
        if found:
            mark(page, found)
            if picture and found["kind"] == "justified_fabrication":
                take_desk(page)
                picture = False
            page.keyboard.press("Escape")
        before = page.locator("#desk-count").inner_text()
        for key in ("2" if found else "5", "4", "x" if found else "a", "Enter"):
            page.keyboard.press(key)
        expect(page.locator("#desk-count")).not_to_have_text(before)


def mark(page: Page, flaw: dict[str, str]) -> None:
    """Select the words, set the moment, press the flag's key."""
    page.evaluate(
        """words => {
            const text = document.querySelector('#desk-text');
            const range = document.createRange();
            const walker = document.createTreeWalker(text, NodeFilter.SHOW_TEXT);
            const at = text.textContent.indexOf(words);
            let before = 0, started = false;
            for (let node = walker.nextNode(); node; before += node.length, node = walker.nextNode()) {
                if (!started && at < before + node.length) { range.setStart(node, at - before); started = true; }
                if (at + words.length <= before + node.length) { range.setEnd(node, at + words.length - before); break; }
            }
            getSelection().removeAllRanges(); getSelection().addRange(range);
        }""",
        flaw["quote"],
    )
    page.keyboard.press(KEYS[flaw["kind"]])
    for field in ("end_s", "start_s"):
        page.locator(f".ew-seconds[data-field={field}]").fill(str(flaw[field]))
        page.keyboard.press("Tab")
    page.locator(".ew-levels button").nth(int(flaw["severity"])).click()


def take_desk(page: Page) -> None:
    """Take the desk with claims ticked, the evidence in sight, and its flag chosen, looping its moment."""
    for key in ("v", "y", "1", "2", "Escape", "g"):
        page.keyboard.press(key)
    page.wait_for_timeout(1500)
    page.mouse.move(5, 5)
    page.screenshot(path=ROOT / "docs" / "desk.png")


def compare(page: Page) -> None:
    """Show two texts beside each other with their differences marked: an edit and its original, once they come."""
    page.goto(f"{ADDRESS}/compare")
    for place in range(MOST_COMPARED):
        expect(page.locator("#compare")).to_have_attribute("data-open", "true")
        page.keyboard.press("d")
        if page.locator("#compare-note").is_hidden() and place > 0:
            break
        page.keyboard.press("d")
        page.keyboard.press("1")
    page.keyboard.press("Space")
    page.wait_for_timeout(2000)
    page.screenshot(path=ROOT / "docs" / "compare.png")


def adjudicate(page: Page, data: Path) -> None:
    """Show a text on which three people differ, with one flag kept among the final ones and a reason begun."""
    with open_store(data) as db:
        original = next(one for one in list_candidates(db) if one.text.startswith("The middle of the picture is black"))
        writer = generator_of("imported", "a third writer")
        text = candidate_of(original.kind, original.clip_id, original.qa_id, writer, original.text)
        add_candidate(db, text, writer)
        enqueue(db, text.id, 3)
        scratches = ("justified_fabrication", "Scratches appear on the glass", 3.7, 7.4, 3, "No scratch and no glass is seen.")
        hand = ("justified_fabrication", "a hand pushes the bird away", 7.4, 9.0, 3, "It draws back by itself.")
        say(db, text, "cleo", "reject", [scratches, hand], factual_consistency=2, logical_coherence=4, omission="none")
        told = [("plain_hallucination", "at about 8 s a hand", 7.2, 9.2, 1, "")]
        say(db, text, "dov", "accept", told, factual_consistency=4, logical_coherence=4, note="Does a lens count as glass? The guidelines do not say.")
        told = [
            ("justified_fabrication", "a hand pushes the bird away", 7.6, 8.8, 2, ""),
            ("temporal_error", "Then the picture is bright again.", 7.4, 8.2, 1, ""),
        ]
        edited = "The middle of the picture is black because the dark beak is right in front of the lens. Then the picture is bright again."
        say(db, text, "eli", "reject", told, factual_consistency=2, logical_coherence=3, edited_text=edited)
    page.goto(f"{ADDRESS}/adjudicate")
    expect(page.locator("#adjudicate")).to_have_attribute("data-ready", "true")
    said = page.locator(".adj-flag", has_text="No scratch and no glass is seen.")
    said.locator(".adj-take").click()
    page.keyboard.press("x")
    page.locator("#adj-reason").fill("The bird draws back by itself; nobody is there.")
    page.locator(".adj-flag", has_text="It draws back by itself.").locator(".adj-said").click()
    page.wait_for_timeout(1500)
    page.mouse.move(5, 5)
    page.screenshot(path=ROOT / "docs" / "adjudicate.png")


def frames(page: Page) -> None:
    """Show what is pooled of the first clip, the blend of its second window chosen."""
    page.goto(f"{ADDRESS}/frames")
    expect(page.locator("#frames[data-ready=true]")).to_be_visible()
    page.locator(".fr-cell[data-method=BBLF]").nth(1).click()
    page.mouse.move(5, 5)
    page.wait_for_timeout(1500)
    page.screenshot(path=ROOT / "docs" / "frames.png")


def synthesise(page: Page) -> None:
    """Have the composer tell the first clip, and show what it is told beside what came."""
    page.goto(f"{ADDRESS}/synthesise")
    expect(page.locator("#synthesis-estimate")).to_contain_text("texts to ask for")
    page.click("#synthesis-ask-one")
    expect(page.locator("#synthesis-shown-one article")).to_be_visible()
    picture(page, "synthesise")


def train(page: Page) -> None:
    """Freeze what was accepted and the held-out questions, and show what would be trained; then train, and show the run finished."""
    page.goto(f"{ADDRESS}/train")
    freeze(page, "Held-out questions")
    freeze(page, "Accepted texts and raw pairs, to be mixed")
    expect(page.locator("#train-summary")).to_contain_text("clips")
    picture(page, "train")
    page.click("#train-start")
    expect(page.locator("#train-runs")).to_contain_text(re.compile("finished|failed"), timeout=180_000)
    picture(page, "runs")


def results(page: Page) -> None:
    """Let base and adapter answer the held-out questions, and show what came of it."""
    page.goto(f"{ADDRESS}/train")
    page.locator("#train-stage").get_by_label("Evaluate", exact=False).check()
    expect(page.locator("#train-preset input")).to_have_value("Pipeline check (evaluate)")
    expect(page.locator("#train-summary")).to_contain_text("questions about")
    page.click("#train-start")
    expect(page.locator("#train-runs tbody tr", has_text="finished")).to_have_count(2, timeout=180_000)
    tab(page, "Compare")
    expect(page.locator("#train-results-accuracy")).to_contain_text("n =")
    picture(page, "results")


def plans(page: Page) -> None:
    """Start short arms, and show them when they have ended."""
    page.goto(f"{ADDRESS}/train")
    expect(page.locator("#train-readiness")).to_contain_text("Ready.")
    tab(page, "Plans")
    page.locator("#train-arms-steps input").fill("20")
    page.locator("#train-arms-look input").fill("5")
    page.click("#train-arms-start")
    expect(page.locator("#train-plan-steps .finished")).to_have_count(4, timeout=600_000)
    picture(page, "plans")


def adapters(page: Page) -> None:
    """Have an adapter and its base write about a clip, and show both."""
    tab(page, "Adapters")
    page.get_by_text("Try it on a clip").click()
    page.click("#train-try-find")
    expect(page.locator("#train-try-found")).to_contain_text("clips")
    page.locator("#train-try-tokens input").fill("24")
    page.click("#train-try-go")
    expect(page.locator("#train-try-answers section")).to_have_count(2, timeout=180_000)
    picture(page, "adapters")


def freeze(page: Page, what: str) -> None:
    """Freeze this, and wait until it is."""
    page.locator("#train-freeze-what input").click()
    page.get_by_role("option", name=what, exact=True).click()
    page.click("#train-freeze")
    expect(page.locator("#train-message")).to_contain_text(f"Frozen: {what}")


def tab(page: Page, name: str) -> None:
    """Open a tab of the training page."""
    page.get_by_role("tab", name=name, exact=True).click()


def picture(page: Page, name: str) -> None:
    """Write the whole page, however long, to docs/."""
    page.wait_for_timeout(3000)  # plots draw themselves in; a picture is no test
    page.screenshot(path=ROOT / "docs" / f"{name}.png", full_page=True)


def preview(page: Page) -> None:
    """Show what the model will get of the first row, frames between lines."""
    page.goto(f"{ADDRESS}/train")
    page.locator("#train-preset input").click()
    page.get_by_role("option", name="Pipeline check, frames between lines (SFT)").click()
    page.get_by_text("What the model will get").click()
    page.click("#train-preview-look")
    expect(page.locator("#train-preview-shown mark").nth(1)).to_be_visible(timeout=180_000)
    page.wait_for_timeout(1500)
    page.locator("#train-preview").screenshot(path=ROOT / "docs" / "preview.png")


if __name__ == "__main__":
    main()
