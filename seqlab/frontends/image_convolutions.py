"""Convolutions over images that are read from left to right. Dimension key: B batch, T columns, I rows of pixels, C channels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from seqlab.executors import lengths_to_mask
from seqlab.frontends.base import Frontend, check_probability
from seqlab.frontends.batch_norm import BatchNorm2d
from seqlab.frontends.convolutions import mask_padding, shorter
from seqlab.frontends.features import Features


class ImageConvolutions(Frontend):
    """Columns of pixels, or of a spectrogram, (B, T, I) -> (B, T', C · I'): the convolutions of a CRNN.

    Each layer is a window of 3 × 3 over column and row with zeros around the image, batch normalisation, relu, and the maximum
    over `pools` steps of each axis, (time, row), what is left over at an end being a step too. A step of the output holds all
    channels of all rows that are left.
    Batch normalisation counts padding in training, as images of unlike width share a batch; in evaluation it is fixed, and
    padding changes nothing.
    Source: B. Shi, X. Bai and C. Yao, 2017, "An end-to-end trainable neural network for image-based sequence recognition and
    its application to scene text recognition", section 2.1; fewer layers and channels.
    """

    reads = "features"
    mixes_steps = True

    def __init__(
        self,
        input_size: int,
        channels: Sequence[int] = (12, 24, 48),
        pools: Sequence[Sequence[int]] = ((2, 2), (2, 2), (1, 2)),
        normalise: bool = False,
        dropout: float = 0.0,
    ) -> None:
        """normalise: as of Features. dropout: of the output."""
        super().__init__()
        channels, pools = list(channels), [tuple(pool) for pool in pools]
        if not channels or len(channels) != len(pools) or min(channels) < 1 or any(len(pool) != 2 or min(pool) < 1 for pool in pools):
            raise ValueError(f"frontend channels are {channels} and pools {pools}; expected at least one layer, and for each (time, row), both at least 1.")
        self.features = Features(input_size, normalise)
        self.pools = pools
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(below, above, 3, padding=1, bias=False), BatchNorm2d(above)) for below, above in pairwise([1, *channels])
        )
        rows = input_size
        for _, pool in pools:
            rows = -(-rows // pool)
        self.output_size = channels[-1] * rows
        self.dropout = nn.Dropout(check_probability("dropout", dropout))

    def prepare(self, data: Any) -> None:
        self.features.prepare(data)

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        x = mask_padding(self.features(inputs, lengths), lengths)[:, None]
        for layer, pool in zip(self.layers, self.pools, strict=True):
            x = torch.relu(layer(x))
            if lengths is not None:  # zeros past a row's end take nothing from a maximum, and are what the next window finds there
                x = x * lengths_to_mask(lengths, x.shape[2])[:, None, :, None]
                lengths = shorter(lengths, pool[0])
            x = nn.functional.max_pool2d(x, pool, ceil_mode=True)
        return self.dropout(x.transpose(1, 2).flatten(2))

    def output_lengths(self, lengths: Tensor) -> Tensor:
        for pool, _ in self.pools:
            lengths = shorter(lengths, pool)
        return lengths
