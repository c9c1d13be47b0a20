"""Location-aware attention. Dimension key: B batch, S source length, N queries (here 1), A attention_size, F num_filters."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqlab.attention.base import Attention, Memory


class LocationAttention(Attention):
    """Additive attention that also sees where it looked at the step before.

    f = F ∗ α_previous,  score(q, k_s) = wᵀ tanh(W q + V k_s + U f_s + b); before the first step α is 0 everywhere

    Source: J. Chorowski et al., 2015, "Attention-based models for speech recognition", eqs 8 and 9. The query is the
    decoder's output of this step, theirs its state of the step before.
    """

    uses_previous = True

    def __init__(self, key_size: int, query_size: int, attention_size: int = 128, num_filters: int = 10, filter_size: int = 15) -> None:
        if filter_size % 2 == 0:
            raise ValueError(f"filter_size is {filter_size}; expected an odd number, so that a filter has a middle.")
        super().__init__(key_size, query_size)
        self.key = nn.Linear(key_size, attention_size)
        self.query = nn.Linear(query_size, attention_size, bias=False)
        self.filters = nn.Conv1d(1, num_filters, filter_size, padding=filter_size // 2, bias=False)
        self.location = nn.Linear(num_filters, attention_size, bias=False)
        self.score = nn.Linear(attention_size, 1, bias=False)

    def project(self, keys: Tensor) -> Tensor:
        return self.key(keys)

    def scores(self, queries: Tensor, memory: Memory, previous: Tensor | None) -> Tensor:
        if previous is None:
            previous = queries.new_zeros(memory["mask"].shape)
        elsewhere_BSA = memory["projected"] + self.location(self.filters(previous[:, None]).mT)
        return self.score(torch.tanh(self.query(queries)[:, :, None] + elsewhere_BSA[:, None]))[..., 0]
