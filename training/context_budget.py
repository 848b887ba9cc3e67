"""What is shown when not everything fits a budget in tokens: the most relevant first, and never less for a larger budget."""

from bisect import bisect_right
from collections.abc import Callable, Sequence

from store.errors import InputError
from training.context_plan import Block, ContextPlan, Dropped, Line
from training.context_text import Shown, line_text, lines_at, moment_text, notes_at
from training.selection import coarse_to_fine

# Each picture and each video stands between a mark that opens it and one that closes it.
MARKS = 2
Item = tuple[str, int]  # ("hint", 0), ("moment", index) or ("line", index)


def tokens_of(blocks: Sequence[Block], count_text: Callable[[str], int], tokens_per_picture: int, of_video: Callable[[], int]) -> int:
    """Return what the blocks cost: texts that stand side by side are counted as one; a video, without its two marks, as `of_video` says."""
    total, run = 0, ""
    for block in blocks:
        if block.kind == "text":
            run += block.text
            continue
        total += (count_text(run) if run else 0) + MARKS
        total += of_video() if block.kind == "video" else tokens_per_picture
        run = ""
    return total + (count_text(run) if run else 0)


def within_budget(wanted: Shown, plan: ContextPlan, focus_s: float, cost: Callable[[Shown], int]) -> Shown:
    """Return as much of what is wanted as costs at most budget_tokens, in the order of `ranked`, the notes last.

    What is kept is always a beginning of that order, found by bisection over `cost`: deterministic, and a larger budget keeps
    all that a smaller one kept. Cost: `cost` is asked once, or about log2(items) times more when not all fits.

    Raises InputError when the prompt alone is over.
    """
    budget = plan.budget_tokens
    if budget is None or cost(wanted) <= budget:
        return wanted
    items = ranked(wanted, plan, focus_s)

    def beginning(kept: int) -> Shown:
        # One more than all items adds the notes: they say that there is nothing, and never take the place of something.
        return _part(wanted, items[:kept], notes=kept > len(items))

    # Even if a longer beginning were cheaper than a shorter one, a larger budget never ends before a smaller one.
    kept = bisect_right(range(len(items) + 2), budget, key=lambda kept: cost(beginning(kept))) - 1
    if kept < 0:
        raise InputError(f"The question alone takes {cost(beginning(0))} tokens, and budget_tokens is {budget}. Raise it, or shorten the question.")
    return beginning(kept)


def ranked(wanted: Shown, plan: ContextPlan, focus_s: float) -> list[Item]:
    """Return hint, key frame, frames and lines, the most relevant first.

    Frames go from coarse to fine, so that those that remain cover the window (near_ts: the nearest to the focus first); lines by
    `line_order`. The two are merged by their share: wherever the order is cut, as large a part of the lines is kept as of the frames.
    """
    keys = [at for at, moment in enumerate(wanted.moments) if moment.kind == "key"]
    others = [at for at, moment in enumerate(wanted.moments) if moment.kind != "key"]
    times = [wanted.moments[at].time_s for at in others]
    by_focus = sorted(range(len(others)), key=lambda at: (abs(times[at] - focus_s), times[at]))
    order = by_focus if plan.selection == "near_ts" else coarse_to_fine(times, focus_s, [wanted.moments[at].time_s for at in keys])
    frames: list[Item] = [("moment", others[at]) for at in order]
    lines: list[Item] = [("line", at) for at in line_order(wanted.lines, focus_s)]
    shares = [(at / len(part), item) for part in (frames, lines) for at, item in enumerate(part)]
    merged = [item for _, item in sorted(shares, key=lambda share: share[0])]
    return [*([("hint", 0)] if wanted.pause_s is not None else []), *(("moment", at) for at in keys), *merged]


def line_order(lines: Sequence[Line], focus_s: float) -> list[int]:
    """Return the indices of the lines by the seconds between the focus and the line (0 while it is said), then to its centre, then by its start."""

    def distance(at: int) -> tuple[float, float, float]:
        line = lines[at]
        return max(line.start_s - focus_s, focus_s - line.end_s, 0.0), abs(line.centre_s - focus_s), line.start_s

    return sorted(range(len(lines)), key=distance)


def missing(wanted: Shown, shown: Shown, plan: ContextPlan) -> list[Dropped]:
    """Return what is wanted and not shown, each with the budget as its reason."""
    reason = f"over the budget of {plan.budget_tokens} tokens"
    # Counted down rather than looked up: `povqa` shows the same moment several times.
    left = list(shown.moments)
    dropped = [Dropped("hint", "where the clip is paused", reason)] if wanted.pause_s is not None and shown.pause_s is None else []
    for moment in wanted.moments:
        if moment in left:
            left.remove(moment)
        else:
            dropped.append(Dropped("key" if moment.kind == "key" else "frame", f"{moment_text(moment)} s", reason))
    kept = set(shown.lines)
    dropped += [Dropped("line", line_text(line), reason) for line in wanted.lines if line not in kept and line.text.strip()]
    notes = sorted(notes_at(wanted, plan, lines_at(wanted, plan))) if wanted.notes and not shown.notes else []
    return dropped + [Dropped("note", f"{moment_text(wanted.moments[at])} s", reason) for at in notes]


def _part(wanted: Shown, items: Sequence[Item], notes: bool) -> Shown:
    kept = set(items)
    return Shown(
        tuple(moment for at, moment in enumerate(wanted.moments) if ("moment", at) in kept),
        tuple(line for at, line in enumerate(wanted.lines) if ("line", at) in kept),
        wanted.heard,
        wanted.pause_s if ("hint", 0) in kept else None,
        wanted.notes and notes,
    )
