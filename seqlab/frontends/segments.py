"""Several steps read as one. Dimension key: B batch, T time, I features per step, L steps of a segment, O output_size."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqlab.executors import lengths_to_mask
from seqlab.frontends.base import Frontend


class Segments(Frontend):
    """x (B, T, I) -> relu(W [x_kL … x_(k+1)L−1] + b), (B, ⌈T/L⌉, O): a long series becomes a short one that a recurrent layer can remember.

    The last segment is filled up with zeros.
    Source: S. Lin et al., 2023, "SegRNN: Segment recurrent neural network for long-term time series forecasting", section 3.
    """

    reads = "features"
    mixes_steps = True

    def __init__(self, input_size: int, length: int = 24, output_size: int = 128, dropout: float = 0.0) -> None:
        """length: L. dropout: of the outputs."""
        super().__init__()
        for name, size in (("length", length), ("output_size", output_size)):
            if size < 1:
                raise ValueError(f"frontend {name} is {size}; expected at least 1.")
        if not 0 <= dropout < 1:
            raise ValueError(f"frontend dropout is {dropout}; expected a probability in [0, 1).")
        self.length = length
        self.output_size = output_size
        self.linear = nn.Linear(length * input_size, output_size)
        self.dropout = nn.Dropout(dropout)

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        if lengths is not None:  # what stands past a row's length must not come into its last segment
            inputs = torch.where(lengths_to_mask(lengths, inputs.shape[1])[..., None], inputs, 0.0)
        filled = nn.functional.pad(inputs, (0, 0, 0, -inputs.shape[1] % self.length))
        return self.dropout(torch.relu(self.linear(filled.unflatten(1, (-1, self.length)).flatten(2))))

    def output_lengths(self, lengths: Tensor) -> Tensor:
        return -(-lengths // self.length)
