"""Features as they come. Dimension key: B batch, T time, I features per step."""

from __future__ import annotations

from torch import Tensor, nn

from seqlab.frontends.base import Frontend


class Features(Frontend):
    """x (B, T, I) -> x, with dropout. For data whose steps are vectors already."""

    reads = "features"

    def __init__(self, input_size: int, dropout: float = 0.0) -> None:
        super().__init__()
        if not 0 <= dropout < 1:
            raise ValueError(f"frontend dropout is {dropout}; expected a probability in [0, 1).")
        self.output_size = input_size
        self.dropout = nn.Dropout(dropout)

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.dropout(inputs)
