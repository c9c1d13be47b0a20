"""Scores of a whole sequence. Dimension key: B batch, T time, I the encoder's width, A width of the attention, V classes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqlab.executors import lengths_to_mask
from seqlab.registry import unknown

POOLS = ("last", "mean", "max", "attention")


class PooledHead(nn.Module):
    """scores_BV = pool(y_BTI) Wᵀ + b: one vector per sequence, over its valid steps alone, then a linear map.

    pool: "last", the last valid step; "mean" and "max" over the valid steps; "attention", a weighted mean whose weights
    are learned (AttentionPool). Padding never counts, whatever it holds.
    The last step of a bidirectional encoder has seen one step backward; take mean, max or attention there.
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        pool: str = "last",
        attention_size: int | None = None,
        bias: bool = True,
        dropout: float = 0.0,
    ) -> None:
        """attention_size: width of the attention's hidden layer, by default input_size; an error with any other pool."""
        super().__init__()
        if pool not in POOLS:
            raise ValueError(unknown("pool", pool, list(POOLS)))
        if attention_size is not None and pool != "attention":
            raise ValueError(f"attention_size is {attention_size} but pool is {pool!r}; expected None. Choose pool=attention or leave it out.")
        if attention_size is not None and attention_size < 1:
            raise ValueError(f"attention_size is {attention_size}; expected at least 1, or None for the encoder's width.")
        if not 0 <= dropout < 1:
            raise ValueError(f"head dropout is {dropout}; expected a probability in [0, 1).")
        self.pool = pool
        self.input_size = input_size
        self.output_size = output_size
        self.attention = AttentionPool(input_size, attention_size or input_size) if pool == "attention" else None
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(input_size, output_size, bias)

    def forward(self, y: Tensor, lengths: Tensor | None = None) -> Tensor:
        """y (B, T, I), lengths (B,) in 1..T -> scores (B, V)."""
        if lengths is None:
            lengths = torch.full((y.shape[0],), y.shape[1], device=y.device)  # not len(y), which a traced graph would keep as a number
        return self.linear(self.dropout(self._pooled(y, lengths)))

    def _pooled(self, y: Tensor, lengths: Tensor) -> Tensor:
        if self.pool == "last":
            return y[torch.arange(y.shape[0], device=y.device), lengths - 1]
        mask = lengths_to_mask(lengths, y.shape[1])[..., None]
        if self.pool == "max":
            return torch.where(mask, y, -torch.inf).amax(1)
        y = torch.where(mask, y, 0.0)  # not y * mask: 0 times a NaN in the padding is NaN, in the gradient too
        if self.attention is not None:
            return self.attention(y, mask)
        return y.sum(1) / lengths[:, None]


class AttentionPool(nn.Module):
    """Weighted mean over time: u_t = tanh(W y_t + b),  α = softmax_t(uᵀ u_t),  Σ_t α_t y_t.

    Source: Z. Yang et al., 2016, "Hierarchical attention networks for document classification", eqs 5 to 7.
    """

    def __init__(self, input_size: int, attention_size: int) -> None:
        super().__init__()
        self.key = nn.Linear(input_size, attention_size)
        self.query = nn.Linear(attention_size, 1, bias=False)

    def forward(self, y: Tensor, mask: Tensor) -> Tensor:
        """y (B, T, I) finite everywhere, mask (B, T, 1) -> (B, I)."""
        scores = self.query(torch.tanh(self.key(y)))
        return (torch.where(mask, scores, -torch.inf).softmax(1) * y).sum(1)
