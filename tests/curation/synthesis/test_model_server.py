"""The model server of the tests says what passes the checks, so that a test of a run fails for no other reason."""

import asyncio
from collections.abc import Iterator

import pytest

from curation.synthesis.answers import compose, read, words_of
from curation.synthesis.arms import PRESETS, arm_of
from curation.synthesis.plan import Item, SynthesisPlan, WriterSpec
from curation.synthesis.prompts import load
from curation.synthesis.reading import Reading
from curation.synthesis.subjects import Subject, Told
from curation.synthesis.writers.keys import Secret
from curation.synthesis.writers.openai_compatible import OpenAICompatible
from curation.synthesis.writing import Ask, Reply, Sampling, Words
from tests.model_server import ModelServer

PAIRS = (
    Told("q1", "1", "why does the boy in red run to the gate", "to catch the ball", ("to catch the ball", "to rest"), 0, "CW", ((1.0, 3.0),)),
    Told("q2", "2", "what does the boy do after he has the ball", "throw it back", ("throw it back", "sit down"), 0, "TN", ((4.0, 6.0),)),
)
ARMS = [(kind, name) for kind, presets in PRESETS.items() for name in presets]


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


def asked(server: ModelServer, ask: Ask) -> Reply:
    async def write() -> Reply:
        writer = OpenAICompatible(WriterSpec("openai", "m", server.address), Secret(""))
        try:
            return await writer.write(ask)
        finally:
            await writer.close()

    return asyncio.run(write())


@pytest.mark.parametrize(("kind", "name"), ARMS)
def test_the_servers_own_answers_pass_every_check_of_every_arm(server: ModelServer, kind: str, name: str) -> None:
    arm, pairs = arm_of(kind, name), PAIRS if kind == "narrative" else PAIRS[:1]
    subject = Subject(kind, "clip", None if kind == "narrative" else "q1", "clip one", "train", None, 0.0, None, 9.0, {}, pairs)
    plan = SynthesisPlan("run", "run", arm, WriterSpec("openai", "m"), Sampling(), load(kind))
    item = Item("key", subject, 0, wrong=1 if arm.answer == "wrong" else None)
    pictures = (Words("[1.0 s]"), Words("[2.0 s]")) if arm.shown == "frames" else ()
    ask = compose(item, plan, (*pictures, Words(words_of(item, plan))))
    reading = read(item, plan, asked(server, ask), (1.0, 2.0))
    assert isinstance(reading, Reading), reading
    assert not [problem for problem in reading.problems if problem.count]
    assert reading.answer in ("A", "B") if arm.answer == "withheld" else reading.answer is None
