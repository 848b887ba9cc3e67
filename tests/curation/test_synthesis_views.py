"""What the page Synthesise shows is what was written, word for word, with its marks behind; nothing that a writer says becomes markup."""

import re
from html import unescape
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from curation.synthesis.reading import Citation, Problem, Source
from curation.synthesis.subjects import Told
from curation.synthesis.trying import Shown, Tried
from curation.ui.synthesis_views import Mark, amounts, citation_marks, diff_html, problems_html, source_marks, text_html, tried_html

WORDS = st.text(st.sampled_from("ab é👦<>&\"'"), max_size=30)
MARKS = st.builds(Mark, st.integers(0, 40), st.integers(0, 40), WORDS, WORDS, st.booleans())


class Reader(HTMLParser):
    """Reads a text apart from the marks behind its stretches."""

    def __init__(self) -> None:
        super().__init__()
        self.text, self.tags, self._in_mark = "", list[str](), False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._in_mark = tag == "sup"

    def handle_endtag(self, tag: str) -> None:
        self._in_mark = False

    def handle_data(self, data: str) -> None:
        self.text += "" if self._in_mark else data


@given(WORDS, st.lists(MARKS, max_size=5))
def test_marks_change_no_letter_of_a_text_and_nothing_in_it_is_markup(text: str, marks: list[Mark]) -> None:
    reader = Reader()
    reader.feed(text_html(text, marks))
    reader.close()
    assert reader.text == text
    assert sorted(reader.tags) == sorted(["div", *["sup"] * len(marks)])


def test_a_source_shows_the_question_that_it_names_and_one_that_there_is_not_is_marked() -> None:
    pairs = [Told("a", "1", "Who runs?", "the boy", (), None, None, ()), Told("b", "2", "Where?", None, (), None, None, ())]
    first, second, unknown = source_marks([Source(0, 4, ("b", "a")), Source(4, 8, ("c",))], pairs)
    assert (first.short, first.long) == ("Q2", "Where? – answer withheld")
    assert (second.short, second.long) == ("Q1", "Who runs? – the boy")
    assert unknown.bad and not first.bad
    sound, broken = citation_marks([Citation(0, 4, 1.0, 2.5), Citation(4, 8, 9.0, 3.0, "It ends before it begins.")])
    assert sound.short == "1–2.5 s" and not sound.bad
    assert broken.bad and broken.long == "It ends before it begins."


def test_findings_have_their_count_and_what_was_looked_for_in_vain_is_said() -> None:
    html = problems_html([Problem("uncovered_pairs", 1, 3, "Not told: Q2."), Problem("unknown_sources", 0, 4, "")])
    assert "pairs not told: 1 of 3. Not told: Q2." in html
    assert "Not found: sources that there are not (0 of 4)" in html


def test_what_is_not_known_is_not_zero() -> None:
    assert amounts(None, 5, None, "USD") == "unknown tokens in, 5 out, no price given"
    assert amounts(0, 0, None, "", 0.04) == "no tokens, 0.0 s"
    assert amounts(1000, 2, 0.00123, "EUR") == "1,000 tokens in, 2 out, 0.001230 EUR"


def test_an_answer_and_what_was_sent_stand_in_their_order_and_say_that_nothing_is_stored() -> None:
    parts = (Shown("words", "[0.5 s]"), Shown("picture", source="data:image/jpeg;base64,AA", time_s=0.5), Shown("words", "<b>Tell.</b>"))
    html = tried_html(Tried(parts, ("frame 9.0 s: <i>",), reply="<script>", problem="It was blocked."), "clip <1>", (), "USD")
    places = [
        html.index(one) for one in ("It was blocked.", "&lt;script&gt;", "nothing of it is stored", "clip &lt;1&gt;", "[0.5 s]", "<img", "&lt;b&gt;Tell.")
    ]
    assert places == sorted(places)
    assert "<script>" not in html and "<i>" not in html


def test_a_diff_marks_what_came_and_what_went() -> None:
    html = diff_html(["--- old", "+++ new", "@@ -1 +1 @@", "-a <b>", "+c"])
    assert re.findall(r'<span class="(\w+)">([^<]*)', html) == [("gone", "-a &lt;b&gt;"), ("added", "+c")]
    assert unescape(diff_html([])).startswith("<p")
