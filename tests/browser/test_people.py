"""From an invitation to an annotator's desk, as the two people see it."""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from app import PAGES
from store.accounts import ROLES, add_account
from store.database import open_store
from tests.browser.conftest import served

PASSWORD = "long enough"
NAMES = {role: [page.name for page in PAGES if ROLES.index(page.least) <= ROLES.index(role)] for role in ROLES}
Visit = Callable[[], BrowserContext]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    data = tmp_path_factory.mktemp("people")
    with open_store(data) as db:
        add_account(db, "lea", PASSWORD, "admin")
        add_account(db, "jo", PASSWORD, "adjudicator")
    with served(data) as address:
        yield address


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Visit]:
    """Return a function that opens another browser, with nobody signed in."""
    opened: list[BrowserContext] = []

    def open_one() -> BrowserContext:
        opened.append(chromium.new_context(viewport={"width": 1280, "height": 720}))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


def sign_in(context: BrowserContext, address: str, name: str) -> Page:
    page = context.new_page()
    page.goto(address)
    page.fill("#name", name)
    page.fill("#password", PASSWORD)
    page.click("#sign-in")
    expect(page.locator(".ew-nav")).to_be_visible()
    return page


def test_an_admin_invites_an_annotator_who_joins_and_finds_the_annotators_pages_only(visit: Visit, address: str) -> None:
    admin = sign_in(visit(), address, "lea")
    admin.goto(f"{address}/people")
    expect(admin.locator("#people-list")).to_contain_text("jo")
    admin.click("#people-invite")
    link = admin.locator("#people-link textarea")
    expect(link).to_have_value(re.compile(rf"^{address}/join\?token=[\w-]{{43}}$"))

    page = visit().new_page()
    page.goto(link.input_value())
    expect(page.locator("main")).to_contain_text("invited as annotator")
    page.fill("#name", "jo")
    page.fill("#password", PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("#error")).to_contain_text("The name 'jo' is taken")
    page.fill("#name", "ann")
    page.fill("#password", PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator(".ew-nav a")).to_have_text(NAMES["annotator"])
    expect(page.locator("#desk-plain")).to_contain_text("Nothing waits for you yet")
    for closed in (one for one in PAGES if one.least != "annotator"):
        page.goto(address + closed.path)
        assert page.url == f"{address}/", closed.name

    page.goto(link.input_value())
    expect(page.locator("#error")).to_contain_text("was used on")
    admin.reload()
    expect(admin.locator("#people-list")).to_contain_text("ann")
    expect(admin.locator("#people-invitations")).to_contain_text("No invitation is open")


def test_removing_somebody_asks_first_and_signs_them_out(visit: Visit, address: str) -> None:
    admin, other = sign_in(visit(), address, "lea"), sign_in(visit(), address, "jo")
    expect(other.locator(".ew-nav a")).to_have_text(NAMES["adjudicator"])
    admin.goto(f"{address}/people")
    admin.get_by_label("Person").click()
    admin.get_by_role("option", name="jo").click()
    admin.once("dialog", lambda dialog: dialog.dismiss())
    admin.click("#people-remove")
    other.reload()
    # The control: the admin thought better of it.
    expect(other.locator(".ew-nav")).to_contain_text("jo")
    admin.once("dialog", lambda dialog: dialog.accept())
    admin.get_by_label("Person").click()
    admin.get_by_role("option", name="jo").click()
    admin.click("#people-remove")
    expect(admin.locator("#people-list")).not_to_contain_text("jo")
    other.reload()
    expect(other.locator("#sign-in")).to_be_visible()


def test_the_bar_has_room_for_ten_pages_and_a_long_name_at_1280_pixels(visit: Visit, address: str) -> None:
    page = sign_in(visit(), address, "lea")
    pages = [{"path": f"/{number}", "name": name, "least": "admin"} for number, name in enumerate(("Guidelines", *NAMES["admin"])[:10])]
    pages += [{"path": f"/more{number}", "name": "Batches", "least": "admin"} for number in range(10 - len(pages))]
    page.evaluate(
        """async ([name, pages]) => {
            globalThis.fetch = async () => new Response(JSON.stringify({ name, role: "admin" }));
            await (await import("/eyewitness/nav.js")).mount(document.querySelector("#navigation .ew-nav").parentElement, pages);
        }""",
        ["Somebody with a name of forty characters", pages],
    )
    expect(page.locator(".ew-nav a")).to_have_count(10)
    middles = page.locator(".ew-nav > *").evaluate_all("nodes => nodes.map((node) => node.getBoundingClientRect()).map((box) => (box.top + box.bottom) / 2)")
    assert max(middles) - min(middles) < 10, "all in one line"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    expect(page.get_by_role("button", name="Sign out")).to_be_in_viewport(ratio=1)
