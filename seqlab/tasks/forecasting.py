"""The next steps of one or more series. Dimension key: B batch, T time, I features, H horizon, V series, P parameters per value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchmetrics import MetricCollection

from seqlab.cells.base import State
from seqlab.data.base import Batch, SequenceDataModule
from seqlab.data.checks import check_axes
from seqlab.data.windows import measured
from seqlab.heads import DirectForecastHead, NextValueHead, QuantileLoss, forecast_recursively
from seqlab.layers import Bidirectional
from seqlab.metrics import MASE, ForecastMAE, ForecastMSE, seasonal_naive_scale
from seqlab.registry import unknown
from seqlab.tasks.base import Outcome, Task

SMALLEST_SCALE = 1e-5  # of a window that stands still, in the units of the inputs


def _nothing(past: Tensor) -> tuple[Tensor, Tensor]:
    return torch.zeros_like(past[:, :1]), torch.ones_like(past[:, :1])


def _last(past: Tensor) -> tuple[Tensor, Tensor]:
    return past[:, -1:], torch.ones_like(past[:, :1])


def _standard(past: Tensor) -> tuple[Tensor, Tensor]:
    variance, mean = torch.var_mean(past, 1, keepdim=True, correction=0)
    return mean, (variance + SMALLEST_SCALE).sqrt()


# what a window is measured from, and by: past (B, T, V) -> offset, scale (B, 1, V)
WINDOW_SCALES: dict[str, Callable[[Tensor], tuple[Tensor, Tensor]]] = {"none": _nothing, "last": _last, "standard": _standard}


class Forecasting(Task):
    """Forecasts of the `horizon` steps after a window, by the loss of the head; MSE, MAE and MASE of the point forecast.

    head=forecast gives all steps at once. head=next_value is trained to forecast each next step of the window, with a window_scale
    the step after the window alone; for more steps it reads its own forecasts, and then all inputs have to be series that are forecast.
    The first V of the inputs are the past of the V series. window_scale: what of that past is taken off before the model and
    put back after it: "none"; "last", its last value (A. Zeng et al., 2023, "Are transformers effective for time series
    forecasting?", NLinear); "standard", mean and deviation of the window (T. Kim et al., 2022, "Reversible instance
    normalization", without its learned affine map). Losses and metrics are in the units of the data set.
    MASE divides by what repeating the value one `data.season` earlier misses on average, in the training split, of the same series.
    """

    def __init__(self, *args: Any, window_scale: str = "none", **kwargs: Any) -> None:
        if window_scale not in WINDOW_SCALES:
            raise ValueError(unknown("window scale", window_scale, list(WINDOW_SCALES), "Choose one with task.window_scale=NAME."))
        super().__init__(*args, **kwargs)
        self.window_scale = window_scale
        if isinstance(self.head, NextValueHead) and any(isinstance(module, Bidirectional) for module in self.model.encoder.modules()):
            raise ValueError("the encoder is bidirectional, so it has read the values it should forecast. Choose encoder.bidirectional=false or head=forecast.")
        if isinstance(self.head, NextValueHead) and self.model.frontend.mixes_steps:
            name = type(self.model.frontend).__name__
            raise ValueError(f"the front end {name} looks ahead, so it has read the values it should forecast. Choose frontend=features or head=forecast.")
        self.num_series = self.head.output_size  # or more, when each is a row of its own

    @property
    def head(self) -> DirectForecastHead | NextValueHead:
        """The model's, which has to forecast."""
        head = self.model.head
        if not isinstance(head, DirectForecastHead | NextValueHead):
            raise ValueError(f"the head is a {type(head).__name__}; expected one that forecasts. Choose head=forecast or head=next_value.")
        return head

    def make_metrics(self) -> MetricCollection:
        return MetricCollection({"mse": ForecastMSE(), "mae": ForecastMAE()}, compute_groups=False)

    def prepare(self, data: SequenceDataModule) -> None:
        self._check_inputs(data.spec.input_size)  # before an epoch has gone by
        super().prepare(data)

    def setup(self, stage: str) -> None:
        """MASE needs the training split, which the checkpoint does not hold."""
        super().setup(stage)
        data = getattr(self.trainer, "datamodule", None)
        if data is None:
            return  # debug=overfit, where there are batches and no data set
        scale = seasonal_naive_scale(data.training_series, data.season)
        self.num_series = len(scale)
        for split in ("val", "test"):
            metrics = self._meters(split)[1]
            if "mase" not in metrics.keys(keep_base=True):  # this is called for training and again for the test
                metrics.add_metrics({"mase": MASE(scale).to(self.device)})

    def derived_metrics(self, loss: Tensor) -> dict[str, Tensor]:
        return {"pinball": loss} if isinstance(self.head.loss, QuantileLoss) else {}

    def outcome(self, batch: Batch) -> Outcome:
        """The Outcome's predictions are the points (B, H, V), a missing target is NaN. In training a NextValueHead learns from the
        steps of the window, and the Outcome is of these (B, T, V), NaN where nothing is to be learned."""
        past, targets = batch.inputs, batch.targets
        num_series = self.head.output_size
        check_axes("targets", targets, "batch, horizon, series", "Choose a data set that forecasts, such as data=time_series.")
        if isinstance(self.head, NextValueHead) and self.training:
            window = measured(batch, num_series)[:, 1:]
            if self.window_scale != "none":  # a step before the window's end has been told of it: by its last value, or by a mean that counts it
                window = torch.full_like(window, torch.nan)
            targets = torch.cat([window, targets[:, :1]], 1)
            scores = self._next_values(past)
        else:
            scores = self.scores(past)
        loss = self.head.loss(scores, targets)
        return Outcome(loss, int((~targets.isnan()).sum()), self.head.loss.point(scores).detach(), targets)

    def scores(self, past: Tensor) -> Tensor:
        """past (B, T, I) -> scores (B, H, V, P) of the steps after it, in the units of the past."""
        scaled, offset, scale = self._scaled(past)
        if isinstance(self.head, DirectForecastHead):
            scores, _ = self.model(scaled)
        else:
            self._check_inputs(past.shape[-1])
            first, state = self.model(scaled)
            scores = forecast_recursively(self._step, first[:, -1], state, self.head.horizon, self.head.loss.point)
        shape = (len(past), scores.shape[1], self.head.output_size)
        return self.head.loss.rescaled(scores, offset.expand(shape), scale.expand(shape))

    def _check_inputs(self, num_inputs: int) -> None:
        """Raise ValueError where a NextValueHead would have to read, of steps to come, inputs that it does not forecast."""
        if isinstance(self.head, NextValueHead) and self.head.horizon > 1 and num_inputs != self.head.output_size:
            raise ValueError(
                f"the data has {num_inputs} inputs per step and forecasts {self.head.output_size} of them; expected equal numbers, for head=next_value "
                f"reads its own forecasts and knows the future of nothing else. Choose head=forecast, forecast every column without data.missing=flag, or "
                f"set data.horizon=1, which is {self.head.horizon}."
            )

    def _next_values(self, past: Tensor) -> Tensor:
        """past (B, T, I) -> scores (B, T, V, P), after each step of the next."""
        scaled, offset, scale = self._scaled(past)
        scores, _ = self.model(scaled)
        shape = (*past.shape[:2], self.head.output_size)
        if scores.shape[:3] != shape:
            raise ValueError(
                f"scores have shape {tuple(scores.shape)}; expected one for each of the {shape[1]} steps. Choose frontend=features or head=forecast."
            )
        return self.head.loss.rescaled(scores, offset.expand(shape), scale.expand(shape))

    def _step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        scores, state = self.model(x[:, None], None, state)
        return scores[:, -1], state

    def _scaled(self, past: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        num_series = self.head.output_size
        series, rest = past[..., :num_series], past[..., num_series:]
        offset, scale = WINDOW_SCALES[self.window_scale](series)
        return torch.cat([(series - offset) / scale, rest], -1), offset, scale

    def _evaluate(self, split: str, batch: Batch) -> None:
        outcome = self.outcome(batch)
        if batch.spare:
            return
        loss, metrics = self._meters(split)
        loss.update(outcome.loss, weight=outcome.count)
        metrics.update(self._side_by_side(outcome.predictions), self._side_by_side(outcome.targets))

    def _side_by_side(self, values: Tensor) -> Tensor:
        """(B, H, V) -> (B', H, S): where each of S series is a row of its own, their rows follow each other."""
        _, horizon, width = values.shape
        return values.reshape(-1, self.num_series // width, horizon, width).transpose(1, 2).reshape(-1, horizon, self.num_series)

    def answer(self, batch: Batch) -> list[dict[str, Any]]:
        """For each row {"forecast": (H, V) as lists} and, when the loss learns a band, "lower" and "upper" likewise."""
        training = self.training
        self.eval()
        with torch.no_grad():
            scores = self.scores(batch.inputs.to(next(self.model.parameters()).dtype))
        self.train(training)
        band = self.head.loss.band(scores)
        parts = {"forecast": self.head.loss.point(scores)}
        if band is not None:
            parts |= {"lower": band[0], "upper": band[1]}
        return [{name: part[row].tolist() for name, part in parts.items()} for row in range(len(scores))]
