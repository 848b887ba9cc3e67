"""The part of the page about adapters: what its handlers return, without a browser."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from store.clips import add_clip, add_media, add_qa_pair
from store.context import Context
from store.database import open_store
from store.errors import InputError, NotFoundError, RefusedError
from store.records import Clip, Media, QAPair, Run
from store.rows import utc_now
from tests.training.conftest import HEIGHT, WIDTH, Studio, build_studio
from tests.training.test_registering import Line, make_line
from training.asking import FILE_NAME, TextLog, WrittenText
from training.form import preset_named
from training.jobs import Order, create_run
from training.trial import BASE, Answer, Trial, Tried
from training.ui import adapters as page_module
from training.ui.adapters import AdaptersPage, adapter_table, build_adapters, tried_html


@dataclass
class Sent:
    """What was asked to be queued."""

    asked: list[tuple[str, str, int]] = field(default_factory=list)

    def take(self, run_id: str, name: str, wanted: int) -> str:
        self.asked.append((run_id, name, wanted))
        return "Of 1 texts <1> is queued."


@dataclass(frozen=True)
class Desk:
    line: Line
    page: AdaptersPage
    sent: Sent
    writer: Run

    @property
    def studio(self) -> Studio:
        return self.line.studio


def unguarded(function: Callable[..., Any]) -> Callable[..., Any]:
    return function


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    line, sent = make_line(tmp_path_factory.mktemp("page") / "data"), Sent()
    config = preset_named("Pipeline check (write)").config(parent_run=line.sft.id, writes="narrative")
    writer = create_run(line.data, Order("the words", config, line.studio.sets["sft"], "write"))
    with TextLog(line.data / writer.directory / FILE_NAME) as log:
        log.add(WrittenText("clip-1", "clip-1", "narrative", "A bar moves.", 4, False, 0.5))
    with open_store(line.data) as db:
        for name, digest in line.studio.digests.items():
            add_media(db, Media(digest, f"{name}.mp4", 1, "mp4", "h264", None, WIDTH, HEIGHT, 0, 2.0, 24, True, None, "ok", None, utc_now()), None)
            add_clip(db, Clip(f"clip-{name}", "colours", name, f"{name}.mp4", digest, 0.0, None, name, "test"))
        add_qa_pair(db, QAPair("qa", "clip-red", "1", "which way", "right", ("left", "right"), 1, None, None, None, None))
    yield Desk(line, AdaptersPage(Context(line.data, unguarded, lambda *_: pytest.fail("not called"), sent.take)), sent, writer)


def test_the_table_and_the_choices_are_those_of_the_registry(desk: Desk) -> None:
    table, adapter, several, wrote = desk.page.load()
    assert "| the second | dpo | the first |" in table and "| the first | sft | the base |" in table and "| 6 |" in table
    assert {value for _, value in adapter["choices"]} == {desk.line.sft.id, desk.line.dpo.id}
    assert several["value"] in ([desk.line.sft.id, desk.line.dpo.id], [desk.line.sft.id])
    assert wrote["choices"] == [("the words · 1 texts", desk.writer.id)]


def test_lineage_is_told_of_adapters_and_of_texts(desk: Desk) -> None:
    desk.page.load()
    told = desk.page.describe(desk.line.sft.id)
    assert "learnt in the first" in told and f"used by the words (write, run {desk.writer.id})" in told and "used by the second (dpo" in told
    assert "the second (dpo" in desk.page.seen(" pair-1 ") and desk.page.describe(None) == "No adapter is chosen."
    with pytest.raises(NotFoundError):
        desk.page.seen("nothing")
    with pytest.raises(InputError, match="There is no id"):
        desk.page.seen(" ")


def test_a_clip_is_found_by_words_and_brings_its_questions(desk: Desk) -> None:
    clips, said = desk.page.clips("colours re")
    assert clips["choices"] == [("colours · green", "clip-green"), ("colours · red", "clip-red")] and said.startswith("2 clips")
    assert desk.page.questions("clip-red")["choices"] == [("which way", "qa")] and desk.page.questions(None)["choices"] == []


def test_a_trial_asks_what_was_chosen_and_shows_words_as_words(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Trial] = []

    def answer(data: Path, trial: Trial) -> Tried:
        asked.append(trial)
        return Tried((Answer(BASE, None, "<b>I</b> see", 3, False, 0.1), Answer("the <first>", "id", "", 7, True, 0.2)), 4.5)

    monkeypatch.setattr(page_module, "ask_trial", answer)
    shown = desk.page.ask("clip-red", "qa", "rationale", [desk.line.sft.id], 7)
    assert (asked[0].run_ids, asked[0].new_tokens, asked[0].kind) == ((desk.line.sft.id,), 7, "rationale") and "B. right" in asked[0].prompt
    assert "&lt;b&gt;I&lt;/b&gt; see" in shown and "the &lt;first&gt;" in shown and "(no words)" in shown and "loaded in 4.5 s" in shown
    assert shown.count("Cut:") == 1
    chosen = [desk.line.sft.id]
    for wrong in (
        ("clip-red", "", "answer", chosen, 7),
        ("clip-red", "qa", "answer", [], 7),
        (None, "qa", "answer", chosen, 7),
        ("clip-red", "qa", "answer", chosen, 0),
        ("clip-red", "qa", "answer", chosen, None),
    ):
        with pytest.raises(InputError):
            desk.page.ask(*wrong)


def test_texts_are_sent_by_the_act_that_the_page_was_handed(desk: Desk) -> None:
    assert "&#60;1&#62;" in desk.page.send(desk.writer.id, "November", 3.0)
    assert desk.sent.asked == [(desk.writer.id, "November", 3)]
    desk.page.send(desk.writer.id, "November", None)
    assert desk.sent.asked[-1][2] == 0, "a field that was emptied is refused in a sentence by the act itself"
    with pytest.raises(InputError, match="No run of the stage write"):
        desk.page.send(None, "November", 3)
    bare = AdaptersPage(Context(desk.line.data, unguarded, lambda *_: pytest.fail("not called")))
    with pytest.raises(RefusedError):
        bare.send(desk.writer.id, "November", 3)


def test_an_export_says_where_it_lies_and_shows_its_card(desk: Desk) -> None:
    desk.page.load()
    said, card = desk.page.export(desk.line.dpo.id)
    folder = next((desk.line.data / "exports").glob("adapter-*"))
    assert said.startswith("Made: ") and folder.name in said and card.strip().startswith("# the second")
    assert json.loads((folder / "release.json").read_text())["run_id"] == desk.line.dpo.id
    assert desk.page.export(desk.line.dpo.id)[0].startswith("It was there already")
    with pytest.raises(InputError, match="No adapter is chosen"):
        desk.page.merge(None)


def test_without_adapters_the_page_says_what_makes_one(tmp_path: Path) -> None:
    studio = build_studio(tmp_path / "data")
    table, adapter, several, wrote = AdaptersPage(Context(studio.data, unguarded, lambda *_: pytest.fail("not called"))).load()
    assert table == adapter_table([]) and "has ended" in table and adapter["choices"] == several["choices"] == wrote["choices"] == []


def test_every_handler_of_the_part_goes_through_the_guard_and_every_id_is_its_own(desk: Desk) -> None:
    guarded: list[Any] = []

    def guard(function: Callable[..., Any]) -> Callable[..., Any]:
        def inner(*values: Any) -> Any:
            return function(*values)

        guarded.append(inner)
        return inner

    with gr.Blocks() as blocks, gr.Tab("Adapters") as tab:
        build_adapters(Context(desk.line.data, guard, lambda *_: pytest.fail("not called")), tab)
    assert len(guarded) >= 9 and all(one.fn in guarded for one in blocks.fns.values())
    ids = [block.elem_id for block in blocks.blocks.values() if block.elem_id]
    assert len(ids) == len(set(ids)) and all(one.startswith("train-") for one in ids)


def test_nothing_is_shown_of_no_answer() -> None:
    assert "<section>" not in tried_html(Tried((), 0.0))
