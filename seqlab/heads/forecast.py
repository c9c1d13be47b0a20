"""Forecasts: what the loss asks of a head, and two ways to more than one step ahead.

Dimension key: B batch, T time, I the encoder's width, H horizon, V values per step, P parameters per value, N values present.
Scores are (…, V, P) and targets (…, V), always; a target that is missing, or padding, is NaN and counts for nothing.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from seqlab.cells.base import State
from seqlab.heads.pooled import PooledHead
from seqlab.heads.steps import StepHead

SMALLEST_DEVIATION = 1e-4  # of a Gaussian forecast: a series that stands still would have an infinite likelihood


class ForecastLoss(nn.Module, ABC):
    """How forecasts are judged: num_parameters scores per value, a loss for each value, and a single number to forecast."""

    num_parameters: int = 1

    @abstractmethod
    def value_losses(self, scores: Tensor, targets: Tensor) -> Tensor:
        """scores (N, P), targets (N,) without NaN -> (N,)."""

    def point(self, scores: Tensor) -> Tensor:
        """scores (…, V, P) -> the forecast (…, V) that this loss is least for."""
        return scores[..., 0]

    def forward(self, scores: Tensor, targets: Tensor) -> Tensor:
        """scores (…, V, P), targets (…, V) -> mean loss over the targets that are present; 0 when none is, which moves no weight."""
        if scores.shape != (*targets.shape, self.num_parameters):
            raise ValueError(
                f"scores have shape {tuple(scores.shape)} for targets of shape {tuple(targets.shape)}; expected {(*targets.shape, self.num_parameters)}. "
                f"{type(self).__name__} needs num_parameters={self.num_parameters} of the head."
            )
        present = ~targets.isnan()
        return self.value_losses(scores[present], targets[present]).sum() / present.sum().clamp(min=1)


class SquaredError(ForecastLoss):
    """(x − x̂)²; the forecast is the mean."""

    def value_losses(self, scores: Tensor, targets: Tensor) -> Tensor:
        return (targets - scores[:, 0]).square()


class AbsoluteError(ForecastLoss):
    """|x − x̂|; the forecast is the median."""

    def value_losses(self, scores: Tensor, targets: Tensor) -> Tensor:
        return (targets - scores[:, 0]).abs()


def pinball(forecasts: Tensor, targets: Tensor, quantiles: Tensor) -> Tensor:
    """forecasts (…, Q) of the quantiles (Q,), targets (…) -> max(q (x − x̂_q), (q − 1) (x − x̂_q)), (…, Q).

    Source: R. Koenker and G. Bassett, 1978, eq. 2.1. Half the absolute error at q = 0.5.
    """
    errors = targets[..., None] - forecasts
    return torch.maximum(quantiles * errors, (quantiles - 1) * errors)


def check_quantiles(quantiles: Sequence[float]) -> list[float]:
    """The quantiles as a list; ValueError unless they rise within (0, 1)."""
    found = list(quantiles)
    if not found or found != sorted(set(found)) or not 0 < found[0] <= found[-1] < 1:
        raise ValueError(f"quantiles are {found}; expected rising numbers in (0, 1), such as [0.1, 0.5, 0.9].")
    return found


class QuantileLoss(ForecastLoss):
    """Mean of the pinball losses of the quantiles; one score for each, which nothing keeps from crossing. The forecast is the median."""

    quantiles: Tensor

    def __init__(self, quantiles: Sequence[float] = (0.1, 0.5, 0.9)) -> None:
        """quantiles: rising, 0.5 among them."""
        super().__init__()
        found = check_quantiles(quantiles)
        if 0.5 not in found:
            raise ValueError(f"quantiles are {found}; expected 0.5 among them, which is the forecast itself. Add it.")
        self.num_parameters = len(found)
        self.median = found.index(0.5)
        self.register_buffer("quantiles", torch.tensor(found), persistent=False)

    def value_losses(self, scores: Tensor, targets: Tensor) -> Tensor:
        return pinball(scores, targets, self.quantiles.to(scores.dtype)).mean(-1)

    def point(self, scores: Tensor) -> Tensor:
        return scores[..., self.median]


class GaussianLoss(ForecastLoss):
    """−log N(x; μ, σ) = ½ log 2π + log σ + (x − μ)² / 2σ², in nats, with μ the first score and σ = softplus of the second.

    Source: D. Salinas et al., 2020, "DeepAR", section 3.1. σ is at least SMALLEST_DEVIATION. The forecast is μ.
    """

    num_parameters = 2

    @staticmethod
    def deviation(scores: Tensor) -> Tensor:
        """scores (…, 2) -> σ (…)."""
        return nn.functional.softplus(scores[..., 1]) + SMALLEST_DEVIATION

    def value_losses(self, scores: Tensor, targets: Tensor) -> Tensor:
        deviation = self.deviation(scores)
        return 0.5 * math.log(2 * math.pi) + deviation.log() + 0.5 * ((targets - scores[:, 0]) / deviation).square()


class DirectForecastHead(nn.Module):
    """All steps of the horizon at once from what the encoder made of the past: y (B, T, I) -> scores (B, H, V, P)."""

    def __init__(self, input_size: int, output_size: int, horizon: int, num_parameters: int = 1, pool: str = "last", dropout: float = 0.0) -> None:
        """output_size: V, the values per step. num_parameters: of the loss. pool: as in PooledHead, how the past becomes one vector."""
        super().__init__()
        _check_sizes(horizon=horizon, num_parameters=num_parameters)
        self.input_size = input_size
        self.output_size = output_size
        self.shape = (horizon, output_size, num_parameters)
        self.pooled = PooledHead(input_size, math.prod(self.shape), pool, dropout=dropout)

    def forward(self, y: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.pooled(y, lengths).unflatten(-1, self.shape)


class NextValueHead(nn.Module):
    """The values of the next step, after every step: y (B, T, I) -> scores (B, T, V, P). `forecast_recursively` goes further."""

    def __init__(self, input_size: int, output_size: int, num_parameters: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        _check_sizes(num_parameters=num_parameters)
        self.input_size = input_size
        self.output_size = output_size
        self.steps = StepHead(input_size, output_size * num_parameters, dropout=dropout)

    def forward(self, y: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.steps(y, lengths).unflatten(-1, (self.output_size, -1))


def forecast_recursively(
    step: Callable[[Tensor, State], tuple[Tensor, State]], scores: Tensor, state: State, horizon: int, point: Callable[[Tensor], Tensor]
) -> Tensor:
    """Each forecast is read as if it had come true -> scores (B, H, V, P).

    step(x (B, V), state) -> scores (B, V, P) of the step after x, and the state. scores (B, V, P) and state: after the last
    step of the past; these scores are the first of the result. point: the loss's, from scores to the values that are read.
    The scores past the first know nothing of the uncertainty of what was read: a band is too narrow there.
    """
    _check_sizes(horizon=horizon)
    found = [scores]
    for _ in range(horizon - 1):
        scores, state = step(point(scores), state)
        found.append(scores)
    return torch.stack(found, 1)


def _check_sizes(**sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} is {size}; expected at least 1.")
