"""Which parts of a model are in four bits, which are adapted, which keep activations, and which must not move; for both families."""

import gc
import weakref
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.bench import CONFIG, Bench, build_bench  # isort: skip  # first: it repairs torchvision before transformers is used
from peft import LoraConfig, get_peft_model  # isort: skip

from store.errors import InputError, NotFoundError
from tests.training.conftest import Studio
from training import model as models
from training.families import FAMILIES
from training.plan import TrainingError
from training.sft import check_gradients
from training.shapes import TINY
from training.tiny import build_random

PROJECTOR = replace(CONFIG, projector=True)
MERGERS = {"qwen2_5_vl": 2, "qwen3_vl": 4}  # Qwen3-VL has another merger behind each of some earlier layers of its tower


@pytest.fixture(scope="module", params=FAMILIES)
def bench(shared_studio: Studio, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Bench:
    return build_bench(shared_studio, tmp_path_factory.mktemp(request.param), request.param)


def part_of(name: str) -> str:
    return next((part for part in ("language_model", "merger", "visual", "lm_head") if part in name), "other")


def in_four_bits(model: torch.nn.Module) -> Counter[str]:
    import bitsandbytes as bnb

    return Counter(part_of(name) for name, layer in model.named_modules() if isinstance(layer, bnb.nn.Linear4bit))


def test_only_the_language_model_is_in_four_bits(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    assert bench.model.is_loaded_in_4bit and in_four_bits(bench.model) == {"language_model": 14}
    whole = models.load_model(str(bench.folder), "none")
    assert not in_four_bits(whole) and {tensor.dtype for tensor in whole.parameters()} == {torch.bfloat16}
    assert models.four_bits().bnb_4bit_use_double_quant and models.four_bits().bnb_4bit_quant_type == "nf4"
    monkeypatch.setattr(models, "UNQUANTISED", ["visual", "lm_head"])
    spoilt = in_four_bits(models.load_model(str(bench.folder), "nf4"))
    assert spoilt["visual"] and spoilt["merger"], "the control: by its short name the tower is not recognised"


def test_a_head_that_is_no_part_of_the_embedding_stays_out_of_four_bits_too(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shape = next(shape for shape in TINY.values() if shape.family == bench.family.name)
    build_random(tmp_path, [row.reply for row in bench.rows], 1, replace(shape, tied=False))
    assert in_four_bits(models.load_model(str(tmp_path), "nf4")) == {"language_model": 14}
    monkeypatch.setattr(models, "UNQUANTISED", ["model.visual"])
    assert in_four_bits(models.load_model(str(tmp_path), "nf4"))["lm_head"] == 1, "the control: it must be named"


def test_the_lora_hits_the_language_model_and_on_demand_the_merger_and_nothing_else(bench: Bench) -> None:
    for config, wanted in ((CONFIG, {"language_model": 14}), (PROJECTOR, {"language_model": 14, "merger": MERGERS[bench.family.name]})):
        lora, targets = models.lora_config(bench.model, config)
        assert targets == wanted
        adapted = Counter(part_of(name) for name, _ in get_peft_model(whole_of(bench), lora).named_modules() if name.endswith("lora_A"))
        assert adapted == wanted


def test_names_of_other_models_and_bare_suffixes_miss_the_parts_they_are_meant_for(bench: Bench) -> None:
    """Both are in use elsewhere: a projector that is never trained, a vision tower that is trained by accident."""
    with pytest.raises(ValueError, match="not found in the base model"):
        get_peft_model(whole_of(bench), LoraConfig(target_modules=["mm_projector"]))
    named = LoraConfig(target_modules=["q_proj", "v_proj", "mm_projector"])
    assert not [name for name, _ in get_peft_model(whole_of(bench), named).named_modules() if "visual" in name and name.endswith("lora_A")]
    suffixes = {"qwen2_5_vl": ["gate_proj", "up_proj", "down_proj"], "qwen3_vl": ["linear_fc1", "linear_fc2"]}[bench.family.name]
    adapted = get_peft_model(whole_of(bench), LoraConfig(target_modules=suffixes)).named_modules()
    assert any("visual.blocks" in name and name.endswith("lora_A") for name, _ in adapted)


def whole_of(bench: Bench) -> Any:
    return models.CLASSES[bench.family].from_pretrained(bench.folder)


@pytest.mark.parametrize(("config", "part"), [(CONFIG, "language_model"), (PROJECTOR, "merger")])
def test_a_part_without_a_layer_to_adapt_is_refused_by_name(bench: Bench, config: Any, part: str) -> None:
    model = torch.nn.ModuleDict({"model": torch.nn.ModuleDict({"language_model": bench.model.model.language_model})})
    if part == "language_model":
        model = torch.nn.Sequential(torch.nn.Linear(2, 2))
    with pytest.raises(InputError, match=f"of its {part} .*nothing to adapt"):
        models.lora_config(model, config)


class Watched:
    """A forward pass as training makes it, and which inputs of the tower's parts are kept for the way back."""

    def __init__(self, bench: Bench, projector: bool) -> None:
        self.model = models.load_model(str(bench.folder), "none", projector)
        lora, _ = models.lora_config(self.model, PROJECTOR if projector else CONFIG)
        self.adapted = get_peft_model(self.model, lora).train()
        # As the trainer does: the second puts a hook that asks for gradients on the tower too, in some versions on one family's only.
        self.model.activation_checkpointing_enable({"use_reentrant": False})
        self.model.enable_input_require_grads()
        self.model.model.visual.patch_embed.register_forward_hook(lambda _layer, _inputs, output: output.requires_grad_(True))
        self.batch = bench.encoder.one(bench.rows[0], bench.rows[0].reply)
        del self.batch["completion_mask"]

    def kept(self) -> tuple[int, int]:
        """Return of how many inputs of the tower's blocks how many live until the way back, and take it."""
        seen: list[weakref.ref[torch.Tensor]] = []
        visual = self.model.model.visual
        layers = [layer for block in visual.blocks for layer in (block.norm1, block.norm2)]
        hooks = [layer.register_forward_pre_hook(lambda _, inputs: seen.append(weakref.ref(inputs[0]))) for layer in layers]
        loss = self.adapted(**self.batch).logits.float().logsumexp(-1).mean()
        gc.collect()
        alive = sum(one() is not None for one in seen)
        for hook in hooks:
            hook.remove()
        loss.backward()
        return alive, len(seen)


@pytest.mark.parametrize("projector", [False, True])
def test_the_frozen_tower_keeps_no_activations(bench: Bench, projector: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(bench, projector)
    assert watched.kept() == (0, 4)
    trained = {name: tensor.grad for name, tensor in watched.adapted.named_parameters() if tensor.requires_grad}
    assert all(grad is not None and torch.isfinite(grad).all() for grad in trained.values())
    into_merger = {name: grad for name, grad in trained.items() if "visual" in name}
    assert len(into_merger) == (2 * MERGERS[bench.family.name] if projector else 0) and not any("blocks" in name for name in into_merger)
    # The second factor starts as zeros, so at first only it is pulled at.
    assert all(grad.abs().sum() > 0 for name, grad in into_merger.items() if "lora_B" in name)
    monkeypatch.setattr(models, "_keep_no_activations", lambda visual, projector: None)
    alive, of = Watched(bench, projector).kept()
    assert alive > 0 and of >= 4, "the control: the hook reaches the tower, which then keeps what goes through it"


def test_a_model_with_a_trained_merger_says_the_same_as_one_without(bench: Bench) -> None:
    batch = bench.encoder.one(bench.rows[0], bench.rows[0].reply)
    del batch["completion_mask"]
    with torch.no_grad():
        said = [models.load_model(str(bench.folder), "none", projector)(**batch).logits for projector in (False, True)]
    assert torch.equal(*said)


def test_another_kind_of_model_and_a_missing_one_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The library read the environment at its import, before the test could set it.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(InputError, match="is a llama"):
        models.load_model(str(tmp_path), "none")
    with pytest.raises(NotFoundError, match="could not be loaded"):
        models.load_model(str(tmp_path / "none"), "none")
    with pytest.raises(NotFoundError, match="connect this machine"):
        models.load_model("no-such-organisation/no-such-model", "nf4")


def test_a_frozen_tensor_that_moves_is_seen() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 4))
    model[0].requires_grad_(False)
    before = models.frozen_sums(model)
    assert models.frozen_sums(model, {"0.bias", "1.bias"}) == {"0.bias": before["0.bias"]}
    with torch.no_grad():
        model[1].weight += 1
    assert models.frozen_sums(model) == before, "a trainable one may move"
    with torch.no_grad():
        model[0].weight[0, 0] += 1e-3
    assert [name for name, total in models.frozen_sums(model).items() if before[name] != total] == ["0.weight"]


@pytest.mark.parametrize(
    ("spoil", "word"),
    [(lambda layer: setattr(layer.weight, "grad", None), "no gradient"), (lambda layer: layer.weight.grad.fill_(float("nan")), "not finite")],
)
def test_a_trainable_tensor_without_a_finite_gradient_ends_the_run(spoil: Callable[[torch.nn.Module], None], word: str) -> None:
    layer = torch.nn.Linear(2, 2)
    layer(torch.ones(1, 2)).sum().backward()
    check_gradients(layer)
    spoil(layer)
    with pytest.raises(TrainingError, match=word):
        check_gradients(layer)
