"""An admin makes a batch, orders it anew and closes it, and sees what it holds."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from curation.batching import BatchRequest, make_batch
from store.batches import list_batches
from store.database import open_store
from store.queue import list_queue
from store.records import Signal
from store.signals import add_signals
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
    expect(page.locator("#batches-told")).to_contain_text("now, not as imported: 12 items have another place")
    expect(page.locator("#batches-change")).to_have_text("Close this batch")
    page.locator("#batches-change").click()
    expect(page.locator("#batches-list")).to_contain_text("closed")
    expect(page.locator("#batches-change")).to_have_text("Open this batch")
    with open_store(page.data) as db:  # type: ignore[attr-defined]
        after = [entry.candidate_id for entry in list_queue(db)]
        assert list_batches(db)[0].state == "closed"
    assert sorted(after) == sorted(before) and after != before
    page.locator("#batches-start").click()
    expect(page.locator(".toast-body").first).to_contain_text("already")
    expect(page.locator("#batches-list")).to_contain_text("First round")
    errors = page.locator(".wrap > .error")  # Gradio lays one over every output of what was refused; only its opacity hides it
    expect(errors.first).to_be_attached()
    assert not errors.evaluate_all("all => all.filter((one) => one.checkVisibility({ opacityProperty: true })).length")


def test_the_fields_hold_what_the_chosen_batch_is_set_to(page: Page) -> None:
    data = page.data  # type: ignore[attr-defined]
    with open_store(data) as db:
        add_signals(db, [Signal(list_queue(db)[0].candidate_id, "doubt", 0.9)])
        make_batch(db, BatchRequest("By doubt", kind="rationale", wanted=3, ordering="signal", signal="doubt", seed=5), "lea")
    page.reload()
    fields = [page.locator(f"#batches-{name} input") for name in ("each", "order", "signal", "seed")]
    for field, value in zip(fields, ("3", "signal", "doubt", "5"), strict=True):
        expect(field).to_have_value(value)
    page.locator("#batches-more").click()
    expect(page.locator("#batches-told")).to_contain_text("3 already. Nothing has changed")
    page.locator("#batches-again").click()
    expect(page.locator("#batches-told")).to_contain_text("is ordered by doubt as before")
    page.locator("#batches-each input").fill("1")
    page.locator("#batches-more").click()
    expect(page.locator("#batches-told")).to_contain_text("1 now, not 3.")
    page.locator("#batches-chosen input").click()
    page.get_by_role("option", name="All that is imported").click()
    for field, value in zip(fields, ("2", "given", "", "0"), strict=True):
        expect(field).to_have_value(value)
    with open_store(data) as db:
        batch = list_batches(db)[0]
    assert (batch.wanted, batch.ordering, batch.signal, batch.seed) == (1, "signal", "doubt", 5)
