"""What the model sees of each row: from the row and its clip's length and size to words, pictures' moments and tokens. No picture is read."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from store.errors import InputError
from training.context import Context, ContextPlan, Moment, Scene, build_context
from training.context_budget import MARKS
from training.families import QWEN2_5_VL, Family
from training.frames import Stretch
from training.rows import ClipSpan, Row


@dataclass(frozen=True)
class View:
    """What stands in the user's turn of one row: words, and pictures of a stretch of video."""

    stretch: Stretch
    context: Context
    family: Family = QWEN2_5_VL  # of the model that sees it

    @property
    def is_video(self) -> bool:
        """Whether the pictures stand as one video."""
        return any(block.kind == "video" for block in self.context.blocks)

    @property
    def visual_tokens(self) -> int:
        """The tokens that stand for the pictures, without the marks around them and the times between them."""
        height, width, count = self.stretch.height, self.stretch.width, len(self.context.moments)
        return self.family.video_tokens(count, height, width) if self.is_video else count * self.family.picture_tokens(height, width)


def view_of(row: Row, stretch: Stretch, plan: ContextPlan, count_text: Callable[[str], int], family: Family = QWEN2_5_VL) -> View:
    """Return what the first turn of the user shows to a model of the family. Raises InputError when the plan leaves nothing to show."""
    said = row.context
    window_start_s, window_end_s = said.window_s or (None, None)
    scene = Scene(stretch.length_s, said.lines, said.pause_s, window_start_s, window_end_s, stretch.fps)
    prompt = next(turn.content for turn in row.prompt if turn.role == "user")
    size = stretch.height, stretch.width

    def of_video(moments: Sequence[Moment]) -> int:
        stamps = family.stamps([moment.time_s for moment in moments])
        return family.video_tokens(len(moments), *size) + sum(count_text(stamp) + MARKS for stamp in stamps)

    return View(stretch, build_context(scene, prompt, plan, count_text, family.picture_tokens(*size), of_video), family)


def views_of(
    rows: Iterable[Row], stretches: Mapping[ClipSpan, Stretch], plan: ContextPlan, count_text: Callable[[str], int], family: Family = QWEN2_5_VL
) -> dict[str, View]:
    """Return row id -> what the model sees. Raises InputError with every row of which nothing can be shown."""
    views: dict[str, View] = {}
    problems: list[str] = []
    for row in rows:
        try:
            views[row.id] = view_of(row, stretches[row.clip], plan, count_text, family)
        except InputError as error:
            problems.append(f"{row.id}: {error}")
    if problems:
        named = "\n".join(problems[:20])
        raise InputError(f"Of {len(problems)} rows nothing can be shown with these settings. Change the settings, or leave out the rows.\n{named}")
    return views
