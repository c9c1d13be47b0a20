"""What every attention has. Dimension key: B batch, S source length, N queries, K key_size, Q query_size."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

Memory = dict[str, Tensor]  # every leaf (B, …): what `prepare` gives and `attend` reads


class Attention(nn.Module, ABC):
    """A weighted mean of the keys: α = softmax over the valid positions of score(query, key), context = Σ_s α_s key_s.

    Stateless: `prepare` computes once per source what does not depend on the query; the caller keeps it. Subclasses write
    `scores`, and `project` for the part of it that the keys alone decide. A position outside the mask has weight 0 exactly,
    whatever its key holds.
    """

    uses_previous: ClassVar[bool] = False  # whether the weights of the step before matter, so that steps must follow each other

    def __init__(self, key_size: int, query_size: int) -> None:
        super().__init__()
        for name, size in (("key_size", key_size), ("query_size", query_size)):
            if size < 1:
                raise ValueError(f"{name} is {size}; expected at least 1.")
        self.key_size = key_size
        self.query_size = query_size

    def project(self, keys: Tensor) -> Tensor | None:
        """keys (B, S, K), zero outside the mask -> what `scores` needs of them (B, S, ·); None when that is the keys themselves."""
        return None

    @abstractmethod
    def scores(self, queries: Tensor, memory: Memory, previous: Tensor | None) -> Tensor:
        """queries (B, N, Q) -> how well each key fits, (B, N, S); the mask is applied afterwards. previous (B, S), see `attend`."""

    def weights(self, queries: Tensor, memory: Memory, previous: Tensor | None) -> Tensor:
        """queries (B, N, Q) -> α (B, N, S)."""
        return masked_softmax(self.scores(queries, memory, previous), memory["mask"][:, None])

    def prepare(self, keys: Tensor, mask: Tensor | None = None) -> Memory:
        """keys (B, S, K), mask (B, S) True where valid, at least once in each row -> the memory that `attend` reads."""
        if keys.dim() != 3 or keys.shape[-1] != self.key_size:
            raise ValueError(f"keys have shape {tuple(keys.shape)}; expected (batch, source length, key_size={self.key_size}).")
        if mask is None:
            mask = torch.ones(keys.shape[:2], dtype=torch.bool, device=keys.device)
        if mask.shape != keys.shape[:2] or mask.dtype != torch.bool:
            raise ValueError(f"mask has shape {tuple(mask.shape)} and dtype {mask.dtype}; expected {tuple(keys.shape[:2])} and torch.bool.")
        empty = ~mask.any(1)
        if bool(empty.any()):
            raise ValueError(f"row {int(empty.nonzero()[0])} of the mask has no valid position; expected at least one. Leave empty sources out.")
        keys = torch.where(mask[..., None], keys, 0.0)  # 0 · NaN is NaN, in the gradient too
        projected = self.project(keys)
        return {"keys": keys, "mask": mask, **({} if projected is None else {"projected": projected})}

    def attend(self, query: Tensor, memory: Memory, previous: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """query (B, Q) -> context (B, K), weights (B, S). previous: the weights of the step before, None at the first."""
        context, weights = self._attend(query[:, None], memory, previous)
        return context[:, 0], weights[:, 0]

    def attend_all(self, queries: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """queries (B, N, Q), each by itself -> contexts (B, N, K), weights (B, N, S)."""
        if self.uses_previous:
            raise TypeError(f"{type(self).__name__} reads the weights of the step before; expected one query after the other. Call attend.")
        return self._attend(queries, memory, None)

    def _attend(self, queries: Tensor, memory: Memory, previous: Tensor | None) -> tuple[Tensor, Tensor]:
        if queries.shape[-1] != self.query_size or len(queries) != len(memory["keys"]):
            expected = f"{len(memory['keys'])} rows, as the memory has, of query_size={self.query_size}"
            raise ValueError(f"the query has {len(queries)} rows of {queries.shape[-1]}; expected {expected}.")
        weights = self.weights(queries, memory, previous)
        return weights @ memory["keys"], weights


def masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """softmax over the last axis among the positions where mask is True; 0 elsewhere."""
    return torch.where(mask, scores, -torch.inf).softmax(-1)
