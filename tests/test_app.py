"""The command line of the app, as a person meets it."""

import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import app
from store.accounts import add_account
from store.database import open_store
from store.errors import RefusedError

ROOT = Path(__file__).resolve().parents[1]


def run_app(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "app.py", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60)


@contextmanager
def served(data: Path, port: int) -> Iterator[str]:
    """Run the app as a person would, wait for the line that says where it is, and yield the address."""
    command = [sys.executable, "app.py", "--data", str(data), "--port", str(port), "--no-demo"]
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
    told = run_app("--help").stdout
    for option in ("--data DIR", "--host", "--port", "--no-demo", "--open"):
        assert option in told


def test_the_app_serves_its_sign_in_page_and_a_second_app_on_the_same_data_is_refused(tmp_path: Path) -> None:
    port = free_port()
    with served(tmp_path, port) as address:
        asked = urllib.request.Request(address, headers={"Accept": "text/html"})
        assert b"Sign in" in urllib.request.urlopen(asked).read()
        assert status(f"{address}eyewitness/desk.js") == 200
        for inside in ("demo/planted.json", "demo/demo.jsonl", "prompts/rationale.md", "desk/../demo/planted.json"):
            assert status(f"{address}eyewitness/{inside}") == 404, "the answers stay inside"
        second = run_app("--data", str(tmp_path), "--port", str(free_port()))
        assert second.returncode == 2
        assert f"port {port}" in second.stderr
        third = run_app("--data", str(tmp_path / "other"), "--port", str(port))
        assert third.returncode == 2
        assert "--port" in third.stderr
    with served(tmp_path, port):
        pass  # the control: once the first has gone, the data can be served again


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "example.org"])
def test_an_open_door_without_accounts_is_refused_with_what_to_do(host: str, tmp_path: Path) -> None:
    settings = app.Settings(tmp_path, host=host)
    with pytest.raises(RefusedError, match="python -m store account NAME lead"):
        app.refuse_open_door(settings)
    with open_store(tmp_path) as db:
        add_account(db, "lea", "long enough", "lead")
    app.refuse_open_door(settings)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_loopback_needs_no_account(host: str, tmp_path: Path) -> None:
    app.refuse_open_door(app.Settings(tmp_path, host=host))


@pytest.mark.parametrize("port", ["0", "99999", "seventy"])
def test_a_port_that_is_none_is_told(port: str, tmp_path: Path) -> None:
    refused = run_app("--data", str(tmp_path), "--port", port)
    assert refused.returncode == 2
    assert "argument --port" in refused.stderr
    assert len(refused.stderr) < 1000


def test_the_refusal_reaches_the_person_on_the_command_line(tmp_path: Path) -> None:
    refused = run_app("--data", str(tmp_path), "--host", "0.0.0.0")
    assert refused.returncode == 2
    assert "there are no accounts" in refused.stderr
    assert "Traceback" not in refused.stderr
