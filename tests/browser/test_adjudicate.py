"""The page Adjudicate in a real browser: a whole adjudication by keyboard, hidden names, drafts and an outbox that outlive the tab."""

import dataclasses
import json
from collections.abc import Callable, Iterator

import pytest
import sqlite_utils
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from curation.disputes import ranked
from store.candidates import add_candidate, candidate_of, generator_of, get_candidate
from store.database import open_store
from store.queue import enqueue
from store.records import Candidate
from tests.browser.conftest import Server, fill, select_words, served, write_numbered_clip
from tests.curation.deciding import rule, say

PEOPLE = ("zelda", "quentin", "ignatius")
RATIONALE, NARRATIVE = "rationale", "narrative"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The app over a small project."""
    folder = tmp_path_factory.mktemp("adjudicate")
    frames = write_numbered_clip(folder / "numbers.mp4")
    candidates = fill(folder / "data", folder / "numbers.mp4", frames)
    with served(folder / "data") as address:
        yield Server(address, folder / "data", candidates, frames)


@pytest.fixture
def server(running: Server) -> Server:
    """The app with two texts, new for each test, on which three people differ; what an earlier test left is decided."""
    with open_store(running.data) as db:
        for left in ranked(db):
            rule(db, one_of(db, left), "unsure")
        writer = generator_of("imported", f"secret-writer {db.table('candidate').count}")
        fresh = {}
        for name in (RATIONALE, NARRATIVE):
            old = running.candidates[name]
            fresh[name] = candidate_of(old.kind, old.clip_id, old.qa_id, writer, old.text)
            add_candidate(db, fresh[name], writer)
            enqueue(db, fresh[name].id, 3)
        differ(db, fresh[RATIONALE], fresh[NARRATIVE])
    return dataclasses.replace(running, candidates=fresh)


def differ(db: sqlite_utils.Database, worst: Candidate, mild: Candidate) -> None:
    zeldas = [("justified_fabrication", "glares off a lake", 1.2, 2.4, 3, "No lake."), ("temporal_error", "before he waves", 0.4, 1.8, 2, "")]
    say(db, worst, "zelda", "reject", zeldas)
    say(db, worst, "quentin", "accept", [("justified_fabrication", "a lake", 1.0, 2.2, 1, "")], note="Is a pond a lake?")
    say(db, worst, "ignatius", "reject", [("entity_drift", "he shades", 2.0, 2.9, 1, "")], factual_consistency=2)
    for annotator, verdict in (("zelda", "accept"), ("quentin", "reject"), ("ignatius", "accept")):
        say(db, mild, annotator, verdict, [("other", "a ball", 0.5, 1.0, 1, "It is a box.")])


def one_of(db: sqlite_utils.Database, candidate_id: str) -> Candidate:
    found = get_candidate(db, candidate_id)
    assert found is not None
    return found


def decisions(server: Server) -> list[dict[str, object]]:
    """Return the decisions on this test's texts, in the order they were made first."""
    ids = json.dumps([candidate.id for candidate in server.candidates.values()])
    return server.rows("SELECT * FROM decision WHERE candidate_id IN (SELECT value FROM json_each(?)) ORDER BY rowid", ids)


def flags_of(decision: dict[str, object], server: Server) -> list[dict[str, object]]:
    return server.rows("SELECT * FROM decision_flag WHERE decision_id = ? ORDER BY position", decision["id"])


def decided_verdicts(server: Server, name: str) -> list[object]:
    """Return what the log says of one text, in order."""
    query = "SELECT json_extract(payload, '$.verdict') AS verdict FROM operation WHERE kind = 'decide' AND candidate_id = ? ORDER BY sequence"
    return [row["verdict"] for row in server.rows(query, server.candidates[name].id)]


@pytest.fixture
def judge(context_of: Callable[[str], BrowserContext], server: Server) -> Page:
    return open_page(context_of("judge"), server)


def open_page(context: BrowserContext, server: Server) -> Page:
    page = context.new_page()
    page.goto(f"{server.address}/adjudicate")
    expect(page.locator("#adjudicate")).to_have_attribute("data-ready", "true")
    return page


