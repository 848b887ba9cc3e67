"""Texts that are no answers: what a program says when it fails, a refusal, the marks of a chat template, the question said back. Pure."""

import functools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

# A run of so many words that also stand in the instructions is no chance.
RUN_WORDS = 6
# From these shares of its words on a text says back its instructions, or nothing but them and questions. A question with its answer told behind it is no echo.
INSTRUCTED_SHARE, ECHO_SHARE = 0.25, 0.9
# As long as texts that are imported or edited may be; to read a longer one would hold up all other questions for seconds.
LONGEST_TEXT = 100_000
# A text that begins like a refusal and goes on for longer tells something all the same.
REFUSAL_CHARACTERS = 600

# Where a program says them: at the start of the text or of a line. A text may well tell of an error that is seen.
_STATUS = (
    r"bad request|unauthorized|forbidden|not found|request timeout|payload too large|too many requests|(?:client|server|internal server) error|bad gateway"
    r"|service (?:temporarily )?unavailable|gateway time-?out"
)
_ERRORS = (
    r"\A(?-i:(?:[\w.]+\.)?[A-Z]\w*(?:Error|Exception))\s*[:(]",
    r"\A\W*(?:an? |fatal |unexpected |internal |system |server |api |network |runtime )*(?:error|exception)(?: (?:occurred|\w+ing)(?: \w+){0,5})?\s*:",
    rf"\A\W*(?:http(?:/[\d.]+)? ?)?(?:(?:error|status|code)[ :]*)*[45]\d\d[:. ]*(?:{_STATUS}|\W*\Z)",
    r"\A\W*(?:(?:error|status|code)[ :]+)+[45]\d\d *[:.(-]",
    rf"\A\W*(?:{_STATUS}|request timed out|connection (?:error|refused|reset by peer|timed out))\W*(?:\Z|\n|please|try)",
    r"\A\W*(?:(?:rate|token) limit (?:exceeded|reached)|quota exceeded|insufficient_quota|context_length_exceeded|invalid api key)",
    r"\A\W*(?:no healthy upstream|upstream connect error)",
    r"\A(?:the model is (?:currently )?overloaded|this model's maximum context length|you exceeded your current quota)",
    r"\Afailed to (?:generate|load|process|connect|fetch)\b[^\n]{0,80}\Z",
    r"\A(?:[^\n:\]]{0,60}[:\]]\s*)?CUDA (?:out of memory|error)\b",
    r"Tried to allocate [\d.]+ [KMG]i?B",
    r"(?m:^\s*Traceback \(most recent call last\):)",
    r'(?m:^\s*File "[^"\n]+", line \d+)',
    r"\A\s*<(?:!doctype html|html|head|body|\?xml)\b",
)
_ERROR = re.compile("|".join(f"(?:{one})" for one in _ERRORS), re.IGNORECASE)
_NOT = r"(?:can(?:no|['’])t|can not|could not|am (?:unable|not able) to|['’]m (?:unable|not able) to|won['’]t|will not|(?:do not|don['’]t) have the ability to)"
_SERVE = "(?:help|assist|comply|fulfil+|provide|answer|write|generate|create|complete|describe|identify|process|analy[sz]e|discuss|continue|do (?:that|this))"
_SHOWN = r"(?:any |the |this |that |your |these |provided |attached |actual )*(?:video|clip|film|image|picture|frame|media|file|visual|content)s?\b"
_REFUSALS = (
    r"as an? (?:ai|artificial|large|text-based) (?P<long>(?:language |intelligence )?(?:model|assistant)?)",
    rf"(?:i['’ ]?a?m (?:so |very |really |truly )?sorry|sorry|my apologies|(?:i|we) apologi[sz]e)\b[^.\n]{{0,60}}?\b(?:i|we) ?(?:{_NOT}|do not|don['’]t)",
    rf"(?:unfortunately,? )?(?:i|we) ?{_NOT} (?:directly )?(?:{_SERVE}\b|(?:see|view|watch|access|open|play) {_SHOWN})",
    rf"(?:unfortunately,? )?(?:i|we) (?:do not|don['’]t) (?:see|have) (?:access to )?{_SHOWN}",
    r"(?:there (?:is|was) )?no (?:video|clip|image|frame)s? (?:is|was|were|has been|have been) (?:provided|attached|given|shown|uploaded)",
    rf"(?:please )?(?:provide|upload|attach|share) (?:me )?{_SHOWN}",
)
_REFUSAL = re.compile(rf"\W*(?:{'|'.join(_REFUSALS)})", re.IGNORECASE)
# A server may send them as escapes of JSON; neither a file nor the store takes them.
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
_MARKS = re.compile(r"<[|｜][\w▁ ]{1,40}[|｜]>|</?(?:start_of_turn|end_of_turn|s|bos|eos|pad|unk|image|video|think)>|\[/?INST\]|<</?SYS>>|<0x[0-9A-F]{2}>")


