"""What a benchmark prints, and how it is judged."""

import argparse
import json
import operator
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

COMPARE = {"<=": operator.le, ">=": operator.ge, "==": operator.eq}


@dataclass(frozen=True)
class Row:
    """One figure. `goal` is "<= 0.7" or None; `control` says what shows that the figure means something."""

    name: str
    value: float | None
    unit: str
    goal: str | None
    met: bool | None
    control: str


def judged(name: str, value: float | None, unit: str, goal: str | None, control: str) -> Row:
    """Return the figure with its goal judged; no goal or no value gives None."""
    met = None
    if goal is not None and value is not None:
        sign, bound = goal.split()
        met = bool(COMPARE[sign](value, float(bound)))
    return Row(name, None if value is None else round(value, 4), unit, goal, met, control)


def main(measure: Callable[[bool], Sequence[Row]], description: str) -> None:
    """Measure and print the rows: a table, or with --json one object; --quick measures less."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="measure less, for a check that it runs")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    rows = measure(given.quick)
    told = json.dumps({"rows": [asdict(row) for row in rows]}, indent=2) if given.json else as_table(rows)
    sys.stdout.write(told + "\n")


def as_table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table; a missed goal stands as missed."""
    lines = ["| figure | value | goal | | control |", "|---|---|---|---|---|"]
    for row in rows:
        value = "unknown" if row.value is None else f"{_rounded(row.value)} {row.unit}"
        met = {True: "met", False: "**missed**", None: ""}[row.met]
        lines.append(f"| {row.name} | {value} | {row.goal or ''} | {met} | {row.control} |")
    return "\n".join(lines)


def _rounded(value: float) -> str:
    """Return four digits that mean something, or all of a whole part that has more."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
