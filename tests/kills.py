"""A server of the desk's routes that is killed while annotators write, and annotators that keep what they did until it is acknowledged.

As a program it is the fork server: it imports what a server needs once, has no threads, and forks a server whenever it is told to.
"""

import contextlib
import hashlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from store.database import check, open_store, transaction
from store.media_files import media_path
from store.replaying import check_replay
from tests.seeds import seed_project

ROOT = Path(__file__).resolve().parents[1]
WORK: dict[str, Any] = {"verdict": None, "no_error": False, "omission": None, "factual_consistency": None, "logical_coherence": None, "edited_text": None}
WORK |= {"note": "", "skip_reason": None, "seconds_spent": 1.5, "watched_share": 0.5, "flags": [], "ticks": []}


@dataclass
class Annotator:
    """Writes drafts and submissions over a real socket, item after item. With an outbox an act goes out, with the same id, until it is answered."""

    name: str
    address: str
    outbox: bool
    stop: threading.Event
    wrote: threading.Event
    made: list[str] = field(default_factory=list)  # ids of all acts
    acknowledged: dict[str, int] = field(default_factory=dict)  # sequence by id
    think_s: float = 0.0  # before each act, on average
    took_ms: list[float] = field(default_factory=list)  # from act to answer

    def __post_init__(self) -> None:
        self.moments = random.Random(self.name)
        self.client = httpx.Client(base_url=self.address, timeout=20, headers={"x-annotator": self.name})

    def work(self) -> None:
        """Annotate until told to stop or nothing waits."""
        with self.client:
            self.ask("POST", "/login", data={"name": self.name})
            item = self.ask("GET", "/api/desk/item").json()["next"]
            while item and not self.stop.is_set():
                item = self.annotate(item)

    def annotate(self, item: dict[str, Any]) -> dict[str, Any] | None:
        """Write three drafts on an item and submit it; return the next one."""
        sequence = item["sequence"]
        drafts = [("draft", WORK | {"note": f"thought {number}"}) for number in range(3)]
        for kind, work in [*drafts, ("submit", WORK | {"verdict": "accept", "no_error": True})]:
            body = {"id": f"{self.name}-{len(self.made):08}", "kind": kind, "assignment_id": item["assignment_id"], "base_sequence": sequence}
            body |= {"client_at": None, "text_sha256": item["text_sha256"], "state": work}
            self.stop.wait(self.moments.uniform(0, 2 * self.think_s))
            self.made.append(body["id"])
            begun = time.monotonic()
            answer = self.send(body)
            if answer is None:
                break
            sequence = self.acknowledged[body["id"]] = answer["sequence"]
            self.took_ms.append((time.monotonic() - begun) * 1000)
            self.wrote.set()
            if kind == "submit":
                return answer["next"]
        found: dict[str, Any] | None = self.ask("GET", "/api/desk/item").json()["next"]
        return found

    def send(self, body: dict[str, Any]) -> dict[str, Any] | None:
        """Return the server's answer, or None when it died and there is no outbox."""
        try:
            answer = (self.ask if self.outbox else self.client.request)("POST", "/api/desk/operations", json=body)
        except httpx.TransportError:
            return None
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Return the answer, however often the server dies meanwhile; what connects while none is there waits for the next one."""
        for _ in range(1000):
            with contextlib.suppress(httpx.TransportError):
                return self.client.request(method, path, **more)
        raise ConnectionError(f"nobody answers at {self.address}")


@dataclass(frozen=True)
class Outcome:
    """What `kills` deaths of the server left behind."""

    kills: int
    made: int
    acknowledged: int
    lost: int  # acts that the log does not have
    acknowledged_lost: int  # of those that were acknowledged
    foreign: int  # lines of the log that nobody made: a duplicate would be one
    problems: tuple[str, ...]  # of the database, and of the replayed log


def fill(data: Path, clips: int, annotators: int) -> None:
    """Make a project of three texts a clip that each annotator is to judge, with media that are really there."""
    with open_store(data) as db, transaction(db):
        for number in range(clips):
            content = f"clip {number}".encode()
            digest = hashlib.sha256(content).hexdigest()
            media_path(data, digest).parent.mkdir(parents=True, exist_ok=True)
            media_path(data, digest).write_bytes(content)
            seed_project(db, f"clip {number}", wanted=annotators, digest=digest)


def endure(data: Path, kills: int, annotators: int = 6, outbox: bool = True, seed: int = 0) -> Outcome:
    """Kill the server `kills` times while annotators write; return what became of their acts. About 0.2 s a kill."""
    moments, stop, wrote = random.Random(seed), threading.Event(), threading.Event()
    with forking(data) as (address, tell):
        people = [Annotator(f"annotator-{number}", address, outbox, stop, wrote) for number in range(annotators)]
        threads = [threading.Thread(target=person.work, daemon=True) for person in people]
        tell("start")
        for thread in threads:
            thread.start()
        for _ in range(kills):
            for _ in range(moments.randint(1, 6)):
                wrote.clear()
                assert wrote.wait(30), "nobody can write"
            stop.wait(moments.uniform(0, 0.01))
            tell("kill")
            tell("start")
        stop.set()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive(), "an annotator waits for ever"
        tell("kill")
    return judge(data, kills, people)


def saves(data: Path, annotators: int, think_s: float, seconds: float) -> list[float]:
    """Return how long each act took in ms, over a real socket, when annotators think between acts and nobody kills the server."""
    stop = threading.Event()
    with forking(data) as (address, tell):
        tell("start")
        people = [Annotator(f"annotator-{number}", address, True, stop, threading.Event(), think_s=think_s) for number in range(annotators)]
        threads = [threading.Thread(target=person.work, daemon=True) for person in people]
        for thread in threads:
            thread.start()
        stop.wait(seconds)
        stop.set()
        for thread in threads:
            thread.join(60)
        tell("kill")
    return [took for person in people for took in person.took_ms]


def judge(data: Path, kills: int, people: list[Annotator]) -> Outcome:
    """Return how what the annotators know compares with what is kept."""
    with open_store(data) as db:
        kept = {row["id"]: row["sequence"] for row in db.query("SELECT id, sequence FROM operation")}
        differences = check_replay(db).differences
    made = {one for person in people for one in person.made}
    acknowledged = {one: sequence for person in people for one, sequence in person.acknowledged.items()}
    wrong = sum(kept.get(one) != sequence for one, sequence in acknowledged.items())
    return Outcome(kills, len(made), len(acknowledged), len(made - kept.keys()), wrong, len(kept.keys() - made), (*check(data), *differences))


@contextmanager
def forking(data: Path) -> Iterator[tuple[str, Any]]:
    """Yield the address of the server, and a function that tells the fork server to "start" one or to "kill" it and returns when that is done."""
    command = [sys.executable, "-m", "tests.kills", str(data)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None and process.stdout is not None
    given, answers = process.stdin, process.stdout

    def tell(word: str) -> None:
        given.write(word + "\n")
        given.flush()
        assert answers.readline().strip() == word, "the fork server died"

    try:
        yield answers.readline().strip(), tell
    finally:
        given.close()
        process.wait(30)


def serve_forks(data: Path) -> None:
    """Listen once, and fork and kill servers as standard input says. What connects while none is there waits for the next one."""
    server = desk_server(data)
    assert threading.active_count() == 1 and "av" not in sys.modules, "a fork would copy a lock that nobody opens"
    # TCP by name: of a socket without a protocol asyncio does not know that small answers should leave at once, and each takes 40 ms more.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(128)
        tell_parent(f"http://127.0.0.1:{listening.getsockname()[1]}")
        child = None
        for line in sys.stdin:
            if line.strip() == "start":
                child = os.fork()
                if child == 0:
                    server.run(sockets=[listening])
                    os._exit(1)
            elif child:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                child = None
            tell_parent(line.strip())
        if child:
            os.kill(child, signal.SIGKILL)


def desk_server(data: Path) -> Any:
    """Return a server of the desk's routes and the sign-in, as the app has them; no page. All that it imports is imported here, once."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    import uvicorn
    from fastapi import FastAPI
    from starlette.middleware.sessions import SessionMiddleware

    from curation.ui.access import make_access
    from curation.ui.desk_routes import build_desk_router
    from curation.ui.session_routes import build_session_router

    access, app = make_access(data), FastAPI()
    app.include_router(build_session_router(access))
    app.include_router(build_desk_router(access))
    app.add_middleware(SessionMiddleware, secret_key="secret")
    config = uvicorn.Config(app, log_level="critical", lifespan="off")
    config.load()
    return uvicorn.Server(config)


def tell_parent(words: str) -> None:
    sys.stdout.write(words + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    serve_forks(Path(sys.argv[1]))
