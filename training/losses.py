"""The losses of preference pairs, as TRL 1.16's DPOTrainer reckons them, but from log-probabilities alone, wherever these come from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from training.config import RunConfig


@dataclass(frozen=True)
class _Ratios:
    """log(policy / reference) of n pairs, (2, n) with the chosen texts first: summed over the scored tokens, and their mean."""

    summed: Tensor
    mean: Tensor

    @property
    def margin(self) -> Tensor:
        return self.summed[0] - self.summed[1]

    @property
    def mean_margin(self) -> Tensor:
        return self.mean[0] - self.mean[1]


# Each gives a loss for each pair, (n,). Sources: arXiv 2305.18290 (sigmoid), 2305.10425 (hinge), 2310.12036 eq. 17 (ipo, by token as its authors
# confirmed to TRL), 2408.06266 eq. 7 (apo_zero); sigmoid_norm is TRL's own, sigmoid on means.
_LOSSES: Mapping[str, Callable[[_Ratios, float], Tensor]] = {
    "sigmoid": lambda ratios, beta: -logsigmoid(beta * ratios.margin),
    "sigmoid_norm": lambda ratios, beta: -logsigmoid(beta * ratios.mean_margin),
    "hinge": lambda ratios, beta: torch.relu(1 - beta * ratios.margin),
    "ipo": lambda ratios, beta: (ratios.mean_margin - 1 / (2 * beta)) ** 2,
    "apo_zero": lambda ratios, beta: 1 - torch.sigmoid(beta * ratios.summed[0]) + torch.sigmoid(beta * ratios.summed[1]),
}


def preference_loss(
    policy: Tensor, reference: Tensor, lengths: Tensor, config: RunConfig, weights: Tensor, chosen_tokens: float | None = None
) -> tuple[Tensor, dict[str, float]]:
    """Return the mean loss of n pairs and what is told of them: rewards, log-probabilities, and the sigmoid loss whatever losses are asked for.

    policy, reference, lengths: (2, n), chosen texts first: log-probabilities summed over the scored tokens, and how many tokens these are.
    weights: (n,), of each pair's loss; their mean over all training pairs is 1, so that the learning rate means what it does without them.
    The term sft is the mean over the chosen texts' tokens, a long text counting for more, as in TRL. chosen_tokens: how many these are a pair, where
    the pairs are a part of a step: those of the whole step, so that the step comes to the same however its pairs are parted; None: those of these.
    """
    beta = config.beta or 0.0
    summed = policy - reference
    ratios = _Ratios(summed, summed / lengths.clamp(min=1))
    length = lengths[0].float().mean() if chosen_tokens is None else chosen_tokens
    loss = policy.new_zeros(())
    for name, share in zip(config.loss_types, config.loss_weights, strict=True):
        term = -(policy[0] * weights).mean() / length if name == "sft" else (_LOSSES[name](ratios, beta) * weights).mean()
        loss = loss + share * term
    return loss, _told(policy.detach(), beta * summed.detach())


def _told(policy: Tensor, rewards: Tensor) -> dict[str, float]:
    margins = rewards[0] - rewards[1]
    told = {
        "rewards/chosen": rewards[0],
        "rewards/rejected": rewards[1],
        "rewards/margins": margins,
        "rewards/accuracies": (margins > 0).float(),
        "logps/chosen": policy[0],
        "logps/rejected": policy[1],
        "preference_loss": -logsigmoid(margins),
    }
    return {name: float(values.mean()) for name, values in told.items()}
