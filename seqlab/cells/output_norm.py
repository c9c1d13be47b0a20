"""Layer norm of any cell's output. Dimension key: B batch, O output_size."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from seqlab.cells.base import Cell, State, WrapperCell


class OutputNorm(WrapperCell):
    """y_t is the layer norm of the inner cell's y_t; what the cell feeds back to itself stays as it is.

    y_t = g ⊙ (ŷ_t − mean(ŷ_t)) / √(var(ŷ_t) + epsilon) + b,  over the O features of each row and step

    Source: J. Ba, J. Kiros and G. Hinton, 2016, "Layer normalization", eq. 4, on the output alone.
    Cells normalised inside the recurrence are `lstm_layer_norm` and `gru_layer_norm`. The same in training and evaluation.
    """

    def __init__(self, cell: Cell, epsilon: float = 1e-5) -> None:
        super().__init__(cell)
        if cell.output_size < 2:
            raise ValueError("the cell of OutputNorm has output_size=1; expected at least 2, since the norm of one feature is constant.")
        self.output_key = None  # y is no leaf of the state any more
        self.epsilon = epsilon
        like = next((p for p in cell.parameters() if p.is_floating_point()), torch.empty(0))
        self.norm_gain = nn.Parameter(like.new_ones(cell.output_size))
        self.norm_shift = nn.Parameter(like.new_zeros(cell.output_size))

    def step(self, p: Any, state: State) -> tuple[Tensor, State]:
        y, new = super().step(p, state)
        return nn.functional.layer_norm(y, (self.output_size,), self.norm_gain, self.norm_shift, self.epsilon), new

    def extra_repr(self) -> str:
        return f"epsilon={self.epsilon}"
