"""The whole walk, once, in Chromium on a fresh data directory: import, annotate, pair, train, agree."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from store.database import check, open_store
from tests.browser.conftest import expect_saved, select_words
from tests.test_app import free_port

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "assets" / "demo"
CLIPS = ("lecture-swing", "throw")
MINUTES = 60_000


@dataclass
class App:
    """The app as a person runs it, on its own data directory."""

    data: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[str] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [sys.executable, "app.py", "--data", str(self.data), "--port", str(self.port), "--no-demo"]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.address in self.process.stdout.readline()

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def rows(self, query: str) -> list[dict[str, object]]:
        with open_store(self.data) as db:
            return list(db.query(query))


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    made = App(tmp_path / "data")
    made.start()
    yield made
    made.kill()


@pytest.fixture
def annotations(tmp_path: Path) -> Path:
    """Two clips of the demo with their questions and ten texts."""
    lines = (DEMO / "demo.jsonl").read_text(encoding="utf-8").splitlines()
    path = tmp_path / "two clips.jsonl"
    path.write_text("\n".join(line for line in lines if {json.loads(line).get("clip"), json.loads(line)["id"]} & set(CLIPS)), encoding="utf-8")
    return path


@pytest.fixture
def sign_in(chromium: Browser, app: App) -> Iterator[Callable[[str], Page]]:
    """Return a function: name -> a page of their own browser, signed in through the form."""
    opened = []

    def enter(name: str) -> Page:
        context = chromium.new_context(viewport={"width": 1280, "height": 720})
        context.set_default_timeout(20_000)
        opened.append(context)
        page = context.new_page()
        page.goto(app.address)
        page.fill("#name", name)
        page.click("#sign-in")
        page.wait_for_url(f"{app.address}/")
        return page

    yield enter
    for context in opened:
        context.close()


def test_a_newcomer_walks_from_a_file_to_an_adapter_and_the_agreement_behind_it(app: App, annotations: Path, sign_in: Callable[[str], Page]) -> None:
    ann, ben = sign_in("ann"), sign_in("ben")
    import_by_page(ann, app, annotations)
    flagged = annotate_as_ann(ann, app)
    annotate_as_ben(ben, app)
    what_the_store_holds(app, flagged)
    accept_pairs(ann, app)
    sft = train(ann, app, "sft", "Pipeline check (SFT)")
    app.kill()
    app.start()
    ann.goto(f"{app.address}/train")
    expect_finished(ann, 1)
    dpo = train(ann, app, "dpo", "Pipeline check (DPO)")
    expect_finished(ann, 2)
    what_the_runs_hold(app, sft, dpo)
    see_agreement(ann, app)
    assert check(app.data) == []


def import_by_page(page: Page, app: App, annotations: Path) -> None:
    """Import by the form, twice: the second time adds nothing."""
    page.goto(f"{app.address}/import")
    choose(page, "#import-format", "jsonl")
    page.locator("#import-path textarea, #import-path input").fill(str(annotations))
    page.locator("#import-videos textarea, #import-videos input").fill(str(DEMO))
    page.click("#import-start")
    expect(page.locator("#import-result")).to_contain_text("Texts", timeout=MINUTES)
    wait_for(page, lambda: len(app.rows("SELECT * FROM import_record")) == 1)
    counts = app.rows("SELECT (SELECT count(*) FROM clip WHERE digest IS NOT NULL) AS clips, (SELECT count(*) FROM candidate) AS texts")
    assert counts == [{"clips": 2, "texts": 10}]
    page.click("#import-start")
    wait_for(page, lambda: len(app.rows("SELECT * FROM import_record")) == 2)
    second = json.loads(str(app.rows("SELECT summary FROM import_record ORDER BY finished_at DESC LIMIT 1")[0]["summary"]))
    assert (second["added"], second["unchanged"]) == (0, 26)


def annotate_as_ann(page: Page, app: App) -> dict[str, str]:
    """Flag the first text on words and moment, edit the second, and go through the rest by two keys each."""
    open_desk(page, app)
    text = page.locator("#desk-text").inner_text()
    words = " ".join(text.split()[3:7])
    page.keyboard.press("Space")
    page.wait_for_function("document.querySelector('#desk-stage video').currentTime > 0.4")
    page.keyboard.press("Space")
    select_words(page, words)
    page.keyboard.press("t")
    page.keyboard.press("2")
    page.keyboard.press("Escape")
    page.keyboard.press("2")
    page.keyboard.press("4")
    submit(page, "x")
    edited = page.locator("#desk-text").inner_text() + " Then it is over."
    page.keyboard.press("i")
    page.fill("#desk-edited", edited)
    page.keyboard.press("Escape")
    submit(page, "a")
    for _ in range(8):
        page.keyboard.press("5")
        page.keyboard.press("5")
        submit(page, "a")
    expect(page.locator("#desk-plain")).to_be_visible()
    return {"text": text, "words": words, "edited": edited}


def annotate_as_ben(page: Page, app: App) -> None:
    """See nothing of what ann did, reject the first text too, and accept the rest."""
    open_desk(page, app)
    assert "Then it is over." not in page.content()
    expect(page.locator("#desk-flags li")).to_have_count(0)
    select_words(page, page.locator("#desk-text").inner_text()[:12])
    page.keyboard.press("h")
    page.keyboard.press("Escape")
    page.keyboard.press("1")
    page.keyboard.press("3")
    submit(page, "x")
    for _ in range(9):
        submit(page, "a")
    expect(page.locator("#desk-plain")).to_be_visible()


def what_the_store_holds(app: App, flagged: dict[str, str]) -> None:
    finals = app.rows("SELECT annotator, verdict, count(*) AS n FROM annotation WHERE state = 'final' GROUP BY 1, 2 ORDER BY 1, 2")
    assert finals == [{"annotator": who, "verdict": verdict, "n": n} for who in ("ann", "ben") for verdict, n in (("accept", 9), ("reject", 1))]
    (flag,) = app.rows("SELECT flag.* FROM flag JOIN annotation a ON a.id = annotation_id WHERE annotator = 'ann'")
    assert (flag["kind"], flag["quote"], flag["severity"]) == ("temporal_error", flagged["words"], 2)
    assert flagged["text"][flag["text_start"] : flag["text_end"]] == flagged["words"]  # type: ignore[misc]
    assert 0 <= flag["start_s"] < flag["end_s"] < 5  # type: ignore[operator]
    (edit,) = app.rows(
        "SELECT c.text, g.kind, g.name, p.text AS parent FROM candidate c JOIN candidate p ON p.id = c.parent_id JOIN generator g ON g.id = c.generator_id"
    )
    assert (edit["text"], edit["kind"], edit["name"]) == (flagged["edited"], "person", "ann")
    assert app.rows("SELECT DISTINCT taken, wanted FROM queue_entry") == [{"taken": 2, "wanted": 2}]


def accept_pairs(page: Page, app: App) -> None:
    """Accept what edits and verdicts propose, and choose one pair blind, side by side."""
    page.goto(f"{app.address}/pairs")
    expect(page.locator("#pairs-list")).to_contain_text("edit")
    page.click("#pairs-accept-all")
    wait_for(page, lambda: not app.rows("SELECT * FROM preference_pair WHERE state = 'proposed'"))
    assert {row["origin"] for row in app.rows("SELECT origin FROM preference_pair WHERE state = 'accepted'")} == {"edit", "verdict"}
    page.get_by_role("tab", name="Side by side").click()
    expect(page.locator("#pairs-sides")).to_contain_text("for the left text")
    page.click("#pairs-compare")
    page.wait_for_url(f"{app.address}/compare")
    expect(page.locator("#compare")).to_have_attribute("data-open", "true")
    assert "demo-writer" not in page.content(), "who wrote a text is not shown"
    page.keyboard.press("1")
    wait_for(page, lambda: len(app.rows("SELECT * FROM comparison")) == 1)


def train(page: Page, app: App, stage: str, preset: str) -> Path:
    """Freeze what is accepted, start a run, double-clicked; return its directory."""
    page.goto(f"{app.address}/train")
    expect(page.locator("#train-readiness")).to_contain_text(re.compile("[Rr]eady"))
    if stage == "dpo":
        page.locator("#train-stage").get_by_label("DPO", exact=False).check()
    expect(page.locator("#train-preset input")).to_have_value(preset)
    page.locator("#train-freeze-name textarea, #train-freeze-name input").fill(f"accepted for {stage}")
    page.click("#train-freeze")
    expect(page.locator("#train-set input")).to_have_value(re.compile(f"accepted for {stage}"))
    expect(page.locator("#train-summary")).to_contain_text("clips")
    page.dblclick("#train-start")
    wait_for(page, lambda: len(app.rows(f"SELECT * FROM run WHERE stage = '{stage}'")) == 1)
    expect(page.locator("#train-runs")).to_contain_text(re.compile("running|finished"))
    (run,) = app.rows(f"SELECT * FROM run WHERE stage = '{stage}'")
    return app.data / str(run["directory"])


def expect_finished(page: Page, runs: int) -> None:
    page.get_by_role("tab", name="Runs", exact=True).click()
    expect(page.locator("#train-runs tbody tr", has_text="finished")).to_have_count(runs, timeout=2 * MINUTES)


def what_the_runs_hold(app: App, sft: Path, dpo: Path) -> None:
    for directory in (sft, dpo):
        result = json.loads((directory / "result.json").read_text())
        assert result["outcome"] == "finished"
        assert (directory / "adapter" / "adapter_model.safetensors").stat().st_size > 1000
        steps = [event for event in map(json.loads, (directory / "events.jsonl").read_text().splitlines()) if event["kind"] == "step"]
        assert steps
        assert all(event["loss"] > 0 for event in steps if event.get("loss") is not None)
    (row, *_) = (json.loads(line) for line in (dpo / "dataset" / "rows.jsonl").read_text().splitlines())
    assert row["chosen"] != row["rejected"]
    assert len(app.rows("SELECT * FROM run")) == 2, "a double click starts one run"


def see_agreement(page: Page, app: App) -> None:
    page.goto(f"{app.address}/agreement")
    verdict = page.locator("#agreement-table tr", has_text="Verdict").first
    expect(verdict).to_contain_text("10")
    expect(verdict).to_contain_text("1.00")
    expect(page.locator("#agreement-table")).to_contain_text("No alpha")


def open_desk(page: Page, app: App) -> None:
    page.goto(app.address)
    expect(page.locator("#desk")).to_have_attribute("data-ready", "true")


def submit(page: Page, verdict: str) -> None:
    """Give a verdict and wait for the next item, or for the end."""
    before = page.locator("#desk-count").inner_text()
    page.keyboard.press(verdict)
    page.keyboard.press("Enter")
    expect(page.locator("#desk-count")).not_to_have_text(before)
    expect_saved(page)


def choose(page: Page, dropdown: str, name: str) -> None:
    page.locator(f"{dropdown} input").click()
    page.get_by_role("option", name=name, exact=True).click()


def wait_for(page: Page, condition: Callable[[], bool], timeout_ms: int = MINUTES) -> None:
    """Wait until the condition holds, letting the page work meanwhile."""
    for _ in range(timeout_ms // 100):
        if condition():
            return
        page.wait_for_timeout(100)
    raise AssertionError("the condition did not come true")
