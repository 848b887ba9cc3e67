"""One importer a file; each reads rows and yields the same drafts. FORMATS names them all."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from curation.datasets import jsonl, nextgqa, nextqa, reasonvqa, star, texts, tvqa
from curation.datasets.drafts import Item
from curation.datasets.sources import Source
from store.errors import InputError


@dataclass(frozen=True)
class Format:
    """A kind of annotation file: its reader, what the file calls a question's id, and one sentence for the person."""

    name: str
    read: Callable[[Source], Iterator[Item]]
    id_column: str
    sentence: str


FORMATS = {
    format.name: format
    for format in (
        Format("nextqa", nextqa.read, "qid", "NExT-QA question table (CSV): multiple choice with a0 to a4, or open-ended without."),
        Format("nextgqa", nextgqa.read, "qid", "NExT-GQA question table (CSV) with its gsub JSON: when the answer is seen, for NExT-QA's questions."),
        Format("reasonvqa", reasonvqa.read, "index", "ReasonVQA annotations of one film (JSON array): pause, window, answer and a person's reasoning."),
        Format("tvqa", tvqa.read, "qid", "TVQA questions (JSON lines): five options and the span of the clip that they are about."),
        Format("tvqaplus", tvqa.read, "qid", "TVQA+ questions (one JSON array): as TVQA, with the span as a list."),
        Format("star", star.read, "question_id", "STAR question table (CSV): four options about a piece of a Charades video."),
        Format("jsonl", jsonl.read, "id", "Our own format (JSON lines): clips, questions, subtitles and candidate texts; see docs/formats.md."),
        Format("texts", texts.read, "id", "Texts written elsewhere (CSV): clip, qa, text and generator, about clips and questions that are here."),
    )
}


def read_texts(source: Source) -> Iterator[Item]:
    """Return the texts of a file that comes beside an annotation file: a table (.csv), or candidate records in our own format."""
    return texts.read(source) if source.file.name.lower().endswith(".csv") else jsonl.read_candidates(source)


def format_named(name: str) -> Format:
    """Return the format. Raises InputError naming those that there are."""
    if name not in FORMATS:
        raise InputError(f"{name!r} is no format. There are: {', '.join(FORMATS)}.")
    return FORMATS[name]