def expect_shown(page: Page, server: Server, name: str) -> None:
    expect(page.locator("#adjudicate")).to_have_attribute("data-candidate", server.candidates[name].id)
    expect(page.locator("#adjudicate")).to_have_attribute("data-ready", "true")


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def number_of(page: Page, words: str) -> str:
    """Return the number of the annotator whose column says this."""
    return str(page.locator(".adj-voice", has_text=words).first.get_attribute("data-number"))


def test_a_whole_adjudication_goes_by_keyboard_and_names_are_known_only_after_it(judge: Page, server: Server) -> None:
    expect_shown(judge, server, RATIONALE)
    expect(judge.locator(".adj-voice")).to_have_count(3)
    assert not any(name in judge.content() for name in (*PEOPLE, "secret-writer"))
    # The columns stand in an order of their own: who set two flags is found by what they said.
    press(judge, number_of(judge, "No lake."), "Shift+K")
    expect(judge.locator("#adj-final li")).to_have_count(2)
    press(judge, number_of(judge, "he shades"), "k")
    expect(judge.locator("#adj-final li")).to_have_count(3)
    press(judge, "k", "z", "z")
    expect(judge.locator("#adj-final li")).to_have_count(2)
    press(judge, "f", "3", "c")
    judge.keyboard.type(" Nothing glares.")
    press(judge, "Escape", "x", "r")
    judge.keyboard.type("There is no lake.")
    press(judge, "Enter")
    expect_shown(judge, server, NARRATIVE)
    expect(judge.locator("#adj-message")).to_contain_text("Decided: reject. Annotator 1 was")
    (decision,) = decisions(server)
    assert (decision["verdict"], decision["reason"], decision["overrides"], decision["adjudicator"]) == ("reject", "There is no lake.", 0, "judge")
    first, second = flags_of(decision, server)
    assert (first["quote"], first["severity"], first["comment"]) == ("glares off a lake", 3, "No lake. Nothing glares.")
    assert (first["kind"], second["kind"]) == ("justified_fabrication", "temporal_error")
    press(judge, "r")
    judge.keyboard.type("so")
    press(judge, "Escape", "a", "Enter")
    expect(judge.locator("#adj-plain")).to_contain_text("Nothing is disputed")
    press(judge, "b")
    expect(judge.locator("#adj-decided button").first).to_be_focused()
    press(judge, "ArrowDown", "Enter")
    expect_shown(judge, server, RATIONALE)
    for name in PEOPLE:
        expect(judge.locator("#adj-voices")).to_contain_text(name)
    assert "secret-writer" not in judge.content()
    expect(judge.locator("#adj-notice")).to_contain_text("Decided: reject, by judge")
    press(judge, "u", "Enter")
    expect(judge.locator("#adj-message")).to_contain_text("Decided: unsure")
    assert decided_verdicts(server, RATIONALE) == ["reject", "unsure"]


def test_no_answer_of_the_server_names_an_annotator_before_the_decision(judge: Page, server: Server) -> None:
    for path in ("next", "items", "issues", f"item/{server.candidates[RATIONALE].id}"):
        told = judge.request.get(f"{server.address}/api/adjudication/{path}").text()
        assert not any(f'"{name}"' in told for name in PEOPLE), path
        assert "secret" not in told


def test_overriding_a_majority_without_a_reason_says_which_key_leads_to_the_reason(judge: Page, server: Server) -> None:
    press(judge, "a")
    expect(judge.locator("#adj-override")).to_contain_text("2 of 3 said “reject”")
    press(judge, "Enter")
    expect(judge.locator("#adj-message")).to_contain_text("R leads to the reason")
    assert not decisions(server)
    press(judge, "r")
    judge.keyboard.type("The lake is there at 1.3 s.")
    press(judge, "Enter")
    expect_shown(judge, server, NARRATIVE)
    assert [decision["overrides"] for decision in decisions(server)] == [1]


def test_a_rejection_without_a_ground_leaves_the_keys_to_the_flags_and_the_reason(judge: Page, server: Server) -> None:
    message = judge.locator("#adj-message")
    press(judge, "x", "Enter")
    expect(message).to_contain_text("Take over a flag or set one, or give a reason")
    press(judge, number_of(judge, "No lake."), "k")
    expect(judge.locator("#adj-final li")).to_have_count(1)
    expect(message).to_be_hidden()  # there is a ground now
    press(judge, "r")
    judge.keyboard.type("I saw it")
    expect(judge.locator("#adj-reason")).to_have_value("I saw it")
    press(judge, "Enter")
    expect_shown(judge, server, NARRATIVE)
    press(judge, "u")
    expect(message).to_contain_text("Annotator 1 was")  # what the next act does not take back
    press(judge, "z", "z")
    expect(message).to_contain_text("Nothing is left to undo on this text. To change a decision, open its text from the list (B)")


