"""One item looked at and asked about once: the words and answers of the run itself, nothing kept, and the key nowhere."""

from dataclasses import asdict
from pathlib import Path

import pytest

from curation.synthesis.answers import words_of
from curation.synthesis.arms import arm_of
from curation.synthesis.plan import Item, Prices, SynthesisPlan, WriterSpec
from curation.synthesis.planning import survey
from curation.synthesis.prompts import load
from curation.synthesis.trying import ask_once, look
from curation.synthesis.wishes import Wish
from curation.synthesis.writers.making import default_spec
from curation.synthesis.writing import Sampling
from store.database import open_store
from store.errors import InputError
from tests.model_acts import blocked
from tests.model_server import ModelServer

KEY, VARIABLE = "sk-nobody-may-read-this", "EYEWITNESS_TEST_KEY"


def first_of(data: Path, writer: WriterSpec, shown: str = "nothing") -> tuple[SynthesisPlan, Item]:
    """Return the plan of a narrative of each clip, and the first item of it."""
    wish = Wish("narrative", arm_of("narrative", "full", {"shown": shown}), writer, Sampling(), load("narrative"), prices=Prices(1.0, 2.0))
    with open_store(data) as db:
        found = survey(db, data, wish)
    return found.plan, found.first[0]


def files_in(data: Path) -> set[Path]:
    return {path.relative_to(data) for path in data.rglob("*") if not path.name.endswith(("-wal", "-shm"))}


def test_the_composer_is_asked_once_about_what_its_run_would_send_and_nothing_is_kept(project: Path) -> None:
    before = files_in(project)
    plan, item = first_of(project, default_spec("template"))
    tried = ask_once(project, plan, item)
    assert [part.text for part in tried.parts] == [words_of(item, plan)]
    assert tried.reading is not None and tried.reading.sources and tried.reading.text
    assert tried.problem is None and (tried.tokens_in, tried.tokens_out) == (0, 0)
    assert files_in(project) == before


def test_a_look_needs_no_key_and_an_answer_or_a_refusal_shows_none(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ModelServer([blocked()], key=KEY) as server:
        plan, item = first_of(project, WriterSpec("openai", "a-model", f"{server.address}/v1", VARIABLE))
        seen = look(project, plan, item)
        assert seen.reply is None and seen.problem is None and not server.requests
        monkeypatch.setenv(VARIABLE, KEY)
        refused, answered = (ask_once(project, plan, item) for _ in range(2))
    assert refused.parts == seen.parts and refused.reading is None and "block" in str(refused.problem)
    assert answered.reading is not None and answered.reading.sources and answered.model
    assert answered.money == pytest.approx((answered.tokens_in or 0) / 1e6 + 2 * (answered.tokens_out or 0) / 1e6)
    assert server.questions[0].words == words_of(item, plan)
    assert KEY not in str([asdict(one) for one in (seen, refused, answered)])


def test_what_cannot_be_shown_is_said(project: Path) -> None:
    """The project has rows of videos and no files."""
    plan, item = first_of(project, WriterSpec("openai", "a-model", "http://127.0.0.1:9/v1"), shown="frames")
    with pytest.raises(InputError):
        look(project, plan, item)
