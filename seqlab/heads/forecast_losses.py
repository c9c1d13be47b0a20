"""What a forecast is judged by, and what a head has to give for it.

Dimension key: V values per step, P parameters per value, N values present, Q quantiles.
Scores are (…, V, P) and targets (…, V), always; a target that is missing, or padding, is NaN and counts for nothing.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from seqlab.registry import unknown

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

    def band(self, scores: Tensor) -> tuple[Tensor, Tensor] | None:
        """scores (…, V, P) -> the ends (…, V) of the band that this loss learns, or None when it learns a single number."""
        return None

    def rescaled(self, scores: Tensor, offset: Tensor, scale: Tensor) -> Tensor:
        """Scores for values (x − offset) / scale -> scores for x itself. offset, scale: (…, V), scale above 0."""
        return scores * scale[..., None] + offset[..., None]

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


class HuberLoss(ForecastLoss):
    """e² / 2 up to |e| = 1, |e| − 1/2 beyond, with e = x − x̂ in the units of the targets; the forecast lies between mean and median.

    Source: P. Huber, 1964, "Robust estimation of a location parameter", with k = 1.
    """

    def value_losses(self, scores: Tensor, targets: Tensor) -> Tensor:
        return nn.functional.huber_loss(scores[:, 0], targets, reduction="none")


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

    def band(self, scores: Tensor) -> tuple[Tensor, Tensor] | None:
        """From the lowest quantile to the highest."""
        return scores.amin(-1), scores.amax(-1)  # not the first and the last: nothing keeps them from crossing


class GaussianLoss(ForecastLoss):
    """−log N(x; μ, σ) = ½ log 2π + log σ + (x − μ)² / 2σ², in nats, with μ the first score and σ = softplus of the second.

    Source: D. Salinas et al., 2020, "DeepAR", section 3.1. σ is at least SMALLEST_DEVIATION. The forecast is μ.
    """

    num_parameters = 2
    half_width = 1.2815515655446004  # of the band, in σ: from the quantile 0.1 to 0.9

    @staticmethod
    def deviation(scores: Tensor) -> Tensor:
        """scores (…, 2) -> σ (…)."""
        return nn.functional.softplus(scores[..., 1]) + SMALLEST_DEVIATION

    def value_losses(self, scores: Tensor, targets: Tensor) -> Tensor:
        deviation = self.deviation(scores)
        return 0.5 * math.log(2 * math.pi) + deviation.log() + 0.5 * ((targets - scores[:, 0]) / deviation).square()

    def band(self, scores: Tensor) -> tuple[Tensor, Tensor] | None:
        """From the quantile 0.1 to 0.9."""
        reach = self.half_width * self.deviation(scores)
        return scores[..., 0] - reach, scores[..., 0] + reach

    def rescaled(self, scores: Tensor, offset: Tensor, scale: Tensor) -> Tensor:
        wanted = (self.deviation(scores) * scale - SMALLEST_DEVIATION).clamp(min=1e-8)
        raw = wanted + torch.log(-torch.expm1(-wanted))  # softplus of it is what is wanted
        return torch.stack([scores[..., 0] * scale + offset, raw], -1)


LOSSES: dict[str, type[ForecastLoss]] = {
    "squared_error": SquaredError,
    "absolute_error": AbsoluteError,
    "huber": HuberLoss,
    "quantile": QuantileLoss,
    "gaussian": GaussianLoss,
}


def make_loss(name: str, quantiles: Sequence[float] | None = None) -> ForecastLoss:
    """The loss of that name. quantiles: of loss=quantile alone, by default 0.1, 0.5 and 0.9."""
    if name not in LOSSES:
        raise ValueError(unknown("forecast loss", name, list(LOSSES), "Choose one with head.loss=NAME."))
    if quantiles is not None and name != "quantile":
        raise ValueError(f"quantiles are {list(quantiles)} but the loss is {name!r}; expected None. Choose head.loss=quantile or leave them out.")
    return QuantileLoss(quantiles) if name == "quantile" and quantiles is not None else LOSSES[name]()
