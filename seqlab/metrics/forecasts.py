"""How far forecasts are off. Dimension key: V values per step, Q quantiles. A target that is NaN is missing and counts for nothing."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric

from seqlab.heads.forecast_losses import check_quantiles, pinball


def seasonal_naive_scale(series: Tensor, period: int = 1) -> Tensor:
    """series (T, V), the training split alone -> mean of |x_t − x_{t−period}| for each value, (V,), in float64.

    The error that repeating the last season makes; pairs with a missing part are left out. ValueError when there is no pair, or
    no difference: such a value has no scale.
    """
    if series.dim() != 2:
        raise ValueError(f"the training series has shape {tuple(series.shape)}; expected (time, values).")
    if not 1 <= period < len(series):
        raise ValueError(f"period is {period}; expected 1..{len(series) - 1}, less than the {len(series)} steps of the training split.")
    differences = (series[period:].double() - series[:-period].double()).abs()
    scale = differences.nanmean(0)
    if not bool((scale > 0).all()):
        wrong = int((~(scale > 0)).nonzero()[0])
        raise ValueError(
            f"value {wrong} of the training split differs by {scale[wrong].item()} on average from one period of {period} steps before; expected a number "
            "above 0 to scale errors by. Leave this value out, or choose another period."
        )
    return scale


class ForecastError(Metric):
    """Mean of an error over the values that are present; subclasses say which error."""

    full_state_update = False
    higher_is_better = False
    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    @abstractmethod
    def errors(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """predictions, targets (…, V), in float64 -> (…, V)."""

    def update(self, predictions: Tensor, targets: Tensor) -> None:
        """predictions, targets (…, V)."""
        if predictions.shape != targets.shape:
            raise ValueError(f"predictions and targets have shapes {tuple(predictions.shape)} and {tuple(targets.shape)}; expected one shape.")
        present = ~targets.isnan()
        self.total += self.errors(predictions.double(), targets.double())[present].sum()
        self.count += present.sum()

    def compute(self) -> Tensor:
        return self.total / self.count


class ForecastMSE(ForecastError):
    """Mean squared error; torchmetrics' own knows no missing targets."""

    def errors(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return (targets - predictions).square()


class ForecastMAE(ForecastError):
    """Mean absolute error; torchmetrics' own knows no missing targets."""

    def errors(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return (targets - predictions).abs()


class MASE(ForecastError):
    """Mean absolute scaled error: mean of |x − x̂| / scale of its value. Below 1: better than repeating the last season did in training.

    Source: R. Hyndman and A. Koehler, 2006, "Another look at measures of forecast accuracy", section 2.4; with a season in the scale
    as in the M4 competition (S. Makridakis et al., 2020).
    """

    scale: Tensor

    def __init__(self, scale: Tensor) -> None:
        """scale (V,), of seasonal_naive_scale."""
        super().__init__()
        self.register_buffer("scale", scale.double(), persistent=False)

    def errors(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return (targets - predictions).abs() / self.scale

    def update(self, predictions: Tensor, targets: Tensor) -> None:
        """predictions, targets (…, V)."""
        if predictions.shape != targets.shape or targets.shape[-1:] != self.scale.shape:
            raise ValueError(
                f"predictions and targets have shapes {tuple(predictions.shape)} and {tuple(targets.shape)}; expected one shape that ends in "
                f"{len(self.scale)}, the number of scales."
            )
        super().update(predictions, targets)


class PinballLoss(Metric):
    """Mean of the pinball losses of quantile forecasts, over values and quantiles; see seqlab.heads.forecast_losses.pinball."""

    full_state_update = False
    total: Tensor
    count: Tensor
    quantiles: Tensor

    def __init__(self, quantiles: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("quantiles", torch.tensor(check_quantiles(quantiles), dtype=torch.float64), persistent=False)
        self.add_state("total", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, predictions: Tensor, targets: Tensor) -> None:
        """predictions (…, Q), targets (…)."""
        if predictions.shape != (*targets.shape, len(self.quantiles)):
            raise ValueError(
                f"predictions have shape {tuple(predictions.shape)} for targets of shape {tuple(targets.shape)}; expected "
                f"{(*targets.shape, len(self.quantiles))}, a forecast for each of the {len(self.quantiles)} quantiles."
            )
        present = ~targets.isnan()
        losses = pinball(predictions[present].double(), targets[present].double(), self.quantiles)
        self.total += losses.sum()
        self.count += losses.numel()

    def compute(self) -> Tensor:
        return self.total / self.count
