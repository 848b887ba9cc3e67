"""What the child knows before it loads a library: the rows and questions it will use and how their clips lie in their files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from training.carrying import carried_questions, carried_rows
from training.config import RunConfig
from training.frames import Stretch, look_at
from training.questions import Question
from training.rows import ClipSpan, Row


class Stopped(Exception):
    """The run was asked to stop before there was anything to save."""


class TrainingError(Exception):
    """Training went wrong in a way that more steps cannot mend; its text is a sentence for the person at the screen."""


class Reporter(Protocol):
    """Through whom the training code speaks and is stopped."""

    def emit(self, kind: str, **values: Any) -> None:
        """Append an event."""

    def stop_asked(self) -> bool:
        """Return whether somebody wants the run to end."""


@dataclass(frozen=True)
class RunPlan:
    """All that a training stage needs beside the model."""

    directory: Path
    config: RunConfig
    train: tuple[Row, ...]
    held_out: tuple[Row, ...]
    stretches: Mapping[ClipSpan, Stretch]
    rows_in_set: int
    questions: tuple[Question, ...] = ()
    resume_from: Path | None = None  # the checkpoint from which the run goes on


def plan_run(directory: Path, config: RunConfig, reporter: Reporter) -> RunPlan:
    """Return the plan of the run in `directory`; looks at every clip it needs once, without decoding it.

    Raises what `carried_rows`, `carried_questions` and `look_at` raise, and Stopped when asked to between two clips.
    """
    reporter.emit("phase", phase="reading the rows")
    (rows_in_set, train, held_out), questions = carried_rows(directory, config), carried_questions(directory, config)
    clips = [*(row.clip for row in (*train, *held_out)), *(question.clip for question in questions)]
    reporter.emit("phase", phase=f"looking at {len(set(clips))} clips")
    stretches = look_at(directory, clips, config.longest_side_px, lambda done: heed(reporter, "looked", done))
    return RunPlan(directory, config, train, held_out, stretches, rows_in_set, questions)


def heed(reporter: Reporter, kind: str, done: int) -> None:
    """Tell that so many clips are done. Raises Stopped when the run was asked to end."""
    reporter.emit(kind, clips=done)
    if reporter.stop_asked():
        raise Stopped
