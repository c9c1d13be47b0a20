"""Metrics that torchmetrics does not have, as torchmetrics.Metric."""

from seqlab.metrics.entities import EntityF1
from seqlab.metrics.forecasts import MASE, ForecastMAE, ForecastMSE, PinballLoss, seasonal_naive_scale
from seqlab.metrics.nab import PROFILES, NABScore, Profile, window_rows

__all__ = ["MASE", "PROFILES", "EntityF1", "ForecastMAE", "ForecastMSE", "NABScore", "PinballLoss", "Profile", "seasonal_naive_scale", "window_rows"]
