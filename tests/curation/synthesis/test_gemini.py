"""Questions by the protocol of Gemini, asked through its own package of a real server that also misbehaves."""

import asyncio
import base64
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from curation.synthesis.arms import Arm
from curation.synthesis.plan import WriterSpec
from curation.synthesis.subjects import Subject
from curation.synthesis.writers.gemini import Gemini, kind_of
from curation.synthesis.writers.keys import HIDDEN, Secret
from curation.synthesis.writing import Ask, Film, LastingError, Part, PassingError, Picture, Reply, Sampling, StoppingError, Words, WriterError
from tests.model_acts import (
    ENGLISH,
    OTHER_LANGUAGE,
    Act,
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
SPEC = WriterSpec("gemini", "gemini-2.5-flash", answer_s=5.0)
MP4 = b"\x00\x00\x00\x18ftypisom and so on"


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


@pytest.fixture
def film(tmp_path: Path) -> Film:
    path = tmp_path / "film"
    path.write_bytes(MP4)
    return Film(path, "f" * 64, 0.0, None)


def ask_of(*parts: Part | str) -> Ask:
    return Ask(tuple(Words(part) if isinstance(part, str) else part for part in parts), Sampling(0.7, 64, 3), SUBJECT, Arm("narrative"))


ASK = ask_of("Q1. why does he run? To catch it.")


def asked(server: ModelServer, script: Script, *asks: Ask, spec: WriterSpec = SPEC, key: str = "") -> Reply:
    """Return what one writer gets last from a server that acts by this script."""
    server.play(script)
    writer = Gemini(replace(spec, address=spec.address or server.address), Secret(key))
    return asyncio.run(_write(writer, *(asks or (ASK,))))


async def _write(writer: Gemini, *asks: Ask) -> Reply:
    try:
        return [await writer.write(ask) for ask in asks][-1]
    finally:
        await writer.close()


def failure(server: ModelServer, script: Script, *asks: Ask, spec: WriterSpec = SPEC, key: str = "") -> WriterError:
    with pytest.raises(WriterError) as caught:
        asked(server, script, *asks, spec=spec, key=key)
    return caught.value


def uploads(server: ModelServer) -> int:
    return sum(request.headers.get("x-goog-upload-command") == "start" for request in server.requests)


def test_an_answer_comes_with_its_tokens_and_the_version_that_wrote_it(server: ModelServer) -> None:
    reply = asked(server, [answer(ENGLISH)])
    assert (reply.text, reply.cut, reply.model) == (ENGLISH, False, "gemini-2.5-flash-001")
    assert (reply.tokens_in, reply.tokens_out) == (server.tokens_in, server.tokens_out)
    assert server.delivered == {sha_of(ASK.words, 3): 1}
    assert server.questions[0].body["generationConfig"] == {"temperature": 0.7, "maxOutputTokens": 64, "seed": 3}


def test_what_a_model_thinks_is_paid_and_not_told(server: ModelServer) -> None:
    body = '{"candidates": [{"content": {"parts": [{"text": "Hm.", "thought": true}, {"text": "He runs."}]}, "finishReason": "STOP"}], '
    reply = asked(server, [malformed(body + '"usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 3, "thoughtsTokenCount": 40}}')])
    assert (reply.text, reply.tokens_in, reply.tokens_out) == ("He runs.", 5, 43)
    assert asked(server, [malformed(body + '"modelVersion": "x"}')]).tokens_out is None, "what is not told is not known"


def test_pictures_go_between_the_words_in_their_order(server: ModelServer, tmp_path: Path) -> None:
    path = tmp_path / "one.jpg"
    path.write_bytes(b"\xff\xd8 a picture")
    asked(server, (), ask_of("[0.0 s]", Picture(path, 0.0), "What is seen?"))
    (content,) = server.questions[0].body["contents"]
    assert [next(iter(part)) for part in content["parts"]] == ["text", "inlineData", "text"]
    data = content["parts"][1]["inlineData"]
    assert (data["mimeType"], base64.urlsafe_b64decode(data["data"])) == ("image/jpeg", path.read_bytes())


def test_a_picture_that_is_gone_is_drawn_anew_and_not_a_death_of_the_worker(server: ModelServer, tmp_path: Path) -> None:
    error = failure(server, (), ask_of("[1.5 s]", Picture(tmp_path / "gone.jpg", 1.5), "What is seen?"))
    assert (type(error), error.code) == (PassingError, "showing") and "1.5 s" in str(error)
    assert not server.questions


@pytest.mark.filterwarnings("ignore:A_NEW_REASON")
@pytest.mark.parametrize(
    ("act", "code", "words"),
    [
        (too_many(), "rate", "429 RESOURCE_EXHAUSTED"),
        (failing(500), "server", "in trouble"),
        (failing(503), "server", "503"),
        (cut(), "network", "broke"),
        (malformed(), "malformed", "cannot be read"),
        (malformed("<html><body>Bad gateway</body></html>"), "malformed", "cannot be read"),
        (malformed("[]"), "malformed", "without an answer"),
        (malformed("{}"), "malformed", "without an answer"),
        (malformed('{"candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL"}]}'), "malformed", "MALFORMED_FUNCTION_CALL"),
        (malformed('{"candidates": [{"finishReason": "A_NEW_REASON"}]}'), "malformed", "A_NEW_REASON"),
    ],
    ids=lambda value: value.name if isinstance(value, Act) else "",
)
def test_what_may_pass_is_said_to_pass(server: ModelServer, act: Act, code: str, words: str) -> None:
    error = failure(server, [act])
    assert isinstance(error, PassingError), error
    assert error.code == code
    assert words in str(error)
    assert server.numbered == 1, "the worker asks again, not the package"


@pytest.mark.parametrize(
    ("act", "code", "kind"),
    [
        (blocked("prompt"), "blocked", LastingError),
        (blocked("answer"), "blocked", LastingError),
        (malformed('{"candidates": [{"finishReason": "RECITATION"}]}'), "blocked", LastingError),
        (refuse(400, "The request is too long."), "refused", LastingError),
        (refuse(400, "API key not valid.", "API_KEY_INVALID"), "key", StoppingError),
        (refuse(401, "Who are you?"), "key", StoppingError),
        (refuse(403, "Not you."), "key", StoppingError),
        (refuse(404, "models/x is not found."), "model", StoppingError),
        (too_many(for_good=True), "quota", StoppingError),
    ],
    ids=lambda value: value.name if isinstance(value, Act) else "",
)
def test_what_lasts_is_said_to_last_and_what_meets_every_question_to_stop(server: ModelServer, act: Act, code: str, kind: type[LastingError]) -> None:
    error = failure(server, [act])
    assert type(error) is kind, error
    assert error.code == code
    assert server.numbered == 1


def test_a_block_tells_what_it_was_for_and_what_it_cost(server: ModelServer) -> None:
    error = failure(server, [blocked("prompt")])
    assert str(error) == "Gemini blocked the question: SAFETY, HARM_CATEGORY_DANGEROUS_CONTENT."
    assert (error.tokens_in, error.tokens_out) == (server.tokens_in, server.tokens_out)
    assert str(failure(server, [blocked()])) == "Gemini blocked the answer: SAFETY, HARM_CATEGORY_DANGEROUS_CONTENT."


def test_the_time_to_come_again_is_read_from_the_details(server: ModelServer) -> None:
    error = failure(server, [too_many("47.5")])
    assert isinstance(error, PassingError)
    assert error.after_s == 47.5


def test_a_slow_answer_is_given_up_after_its_time(server: ModelServer) -> None:
    began = time.monotonic()
    error = failure(server, [slow(30)], spec=replace(SPEC, answer_s=0.2))
    assert (type(error), error.code) == (PassingError, "timeout")
    assert time.monotonic() - began < 10


def test_a_server_that_is_not_there_may_be_there_later(server: ModelServer) -> None:
    error = failure(server, (), spec=replace(SPEC, address="http://127.0.0.1:1"))
    assert (type(error), error.code) == (PassingError, "network")


def test_empty_cut_and_foreign_answers_are_given_on_as_they_are(server: ModelServer) -> None:
    assert asked(server, [empty()]).text == ""
    assert asked(server, [cut_by_length()]).cut
    assert asked(server, [other_language()]).text == OTHER_LANGUAGE


def test_the_key_is_sent_and_never_said(server: ModelServer) -> None:
    server.key = "AIza-right"
    try:
        assert asked(server, (), key="AIza-right").text
        error = failure(server, (), key="AIza-wrong/0123")
        assert (type(error), error.code) == (StoppingError, "key")
        assert str(error) == f"Gemini answered 400 INVALID_ARGUMENT: API key not valid: {HIDDEN}. Check the key."
        assert error.__suppress_context__, "its cause has the key in its words"
    finally:
        server.key = None


# Videos


def test_a_video_is_uploaded_once_for_many_questions_at_a_time_and_deleted_at_the_end(server: ModelServer, film: Film) -> None:
    async def together() -> list[Reply]:
        writer = Gemini(replace(SPEC, address=server.address), Secret(""))
        replies = await asyncio.gather(*(writer.write(ask_of(film, f"Q1. {n}")) for n in range(4)))
        assert len(server.files) == 1
        assert next(iter(server.files.values())).kind == "video/mp4"
        await writer.close()
        return replies

    server.play()
    assert all(reply.text for reply in asyncio.run(together()))
    assert uploads(server) == 1
    assert not server.files
    uris = {part["fileData"]["fileUri"] for question in server.questions for part in question.body["contents"][0]["parts"] if "fileData" in part}
    assert len(uris) == 1
    states = [request.path for request in server.requests if request.method == "GET"]
    assert len(states) == 1, "it was waited for until it is ACTIVE"


def test_a_stretch_of_a_video_is_named_by_its_times(server: ModelServer, film: Film) -> None:
    asked(server, (), ask_of(replace(film, start_s=3.5, end_s=12.0), "What is seen?"), ask_of(film, "And in all of it?"))
    (first, _), (second, _) = (question.body["contents"][0]["parts"] for question in server.questions)
    assert first["videoMetadata"] == {"startOffset": "3.5s", "endOffset": "12s"}
    assert "videoMetadata" not in second
    assert uploads(server) == 1


def test_a_video_that_soon_ends_there_is_uploaded_anew(server: ModelServer, film: Film) -> None:
    server.file_lives_s = 60.0
    try:
        asked(server, (), ask_of(film, "One."), ask_of(film, "Two."))
        assert uploads(server) == 2
    finally:
        server.file_lives_s = 48 * 3600.0


def test_a_video_that_is_gone_there_may_be_asked_about_again(server: ModelServer, film: Film) -> None:
    async def lost() -> Reply:
        writer = Gemini(replace(SPEC, address=server.address), Secret(""))
        await writer.write(ask_of(film, "One."))
        server.files.clear()
        with pytest.raises(PassingError) as caught:
            await writer.write(ask_of(film, "Two."))
        assert caught.value.code == "film"
        reply = await writer.write(ask_of(film, "Two."))
        await writer.close()
        return reply

    server.play()
    assert asyncio.run(lost()).text
    assert uploads(server) == 2


def test_a_video_that_cannot_be_read_there_lasts(server: ModelServer, film: Film) -> None:
    server.file_state = "FAILED"
    try:
        error = failure(server, (), ask_of(film, "One."))
        assert (type(error), error.code) == (LastingError, "film")
        assert "FAILED" in str(error)
        assert not server.questions, "nothing was paid"
    finally:
        server.file_state = "ACTIVE"


def test_videos_that_were_not_used_for_longest_make_room(server: ModelServer, film: Film) -> None:
    films = [replace(film, digest=str(n) * 64) for n in range(4)]
    server.play()
    asyncio.run(_write(Gemini(replace(SPEC, address=server.address), Secret(""), held_bytes=len(MP4) * 2), *(ask_of(one, "One.") for one in films)))
    assert uploads(server) == 4
    order = [request.path for request in server.requests if request.method == "DELETE" or request.path.endswith("generateContent")]
    assert [path.rpartition("/")[2] for path in order if "files" in path] == ["f0", "f1", "f2", "f3"], "the last two only at the end"
    assert [("files" in path) for path in order] == [False, False, True, False, True, False, True, True]


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (MP4, "video/mp4"),
        (b"\x00\x00\x00\x14ftypqt  ", "video/quicktime"),
        (b"\x1a\x45\xdf\xa3....B\x82\x84webm", "video/webm"),
        (b"\x1a\x45\xdf\xa3....B\x82\x88matroska", "video/x-matroska"),
        (b"RIFF....AVI ", "video/x-msvideo"),
        (b"\x00\x00\x01\xba", "video/mpeg"),
    ],
)
def test_the_kind_of_a_video_is_told_by_its_first_bytes(tmp_path: Path, head: bytes, kind: str) -> None:
    path = tmp_path / "film"
    path.write_bytes(head)
    assert kind_of(path) == kind
