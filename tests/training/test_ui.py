"""The training page: light, guarded, and telling the same story after a restart."""

import functools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from store.clips import add_media, set_health
from store.context import Context
from store.database import open_store
from store.errors import ConflictError, InputError, RefusedError
from store.records import CuratedSet, Media
from store.rows import utc_now
from tests.training.conftest import HEIGHT, WIDTH, Studio, freeze_rows, row_of, wait_until
from training.form import FIELDS, values_of
from training.jobs import read_run
from training.presets import PRESETS
from training.status import read_status
from training.ui.train import TrainPage, build
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
def page(studio: Studio) -> TrainPage:
    with open_store(studio.data) as db:
        for name, digest in studio.digests.items():
            add_media(db, Media(digest, f"{name}.mp4", 1, "mp4", "h264", None, WIDTH, HEIGHT, 0, 2.0, 24, True, None, "ok", None, utc_now()), None)

    def freeze_set(kind: str, name: str) -> CuratedSet:
        rows = [row_of(n, studio.digests["red"], kind) for n in range(4)]
        return freeze_rows(studio.data, kind, rows, name)

    return TrainPage(Context(studio.data, plain, freeze_set))


def press_start(page: TrainPage, nonce: str = "n", set_id: str | None = None, **changes: Any) -> Any:
    fields = dict(zip((field.name for field in FIELDS), values_of(SFT), strict=True)) | changes
    set_id = set_id or page.load()[0]["value"]
    return page.start(nonce, "a run", "sft", set_id, None, *fields.values())


def test_importing_the_page_loads_nothing_heavy() -> None:
    heavy = ("torch", "torchvision", "transformers", "trl", "peft", "bitsandbytes", "datasets", "av", "tokenizers")
    for module in ("training.ui.train", "training.jobs", "training.config", "training.overview"):
        script = f"import {module}, json, sys; print(json.dumps(sorted(sys.modules)))"
        loaded = set(json.loads(subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout))
        assert not loaded & set(heavy), module


def test_every_control_has_a_name_and_every_event_goes_through_the_guard(page: TrainPage) -> None:
    with gr.Blocks() as blocks:
        build(page.context)
    silent = (gr.State, gr.Timer, gr.Row, gr.Accordion)
    named = {block.elem_id for block in blocks.blocks.values() if getattr(block, "elem_id", None)}
    controls = [block for block in blocks.blocks.values() if isinstance(block, gr.components.Component) and not isinstance(block, silent)]
    assert all((block.elem_id or "").startswith("train-") for block in controls if not isinstance(block, gr.Markdown))
    assert {"train-start", "train-stop-save", "train-cancel", "train-freeze", "train-run", "train-plot-loss"} <= named
    assert {"train-preview-look", "train-preview-shown", "train-layout", "train-hint"} <= named
    assert len(blocks.fns) >= 9
    assert not [fn for fn in blocks.fns.values() if fn.fn is not None and not hasattr(fn.fn, "is_guarded")]


def test_the_page_opens_with_the_newest_set_and_tells_what_it_holds(page: TrainPage) -> None:
    sets, parents, runs = page.load()
    assert next(name for name, _ in sets["choices"]).startswith("sft set · 8 rows")
    assert (parents["value"], runs["value"]) == (None, None), "nothing has been run yet"
    text, readiness = page.describe("sft", sets["value"], None, *values_of(SFT))
    assert "Visual tokens a row: 12 (4 frames as one video, the largest of 84 x 56 pixels)" in text
    assert readiness.startswith("**Ready.**")
    _, refused = page.describe("sft", sets["value"], None, *values_of(PRESETS[0].config(model="/no/such/folder")))
    assert refused.startswith("**Not ready for this model.** The pipeline check can still be run")


def test_freezing_chooses_the_new_set(page: TrainPage) -> None:
    choices, said = page.freeze("sft", " first round ")
    assert said == "Frozen: first round, 4 rows."
    assert choices["value"] in [value for _, value in choices["choices"]] and len(choices["choices"]) == 2


def test_one_form_starts_one_run_and_a_changed_form_another(page: TrainPage) -> None:
    runs, said = press_start(page)
    again, said_again = press_start(page)
    assert said == "a run is started." and "was started from this form already" in said_again
    assert runs["value"] == again["value"] and len(again["choices"]) == 1
    page.cancel(runs["value"])
    after, said_after = press_start(page)
    again, _ = press_start(page)
    assert said_after == "a run is started." and after["value"] == again["value"] != runs["value"], "what has ended can be started anew, once"
    other, _ = press_start(page, seed=2)
    assert other["value"] not in (runs["value"], after["value"]) and len(other["choices"]) == 3
    for run_id in (after["value"], other["value"]):
        page.cancel(run_id)
        assert read_status(page.context.data / "runs" / run_id).state == "stopped"


def test_what_cannot_be_run_is_refused_before_anything_is_made(page: TrainPage) -> None:
    with pytest.raises(RefusedError, match="no folder on this machine"):
        press_start(page, model="/no/such/folder")
    with pytest.raises(InputError, match="Seed is empty"):
        press_start(page, seed=None)
    with pytest.raises(InputError, match="no curated set"):
        page.start("n", "", "sft", None, None, *values_of(SFT))
    assert not (page.context.data / "runs").exists()


