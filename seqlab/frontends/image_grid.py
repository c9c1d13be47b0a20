"""A picture as a grid of positions. Dimension key: B batch, H rows, W columns, H', W' of the grid, C channels, O output_size."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from seqlab.executors import lengths_to_mask
from seqlab.frontends.base import Frontend, check_probability
from seqlab.frontends.batch_norm import BatchNorm2d
from seqlab.frontends.convolutions import mask_padding, shorter


class ImageGrid(Frontend):
    """Rows of a picture (B, H, W) -> the positions of a grid, row by row, (B, H' · W', O), for attention to choose from.

    For every number of channels a convolution of 3 × 3, batch normalisation, relu and the maximum over 2 × 2; then relu(W [c; row; column] + b) of what c the
    channels hold at a position and of where it is, row and column in −1..1, since attention by itself does not know what lies left of what.
    Source: positions of a CNN as what attention reads, K. Xu et al., 2015, "Show, attend and tell", section 3.1.1; coordinates as further
    channels, R. Liu et al., 2018, "An intriguing failing of convolutional neural networks and the CoordConv solution".
    """

    reads = "features"
    mixes_steps = True

    def __init__(self, input_size: int, channels: Sequence[int] = (16, 32, 64), output_size: int = 96, dropout: float = 0.0) -> None:
        """input_size: W. dropout: of the output."""
        super().__init__()
        channels = list(channels)
        if not channels or min(channels) < 1:
            raise ValueError(f"frontend channels are {channels}; expected at least one layer, each of at least 1 channel.")
        if output_size < 1:
            raise ValueError(f"frontend output_size is {output_size}; expected at least 1.")
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(below, above, 3, padding=1, bias=False), BatchNorm2d(above)) for below, above in zip([1, *channels], channels, strict=False)
        )
        self.linear = nn.Linear(channels[-1] + 2, output_size)
        self.dropout = nn.Dropout(check_probability("dropout", dropout))
        self.columns = int(self._left(torch.tensor(input_size)))
        self.output_size = output_size

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        x = mask_padding(inputs, lengths)[:, None]
        for layer in self.layers:
            x = torch.relu(layer(x))
            if lengths is not None:  # zeros past a picture's last row are what the next window finds there
                x = x * lengths_to_mask(lengths, x.shape[2])[:, None, :, None]
                lengths = shorter(lengths, 2)
            x = nn.functional.max_pool2d(x, 2, ceil_mode=True)
        x = x.permute(0, 2, 3, 1)
        down, right = (torch.linspace(-1, 1, size, dtype=x.dtype, device=x.device) for size in x.shape[1:3])
        if lengths is not None:  # of each picture's own rows
            down = (2 * torch.arange(len(down), device=x.device) / (lengths[:, None] - 1).clamp(min=1) - 1).to(x.dtype)
        places = torch.stack(torch.broadcast_tensors(down[..., None], right), -1)
        x = torch.cat([x, places.expand(*x.shape[:3], 2)], -1)
        return self.dropout(torch.relu(self.linear(x))).flatten(1, 2)

    def output_lengths(self, lengths: Tensor) -> Tensor:
        return self._left(lengths) * self.columns

    def _left(self, size: Tensor) -> Tensor:
        """Rows or columns of the grid for those of a picture."""
        for _ in self.layers:
            size = shorter(size, 2)
        return size
