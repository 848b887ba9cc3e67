"""What the model server of the tests can do with a question, and how either protocol says it. The answers are made from the prompt, never by chance."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

_PAIR = re.compile(r"^[\s\-*\[(]*Q(\d+)\b", re.MULTILINE)
_MOMENT = re.compile(r"\b(\d+(?:\.\d+)?)\s?s(?:econds)?\b")
_PICTURED = re.compile(r"\[(\d+(?:\.\d+)?) s\]")  # as it stands before a picture
_OPTION = re.compile(r"^\s*\(?([A-H])[.):]", re.MULTILINE)
_WHO = ("the man in the red coat", "a child with a ball", "the woman near the door", "a dog beside the chair")
_DOES = ("walks slowly towards the window", "turns around and looks at the others", "picks something up from the floor", "waits for a while and then sits down")
ENGLISH = "In this part of the clip the man walks slowly to the table and picks up the cup, because he wants to drink."
OTHER_LANGUAGE = "In diesem Teil geht der Mann langsam zum Tisch und nimmt die Tasse, weil er etwas trinken will und niemand sonst im Raum ist."


@dataclass(frozen=True)
class Question:
    """One question as either protocol asked it."""

    protocol: str  # "openai" or "gemini"
    number: int  # from 0, since the script was last set
    model: str
    words: str  # every text of it, a line each
    seed: int | None
    pictures: int
    body: Mapping[str, Any]

    @property
    def sha(self) -> str:
        """By this it is counted."""
        return sha_of(self.words, self.seed)


def sha_of(words: str, seed: int | None = None) -> str:
    """Return by what the server counts a question: its words (those of an Ask) and its seed."""
    return hashlib.sha256(f"{words}\n{seed}".encode()).hexdigest()


@dataclass(frozen=True)
class Act:
    """What is done with one question. Made by the functions below."""

    name: str = "answer"
    text: str | None = None  # None: made from the prompt
    seconds: float = 0.0  # it takes besides the server's own delay
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    how: str = ""


def answer(text: str | None = None) -> Act:
    """Answer with this text; None: one that is made from the prompt and passes the checks."""
    return Act(text=text)


def slow(seconds: float) -> Act:
    """Answer after so many seconds more."""
    return Act(seconds=seconds)


def too_many(after: str | None = None, for_good: bool = False, headers: Mapping[str, str] | None = None) -> Act:
    """Say 429; `after` is the text of Retry-After (of Gemini: the seconds of its retryDelay). For good: no money is left."""
    told = {"retry-after": after} if after else {}
    return Act("too_many", status=429, headers={**told, **(headers or {})}, how="for_good" if for_good else "")


def failing(status: int = 500) -> Act:
    """Say that the server is in trouble."""
    return Act("refuse", "The server is in trouble.", status=status)


def refuse(status: int, message: str, param: str = "") -> Act:
    """Refuse the question with this status and these words; `param` is what it is about."""
    return Act("refuse", message, status=status, how=param)


def cut() -> Act:
    """Close the connection in the middle of the answer."""
    return Act("cut")


def malformed(body: str = '{"choices": [{"message": {"content": "In this par') -> Act:
    """Answer 200 with this body."""
    return Act("malformed", body)


def blocked(how: str = "answer") -> Act:
    """Block the prompt ("prompt"), the answer ("answer"), or let the model itself refuse ("refusal", of OpenAI alone)."""
    return Act("blocked", how=how)


def empty() -> Act:
    """Answer with no words."""
    return Act(text="")


def other_language() -> Act:
    """Answer in German."""
    return Act(text=OTHER_LANGUAGE)


def cut_by_length() -> Act:
    """Answer with a text that ends because no more tokens were allowed."""
    return Act("cut_by_length")


def told(words: str) -> str:
    """Return an answer to these words: a sentence a listed pair with its mark, or one with a citation of what is shown; an answer when one is asked for."""
    pairs = list(dict.fromkeys(_PAIR.findall(words)))
    if pairs:
        sentences = " ".join(f"In part {at} {_pick(_WHO, words, at)} {_pick(_DOES, words, at)} [Q{pair}]." for at, pair in enumerate(pairs, 1))
        return f"Plan:\n{', '.join(f'Q{pair}' for pair in pairs)}\n\nNarrative:\n{sentences}" if "Narrative:" in words else sentences
    start_s, end_s = _shown(words)
    cited = f" [{start_s:.1f}-{end_s:.1f}]"
    sentence = f"Here {_pick(_WHO, words, 0)} {_pick(_DOES, words, 1)}{cited}. This is why {_pick(_WHO, words, 2)} {_pick(_DOES, words, 3)}{cited}."
    return f"{sentence}\nFinal answer: {_pick(_OPTION.findall(words) or ['yes'], words, 4)}" if "Final answer:" in words else sentence


def _shown(words: str) -> tuple[float, float]:
    """Return the first two moments that are said to be shown, in seconds; of words alone the clip from its start."""
    moments = sorted({float(moment) for moment in _PICTURED.findall(words) or _MOMENT.findall(words)})
    return (moments[0], moments[1]) if len(moments) > 1 else (0.0, moments[0] if moments and moments[0] else 1.0)


def _pick(choices: Any, words: str, at: int) -> str:
    return str(choices[hashlib.sha256(f"{at} {words}".encode()).digest()[0] % len(choices)])


def reply(act: Act, question: Question) -> tuple[int, Mapping[str, str], bytes, tuple[int, int]]:
    """Return status, headers, body and the tokens in and out of what this protocol says."""
    text = told(question.words) if act.text is None else act.text
    tokens = len(question.words) // 4 + 258 * question.pictures + 1, len(text) // 4 + (1 if text else 0)
    if act.name == "malformed":
        return 200, {"content-type": "text/html" if text.startswith("<") else "application/json"}, text.encode(), tokens
    if act.status != 200:
        return act.status, act.headers, _dumps((_openai_error if question.protocol == "openai" else _gemini_error)(act)), (0, 0)
    return 200, {}, _dumps((_openai_answer if question.protocol == "openai" else _gemini_answer)(act, question, text, tokens)), tokens


def _openai_answer(act: Act, question: Question, text: str, tokens: tuple[int, int]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": text}
    reason = "length" if act.name == "cut_by_length" else "stop"
    if act.name == "blocked":
        message = {"role": "assistant", "content": None, "refusal": "I cannot help with this." if act.how == "refusal" else None}
        reason = "stop" if act.how == "refusal" else "content_filter"
    return {
        "id": f"chatcmpl-{question.number}",
        "object": "chat.completion",
        "model": f"{question.model}-2026-01-01",
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
        "usage": {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)},
    }


def _openai_error(act: Act) -> dict[str, Any]:
    kind = "insufficient_quota" if act.how == "for_good" else "rate_limit_exceeded"
    if act.name == "too_many":
        return {"error": {"message": "You have sent too many requests.", "type": kind, "param": None, "code": kind}}
    return {"error": {"message": act.text, "type": "invalid_request_error", "param": act.how or None, "code": act.how and f"unsupported_{act.how}"}}


def _gemini_answer(act: Act, question: Question, text: str, tokens: tuple[int, int]) -> dict[str, Any]:
    usage = {"promptTokenCount": tokens[0], "candidatesTokenCount": tokens[1], "totalTokenCount": sum(tokens)}
    ratings = [{"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "probability": "HIGH", "blocked": True}]
    whole: dict[str, Any] = {"modelVersion": f"{question.model}-001", "usageMetadata": usage}
    if act.name == "blocked" and act.how == "prompt":
        return {**whole, "promptFeedback": {"blockReason": "SAFETY", "safetyRatings": ratings}}
    if act.name == "blocked":
        return {**whole, "candidates": [{"finishReason": "SAFETY", "index": 0, "safetyRatings": ratings}]}
    content: dict[str, Any] = {"role": "model", "parts": [{"text": text}]} if text else {"role": "model"}
    reason = "MAX_TOKENS" if act.name == "cut_by_length" else "STOP"
    return {**whole, "candidates": [{"content": content, "finishReason": reason, "index": 0}]}


def _gemini_error(act: Act) -> dict[str, Any]:
    status = {400: "INVALID_ARGUMENT", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE"}.get(act.status, "INTERNAL")
    details: list[dict[str, Any]] = []
    if after := act.headers.get("retry-after"):
        details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{after}s"})
    if act.name == "too_many":
        quota = "GenerateRequestsPerDayPerProjectPerModel" if act.how == "for_good" else "GenerateRequestsPerMinutePerProjectPerModel"
        details.append({"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": quota}]})
    if act.how == "API_KEY_INVALID":
        details.append({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": act.how})
    message = act.text or "You exceeded your current quota."
    return {"error": {"code": act.status, "message": message, "status": status, "details": details}}


def _dumps(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
