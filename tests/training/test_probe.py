"""Two real steps on the longest item: what they measure, how it is kept, and that a failure is a result."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from store.errors import InputError, RefusedError
from store.records import CuratedSet, Media
from store.rows import utc_now
from tests.training.conftest import Studio, freeze_rows, row_of, sft_config
from training import probing
from training.config import RunConfig
from training.estimate import Correction, Machine, estimate
from training.probing import Probe, ask_probe, correction_for, known_probes, read_probe, small_config, step_seconds
from training.rows import load_set, planned_rows
from training.shapes import shape_of
from training.workload import Pass, Workload, workload_of

CPU = Machine("cpu", "cpu", 24 * 2**30, 20 * 2**30)
CONFIG = sft_config(packing="clip", accumulation=8, validation_rows=2)


def load_of(data: Path, curated: CuratedSet, config: RunConfig) -> Workload:
    rows = planned_rows(load_set(data / curated.directory).rows, config)[0]
    media = {
        digest: Media(digest, "a.mp4", 1, "mp4", "h264", None, 96, 64, 0, 2.0, 24, True, None, "ok", None, utc_now())
        for digest in {row.clip.digest for row in rows}
    }
    return workload_of(rows, config, media)


@pytest.fixture(scope="module")
def curated(shared_studio: Studio) -> CuratedSet:
    """Six rows about two clips."""
    digest = shared_studio.digests["green"]
    rows = [row_of(n, digest, split="train", clip={"id": f"clip {n % 2}", "digest": digest, "start_s": 0.5 * (n % 2), "end_s": 1.5}) for n in range(6)]
    return freeze_rows(shared_studio.data, "sft", rows, "to probe")


@pytest.fixture(scope="module")
def probed(shared_studio: Studio, curated: CuratedSet) -> tuple[Probe, Workload]:
    """A probe by the real trainer in a real process."""
    load = load_of(shared_studio.data, curated, CONFIG)
    return ask_probe(shared_studio.data, curated, CONFIG, load.longest, CPU), load


def test_two_steps_are_measured_and_nothing_else_is_left_behind(probed: tuple[Probe, Workload], shared_studio: Studio) -> None:
    probe, load = probed
    assert probe.problem is None and probe.correction is not None
    assert (probe.rows, probe.tokens) == (len(load.longest.rows), load.longest.tokens) and probe.rows == 3, "all rows of the heaviest pack"
    assert probe.peak_bytes is not None and probe.peak_bytes > 200 * 2**20, "the libraries alone take as much"
    assert probe.first_step_s is not None and probe.step_s is not None and 0 < probe.step_s < 60
    assert list((shared_studio.data / "probes").iterdir()) == []
    assert not (shared_studio.data / "runs").exists() or all("probe" not in path.name for path in (shared_studio.data / "runs").iterdir())


def test_what_was_measured_is_kept_and_corrects_the_next_estimate(probed: tuple[Probe, Workload], shared_studio: Studio) -> None:
    probe, load = probed
    assert known_probes(shared_studio.data)[-1] == probe
    correction = correction_for(known_probes(shared_studio.data), CPU, CONFIG)
    assert correction == probe.correction
    made = estimate(shape_of(CONFIG.model), CONFIG, load, CPU, correction)
    assert made.source == "probe" and made.bytes == pytest.approx(probe.peak_bytes, rel=0.01)
    assert made.pass_s.value == pytest.approx(probe.step_s) and made.run_s.known
    assert correction_for(known_probes(shared_studio.data), CPU, replace(CONFIG, quantisation="none")) is None, "another kind of weights, another correction"
    assert correction_for(known_probes(shared_studio.data), replace(CPU, name="another"), CONFIG) is None


def ended(folder: Path, result: Mapping[str, Any] | None, log: str = "", events: str = "") -> Path:
    folder.mkdir()
    (folder / "log.txt").write_text(log)
    (folder / "events.jsonl").write_text(events)
    if result is not None:
        (folder / "result.json").write_text(json.dumps(result))
    return folder


def test_a_probe_that_ran_out_of_memory_or_was_killed_is_a_result_with_its_phase(tmp_path: Path) -> None:
    one = Pass(1, 100, 50, 10, ("a",))
    at_work = json.dumps({"at": 1.0, "kind": "phase", "phase": "loading the model"}) + "\n"
    words = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 8.00 GiB of which 1.00 GiB is free."
    failed = ended(tmp_path / "failed", {"outcome": "failed", "reason": words}, words, at_work)
    killed = ended(tmp_path / "killed", None, "", at_work)
    lacked = "Out of memory: loading; 2.00 GiB were asked for and 1.00 GiB were free."
    for folder, code, told in ((failed, 1, lacked), (killed, -9, "killed by the system"), (killed, None, "longer than")):
        found = read_probe(folder, CONFIG, one, CPU, code)
        assert found.problem is not None and told in found.problem and found.phase == "loading the model" and found.correction is None
    refused = read_probe(ended(tmp_path / "refused", {"outcome": "failed", "reason": "1 rows are longer."}), CONFIG, one, CPU, 1)
    assert refused.problem == "1 rows are longer." and refused.phase == "starting"


def test_the_probe_does_nothing_but_the_pass_and_leaves_what_the_model_sees_alone() -> None:
    full = sft_config(epochs=3, validation_rows=50, kinds=("narrative",), shares=(1.0,), max_rows=9, accumulation=4, batch_size=2, packing="clip")
    small = small_config(full, Pass(1, 100, 50, 10, ("a", "b", "c"), packed=True))
    assert (small.max_steps, small.validation_rows, small.kinds, small.max_rows) == (2, 0, (), 0)
    assert small.batch_size * small.accumulation == 3, "the pack is whole: no pack has more rows than a step"
    same = ("model", "quantisation", "frames", "longest_side_px", "max_tokens", "lora_rank", "packing", "projector", "layout")
    assert all(getattr(small, name) == getattr(full, name) for name in same)
    assert small_config(full, Pass(2, 100, 50, 10, ("a", "b"))).accumulation == 1


def test_a_step_is_timed_by_its_own_word_or_from_the_event_before() -> None:
    begun = {"kind": "phase", "phase": "training", "at": 10.0}
    assert step_seconds([begun, {"kind": "step", "at": 14.0}, {"kind": "note", "at": 15.0}, {"kind": "step", "at": 16.0}]) == [4.0, 2.0]
    assert step_seconds([begun, {"kind": "step", "at": 14.0, "seconds": 3.5}]) == [3.5]


def test_a_run_that_goes_on_and_a_stage_without_steps_are_told(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Pass(1, 100, 50, 10, ("a",))
    with pytest.raises(InputError, match="Only SFT and DPO"):
        ask_probe(studio.data, studio.sets["sft"], replace(CONFIG, stage="evaluate"), one, CPU)
    studio.make(CONFIG, name="the long one")
    monkeypatch.setattr(probing, "is_alive", lambda directory: True)
    with pytest.raises(RefusedError, match="the long one is being run here"):
        ask_probe(studio.data, studio.sets["sft"], replace(CONFIG, model="Qwen/Qwen2.5-VL-3B-Instruct"), one, CPU)


def test_probes_are_kept_newest_last_and_not_without_end(tmp_path: Path) -> None:
    for number in range(probing.KEPT + 3):
        probing.keep(tmp_path, Probe(str(number), "cpu", "m", "none", 1, 1, correction=Correction(1.0, float(number + 1), 2)))
    kept = known_probes(tmp_path)
    assert len(kept) == probing.KEPT and kept[-1].at == str(probing.KEPT + 2)
    found = correction_for(kept, CPU, sft_config(model="m", quantisation="none"))
    assert found is not None and found.flops_per_s == probing.KEPT + 3
