"""docs/pooling.md and its figure show the numbers that the code gives."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from docs.weights import figure, filled, weights
from training.windows import METHODS, PoolSettings

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "pooling.md").read_text(encoding="utf-8")


def test_the_page_shows_what_the_code_gives() -> None:
    assert filled(PAGE) == PAGE, "run python -m docs.weights"
    wrong = PAGE.replace("| 24 | WAE | not known | 0.153", "| 24 | WAE | not known | 0.154")
    assert wrong != PAGE and filled(wrong) == PAGE, "the control: another number is seen"


def test_the_tables_rows_are_the_weights_themselves() -> None:
    rows = re.findall(r"^\| (\d+) \| (WA|WAE|WAR|BBLF) \| [^|]+ \| ([\d.]+) / [^|]+ \| ([\d.]+) /", PAGE, re.M)
    assert len(rows) == 4 * len(METHODS)
    for count, method, theirs, ours in rows:
        assert float(theirs) == pytest.approx(weights(method, int(count), PoolSettings(weights="povqa"))[-1], abs=5e-4)
        assert float(ours) == pytest.approx(weights(method, int(count), PoolSettings())[-1], abs=5e-4)


def test_the_figure_is_drawn_from_the_code() -> None:
    assert (DOCS / "weights.svg").read_text(encoding="utf-8") == figure(), "run python -m docs.weights"
    assert len(ET.fromstring(figure()).findall(".//{*}path[@fill='none']")) == 4 * 4 + 2, (
        "two lines of ours and two of POVQA's, and the paper's where it is known"
    )


def test_the_half_life_told_is_the_default_and_povqas_gamma() -> None:
    assert f"half-life of {PoolSettings().half_life_s:g} s" in PAGE
    assert 0.5 ** (1 / 24 / PoolSettings().half_life_s) == pytest.approx(0.85, abs=5e-4)
