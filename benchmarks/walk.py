"""From `make app` in a fresh clone to the first stored annotation, and what importing the app costs."""

import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

from benchmarks.rows import Row, judged, main
from tests.chromium import launch

ROOT = Path(__file__).resolve().parents[1]
PORT = 7893


def measure(quick: bool) -> list[Row]:
    """Return the import's cost and, unless quick, the walk from the clone."""
    return [*import_cost(3 if quick else 7), *([] if quick else first_annotation())]


def import_cost(rounds: int) -> list[Row]:
    """Return import app / import gradio in CPU seconds, the least of several in turn."""
    statements = ("import gradio", "import app", "import gradio, torch")
    least = dict.fromkeys(statements, float("inf"))
    for _ in range(rounds):
        for statement in statements:
            least[statement] = min(least[statement], cpu_seconds(statement))
    gradio, app, heavy = (least[statement] for statement in statements)
    return [judged("import app / import gradio, CPU", app / gradio, "x", "<= 1.25", f"with torch imported too it is {heavy / gradio:.2f} x")]


def cpu_seconds(statement: str) -> float:
    """Return the CPU seconds of one statement in a new interpreter."""
    script = f"import time\n{statement}\nprint(time.process_time())"
    return float(subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout)


def first_annotation() -> list[Row]:
    """Clone, `make app`, sign in, accept the first text by two keys, and read it back from the database."""
    with tempfile.TemporaryDirectory() as folder:
        clone, data = Path(folder) / "clone", Path(folder) / "data"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        begun = time.monotonic()
        command = ["make", "app", f"ARGS=--data {data} --port {PORT}"]
        process = subprocess.Popen(command, cwd=clone, stdout=subprocess.PIPE, text=True, start_new_session=True)
        try:
            assert process.stdout is not None
            reached = {}
            for line in process.stdout:
                if "Creating the demo" in line:
                    reached["installed"] = time.monotonic() - begun
                if "Eyewitness is at" in line:
                    reached["served"] = time.monotonic() - begun
                    break
            annotate_once(data)
            reached["stored"] = time.monotonic() - begun
        finally:
            subprocess.run(["pkill", "-TERM", "-s", str(process.pid)], check=False)
            process.wait()
            shutil.rmtree(clone / ".venv", ignore_errors=True)
    control = "read back from the database by its own connection; one run, so it moves with the machine and the package cache"
    names = {
        "installed": "make app on a warm package cache: until the packages are installed",
        "served": "until the demo is served",
        "stored": "until the first annotation is stored",
    }
    goals = {"stored": "<= 60"}
    return [judged(names[key], seconds, "s", goals.get(key), control) for key, seconds in reached.items()]


def annotate_once(data: Path) -> None:
    """Sign in, accept, submit, and check that it is stored."""
    with sync_playwright() as playwright:
        browser = launch(playwright)
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{PORT}/")
        page.fill("#name", "ann")
        page.click("#sign-in")
        expect(page.locator("#desk")).to_have_attribute("data-ready", "true")
        page.keyboard.press("a")
        page.keyboard.press("Enter")
        expect(page.locator("#desk-count")).to_contain_text("1 of")
        browser.close()
    found: Sequence[int] = sqlite3.connect(data / "eyewitness.db").execute("SELECT count(*) FROM annotation WHERE state = 'final'").fetchone()
    assert found[0] == 1, "nothing was stored"


if __name__ == "__main__":
    main(measure, __doc__ or "")
