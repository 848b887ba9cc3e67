"""A real HTTP server that speaks the chat completions of OpenAI and the generateContent of Gemini, with files, and can be told to misbehave.

    with ModelServer(script=[too_many("0"), answer()]) as server:      in a thread, for a test; the acts are in tests/model_acts.py
        writer = ... server.address
    python -m tests.model_server --delay-ms 200 --port 0               in a process of its own: prints its address; GET /counts tells what it counted

A script says what is done with each question: a function of it, a list by its number (then answers), or a mapping from words found in it to acts.
"""

import argparse
import asyncio
import json
import re
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from tests.model_acts import Act, Question, answer, refuse, reply

Script = Callable[[Question], Act] | Sequence[Act] | Mapping[str, Act]
KEPT_REQUESTS = 5000


@dataclass(frozen=True)
class Request:
    """One request as it came, without a key. `body` is read JSON, or of an uploaded file its bytes."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


@dataclass
class File:
    """A file that was uploaded. It is ACTIVE when it was asked for so many times."""

    name: str
    kind: str
    size_bytes: int
    sha256: str
    asks_left: int
    expires_at: datetime
    state: str = "PROCESSING"


class ModelServer:
    """The server: what it is to do, and what it counted. Made in one thread, served in another; its counts are read when nothing is asked."""

    def __init__(
        self, script: Script = (), delay_s: float = 0.0, key: str | None = None, models: tuple[str, ...] = (), port: int = 0, processing_asks: int = 1
    ) -> None:
        self.key, self.models, self.delay_s, self.port = key, models, delay_s, port
        self.processing_asks, self.file_state, self.file_lives_s = processing_asks, "ACTIVE", 48 * 3600.0
        self.play(script)

    def play(self, script: Script = ()) -> None:
        """Do this from now on, and forget what was counted."""
        self.script = script
        self.requests: deque[Request] = deque(maxlen=KEPT_REQUESTS)
        self.questions: deque[Question] = deque(maxlen=KEPT_REQUESTS)
        self.asked: Counter[str] = Counter()  # by the sha of the question
        self.delivered: Counter[str] = Counter()  # answers (and blocks) that a client was still there to take, and that a provider bills
        self.statuses: Counter[int] = Counter()
        self.tokens_in = self.tokens_out = self.in_flight = self.most_in_flight = self.numbered = self.connections = 0
        self.files: dict[str, File] = {}
        self.uploads: dict[str, Mapping[str, str]] = {}

    @property
    def address(self) -> str:
        """Base URL, without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    # Running

    def __enter__(self) -> Self:
        """Serve in a thread until the block ends."""
        listening = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self.serve(lambda _: listening.set())), daemon=True)
        self._thread.start()
        assert listening.wait(10), "the model server did not start"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop serving; what is in flight is cut off."""
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(10)

    async def serve(self, listening: Callable[[str], object]) -> None:
        """Serve until `_ended` is set; `listening` is told the address."""
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._converse, "127.0.0.1", self.port, backlog=1024)
        self.port = server.sockets[0].getsockname()[1]
        listening(self.address)
        await self._ended.wait()
        server.close()

    # HTTP

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client is gone
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; False when the connection is to be closed."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        key = headers.pop("x-goog-api-key", None) or headers.pop("authorization", "").removeprefix("Bearer ") or None
        request = Request(method, path, headers, json.loads(body) if body and not path.startswith("/upload/") else body)
        if path == "/counts":
            return await _send(writer, 200, {}, json.dumps(self.counts()).encode())
        self.requests.append(request)
        protocol = "gemini" if "v1beta" in path else "openai"
        if self.key and key != self.key:
            return await self._say(writer, *reply(_wrong_key(protocol, key), Question(protocol, 0, "", "", None, 0, {}))[:3])
        question = self._question(protocol, request)
        if question is None:
            return await self._say(writer, *self._other(request))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await self._answer(question, reader, writer)
        finally:
            self.in_flight -= 1

    async def _answer(self, question: Question, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        self.asked[question.sha] += 1
        act = self._act(question)
        await asyncio.sleep(self.delay_s + act.seconds)
        status, headers, body, tokens = reply(act, question)
        if act.name == "cut":
            writer.write(f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body[: len(body) // 2])
            return False
        if reader.at_eof():
            return False  # nobody is there to take it
        if status == 200:
            self.delivered[question.sha] += 1
            self.tokens_in, self.tokens_out = self.tokens_in + tokens[0], self.tokens_out + tokens[1]
        return await self._say(writer, status, headers, body)

    async def _say(self, writer: asyncio.StreamWriter, status: int, headers: Mapping[str, str], body: bytes) -> bool:
        self.statuses[status] += 1
        return await _send(writer, status, headers, body)

    # What is said

    def counts(self) -> dict[str, Any]:
        """Return what was counted: what GET /counts tells."""
        names = ("asked", "delivered", "statuses", "most_in_flight", "tokens_in", "tokens_out", "connections")
        return {"requests": self.numbered, **{name: getattr(self, name) for name in names}}

    def _question(self, protocol: str, request: Request) -> Question | None:
        """Return what a request asks the model, or None when it asks something else."""
        if request.method != "POST" or not request.path.endswith(("/chat/completions", ":generateContent")):
            return None
        body: dict[str, Any] = request.body if protocol == "openai" else _camel(request.body)
        if protocol == "openai":
            contents = [message["content"] for message in body["messages"]]
            parts = [part for one in contents for part in ([{"text": one}] if isinstance(one, str) else one)]
            model, seed = body["model"], body.get("seed")
        else:
            parts = [part for content in body["contents"] for part in content["parts"]]
            model, seed = request.path.rpartition("/")[2].partition(":")[0], body.get("generationConfig", {}).get("seed")
        pictures = sum("image_url" in part or "inlineData" in part for part in parts)
        question = Question(protocol, self.numbered, model, "\n".join(part["text"] for part in parts if "text" in part), seed, pictures, body)
        self.numbered += 1
        self.questions.append(question)
        return question

    def _act(self, question: Question) -> Act:
        if self.models and question.model not in self.models:
            return refuse(404, f"The model {question.model} does not exist.", "model")
        lost = [uri for uri in _uris(question.body) if self.files.get(uri.rpartition("/")[2], _NO_FILE).state != "ACTIVE"]
        if lost:
            return refuse(400, f"The file {lost[0]} is not in an ACTIVE state and usage is not allowed.")
        if callable(self.script):
            return self.script(question)
        if isinstance(self.script, Mapping):
            return next((act for words, act in self.script.items() if words in question.words), answer())
        return self.script[question.number] if question.number < len(self.script) else answer()

    def _other(self, request: Request) -> tuple[int, Mapping[str, str], bytes]:
        """Return what is said to a request that asks the model nothing: which models there are, and files."""
        path = urlsplit(request.path).path
        if path == "/v1/models":
            return _ok({"object": "list", "data": [{"id": model, "object": "model"} for model in self.models]})
        if path.startswith("/upload/"):
            return self._upload(request)
        file = self.files.get(path.rpartition("/")[2]) if path.startswith("/v1beta/files/") else None
        if file is None:
            return 404, {}, json.dumps({"error": {"code": 404, "message": f"There is no {path}.", "status": "NOT_FOUND"}}).encode()
        if request.method == "DELETE":
            del self.files[file.name]
            return _ok({})
        file.asks_left -= 1
        file.state = self.file_state if file.asks_left <= 0 else file.state
        return _ok(self._told(file))

    def _upload(self, request: Request) -> tuple[int, Mapping[str, str], bytes]:
        """Begin an upload, or take its bytes: the resumable way, in one piece."""
        if request.headers["x-goog-upload-command"] == "start":
            name = f"f{len(self.uploads)}"
            self.uploads[name] = request.headers
            return 200, {"x-goog-upload-url": f"{self.address}/upload/v1beta/files?upload_id={name}", "x-goog-upload-status": "active"}, b"{}"
        name, data = request.path.rpartition("=")[2], bytes(request.body)
        kind = self.uploads[name]["x-goog-upload-header-content-type"]
        expires_at = datetime.now(UTC) + timedelta(seconds=self.file_lives_s)
        self.files[name] = File(name, kind, len(data), sha256(data).hexdigest(), self.processing_asks, expires_at)
        if not self.processing_asks:
            self.files[name].state = self.file_state
        return 200, {"x-goog-upload-status": "final"}, json.dumps({"file": self._told(self.files[name])}).encode()

    def _told(self, file: File) -> dict[str, Any]:
        return {
            "name": f"files/{file.name}",
            "uri": f"{self.address}/v1beta/files/{file.name}",
            "mimeType": file.kind,
            "sizeBytes": str(file.size_bytes),
            "expirationTime": file.expires_at.isoformat().replace("+00:00", "Z"),
            "state": file.state,
        }


_NO_FILE = File("", "", 0, "", 0, datetime.min)


def _camel(value: Any) -> Any:
    """Return JSON with the names that Gemini documents; it takes start_offset for startOffset, and its own package sends both."""
    if isinstance(value, list):
        return [_camel(one) for one in value]
    return {re.sub(r"_(\w)", lambda found: found[1].upper(), name): _camel(one) for name, one in value.items()} if isinstance(value, dict) else value


def _uris(body: Mapping[str, Any]) -> list[str]:
    return [part["fileData"]["fileUri"] for content in body.get("contents", ()) for part in content["parts"] if "fileData" in part]


def _wrong_key(protocol: str, key: str | None) -> Act:
    """Say what the providers say, with the key in it, as some do."""
    if protocol == "openai":
        return refuse(401, f"Incorrect API key provided: {key}.")
    return refuse(400, f"API key not valid: {key}.", "API_KEY_INVALID") if key else refuse(403, "Method doesn't allow unregistered callers.")


def _ok(value: Mapping[str, Any]) -> tuple[int, Mapping[str, str], bytes]:
    return 200, {}, json.dumps(value).encode()


async def _send(writer: asyncio.StreamWriter, status: int, headers: Mapping[str, str], body: bytes) -> bool:
    lines = {"content-type": "application/json", **headers, "content-length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    writer.write(f"HTTP/1.1 {status} Told\r\n{head}\r\n".encode() + body)
    await writer.drain()
    return True


def main() -> None:
    """Serve until the process is ended."""
    options = argparse.ArgumentParser(description="Serve the protocols of OpenAI and Gemini on this machine.")
    options.add_argument("--port", type=int, default=0)
    options.add_argument("--delay-ms", type=float, default=0.0)
    options.add_argument("--key")
    given = options.parse_args()
    server = ModelServer(delay_s=given.delay_ms / 1000, key=given.key, port=given.port)
    try:
        asyncio.run(server.serve(lambda address: (sys.stdout.write(f"{address}\n"), sys.stdout.flush())))
    except KeyboardInterrupt:
        sys.stdout.write("\n")


if __name__ == "__main__":
    main()
