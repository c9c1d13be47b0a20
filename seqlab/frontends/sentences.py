"""Sentences as one vector each. Dimension key: B batch, T sentences, L words of a sentence, E embedding_size."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqlab.frontends.base import Frontend, check_probability
from seqlab.frontends.tokens import Embedding


class Sentences(Frontend):
    """(B, T, L) ids of the words of each sentence, 0 past its end -> (B, T, E), the words' vectors weighed by their place and added.

    m = Σ_j l_j ∘ x_j,  l_kj = (1 − j/J) − (k/E)(1 − 2j/J);  j = 1…J the place of a word, k = 1…E that of a value

    Source: position encoding of S. Sukhbaatar et al., 2015, "End-to-end memory networks", section 4.1. Rows start uniform in ±uniform.
    """

    reads = "sentences"

    def __init__(self, input_size: int, embedding_size: int = 64, dropout: float = 0.0, embedding_dropout: float = 0.0, uniform: float = 0.1) -> None:
        super().__init__()
        self.output_size = embedding_size
        self.embedding = Embedding(input_size, embedding_size, uniform, embedding_dropout=embedding_dropout)
        self.dropout = nn.Dropout(check_probability("dropout", dropout))
        self.register_buffer("share", torch.arange(1, embedding_size + 1) / embedding_size, persistent=False)  # k/E
        self.share: Tensor

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        if inputs.dim() != 3:
            raise ValueError(f"inputs have shape {tuple(inputs.shape)}; expected (batch, sentences, words), the ids of words.")
        there = inputs != 0
        place = torch.arange(1, inputs.shape[2] + 1, device=inputs.device) / there.sum(-1, keepdim=True).clamp(min=1)  # j/J
        vectors = self.embedding(inputs)
        weights = torch.stack([1 - place, 1 - 2 * place], -2) * there[..., None, :]  # (B, T, 2, L)
        plain, turned = (weights.to(vectors.dtype) @ vectors).unbind(-2)
        return self.dropout(plain - self.share * turned)
