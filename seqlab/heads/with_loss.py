"""Heads whose loss is more than a function of scores. Dimension key: B batch, T time, I the encoder's width, N losses."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


class HeadWithLoss(nn.Module, ABC):
    """A head that computes its own loss, since scores of single steps do not determine it or would cost too much.

    Besides forward(y (B, T, I), lengths) -> scores (B, T, output_size), as every head over steps.
    """

    input_size: int
    output_size: int

    @abstractmethod
    def losses(self, y: Tensor, targets: Tensor, lengths: Tensor | None = None) -> Tensor:
        """y (B, T, I), targets (B, T) -> the terms (N,) whose mean is minimised, in nats; their number is the weight of the batch."""

    @abstractmethod
    def predict(self, y: Tensor, lengths: Tensor | None = None) -> Tensor:
        """y (B, T, I) -> the likeliest classes (B, T), -1 in the padding."""
