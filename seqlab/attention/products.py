"""Attention by products of query and key. Dimension key: B batch, S source length, N queries, K key_size, Q query_size."""

from __future__ import annotations

import math

from torch import Tensor, nn

from seqlab.attention.base import Attention, Memory


class DotAttention(Attention):
    """score(q, k_s) = qᵀ k_s; query and key have one width.

    Source: M.-T. Luong, H. Pham and C. D. Manning, 2015, "Effective approaches to attention-based neural machine
    translation", eq. 8 (dot).
    """

    def __init__(self, key_size: int, query_size: int) -> None:
        if key_size != query_size:
            raise ValueError(f"key_size is {key_size} and query_size {query_size}; expected equal sizes for a dot product. Choose attention=general.")
        super().__init__(key_size, query_size)

    def scores(self, queries: Tensor, memory: Memory, previous: Tensor | None) -> Tensor:
        return queries @ memory["keys"].mT


class ScaledDotAttention(DotAttention):
    """score(q, k_s) = qᵀ k_s / √K, so that the softmax of wide keys does not begin saturated.

    Source: A. Vaswani et al., 2017, "Attention is all you need", eq. 1.
    """

    def scores(self, queries: Tensor, memory: Memory, previous: Tensor | None) -> Tensor:
        return super().scores(queries, memory, previous) / math.sqrt(self.key_size)


class GeneralAttention(Attention):
    """score(q, k_s) = qᵀ W k_s.

    Source: Luong, Pham and Manning, 2015, eq. 8 (general).
    """

    def __init__(self, key_size: int, query_size: int) -> None:
        super().__init__(key_size, query_size)
        self.key = nn.Linear(key_size, query_size, bias=False)

    def project(self, keys: Tensor) -> Tensor:
        return self.key(keys)

    def scores(self, queries: Tensor, memory: Memory, previous: Tensor | None) -> Tensor:
        return queries @ memory["projected"].mT
