"""Questions by the protocol of OpenAI, asked of a real server that also misbehaves."""

import asyncio
import base64
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from curation.synthesis.arms import Arm
from curation.synthesis.plan import WriterSpec
from curation.synthesis.subjects import Subject
from curation.synthesis.writers.keys import HIDDEN, Secret
from curation.synthesis.writers.openai_compatible import OpenAICompatible
from curation.synthesis.writing import Ask, Film, LastingError, Part, PassingError, Picture, Reply, Sampling, StoppingError, Words, WriterError
from tests.model_acts import (
    ENGLISH,
    OTHER_LANGUAGE,
    Act,
    Question,
    answer,
    blocked,
    cut,
    cut_by_length,
    empty,
    failing,
    malformed,
    other_language,
    refuse,
    sha_of,
    slow,
    too_many,
)
from tests.model_server import ModelServer, Script

SUBJECT = Subject("narrative", "clip", None, "clip one", "train", None, 0.0, None, None, {}, ())
KEY = "sk-test-0123456789+/="
SPEC = WriterSpec("openai", "gpt-4o", answer_s=5.0)


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


def ask_of(*parts: Part | str, seed: int | None = 0) -> Ask:
    return Ask(tuple(Words(part) if isinstance(part, str) else part for part in parts), Sampling(0.7, 64, seed), SUBJECT, Arm("narrative"))


ASK = ask_of("Q1. why does he run? To catch it.")


def asked(server: ModelServer, script: Script, ask: Ask = ASK, spec: WriterSpec = SPEC, key: str = "") -> Reply:
    """Return what one writer gets from a server that acts by this script."""
    server.play(script)
    return asyncio.run(_write(replace(spec, address=spec.address or server.address), key, ask))


async def _write(spec: WriterSpec, key: str, *asks: Ask) -> Reply:
    writer = OpenAICompatible(spec, Secret(key))
    try:
        return [await writer.write(ask) for ask in asks][-1]
    finally:
        await writer.close()


def failure(server: ModelServer, script: Script, **more: object) -> WriterError:
    with pytest.raises(WriterError) as caught:
        asked(server, script, **more)  # type: ignore[arg-type]
    return caught.value


def test_an_answer_comes_with_its_tokens_and_the_version_that_wrote_it(server: ModelServer) -> None:
    reply = asked(server, [answer(ENGLISH)])
    assert (reply.text, reply.cut, reply.model) == (ENGLISH, False, "gpt-4o-2026-01-01")
    assert (reply.tokens_in, reply.tokens_out) == (server.tokens_in, server.tokens_out)
    assert server.delivered == {sha_of(ASK.words, 0): 1}


def test_words_alone_go_as_plain_text_with_how_words_are_drawn(server: ModelServer) -> None:
    asked(server, ())
    body = dict(server.questions[0].body)
    assert body == {"model": "gpt-4o", "messages": [{"role": "user", "content": ASK.words}], "temperature": 0.7, "max_tokens": 64, "seed": 0}
    asked(server, (), ask_of("Hello", seed=None))
    assert "seed" not in server.questions[0].body


def test_pictures_go_between_the_words_in_their_order(server: ModelServer, tmp_path: Path) -> None:
    path = tmp_path / "one.jpg"
    path.write_bytes(b"\xff\xd8 a picture")
    asked(server, (), ask_of("[0.0 s]", Picture(path, 0.0), "What is seen?"))
    content = server.questions[0].body["messages"][0]["content"]
    assert [part["type"] for part in content] == ["text", "image_url", "text"]
    kind, _, data = content[1]["image_url"]["url"].partition(",")
    assert (kind, base64.b64decode(data)) == ("data:image/jpeg;base64", path.read_bytes())


def test_a_picture_that_is_gone_is_drawn_anew_and_not_a_death_of_the_worker(server: ModelServer, tmp_path: Path) -> None:
    error = failure(server, (), ask=ask_of("[1.5 s]", Picture(tmp_path / "gone.jpg", 1.5), "What is seen?"))
    assert (type(error), error.code) == (PassingError, "showing") and "1.5 s" in str(error)
    assert not server.questions


def test_a_video_is_no_part_of_this_protocol(server: ModelServer, tmp_path: Path) -> None:
    error = failure(server, (), ask=ask_of(Film(tmp_path / "film", "d" * 64, 0.0, None)))
    assert isinstance(error, LastingError)
    assert "frames" in str(error)
    assert not server.questions


def test_one_connection_serves_question_after_question(server: ModelServer) -> None:
    server.play()
    asyncio.run(_write(replace(SPEC, address=server.address), "", *[ask_of(f"Q1. {n}") for n in range(5)]))
    assert (server.numbered, server.connections) == (5, 1)


