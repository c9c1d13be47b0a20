"""What turns the encoder's outputs into scores: (y (B, T, O), lengths) -> scores."""

from seqlab.heads.adaptive import AdaptiveHead
from seqlab.heads.crf import CRFHead
from seqlab.heads.ctc import CTCHead
from seqlab.heads.forecast import DirectForecastHead, NextValueHead, forecast_recursively
from seqlab.heads.forecast_losses import AbsoluteError, ForecastLoss, GaussianLoss, HuberLoss, QuantileLoss, SquaredError, make_loss
from seqlab.heads.pooled import PooledHead
from seqlab.heads.steps import StepHead
from seqlab.heads.tied import TiedHead
from seqlab.heads.with_loss import HeadWithLoss

__all__ = [
    "AbsoluteError",
    "AdaptiveHead",
    "CRFHead",
    "CTCHead",
    "DirectForecastHead",
    "ForecastLoss",
    "GaussianLoss",
    "HeadWithLoss",
    "HuberLoss",
    "NextValueHead",
    "PooledHead",
    "QuantileLoss",
    "SquaredError",
    "StepHead",
    "TiedHead",
    "forecast_recursively",
    "make_loss",
]
