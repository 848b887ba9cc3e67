"""The command line of the app, as a person meets it."""

import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

import app
from store.accounts import add_account
from store.database import open_store
from store.errors import RefusedError

ROOT = Path(__file__).resolve().parents[1]


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return what the command line says before it ends with 2: here, since a process of its own takes seconds to begin."""
    try:
        code = app.main([*arguments])
    except SystemExit as end:
        code = end.code
    assert code == 2
    return capsys.readouterr().err


@contextmanager
def served(data: Path, port: int, *more: str) -> Iterator[str]:
    """Run the app as a person would, wait for the line that says where it is, and yield the address."""
    command = [sys.executable, "app.py", "--data", str(data), "--port", str(port), "--no-demo", *more]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found, line
        yield found.group()
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0, "Ctrl+C ends the app in order"


def status(address: str) -> int:
    try:
        return int(urllib.request.urlopen(address).status)
    except urllib.error.HTTPError as error:
        return error.code


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_help_lists_the_options() -> None:
    told = subprocess.run([sys.executable, "app.py", "--help"], cwd=ROOT, capture_output=True, text=True, timeout=60).stdout
    for option in ("--data DIR", "--host", "--https-proxy ADDRESS", "--port", "--no-demo", "--open"):
        assert option in told


def test_the_app_serves_its_sign_in_page_and_a_second_app_on_the_same_data_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    with served(tmp_path, port) as address:
        asked = urllib.request.Request(address, headers={"Accept": "text/html"})
        assert b"Sign in" in urllib.request.urlopen(asked).read()
        assert status(f"{address}eyewitness/desk.js") == 200
        for inside in ("demo/planted.json", "demo/demo.jsonl", "prompts/rationale.md", "desk/../demo/planted.json"):
            assert status(f"{address}eyewitness/{inside}") == 404, "the answers stay inside"
        assert f"port {port}" in refused(capsys, "--data", str(tmp_path), "--port", str(free_port()))
        assert "--port" in refused(capsys, "--data", str(tmp_path / "other"), "--port", str(port))
    with served(tmp_path, port):
        pass  # the control: once the first has gone, the data can be served again


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "example.org"])
def test_an_open_door_without_accounts_is_refused_with_what_to_do(host: str, tmp_path: Path) -> None:
    settings = app.Settings(tmp_path, host=host)
    with pytest.raises(RefusedError, match="python -m store account NAME admin"):
        app.refuse_open_door(settings)
    with open_store(tmp_path) as db:
        add_account(db, "lea", "long enough", "admin")
    app.refuse_open_door(settings)


def test_a_proxy_in_front_is_an_open_door_too(tmp_path: Path) -> None:
    settings = app.Settings(tmp_path, https_proxy="127.0.0.1")
    with pytest.raises(RefusedError, match="would let everybody on the network in"):
        app.refuse_open_door(settings)
    with open_store(tmp_path) as db:
        add_account(db, "lea", "long enough", "admin")
    app.refuse_open_door(settings)


@pytest.mark.parametrize("proxy", [None, "127.0.0.1"])
def test_the_session_cookie_is_out_of_reach_for_scripts_and_other_sites_and_secure_behind_https(tmp_path: Path, proxy: str | None) -> None:
    with open_store(tmp_path) as db:
        add_account(db, "lea", "long enough", "admin")
    client = TestClient(app.make_server_app(app.Settings(tmp_path, https_proxy=proxy)), follow_redirects=False)
    cookie = client.post("/login", data={"name": "lea", "password": "long enough"}).headers["set-cookie"]
    assert cookie.startswith("eyewitness-7860=")
    assert "; httponly; samesite=lax" in cookie.lower()
    assert ("; secure" in cookie.lower()) is bool(proxy)
    client.cookies.clear()
    kept = cookie.split(";")[0]
    assert client.get("/api/me", headers={"cookie": kept}).status_code == 200
    assert client.get("/api/me", headers={"cookie": kept[:-4] + "AAAA"}).status_code == 401, "signed"


@pytest.mark.parametrize(("proxy", "believed"), [(None, "127.0.0.1"), ("127.0.0.1", "10.1.2.3")])
def test_only_the_named_proxy_is_believed_who_comes_through_it(tmp_path: Path, proxy: str | None, believed: str) -> None:
    with open_store(tmp_path) as db:
        add_account(db, "lea", "long enough", "admin")
    with served(tmp_path, free_port(), *(["--https-proxy", proxy] if proxy else [])) as address:
        wrong = urllib.parse.urlencode({"name": "lea", "password": "wrong one"}).encode()
        urllib.request.urlopen(urllib.request.Request(f"{address}login", wrong, {"X-Forwarded-For": "10.1.2.3"}))
    with open_store(tmp_path) as db:
        assert [row["address"] for row in db.query("SELECT address FROM login_failure")] == [believed]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_loopback_needs_no_account(host: str, tmp_path: Path) -> None:
    app.refuse_open_door(app.Settings(tmp_path, host=host))


@pytest.mark.parametrize("port", ["0", "99999", "seventy"])
def test_a_port_that_is_none_is_told(port: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = refused(capsys, "--data", str(tmp_path), "--port", port)
    assert "argument --port" in told
    assert len(told) < 1000


def test_the_refusal_reaches_the_person_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = refused(capsys, "--data", str(tmp_path), "--host", "0.0.0.0")
    assert "there are no accounts" in told
    assert "Traceback" not in told


def test_what_waits_to_be_written_is_written_when_the_server_stops(tmp_path: Path) -> None:
    others = set(threading.enumerate())
    with TestClient(app.make_server_app(app.Settings(tmp_path)), base_url="http://127.0.0.1") as client:
        client.post("/login", data={"name": "ann"})
        assert client.get("/api/desk/item").json()["next"] is None
        assert "writer" in {thread.name for thread in set(threading.enumerate()) - others}, "the control: it wrote"
    assert "writer" not in {thread.name for thread in set(threading.enumerate()) - others}
