"""What the page shows of what the model gets: whose words, which of them are learnt, which pictures, and what is left out."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.context import Context
from store.errors import InputError
from tests.training.conftest import Studio, freeze_rows, row_of, sft_config
from training.config import RunConfig
from training.context import PRESETS as PLANS
from training.context import Dropped
from training.presets import plan_values
from training.preview import Picture, Preview, Segment, Side, ask_preview
from training.rows import FrozenSet, load_set
from training.ui.preview import ANY, CSS, Previewer, pick, preview_html, rows_like

TOLD = {"lines": [[0.1, 0.4, "Look, <b>a bar</b>!"], [1.0, 1.4, "It moves."]], "pause_s": 1.0, "window_s": None}
INTERLEAVED = sft_config(**plan_values(replace(PLANS["train-16"], frames=2)))
A_PIXEL = "data:image/jpeg;base64,AAAA"


@pytest.fixture(scope="module")
def asked(shared_studio: Studio) -> Preview:
    """The preview of one pair, made by a real child process."""
    digest = shared_studio.digests["green"]
    pairs = freeze_rows(shared_studio.data, "dpo", [row_of(n, digest, "dpo", context=TOLD) for n in range(4)], "to look at")
    model = "no-such-organisation/no-such-model"
    given = {name: getattr(INTERLEAVED, name) for name in plan_values(INTERLEAVED.context_plan())}
    config = replace(sft_config(), **given, model=model, stage="dpo", beta=0.1, loss_types=("sigmoid",), loss_weights=(1.0,), parent_run="r")
    return ask_preview(shared_studio.data, shared_studio.data / pairs.directory, "dpo-1", config)


def test_a_pair_is_shown_whole_on_both_sides_with_only_its_reply_learnt(asked: Preview) -> None:
    assert (asked.row_id, asked.split, asked.kind, asked.layout) == ("dpo-1", "train", "rationale", "interleaved")
    assert [side.name for side in asked.sides] == ["chosen", "rejected"]
    texts = ["A bar moves to the right in clip 1.", "Nothing at all is to be seen here."]
    for side, text in zip(asked.sides, texts, strict=True):
        assert [segment.text for segment in side.segments if segment.learnt] == [text + "<|im_end|>"]
        assert side.total == sum(segment.tokens for segment in side.segments)
        assert side.visual == sum(segment.tokens for segment in side.segments if segment.is_picture) == 3 * 6
        assert 'It moves."' in "".join(segment.text for segment in side.segments)
    assert [(picture.kind, picture.width, picture.height) for picture in asked.pictures] == [("frame", 84, 56), ("key", 84, 56), ("frame", 84, 56)]
    assert [picture.start_s for picture in asked.pictures] == [0.375, 1.0, 1.125]


def test_a_model_whose_processor_is_elsewhere_is_told_and_its_place_taken_by_the_pipeline_checks(asked: Preview) -> None:
    (note,) = asked.notes
    assert "no-such-organisation/no-such-model is not on this machine" in note and "as in the pipeline check" in note


def test_why_there_is_no_preview_is_a_sentence(shared_studio: Studio) -> None:
    directory = shared_studio.data / shared_studio.sets["sft"].directory
    with pytest.raises(InputError, match="has no row nobody"):
        ask_preview(shared_studio.data, directory, "nobody", INTERLEAVED)
    with pytest.raises(InputError, match=r"took longer than 0\.01 s"):
        ask_preview(shared_studio.data, directory, "sft-1", INTERLEAVED, takes_s=0.01)


def preview_of(**changes: object) -> Preview:
    segments = (Segment("read ", 2, False, False), Segment("", 6, False, True), Segment("learnt<|im_end|>", 4, True, False))
    made = Preview("r", "train", "narrative", "block", 100, (Side("reply", segments, 12, 6, 4),), (Picture(A_PIXEL, 84, 56, 0.5, 0.5, "frame"),), (), ())
    return replace(made, **changes)


class Reader(HTMLParser):
    """Gathers the tags of a page and its text, and apart the text that is marked as learnt."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = self.marked = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self.tags.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.tags and self.tags[-1] == "mark":
            self.marked += data


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    return reader


