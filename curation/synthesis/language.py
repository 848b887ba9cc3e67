"""Whether a text is in another language than the words that it was made from."""

import functools
import re
from dataclasses import dataclass
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
# A piece of a text of whose words so many stand in its source is in the source's language: most pieces are, and need no model.
SHARED_WORDS = 0.4
# Words of English that hardly stand in other languages. Of a source in which so many of all words are among them, they are the words too.
ENGLISH = frozenset(
    re.findall(
        r"\w+",
        "the of and with his her him he she it they them their this that these those then there who which what why how when where while after before from into "
        "to at by behind near is are was were does did do has have had be been being for as on in out up down its or not but until another something",
    )
)
ENGLISH_SHARE = 0.3
# Sentences are judged together up to so many bytes or a quarter of the text, and so much of a source is looked at: more is no surer, and takes longer.
PIECE_BYTES, PIECES, SOURCE_CHARACTERS = 50, 4, 600
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
# Letters, the marks on them included: what is no number and no sign.
_LETTERS = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True)
class _Piece:
    """A stretch of text, with its size: words, and bytes of letters in UTF-8, of which a sign of a denser script has more."""

    text: str
    words: int
    bytes: int

    @classmethod
    def of(cls, text: str) -> "_Piece":
        return cls(text, len(text.split()) + len(_UNSPACED.findall(text)), len("".join(_LETTERS.findall(text)).encode()))

    @property
    def is_long(self) -> bool:
        return self.words >= FEWEST_WORDS and self.bytes >= FEWEST_BYTES

    def __add__(self, other: "_Piece") -> "_Piece":
        return _Piece(f"{self.text} {other.text}", self.words + other.words, self.bytes + other.bytes)


def is_foreign(text: str, source: str) -> bool | None:
    """Return whether a third of a text or more is in none of the languages that its source may be in; None when either is too short.

    It is judged some sentences at a time, by a model only where few words are the source's; its first call takes most of a second and 100 MB.
    """
    whole = _Piece.of(text)
    if not (_Piece.of(source).is_long and whole.is_long):
        return None
    said = _words(source)
    if len(said & ENGLISH) >= ENGLISH_SHARE * len(said):
        said |= ENGLISH
    strange = [piece for piece in _pieces(text, max(PIECE_BYTES, whole.bytes // PIECES)) if not _shares(piece, said)]
    if sum(piece.bytes for piece in strange) < FOREIGN_SHARE * whole.bytes:
        return False
    known = {language for language, share in _identifier().rank(source[:SOURCE_CHARACTERS]) if share >= PROBABLE}
    return sum(piece.bytes for piece in strange if _foreign(piece.text, known)) >= FOREIGN_SHARE * whole.bytes


def _shares(piece: _Piece, said: frozenset[str]) -> bool:
    words = _words(piece.text)
    return len(words & said) >= SHARED_WORDS * len(words)


def _words(text: str) -> frozenset[str]:
    return frozenset(_LETTERS.findall(text.lower()))


def _foreign(words: str, known: set[str]) -> bool:
    return sum(float(share) for language, share in _identifier().rank(words) if language in known) < PROBABLE


def _pieces(text: str, least_bytes: int) -> list[_Piece]:
    """Return stretches of whole sentences, of so many bytes or more, that can be judged; what is left at the end goes with the last one."""
    pieces: list[_Piece] = []
    for sentence in (_Piece.of(text[span.start : span.end]) for span in sentence_claims(text)):
        if pieces and not (pieces[-1].is_long and pieces[-1].bytes >= least_bytes):
            pieces[-1] += sentence
        else:
            pieces.append(sentence)
    if len(pieces) > 1 and not pieces[-1].is_long:
        pieces[-2:] = [pieces[-2] + pieces[-1]]
    return pieces


@functools.cache
def _identifier() -> "LanguageIdentifier":
    # Only who judges an answer waits for the model.
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
