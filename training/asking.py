"""What a writing run asks the model: rows without a reply, made of a set's clips or questions; and the file of what was written. No torch."""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

from store.errors import InputError
from store.records import QAPair
from store.row_words import load_prompts, prompt_for
from training.questions import Question
from training.rows import ClipSpan, Message, Row, RowContext

FILE_NAME = "texts.jsonl"
# A row needs a reply to be encoded; it is cut off again before the model goes on by itself.
NO_REPLY = "."


@dataclass(frozen=True)
class WrittenText:
    """A text that a model wrote; a line of texts.jsonl."""

    row: str  # id of the question, of the row, or of the clip of a narrative
    clip: str
    kind: str  # "narrative", "rationale" or "answer"
    text: str
    tokens: int  # that were written, the mark of the end included
    cut: bool  # whether it had as many tokens as it was allowed, and no end
    seconds: float


def rows_to_ask(rows: Iterable[Row], questions: Iterable[Question], kind: str) -> tuple[Row, ...]:
    """Return what is asked for texts of `kind`, in order of clip: the questions, or without any what the rows ask; a narrative for each whole clip.

    Raises InputError when nothing of the kind can be asked.
    """
    rows, questions = tuple(rows), tuple(questions)
    if kind == "narrative":
        asked = _narratives([(one.split, one.clip, one.context) for one in (questions or rows)])
    elif questions:
        asked = [_of_question(question, kind) for question in questions]
    else:
        asked = list({(row.clip, row.prompt): _asks(row) for row in rows if row.kind == kind}.values())
    if not asked:
        where = "questions have windows of their own, so no whole clip" if questions else f"set has no row of the kind {kind}, so nothing of it"
        raise InputError(f"The {where} can be asked for. Choose a set of questions for rationales and answers, or one with {kind} rows.")
    return tuple(sorted(asked, key=lambda row: (row.clip.digest, row.clip.start_s, row.id)))


class TextLog:
    """The file of written texts: grows by whole lines, each on disk before the next is written, so that a run goes on where it was ended."""

    def __init__(self, path: Path) -> None:
        """Open the file; half a line that a kill has left is cut off."""
        self.written = {one.row: one for one in read_texts(path)}
        self._file = path.open("ab")
        self._file.truncate(sum(len(line) for line in _whole_lines(path)))

    def __enter__(self) -> "TextLog":
        """Return itself."""
        return self

    def add(self, text: WrittenText) -> None:
        """Append a text. Raises OSError when the disk refuses."""
        self._file.write((json.dumps(asdict(text), ensure_ascii=False) + "\n").encode("utf-8"))
        self._file.flush()
        os.fsync(self._file.fileno())
        self.written[text.row] = text

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the file."""
        self._file.close()


def read_texts(path: Path) -> tuple[WrittenText, ...]:
    """Return the texts that were written so far, in order; none when there is no file."""
    return tuple(WrittenText(**json.loads(line)) for line in _whole_lines(path))


def _whole_lines(path: Path) -> list[bytes]:
    content = path.read_bytes() if path.exists() else b""
    return content[: content.rfind(b"\n") + 1].splitlines(keepends=True)


def _narratives(seen: Sequence[tuple[str, ClipSpan, RowContext]]) -> list[Row]:
    # Who asks about a window sees the window only; a narrative is about the whole clip.
    whole = {clip.id: (split, clip, context) for split, clip, context in seen if context.window_s is None}
    prompt = prompt_for(load_prompts(), "narrative", None)
    return [_row(clip.id, split, "narrative", clip, prompt, RowContext(context.lines)) for split, clip, context in whole.values()]


def _of_question(question: Question, kind: str) -> Row:
    qa = QAPair(question.id, question.clip.id, "", question.question, None, question.options, None, question.type, None, None, None)
    return _row(question.id, question.split, kind, question.clip, prompt_for(load_prompts(), kind, qa), question.context)


def _asks(row: Row) -> Row:
    return Row(row.id, row.split, row.kind, row.clip, row.prompt, NO_REPLY, None, context=row.context)


def _row(row_id: str, split: str, kind: str, clip: ClipSpan, prompt: str, context: RowContext) -> Row:
    return Row(row_id, split, kind, clip, (Message("user", prompt),), NO_REPLY, None, context=context)


def counted(texts: Iterator[WrittenText] | Sequence[WrittenText]) -> dict[str, float]:
    """Return how many of the texts there are, were cut and are empty, their tokens and the seconds they took."""
    found = tuple(texts)
    return {
        "written": len(found),
        "cut": sum(one.cut for one in found),
        "empty": sum(not one.text.strip() for one in found),
        "tokens": sum(one.tokens for one in found),
        "seconds": round(sum(one.seconds for one in found), 1),
    }
