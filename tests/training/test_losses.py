"""The losses of pairs are those of TRL's own trainer on the same model and rows."""

import math
from dataclasses import replace

import pytest
import torch

from tests.training.conftest import Studio
from tests.training.pair_bench import SEPARATE, PairBench, build_bench, dpo_config_of, move, trl_batch, trl_loss
from training.config import LOSSES
from training.dpo import as_reference
from training.losses import preference_loss

MIXTURES = [*(((name,), (1.0,)) for name in LOSSES if name != "sft"), (("sigmoid", "sft"), (1.0, 0.2)), (("apo_zero", "ipo", "sft"), (0.5, 2.0, 0.1))]
ONES = torch.ones(3)
Summed = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@pytest.fixture(scope="module")
def bench(shared_studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> PairBench:
    return build_bench(shared_studio, tmp_path_factory.mktemp("losses"))


@pytest.fixture(scope="module")
def summed(bench: PairBench) -> Summed:
    """Return, of three pairs and (2, 3) each: log-probabilities of a policy that has moved and of its reference, by TRL's forward, and lengths."""
    trainer = bench.trainer(dpo_config_of())
    move(bench.model, "default", 0.05)
    batch = trl_batch(bench, bench.rows[4:7])
    lengths = batch["completion_mask"].sum(dim=1).reshape(2, 3)
    labels = batch["input_ids"].masked_fill(batch.pop("completion_mask") == 0, -100)

    def told() -> torch.Tensor:
        with torch.no_grad():
            return trainer.model(**batch, labels=labels, fused_lm_head=True).log_probs.sum(dim=1).reshape(2, 3)

    with as_reference(bench.model):
        reference = told()
    return told(), reference, lengths


@pytest.mark.parametrize(("names", "shares"), MIXTURES)
def test_loss_and_figures_are_those_of_trl_on_the_same_rows(bench: PairBench, names: tuple[str, ...], shares: tuple[float, ...]) -> None:
    config = dpo_config_of(loss_types=names, loss_weights=shares, beta=0.3)
    trainer = bench.trainer(config)
    move(bench.model, "default", 0.05)
    rows = bench.rows[4:7]
    with torch.no_grad():
        theirs, figures = trl_loss(trainer, trl_batch(bench, rows))
        trainer._metrics["train"].clear()
        ours = trainer.compute_loss(trainer.model, trainer._pairs.batch(rows, SEPARATE))
        told = {name: values[0] for name, values in trainer._metrics["train"].items() if name in figures}
        trainer._pairs.config = replace(config, beta=0.6)
        other = trainer.compute_loss(trainer.model, trainer._pairs.batch(rows, SEPARATE))
    assert float(ours) == pytest.approx(float(theirs), rel=1e-5, abs=1e-6)
    assert float(other) != pytest.approx(float(theirs), rel=1e-4), "the control: another beta is another loss"
    assert told == {name: pytest.approx(figures[name], rel=1e-4, abs=1e-5) for name in told}
    assert {"rewards/margins", "rewards/accuracies", "logps/chosen", "mean_token_accuracy"} <= set(told)


@pytest.mark.parametrize(("names", "shares"), MIXTURES)
def test_a_pair_of_weight_two_counts_as_much_as_the_pair_twice(summed: Summed, names: tuple[str, ...], shares: tuple[float, ...]) -> None:
    policy, reference, lengths = summed
    config = dpo_config_of(loss_types=names, loss_weights=shares)
    lengths = torch.full_like(lengths, 7)  # the term sft goes by tokens, so pairs of one length show it too
    twice = [0, 0, 1, 2]
    weighed = preference_loss(policy, reference, lengths, config, torch.tensor([1.5, 0.75, 0.75]))[0]
    repeated = preference_loss(policy[:, twice], reference[:, twice], lengths[:, twice], config, torch.ones(4))[0]
    assert float(weighed) == pytest.approx(float(repeated), rel=1e-5)


def test_where_policy_and_reference_agree_the_sigmoid_loss_is_ln_2_whatever_the_texts(summed: Summed) -> None:
    policy, _, lengths = summed
    loss, told = preference_loss(policy, policy, lengths, dpo_config_of(loss_types=("sigmoid",), loss_weights=(1.0,)), ONES)
    assert float(loss) == pytest.approx(math.log(2), abs=1e-7)
    assert told["preference_loss"] == pytest.approx(math.log(2), abs=1e-7)
    assert (told["rewards/margins"], told["rewards/accuracies"]) == (0, 0), "a tie is not ranked right"


@pytest.mark.parametrize("margin", [-50_000.0, 50_000.0])
def test_no_loss_overflows_however_far_apart_the_texts_are(margin: float) -> None:
    policy, lengths = torch.tensor([[margin], [0.0]]), torch.ones(2, 1)
    for name in LOSSES:
        names, shares = (("sigmoid", name), (0.0001, 1.0)) if name == "sft" else ((name,), (1.0,))
        loss, told = preference_loss(policy, torch.zeros(2, 1), lengths, dpo_config_of(loss_types=names, loss_weights=shares, beta=0.1), torch.ones(1))
        assert math.isfinite(float(loss)) and told["preference_loss"] == pytest.approx(max(0.0, -0.1 * margin))


def test_the_loss_of_several_terms_is_their_weighted_sum(summed: Summed) -> None:
    policy, reference, lengths = summed

    def loss(names: tuple[str, ...], shares: tuple[float, ...]) -> float:
        return float(preference_loss(policy, reference, lengths, dpo_config_of(loss_types=names, loss_weights=shares), ONES)[0])

    assert loss(("sigmoid", "ipo"), (0.3, 0.7)) == pytest.approx(0.3 * loss(("sigmoid",), (1.0,)) + 0.7 * loss(("ipo",), (1.0,)))
