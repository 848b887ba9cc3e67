"""Every route and every handler of the whole app, asked by whoever may not: a new one that nobody guards fails here."""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.routing import BaseRoute, Mount, WebSocketRoute

from app import PAGES, Settings, make_server_app
from store.accounts import ROLES, add_account
from store.clips import get_media
from store.database import open_store
from store.media_files import keep
from tests.curation.annotating import annotate
from tests.seeds import OTHER_WRITER, WRITER, Seeded, seed_project

PASSWORD = "long enough"
OWN_POST = {"x-annotator": "ann", "origin": "http://testserver"}
# What may be asked by whom; everything that is not listed is for admins. Adding to these lists is a decision.
FOR_ALL = {
    "/login", "/join", "/logout", "/eyewitness/{path}", "/assets/{path:path}", "/static/{path:path}", "/svelte/{path:path}", "/favicon.ico",
}  # fmt: skip
FOR_ANNOTATORS = {
    "/", "/compare", "/compare/", "/theme.css", "/api/me", "/media/{digest}",
    "/api/desk/item", "/api/desk/item/{assignment_id}", "/api/desk/recent", "/api/desk/operations", "/api/desk/heartbeat",
    "/api/desk/guidelines", "/api/desk/guidelines/ask", "/api/compare/next", "/api/compare/choose", "/api/compare/undo",
    "/gradio_api/heartbeat/{session_hash}", "/gradio_api/queue/join", "/gradio_api/queue/data", "/gradio_api/queue/status", "/gradio_api/cancel",
    "/gradio_api/call/{api_name}", "/gradio_api/call/{api_name}/", "/gradio_api/call/{api_name}/{event_id}",
    "/gradio_api/call/v2/{api_name}", "/gradio_api/call/v2/{api_name}/", "/gradio_api/call/v2/{api_name}/{event_id}",
}  # fmt: skip
FOR_ADJUDICATORS = {
    "/adjudicate", "/adjudicate/", "/agreement", "/agreement/", "/pairs", "/pairs/", "/download/pairs-{state}.jsonl", "/download/agreement.csv",
    "/api/adjudication/items", "/api/adjudication/next", "/api/adjudication/item/{candidate_id}", "/api/adjudication/decide",
    "/api/adjudication/issues", "/api/adjudication/ask", "/api/adjudication/settle",
    "/frames", "/frames/", "/api/frames/clips", "/api/frames/clip/{clip_id}", "/api/frames/pooled/{clip_id}",
}  # fmt: skip
MAY = {None: FOR_ALL, "annotator": FOR_ALL | FOR_ANNOTATORS, "adjudicator": FOR_ALL | FOR_ANNOTATORS | FOR_ADJUDICATORS}
Route = tuple[str, str]
Visit = Callable[[str | None], TestClient]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("guards")
    with open_store(data) as db:
        for name, role in (("ann", "annotator"), ("jo", "adjudicator"), ("lea", "admin")):
            add_account(db, name, PASSWORD, role)
    return data


