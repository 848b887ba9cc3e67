"""The desk's routes and the media route, as a browser meets them."""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.middleware.sessions import SessionMiddleware

from curation.ui.access import make_access
from curation.ui.desk_routes import build_desk_router
from curation.ui.media_routes import build_media_router
from curation.ui.session_routes import build_session_router
from store.clips import set_proxy
from store.database import open_store
from store.media_files import media_path
from tests.curation.test_desk import ACCEPTED, EMPTY, flag, item_id, operation
from tests.seeds import OTHER_WRITER, WRITER, Seeded, seed_project

FILM = bytes(range(256)) * 40
DIGEST = hashlib.sha256(FILM).hexdigest()
Visit = Callable[[str], TestClient]


@pytest.fixture
def seeded(tmp_path: Path) -> Seeded:
    media_path(tmp_path, DIGEST).parent.mkdir(parents=True)
    media_path(tmp_path, DIGEST).write_bytes(FILM)
    with open_store(tmp_path) as db:
        return seed_project(db, digest=DIGEST)


@pytest.fixture
def visit(tmp_path: Path, seeded: Seeded) -> Iterator[Visit]:
    """Return a function: name -> a browser in which that person is signed in; an empty name is nobody."""
    access = make_access(tmp_path)
    api = FastAPI()
    for router in (build_session_router(access), build_desk_router(access), build_media_router(access)):
        api.include_router(router)
    api.add_middleware(SessionMiddleware, secret_key="secret")

    def signed_in(name: str) -> TestClient:
        client = TestClient(api, headers={"x-annotator": name})
        if name:
            client.post("/login", data={"name": name})
        return client

    yield signed_in
    access.writer.close()


def send(client: TestClient, *given: Any, **more: Any) -> Any:
    return client.post("/api/desk/operations", json=operation(client.headers["x-annotator"], *given, **more))


def test_an_item_comes_with_the_one_after_it_and_both_are_leased(visit: Visit, seeded: Seeded, tmp_path: Path) -> None:
    ann = visit("ann")
    first = ann.get("/api/desk/item").json()
    order = [item_id(text, "ann") for text in (seeded.narrative, seeded.rationale, seeded.rival)]
    assert [first["next"]["assignment_id"], first["upcoming"]["assignment_id"]] == order[:2]
    assert (first["upcoming"]["text"], first["upcoming"]["media_digest"]) == (seeded.rationale.text, DIGEST)
    assert leased(tmp_path) == order[:2]
    answer = send(ann, seeded.narrative, "submit", ACCEPTED).json()
    assert [answer["sequence"], answer["next"]["assignment_id"], answer["upcoming"]["assignment_id"]] == [1, *order[1:]]
    assert (answer["next"]["done"], answer["next"]["open"]) == (1, 2)
    assert leased(tmp_path) == order[1:]
    last = send(ann, seeded.rationale, "submit", ACCEPTED).json()
    assert (last["next"]["assignment_id"], last["upcoming"]) == (order[2], None)


def leased(data: Path) -> list[str]:
    with open_store(data) as db:
        return [row["id"] for row in db.query("SELECT id FROM assignment WHERE state = 'leased' ORDER BY leased_at, rowid")]


def test_a_submission_whose_answer_was_lost_is_answered_again_in_the_same_way(visit: Visit, seeded: Seeded) -> None:
    ann = visit("ann")
    ann.get("/api/desk/item")
    first, again = (send(ann, seeded.narrative, "submit", ACCEPTED, name="the-same-id").json() for _ in range(2))
    assert first == again


def test_when_nothing_waits_the_answer_says_what_was_done(visit: Visit, seeded: Seeded) -> None:
    ann = visit("ann")
    for text, kind in ((seeded.narrative, "submit"), (seeded.rationale, "submit"), (seeded.rival, "skip")):
        ann.get("/api/desk/item")
        answer = send(ann, text, kind, ACCEPTED).json()
    assert (answer["next"], answer["upcoming"]) == (None, None)
    assert answer["finished"] == {"done": 3, "open": 0, "verdicts": {"accept": 2, "skip": 1}}
    assert [item["verdict"] for item in ann.get("/api/desk/recent").json()["items"]] == ["skip", "accept", "accept"]


