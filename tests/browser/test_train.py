"""Training in Chromium: three clicks teach a tiny model a sentence, and neither a closed browser nor a second tab disturbs the run."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from store.candidates import add_candidate, candidate_of, generator_of
from store.clips import add_clip, add_media
from store.curated import get_set
from store.database import open_store
from store.records import Clip, Media
from store.rows import digest_id, utc_now
from tests.browser.conftest import served
from tests.curation.annotating import annotate
from tests.training.conftest import COLOURS, FRAME_COUNT, FRAMES_A_SECOND, HEIGHT, WIDTH, keep_media, wait_until, write_clip
from training.jobs import Order, create_run, load_config, runs_on_disk
from training.status import log_tail, read_status

SENTENCE = "A coloured bar moves to the right."
MINUTE = 60_000


@dataclass(frozen=True)
class Studio:
    """Where the app answers, and its data directory."""

    address: str
    data: Path


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """The app over three clips, of each of which an accepted narrative says the same sentence."""
    folder = tmp_path_factory.mktemp("train")
    data = folder / "data"
    writer = generator_of("imported", "a writer")
    with open_store(data) as db:
        for name, colour in COLOURS.items():
            digest = keep_media(data, write_clip(folder / f"{name}.mp4", colour))
            seconds = FRAME_COUNT / FRAMES_A_SECOND
            media = Media(digest, f"{name}.mp4", 1, "mp4", "h264", None, WIDTH, HEIGHT, 0, seconds, FRAME_COUNT, True, None, "ok", None, utc_now())
            add_media(db, media, None)
            clip = Clip(digest_id("clip", name), "bars", name, media.name, digest, 0.0, None, name, "train")
            add_clip(db, clip, [])
            text = candidate_of("narrative", clip.id, None, writer, SENTENCE)
            add_candidate(db, text, writer)
            annotate(db, text, "ben", "accept")
    with served(data) as address:
        yield Studio(address, data)


@pytest.fixture
def browser_of(chromium: Browser, studio: Studio) -> Iterator[Callable[[], BrowserContext]]:
    """Return a function that opens a browser of its own, signed in."""
    opened: list[BrowserContext] = []

    def enter() -> BrowserContext:
        context = chromium.new_context(viewport={"width": 1280, "height": 720})
        context.set_default_timeout(15_000)
        context.request.post(f"{studio.address}/login", form={"name": "ann"})
        opened.append(context)
        return context

    yield enter
    for context in opened:
        context.close()


def open_train(context: BrowserContext, studio: Studio, query: str = "") -> Page:
    page = context.new_page()
    page.goto(f"{studio.address}/train{query}")
    return page


def choose_tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()


def test_three_clicks_teach_a_sentence_though_the_browser_is_closed_and_two_tabs_press_start(browser_of: Callable[[], BrowserContext], studio: Studio) -> None:
    first = browser_of()
    tabs = [open_train(first, studio), open_train(first, studio)]
    tabs[0].click("#train-freeze")
    expect(tabs[0].locator("#train-summary")).to_contain_text("3 rows about 3 clips")
    tabs[1].reload()
    for tab in tabs:
        expect(tab.locator("#train-readiness")).to_contain_text("Ready.")
        tab.locator("#train-preset input").click()
        tab.get_by_role("option", name="Pipeline check, a text by heart (SFT)").click()
        expect(tab.locator("#train-preset-origin")).to_contain_text("200 steps")
    for tab in tabs:
        tab.dblclick("#train-start")
    for tab in tabs:
        expect(tab.locator("#train-runs tbody tr")).to_have_count(1)
        expect(tab.locator("#train-message")).to_contain_text(re.compile("is started|was started already"))
    (run,) = runs_on_disk(studio.data)
    directory = studio.data / run.directory
    expect(tabs[0]).to_have_url(re.compile(f"run={run.id}"))
    wait_until(lambda: (read_status(directory).step or 0) > 5, lambda: log_tail(directory))
    first.close()

    page = open_train(browser_of(), studio)
    expect(page.locator("#train-runs tbody tr")).to_contain_text("running")
    expect(page.locator("#train-status")).to_contain_text(re.compile(r"step \d+ of 200"))
    expect(page.locator("#train-stop-save")).to_be_enabled()
    expect(page.locator("#train-runs tbody tr")).to_contain_text("finished", timeout=MINUTE)
    assert len(runs_on_disk(studio.data)) == 1, "two tabs that press Start, twice each, start one run"
    expect(page.locator("#train-plot-loss canvas, #train-plot-loss svg").first).to_be_visible()
    it_writes_the_sentence(page)


def it_writes_the_sentence(page: Page) -> None:
    """The adapter writes about a clip what it was shown, and its base does not."""
    choose_tab(page, "Adapters")
    page.get_by_text("Try it on a clip").click()
    page.click("#train-try-find")
    expect(page.locator("#train-try-found")).to_contain_text("3 clips")
    page.locator("#train-try-kind").get_by_label("Narrative of the clip").check()
    page.locator("#train-try-tokens input").fill("24")
    page.click("#train-try-go")
    answers = page.locator("#train-try-answers section")
    expect(answers).to_have_count(2, timeout=MINUTE)
    expect(answers.nth(1)).to_contain_text(SENTENCE)
    expect(answers.nth(0)).not_to_contain_text(SENTENCE)


def test_an_address_opens_the_run_that_it_names_and_each_tab_does_what_it_says(browser_of: Callable[[], BrowserContext], studio: Studio) -> None:
    (run,) = runs_on_disk(studio.data)
    with open_store(studio.data) as db:
        curated = get_set(db, run.curated_set_id)
    other = create_run(studio.data, Order("another", replace(load_config(studio.data / run.directory), seed=2), curated, "made, and not started"))
    page = open_train(browser_of(), studio, f"?run={run.id}")
    expect(page.locator("#train-status")).to_contain_text("step 200 of 200")
    rows = page.locator("#train-runs tbody tr")
    expect(rows).to_have_count(2)
    expect(page.locator("#train-runs tr[aria-selected=true]")).to_have_attribute("data-run", run.id)
    rows.filter(has_text="another").click()
    expect(page).to_have_url(re.compile(f"run={other.id}"))
    expect(page.locator("#train-status")).to_contain_text("has not been started")
    choose_tab(page, "Set up")
    page.get_by_text("All settings").click()
    page.locator("#train-group-optimiser").get_by_role("button", name="Optimiser").click()
    page.locator("#train-max-steps input").fill("2")
    page.locator("#train-max-steps input").press("Tab")
    expect(page.locator("#train-summary")).to_contain_text("2 optimiser steps")
    choose_tab(page, "Plans")
    page.click("#train-arms-start")
    expect(page.get_by_text("Import questions with options")).to_be_visible()
    assert not (studio.data / "plans").exists(), "what lacks is told before anything is made"
