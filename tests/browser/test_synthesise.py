"""Synthesis in Chromium: texts written offline reach the queue from one page; a provider's troubles are told there, and its key never is.

axe looks at every tab on the way, by day in one walk and by night in the other.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from store.clips import add_clip, add_qa_pair
from store.database import open_store
from store.queue import list_queue
from store.records import Clip, EvidenceSpan, QAPair
from store.rows import digest_id
from tests.browser.conftest import served
from tests.browser.test_accessibility import findings
from tests.model_acts import Act, Question, answer, blocked, too_many
from tests.model_server import ModelServer

KEY, VARIABLE = "sk-nobody-may-read-this", "EYEWITNESS_TEST_KEY"
CLIPS = ("garden", "kitchen", "zebra")
PAIRS = (("What does the boy in red do first?", "open the door", 0.5, 2.0), ("What does the boy in red do at the end?", "wave to the dog", 4.0, 6.0))
RUN_MS = 40_000
Pages = Callable[[Literal["light", "dark"]], Page]


@dataclass(frozen=True)
class Project:
    """Where the app answers, and its data directory."""

    address: str
    data: Path


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The app over three clips with two questions each; no video, since words alone are told."""
    data = tmp_path_factory.mktemp("synthesis")
    with open_store(data) as db:
        for name in CLIPS:
            clip = Clip(digest_id("clip", name), "test", name, f"{name}.mp4", None, 0.0, 8.0, name, "train")
            add_clip(db, clip)
            for number, (question, told, start_s, end_s) in enumerate(PAIRS, start=1):
                qa_id = digest_id("qa", name, number)
                pair = QAPair(qa_id, clip.id, str(number), f"{question} ({name})", told, (), None, None, None, None, None)
                add_qa_pair(db, pair, [EvidenceSpan(qa_id, 0, start_s, end_s)])
    with served(data) as address:
        yield Project(address, data)


@pytest.fixture
def page_in(chromium: Browser, project: Project) -> Iterator[Pages]:
    """Return a function: colours, "light" or "dark" -> the page in a browser of its own."""
    contexts: list[BrowserContext] = []

    def enter(theme: Literal["light", "dark"]) -> Page:
        contexts.append(chromium.new_context(viewport={"width": 1280, "height": 720}, color_scheme=theme))
        contexts[-1].set_default_timeout(10_000)
        contexts[-1].request.post(f"{project.address}/login", form={"name": "lea"})
        page = contexts[-1].new_page()
        page.goto(f"{project.address}/synthesise")
        expect(page.locator("#synthesis-estimate")).to_contain_text("to ask for")
        return page

    yield enter
    for context in contexts:
        context.close()


def fill(page: Page, name: str, value: str) -> None:
    field = page.locator(f"#synthesis-{name}").locator("input, textarea")
    field.fill(value)
    field.blur()


def choose_tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()


def choose(page: Page, name: str, option: str) -> None:
    page.locator(f"#synthesis-{name} input").click()
    page.get_by_role("option", name=option).click()


def test_from_the_page_to_texts_in_the_queue_without_a_network(page_in: Pages, project: Project) -> None:
    page = page_in("light")
    expect(page.locator("#synthesis-estimate")).to_contain_text("3 texts to ask for")
    page.click("#synthesis-ask-one")
    one = page.locator("#synthesis-shown-one")
    expect(one).to_contain_text("nothing of it is stored")
    expect(one.locator(".raw").last).to_contain_text(PAIRS[0][0])
    with open_store(project.data) as db:
        assert not list_queue(db) and not (project.data / "synthesis").exists(), "looking and asking once leave nothing"
    assert findings(page) == []
    page.get_by_text("The same without this page").click()
    expect(page.locator("#synthesis-command")).to_contain_text("python -m curation synthesise narrative")
    fill(page, "words", "garden")
    expect(page.locator("#synthesis-estimate")).to_contain_text("1 text to ask for")
    fill(page, "words", "")
    expect(page.locator("#synthesis-estimate")).to_contain_text("3 texts to ask for")
    page.click("#synthesis-run")
    expect(page.locator("#synthesis-status")).to_contain_text("finished", timeout=RUN_MS)
    expect(page.locator("#synthesis-status")).to_contain_text("3 written of 3")
    expect(page.locator("#synthesis-queued")).to_contain_text("3 in 'Synthesised texts'")
    with open_store(project.data) as db:
        assert len(list_queue(db)) == 3
    assert findings(page) == []
    choose_tab(page, "Texts")
    texts = page.locator("#synthesis-texts article")
    expect(texts).to_have_count(3)
    expect(texts.first.locator("sup").first).to_have_attribute("title", re.compile("What does the boy in red do"))
    assert findings(page) == []
    choose_tab(page, "Prompts")
    expect(page.locator("#synthesis-prompts tr", has_text="narrative")).to_contain_text("3")
    assert findings(page) == []
    choose_tab(page, "Ask")
    page.click("#synthesis-run")
    expect(page.locator(".toast-body").first).to_contain_text("nothing new to ask")


def script() -> Callable[[Question], Act]:
    """Say "too many" to the very first question, block what is said about the zebra, answer the rest."""
    return lambda question: too_many("0") if question.number == 0 else blocked() if "(zebra)" in question.words else answer()


def test_a_providers_troubles_are_told_and_its_key_is_not(page_in: Pages, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    page = page_in("dark")
    with ModelServer(script(), key=KEY) as server:
        choose(page, "generator", "OpenAI, or a server")
        for name, value in (("model", "a-model"), ("address", f"{server.address}/v1"), ("key-variable", VARIABLE), ("price-in", "0.5"), ("price-out", "2")):
            fill(page, name, value)
        expect(page.locator("#synthesis-estimate")).to_contain_text(f"{VARIABLE} is not set")
        page.click("#synthesis-run")
        expect(page.locator(".toast-body").first).to_contain_text("is not set")
        page.locator(".toast-close").first.click()  # Gradio's own message has a button in a button
        expect(page.locator(".toast-body")).to_have_count(0)
        monkeypatch.setenv(VARIABLE, KEY)
        fill(page, "budget", "5")
        expect(page.locator("#synthesis-estimate")).to_contain_text("USD")
        expect(page.locator("#synthesis-estimate")).to_contain_text(f"The key stands in {VARIABLE}")
        assert findings(page) == []
        page.click("#synthesis-run")
        status, dead = page.locator("#synthesis-status"), page.locator("#synthesis-dead")
        expect(status).to_contain_text("2 written of 3", timeout=RUN_MS)
        expect(dead).to_contain_text("Set aside: 1")
        expect(dead.locator("tr", has_text="zebra")).to_contain_text("blocked")
        expect(status).to_contain_text("1 rate")
        expect(status).to_contain_text(re.compile(r"Money: 0\.\d+ USD of 5\.00 USD"))
        expect(status).to_contain_text("finished")
        expect(page.locator("#synthesis-stop")).to_be_disabled()
        assert findings(page) == []
        assert {request.path for request in server.requests} == {"/v1/chat/completions"}
    choose_tab(page, "Texts")
    expect(page.locator("#synthesis-texts article", has_text="a-model")).to_have_count(2)
    assert findings(page) == []
    assert KEY not in page.content()
    told = [path for path in project.data.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    assert not told, "a key is written nowhere"
    assert any(VARIABLE.encode() in path.read_bytes() for path in project.data.rglob("plan.json")), "the control: the variable's name is"