def test_an_item_can_be_left_for_another(visit: Visit, seeded: Seeded) -> None:
    first, second = item_id(seeded.narrative, "ann"), item_id(seeded.rationale, "ann")
    assert visit("ann").get("/api/desk/item", params={"besides": first}).json()["next"]["assignment_id"] == second


def test_a_finished_item_is_opened_by_its_id_and_reopened_by_an_operation(visit: Visit, seeded: Seeded) -> None:
    ann = visit("ann")
    ann.get("/api/desk/item")
    send(ann, seeded.narrative, "submit", ACCEPTED)
    shown = ann.get(f"/api/desk/item/{item_id(seeded.narrative, 'ann')}").json()["next"]
    assert (shown["state"], shown["work"]["verdict"]) == ("final", "accept")
    answer = send(ann, seeded.narrative, "reopen", None, base=shown["sequence"]).json()
    assert (answer["sequence"], answer["item"]["state"], answer["item"]["sequence"]) == (2, "leased", 2)
    assert "next" not in answer, "the page knows what comes next: it is leased already"


def test_an_answer_given_blind_brings_the_text_and_only_then(visit: Visit, seeded: Seeded, tmp_path: Path) -> None:
    with open_store(tmp_path) as db:
        db.execute("UPDATE batch SET blind_first = 1")
    ann = visit("ann")
    ann.get("/api/desk/item")
    asked = ann.get(f"/api/desk/item/{item_id(seeded.rationale, 'ann')}")
    assert (asked.json()["next"]["asks_first"], seeded.rationale.text in asked.text) == (True, False)
    body = operation("ann", seeded.rationale, "answer", {"answer": None, "answer_index": 1, "seconds_spent": 2.0}) | {"text_sha256": None}
    answer = ann.post("/api/desk/operations", json=body).json()
    assert (answer["item"]["text"], answer["item"]["blind_answer"]) == (seeded.rationale.text, {"answer": None, "answer_index": 1})


def test_a_heartbeat_holds_what_is_the_annotators_own_and_leaves_no_line_in_the_log(visit: Visit, seeded: Seeded, tmp_path: Path) -> None:
    ann, ben = visit("ann"), visit("ben")
    ann.get("/api/desk/item"), ben.get("/api/desk/item")
    own, other = item_id(seeded.narrative, "ann"), item_id(seeded.narrative, "ben")
    with open_store(tmp_path) as db:
        db.execute("UPDATE assignment SET expires_at = '2100'")
    assert ann.post("/api/desk/heartbeat", json={"assignment_ids": [own, other, "nowhere"]}).json() == {"held": [own]}
    with open_store(tmp_path) as db:
        assert {row["id"] for row in db.query("SELECT id FROM assignment WHERE expires_at < '2100'")} == {own}
        assert not list(db.query("SELECT * FROM operation"))
    elsewhere = ann.post("/api/desk/heartbeat", json={"assignment_ids": [own]}, headers={"origin": "https://elsewhere.example"})
    assert elsewhere.status_code == 403
    for odd in (["\ud83d" * 8], [7], "all", [own] * 9):
        body = json.dumps({"assignment_ids": odd})
        answer = ann.post("/api/desk/heartbeat", content=body, headers={"content-type": "application/json"})
        assert (answer.status_code, "Reload the page" in answer.json()["error"]) == (400, True)


SECRETS = {"note": "ann notes a secret", "comment": "ann comments a secret", "edited_text": "ann edits a secret"}