def test_the_page_shows_a_run_from_its_start_to_its_end_and_after_a_restart(page: TrainPage) -> None:
    runs, _ = press_start(page, epochs=1)
    run_id, watched, seen = runs["value"], Watched(), []

    def look() -> bool:
        nonlocal watched
        *shown, watched = page.watch(run_id, watched)
        seen.append(shown)
        return read_status(page.context.data / read_run(page.context.data, run_id).directory).ended

    wait_until(look)
    look()
    table, status, log, stop, cancel, *plots = page.watch(run_id, Watched())[:-1]
    assert "| a run | sft |" in table and "| finished |" in table
    assert "step 3 of 3" in status and "Random weights" in status
    assert "'loss'" in log
    assert (stop["interactive"], cancel["interactive"]) == (False, False)
    assert [list(plot.columns) for plot in plots] == [["step", name] for name in SERIES]
    assert plots[0]["step"].tolist() == [1, 2, 3]
    assert any(shown[3]["interactive"] for shown in seen if "interactive" in shown[3]), "it could be stopped while it ran"
    unchanged = page.watch(run_id, watched)[:-1]
    assert all(part == gr.skip() for part in unchanged), "what has not changed is not sent again"

    with open_store(page.context.data) as db:
        db["run"].delete_where()
    restarted = TrainPage(page.context)
    _, parents, found = restarted.load()
    assert found["value"] == parents["value"] == run_id, "found again from its directory, and fit to be a parent"
    for stopping in (restarted.stop, restarted.cancel):
        with pytest.raises(ConflictError):
            stopping(run_id)

    sets, parents, preset, origin, *fields = restarted.change_stage("dpo")
    assert parents["visible"] and parents["value"] == run_id
    locked = dict(zip((field.name for field in FIELDS), fields, strict=True))
    assert not locked["frames"]["interactive"] and locked["seed"]["interactive"] and locked["beta"]["visible"]
    assert [origin, *(field["value"] for field in fields)] == restarted.fill("dpo", preset["value"], run_id), "the stage brings its values itself"
    values = [field["value"] for field in fields]
    text, readiness = restarted.describe("dpo", sets["value"], run_id, *values)
    assert origin and "dpo set" in text and readiness.startswith("**Ready.**")
    assert restarted.fill("sft", preset["value"], None)[0] == gr.skip(), "a preset of the other stage fills in nothing"


def test_dpo_without_an_sft_run_says_what_to_do(page: TrainPage) -> None:
    sets, parents, _, _, *fields = page.change_stage("dpo")
    values = [field["value"] for field in fields]
    _, readiness = page.describe("dpo", sets["value"], parents["value"], *values)
    assert readiness.startswith("**Not ready.** There is no finished SFT run to start from") and "Choose the stage SFT" in readiness
    with pytest.raises(InputError, match="no finished SFT run"):
        page.start("n", "", "dpo", sets["value"], None, *values)


def test_only_what_a_person_does_is_listened_to(page: TrainPage) -> None:
    with gr.Blocks() as blocks:
        build(page.context)
    heard = {(blocks.blocks[number].elem_id, event) for fn in blocks.fns.values() for number, event in fn.targets if number in blocks.blocks}
    assert {element for element, event in heard if event == "change"} == {"train-run"}, "what a function fills in sets off no second one"
    assert {("train-stage", "input"), ("train-preset", "input"), ("train-parent", "input"), ("train-set", "input"), ("train-seed", "input")} <= heard


def test_names_are_shown_as_they_are_and_load_nothing(page: TrainPage) -> None:
    name = "![i](http://e/x.png)<img src=x>|*b*"
    choices, said = page.freeze("sft", name)
    summary, _ = page.describe("sft", choices["value"], None, *values_of(SFT))
    fields = values_of(SFT)
    runs, started = page.start("n", name, "sft", choices["value"], None, *fields)
    table = page.watch(runs["value"], Watched())[0]
    page.cancel(runs["value"])
    for text in (said, summary, started, table):
        assert "![" not in text and "<img" not in text and "http:" not in text and "*b*" not in text, text


def test_a_clip_that_fills_a_row_alone_is_told_before_the_start(page: TrainPage) -> None:
    sets = page.load()[0]["value"]
    _, ready = page.describe("sft", sets, None, *values_of(PRESETS[0].config(max_tokens=13)))
    assert ready.startswith("**Ready.**"), "the control: one token more than the video has"
    _, readiness = page.describe("sft", sets, None, *values_of(PRESETS[0].config(max_tokens=12)))
    assert readiness.startswith("**Not ready.**") and "takes 12 visual tokens, and a row may have 12 tokens" in readiness
    with pytest.raises(RefusedError, match="12 visual tokens"):
        press_start(page, max_tokens=12)


def test_damaged_media_are_refused_with_the_reason_before_anything_is_made(page: TrainPage, studio: Studio) -> None:
    sets = page.load()[0]["value"]
    with page.context.open() as db:
        set_health(db, studio.digests["red"], "damaged", "The frame at 1.2 s does not decode.")
    _, readiness = page.describe("sft", sets, None, *values_of(SFT))
    assert readiness.startswith("**Not ready.**") and "is damaged. The frame at 1&#46;2 s does not decode." in readiness
    with pytest.raises(RefusedError, match=r"The frame at 1\.2 s does not decode"):
        press_start(page)
    assert not (page.context.data / "runs").exists()


def test_a_plot_without_points_is_of_numbers(page: TrainPage) -> None:
    plots = page.watch(None, Watched())[5:-1]
    assert [plot.dtypes.map(str).tolist() for plot in plots] == [["float64", "float64"]] * 3
