"""Asks any server that speaks the chat completions of OpenAI: GPT-4o, vLLM, Ollama, LM Studio.

By httpx and without the provider's own package, which does the same in more time a question (docs/choices.md). Retries are the worker's.
"""

import asyncio
import base64
import json
from collections.abc import Mapping
from typing import Any

import httpx

from curation.synthesis.plan import WriterSpec
from curation.synthesis.writers.connections import client_to
from curation.synthesis.writers.failures import after_of, at, checked_address, failure_of, network_failures, picture_bytes, said, stopping
from curation.synthesis.writers.keys import Secret
from curation.synthesis.writing import Ask, LastingError, Part, PassingError, Picture, Reply, Words, WriterError

PROVIDER = "https://api.openai.com/v1"
# These refusals are about the run's settings, and would meet every question.
SETTINGS = ("model", "temperature", "seed", "max_tokens", "max_completion_tokens")
BLOCKS = ("content_filter", "content_policy_violation", "invalid_prompt")


class OpenAICompatible:
    """A writer that is shown pictures. One client, whose connections stay open, for all its questions."""

    sees = "pictures"

    def __init__(self, spec: WriterSpec, secret: Secret) -> None:
        self._spec, self._secret = spec, secret
        self._url = httpx.URL(f"{base_of(spec.address)}/chat/completions")  # read once, and not for each question
        self._who = self._url.host
        # Every server knows max_tokens but the newer models of OpenAI itself, which say so and want the other name.
        self._most = "max_tokens"
        self._client = client_to(str(self._url), spec.answer_s, secret.reveal())

    async def write(self, ask: Ask) -> Reply:
        """Return the answer of the model."""
        most = self._most
        response = await self._post(ask, most)
        if response.status_code == 400 and most == "max_tokens" and "max_completion_tokens" in response.text:
            self._most = "max_completion_tokens"
            response = await self._post(ask, self._most)
        if response.status_code != 200:
            raise self._refused(response.status_code, _read(response), response.headers)
        return self._answered(_read(response))

    async def close(self) -> None:
        """Let the connections go."""
        await self._client.aclose()

    async def _post(self, ask: Ask, most: str) -> httpx.Response:
        is_read = any(isinstance(part, Picture) for part in ask.parts)  # from disk, and made a third longer
        body = await asyncio.to_thread(_body, ask, self._spec.model, most) if is_read else _body(ask, self._spec.model, most)
        with network_failures(self._who, self._spec.answer_s, self._secret):
            async with asyncio.timeout(self._spec.answer_s):  # the client's own is for each piece of an answer
                return await self._client.post(self._url, content=body, headers={"content-type": "application/json"})

    def _answered(self, told: Any) -> Reply:
        """Return the answer in what was told. Raises LastingError when it was blocked, PassingError when there is none."""
        tokens = (_count(at(told, "usage", "prompt_tokens")), _count(at(told, "usage", "completion_tokens")))
        choice = at(told, "choices", 0)
        reason, text = at(choice, "finish_reason"), _text(at(choice, "message", "content"))
        if refusal := at(choice, "message", "refusal"):
            raise LastingError(f"{self._who} refused to answer: {said(refusal, self._secret)}.", "blocked", *tokens)
        if reason == "content_filter":
            raise LastingError(f"{self._who} blocked the answer: {said(_filtered(choice) or reason, self._secret)}.", "blocked", *tokens)
        if text is None and reason == "length":
            text = ""  # all that it was allowed went into thinking
        if text is not None:
            model = at(told, "model")
            return Reply(text, reason == "length", *tokens, model if isinstance(model, str) else None)
        status = at(told, "error", "code")
        if isinstance(status, int) and 400 <= status < 600:  # some pass on the trouble of others with status 200
            raise self._refused(status, told, {})
        raise PassingError(f"{self._who} sent a reply without an answer: {said(_message(told), self._secret)}.", "malformed", None, *tokens)

    def _refused(self, status: int, told: Any, headers: Mapping[str, str]) -> WriterError:
        """Return what a reply other than 200 means."""
        sentence = f"{self._who} answered {status}: {said(_message(told), self._secret)}."
        error = at(told, "error")
        if "insufficient_quota" in (at(error, "code"), at(error, "type")):
            return stopping(sentence, "quota")
        if status == 400 and at(error, "code") in BLOCKS:
            return LastingError(f"{self._who} blocked the question: {said(_message(told), self._secret)}.", "blocked")
        if status in (400, 422) and at(error, "param") in SETTINGS:
            return stopping(sentence, "settings")
        return failure_of(status, sentence, after_of(headers))


def base_of(address: str | None) -> str:
    """Return the base URL of a server: with /v1 when it was given without a path. Raises InputError when it is no address."""
    base = checked_address(address or PROVIDER).removesuffix("/chat/completions")
    return base if httpx.URL(base).path.strip("/") else f"{base}/v1"


def _body(ask: Ask, model: str, most: str) -> bytes:
    """Return the request. Words alone are plain text, which every server takes; it grows with a third more than the pictures' bytes."""
    content = [_told(part) for part in ask.parts] if any(not isinstance(part, Words) for part in ask.parts) else ask.words
    sampling = ask.sampling
    seed = {} if sampling.seed is None else {"seed": sampling.seed}
    request = {"model": model, "messages": [{"role": "user", "content": content}], "temperature": sampling.temperature, most: sampling.new_tokens, **seed}
    return json.dumps(request).encode()


def _told(part: Part) -> dict[str, Any]:
    if isinstance(part, Words):
        return {"type": "text", "text": part.text}
    if isinstance(part, Picture):
        return {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{base64.b64encode(picture_bytes(part)).decode()}"}}
    raise LastingError("This protocol takes no video. Show it frames, or ask Gemini.", "refused")


def _read(response: httpx.Response) -> Any:
    """Return the JSON of a reply, or its words when it is none."""
    try:
        return response.json()
    except ValueError:
        return response.text


def _message(told: Any) -> str:
    """Return the words of an error; servers put them in different places."""
    found = at(told, "error", "message") or at(told, "message") or at(told, "error") or at(told, "detail")
    return str(found or told)


def _text(content: Any) -> str | None:
    if isinstance(content, list):
        content = "".join(str(at(part, "text") or "") for part in content)
    return content if isinstance(content, str) else None


def _filtered(choice: Any) -> str:
    results = at(choice, "content_filter_results")
    return ", ".join(name for name in results if at(results, name, "filtered")) if isinstance(results, Mapping) else ""


def _count(value: Any) -> int | None:
    # Some servers say -1 for what they do not know.
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
