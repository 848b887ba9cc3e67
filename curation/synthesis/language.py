"""Whether a text is in another language than the words that it was made from."""

import functools
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from curation.claims import sentence_claims

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

# Fewer words, or fewer bytes of letters in UTF-8, are too little to judge by. A sign of a script that is written without spaces counts as a word.
FEWEST_WORDS, FEWEST_BYTES = 6, 30
# A language that is less probable than this is not that of a text.
PROBABLE = 0.05
# A quotation or the words on a sign may be foreign; such a share of a text may not.
FOREIGN_SHARE = 1 / 3
# Sentences are judged together up to so many bytes, and so much of a source is looked at: longer is no surer, and takes longer.
PIECE_BYTES, SOURCE_CHARACTERS = 50, 600
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
# Letters, the marks on them included: what is no number and no sign.
_LETTERS = re.compile(r"[^\W\d_]")


def is_foreign(text: str, source: str) -> bool | None:
    """Return whether a third of a text or more is in none of the languages that its source may be in; None when either is too short.

    It is judged some sentences at a time. The first call takes most of a second and 100 MB.
    """
    if not (_is_long(source) and _is_long(text)):
        return None
    known = {language for language, share in _identifier().rank(source[:SOURCE_CHARACTERS]) if share >= PROBABLE}
    pieces = list(_pieces(text))
    return sum(_bytes(words) for words in pieces if _foreign(words, known)) >= FOREIGN_SHARE * sum(map(_bytes, pieces))


def _foreign(words: str, known: set[str]) -> bool:
    return sum(float(share) for language, share in _identifier().rank(words) if language in known) < PROBABLE


def _pieces(text: str) -> Iterator[str]:
    """Yield stretches of whole sentences that can be judged; what is left at the end goes with the last one."""
    spans = sentence_claims(text)
    start = 0
    for span in spans:
        if _bytes(text[start : span.end]) >= PIECE_BYTES and _is_long(text[start : span.end]) and _is_long(text[span.end :]):
            yield text[start : span.end]
            start = span.end
    yield text[start:]


def _is_long(text: str) -> bool:
    return len(text.split()) + len(_UNSPACED.findall(text)) >= FEWEST_WORDS and _bytes(text) >= FEWEST_BYTES


def _bytes(text: str) -> int:
    """Return the bytes of letters in UTF-8: a sign of a denser script has more."""
    return len("".join(_LETTERS.findall(text)).encode())


@functools.cache
def _identifier() -> "LanguageIdentifier":
    # Only who judges an answer waits for the model.
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
