"""The training page: light, guarded, and telling the same story after a restart."""

import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import psutil
import pytest

from store.clips import add_media, set_health
from store.context import Context
from store.database import open_store
from store.errors import ConflictError, InputError, NotFoundError, RefusedError
from store.process import ProcessMark, write_mark
from store.records import CuratedSet, Media, Run
from store.rows import utc_now
from tests.training.conftest import HEIGHT, WIDTH, Studio, freeze_rows, row_of, wait_until
from training.checkpoints import NEEDED, write_manifest
from training.config import STAGES
from training.form import FIELDS, GROUPS, preset_named, values_of
from training.jobs import load_config, read_run
from training.presets import PRESETS
from training.rows import load_set
from training.status import RunStatus, read_status
from training.ui.run_views import plot_update, table_html
from training.ui.runs import Look, RunsPage
from training.ui.setup import FREEZES, SetupPage
from training.ui.train import build
from training.watch import SERIES, Watched

SFT = PRESETS[0].config()
ROOT = Path(__file__).resolve().parents[2]


def plain(fn: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(fn)
    def guarded(*arguments: Any) -> Any:
        return fn(*arguments)

    guarded.is_guarded = True  # type: ignore[attr-defined]
    return guarded


@pytest.fixture
def page(studio: Studio) -> SetupPage:
    with open_store(studio.data) as db:
        for name, digest in studio.digests.items():
            add_media(db, Media(digest, f"{name}.mp4", 1, "mp4", "h264", None, WIDTH, HEIGHT, 0, 2.0, 24, True, None, "ok", None, utc_now()), None)

    def freeze_set(kind: str, name: str, kinds: tuple[str, ...]) -> CuratedSet:
        if kind == "questions":
            return freeze_questions(studio.data, studio.digests["blue"], name)
        rows = [row_of(n, studio.digests["red"], kind) for n in range(4)]
        return freeze_rows(studio.data, kind, rows, name)

    return SetupPage(Context(studio.data, plain, freeze_set))


def freeze_questions(data: Path, digest: str, name: str = "questions") -> CuratedSet:
    clip = {"id": "held out", "digest": digest, "start_s": 0.0, "end_s": 1.5}
    said = {"prompt": "What moves?\nA. a bar\nB. a ball", "question": "What moves?", "options": ["a bar", "a ball"], "answer": 0}
    return freeze_rows(data, "questions", [{"id": f"q{n}", "split": "test", "type": "CW", "clip": clip, "context": {}, **said} for n in range(3)], name)


def inputs(page: SetupPage, stage: str = "sft", set_id: str | None = None, **changes: Any) -> list[Any]:
    """Return what the components hold: stage, set, parent, questions, fields."""
    fields = dict(zip((field.name for field in FIELDS), values_of(SFT), strict=True)) | changes
    return [stage, set_id or page.load()[0]["value"], None, None, *fields.values()]


def press_start(page: SetupPage, set_id: str | None = None, **changes: Any) -> Any:
    runs, said, tabs = page.start("a run", *inputs(page, set_id=set_id, **changes))
    assert tabs.selected == "runs", "what was started is shown"
    return runs, said


def cancelled(page: SetupPage, run_id: str) -> RunStatus:
    directory = page.context.data / "runs" / run_id
    RunsPage(page.context).cancel(run_id)
    wait_until(lambda: read_status(directory).ended)
    return read_status(directory)


def test_importing_the_page_loads_nothing_heavy() -> None:
    heavy = ("torch", "torchvision", "transformers", "trl", "peft", "bitsandbytes", "datasets", "av", "tokenizers")
    for module in ("training.ui.train", "training.stages", "training.recipes", "training.jobs", "training.config", "training.overview"):
        script = f"import {module}, json, sys; print(json.dumps(sorted(sys.modules)))"
        loaded = set(json.loads(subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout))
        assert not loaded & set(heavy), module


def test_every_control_has_a_name_and_every_event_goes_through_the_guard(page: SetupPage) -> None:
    with gr.Blocks() as blocks:
        build(page.context)
    silent = (gr.State, gr.Timer, gr.Row, gr.Accordion)
    named = [block.elem_id for block in blocks.blocks.values() if getattr(block, "elem_id", None)]
    controls = [block for block in blocks.blocks.values() if isinstance(block, gr.components.Component) and not isinstance(block, silent)]
    nameless = [block for block in controls if not (block.elem_id or "").startswith("train-") and not isinstance(block, gr.Markdown)]
    assert not nameless and len(named) == len(set(named))
    assert {"train-start", "train-freeze", "train-run", "train-stop-save", "train-cancel", "train-resume", "train-plot-loss"} <= set(named)
    assert {"train-preview-look", "train-preview-shown", "train-layout", "train-hint", "train-course-start", "train-arms-start"} <= set(named)
    assert [tab.label for tab in blocks.blocks.values() if isinstance(tab, gr.Tab)] == ["Set up", "Runs", "Compare", "Adapters", "Plans"]
    assert len(blocks.fns) >= 20
    assert not [fn for fn in blocks.fns.values() if fn.fn is not None and not hasattr(fn.fn, "is_guarded")]


def test_the_page_opens_with_the_newest_set_and_tells_what_it_holds(page: SetupPage) -> None:
    sets, questions, parents = page.load()
    assert next(name for name, _ in sets["choices"]).startswith("sft set · 8 rows")
    assert (parents["visible"], questions["value"]) == (False, None), "an SFT run has no parent, and no questions are frozen yet"
    text, readiness, order = page.describe(*inputs(page))
    assert "Visual tokens a row: 12 (4 frames as one video, the largest of 84 x 56 pixels)" in text
    assert readiness.startswith("**Ready.**")
    assert "python -m training launch order.json" in order and json.JSONDecoder().raw_decode(order, order.index("{"))[0]["set"] == sets["value"]
    _, refused, _ = page.describe(*inputs(page, model="/no/such/folder"))
    assert refused.startswith("**Not ready for this model.** The pipeline check can still be run")


def test_freezing_chooses_the_new_set_where_it_can_be_used(page: SetupPage) -> None:
    sets, questions, said = page.freeze("sft", "Accepted narratives and rationales", " first round ", None)
    assert said == "Frozen: first round, 4 rows."
    assert sets["value"] in [value for _, value in sets["choices"]] and len(sets["choices"]) == 2
    again, questions, said = page.freeze("sft", "Held-out questions", "", None)
    assert said == "Frozen: Held-out questions, 3 rows." and questions["value"] == questions["choices"][0][1]
    assert again == gr.skip(), "questions are no set to learn from: what was chosen stays"
    assert page.freeze("evaluate", "Held-out questions", "", None)[0]["visible"] is False, "what is evaluated is chosen as questions"


def test_each_thing_to_freeze_asks_for_its_kind_and_rows(page: SetupPage) -> None:
    asked: list[Any] = []

    def freeze_set(*order: Any) -> CuratedSet:
        asked.append(order)
        return freeze_rows(page.context.data, "sft", [row_of(0, "0" * 64)], "any")

    spy = SetupPage(Context(page.context.data, plain, freeze_set))
    for what in FREEZES:
        spy.freeze("sft", what, "x", None)
    assert [(kind, kinds) for kind, _, kinds in asked] == [
        ("sft", ("narrative", "rationale")),
        ("sft", ("answer",)),
        ("sft", ("narrative", "rationale", "answer")),
        ("dpo", ()),
        ("dpo", ("correctness",)),
        ("questions", ()),
    ]


def test_one_form_starts_one_run_and_a_changed_form_another(page: SetupPage) -> None:
    runs, said = press_start(page)
    again, said_again = press_start(page)
    assert said == "a run is started." and "was started already and goes on" in said_again
    assert runs["value"] == again["value"] and len(again["choices"]) == 1
    cancelled(page, runs["value"])
    after, said_after = press_start(page)
    again, _ = press_start(page)
    assert said_after == "a run is started." and after["value"] == again["value"] != runs["value"], "what has ended can be started anew, once"
    other, _ = press_start(page, seed=2)
    assert other["value"] not in (runs["value"], after["value"]) and len(other["choices"]) == 3
    for run_id in (after["value"], other["value"]):
        assert cancelled(page, run_id).state == "stopped"


def test_what_cannot_be_run_is_refused_before_anything_is_made(page: SetupPage) -> None:
    with pytest.raises(RefusedError, match="no folder on this machine"):
        press_start(page, model="/no/such/folder")
    with pytest.raises(InputError, match="Seed is empty"):
        press_start(page, seed=None)
    with pytest.raises(InputError, match="no curated set"):
        page.start("", "sft", None, None, None, *values_of(SFT))
    assert not (page.context.data / "runs").exists()


def test_the_page_shows_a_run_from_its_start_to_its_end_and_after_a_restart(page: SetupPage) -> None:
    runs, _ = press_start(page, epochs=1)
    run_id, watching, seen, look = runs["value"], RunsPage(page.context), [], Look()

    def ended() -> bool:
        nonlocal look
        *shown, look = watching.watch(run_id, look)
        seen.append(shown)
        return read_status(page.context.data / read_run(page.context.data, run_id).directory).ended

    wait_until(ended)
    ended()
    table, status, log, command, stop, cancel, again, *plots = watching.watch(run_id, Look())[:-1]
    assert f'data-run="{run_id}" aria-selected="true"' in table and ">finished<" in table
    assert "step 3 of 3" in status and "Random weights" in status
    assert "'loss'" in log and f"python -m training logs {run_id} --follow" in command
    assert [button["interactive"] for button in (stop, cancel, again)] == [False] * 3
    loss = dict(zip(SERIES, plots[-len(SERIES) :], strict=True))["loss"]
    assert loss["visible"] and loss["value"]["step"].tolist() == [1, 2, 3]
    assert any(shown[4]["interactive"] for shown in seen if "interactive" in shown[4]), "it could be stopped while it ran"
    unchanged = watching.watch(run_id, look)[:-1]
    assert all(part == gr.skip() for part in unchanged), "what has not changed is not sent again"

    with open_store(page.context.data) as db:
        db["adapter_row"].delete_where()
        db["adapter"].delete_where()
        db["run"].delete_where()
    restarted = RunsPage(page.context)
    found, tab = restarted.load(None)
    assert found["value"] == run_id and tab == gr.skip(), "found again from its directory; nothing goes on, so the page opens where runs are set up"
    for stopping in (restarted.stop, restarted.cancel, restarted.resume):
        with pytest.raises(ConflictError):
            stopping(run_id)
    what_builds_on_it(SetupPage(page.context), run_id)


def what_builds_on_it(page: SetupPage, run_id: str) -> None:
    """The finished run can be a parent: of DPO with its values locked, and of an evaluation."""
    freeze, sets, parents, preset, origin, *rest = page.change_stage("dpo")
    fields = rest[: len(FIELDS)]
    assert freeze["value"] == "Accepted preference pairs" and parents["visible"] and parents["value"] == run_id
    locked = dict(zip((field.name for field in FIELDS), fields, strict=True))
    assert not locked["frames"]["interactive"] and locked["seed"]["interactive"] and locked["beta"]["visible"]
    filled = page.fill("dpo", preset["value"], run_id)
    assert [origin, *(field["value"] for field in fields)] == [filled[0], *(field["value"] for field in filled[1:])], "the stage brings its values itself"
    text, readiness, _ = page.describe("dpo", sets["value"], run_id, None, *(field["value"] for field in fields))
    assert origin and "dpo set" in text and readiness.startswith("**Ready.**")
    assert page.fill("sft", preset["value"], None)[0] == gr.skip(), "a preset of the other stage fills in nothing"

    questions = freeze_questions(page.context.data, "f" * 64)
    _, sets, parents, _, _, *rest = page.change_stage("evaluate")
    assert not sets["visible"] and [value for _, value in parents["choices"]] == [run_id, ""], "the base model alone can be asked, too"
    values = [field["value"] for field in rest[: len(FIELDS)]]
    text, readiness, _ = page.describe("evaluate", None, run_id, questions.id, *values)
    assert "3 of 3 questions about 1 clip. By type: CW 3." in text and readiness.startswith("**Ready.**")
    assert page.asked("evaluate", None, run_id, questions.id, *values)[0].parent_run == run_id
    filled = [dict(zip((field.name for field in FIELDS), page.fill("evaluate", "Evaluate", parent)[1:], strict=True)) for parent in (run_id, "")]
    assert [one["frames"]["interactive"] for one in filled] == [False, True], "an adapter's frames are those of its run"


def test_questions_are_carried_only_where_they_are_looked_at_and_never_about_what_is_learnt(page: SetupPage, studio: Studio) -> None:
    questions = freeze_questions(page.context.data, "f" * 64).id
    set_id = page.load()[0]["value"]
    asked = [page.asked("sft", set_id, None, questions, *values_of(replace(SFT, accuracy_steps=every, question_set=questions)))[0] for every in (0, 5)]
    assert [config.question_set for config in asked] == [None, questions]
    asked_of_learnt = freeze_questions(page.context.data, studio.digests["red"]).id
    said = page.describe("sft", set_id, None, asked_of_learnt, *values_of(replace(SFT, accuracy_steps=5, question_set=asked_of_learnt)))[1]
    assert said.startswith("**Not ready.**") and "test its memory" in said
    with pytest.raises(InputError, match="Held-out questions"):
        page.asked("evaluate", None, None, None, *values_of(SFT))


def test_what_would_be_written_is_counted_and_what_nothing_asks_for_is_refused(page: SetupPage) -> None:
    _, sets, parents, _, _, *rest = page.change_stage("write")
    assert sets["value"] == page.load()[0]["value"] and parents["value"] == "", "texts to learn from, and no adapter yet"
    fields = dict(zip((field.name for field in FIELDS), (field["value"] for field in rest[: len(FIELDS)]), strict=True))
    text, readiness, _ = page.describe("write", sets["value"], "", None, *fields.values())
    assert text.endswith("4 of 4 texts of the kind rationale, each by the base model.") and readiness.startswith("**Ready.**")
    _, refused, _ = page.describe("write", sets["value"], "", None, *(fields | {"writes": "answer"}).values())
    assert refused.startswith("**Not ready.**") and "no row of the kind answer" in refused
    questions = freeze_questions(page.context.data, "f" * 64).id
    text, _, _ = page.describe("write", questions, "", None, *fields.values())
    assert "3 of 3 texts" in text and page.asked("write", questions, "", None, *fields.values())[0].question_set == questions


def test_a_held_out_pair_that_would_end_the_run_is_told_before_the_start(page: SetupPage, studio: Studio) -> None:
    rows = load_set(studio.data / studio.sets["dpo"].directory).rows
    pairs = [replace(row, split="train", reply="Final answer: A. one", rejected="Final answer: B. two") for row in rows]
    config = preset_named("Pipeline check (DPO)").config(parent_run="of before", scored="final_answer", validation_rows=4)
    assert page._problem(pairs, config) is None, "the control"
    told = page._problem([*pairs[1:], replace(pairs[0], split="validation", rejected="Nothing is said.")], config)
    assert told is not None and pairs[0].id in told and "Final answer" in told


def test_dpo_without_an_sft_run_says_what_to_do(page: SetupPage) -> None:
    _, sets, parents, _, _, *rest = page.change_stage("dpo")
    asked = ["dpo", sets["value"], parents["value"], None, *(field["value"] for field in rest[: len(FIELDS)])]
    _, readiness, _ = page.describe(*asked)
    assert readiness.startswith("**Not ready.** There is no finished SFT run to start from") and "Choose the stage SFT" in readiness
    with pytest.raises(InputError, match="no finished SFT run"):
        page.start("", *asked)


def test_only_fields_of_a_stage_and_groups_with_such_fields_are_shown(page: SetupPage) -> None:
    for stage in STAGES:
        rest = page.change_stage(stage)[5:]
        fields, groups = rest[: len(FIELDS)], rest[len(FIELDS) :]
        assert [field["visible"] for field in fields] == [stage in field.stages for field in FIELDS]
        assert [group["visible"] for group in groups] == [any(stage in field.stages for field in group) for group in GROUPS.values()]


def test_only_what_a_person_does_is_listened_to(page: SetupPage) -> None:
    with gr.Blocks() as blocks:
        build(page.context)
    heard = {(blocks.blocks[number].elem_id, event) for fn in blocks.fns.values() for number, event in fn.targets if number in blocks.blocks}
    assert {element for element, event in heard if event == "change"} == {"train-run", "train-plan"}, "what a function fills in sets off no second one"
    assert {("train-stage", "input"), ("train-preset", "input"), ("train-parent", "input"), ("train-set", "input"), ("train-seed", "input")} <= heard


def test_names_are_shown_as_they_are_and_load_nothing(page: SetupPage) -> None:
    name = "![i](http://e/x.png)<img src=x>|*b*"
    choices, _, said = page.freeze("sft", "Raw question-answer pairs", name, None)
    asked = inputs(page, set_id=choices["value"])
    summary, _, _ = page.describe(*asked)
    runs, started, _ = page.start(name, *asked)
    watching = RunsPage(page.context)
    table = watching.watch(runs["value"], Look())[0]
    watching.cancel(runs["value"])
    for text in (said, summary, started):
        assert "![" not in text and "<img" not in text and "http:" not in text and "*b*" not in text, text
    assert "<img" not in table and "&lt;img" in table


def test_a_clip_that_fills_a_row_alone_is_told_before_the_start(page: SetupPage) -> None:
    _, ready, _ = page.describe(*inputs(page, max_tokens=13))
    assert ready.startswith("**Ready.**"), "the control: one token more than the video has"
    _, readiness, _ = page.describe(*inputs(page, max_tokens=12))
    assert readiness.startswith("**Not ready.**") and "takes 12 visual tokens, and a row may have 12 tokens" in readiness
    with pytest.raises(RefusedError, match="12 visual tokens"):
        press_start(page, max_tokens=12)


def test_damaged_media_are_refused_with_the_reason_before_anything_is_made(page: SetupPage, studio: Studio) -> None:
    with page.context.open() as db:
        set_health(db, studio.digests["red"], "damaged", "The frame at 1.2 s does not decode.")
    _, readiness, _ = page.describe(*inputs(page))
    assert readiness.startswith("**Not ready.**") and "is damaged. The frame at 1&#46;2 s does not decode." in readiness
    with pytest.raises(RefusedError, match=r"The frame at 1\.2 s does not decode"):
        press_start(page)
    assert not (page.context.data / "runs").exists()


def test_without_a_run_the_tab_says_so_and_a_plot_without_points_is_of_numbers(page: SetupPage) -> None:
    table, status, *_ = RunsPage(page.context).watch(None, Look())
    assert "No run has been started yet" in table and status == "No run is chosen."
    plots = [plot_update(Watched(), name) for name in SERIES]
    assert not any(plot["visible"] for plot in plots)
    assert [plot["value"].dtypes.map(str).tolist() for plot in plots] == [["float64", "float64"]] * len(SERIES)


def test_the_address_names_the_run_that_is_shown(page: SetupPage, studio: Studio) -> None:
    older, newer = (studio.make(SFT, token) for token in ("one", "two"))
    watching = RunsPage(page.context)
    for asked, shown, tab in ((older.id, older.id, True), ("gone", None, False), (None, None, False)):
        found, tabs = watching.load(SimpleNamespace(query_params={"run": asked} if asked else {}))  # type: ignore[arg-type]
        assert found["value"] in ((shown,) if shown else (older.id, newer.id))
        assert (tabs != gr.skip()) == (tab or True), "both are made and wait, so that the page opens where runs are watched"


def test_a_run_that_is_looked_at_between_its_result_and_its_end_can_be_resumed_after_it(page: SetupPage, studio: Studio) -> None:
    run = studio.make(SFT)
    directory, watching = studio.directory(run), RunsPage(page.context)
    folder = directory / "checkpoints" / "checkpoint-1"
    folder.mkdir(parents=True)
    for name in NEEDED:
        (folder / name).touch()
    write_manifest(folder, load_config(directory), 1, 1.0)
    (directory / "launched").touch()
    created_s = psutil.Process().create_time()
    write_mark(directory / "process.json", ProcessMark(os.getpid(), created_s, utc_now()))
    (directory / "result.json").write_text(json.dumps({"outcome": "stopped", "reason": "Stopped as asked."}))
    *shown, look = watching.watch(run.id, Look())
    assert not shown[6]["interactive"], "its process is still there"
    write_mark(directory / "process.json", ProcessMark(os.getpid(), created_s - 100, utc_now()))
    assert watching.watch(run.id, look)[6]["interactive"]


def test_every_word_of_a_run_is_escaped_in_the_list() -> None:
    run = Run("r1", "<b>x</b>", "sft", "s", None, "runs/r1", "2026-01-01T00:00:00.000+00:00")
    table = table_html([(run, RunStatus("failed", "<img src=x onerror=alert(1)>"), None)], None)
    assert "<b>" not in table and "<img" not in table and "&lt;b&gt;x" in table


def test_a_run_that_ran_out_of_memory_offers_ways_out_and_each_starts_one_run(page: SetupPage, studio: Studio) -> None:
    run = studio.make(preset_named("SFT safe").config(), name="the first")
    directory, watching = studio.directory(run), RunsPage(page.context)
    (directory / "launched").touch()
    (directory / "result.json").write_text(json.dumps({"outcome": "failed", "reason": "It went wrong."}))
    buttons = [part for part in watching.watch(run.id, Look())[7:10] if part["visible"]]
    assert not buttons, "the control: it failed otherwise"
    (directory / "log.txt").write_text("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.")
    (directory / "result.json").write_text(json.dumps({"outcome": "failed", "reason": "Out of memory while at: training."}))
    buttons = [part for part in watching.watch(run.id, Look())[7:10] if part["visible"]]
    assert buttons and all(button["value"].startswith("Retry: ") for button in buttons)
    (first, _), (again, said) = (watching.retry(0, run.id) for _ in range(2))
    assert first["value"] == again["value"] != run.id and "the first, " in said
    with pytest.raises(NotFoundError, match="way out is gone"):
        watching.retry(len(buttons), run.id)
