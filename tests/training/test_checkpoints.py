"""A run goes on from a checkpoint that is whole to the last byte and its own, or not at all."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.conftest import sft_config
from training import config as configs
from training.checkpoints import NEEDED, check_resumed, config_hash, verified, write_manifest
from training.plan import TrainingError

CONFIG = sft_config()
FILES = (*NEEDED, "adapter_config.json", "ref/adapter_model.safetensors")


def save(directory: Path, step: int, probe_loss: float | None = 1.5) -> Path:
    """Write what stands for a checkpoint, with its manifest."""
    folder = directory / "checkpoints" / f"checkpoint-{step}"
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(f"{name} of step {step}".encode())
    write_manifest(folder, CONFIG, step, probe_loss)
    return folder


def test_the_newest_whole_checkpoint_is_found_by_its_step_and_not_by_its_name(tmp_path: Path) -> None:
    assert verified(tmp_path, CONFIG).folder is None
    for step in (9, 10, 100):
        save(tmp_path, step)
    found = verified(tmp_path, CONFIG)
    assert (found.folder, found.step, found.problems) == (tmp_path / "checkpoints" / "checkpoint-100", 100, ())


@given(name=st.sampled_from(FILES), at=st.integers(0, 15), by=st.integers(1, 255))
def test_one_changed_byte_anywhere_is_found_and_the_checkpoint_before_is_taken(tmp_path_factory: pytest.TempPathFactory, name: str, at: int, by: int) -> None:
    directory = tmp_path_factory.mktemp("run")
    save(directory, 10)
    newest = save(directory, 20)
    content = bytearray((newest / name).read_bytes())
    content[at] ^= by
    (newest / name).write_bytes(content)
    found = verified(directory, CONFIG)
    assert found.step == 10 and found.problems == (f"checkpoint-20 holds another {name} than was saved",)


def test_every_other_way_not_to_be_whole_has_its_reason(tmp_path: Path) -> None:
    missing, torn, renamed, partial, garbled = (save(tmp_path, step) for step in (50, 40, 30, 20, 10))
    (missing / "optimizer.pt").unlink()
    (torn / "manifest.json").unlink()
    renamed.rename(renamed.with_name("checkpoint-35"))
    (partial / "scheduler.pt").unlink()
    write_manifest(partial, CONFIG, 20, None)
    (garbled / "manifest.json").write_text("{")
    found = verified(tmp_path, CONFIG)
    assert found.folder is None
    assert found.problems == (
        "checkpoint-50 lacks optimizer.pt",
        "checkpoint-40 has no manifest: it was not written to its end",
        "checkpoint-35 says that it is of step 30",
        "checkpoint-20 was saved without scheduler.pt",
        "checkpoint-10 has no manifest: it was not written to its end",
    )


def test_a_checkpoint_of_another_config_is_not_gone_on_from(tmp_path: Path) -> None:
    save(tmp_path, 10)
    assert verified(tmp_path, CONFIG).step == 10, "the control"
    assert verified(tmp_path, replace(CONFIG, learning_rate=1e-9)).problems == ("checkpoint-10 is of another config",)


def test_a_field_that_a_later_version_adds_with_a_default_changes_no_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    before = config_hash(CONFIG)
    assert before == config_hash(configs.RunConfig.from_json(CONFIG.to_json())), "a config that was written and read"
    shorter = [field for field in configs.fields(CONFIG) if field.name != "new_tokens"]
    monkeypatch.setattr("training.checkpoints.fields", lambda config: shorter)
    monkeypatch.setattr("training.checkpoints.asdict", lambda config: {field.name: getattr(config, field.name) for field in shorter})
    assert config_hash(CONFIG) == before, "an earlier version, which knew no new_tokens"
    assert config_hash(replace(CONFIG, seed=99)) != before


@pytest.mark.parametrize(("saved", "now", "same"), [(1.5, 1.5001, True), (1.5, 1.51, False), (1.5, float("nan"), False), (None, 3.0, True), (1.5, None, False)])
def test_a_loss_that_jumps_when_the_run_goes_on_ends_it(tmp_path: Path, saved: float | None, now: float | None, same: bool) -> None:
    folder = save(tmp_path, 10, saved)
    assert json.loads((folder / "manifest.json").read_text())["probe_loss"] == saved
    if same:
        check_resumed(folder, now)
        return
    with pytest.raises(TrainingError, match=r"was 1\.5 when checkpoint-10 was saved"):
        check_resumed(folder, now)
