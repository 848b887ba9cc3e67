"""What an evaluating run found, question by question: predictions.jsonl, written clip by clip so that a run goes on where it was ended. No torch."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from training.questions import Question, contaminated

FILE_NAME = "predictions.jsonl"


def prediction(question: Question, base: Mapping[str, Any], adapter: Mapping[str, Any] | None, learnt_from: frozenset[str] | None) -> dict[str, Any]:
    """Return a line of predictions.jsonl from the verdicts of base and adapter.

    learnt_from: digests of the video files that the adapter learnt from; None: not known, and then `contaminated` is None too.
    """
    return {
        "question": question.id,
        "type": question.type,
        "split": question.split,
        "clip": question.clip.id,
        "answer": question.answer,
        "contaminated": None if learnt_from is None else bool(contaminated(learnt_from, [question])),
        "base": dict(base),
        "adapter": None if adapter is None else dict(adapter),
    }


def read_predictions(directory: Path) -> list[dict[str, Any]]:
    """Return the whole lines of the run's predictions in their order, none while there are none."""
    path = directory / FILE_NAME
    content = path.read_bytes() if path.exists() else b""
    return [json.loads(line) for line in content[: content.rfind(b"\n") + 1].split(b"\n") if line]


def add_predictions(directory: Path, predictions: Iterable[Mapping[str, Any]]) -> None:
    """Append the lines, on disk when it returns; half a line that a kill has left is cut off first."""
    lines = "".join(json.dumps(one, ensure_ascii=False, allow_nan=False) + "\n" for one in predictions)
    with (directory / FILE_NAME).open("ab+") as stream:
        stream.seek(0)
        stream.truncate(stream.read().rfind(b"\n") + 1)
        stream.write(lines.encode("utf-8"))
        stream.flush()
        os.fsync(stream.fileno())


def learnt_from(run: Path) -> frozenset[str] | None:
    """Return the digests of the video files that a run's adapter learnt from, as its manifest tells, or None when it does not."""
    path = run / "manifest.json"
    digests = json.loads(path.read_text(encoding="utf-8")).get("learnt_from") if path.exists() else None
    return None if digests is None else frozenset(digests)
