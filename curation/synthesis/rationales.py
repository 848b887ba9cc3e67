"""Rationales: how one is asked for, and how its citations and its final answer are read. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from curation.claims import ClaimSpan, sentence_claims
from curation.final_answers import split_answer
from curation.synthesis.arms import Arm
from curation.synthesis.plan import PromptText
from curation.synthesis.prompts import fill
from curation.synthesis.reading import Citation, Problem, Reading
from curation.synthesis.subjects import Subject, Told
from store.errors import InputError
from store.row_words import LETTERS

# Writers round to a tenth of a second.
ROUNDING_S = 0.1
_UNIT = r"\s*(?:s|secs?|seconds?|秒|초)?"
_TIME = rf"(\d{{1,6}}(?::\d{{1,2}}){{0,2}}(?:\.\d{{1,6}})?){_UNIT}"
_RANGE = re.compile(rf"(?:from\s+|t\s*=\s*)?{_TIME}\s*(?:[-–—~]|to|until)\s*{_TIME}", re.IGNORECASE)
_MOMENT = re.compile(rf"(?:at\s+|t\s*=\s*)?{_TIME}", re.IGNORECASE)
_RANGES = re.compile(rf"{_RANGE.pattern}(?:\s*(?:,|;|and|&)\s*{_RANGE.pattern})*", re.IGNORECASE)
_BRACKETS = re.compile(r"[ \t]{0,9}([\[［【(（])\s*([^\[\]［］【】()（）\n]{1,200}?)\s*[\]］】)）]")
# A number in brackets, or a range in round ones, need not be a time: "[3]", "(2-3)". With a unit, a point or a colon it is.
_IS_TIME = re.compile(r"\d\s*[s秒초]|\d[.:]\d", re.IGNORECASE)
# What stands between the times that open a line and its words.
_BEHIND = re.compile(r"[ \t]*[:–—-]?[ \t]*")
# Writers put headings and final answers into bold letters, or the answer on a line below.
_HEADING = re.compile(r"\A[*_#\s]{0,9}rationale[*_ \t]{0,9}:[*_\s]{0,9}", re.IGNORECASE)
# Some say more behind it, or tell it in a sentence: what is left of it in a text would say how it was asked for.
_ANSWER = re.compile(
    r"(?:^|(?<=[.!?\])] ))[*_#>` \t]{0,9}(?:(?:so|thus|hence|therefore),? )?(?:the )?final answer[*_ \t]{0,9}"
    r"(?:[:：][*_\s]{0,9}|[–—-][ \t]|\n[*_\s]{0,9}|(?:is|would be):? [*_]{0,3}(?=\(?(?-i:[A-Z])\b))(?P<answer>[^\n]*?)[*_`\s]{0,9}$",
    re.IGNORECASE | re.MULTILINE,
)
# A line, a fence: what says nothing at the end of a text.
_RULED = re.compile(r"(?:\n[ \t]{0,9}[-*_=#>`~]{1,9}[ \t]{0,9})+\Z")


@dataclass(frozen=True)
class _Mark:
    at: int  # where it stood, in the text without marks
    spans: tuple[tuple[float, float], ...]  # seconds


def rationale_prompt(subject: Subject, arm: Arm, template: PromptText, wrong: int | None) -> str:
    """Return what is asked. In the arm "wrong" the option `wrong` is told just as a right answer would be.

    Raises InputError when the arm tells an answer that the pair does not have, and as `prompts.check` does.
    """
    places = {"question": question_words(subject.pairs[0]), "clip": _clip_words(subject)}
    if arm.answer != "withheld":
        places["answer"] = answer_told(subject, arm, wrong)
    return fill(template, arm, places)


def question_words(told: Told) -> str:
    """Return the question, and its options with their letters on lines of their own."""
    options = [option_words(told, index) for index in range(len(told.options))]
    return "\n".join([told.question.strip(), *(["Options:", *options] if options else [])])


def option_words(told: Told, index: int) -> str:
    """Return an option with its letter, as a final answer names it: "B. strum the string"."""
    return f"{LETTERS[index] if index < len(LETTERS) else index + 1}. {told.options[index].strip()}"


def answer_told(subject: Subject, arm: Arm, wrong: int | None) -> str:
    """Return what a rationale's writer is told as the answer, of the arms that tell one. Raises InputError when the pair has none such."""
    told = subject.pairs[0]
    if arm.answer == "wrong":
        if wrong is None or not 0 <= wrong < len(told.options) or wrong == told.right:
            raise InputError(f"The question {subject.name} has no wrong option {wrong!r} that could be told as its answer. Leave the question out.")
        return option_words(told, wrong)
    if told.right is not None:
        return option_words(told, told.right)
    if told.answer is None:
        raise InputError(f"The data set withholds the answer of {subject.name}. Ask with the arm withheld, or leave the question out.")
    return told.answer.strip()


def shown_length_s(subject: Subject) -> float | None:
    """Return how many seconds of the clip are shown; None when it is not known."""
    return subject.length_s if subject.end_s is None else subject.end_s - subject.start_s


def read_rationale(text: str, subject: Subject, arm: Arm, shown_s: Sequence[float]) -> Reading:
    """Return the text without its citations and its final answer, these two, and what is not as it was asked for.

    `shown_s` are the moments that the writer was shown, in seconds from the start of what is shown; none: they are not known.
    """
    clean, marks = _cut(_answer_last(_HEADING.sub("", text.strip())))
    words, answer = split_answer(clean)
    sentences = sentence_claims(words)
    citations = tuple(
        Citation(stretch.start, stretch.end, start_s, end_s, _wrong_with(start_s, end_s, shown_length_s(subject), shown_s))
        for mark, stretch in _placed(words, sentences, [one for one in marks if not _says(clean[len(words) : one.at])])
        for start_s, end_s in mark.spans
    )
    return Reading(words, citations=citations, answer=answer or None, problems=_problems(sentences, citations) if arm.citations else ())


