"""An admin makes a batch, orders it anew and closes it, and sees what it holds."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from store.batches import list_batches
from store.database import open_store
from store.queue import list_queue
from tests.browser.conftest import served
from tests.seeds import seed_project


@pytest.fixture
def page(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    data = tmp_path_factory.mktemp("batches")
    with open_store(data) as db:
        for i in range(4):
            seed_project(db, f"clip {i}")
    with served(data) as address:
        context = chromium.new_context(viewport={"width": 1280, "height": 720})
        context.request.post(f"{address}/login", form={"name": "lea"})
        made = context.new_page()
        made.goto(f"{address}/batches")
        made.data = data  # type: ignore[attr-defined]
        yield made
        context.close()


def test_a_batch_is_made_ordered_and_closed(page: Page) -> None:
    expect(page.locator("#batches-list")).to_contain_text("All that is imported")
    page.get_by_text("Make a batch", exact=True).click()
    page.locator("#batches-name textarea, #batches-name input").fill("First round")
    page.locator("#batches-wanted input").fill("2")
    page.locator("#batches-people textarea, #batches-people input").fill("ann, ben")
    page.locator("#batches-start").click()
    expect(page.locator("#batches-told")).to_contain_text("'First round' has 12 items")
    expect(page.locator("#batches-list")).to_contain_text("First round")
    expect(page.locator("#batches-progress")).to_contain_text("ben")
    with open_store(page.data) as db:  # type: ignore[attr-defined]
        batch, before = list_batches(db)[0], [entry.candidate_id for entry in list_queue(db)]
    assert (batch.name, batch.wanted, batch.created_by, batch.open_to_all) == ("First round", 2, "lea", False)
    page.locator("#batches-order input").click()
    page.get_by_role("option", name="random").click()
    page.locator("#batches-again").click()
    expect(page.locator("#batches-told")).to_contain_text("12 items have another place")
    page.locator("#batches-change").click()
    expect(page.locator("#batches-list")).to_contain_text("closed")
    with open_store(page.data) as db:  # type: ignore[attr-defined]
        after = [entry.candidate_id for entry in list_queue(db)]
        assert list_batches(db)[0].state == "closed"
    assert sorted(after) == sorted(before) and after != before
    page.locator("#batches-start").click()
    expect(page.locator(".toast-body").first).to_contain_text("already")
