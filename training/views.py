"""What the model sees of each row: from the row and its clip's length and size to words, pictures' moments and tokens. No picture is read."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from store.errors import InputError
from training.context import Context, ContextPlan, Scene, build_context
from training.frames import Stretch, picture_tokens, video_tokens
from training.rows import ClipSpan, Row


@dataclass(frozen=True)
class View:
    """What stands in the user's turn of one row: words, and pictures of a stretch of video."""

    stretch: Stretch
    context: Context

    @property
    def is_video(self) -> bool:
        """Whether the pictures stand as one video."""
        return any(block.kind == "video" for block in self.context.blocks)

    @property
    def visual_tokens(self) -> int:
        """The tokens that stand for the pictures, without the marks around them."""
        height, width, count = self.stretch.height, self.stretch.width, len(self.context.moments)
        return video_tokens(count, height, width) if self.is_video else count * picture_tokens(height, width)

    @property
    def pads(self) -> int:
        """How many marks of the chat template, one a picture or video, the visual tokens take the place of."""
        return sum(block.kind != "text" for block in self.context.blocks)


def view_of(row: Row, stretch: Stretch, plan: ContextPlan, count_text: Callable[[str], int]) -> View:
    """Return what the first turn of the user shows. Raises InputError when the plan leaves nothing to show."""
    said = row.context
    window_start_s, window_end_s = said.window_s or (None, None)
    scene = Scene(stretch.length_s, said.lines, said.pause_s, window_start_s, window_end_s, stretch.fps)
    prompt = next(turn.content for turn in row.prompt if turn.role == "user")
    return View(stretch, build_context(scene, prompt, plan, count_text, picture_tokens(stretch.height, stretch.width)))


def views_of(rows: Iterable[Row], stretches: Mapping[ClipSpan, Stretch], plan: ContextPlan, count_text: Callable[[str], int]) -> dict[str, View]:
    """Return row id -> what the model sees. Raises InputError with every row of which nothing can be shown."""
    views: dict[str, View] = {}
    problems: list[str] = []
    for row in rows:
        try:
            views[row.id] = view_of(row, stretches[row.clip], plan, count_text)
        except InputError as error:
            problems.append(f"{row.id}: {error}")
    if problems:
        named = "\n".join(problems[:20])
        raise InputError(f"Of {len(problems)} rows nothing can be shown with these settings. Change the settings, or leave out the rows.\n{named}")
    return views
