"""Features as they come, or on one scale. Dimension key: B batch, T time, I features per step."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from seqlab.executors import lengths_to_mask
from seqlab.frontends.base import Frontend, check_probability


class Features(Frontend):
    """x (B, T, I) -> x, with dropout. For data whose steps are vectors already.

    normalise: (x − mean) / deviation of each feature, both over the valid steps of the training split and kept in the
    checkpoint; a feature that never changes there is only shifted.
    """

    reads = "features"
    mean: Tensor
    deviation: Tensor

    def __init__(self, input_size: int, normalise: bool = False, dropout: float = 0.0) -> None:
        super().__init__()
        self.output_size = input_size
        self.normalise = normalise
        self.dropout = nn.Dropout(check_probability("dropout", dropout))
        if normalise:
            self.register_buffer("mean", torch.zeros(input_size))
            self.register_buffer("deviation", torch.ones(input_size))

    def prepare(self, data: Any) -> None:
        if self.normalise:
            mean, deviation = moments((batch.inputs, batch.lengths) for batch in data.train_dataloader())
            self.mean.copy_(mean)
            self.deviation.copy_(deviation)

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.dropout((inputs - self.mean) / self.deviation if self.normalise else inputs)


def moments(batches: Iterable[tuple[Tensor, Tensor | None]]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (I) of each feature over the valid steps of (x (B, T, I), lengths), summed up in float64.

    Where the deviation is 0 or is rounding alone it is 1.
    """
    centre = total = squares = torch.zeros(1, dtype=torch.float64)
    count = 0
    for x, lengths in batches:
        steps = x.flatten(0, 1) if lengths is None else x[lengths_to_mask(lengths, x.shape[1])]
        steps = steps.double()
        if not count:
            centre = steps.mean(0)  # squares are summed around it: around 0 those of a large mean would swallow the deviation
        count += len(steps)
        total = total + (steps - centre).sum(0)
        squares = squares + (steps - centre).square().sum(0)
    shift = total / count
    mean = centre + shift
    deviation = (squares / count - shift.square()).clamp(min=0).sqrt()
    return mean, torch.where(deviation > 1e-7 * mean.abs().clamp(min=1e-30), deviation, 1.0)