@given(st.text(alphabet=st.characters(exclude_characters="\r\0", exclude_categories=["Cs"])))
def test_every_word_is_shown_as_it_is_and_none_is_taken_for_markup(words: str) -> None:
    words = f"<img src=x onerror=alert(1)>&amp;{words}"
    side = Side("reply", (Segment(words, 1, False, False), Segment(words, 1, True, False)), 2, 0, 1)
    html = preview_html(preview_of(row_id=words, split=words, kind=words, sides=(side,), dropped=(Dropped("line", words, words),), notes=(words,)))
    found, plain = read(html), read(preview_html(preview_of(sides=(replace(side, segments=(Segment("a", 1, False, False), Segment("b", 1, True, False))),),
                                                           dropped=(Dropped("line", "c", "d"),), notes=("e",))))  # fmt: skip
    assert found.tags == plain.tags, "no tag but the page's own"
    assert found.text.count(words) >= 7 and found.marked.endswith(words)


def test_learnt_words_stand_apart_by_more_than_colour_and_counts_add_up() -> None:
    found = read(preview_html(preview_of()))
    assert found.marked.endswith("learnt<|im_end|>") and "read" not in found.marked.removeprefix("green and underlined")
    assert "12 tokens of at most 100: 6 of pictures, 6 of text, 4 of which bear the loss." in found.text
    assert "video: 6 tokens" in read(preview_html(preview_of(layout="video"))).text
    assert "picture 1: 6 tokens" in found.text and "1: frame, 0.50 s" in found.text
    assert "Nothing that was asked for is left out" in found.text
    assert re.search(r"mark {[^}]*underline", CSS)


def test_a_row_that_is_too_long_and_one_without_pictures_say_so() -> None:
    assert "a run with this row is refused" in preview_html(preview_of(max_tokens=11))
    assert "refused" not in preview_html(preview_of(max_tokens=12)), "the control"
    assert "words alone" in preview_html(preview_of(pictures=()))


@pytest.fixture
def frozen(tmp_path: Path) -> FrozenSet:
    return load_set(tmp_path / freeze_rows(tmp_path, "sft", [row_of(n, "0" * 64) for n in range(8)]).directory)


def test_rows_are_found_by_split_and_kind_and_then_by_number_or_id(frozen: FrozenSet) -> None:
    assert [row.id for row in rows_like(frozen, "validation", ANY)] == ["sft-6", "sft-7"]
    rationales = rows_like(frozen, "train", "rationale")
    assert [row.id for row in rationales] == ["sft-1", "sft-3", "sft-5"]
    assert pick(rationales, " 2 ").id == pick(rationales, "sft-3").id == "sft-3"
    with pytest.raises(InputError, match="No row of this set"):
        pick(rows_like(frozen, "test", ANY), "1")
    for which in ("0", "4", "-1", "sft-2", "", "²", "9" * 5000):
        with pytest.raises(InputError, match="from 1 to 3"):
            pick(rationales, which)


def test_the_page_says_in_place_why_it_shows_nothing(shared_studio: Studio) -> None:
    def config(set_id: str | None) -> tuple[RunConfig, str | None]:
        return INTERLEAVED, set_id

    show = Previewer(Context(shared_studio.data, lambda fn: fn, SimpleNamespace), config).show
    assert "There is no curated set" in show(ANY, ANY, "1", None)
    said = show(ANY, ANY, "<b>", shared_studio.sets["sft"].id)
    assert 'role="alert"' in said and "&lt;b&gt;" in said and "<b>" not in said
    questions = freeze_rows(shared_studio.data, "questions", [row_of(0, shared_studio.digests["red"])], "to be asked")
    assert "Rows for SFT and DPO are shown here" in show(ANY, ANY, "1", questions.id)