@dataclass(frozen=True)
class Fault:
    """Why a reply becomes no text."""

    code: str  # "empty", "cut", "error_text", "refusal", "template_marks", "echo", "too_long", "wrong_language" or "no_markup"
    sentence: str
    passing: bool  # whether asking again may help


def text_fault(text: str) -> Fault | None:
    """Return why a text is no answer, whoever wrote it: it is empty, a program's error, a refusal or has marks of a chat template; None when it may be one."""
    words = text.strip()
    if len(words) > LONGEST_TEXT:
        return Fault("too_long", f"The answer has {len(words):,} characters, and the desk takes {LONGEST_TEXT:,} at most.", passing=False)
    if _NO_TEXT.search(words):
        return Fault("error_text", "The answer holds a NUL or half of a surrogate pair, which no UTF-8 text may hold.", passing=True)
    if _ERROR.search(words) or _is_json(words):
        return Fault("error_text", f"The answer is what a program says, and no prose: {_beginning(words)}", passing=True)
    refusal = _REFUSAL.match(words)
    if refusal and (refusal["long"] is not None or len(words) <= REFUSAL_CHARACTERS):
        return Fault("refusal", f"The writer does not want to answer: {_beginning(words)}", passing=False)
    mark = _MARKS.search(words)
    if mark:
        return Fault("template_marks", f"The answer has the mark {mark[0]!r} of a chat template, which no text may have.", passing=True)
    return None if any(sign.isalnum() for sign in words) else Fault("empty", "The answer has no words.", passing=True)


def is_echo(text: str, instructions: str, questions: Iterable[str]) -> bool:
    """Return whether a text says back its instructions, or little else than them and the questions. Cost grows with words times questions.

    Said back are words in a run of `RUN_WORDS` that also stands in the instructions, and the beginning of a question; a question and its answer
    told as a statement are not.
    """
    words = _words(text)
    runs = _told_runs(instructions)
    instructed = {place for start, run in enumerate(_runs(words)) if run in runs for place in range(start, start + RUN_WORDS)}
    asked = {place for question in questions for place in _begun(words, _words(question))}
    return bool(words) and (len(instructed) >= INSTRUCTED_SHARE * len(words) or len(instructed | asked) >= ECHO_SHARE * len(words))


# Alike for all texts of a run.
@functools.lru_cache(maxsize=8)
def _told_runs(instructions: str) -> frozenset[tuple[str, ...]]:
    return frozenset(_runs(_words(instructions)))


def _begun(words: Sequence[str], question: Sequence[str]) -> Iterator[int]:
    """Yield the places of words that are the beginning of a question, at least its first `RUN_WORDS` or all of it."""
    fewest = min(RUN_WORDS, len(question))
    for start in range(len(words) - fewest + 1 if fewest else 0):
        if words[start] == question[0] and words[start : start + fewest] == question[:fewest]:
            same = takewhile(lambda both: both[0] == both[1], zip(words[start:], question, strict=False))
            yield from range(start, start + len(list(same)))


def _runs(words: Sequence[str]) -> Iterator[tuple[str, ...]]:
    return (tuple(words[at : at + RUN_WORDS]) for at in range(len(words) - RUN_WORDS + 1))


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _is_json(text: str) -> bool:
    if not text.startswith(("{", "[")):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _beginning(text: str) -> str:
    line = " ".join(text[:200].split())
    return repr(line if len(line) <= 80 else f"{line[:79]}…")
