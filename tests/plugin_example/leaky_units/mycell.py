"""Leaky-integrator units. Dimension key: B batch, I input_size, H hidden_size."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqlab import Cell, register_cell
from seqlab.cells.base import State


@register_cell("mycell")
class LeakyIntegrator(Cell):
    """Recurrent units that follow their input slowly: each keeps a share 1 − a of its old value.

    h_t = (1 − a) ⊙ h_{t−1} + a ⊙ tanh(W x_t + U h_{t−1} + b),  y_t = h_t

    Source: H. Jaeger, M. Lukoševičius, D. Popovici and U. Siewert, 2007, "Optimization and applications of echo state
    networks with leaky-integrator neurons"; here every weight is trained.
    """

    def __init__(self, input_size: int, hidden_size: int, *, leak: float = 0.5) -> None:
        if not 0 < leak <= 1:
            raise ValueError(f"leak is {leak}; expected a share in (0, 1].")
        super().__init__(input_size, hidden_size, {"h": (hidden_size,)}, output_key="h")
        self.leak = leak
        self.input = nn.Linear(input_size, hidden_size)
        self.recurrent = nn.Linear(hidden_size, hidden_size, bias=False)

    def project(self, x: Tensor) -> Tensor:
        return self.input(x)

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        h = (1 - self.leak) * state["h"] + self.leak * torch.tanh(p + self.recurrent(state["h"]))
        return h, {"h": h}
