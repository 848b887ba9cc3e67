"""The panel that says what a run will take: whether it fits, why a figure is not known, and ways out that change the form."""

import json
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import gradio as gr
import pytest

from store.clips import add_media
from store.context import Context
from store.database import open_store
from store.errors import InputError
from store.records import Media
from store.rows import utc_now
from tests.training.conftest import HEIGHT, WIDTH, Studio, sft_config
from training import probing, reckoning
from training.config import RunConfig
from training.estimate import Correction, Machine
from training.form import FIELDS, values_of
from training.probing import Probe
from training.reckoning import NO_GPU, find_machine, retries
from training.ui import estimate as panel
from training.ui.estimate import GIB, Estimator, build_estimate, size_text

LARGE = sft_config(
    model="Qwen/Qwen2.5-VL-7B-Instruct",
    quantisation="none",
    frames=64,
    longest_side_px=448,
    batch_size=2,
    accumulation=8,
    packing="none",
    epochs=1,
    max_steps=0,
)
SMALL_GPU = Machine("a <small> GPU", "cuda", 20 * GIB, 19 * GIB)


class Reader(HTMLParser):
    """Gathers the text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.text, self.tags = "", set[str]()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    return reader


def context_of(studio: Studio) -> Context:
    return Context(studio.data, lambda fn: fn, lambda *asked: studio.sets["sft"])


def page_of(studio: Studio, config: RunConfig, machine: Machine) -> Estimator:
    with open_store(studio.data) as db:
        for name, digest in studio.digests.items():
            add_media(db, Media(digest, f"{name}.mp4", 1, "mp4", "h264", None, WIDTH * 20, HEIGHT * 20, 0, 2.0, 24, True, None, "ok", None, utc_now()), None)
    set_id = studio.sets["sft"].id
    return Estimator(context_of(studio), lambda *inputs: (config, set_id), lambda config: machine)


def texts(updates: list[Any]) -> list[str]:
    return [update["value"] for update in updates if update.get("visible")]


def test_what_will_not_fit_is_said_with_three_ways_out_that_change_the_form(studio: Studio) -> None:
    page = page_of(studio, LARGE, SMALL_GPU)
    html, *buttons, configs = page.show()
    found = read(html)
    assert "It will not fit" in found.text and "19.0 GiB free of 20.0 GiB on a <small> GPU" in found.text and "small" not in found.tags
    assert "Time: unknown (no step of this model was measured on this device yet: probe it)." in found.text
    assert "by a formula, whose spread is not known" in found.text
    assert len(texts(buttons)) == len(configs) == 3 and all("Saves" in text for text in texts(buttons))
    fields = dict(zip((field.name for field in FIELDS), page.take(0, configs), strict=True))
    before = dict(zip((field.name for field in FIELDS), values_of(LARGE), strict=True))
    changed = {name: fields[name] for name in fields if fields[name] != before[name]}
    assert changed == {"quantisation": "nf4"}, "the cheapest that is enough"
    after = page_of(studio, RunConfig.from_json(configs[0]), SMALL_GPU).show()
    assert "It fits" in read(after[0]).text and texts(after[1:-1]) == []


def test_on_a_larger_device_it_fits_and_nothing_need_be_changed(studio: Studio) -> None:
    html, *buttons, configs = page_of(studio, LARGE, Machine("large", "cuda", 80 * GIB, 79 * GIB)).show()
    assert "It fits" in read(html).text and texts(buttons) == [] and configs == ()
    held = page_of(studio, LARGE, Machine("held", "cuda", 80 * GIB, 10 * GIB)).show()[0]
    assert "It fits only when what else uses held has ended" in read(held).text
    alone = read(page_of(studio, LARGE, NO_GPU).show()[0]).text
    assert "There is no GPU on this machine to hold that against" in alone


def test_parts_add_up_to_the_whole_that_is_told(studio: Studio) -> None:
    page = page_of(studio, LARGE, SMALL_GPU)
    made = page._reckon()[0].made
    cells = read(page.show()[0]).text
    assert all(f"{part.name}{size_text(part.bytes)}{part.source}" in cells for part in made.parts)
    assert f"together{size_text(sum(part.bytes for part in made.parts))}" in cells
    assert ("An epoch: 5" in cells and "packed by clip (" in cells) or "no two rows go through the model together" in cells


def test_a_probe_that_failed_for_memory_opens_the_ways_out_although_the_formula_says_that_it_fits(studio: Studio) -> None:
    config = replace(LARGE, quantisation="nf4", frames=8)
    machine = Machine("a GPU", "cuda", 40 * GIB, 40 * GIB)
    assert texts(page_of(studio, config, machine).show()[1:-1]) == [], "the control"
    probing.keep(studio.data, Probe("2026-01-01T00:00", "a GPU", config.model, "nf4", 1, 100, problem="Out of memory: forward.", phase="training"))
    html, *buttons, _ = page_of(studio, config, machine).show()
    assert "The probe of 2026-01-01 00:00 failed while at: training. Out of memory: forward." in read(html).text
    assert texts(buttons)


def test_after_a_probe_figures_say_that_they_were_measured(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    page = page_of(studio, LARGE, SMALL_GPU)
    asked: list[Any] = []

    def probe(data: Any, curated: Any, config: Any, one: Any, machine: Any) -> Probe:
        asked.append((curated.id, config, one))
        made = Probe(
            "2026-01-01T00:00", machine.name, config.model, config.quantisation, 2, one.tokens, None, None, 9 * GIB, 4.0, 0.5, Correction(1.5, 1e14, 2)
        )
        probing.keep(data, made)
        return made

    monkeypatch.setattr(panel, "ask_probe", probe)
    html = read(page.probe()[0]).text
    assert asked[0][:2] == (studio.sets["sft"].id, LARGE)
    assert "measured here in a probe" in html and "Time: unknown" not in html and "all 3 steps about" not in html
    assert "9.00 GiB at most, the first step 4 s, the second 0.5 s" in html
    with pytest.raises(InputError, match="no GPU on this machine to probe"):
        page_of(studio, LARGE, NO_GPU).probe()


def test_why_there_is_no_estimate_is_said_in_its_place(studio: Studio) -> None:
    html, *buttons, configs = page_of(studio, replace(LARGE, model="no-such/model"), SMALL_GPU).show()
    assert "sizes of no-such/model are not known" in html and texts(buttons) == [] and configs == ()
    assert "SFT and DPO" in page_of(studio, replace(LARGE, stage="evaluate"), SMALL_GPU).show()[0]
    with pytest.raises(InputError, match="this way out is gone"):
        page_of(studio, LARGE, SMALL_GPU).take(0, ())


def test_the_tiny_model_is_reckoned_for_the_processor_where_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reckoning, "find_gpus", lambda: ())
    assert find_machine(LARGE) == NO_GPU
    found = find_machine(sft_config())
    assert found.kind == "cpu" and 0 < found.free_bytes <= found.total_bytes


def test_the_panel_stands_on_a_page_with_its_buttons(studio: Studio) -> None:
    with gr.Blocks() as demo:
        inputs = [gr.Textbox() for _ in range(4 + len(FIELDS))]
        made = build_estimate(context_of(studio), lambda *values: (LARGE, None), inputs)
    ids = {block.elem_id for block in demo.blocks.values() if block.elem_id}
    assert {"train-estimate", "train-probe", "train-remedy-1", "train-remedy-2", "train-remedy-3"} <= ids
    assert len(made.acts) == 3 and made.said_of["inputs"] == inputs


def test_a_run_that_ran_out_of_memory_is_tried_again_with_the_best_way_out_and_once_however_often_one_asks(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reckoning, "find_gpus", lambda: ())
    page_of(studio, LARGE, SMALL_GPU)  # which puts the videos' sizes into the store
    run = studio.make(LARGE, name="the first")
    directory = studio.directory(run)
    with open_store(studio.data) as db:
        assert retries(db, studio.data, run.id) is None, "it has not failed"
        words = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 20.00 GiB of which 1.00 GiB is free."
        (directory / "log.txt").write_text(words)
        (directory / "result.json").write_text(json.dumps({"outcome": "failed", "reason": "Out of memory while at: training."}))
        found = retries(db, studio.data, run.id)
        again = retries(db, studio.data, run.id)
    assert found is not None and again is not None
    diagnosis, ways = found
    assert "2.00 GiB were asked for" in diagnosis.text and 1 <= len(ways) <= 3
    first, order = ways[0]
    assert order.config == first.config != LARGE and order.curated == studio.sets["sft"] and order.name == f"the first, {first.name.lower()}"
    assert order.run_id == again[1][0][1].run_id != run.id
