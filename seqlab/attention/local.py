"""Attention to a window of the source. Dimension key: B batch, S source length, N queries, A attention_size."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqlab.attention.base import Memory, masked_softmax
from seqlab.attention.products import GeneralAttention


class LocalAttention(GeneralAttention):
    """Local attention with a predicted centre (local-p), over the general score.

    p = L σ(v_pᵀ tanh(W_p q)), with L the valid length of the row's source
    α_s = softmax over |s − p| ≤ D of score(q, k_s), times exp(−(s − p)² / 2(D/2)²);  s counts from 0

    Source: Luong, Pham and Manning, 2015, eqs 9 and 10. As there, the weights do not add up to 1.
    """

    def __init__(self, key_size: int, query_size: int, window: int = 5, attention_size: int = 128) -> None:
        """window: D, the positions on each side of the centre; at least 1, so that the window is never empty."""
        if window < 1:
            raise ValueError(f"window is {window}; expected at least 1 position on each side of the centre.")
        super().__init__(key_size, query_size)
        self.window = window
        self.position = nn.Linear(query_size, attention_size, bias=False)
        self.centre = nn.Linear(attention_size, 1, bias=False)

    def prepare(self, keys: Tensor, mask: Tensor | None = None) -> Memory:
        """As of every attention; also raises ValueError where a row's valid positions do not come first: a window around p could miss them all."""
        memory = super().prepare(keys, mask)
        valid = memory["mask"]
        gaps = (valid != (torch.arange(valid.shape[1], device=valid.device) < valid.sum(1, keepdim=True))).any(1)
        if bool(gaps.any()):
            raise ValueError(
                f"the valid positions of row {int(gaps.nonzero()[0])} of the mask do not come first. Put padding last, or choose attention=general."
            )
        return memory

    def weights(self, queries: Tensor, memory: Memory, previous: Tensor | None) -> Tensor:
        mask_BNS = memory["mask"][:, None]
        share_BN1 = torch.sigmoid(self.centre(torch.tanh(self.position(queries))))
        # not in bfloat16, which from 256 on does not tell neighbouring positions apart
        centre_BN1 = mask_BNS.sum(-1, keepdim=True) * share_BN1.to(torch.promote_types(share_BN1.dtype, torch.float32))
        distance_BNS = torch.arange(mask_BNS.shape[-1], device=queries.device) - centre_BN1
        near = mask_BNS & (distance_BNS.abs() <= self.window)
        alignment = masked_softmax(self.scores(queries, memory, previous), near)
        return (alignment * torch.exp(-2 * (distance_BNS / self.window).square())).to(alignment.dtype)
