"""Scores through the embedding of the input tokens. Dimension key: B batch, T time, I the encoder's width, E embedding_size, V tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class TiedHead(nn.Module):
    """scores_BTV = (y_BTI Pᵀ) Eᵀ + b, at every step by itself, with E (V, E) the very weights of the embedding.

    P (E, I) is there only where the encoder is not as wide as the embedding.
    Source: O. Press and L. Wolf, 2017, "Using the output embedding to improve language models"; H. Inan et al., 2017, section 3.
    """

    def __init__(self, input_size: int, output_size: int, embedding: nn.Embedding, bias: bool = True, dropout: float = 0.0) -> None:
        """embedding: of the front end; trained with this head and by it."""
        super().__init__()
        if not 0 <= dropout < 1:
            raise ValueError(f"head dropout is {dropout}; expected a probability in [0, 1).")
        if embedding.num_embeddings != output_size:
            raise ValueError(
                f"the embedding has {embedding.num_embeddings} rows but the head scores {output_size} classes; expected as many. "
                "Tie weights only where targets are the tokens of the input."
            )
        self.input_size = input_size
        self.output_size = output_size
        self.dropout = nn.Dropout(dropout)
        self.weight = embedding.weight
        self.projection = nn.Identity() if input_size == embedding.embedding_dim else nn.Linear(input_size, embedding.embedding_dim, bias=False)
        self.bias = nn.Parameter(torch.zeros(output_size)) if bias else None

    def forward(self, y: Tensor, lengths: Tensor | None = None) -> Tensor:
        """y (B, T, I) -> (B, T, V)."""
        return nn.functional.linear(self.projection(self.dropout(y)), self.weight, self.bias)
