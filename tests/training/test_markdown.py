"""Words inside Markdown stay words."""

import html

from hypothesis import given
from hypothesis import strategies as st

from training.markdown import plain, plain_cell


def test_plain_words_stay_as_they_are() -> None:
    assert plain("Frozen on 3 May, 14 rows. All is well.") == "Frozen on 3 May, 14 rows. All is well."
    assert plain("first\nsecond") == "first<br>second"


@given(st.text())
def test_a_browser_shows_the_same_words_and_finds_no_markup(text: str) -> None:
    made = plain_cell(text, limit=10_000)
    assert html.unescape(made).split() == text.split() or "\x00" in text or not text.isprintable()
    entities_only = made.replace("&#", "")
    assert not set("`*_[]<>|!~$:@\\") & set(entities_only)


def test_nothing_at_the_start_makes_a_list_or_a_heading() -> None:
    assert [plain(text)[0] for text in ("- a", "+ a", "# a", "= a")] == ["&"] * 4
    assert plain("1. a") == "1&#46; a"
    assert "www.e" not in plain("www.e.org")