def test_clicking_a_flag_loops_its_moment_and_a_checkbox_takes_it(judge: Page, server: Server) -> None:
    flag = judge.locator(".adj-flag", has_text="glares off a lake")
    flag.locator(".adj-said").click()
    expect(judge.locator("#adj-loop")).to_have_attribute("aria-pressed", "true")
    first = min(range(len(server.frames)), key=lambda frame: abs(server.frames[frame] - 1.2))
    judge.wait_for_function(f"Number(document.querySelector('#desk-stage').dataset.frame) >= {first - 1}")
    flag.locator(".adj-take").click()
    expect(flag.locator(".adj-take")).to_have_attribute("aria-checked", "true")
    expect(judge.locator("#adj-final li")).to_have_count(1)
    flag.locator(".adj-take").click()
    expect(judge.locator("#adj-final li")).to_have_count(0)
    mark = judge.locator("#desk-text mark[data-who]").first
    assert mark.get_attribute("data-who") in ("1", "2", "3")
    assert mark.get_attribute("title") == f"Annotator {mark.get_attribute('data-who')}"


def test_a_flag_of_ones_own_needs_words_and_gets_the_moment_played(judge: Page, server: Server) -> None:
    press(judge, "t")
    expect(judge.locator("#adj-message")).to_contain_text("Select the words first")
    press(judge, ".", ".")
    select_words(judge, "red coat")
    press(judge, "h", "2", "]")
    expect(judge.locator("#adj-final")).to_contain_text("red coat")
    press(judge, "Escape", "x", "Enter")
    expect_shown(judge, server, NARRATIVE)
    (flag,) = flags_of(decisions(server)[0], server)
    assert (flag["kind"], flag["quote"], flag["severity"]) == ("plain_hallucination", "red coat", 2)
    assert flag["end_s"] is not None


def test_a_draft_survives_a_reload(judge: Page, server: Server) -> None:
    press(judge, number_of(judge, "No lake."), "k", "x", "r")
    judge.keyboard.type("There is no la")
    judge.reload()
    expect_shown(judge, server, RATIONALE)
    expect(judge.locator("#adj-reason")).to_have_value("There is no la")
    expect(judge.locator("#adj-reject")).to_have_attribute("aria-pressed", "true")
    expect(judge.locator("#adj-final li")).to_have_count(1)


def test_a_decision_made_offline_is_told_as_not_saved_and_arrives_once(judge: Page, server: Server) -> None:
    judge.context.set_offline(True)
    press(judge, "x", "r")
    judge.keyboard.type("No lake.")
    press(judge, "Enter")
    expect(judge.locator("#desk-saved")).to_have_attribute("data-state", "unsaved")
    assert not decisions(server)
    address = judge.url
    judge.close(run_before_unload=False)
    context = judge.context
    context.set_offline(False)
    again = context.new_page()
    again.goto(address)
    expect_shown(again, server, NARRATIVE)
    assert [decision["reason"] for decision in decisions(server)] == ["No lake."]
    assert decided_verdicts(server, RATIONALE) == ["reject"]


def test_a_text_that_somebody_else_decided_meanwhile_is_not_decided_over(judge: Page, server: Server, context_of: Callable[[str], BrowserContext]) -> None:
    other = open_page(context_of("other judge"), server)
    for page, key in ((other, "u"), (judge, "x")):
        press(page, key, "r")
        page.keyboard.type("so")
        press(page, "Enter")
        expect(page.locator("#adj-message")).to_be_visible()
    expect(judge.locator("#adj-message")).to_contain_text("meanwhile")
    expect(judge.locator("#adj-notice")).to_contain_text("Decided: unsure, by other judge")
    assert decided_verdicts(server, RATIONALE) == ["unsure"]


