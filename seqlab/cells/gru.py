"""The gated recurrent unit as published. Dimension key: B batch, I input_size, H hidden_size."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqlab.cells.base import Cell, State
from seqlab.cells.init import glorot_, orthogonal_
from seqlab.registry import register_cell


@register_cell("gru")
class GRU(Cell):
    """Gated recurrent unit: the reset gate acts before the matrix product, the update gate weighs the new value.

    r, z = σ(W x_t + U h_{t−1} + b),  n = tanh(W_n x_t + U_n (r ⊙ h_{t−1}) + b_n)
    h_t = (1 − z) ⊙ h_{t−1} + z ⊙ n,  y_t = h_t;  gates are stacked in the order r, z, n

    Source: J. Chung et al., 2014, "Empirical evaluation of gated recurrent neural networks on sequence modeling",
    arXiv 1412.3555, section 3.2; also D. Bahdanau et al., 2014.
    Differs from K. Cho et al., 2014 (arXiv 1406.1078), the first GRU, in z alone, which weighs the old value there; and from
    torch.nn.GRU (`gru_reset_after`), which resets after the product and where z weighs the old value too.
    """

    gates = ("reset", "update", "candidate")
    keep_gate = ("update", -1)

    def __init__(self, input_size: int, hidden_size: int, *, bias: bool = True) -> None:
        super().__init__(input_size, hidden_size, {"h": (hidden_size,)}, output_key="h")
        self.input_weight = nn.Parameter(torch.empty(3 * hidden_size, input_size))
        self.recurrent_weight = nn.Parameter(torch.empty(3 * hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.empty(3 * hidden_size)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Glorot input weights, orthogonal recurrent weights, zero biases."""
        glorot_(self.input_weight, 3)
        orthogonal_(self.recurrent_weight, 3)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def project(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.input_weight, self.bias)

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        h, width = state["h"], self.output_size
        p_rz, p_n = p.split([2 * width, width], -1)
        u_rz, u_n = self.recurrent_weight.split([2 * width, width])
        r, z = torch.sigmoid(p_rz + h @ u_rz.T).chunk(2, -1)
        n = torch.tanh(p_n + (r * h) @ u_n.T)
        h = (1 - z) * h + z * n
        return h, {"h": h}
