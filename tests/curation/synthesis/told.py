"""QA pairs and clips in words, and strategies for them."""

from collections.abc import Sequence

from hypothesis import strategies as st

from curation.synthesis.order import Span
from curation.synthesis.subjects import Subject, Told


def pair(name: str, *spans: Span, question: str = "what does the man do", answer: str | None = "waves") -> Told:
    return Told(f"qa-{name}", name, question, answer, (), None, "TC", spans)


def clip(pairs: Sequence[Told], name: str = "one") -> Subject:
    return Subject("narrative", f"clip-{name}", None, name, "train", None, 0.0, None, 60.0, {}, tuple(pairs))


_span = st.tuples(st.integers(0, 400), st.integers(1, 100)).map(lambda drawn: (drawn[0] / 10, (drawn[0] + drawn[1]) / 10))
spans = st.lists(_span, max_size=3)
pairs = st.lists(spans, max_size=9).map(lambda drawn: [pair(str(place), *one) for place, one in enumerate(drawn)])
timed_pairs = st.lists(st.lists(_span, min_size=1, max_size=3), max_size=9).map(lambda drawn: [pair(str(place), *one) for place, one in enumerate(drawn)])
