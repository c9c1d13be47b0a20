"""Pictures, one in each step, read by a small CNN. Dimension key: B batch, T time, H rows, W columns, C channels, O output_size."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from seqlab.frontends.base import Frontend, check_probability
from seqlab.frontends.batch_norm import BatchNorm2d
from seqlab.frontends.convolutions import mask_padding


class Frames(Frontend):
    """Frames (B, T, H · W) -> (B, T, O), each by itself: for every number of channels a convolution of 3 × 3, batch normalisation, relu and
    the maximum over 2 × 2 pixels, what is left over at an edge being pixels too; then relu(W [all that is left] + b).

    Batch normalisation counts frames of padding in training; in evaluation it is fixed, and padding changes nothing.
    Source: the layers are those of Y. LeCun et al., 1998, "Gradient-based learning applied to document recognition", in today's form; a CNN
    for each frame below a recurrent network is J. Donahue et al., 2015, "Long-term recurrent convolutional networks".
    """

    reads = "features"

    def __init__(self, input_size: int, channels: Sequence[int] = (16, 32, 64), output_size: int = 96, height: int | None = None, dropout: float = 0.0) -> None:
        """height: H, by default that of a square. dropout: of the output."""
        super().__init__()
        channels = list(channels)
        if not channels or min(channels) < 1:
            raise ValueError(f"frontend channels are {channels}; expected at least one layer, each of at least 1 channel.")
        if output_size < 1:
            raise ValueError(f"frontend output_size is {output_size}; expected at least 1.")
        rows = math.isqrt(input_size) if height is None else height
        if rows < 1 or input_size % rows or (height is None and rows * rows != input_size):
            wanted = "the square of a whole number" if height is None else f"a multiple of {height}, the height"
            raise ValueError(f"a frame has {input_size} pixels; expected {wanted}. Set frontend.height to the rows of a frame.")
        self.shape = (rows, input_size // rows)
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(below, above, 3, padding=1, bias=False), BatchNorm2d(above)) for below, above in zip([1, *channels], channels, strict=False)
        )
        left = [-(-side // 2 ** len(channels)) for side in self.shape]
        self.linear = nn.Linear(channels[-1] * math.prod(left), output_size)
        self.dropout = nn.Dropout(check_probability("dropout", dropout))
        self.output_size = output_size

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        x = mask_padding(inputs, lengths).flatten(0, 1).unflatten(1, (1, *self.shape))
        for layer in self.layers:
            x = nn.functional.max_pool2d(torch.relu(layer(x)), 2, ceil_mode=True)
        return self.dropout(torch.relu(self.linear(x.flatten(1)))).unflatten(0, inputs.shape[:2])
