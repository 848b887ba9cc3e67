"""Debian's Chromium, as the tests, the pictures and the benchmarks start it."""

from playwright.sync_api import Browser, Playwright

# No sandbox, because tests often run as root in a container; the rest keeps it from calling home.
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update"]


def launch(playwright: Playwright) -> Browser:
    """Return a headless browser that plays H.264."""
    return playwright.chromium.launch(executable_path="/usr/bin/chromium", args=[*ARGUMENTS, "--disable-sync"])
