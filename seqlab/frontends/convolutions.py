"""Convolutions over time, before the encoder. Dimension key: B batch, T time, I features, F filters, W window width."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from seqlab.executors import lengths_to_mask
from seqlab.frontends.base import Frontend, check_probability
from seqlab.frontends.features import Features
from seqlab.frontends.tokens import Tokens


class Convolution(nn.Module):
    """y_t = relu(b + Σ_k W_k x_{st + k − ⌊(W − 1)/2⌋}), k = 0 … W − 1, for windows of each width, side by side; then the maximum
    over every `pool` steps. x is zero before the row's first step and after its last.

    widths: of the windows, num_filters for each of them. stride: s.
    Differs from C. Zhou et al., 2015 ("A C-LSTM neural network for text classification"), who use windows that lie inside the
    row alone, in that a row keeps its length, however short it is, and that widths need not be cut to fit each other.
    """

    def __init__(self, input_size: int, num_filters: int, widths: Sequence[int], stride: int = 1, pool: int = 1) -> None:
        super().__init__()
        widths = list(widths)
        if not widths or min(widths) < 1:
            raise ValueError(f"frontend widths are {widths}; expected at least one width, each at least 1 step.")
        for name, value in (("num_filters", num_filters), ("stride", stride), ("pool", pool)):
            if value < 1:
                raise ValueError(f"frontend {name} is {value}; expected at least 1.")
        self.stride, self.pool = stride, pool
        self.output_size = num_filters * len(widths)
        self.windows = nn.ModuleList(nn.Conv1d(input_size, num_filters, width, stride) for width in widths)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """x (B, T, I), lengths (B,) -> (B, ⌈⌈T / stride⌉ / pool⌉, F), 0 past the output's lengths."""
        x = mask_padding(x, lengths).transpose(1, 2)
        found = []
        for window in self.windows:
            assert isinstance(window, nn.Conv1d)
            before = (window.kernel_size[0] - 1) // 2
            found.append(torch.relu(window(nn.functional.pad(x, (before, window.kernel_size[0] - 1 - before)))))
        # zeros past the end take nothing from a maximum: relu leaves none below them
        y = mask_padding(torch.cat(found, 1).transpose(1, 2), None if lengths is None else shorter(lengths, self.stride))
        return y if self.pool == 1 else nn.functional.max_pool1d(y.transpose(1, 2), self.pool, ceil_mode=True).transpose(1, 2)

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """⌈⌈lengths / stride⌉ / pool⌉."""
        return shorter(shorter(lengths, self.stride), self.pool)


def mask_padding(x: Tensor, lengths: Tensor | None) -> Tensor:
    """x (B, T, I) with zeros past each length, whatever stood there."""
    return x if lengths is None else torch.where(lengths_to_mask(lengths, x.shape[1])[..., None], x, 0.0)


def shorter(lengths: Tensor, factor: int) -> Tensor:
    """⌈lengths / factor⌉."""
    return (lengths + factor - 1) // factor


class NGrams(Frontend):
    """Tokens, embedded as by Tokens, then read in windows: (B, T) ids -> (B, T, F), the n-grams around each token.

    Source: C. Zhou et al., 2015, section 3.1; how windows at the ends of a row differ from theirs stands in Convolution.
    """

    reads = "tokens"
    mixes_steps = True

    def __init__(
        self,
        input_size: int,
        widths: Sequence[int] = (3,),
        num_filters: int = 150,
        embedding_size: int = 64,
        dropout: float = 0.0,
        embedding_dropout: float = 0.0,
        uniform: float = 0.1,
        vectors: str | Path | None = None,
        freeze_vectors: bool = False,
    ) -> None:
        """dropout: of the embedded tokens and again of what the windows gave."""
        super().__init__()
        self.tokens = Tokens(
            input_size,
            embedding_size,
            dropout=dropout,
            embedding_dropout=embedding_dropout,
            uniform=uniform,
            vectors=vectors,
            freeze_vectors=freeze_vectors,
        )
        self.convolution = Convolution(embedding_size, num_filters, widths)
        self.output_size = self.convolution.output_size
        self.dropout = nn.Dropout(dropout)

    def prepare(self, data: Any) -> None:
        self.tokens.prepare(data)

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.dropout(self.convolution(self.tokens(inputs, lengths), lengths))


class ConvolvedFeatures(Frontend):
    """Features, on one scale with `normalise`, read through `num_layers` convolutions: (B, T, I) -> (B, T', F).

    Each layer makes a sequence shorter by its stride and its pool, so that long recordings or pixels become few steps.
    """

    reads = "features"
    mixes_steps = True

    def __init__(
        self,
        input_size: int,
        widths: Sequence[int] = (5,),
        num_filters: int = 64,
        num_layers: int = 1,
        stride: int = 1,
        pool: int = 1,
        normalise: bool = False,
        dropout: float = 0.0,
    ) -> None:
        """dropout: after each layer."""
        super().__init__()
        if num_layers < 1:
            raise ValueError(f"frontend num_layers is {num_layers}; expected at least 1.")
        self.features = Features(input_size, normalise)
        size = num_filters * len(list(widths))
        self.layers = nn.ModuleList(Convolution(size if depth else input_size, num_filters, widths, stride, pool) for depth in range(num_layers))
        self.output_size = size
        self.dropout = nn.Dropout(check_probability("dropout", dropout))

    def prepare(self, data: Any) -> None:
        self.features.prepare(data)

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        x = self.features(inputs, lengths)
        for layer in self.layers:
            assert isinstance(layer, Convolution)
            x = self.dropout(layer(x, lengths))
            lengths = None if lengths is None else layer.output_lengths(lengths)
        return x

    def output_lengths(self, lengths: Tensor) -> Tensor:
        for layer in self.layers:
            assert isinstance(layer, Convolution)
            lengths = layer.output_lengths(lengths)
        return lengths