def test_who_annotated_the_text_sees_that_plainly_and_can_put_it_off(context_of: Callable[[str], BrowserContext], server: Server) -> None:
    page = open_page(context_of("zelda"), server)
    expect(page.locator("#adj-notice")).to_contain_text("You annotated this text yourself")
    expect(page.locator(".adj-voice .adj-you")).to_have_count(1)
    assert not any(name in page.locator("#adjudicate").inner_html() for name in PEOPLE[1:])
    press(page, "s")
    expect_shown(page, server, NARRATIVE)
    press(page, "s")
    expect_shown(page, server, RATIONALE)


def test_a_note_becomes_a_question_with_one_key_and_its_answer_stands_in_everybodys_guidelines(judge: Page, server: Server) -> None:
    press(judge, "n")
    expect(judge.locator("#adj-questions-open")).to_contain_text("Questions (1)")
    expect(judge.locator("#adj-voices")).to_contain_text("asked as a question")
    press(judge, "q")
    question = judge.locator(".adj-issues li")
    expect(question).to_contain_text("Is a pond a lake?")
    expect(question).to_contain_text("A man in a red coat")
    assert "quentin" not in judge.content()
    question.locator("textarea").focus()
    judge.keyboard.type("No. Flag it.")
    press(judge, "Enter")
    expect(judge.locator("#adj-questions-open")).to_have_text("QuestionsQ")
    judge.context.request.post(f"{server.address}/login", form={"name": "newcomer"})
    told = judge.request.get(f"{server.address}/api/desk/guidelines").json()
    assert told["issues"] == [{"question": "Is a pond a lake?", "answer": "No. Flag it."}]
    assert told["markdown"].startswith("# How to annotate")
    (issue,) = server.rows("SELECT * FROM guideline_issue")
    assert (issue["candidate_id"], issue["asked_by"], issue["answered_by"]) == (server.candidates[RATIONALE].id, "judge", "judge")


@pytest.mark.parametrize(("wanted", "shown"), [(5, 1), (None, 0)])
def test_annotations_to_come_are_told_only_where_some_are_wanted(
    context_of: Callable[[str], BrowserContext], server: Server, wanted: int | None, shown: int
) -> None:
    page = context_of("judge").new_page()

    def wanting(route: Route) -> None:
        told = route.fetch().json()
        route.fulfill(json=told | {"next": told["next"] | {"wanted": wanted}})

    page.route("**/api/adjudication/next?*", wanting)
    page.goto(f"{server.address}/adjudicate")
    expect(page.locator("#adjudicate")).to_have_attribute("data-ready", "true")
    expect(page.locator("#adj-line")).to_contain_text("2 reject, 1 accept")
    expect(page.locator("#adj-line", has_text="to come")).to_have_count(shown)


def test_every_control_has_a_name_and_the_page_fits_without_scrolling(judge: Page) -> None:
    unnamed = judge.evaluate(
        """() => [...document.querySelectorAll('#adjudicate button, #adjudicate textarea, #adjudicate input, #adjudicate [role=checkbox]')]
               .filter((one) => !(one.getAttribute('aria-label') || one.textContent.trim() || one.title)).map((one) => one.outerHTML)"""
    )
    assert unnamed == []
    assert judge.evaluate("document.documentElement.scrollHeight <= innerHeight && document.documentElement.scrollWidth <= innerWidth")


def test_the_keys_have_no_clash_and_each_has_an_act(chromium: Browser, server: Server) -> None:
    page = chromium.new_page()
    page.goto(f"{server.address}/login")
    found = page.evaluate(
        """async () => {
            const modules = ['adjudicate/keys.js', 'desk/keys.js', 'adjudicate/acts.js'].map((name) => import(`/eyewitness/${name}`));
            const [{ adjudicationKeys }, { clashes }, { actsOf }] = await Promise.all(modules);
            const keys = adjudicationKeys(await (await fetch('/eyewitness/taxonomy.json')).json());
            const acts = actsOf({ player: {}, text: {}, screen: {}, timeline: {} });
            const clashing = [...keys, { ...keys[0], what: 'something else' }];
            return [clashes(keys), keys.filter((key) => !acts[key.act]).map((key) => key.act), clashes(clashing).length];
        }"""
    )
    page.close()
    assert json.dumps(found) == "[[], [], 1]"
