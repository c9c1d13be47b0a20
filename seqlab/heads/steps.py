"""Scores at every step. Dimension key: B batch, T time, O the encoder's width, V classes."""

from __future__ import annotations

from torch import Tensor, nn


class StepHead(nn.Module):
    """scores_BTV = y_BTO Wᵀ + b, at every step by itself."""

    def __init__(self, input_size: int, output_size: int, bias: bool = True, dropout: float = 0.0, uniform: float | None = None) -> None:
        """uniform: draw the weights from ±uniform, as the classic scripts do; by default torch's own initialisation."""
        super().__init__()
        if not 0 <= dropout < 1:
            raise ValueError(f"head dropout is {dropout}; expected a probability in [0, 1).")
        if uniform is not None and uniform < 0:
            raise ValueError(f"head uniform is {uniform}; expected the bound of ±uniform, at least 0, or None.")
        self.input_size = input_size
        self.output_size = output_size
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(input_size, output_size, bias)
        if uniform is not None:
            nn.init.uniform_(self.linear.weight, -uniform, uniform)

    def forward(self, y: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.linear(self.dropout(y))
