"""Held-out questions about the studio's clips, as export writes them."""

from typing import Any

from store.records import CuratedSet
from tests.training.conftest import Studio, freeze_rows

DIGEST = "0" * 64


def question_of(number: int, digest: str = DIGEST, **changes: Any) -> dict[str, Any]:
    """Return one question as export writes it."""
    return {
        "id": f"qa-{number}",
        "split": "validation" if number % 2 else "test",
        "type": ("why", "how", None)[number % 3],
        "clip": {"id": f"clip-{number % 3}", "digest": digest, "start_s": 0.0, "end_s": None},
        "context": {"lines": [], "pause_s": None, "window_s": None},
        "prompt": f"What moves? ({number})\nOptions:\nA. the bar\nB. nothing",
        "question": f"What moves? ({number})",
        "options": ["the bar", "nothing"],
        "answer": number % 2,
        **changes,
    }


def freeze_quiz(studio: Studio, count: int = 6, clips: tuple[str, ...] = ("red", "green", "blue"), **changes: Any) -> CuratedSet:
    """Freeze questions about these clips of the studio, in turn."""
    spans = [{"id": f"clip {name}", "digest": studio.digests[name], "start_s": 0.0, "end_s": None} for name in clips]
    return freeze_rows(studio.data, "questions", [question_of(number, clip=spans[number % len(spans)], **changes) for number in range(count)], "a quiz")