def test_there_are_as_many_connections_as_questions_in_flight(server: ModelServer) -> None:
    async def twice() -> None:
        writer = OpenAICompatible(replace(SPEC, address=server.address), Secret(""))
        for _ in range(2):
            await asyncio.gather(*(writer.write(ask_of(f"Q1. {n}")) for n in range(8)))
        await writer.close()

    server.play(lambda _: slow(0.05))
    asyncio.run(twice())
    assert (server.numbered, server.most_in_flight, server.connections) == (16, 8, 8)


def test_a_connection_that_broke_or_was_given_up_is_made_anew(server: ModelServer) -> None:
    async def on_and_on() -> list[str]:
        writer, told = OpenAICompatible(replace(SPEC, address=server.address, answer_s=0.3), Secret("")), []
        for _ in range(5):
            try:
                told.append((await writer.write(ASK)).text)
            except PassingError as error:
                told.append(error.code)
        await writer.close()
        return told

    server.play([answer("One."), cut(), answer("Two."), slow(30), answer("Three.")])
    assert asyncio.run(on_and_on()) == ["One.", "network", "Two.", "timeout", "Three."]


def test_a_proxy_of_the_environment_is_gone_through(server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", server.address)
    assert asked(server, (), spec=replace(SPEC, address="http://provider.test:8000")).text
    assert server.requests[0].path == "http://provider.test:8000/v1/chat/completions"
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert failure(server, (), spec=replace(SPEC, address="http://127.0.0.1:1")).code == "network", "the control: not through it, and nobody is there"


@pytest.mark.parametrize(
    ("act", "code", "words"),
    [
        (too_many(), "rate", "429"),
        (failing(500), "server", "in trouble"),
        (failing(503), "server", "503"),
        (failing(529), "server", "529"),
        (refuse(408, "late"), "timeout", "408"),
        (cut(), "network", "broke"),
        (malformed(), "malformed", "without an answer"),
        (malformed("<html><body>Bad gateway</body></html>"), "malformed", "Bad gateway"),
        (malformed("[]"), "malformed", "without an answer"),
        (malformed("null"), "malformed", "without an answer"),
        (malformed('{"choices": []}'), "malformed", "without an answer"),
        (malformed('{"choices": [{"message": {"content": null}, "finish_reason": "stop"}]}'), "malformed", "without an answer"),
        (malformed('{"error": {"code": 429, "message": "upstream is full"}}'), "rate", "upstream is full"),
        (malformed('{"error": "Unexpected endpoint"}'), "malformed", "Unexpected endpoint"),
    ],
    ids=lambda value: value.name if isinstance(value, Act) else "",
)
def test_what_may_pass_is_said_to_pass(server: ModelServer, act: Act, code: str, words: str) -> None:
    error = failure(server, [act])
    assert isinstance(error, PassingError), error
    assert error.code == code
    assert words in str(error)


@pytest.mark.parametrize(
    ("act", "code", "kind"),
    [
        (blocked(), "blocked", LastingError),
        (blocked("refusal"), "blocked", LastingError),
        (malformed('{"choices": [{"message": {}, "finish_reason": "content_filter"}]}'), "blocked", LastingError),
        (refuse(400, "The prompt is too long."), "refused", LastingError),
        (refuse(413, "Too large."), "refused", LastingError),
        (refuse(400, "temperature does not support 0.7 with this model.", "temperature"), "settings", StoppingError),
        (refuse(401, "Who are you?"), "key", StoppingError),
        (refuse(402, "No credit."), "quota", StoppingError),
        (refuse(403, "Not you."), "key", StoppingError),
        (refuse(404, "No such model.", "model"), "model", StoppingError),
        (refuse(405, "Post elsewhere."), "address", StoppingError),
        (refuse(301, "Moved."), "address", StoppingError),
        (too_many(for_good=True), "quota", StoppingError),
    ],
    ids=lambda value: value.name if isinstance(value, Act) else "",
)  # fmt: skip
def test_what_lasts_is_said_to_last_and_what_meets_every_question_to_stop(server: ModelServer, act: Act, code: str, kind: type[LastingError]) -> None:
    error = failure(server, [act])
    assert type(error) is kind, error
    assert error.code == code
    assert server.numbered == 1, "the worker asks again, not the writer"


def test_a_block_tells_the_providers_reason_and_what_it_cost(server: ModelServer) -> None:
    error = failure(server, [blocked("refusal")])
    assert "I cannot help with this" in str(error)
    assert (error.tokens_in, error.tokens_out) == (server.tokens_in, server.tokens_out)
    filtered = malformed(
        '{"choices": [{"finish_reason": "content_filter", "content_filter_results": {"violence": {"filtered": true}, "hate": {"filtered": false}}}]}'
    )
    assert str(failure(server, [filtered])).endswith("blocked the answer: violence.")


def test_a_slow_answer_is_given_up_after_its_time(server: ModelServer) -> None:
    began = time.monotonic()
    error = failure(server, [slow(30)], spec=replace(SPEC, answer_s=0.2))
    assert (type(error), error.code) == (PassingError, "timeout")
    assert "within 0.2 s" in str(error)
    assert time.monotonic() - began < 10
    assert asked(server, [slow(0.05)]).text, "the control: slow, but in time"


def test_a_server_that_is_not_there_may_be_there_later(server: ModelServer) -> None:
    error = failure(server, (), spec=replace(SPEC, address="http://127.0.0.1:1"))
    assert (type(error), error.code) == (PassingError, "network")


def test_empty_cut_and_foreign_answers_are_given_on_as_they_are(server: ModelServer) -> None:
    assert asked(server, [empty()]).text == ""
    assert asked(server, [cut_by_length()]).cut
    assert asked(server, [other_language()]).text == OTHER_LANGUAGE
    thought = asked(server, [malformed('{"choices": [{"message": {"content": null}, "finish_reason": "length"}], "usage": {"completion_tokens": 64}}')])
    assert thought == Reply("", cut=True, tokens_out=64)
    assert asked(server, [malformed('{"choices": [{"message": {"content": [{"type": "text", "text": "In "}, {"text": "parts."}]}}]}')]).text == "In parts."


@pytest.mark.parametrize("count", ["-1", "true", '"12"', "1.5", "null"])
def test_a_count_of_tokens_that_is_none_is_not_known(server: ModelServer, count: str) -> None:
    told = f'{{"choices": [{{"message": {{"content": "He runs."}}}}], "usage": {{"prompt_tokens": {count}, "completion_tokens": 3}}}}'
    assert asked(server, [malformed(told)]) == Reply("He runs.", tokens_out=3)


def test_a_model_that_wants_the_other_name_for_the_most_tokens_gets_it_from_then_on(server: ModelServer) -> None:
    def act(question: Question) -> Act:
        wrong = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
        return refuse(400, wrong, "max_tokens") if "max_tokens" in question.body else answer()

    server.play(act)
    asyncio.run(_write(replace(SPEC, address=server.address), "", ASK, ASK))
    assert [("max_tokens" in one.body, one.body.get("max_completion_tokens")) for one in server.questions] == [(True, None), (False, 64), (False, 64)]


def test_a_number_of_tokens_that_is_too_large_stops_the_run(server: ModelServer) -> None:
    error = failure(server, lambda _: refuse(400, "max_tokens is too large: 64.", "max_tokens"))
    assert (type(error), error.code, server.numbered) == (StoppingError, "settings", 1)


def test_the_key_is_sent_and_never_said(server: ModelServer) -> None:
    server.key = KEY
    try:
        assert asked(server, (), key=KEY).text
        error = failure(server, (), key="sk-wrong-0123456789")
        assert (type(error), error.code) == (StoppingError, "key")
        assert str(error).endswith(f"answered 401: Incorrect API key provided: {HIDDEN}. Check the key.")
        assert error.__cause__ is None
        assert error.__suppress_context__ or error.__context__ is None
    finally:
        server.key = None


def test_an_unknown_model_stops_the_run(server: ModelServer) -> None:
    server.models = ("gpt-4o",)
    try:
        assert asked(server, ()).text
        error = failure(server, (), spec=replace(SPEC, model="gpt-5000"))
        assert (type(error), error.code) == (StoppingError, "model")
        assert "gpt-5000" in str(error)
    finally:
        server.models = ()


@pytest.mark.parametrize(
    ("act", "after_s"),
    [
        (too_many("7"), 7.0),
        (too_many("0.25"), 0.25),
        (too_many(format_datetime(datetime.now(UTC) - timedelta(hours=1), usegmt=True)), 0.0),
        (too_many("soon"), None),
        (too_many(headers={"retry-after-ms": "1500"}), 1.5),
        (too_many(headers={"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0.5s"}), 360.5),
        (too_many(headers={"x-ratelimit-remaining-tokens": "17", "x-ratelimit-reset-tokens": "9s"}), None),
        (too_many(), None),
    ],
)
def test_the_time_to_come_again_is_read_as_it_is_told(server: ModelServer, act: Act, after_s: float | None) -> None:
    error = failure(server, [act])
    assert isinstance(error, PassingError)
    assert error.after_s == after_s
