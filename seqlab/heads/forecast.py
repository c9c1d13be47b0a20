"""Forecasts: two ways to more than one step ahead.

Dimension key: B batch, T time, I the encoder's width, H horizon, V values per step, P parameters per value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from seqlab.cells.base import State
from seqlab.heads.forecast_losses import make_loss
from seqlab.heads.pooled import PooledHead
from seqlab.heads.steps import StepHead


class DirectForecastHead(nn.Module):
    """All steps of the horizon at once from what the encoder made of the past: y (B, T, I) -> scores (B, H, V, P).

    P is what the loss asks for; it lies in `loss`, a ForecastLoss.
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        horizon: int,
        loss: str = "squared_error",
        quantiles: Sequence[float] | None = None,
        pool: str = "last",
        dropout: float = 0.0,
    ) -> None:
        """output_size: V, the values per step. loss, quantiles: see make_loss. pool: as in PooledHead, how the past becomes one vector."""
        super().__init__()
        _check_horizon(horizon)
        self.input_size = input_size
        self.output_size = output_size
        self.horizon = horizon
        self.loss = make_loss(loss, quantiles)
        self.shape = (horizon, output_size, self.loss.num_parameters)
        self.pooled = PooledHead(input_size, math.prod(self.shape), pool, dropout=dropout)

    def forward(self, y: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.pooled(y, lengths).unflatten(-1, self.shape)


class NextValueHead(nn.Module):
    """The values of the next step, after every step: y (B, T, I) -> scores (B, T, V, P). `forecast_recursively` goes further.

    horizon: how far it is to go, for the task that asks. P is what the loss asks for; it lies in `loss`, a ForecastLoss.
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        horizon: int = 1,
        loss: str = "squared_error",
        quantiles: Sequence[float] | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        _check_horizon(horizon)
        self.input_size = input_size
        self.output_size = output_size
        self.horizon = horizon
        self.loss = make_loss(loss, quantiles)
        self.steps = StepHead(input_size, output_size * self.loss.num_parameters, dropout=dropout)

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
    _check_horizon(horizon)
    found = [scores]
    for _ in range(horizon - 1):
        scores, state = step(point(scores), state)
        found.append(scores)
    return torch.stack(found, 1)


def _check_horizon(horizon: int) -> None:
    if horizon < 1:
        raise ValueError(f"horizon is {horizon}; expected at least 1.")