def test_no_answer_to_one_annotator_holds_what_another_said_or_who_wrote_the_text(visit: Visit, seeded: Seeded, tmp_path: Path) -> None:
    ann, ben = visit("zoe-the-first"), visit("ben")
    ann.get("/api/desk/item")
    work = EMPTY | {
        "verdict": "reject",
        "note": SECRETS["note"],
        "edited_text": SECRETS["edited_text"],
        "flags": [flag(seeded.narrative.text, comment=SECRETS["comment"])],
    }
    send(ann, seeded.narrative, "submit", work)
    own = ann.get(f"/api/desk/item/{item_id(seeded.narrative, 'zoe-the-first')}").text
    assert all(secret in own for secret in SECRETS.values()), "the control: the words are kept, and found where they belong"
    with open_store(tmp_path) as db:
        edit = next(db.query("SELECT id FROM candidate WHERE parent_id IS NOT NULL"))["id"]
    answers = [ben.get("/api/desk/item"), send(ben, seeded.narrative, "draft"), send(ben, seeded.narrative, "draft")]
    answers += [
        send(ben, seeded.narrative, "submit", ACCEPTED, base=2),
        ben.get("/api/desk/recent"),
        ben.get("/api/desk/item"),
        ben.get(f"/api/desk/item/{edit}"),
        ben.post("/api/desk/heartbeat", json={"assignment_ids": [edit]}),
    ]
    told = "".join(answer.text for answer in answers)
    candidates = [text.id for text in (seeded.narrative, seeded.rationale, seeded.rival)]
    hidden = [
        *SECRETS.values(),
        "zoe-the-first",
        edit,
        *candidates,
        "batch",
        "round",
        "default",
        "gold",
        WRITER.name,
        WRITER.id,
        OTHER_WRITER.name,
        OTHER_WRITER.id,
        "generator",
        "parent",
    ]
    assert seeded.narrative.text in told, "the control: what may be seen is seen"
    assert [word for word in hidden if word in told] == []


def test_nobody_gets_anything_before_signing_in(visit: Visit, seeded: Seeded) -> None:
    nobody = visit("")
    for answer in (nobody.get("/api/desk/item"), nobody.get("/api/desk/recent"), nobody.get(f"/media/{DIGEST}"), send(nobody, seeded.narrative)):
        assert answer.status_code == 401
    assert nobody.get("/api/desk/item").json() == {"error": "Sign in first."}


def test_an_item_of_another_annotator_is_not_there(visit: Visit, seeded: Seeded) -> None:
    visit("ann").get("/api/desk/item")
    ben = visit("ben")
    there, nowhere = (ben.get(f"/api/desk/item/{name}") for name in (item_id(seeded.narrative, "ann"), "nowhere"))
    assert (there.status_code, there.json()) == (nowhere.status_code, nowhere.json())
    assert there.status_code == 404
    assert send(ben, seeded.narrative).status_code == 404
    stolen = operation("ben", seeded.narrative) | {"assignment_id": item_id(seeded.narrative, "ann")}
    assert ben.post("/api/desk/operations", json=stolen).status_code == 404


def test_refusals_are_sentences_with_their_status(visit: Visit, seeded: Seeded) -> None:
    ann = visit("ann")
    ann.get("/api/desk/item")
    wrong = send(ann, seeded.narrative, "submit", EMPTY)
    assert (wrong.status_code, "no verdict yet" in wrong.json()["error"]) == (400, True)
    assert send(ann, seeded.narrative, "draft", EMPTY | {"note": "kept"}).status_code == 200
    stale = send(ann, seeded.narrative, "draft", EMPTY | {"note": "late"})
    assert stale.status_code == 409
    other = operation("ann", seeded.narrative, base=1) | {"text_sha256": "0" * 64}
    changed = ann.post("/api/desk/operations", json=other)
    assert (changed.status_code, "words on your page" in changed.json()["error"]) == (409, True)
    assert (stale.json()["current"]["work"]["note"], stale.json()["current"]["sequence"]) == ("kept", 1)


