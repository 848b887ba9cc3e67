"""Texts that a model writes: what is asked, what is said, what is cut, and that a run which was ended goes on."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from store.errors import InputError
from tests.training.conftest import Studio, build_studio, sft_config
from tests.training.tuned import tuned_run
from training.asking import FILE_NAME, TextLog, WrittenText, read_texts, rows_to_ask
from training.config import RunConfig
from training.encoding import Encoder, text_counter
from training.form import preset_named
from training.frames import look_at
from training.jobs import Order, create_run, load_config, read_run
from training.pictures import pictures_seen
from training.plan import RunPlan
from training.questions import Question
from training.rows import Row, RowContext, load_set
from training.views import views_of
from training.writing import prompt_of, say, write_run

QUESTION = "why does the bar move"


@dataclass
class Listener:
    """A reporter that remembers, and asks to stop after so many texts."""

    stop_after: int = 10**9
    heard: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def emit(self, kind: str, **values: Any) -> None:
        self.heard.append((kind, values))

    def stop_asked(self) -> bool:
        return sum(kind == "text" for kind, _ in self.heard) >= self.stop_after


@dataclass(frozen=True)
class Desk:
    """A tuned run and what a writing run from it would find in its own directory."""

    studio: Studio
    directory: Path
    config: RunConfig

    def plan(self, folder: Path, questions: tuple[Question, ...] = (), **changes: Any) -> RunPlan:
        config = replace(sft_config(), **{"stage": "write", "parent_run": "tuned", "new_tokens": 8, "max_rows": 0, **changes})
        (folder / "parent").mkdir(parents=True)
        for name, source in {"dataset": "dataset", "media": "media", "parent/adapter": "adapter", "parent/model": "model"}.items():
            (folder / name).symlink_to(self.directory / source)
        rows = load_set(folder / "dataset").rows
        stretches = look_at(folder, [*(row.clip for row in rows), *(question.clip for question in questions)], config.longest_side_px, lambda done: None)
        return RunPlan(folder, config, () if questions else rows, (), stretches, len(rows), questions)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    studio = build_studio(tmp_path_factory.mktemp("writing") / "data")
    directory = studio.directory(tuned_run(studio))
    yield Desk(studio, directory, load_config(directory))


def question(row: Row, number: int = 0, window_s: tuple[float, float] | None = None) -> Question:
    options = ("to the left", "to the right")
    return Question(f"qa-{number}", "test", "CW", row.clip, RowContext(window_s=window_s), "unused", QUESTION, options, 1)


def test_a_set_without_questions_is_asked_what_its_rows_ask_and_each_whole_clip_for_one_narrative(desk: Desk) -> None:
    rows = load_set(desk.directory / "dataset").rows
    assert {row.id for row in rows_to_ask(rows, (), "rationale")} == {row.id for row in rows if row.kind == "rationale"}
    told = rows_to_ask(rows, (), "narrative")
    assert {row.id for row in told} == {row.clip.id for row in rows} and all("one paragraph" in row.prompt[0].content for row in told)
    with pytest.raises(InputError, match="no row of the kind answer"):
        rows_to_ask(rows, (), "answer")


def test_questions_are_asked_as_the_prompt_files_say_and_a_window_is_no_whole_clip(desk: Desk) -> None:
    row = load_set(desk.directory / "dataset").rows[0]
    asked = rows_to_ask((), [question(row)], "rationale")[0].prompt[0].content
    assert f"Question: {QUESTION}\nOptions:\nA. to the left\nB. to the right" in asked and "First give the evidence" in asked
    assert "Write the answer only" in rows_to_ask((), [question(row)], "answer")[0].prompt[0].content
    with pytest.raises(InputError, match="no whole clip"):
        rows_to_ask((), [question(row, window_s=(0.0, 1.0))], "narrative")
    assert rows_to_ask((), [question(row)], "narrative")[0].id == row.clip.id


@pytest.mark.parametrize("family", ["pipeline-check", "pipeline-check-qwen3"])
def test_the_likeliest_words_are_those_of_one_forward_pass_after_the_other(family: str, tmp_path: Path, desk: Desk) -> None:
    # What `generate` keeps between tokens must not change what is said.
    from training import model as models
    from training.tiny import build_tiny

    build_tiny(tmp_path / "model", ["What happens? A bar moves."], 3, sft_config(model=family).family.name)
    model, processor = models.load_model(str(tmp_path / "model"), "none").eval(), models.load_processor(str(tmp_path / "model"))
    config = sft_config(model=family, stage="write", new_tokens=5)
    rows = load_set(desk.directory / "dataset").rows[:1]
    stretches = look_at(desk.directory, [rows[0].clip], config.longest_side_px, lambda done: None)
    how = config.context_plan()
    views = views_of(rows, stretches, how, text_counter(processor), config.family)
    encoder = Encoder(processor, views, lambda seen: pictures_seen(desk.directory, seen, how))
    inputs = prompt_of(encoder, rows[0], torch.device("cpu"))
    assert processor.tokenizer.decode(inputs["input_ids"][0]).endswith("<|im_start|>assistant\n")
    ids: list[int] = []
    while len(ids) < config.new_tokens and (not ids or ids[-1] != processor.tokenizer.eos_token_id):
        with torch.no_grad():
            ids.append(int(model(**inputs).logits[0, -1].argmax()))
        more = {"input_ids": ids[-1], "attention_mask": 1, "mm_token_type_ids": 0}
        inputs = {name: torch.cat([kept, kept.new_full((1, 1), more[name])], 1) if name in more else kept for name, kept in inputs.items()}
    said = say(model, encoder, processor, rows[0], config)
    assert (said.text, said.tokens) == (processor.tokenizer.decode(ids, skip_special_tokens=True).strip(), len(ids))
    assert said.cut == (ids[-1] != processor.tokenizer.eos_token_id)


def test_a_run_writes_a_text_for_each_thing_and_goes_on_where_it_was_stopped(desk: Desk, tmp_path: Path) -> None:
    whole = write_run(desk.plan(tmp_path / "whole", writes="narrative", temperature=1.0), Listener())
    assert whole["texts"]["written"] == whole["texts"]["of"] == 3 and not whole["stopped_early"]
    plan = desk.plan(tmp_path / "halves", writes="narrative", temperature=1.0)
    half = write_run(plan, Listener(stop_after=1))
    assert half["stopped_early"] and half["reason"] == "Stopped as asked; 1 of 3 texts are written, 1 of them cut."
    with (plan.directory / FILE_NAME).open("ab") as file:
        file.write(b'{"row": "half a l')
    assert write_run(plan, Listener())["texts"]["written"] == 3
    first, second = (read_texts(folder / FILE_NAME) for folder in (tmp_path / "whole", plan.directory))
    # Drawn at a temperature, yet the same: the seed follows from the row, not from what was written before.
    assert [replace(one, seconds=0) for one in first] == [replace(one, seconds=0) for one in second]
    assert all(one.tokens <= 8 and one.cut == (one.tokens == 8) for one in first)


def test_the_adapter_writes_otherwise_than_its_base(desk: Desk, tmp_path: Path) -> None:
    row = load_set(desk.directory / "dataset").rows[0]
    by_adapter = desk.plan(tmp_path / "adapter", (question(row),), writes="rationale")
    alone = desk.plan(tmp_path / "base", (question(row),), writes="rationale", parent_run=None)
    (alone.directory / "model").symlink_to(desk.directory / "model")
    assert write_run(by_adapter, Listener())["writer"] == "tuned" and write_run(alone, Listener())["writer"] is None
    said = [read_texts(plan.directory / FILE_NAME)[0] for plan in (by_adapter, alone)]
    assert said[0].text != said[1].text and {one.row for one in said} == {"qa-0"}


def test_the_file_of_texts_keeps_characters_that_look_like_line_ends(tmp_path: Path) -> None:
    odd = WrittenText("r", "c", "answer", "one\u2028two\x85three\nfour", 4, False, 0.0)
    with TextLog(tmp_path / FILE_NAME) as log:
        log.add(odd)
    assert read_texts(tmp_path / FILE_NAME) == (odd,)


def test_the_runs_own_process_writes_and_what_is_cut_is_told(desk: Desk) -> None:
    parent = read_run(desk.studio.data, desk.directory.name)
    config = preset_named("Pipeline check (write)").config(parent_run=parent.id, writes="narrative", max_rows=2, new_tokens=4)
    run = create_run(desk.studio.data, Order("", config, desk.studio.sets["sft"], "process"))
    directory, status = desk.studio.done(run)
    result = json.loads((directory / "result.json").read_text())
    assert (status.state, result["texts"]["written"], result["writer"]) == ("finished", 2, parent.id)
    assert result["texts"]["cut"] == sum(one.cut for one in read_texts(directory / FILE_NAME)) and "of them cut" in status.reason
