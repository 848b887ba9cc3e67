"""`python -m docs.weights` puts the tables into docs/pooling.md and draws docs/weights.svg, from the code that pools."""

import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.windows import METHODS, PoolSettings, windows_of

DOCS = Path(__file__).resolve().parent
COUNTS = (3, 24, 30, 60)
RATES = (Fraction(24000, 1001), Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(60000, 1001), Fraction(25, 2))
OURS, THEIRS, PAPER = "#0b6e99", "#c2410c", "#111111"
WIDE, HIGH, TOP = 380, 190, 5.0  # a panel's size in px, and the highest weight that it shows, in times the uniform one


def weights(method: str, count: int, settings: PoolSettings) -> NDArray[np.float64]:
    """Return the weights of `count` frames that fill one second."""
    return windows_of(np.arange(count) / count, 1.0, settings)[0].weights[method]


def paper(method: str, count: int) -> NDArray[np.float64] | None:
    """Return the weights by the paper's formula, or None where it holds a number that we do not know."""
    raw = {"WA": np.ones(count), "WAR": np.arange(count) + 1.0}.get(method)
    return None if raw is None else raw / raw.sum()


def in_figures(weights: NDArray[np.float64] | None) -> str:
    """Return share of the last frame, centre of mass (0 the first frame, 1 the last) and effective frames 1/Σw²."""
    if weights is None:
        return "not known"
    return f"{weights[-1]:.3f} / {weights @ np.linspace(0, 1, len(weights)):.3f} / {1 / (weights @ weights):.2f}"


def table_of_weights() -> str:
    """Return the table of weights in Markdown."""
    lines = ["| frames | method | paper's formula | POVQA's code | `time` |", "|---|---|---|---|---|"]
    for count in COUNTS:
        for method in METHODS:
            columns = (paper(method, count), weights(method, count, PoolSettings(weights="povqa")), weights(method, count, PoolSettings()))
            lines.append(f"| {count} | {method} | " + " | ".join(in_figures(column) for column in columns) + " |")
    return "\n".join(lines)


def table_of_drift() -> str:
    """Return in Markdown by how much POVQA's names for its windows are behind (+) or ahead (-) of the film after an hour."""
    lines = ['| frames a second | frames in its "second" | drift after 3,600 windows | `time` |', "|---|---|---|---|"]
    for rate in RATES:
        count = max(1, round(float(rate)))
        lines.append(f"| {float(rate):.6g} | {count} | {float(3600 * (count / rate - 1)):+.1f} s | 0 |")
    return "\n".join(lines)


def figure() -> str:
    """Return the figure as SVG: a panel a method, weights over the time within a window of one second."""
    key = [
        (OURS, "", "time: 24 and 60 frames a second"),
        (THEIRS, "", "POVQA's code, 24"),
        (THEIRS, "5 3", "POVQA's code, 60"),
        (PAPER, "1 3", "paper's formula, 24"),
    ]
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 560" font-family="sans-serif" font-size="13" role="img" aria-labelledby="title">',
        '<title id="title">Weight of a moment in a window of one second, in times the uniform weight, for the four methods</title>',
        '<rect width="900" height="560" fill="white"/>',
    ]
    for place, (colour, dashes, text) in enumerate(key):
        x = (50, 300, 480, 660)[place]
        parts.append(f'<path d="M{x} 20h26" stroke="{colour}" stroke-width="2.5" stroke-dasharray="{dashes}"/><text x="{x + 32}" y="24">{text}</text>')
    for place, method in enumerate(METHODS):
        parts += _panel(method, 50 + 440 * (place % 2), 60 + 255 * (place // 2))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(method: str, left: int, top: int) -> Iterator[str]:
    yield f'<text x="{left}" y="{top - 8}"><tspan font-weight="bold">{method}</tspan>{_last_frames() if method == "BBLF" else ""}</text>'
    for height in range(int(TOP) + 1):
        y = top + HIGH * (1 - height / TOP)
        yield f'<path d="M{left} {y:.0f}h{WIDE}" stroke="#dddddd"/><text x="{left - 8}" y="{y + 4:.0f}" text-anchor="end">{height}</text>'
    for tenths in (0, 5, 10):
        yield f'<text x="{left + WIDE * tenths / 10:.0f}" y="{top + HIGH + 18}" text-anchor="middle">{tenths / 10:g} s</text>'
    povqa, ours = PoolSettings(weights="povqa"), PoolSettings()
    lines = [(weights(method, 24, ours), OURS, 3.5, ""), (weights(method, 60, ours), OURS, 1.5, "")]
    lines += [(weights(method, 24, povqa), THEIRS, 1.8, ""), (weights(method, 60, povqa), THEIRS, 1.8, "5 3")]
    formula = paper(method, 24)
    lines += [] if formula is None else [(formula, PAPER, 1.8, "1 3")]
    for heights, colour, width, dashes in lines:
        yield f'<path d="{_steps(heights, left, top)}" fill="none" stroke="{colour}" stroke-width="{width}" stroke-dasharray="{dashes}"/>'


def _last_frames() -> str:
    told = []
    for count in (24, 60):
        theirs, ours = (weights("BBLF", count, PoolSettings(weights=way))[-1] for way in ("povqa", "time"))
        told.append(f"of {count}: POVQA {theirs:.2f}, time {ours:.2f}")
    return f'<tspan font-size="11">, last frame {"; ".join(told)}</tspan>'


def _steps(heights: NDArray[np.float64], left: int, top: int) -> str:
    """Return the path of a staircase, a step a frame, cut off at the top of the panel."""
    count, path = len(heights), "M"
    for place, height in enumerate(np.minimum(heights * len(heights), TOP)):
        y = top + HIGH * (1 - height / TOP)
        path += f"{left + WIDE * place / count:.1f} {y:.1f} {left + WIDE * (place + 1) / count:.1f} {y:.1f} "
    return path.strip()


def filled(page: str) -> str:
    """Return the page with its tables made anew."""
    for name, table in (("weights", table_of_weights()), ("drift", table_of_drift())):
        before, _, rest = page.partition(f"<!-- {name} -->\n")
        page = f"{before}<!-- {name} -->\n{table}\n<!-- end -->{rest.partition('<!-- end -->')[2]}"
    return page


if __name__ == "__main__":
    (DOCS / "weights.svg").write_text(figure(), encoding="utf-8")
    page = DOCS / "pooling.md"
    page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"{table_of_weights()}\n\n{table_of_drift()}\n")
