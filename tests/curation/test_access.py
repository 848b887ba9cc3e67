"""Who may come in, and who may go where."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.middleware.sessions import SessionMiddleware

from curation.export import freeze_set
from curation.ui import people
from curation.ui.access import ADJUDICATOR, ANNOTATOR, make_access, session_secret
from curation.ui.download_routes import build_download_router
from curation.ui.gate import Gate
from curation.ui.navigation import Page
from curation.ui.session_routes import build_session_router
from store.accounts import ROLES, add_account, find_account, list_accounts, remove_account, set_password_hash, set_role, verify
from store.context import Context
from store.database import open_store
from store.errors import InputError
from store.invitations import digest_of, invite, join_path, list_open_invitations
from store.records import Account, Invitation
from store.rows import utc_now
from store.throttle import MOST_PER_ADDRESS, MOST_PER_NAME
from tests.store.test_accounts import scrypt_hash

HTML = {"accept": "text/html"}
PASSWORD = "long enough"


def greet(name: str, request: gr.Request) -> str:
    return f"{request.username} greets {name}"


def nothing(context: Context) -> None:
    """Build no page."""


def refuse(name: str) -> str:
    raise InputError(f"The name {name} <b> is not usable.")


def judge(name: str, request: gr.Request) -> str:
    return f"{request.username} judges {name}"


def make_people(data: Path) -> None:
    """Make an annotator, an adjudicator and an admin."""
    with open_store(data) as db:
        for name, role in zip(("ann", "jo", "lea"), ROLES, strict=True):
            add_account(db, name, PASSWORD, role)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    access = make_access(tmp_path)
    with gr.Blocks(analytics_enabled=False) as pages:
        text = gr.Textbox()
        for function in (greet, refuse):
            gr.Button().click(access.handler(function), text, text, api_name=function.__name__)
        gr.Button().click(access.handler(judge, ADJUDICATOR), text, text, api_name="judge")
    api = FastAPI()
    api.include_router(build_session_router(access))
    api.include_router(build_download_router(access))
    api = gr.mount_gradio_app(api, pages, path="/", auth_dependency=access.user)
    api.add_middleware(Gate, access=access, pages=[Page("/", "Annotate", ANNOTATOR, nothing), Page("/pairs", "Pairs", ADJUDICATOR, nothing)])
    api.add_middleware(SessionMiddleware, secret_key=session_secret(tmp_path))
    with TestClient(api, follow_redirects=False) as client:
        yield client


def call(client: TestClient, name: str) -> str:
    event = client.post(f"/gradio_api/call/{name}", json={"data": ["bo"]}).json().get("event_id")
    if event is None:
        return ""
    return client.get(f"/gradio_api/call/{name}/{event}").text


def test_nobody_sees_a_page_before_signing_in_and_is_led_to_the_door(client: TestClient) -> None:
    assert client.get("/pairs", headers=HTML).headers["location"] == "/login?next=/pairs"
    assert client.get("/api/me").status_code == 401
    assert client.post("/gradio_api/call/greet", json={"data": ["bo"]}).status_code == 401
    client.post("/login", data={"name": "ann", "next": "/"})
    assert client.get("/api/me").json() == {"name": "ann", "role": "admin"}
    assert client.get("/", headers=HTML).status_code == 200
    client.post("/logout")
    assert client.get("/api/me").status_code == 401


def test_a_handler_knows_who_asks_and_shows_a_user_error_as_it_is(client: TestClient) -> None:
    client.post("/login", data={"name": "ann"})
    assert "ann greets bo" in call(client, "greet")
    assert json.loads(call(client, "refuse").split("data: ")[1])["error"] == "The name bo &lt;b&gt; is not usable."


def test_with_accounts_only_the_right_password_opens_and_an_annotator_has_the_desk_alone(client: TestClient, tmp_path: Path) -> None:
    with open_store(tmp_path) as db:
        add_account(db, "ann", PASSWORD, "annotator")
        add_account(db, "lea", PASSWORD, "admin")
    assert "error=" in client.post("/login", data={"name": "ann", "password": "wrong"}).headers["location"]
    assert client.get("/api/me").status_code == 401
    client.post("/login", data={"name": "ann", "password": PASSWORD})
    assert client.get("/", headers=HTML).status_code == 200
    assert client.get("/pairs", headers=HTML).headers["location"] == "/"
    assert "for admins" in call(client, "greet")
    client.post("/login", data={"name": "lea", "password": PASSWORD})
    assert "lea greets bo" in call(client, "greet"), "the control: an admin gets through"


def test_a_name_that_signed_in_before_there_were_accounts_is_out_when_there_are(client: TestClient, tmp_path: Path) -> None:
    client.post("/login", data={"name": "ann"})
    assert client.get("/api/me").status_code == 200
    with open_store(tmp_path) as db:
        add_account(db, "lea", PASSWORD, "admin")
    assert client.get("/api/me").status_code == 401


def test_a_session_ends_with_the_password_that_opened_it(client: TestClient, tmp_path: Path) -> None:
    client.post("/login", data={"name": "lea"})
    with open_store(tmp_path) as db:
        add_account(db, "lea", PASSWORD, "admin")
    assert client.get("/api/me").status_code == 401, "opened by a name alone, before the name had a password"
    client.post("/login", data={"name": "lea", "password": PASSWORD})
    assert client.get("/api/me").status_code == 200
    with open_store(tmp_path) as db:
        add_account(db, "lea", PASSWORD + "er", "admin", change=True)
    assert client.get("/api/me").status_code == 401


def test_a_session_ends_at_the_next_request_when_the_role_changes_or_the_account_goes(client: TestClient, tmp_path: Path) -> None:
    make_people(tmp_path)
    for end in (lambda db: set_role(db, "jo", "annotator"), lambda db: set_role(db, "jo", "admin"), lambda db: remove_account(db, "jo")):
        client.post("/login", data={"name": "jo", "password": PASSWORD})
        assert client.get("/api/me").status_code == 200
        with open_store(tmp_path) as db:
            end(db)
        assert client.get("/api/me").status_code == 401
        assert client.get("/pairs", headers=HTML).headers["location"].startswith("/login")
        assert call(client, "greet") == ""


def test_somebody_made_anew_under_an_old_name_does_not_inherit_the_session(client: TestClient, tmp_path: Path) -> None:
    make_people(tmp_path)
    client.post("/login", data={"name": "jo", "password": PASSWORD})
    with open_store(tmp_path) as db:
        remove_account(db, "jo")
        add_account(db, "jo", PASSWORD, "adjudicator")
    assert client.get("/api/me").status_code == 401


def test_a_handler_may_be_for_adjudicators(client: TestClient, tmp_path: Path) -> None:
    make_people(tmp_path)
    for name, may in (("ann", False), ("jo", True), ("lea", True)):
        client.post("/login", data={"name": name, "password": PASSWORD})
        assert (f"{name} judges bo" in call(client, "judge")) is may
        assert ("This is for adjudicators and above" in call(client, "judge")) is not may
        assert client.get("/pairs", headers=HTML).headers.get("location", "") == ("" if may else "/")


def test_downloads_are_for_adjudicators_and_admins(client: TestClient, tmp_path: Path) -> None:
    make_people(tmp_path)
    assert client.get("/download/agreement.csv").status_code == 401
    client.post("/login", data={"name": "ann", "password": PASSWORD})
    for path in ("agreement.csv", "pairs-accepted.jsonl"):
        assert client.get(f"/download/{path}").status_code == 403
    client.post("/login", data={"name": "jo", "password": PASSWORD})
    assert "alpha" in client.get("/download/agreement.csv").text
    assert client.get("/download/pairs-accepted.jsonl").json()["error"].startswith("There"), "nothing is accepted yet"


def test_the_door_leads_nowhere_else_and_echoes_no_markup(client: TestClient) -> None:
    for elsewhere in ("https://example.org", "//example.org", "/\\example.org"):
        assert client.post("/login", data={"name": "ann", "next": elsewhere}).headers["location"] == "/"
    assert client.post("/login", data={"name": "ann", "next": "/train"}).headers["location"] == "/train"
    page = client.get("/login", params={"error": "<script>alert(1)</script>", "next": '"><b>', "name": "$next ${x}"}).text
    assert "<script>" not in page
    assert '"><b>' not in page


def test_the_session_key_is_made_once_and_is_for_the_owner_alone(tmp_path: Path) -> None:
    assert session_secret(tmp_path) == session_secret(tmp_path)
    assert (tmp_path / "session.key").stat().st_mode & 0o077 == 0


# Joining


def test_an_invitation_link_makes_an_account_and_signs_in_once(client: TestClient, tmp_path: Path) -> None:
    make_people(tmp_path)
    with open_store(tmp_path) as db:
        token = invite(db, "annotator", "lea")
    page = client.get(join_path(token))
    assert "invited as <strong>annotator</strong>" in page.text
    assert (page.headers["cache-control"], page.headers["referrer-policy"]) == ("no-store", "same-origin")
    asked = {"token": token, "name": "bo", "password": PASSWORD}
    for wrong, said in (({"name": "LEA"}, "is taken"), ({"password": "short"}, "Use 8 to"), ({"name": " "}, "not usable")):
        refused = client.post("/join", data=asked | wrong)
        assert said in refused.text
        assert refused.status_code in (400, 409)
        assert f'value="{token}"' in refused.text, "the form stays"
        assert client.get("/api/me").status_code == 401
    assert client.post("/join", data=asked).headers["location"] == "/"
    assert client.get("/api/me").json() == {"name": "bo", "role": "annotator"}
    again = client.post("/join", data=asked | {"name": "second"})
    assert again.status_code == client.get(join_path(token)).status_code == 403
    assert "was used on" in again.text
    with open_store(tmp_path) as db:
        assert find_account(db, "second") is None


@pytest.mark.parametrize("token", ["x", "<script>alert(1)</script>"])
def test_a_token_that_nobody_made_says_so(client: TestClient, token: str) -> None:
    for answer in (client.get("/join", params={"token": token}), client.post("/join", data={"token": token, "name": "bo", "password": PASSWORD})):
        assert answer.status_code == 404
        assert "is not known" in answer.text
        assert "<script>" not in answer.text
    assert client.get("/join").status_code == 404
    assert client.get("/api/me").status_code == 401


def test_an_invitation_cannot_be_stretched_to_another_role(client: TestClient, tmp_path: Path) -> None:
    make_people(tmp_path)
    with open_store(tmp_path) as db:
        token = invite(db, "annotator", "lea")
    client.post("/join", data={"token": token, "name": "bo", "password": PASSWORD, "role": "admin"})
    assert client.get("/api/me").json()["role"] == "annotator"


def test_the_first_admin_may_come_by_invitation_and_ends_the_sessions_of_names_alone(client: TestClient, tmp_path: Path) -> None:
    client.post("/login", data={"name": "ann"})
    with open_store(tmp_path) as db:
        token = invite(db, "admin", "command line")
    other = TestClient(client.app, follow_redirects=False)
    other.post("/join", data={"token": token, "name": "lea", "password": PASSWORD})
    assert other.get("/api/me").json() == {"name": "lea", "role": "admin"}
    assert client.get("/api/me").status_code == 401


# The door


def knock(client: TestClient, name: str, password: str = "wrong one") -> int:
    return client.post("/login", data={"name": name, "password": password}).status_code


def test_after_five_wrong_passwords_the_sixth_try_waits_and_is_told_how_long(client: TestClient, tmp_path: Path) -> None:
    make_people(tmp_path)
    answers = {}
    for name in ("ann", "nobody at all"):
        assert [knock(client, name) for _ in range(MOST_PER_NAME)] == [303] * MOST_PER_NAME
        answers[name] = client.post("/login", data={"name": f" {name}", "password": PASSWORD})
    assert {answer.status_code for answer in answers.values()} == {429}, "the right one too, or the guesser would learn it"
    assert 0 < int(answers["ann"].headers["retry-after"]) <= 900
    assert "Wait 15 minutes" in answers["ann"].text
    assert answers["ann"].text.replace(" ann", " x") == answers["nobody at all"].text.replace(" nobody at all", " x"), "names are not revealed"
    assert client.get("/api/me").status_code == 401


def test_an_address_waits_after_thirty_whatever_the_names(client: TestClient, tmp_path: Path) -> None:
    make_people(tmp_path)
    with open_store(tmp_path) as db:
        rows = [{"name": f"name {i}", "address": "testclient", "at": utc_now()} for i in range(MOST_PER_ADDRESS)]
        db.table("login_failure").insert_all(rows)
    assert knock(client, "lea", PASSWORD) == 429


def test_a_right_password_clears_the_count_of_its_name(client: TestClient, tmp_path: Path) -> None:
    make_people(tmp_path)
    for _ in range(3):
        assert [knock(client, "ann") for _ in range(MOST_PER_NAME - 1)] == [303] * (MOST_PER_NAME - 1)
        assert client.post("/login", data={"name": "ann", "password": PASSWORD}).headers["location"] == "/"
        client.cookies.clear()
    with open_store(tmp_path) as db:
        assert list(db.query("SELECT * FROM login_failure")) == []


def test_somebody_elses_tries_do_not_lock_out_a_browser_that_knows_the_name(client: TestClient, tmp_path: Path) -> None:
    make_people(tmp_path)
    client.post("/login", data={"name": "ann", "password": PASSWORD})
    client.post("/logout")
    assert client.get("/api/me").status_code == 401
    stranger = TestClient(client.app, follow_redirects=False)
    while knock(stranger, "ann") != 429:
        pass
    assert knock(stranger, "ann", PASSWORD) == 429, "the control"
    assert client.post("/login", data={"name": "ann", "password": PASSWORD}).headers["location"] == "/"


def test_a_name_that_signed_in_without_a_password_is_not_known_to_the_browser_later(client: TestClient, tmp_path: Path) -> None:
    client.post("/login", data={"name": "ann"})
    make_people(tmp_path)
    assert [knock(client, "ann") for _ in range(MOST_PER_NAME + 1)] == [303] * MOST_PER_NAME + [429]


def test_a_password_of_the_first_version_is_hashed_anew_at_the_next_sign_in(client: TestClient, tmp_path: Path) -> None:
    make_people(tmp_path)
    with open_store(tmp_path) as db:
        set_password_hash(db, "ann", scrypt_hash(PASSWORD))
    client.post("/login", data={"name": "ann", "password": PASSWORD})
    assert client.get("/api/me").json()["name"] == "ann"
    with open_store(tmp_path) as db:
        account = find_account(db, "ann")
    assert account is not None
    assert account.password_hash.startswith("$argon2id$")


@pytest.mark.parametrize("path", ["/login", "/join", "/logout", "/gradio_api/call/greet"])
@pytest.mark.parametrize("origin", ["https://example.org", "http://testserver:8080", "null"])
def test_a_foreign_page_cannot_sign_anybody_in_or_out(client: TestClient, path: str, origin: str) -> None:
    client.post("/login", data={"name": "ann"})
    given = {"name": "mallory", "token": "x", "password": PASSWORD}
    refused = client.post(path, data=given, headers={"origin": origin})
    assert refused.status_code == 403
    assert "not from Eyewitness itself" in refused.json()["error"]
    assert client.get("/api/me").json()["name"] == "ann"
    assert client.post("/logout", headers={"origin": "http://testserver"}).status_code == 303, "the control: our own page may"


def test_the_gate_keeps_what_no_page_needs_for_admins(client: TestClient, tmp_path: Path) -> None:
    make_people(tmp_path)
    client.post("/login", data={"name": "jo", "password": PASSWORD})
    for path in ("/config", "/gradio_api/info", "/monitoring", "/gradio_api/upload_progress", "/elsewhere"):
        refused = client.get(path)
        assert (refused.status_code, refused.json()) == (403, {"error": f"{path} is not for you."})
    client.post("/login", data={"name": "lea", "password": PASSWORD})
    assert client.get("/config").status_code == 200, "the control"


# The People page


def test_an_admin_looks_after_people_and_nobody_else_does(tmp_path: Path) -> None:
    make_people(tmp_path)
    access = make_access(tmp_path)
    with gr.Blocks(analytics_enabled=False) as page:
        people.build(Context(tmp_path, access.handler, lambda kind, name: freeze_set(tmp_path, kind, name)))
    api = FastAPI()
    api.include_router(build_session_router(access))
    api = gr.mount_gradio_app(api, page, path="/", auth_dependency=access.user)
    api.add_middleware(SessionMiddleware, secret_key="secret for this test")
    with TestClient(api, follow_redirects=False, headers={"origin": "http://testserver"}) as client:

        def act(name: str, *data: object) -> str:
            event = client.post(f"/gradio_api/call/{name}", json={"data": list(data)}).json()["event_id"]
            return client.get(f"/gradio_api/call/{name}/{event}").text

        client.post("/login", data={"name": "jo", "password": PASSWORD})
        acts = {"show_people": [], "change_role": ["ann", "admin"], "give_password": ["lea", "my password"], "remove_person": ["lea"]}
        acts |= {"make_invitation": ["admin", 7], "take_back": ["x"]}
        assert all("This is for admins" in act(name, *given) for name, given in acts.items())
        client.post("/login", data={"name": "lea", "password": PASSWORD})
        shown = act("show_people")
        assert all(name in shown for name in ("ann", "jo", "lea"))
        assert "argon2" not in shown
        assert "lea is the only admin" in act("remove_person", "lea")
        assert "No person is chosen" in act("change_role", None, "admin")
        act("change_role", "ann", "adjudicator")
        act("give_password", "ann", "a new password")
        act("remove_person", "jo")
        act("remove_person", "")
        link = re.search(r"http://testserver/join\?token=([\w-]+)", act("make_invitation", "annotator", 2))
        assert link
        with open_store(tmp_path) as db:
            assert [(one.name, one.role) for one in list_accounts(db)] == [("ann", "adjudicator"), ("lea", "admin")]
            assert verify(db, "ann", "a new password")
            (waiting,) = list_open_invitations(db)
            assert (waiting.made_by, waiting.token_sha256) == ("lea", digest_of(link.group(1)))
        act("take_back", waiting.token_sha256)
        assert "used or taken back" in act("take_back", waiting.token_sha256)
        assert client.get(join_path(link.group(1))).status_code == 404


def test_names_on_the_people_page_are_escaped() -> None:
    account = Account("<b>x</b>", "admin", "hash", "2026-01-01T00:00:00.000+00:00")
    assert "<b>x" not in people.people_html([account], {})
    assert "everybody is an admin" in people.people_html([], {})
    assert "<i>" not in people.invitations_html([Invitation("0" * 64, "admin", "<i>lea", utc_now(), utc_now(), None, None)])
