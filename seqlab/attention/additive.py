"""Additive attention. Dimension key: B batch, S source length, N queries, K key_size, Q query_size, A attention_size."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqlab.attention.base import Attention, Memory


class AdditiveAttention(Attention):
    """score(q, k_s) = vᵀ tanh(W q + U k_s + b).

    Source: D. Bahdanau, K. Cho and Y. Bengio, 2015, "Neural machine translation by jointly learning to align and
    translate", appendix A.1.2. b is in their code and not in their equation.
    """

    def __init__(self, key_size: int, query_size: int, attention_size: int = 128) -> None:
        super().__init__(key_size, query_size)
        self.key = nn.Linear(key_size, attention_size)
        self.query = nn.Linear(query_size, attention_size, bias=False)
        self.score = nn.Linear(attention_size, 1, bias=False)

    def project(self, keys: Tensor) -> Tensor:
        return self.key(keys)

    def scores(self, queries: Tensor, memory: Memory, previous: Tensor | None) -> Tensor:
        hidden_BNSA = self.query(queries)[:, :, None] + memory["projected"][:, None]
        return self.score(torch.tanh(hidden_BNSA))[..., 0]
