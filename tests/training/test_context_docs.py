"""docs/context.md stays true: its example is run, and its table is read against the presets."""

import re
from pathlib import Path
from typing import Any

from tests.training.scenes import written
from training.context import PRESETS, Context

DOCS = (Path(__file__).resolve().parents[2] / "docs" / "context.md").read_text(encoding="utf-8")


def blocks_of(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)\n```", DOCS, re.DOTALL)


def example() -> Context:
    names: dict[str, Any] = {}
    exec(blocks_of("python")[0], names)
    context: Context = names["context"]
    return context


def report(context: Context) -> str:
    return "\n".join(f"{one.kind}: {one.what} - {one.reason}" for one in context.dropped)


def test_the_example_gives_the_turn_and_the_report_that_the_page_shows() -> None:
    context = example()
    assert [written(context), report(context)] == blocks_of("text")
    assert context.tokens <= 360 and context.dropped


def test_the_table_shows_the_presets_as_they_are() -> None:
    head, *rows = (line.strip("|").split("|") for line in DOCS.split("\n") if line.startswith("| ") or line.startswith("| |"))
    names = [cell.strip(" `") for cell in head[1:5]]
    assert names == list(PRESETS)
    table = {row[0].strip(): [cell.strip() for cell in row[1:5]] for row in rows}
    assert table == {field: [str(getattr(PRESETS[name], field)) for name in names] for field in vars(PRESETS["video"])}
