"""Keys are found, used and never shown; and which writers there are and what they need."""

import copy
import json
import logging
import pickle
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.synthesis.plan import WriterSpec
from curation.synthesis.writers.keys import HIDDEN, Secret, key_of, redact, variables_of
from curation.synthesis.writers.making import SEES, WRITERS, default_spec, make_writer, needs, sees
from curation.synthesis.writers.template import VERSION
from store.errors import InputError
from tests.curation.synthesis.orders import asked, order
from tests.model_server import ModelServer

KEY = "sk-a/key+with=signs"
KEYS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8)
OPENAI, GEMINI = WriterSpec("openai", "gpt-4o"), WriterSpec("gemini", "gemini-2.5-flash")


def test_a_key_shows_itself_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    secret = Secret(KEY)
    logging.getLogger("keys").warning("asked with %s and %r", secret, secret)
    shown = [str(secret), repr(secret), f"{secret}", "%s" % secret, repr({"key": secret}), caplog.text, str(vars(type(secret)))]  # noqa: UP031
    assert not [text for text in shown if KEY in text]
    assert secret.reveal() == KEY, "the control"
    assert not hasattr(secret, "__dict__")


def test_a_key_cannot_be_written_or_copied() -> None:
    for write in (pickle.dumps, copy.copy, copy.deepcopy, json.dumps):
        with pytest.raises(TypeError):
            write(Secret(KEY))


@given(KEYS, st.text(), st.text())
def test_a_key_is_cut_out_of_every_text_in_every_form(key: str, before: str, behind: str) -> None:
    for form in (key, quote(key), quote(key, safe=""), quote_plus(key), json.dumps(key)[1:-1]):
        told = redact(f"{before} {form} {behind}", Secret(key))
        assert form not in told.replace(HIDDEN, "") or form in f"{before} {behind}"
        assert HIDDEN in told


def test_a_key_that_stands_where_the_name_of_its_variable_belongs_is_refused_and_not_repeated() -> None:
    spec = WriterSpec("openai", "m", "http://localhost:1/v1", key_variable="sk-proj-abc")
    with pytest.raises(InputError, match="by its name") as refused:
        key_of(spec, {"sk-proj-abc": KEY})
    assert "sk-proj" not in str(refused.value) and "sk-proj" not in str(needs(spec))


def test_without_a_key_nothing_is_cut_out() -> None:
    assert redact("a text", Secret("")) == "a text"


@pytest.mark.parametrize(
    ("spec", "environment", "key"),
    [
        (OPENAI, {"OPENAI_API_KEY": KEY}, KEY),
        (OPENAI, {"OPENAI_API_KEY": f" {KEY}\n"}, KEY),
        (GEMINI, {"GOOGLE_API_KEY": "b", "GEMINI_API_KEY": "a"}, "a"),
        (GEMINI, {"GOOGLE_API_KEY": "b", "GEMINI_API_KEY": ""}, "b"),
        (WriterSpec("openai", "m", key_variable="MINE"), {"MINE": "c", "OPENAI_API_KEY": "not this"}, "c"),
        (WriterSpec("openai", "m", address="http://localhost:8000"), {"OPENAI_API_KEY": "not for strangers"}, ""),
        (WriterSpec("openai", "m", address="http://localhost:8000", key_variable="MINE"), {"MINE": "c"}, "c"),
        (WriterSpec("template", "1"), {"OPENAI_API_KEY": KEY}, ""),
        (WriterSpec("local", "m"), {"OPENAI_API_KEY": KEY}, ""),
    ],
)
def test_the_key_comes_from_the_variable_that_is_meant(spec: WriterSpec, environment: dict[str, str], key: str) -> None:
    assert key_of(spec, environment).reveal() == key
    assert bool(variables_of(spec)) == bool(key)


@pytest.mark.parametrize("spec", [OPENAI, GEMINI, WriterSpec("openai", "m", address="http://localhost:8000", key_variable="MINE")])
def test_a_key_that_is_not_there_is_asked_for_by_the_name_of_its_variable(spec: WriterSpec) -> None:
    with pytest.raises(InputError, match=r"OPENAI_API_KEY|GEMINI_API_KEY|MINE"):
        key_of(spec, {})


@pytest.mark.parametrize("held", ["two words", "line\nbreak", "schlüssel"])
def test_what_can_be_no_key_is_refused_without_being_shown(held: str) -> None:
    with pytest.raises(InputError) as caught:
        key_of(OPENAI, {"OPENAI_API_KEY": held})
    assert held not in str(caught.value)


def test_each_writer_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    lacking = {kind: needs(default_spec(kind)) for kind in WRITERS}
    assert lacking["template"] is None
    assert "GEMINI_API_KEY and GOOGLE_API_KEY are not set" in str(lacking["gemini"])
    assert "OPENAI_API_KEY is not set" in str(lacking["openai"])
    assert needs(WriterSpec("openai", "m", address="http://localhost:8000")) is None
    assert "no address" in str(needs(WriterSpec("openai", "m", address="localhost")))
    assert "No model" in str(needs(WriterSpec("openai", " ", address="http://localhost:8000")))
    assert "no writer" in str(needs(WriterSpec("parrot", "m")))
    with pytest.raises(InputError, match="OPENAI_API_KEY"):
        make_writer(OPENAI, None)


def test_what_a_writer_sees_is_known_before_it_is_made(tmp_path: Path) -> None:
    assert set(SEES) == set(WRITERS)
    assert default_spec("template").model == VERSION
    for spec in (default_spec("template"), *(WriterSpec(kind, "m", address="http://localhost:8000") for kind in ("openai", "gemini"))):
        assert make_writer(spec, tmp_path).sees == sees(spec)


def test_knowing_the_writers_loads_none_of_their_libraries() -> None:
    script = "import sys, curation.synthesis.writers.making; print([m for m in ('google.genai', 'torch', 'openai') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("kind", ["openai", "gemini"])
def test_a_run_leaves_no_key_behind(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("MINE", KEY)
    caplog.set_level(logging.DEBUG)
    with ModelServer(key="another") as server:
        directory = order(tmp_path, 2, writer=WriterSpec(kind, "m", server.address, key_variable="MINE"))
        assert asked(directory) == "failed"
        assert set(server.statuses) <= {400, 401}
    left = {path.relative_to(directory).as_posix(): path.read_text(encoding="utf-8") for path in directory.rglob("*") if path.is_file()}
    assert {"plan.json", "results/000.jsonl"} <= set(left)
    assert f": {HIDDEN}." in str(left), "the control: the provider's words, which had the key in them, are there"
    assert "httpcore" in {record.name.split(".")[0] for record in caplog.records}, "the control: the logs of the connections were kept"
    assert not [name for name, text in {**left, "log": caplog.text}.items() for form in (KEY, quote(KEY, safe="")) if form in text]
