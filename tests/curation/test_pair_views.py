"""What the Pairs and Agreement pages show: escaped, blind, and readable without colour."""

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from curation.contrast import Subject
from curation.pairing import Evidence
from curation.selecting import Selection
from curation.study.agreement import agreement_table
from curation.ui.agreement import plot_svg, table_html
from curation.ui.pair_views import counts_html, list_html, pair_html
from store.records import PreferencePair
from tests.curation.annotating import annotate, memory_store
from tests.seeds import seed_project

NASTY = st.one_of(
    st.text(min_size=1),
    st.sampled_from(["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "' autofocus onfocus='alert(1)", "&lt;b&gt;", "</p><h1>"]),
)
OURS = {
    "div",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "button",
    "p",
    "section",
    "video",
    "h3",
    "h4",
    "ol",
    "ul",
    "li",
    "b",
    "article",
    "ins",
    "del",
    "mark",
    "small",
    "a",
}
EVENTS = ("onerror", "onfocus", "onclick", "autofocus")


class Reader(HTMLParser):
    """Collects tags, attributes and text by the tag around it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def pair_of(evidence: Evidence, pair_id: str = "pair") -> PreferencePair:
    return PreferencePair(pair_id, "s", "rationale", "c", "r", "edit", evidence.to_json(), "proposed", "")


@given(NASTY, NASTY, NASTY, NASTY)
def test_no_word_of_the_data_becomes_markup(question: str, chosen: str, rejected: str, name: str) -> None:
    subject = Subject("rationale", name, name, question, (name, chosen), rejected, "0" * 64, 0.0, 1.5)
    pair = pair_of(Evidence(annotators=(name,), flags=(question,)), name)
    shown = [
        pair_html(pair, subject, chosen, rejected),
        list_html([(pair, subject)], name, 1, 0),
        counts_html({}, Selection((), {name: 1}, {}), "accepted"),
    ]
    for html in shown:
        seen = Reader(html)
        assert seen.tags <= OURS
        assert not seen.attributes & set(EVENTS)
    texts = " ".join(Reader(shown[0]).text.split())
    assert all(" ".join(word.split()) in texts for word in (question, chosen.split()[0] if chosen.split() else ""))


def test_the_control_the_reader_sees_markup_that_is_not_escaped() -> None:
    assert "script" in Reader("<p><script>1</script></p>").tags
    assert "onerror" in Reader("<img src=x onerror=alert(1)>").attributes


def test_differences_are_marked_by_line_and_weight_and_left_unmarked_where_all_differs() -> None:
    subject = Subject("narrative", "id", "clip", None, (), None, None, 0.0, None)
    alike = pair_html(pair_of(Evidence()), subject, "a man in red runs to the door", "a man in blue runs to the door")
    assert "<ins>red</ins>" in alike
    assert "<del>blue</del>" in alike
    apart = pair_html(pair_of(Evidence()), subject, "one two three four", "five six seven eight")
    assert not Reader(apart).tags & {"ins", "del"}
    assert "share few words" in apart
    assert "No file of this clip can be played" in apart
    assert 'href="/frames?clip=id"' in apart


def test_agreement_shows_n_and_reasons_and_never_nan() -> None:
    with memory_store() as db:
        seeded = seed_project(db)
        empty = agreement_table(db)
        annotate(db, seeded.rationale, "ann", "accept")
        annotate(db, seeded.rationale, "bo", "reject", ["other"])
        annotate(db, seeded.rival, "bo", "reject", ["other"])
        rows = agreement_table(db)
    for table in (empty, rows):
        shown = table_html(table) + plot_svg(table)
        assert "nan" not in Reader(shown).text.lower()
        assert "None" not in Reader(shown).text
        assert all(row.reason is None or row.reason in Reader(shown).text for row in table)
    assert "n = 1 pairs" in table_html(rows)
    assert "undefined (n = 0 items)" in plot_svg(empty)
    assert plot_svg(rows).count("<circle") == sum(row.alpha is not None for row in rows)