def _clip_words(subject: Subject) -> str:
    length_s = shown_length_s(subject)
    return "a video clip" if length_s is None else f"a video clip of {length_s:.1f} seconds"


def _answer_last(text: str) -> str:
    """Return the text with its final answer, the last of several, on its last line, in the form of a row."""
    told = [one["answer"] for one in _ANSWER.finditer(text) if one["answer"]]
    return f"{_RULED.sub('', _ANSWER.sub('', text).rstrip())}\nFinal answer: {told[-1]}" if told else text


def _cut(text: str) -> tuple[str, list[_Mark]]:
    """Return the text without its marks, and each mark with the place where it stood."""
    clean, marks, at = "", [], 0
    for found in _BRACKETS.finditer(text):
        spans = _spans(found[1], found[2])
        if not spans:
            continue
        clean += text[at : found.start()]
        at = found.end()
        if not clean or clean.endswith("\n"):
            behind = _BEHIND.match(text, at)
            at = behind.end() if behind else at
        marks.append(_Mark(len(clean), spans))
    return clean + text[at:], marks


def _spans(bracket: str, inside: str) -> tuple[tuple[float, float], ...]:
    """Return the times that stand in a bracket; none when what stands there is something else."""
    in_square = bracket not in "(（"
    if _RANGES.fullmatch(inside) and (in_square or _IS_TIME.search(inside)):
        return tuple((_seconds(one[1]), _seconds(one[2])) for one in _RANGE.finditer(inside))
    moment = _MOMENT.fullmatch(inside) if in_square and _IS_TIME.search(inside) else None
    return ((_seconds(moment[1]), _seconds(moment[1])),) if moment else ()


def _seconds(words: str) -> float:
    """Return the seconds of "12.5", "0:12" or "1:02:03.5"."""
    total_s = 0.0
    for part in words.split(":"):
        total_s = total_s * 60 + float(part)
    return total_s


def _placed(words: str, sentences: Sequence[ClaimSpan], marks: Sequence[_Mark]) -> list[tuple[_Mark, ClaimSpan]]:
    """Return each mark with the stretch of its sentence that it closes; that it opens, when the writer puts the times first."""
    if not sentences or not marks:
        return []
    opens = marks[0].at == 0 and _says(words[marks[-1].at :])
    return [(mark, (_opened if opens else _closed)(words, sentences, [one.at for one in marks], mark.at)) for mark in marks]


def _closed(words: str, sentences: Sequence[ClaimSpan], places: Sequence[int], at: int) -> ClaimSpan:
    sentence = next((one for one in reversed(sentences) if one.start < at), sentences[0])
    before = max((one for one in places if one < at and _says(words[one:at])), default=0)
    end = at if sentence.start < at < sentence.end and _says(words[at : sentence.end]) else sentence.end
    return _trimmed(words, max(sentence.start, before), end)


def _opened(words: str, sentences: Sequence[ClaimSpan], places: Sequence[int], at: int) -> ClaimSpan:
    sentence = next((one for one in sentences if one.end > at), sentences[-1])
    behind = min((one for one in places if one > at and _says(words[at:one])), default=len(words))
    return _trimmed(words, max(sentence.start, at), min(sentence.end, behind))


def _trimmed(words: str, start: int, end: int) -> ClaimSpan:
    inside = words[start:end]
    return ClaimSpan(start + len(inside) - len(inside.lstrip()), start + len(inside.rstrip()))


def _says(words: str) -> bool:
    return any(sign.isalnum() for sign in words)


def _wrong_with(start_s: float, end_s: float, length_s: float | None, shown_s: Sequence[float]) -> str | None:
    """Return why a citation is not sound; None when it is."""
    if start_s == end_s:
        return f"{start_s:g} s is a moment, and no stretch of time."
    if start_s > end_s:
        return f"{start_s:g}-{end_s:g} s ends before it starts."
    if length_s is not None and end_s > length_s + ROUNDING_S:
        return f"{start_s:g}-{end_s:g} s does not lie within the {length_s:.1f} s that are shown."
    half_s = _half_spacing_s(shown_s, length_s)
    if shown_s and not any(start_s - half_s <= one <= end_s + half_s for one in shown_s):
        return f"Nothing from {start_s:g} to {end_s:g} s was shown."
    return None


def _half_spacing_s(shown_s: Sequence[float], length_s: float | None) -> float:
    if len(shown_s) < 2:
        return (length_s or 0.0) / 2
    return (max(shown_s) - min(shown_s)) / (len(shown_s) - 1) / 2


def _problems(sentences: Sequence[ClaimSpan], citations: Sequence[Citation]) -> tuple[Problem, ...]:
    bad = [one for one in citations if one.problem]
    uncited = [place for place, one in enumerate(sentences, 1) if not any(cited.start < one.end and one.start < cited.end for cited in citations)]
    return (
        Problem("bad_citations", len(bad), len(citations), " ".join(one.problem for one in bad if one.problem) or "Every citation is sound."),
        Problem("uncited_sentences", len(uncited), len(sentences), _uncited_words(uncited)),
    )


def _uncited_words(uncited: Sequence[int]) -> str:
    if not uncited:
        return "Every sentence says when it is seen."
    return f"Sentence {', '.join(map(str, uncited))} does not say when it is seen."
