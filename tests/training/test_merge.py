"""An adapter given away: merged weights say what base and adapter said, nothing is half there, and the card goes with it."""

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from training import model as models  # isort: skip  # first: it repairs torchvision before peft is used
from peft import PeftModel  # isort: skip

from store.errors import ConflictError, InputError, RefusedError, StorageError
from store.media_files import digest_of
from store.records import Run
from tests.training.conftest import Studio, build_studio, sft_config
from tests.training.test_cards import measured
from tests.training.tuned import draw_adapter, tuned_run
from training import release as releasing
from training.merge import merge_adapter
from training.registering import WEIGHTS
from training.release import needed_bytes, release
from training.tiny import build_tiny

IDS = torch.arange(5, 45)[None]


@dataclass(frozen=True)
class Shop:
    """A studio with a tuned run."""

    studio: Studio
    run: Run

    @property
    def directory(self) -> Path:
        return self.studio.directory(self.run)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    studio = build_studio(tmp_path_factory.mktemp("merge") / "data")
    # Trained in 4 bits, as most are: the merge must load the base whole nevertheless.
    yield Shop(studio, tuned_run(studio, "a <b> | name", config=sft_config(quantisation="nf4")))


def logits(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(input_ids=IDS).logits.float()


def in_this_process(module: str, request: Mapping[str, Any], takes_s: float, what: str) -> dict[str, Any]:
    return merge_adapter(request["base"], Path(request["adapter"]), Path(request["folder"]))


@pytest.mark.parametrize(("model", "projector", "layers"), [("pipeline-check", False, 14), ("pipeline-check", True, 16), ("pipeline-check-qwen3", True, 18)])
def test_merged_weights_say_what_base_and_adapter_say_and_not_what_the_base_says(model: str, projector: bool, layers: int, tmp_path: Path) -> None:
    config = sft_config(model=model, projector=projector)
    build_tiny(tmp_path / "model", ["A bar moves."], 5, config.family.name)
    draw_adapter(tmp_path, config, 5)
    base = str(tmp_path / "model")
    told = merge_adapter(base, tmp_path / "adapter", tmp_path / "merged")
    alone = logits(models.load_model(base, "none"))
    tuned_model = PeftModel.from_pretrained(models.load_model(base, "none"), str(tmp_path / "adapter"))
    merged_model = models.load_model(str(tmp_path / "merged"), "none")
    tuned, merged = logits(tuned_model), logits(merged_model)
    far, near = (alone - tuned).abs().max(), (merged - tuned).abs().max()
    assert near < far / 10, "what is left is the rounding of the sum to bfloat16"
    assert {tensor.dtype for tensor in merged_model.parameters()} == {torch.bfloat16} and told["layers"] == layers
    # The layers between the tower and the language model too, which words alone do not pass.
    untouched = models.load_model(base, "none").state_dict()
    moved = {name for name, tensor in merged_model.state_dict().items() if not torch.equal(tensor, untouched[name])}
    assert any("visual" in name for name in moved) == projector and len(moved) == layers
    assert models.load_processor(str(tmp_path / "merged")).tokenizer.decode([5, 6]) == models.load_processor(base).tokenizer.decode([5, 6])


def test_an_adapter_that_is_not_finite_is_not_merged(shop: Shop, tmp_path: Path) -> None:
    model = PeftModel.from_pretrained(models.load_model(str(shop.directory / "model"), "none"), str(shop.directory / "adapter"))
    next(tensor for name, tensor in model.named_parameters() if "lora_B" in name).data.fill_(float("nan"))
    model.save_pretrained(tmp_path / "broken")
    with pytest.raises(InputError, match="cannot be merged"):
        merge_adapter(str(shop.directory / "model"), tmp_path / "broken", tmp_path / "merged")


def test_the_child_merges_and_the_folder_appears_whole_once(shop: Shop) -> None:
    made = release(shop.studio.data, shop.run.id, merged=True)
    assert made.made and {"model.safetensors", "config.json", "tokenizer.json", "README.md", "release.json"} <= {path.name for path in made.folder.iterdir()}
    told = json.loads((made.folder / "release.json").read_text())
    assert told["files"] == {path.name: digest_of(path) for path in made.folder.iterdir() if path.name != "release.json"}
    card = (made.folder / "README.md").read_text()
    assert "4 bits" in card and "merged into its weights, in bfloat16" in card and "library_name: transformers" in card
    assert not release(shop.studio.data, shop.run.id, merged=True).made and (made.folder / "README.md").read_text() == card
    assert sorted(path.name for path in made.folder.parent.glob(".*")) == []


def test_what_was_measured_since_stands_in_the_card_of_a_release_that_is_there_already(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = release(shop.studio.data, shop.run.id, merged=False).folder
    assert "Unknown: no run that evaluates exactly these weights" in (folder / "README.md").read_text()
    monkeypatch.setattr(releasing, "_measured", lambda data, run_id, sha256: measured([True, False], [True, True]))
    again = release(shop.studio.data, shop.run.id, merged=False)
    assert not again.made and "with the adapter: 2 of 2 right" in (folder / "README.md").read_text()
    told = json.loads((folder / "release.json").read_text())
    assert told["files"] == {path.name: digest_of(path) for path in folder.iterdir() if path.name != "release.json"}


def test_the_adapter_alone_is_given_with_its_card(shop: Shop) -> None:
    made = release(shop.studio.data, shop.run.id, merged=False)
    assert digest_of(made.folder / WEIGHTS) == digest_of(shop.directory / "adapter" / WEIGHTS) and made.bytes > 0
    assert "works on this base model only" in (made.folder / "README.md").read_text()


def test_a_disk_that_is_too_small_is_refused_before_anything_is_written(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tuned_run(shop.studio, "for a small disk", seed=3)
    needed = needed_bytes(sft_config(), shop.directory / "adapter", merged=True)
    assert needed > releasing.MARGIN_BYTES
    full = shutil.disk_usage(shop.studio.data)._replace(free=needed - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    with pytest.raises(RefusedError, match=r"GB free\. Make room"):
        release(shop.studio.data, run.id, merged=True)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full._replace(free=needed))
    monkeypatch.setattr(releasing, "ask_child", in_this_process)
    assert release(shop.studio.data, run.id, merged=True).made, "the control: with room for it it is made"


def test_a_merge_that_dies_in_the_middle_leaves_nothing(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tuned_run(shop.studio, "unlucky", seed=4)
    before = sorted((shop.studio.data / "exports").iterdir())

    def torn(module: str, request: Mapping[str, Any], takes_s: float, what: str) -> dict[str, Any]:
        Path(request["folder"]).mkdir()
        (Path(request["folder"]) / "model.safetensors").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(releasing, "ask_child", torn)
    with pytest.raises(StorageError, match="No space left"):
        release(shop.studio.data, run.id, merged=True)
    assert sorted((shop.studio.data / "exports").iterdir()) == before


def test_a_run_without_an_adapter_or_that_failed_has_nothing_to_give(shop: Shop) -> None:
    failed = tuned_run(shop.studio, "failed", seed=6)
    (shop.studio.directory(failed) / "result.json").write_text(json.dumps({"outcome": "failed", "reason": "2 frozen tensors have changed."}))
    with pytest.raises(ConflictError, match="or has failed"):
        release(shop.studio.data, failed.id, merged=False)
    with pytest.raises(ConflictError, match="has no adapter yet"):
        release(shop.studio.data, shop.studio.make(sft_config(), token="fresh").id, merged=False)