@pytest.fixture(scope="module")
def seeded(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Seeded:
    film = tmp_path_factory.mktemp("film") / "film.mp4"
    film.write_bytes(b"a film")
    with open_store(data) as db:
        seeded = seed_project(db, digest=keep(data, film))
        annotate(db, seeded.rationale, "bo-the-other", "reject", ["temporal_error"])
    return seeded


@pytest.fixture(scope="module")
def app(data: Path, seeded: Seeded) -> FastAPI:
    return make_server_app(Settings(data))


@pytest.fixture
def visit(app: FastAPI) -> Iterator[Visit]:
    yield partial(browser, app)


def browser(app: FastAPI, role: str | None) -> TestClient:
    """Return a browser in which somebody of this role is signed in; None is nobody."""
    client = TestClient(app, follow_redirects=False, raise_server_exceptions=False)
    if role:
        name = {"annotator": "ann", "adjudicator": "jo", "admin": "lea"}[role]
        assert client.post("/login", data={"name": name, "password": PASSWORD}).headers["location"] == "/"
    return client


def routes_of(routes: Iterable[BaseRoute], prefix: str = "") -> Iterator[Route]:
    """Yield method and path of every route, those of mounted apps and included routers too."""
    for route in routes:
        if isinstance(route, Mount):
            inner = getattr(route.app, "routes", None)
            yield from routes_of(inner, prefix + route.path) if inner else [("GET", f"{prefix}{route.path}/{{path}}")]
        elif included := getattr(route, "original_router", None):
            yield from routes_of(included.routes, prefix + route.include_context.prefix)  # type: ignore[attr-defined]
        else:
            assert not isinstance(route, WebSocketRoute), "the gate knows no web sockets"
            yield from ((method, prefix + route.path) for method in route.methods)  # type: ignore[attr-defined]


def open_routes(client: TestClient, routes: Iterable[Route], besides: set[str]) -> set[Route]:
    """Return the routes that answer this browser otherwise than with a refusal for its role; those in `besides` are not asked."""
    return {route for route in routes if route[1] not in besides and not is_refused(client, *route)}


def is_refused(client: TestClient, method: str, path: str) -> bool:
    body = {} if method in ("GET", "HEAD") else {"json": {}}
    answer = client.request(method, re.sub(r"{\w+(:path)?}", "x", path), headers=OWN_POST, **body)
    if answer.status_code == 401 or method == "HEAD":
        return answer.status_code in (401, 403)
    return answer.status_code == 403 and ("is not for you" in answer.text or "This is for" in answer.text)


@pytest.mark.parametrize("role", [None, "annotator", "adjudicator"])
def test_a_route_that_is_not_named_for_a_role_refuses_it(app: FastAPI, visit: Visit, role: str | None) -> None:
    routes = set(routes_of(app.routes))
    assert {("POST", "/api/desk/operations"), ("POST", "/gradio_api/upload"), ("GET", "/people"), ("GET", "/eyewitness/{path}")} <= routes
    assert not open_routes(visit(role), routes, MAY[role])
    assert {path for _, path in routes} >= FOR_ALL | FOR_ANNOTATORS | FOR_ADJUDICATORS, "a list names what is no more"


def test_a_new_route_that_nobody_guards_is_found(data: Path, seeded: Seeded) -> None:
    app = make_server_app(Settings(data))
    for path in ("/api/answers", "/assets/answers", "/elsewhere/answers"):
        app.add_api_route(path, lambda: {"answers": "all"})
        app.router.routes.insert(0, app.router.routes.pop())
    routes = set(routes_of(app.routes))
    found = {role: {path for _, path in open_routes(browser(app, role), routes, MAY[role])} for role in (None, "annotator")}
    assert found == {None: {"/assets/answers"}, "annotator": {"/api/answers", "/assets/answers"}}, "what has no place of its own is for admins"
    assert browser(app, "admin").get("/elsewhere/answers").json() == {"answers": "all"}


def test_the_guard_of_each_route_holds_without_the_gate(app: FastAPI, data: Path) -> None:
    bare = make_server_app(Settings(data))
    bare.user_middleware = [one for one in bare.user_middleware if one.cls.__name__ != "Gate"]  # type: ignore[attr-defined]
    own = {route for route in routes_of(bare.routes) if route[1].startswith(("/api/", "/media/", "/download/"))}
    assert len(own) > 15
    assert not open_routes(browser(bare, None), own, set())
    assert not open_routes(browser(bare, "annotator"), own, FOR_ANNOTATORS)


def test_no_foreign_page_can_post_anywhere(app: FastAPI, visit: Visit) -> None:
    client, posts = visit("admin"), [path for method, path in routes_of(app.routes) if method not in ("GET", "HEAD")]
    assert len(posts) > 20
    for path in posts:
        asked = re.sub(r"{\w+(:path)?}", "x", path)
        for origin in ("https://example.org", "http://testserver:8080", "null"):
            answer = client.post(asked, headers={"origin": origin}, json={})
            assert answer.status_code == 403, path
            assert "not from Eyewitness itself" in answer.text
    assert client.get("/api/me").status_code == 200, "nobody was signed out"


# Gradio's handlers


def handlers_of(app: FastAPI) -> dict[int, Any]:
    """Return the events of all pages that run Python, by the number with which a browser calls them."""
    blocks = next(route.app.get_blocks() for route in app.routes if isinstance(route, Mount) and isinstance(route.app, gr.routes.App))
    return {number: event for number, event in blocks.fns.items() if event.fn is not None}


def call(client: TestClient, number: int, event: Any) -> str:
    """Return what the server streams when a browser calls a handler with nothing filled in."""
    body = {"data": [None] * len(event.inputs), "fn_index": number, "session_hash": f"s{number}"}
    assert client.post("/gradio_api/queue/join", json=body).status_code == 200
    return client.get("/gradio_api/queue/data", params={"session_hash": f"s{number}"}).text


@pytest.mark.parametrize("role", ["annotator", "adjudicator"])
def test_no_handler_of_a_page_serves_whoever_may_not_open_it(data: Path, role: str) -> None:
    # An app of its own: its queue belongs to the event loop that it is first asked in.
    app = make_server_app(Settings(data))
    least = {page.path.strip("/"): page.least for page in PAGES}
    with browser(app, role) as client:
        asked = {number: event for number, event in handlers_of(app).items() if ROLES.index(least[event.page]) > ROLES.index(role)}
        assert len(asked) > 10
        for number, event in asked.items():
            told = call(client, number, event)
            assert "This is for" in told, (event.page, event.name, told[:500])
            assert '"success":true' not in told


def test_an_admin_gets_through_to_the_same_handlers(data: Path) -> None:
    app = make_server_app(Settings(data))
    shown = next((number, event) for number, event in handlers_of(app).items() if event.name == "show_people")
    with browser(app, "admin") as client:
        told = call(client, *shown)
    assert '"success":true' in told
    assert "lea" in told


# What an annotator sees


def test_an_annotators_responses_tell_nothing_of_others_and_of_who_wrote_the_texts(app: FastAPI, visit: Visit, data: Path, seeded: Seeded) -> None:
    with open_store(data) as db:
        others = [row["id"] for table in ("assignment", "annotation", "operation", "flag") for row in db.query(f"SELECT id FROM {table}")]
        db.execute("UPDATE flag SET comment = 'what bo thinks of it'")
    ids = [*others, seeded.rationale.id, seeded.rival.id, seeded.qa.id, seeded.clip.id, WRITER.id]
    secret = ["bo-the-other", "what bo thinks of it", WRITER.name, OTHER_WRITER.name]
    client, told = visit("annotator"), []
    for method, path in routes_of(app.routes):
        if method == "GET" and path in FOR_ANNOTATORS and not path.startswith("/gradio_api/"):
            told += [client.get(re.sub(r"{\w+}", one, path)).text for one in ids]
    assert "runs" in " ".join(told), "the control: items were shown"
    assert not [word for word in secret if word in " ".join(told)]
    with open_store(data) as db:
        assert "what bo thinks of it" in str(list(db.query("SELECT * FROM flag"))), "the control: there is something to tell"


def test_only_media_that_were_imported_go_out_and_only_by_digest(visit: Visit, data: Path, seeded: Seeded) -> None:
    client, digest = visit("annotator"), seeded.clip.digest or ""
    assert client.get(f"/media/{digest}").content == b"a film"
    (data / "media" / "aa").mkdir()
    stray = "aa" + "0" * 62
    (data / "media" / "aa" / stray).write_bytes(b"not imported")
    with open_store(data) as db:
        assert get_media(db, stray) is None
    for name in (
        stray,
        "eyewitness.db",
        "..%2Feyewitness.db",
        "%2e%2e%2fsession.key",
        f"..%2f{digest[:2]}%2f{digest}",
        f"{digest}%00",
        digest.upper(),
        "film.mp4",
    ):
        assert client.get(f"/media/{name}").status_code == 404, name
    for path in (data / "eyewitness.db", data / "session.key", data / "media" / digest[:2] / digest, "assets/demo/planted.json"):
        for folder in ("/gradio_api/file=", "/gradio_api/file/", "/file="):
            assert visit("admin").get(f"{folder}{path}").status_code in (403, 404), "not even for an admin"
            assert client.get(f"{folder}{path}").status_code == 403


def test_no_asset_tells_the_answers(visit: Visit) -> None:
    client = visit(None)
    for inside in (
        "demo/planted.json",
        "demo/demo.jsonl",
        "prompts/rationale.md",
        "desk/../demo/planted.json",
        "desk/..%2fdemo%2fplanted.json",
        "demo%2fplanted.json",
    ):
        assert client.get(f"/eyewitness/{inside}").status_code in (403, 404, 401), inside
    for needed in ("desk.js", "desk/player.js", "nav.js", "login.css", "taxonomy.json"):
        assert client.get(f"/eyewitness/{needed}").status_code == 200, needed