SOUND = {"id": "operation-1", "kind": "draft", "assignment_id": "assignment-1", "base_sequence": 0, "client_at": None, "text_sha256": None, "state": EMPTY}
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"id": "short"}, "8 to 64"),
    ({"kind": "undo"}, "is not known"),
    ({"kind": ["draft"]}, "is not known"),
    ({"assignment_id": 7}, "names its item"),
    ({"text_sha256": 7}, "names its item"),
    ({"base_sequence": -1}, "base_sequence has to be"),
    ({"base_sequence": True}, "base_sequence has to be"),
    ({"assignment_id": "\ud83d" * 8}, "names its item"),
    ({"client_at": "\ud83d"}, "names its item"),
    ({"extra": 1}, "exactly these fields"),
]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("", "Reload the page"),
        ("[]", "exactly these fields"),
        ("null", "exactly these fields"),
        ("{", "Reload the page"),
        ('{"id": 1}', "exactly these fields"),
        *((json.dumps(SOUND | changes), told) for changes, told in WRONG),
    ],
)
def test_a_body_that_is_no_operation_is_refused_with_a_sentence(visit: Visit, body: str, told: str) -> None:
    answer = visit("ann").post("/api/desk/operations", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert told in answer.json()["error"] and answer.json()["error"].endswith(".")


def test_not_a_number_is_refused_although_pythons_json_reads_it(visit: Visit, seeded: Seeded) -> None:
    ann = visit("ann")
    ann.get("/api/desk/item")
    body = json.dumps(operation("ann", seeded.narrative, work=EMPTY | {"seconds_spent": float("nan")}))
    answer = ann.post("/api/desk/operations", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, "time spent" in answer.json()["error"]) == (400, True)


def test_another_site_cannot_make_a_browser_write(visit: Visit, seeded: Seeded) -> None:
    ann = visit("ann")
    ann.get("/api/desk/item")
    body = json.dumps(operation("ann", seeded.narrative))
    form = {"content-type": "text/plain"}
    elsewhere = {"content-type": "application/json", "origin": "https://elsewhere.example"}
    assert ann.post("/api/desk/operations", content=body, headers=form).status_code in (400, 403)
    assert ann.post("/api/desk/operations", content=body, headers=elsewhere).status_code == 403
    here = {"content-type": "application/json", "origin": "http://testserver"}
    assert ann.post("/api/desk/operations", content=body, headers=here).status_code == 200


def test_a_page_left_open_by_one_person_does_not_write_under_the_name_of_the_next(visit: Visit, seeded: Seeded) -> None:
    client = visit("ann")
    client.get("/api/desk/item")
    client.post("/login", data={"name": "ben"})
    client.get("/api/desk/item")
    answer = send(client, seeded.narrative)
    assert (answer.status_code, "Sign in as ann" in answer.json()["error"]) == (401, True)


def test_a_disk_that_refuses_is_told_as_503(visit: Visit, tmp_path: Path) -> None:
    ann = visit("ann")
    (tmp_path / "eyewitness.db").write_bytes(b"this is no database" * 100)
    for name in ("eyewitness.db-wal", "eyewitness.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    for path in ("/api/desk/item", f"/media/{DIGEST}"):
        answer = ann.get(path)
        assert (answer.status_code, "Restore a backup" in answer.json()["error"]) == (503, True)


# --- media


def test_video_goes_out_whole_and_in_ranges_and_only_by_a_known_digest(visit: Visit, seeded: Seeded) -> None:
    ann = visit("ann")
    whole = ann.get(f"/media/{DIGEST}")
    assert (whole.status_code, whole.content, whole.headers["content-type"]) == (200, FILM, "video/mp4")
    assert whole.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert (whole.headers["etag"], whole.headers["x-content-type-options"]) == (f'"{DIGEST}"', "nosniff")
    for asked, expected in {"bytes=0-99": FILM[:100], "bytes=1000-": FILM[1000:], "bytes=-500": FILM[-500:]}.items():
        part = ann.get(f"/media/{DIGEST}", headers={"range": asked})
        assert (part.status_code, part.content) == (206, expected)
    assert ann.get(f"/media/{DIGEST}", headers={"range": f"bytes={len(FILM)}-"}).status_code == 416
    assert ann.get(f"/media/{DIGEST}", headers={"if-none-match": f'"{DIGEST}"'}).status_code == 304
    for unknown in ("0" * 64, "nonsense", "..%2f..%2feyewitness.db"):
        assert ann.get(f"/media/{unknown}").status_code == 404


def test_a_playable_copy_goes_out_by_its_own_digest(visit: Visit, seeded: Seeded, tmp_path: Path) -> None:
    copy = hashlib.sha256(b"copy").hexdigest()
    media_path(tmp_path, copy).parent.mkdir(parents=True, exist_ok=True)
    media_path(tmp_path, copy).write_bytes(b"copy")
    ann = visit("ann")
    assert ann.get(f"/media/{copy}").status_code == 404, "the control: a file alone is not enough"
    with open_store(tmp_path) as db:
        set_proxy(db, DIGEST, copy)
        db.execute("UPDATE media SET playable = 0, container = 'avi'")
    answer = ann.get(f"/media/{copy}")
    assert (answer.content, answer.headers["content-type"]) == (b"copy", "video/mp4")
    assert ann.get("/api/desk/item").json()["next"]["media_digest"] == copy
