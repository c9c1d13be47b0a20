"""The gated recurrent unit of the fused kernels. Dimension key: B batch, I input_size, H hidden_size."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqlab.cells.base import NativeCell, NativeWeights, State
from seqlab.cells.init import glorot_, orthogonal_
from seqlab.registry import register_cell


@register_cell("gru_reset_after")
class GRUResetAfter(NativeCell):
    """Gated recurrent unit of cuDNN: the reset gate acts after the matrix product, the update gate weighs the old value.

    r, z = σ(W x_t + U h_{t−1} + b),  n = tanh(W_n x_t + b_n + r ⊙ (U_n h_{t−1} + b_u))
    h_t = (1 − z) ⊙ n + z ⊙ h_{t−1},  y_t = h_t;  gates are stacked in the order r, z, n; b_u is recurrent_bias (H,)

    Source: NVIDIA cuDNN, cudnnRNNMode_t CUDNN_GRU; the reset after the product is version 1 of K. Cho et al., 2014.
    Same as torch.nn.GRU with its two biases summed into one for r and z; on n the reset gate parts them, so both stay.
    Differs from `gru` in the place of the reset and in the sign of z, on purpose, so that weights of torch.nn.GRU load.
    """

    gates = ("reset", "update", "candidate")
    keep_gate = ("update", 1)

    def __init__(self, input_size: int, hidden_size: int, *, bias: bool = True) -> None:
        super().__init__(input_size, hidden_size, {"h": (hidden_size,)}, output_key="h")
        self.input_weight = nn.Parameter(torch.empty(3 * hidden_size, input_size))
        self.recurrent_weight = nn.Parameter(torch.empty(3 * hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.empty(3 * hidden_size)) if bias else None
        self.recurrent_bias = nn.Parameter(torch.empty(hidden_size)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Glorot input weights, orthogonal recurrent weights, zero biases."""
        glorot_(self.input_weight, 3)
        orthogonal_(self.recurrent_weight, 3)
        for bias in (self.bias, self.recurrent_bias):
            if bias is not None:
                nn.init.zeros_(bias)

    def project(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.input_weight, self.bias)

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        h, width = state["h"], self.output_size
        p_rz, p_n = p.split([2 * width, width], -1)
        u_rz, u_n = (h @ self.recurrent_weight.T).split([2 * width, width], -1)
        r, z = torch.sigmoid(p_rz + u_rz).chunk(2, -1)
        if self.recurrent_bias is not None:
            u_n = u_n + self.recurrent_bias
        n = torch.tanh(p_n + r * u_n)
        h = (1 - z) * n + z * h
        return h, {"h": h}

    def native_weights(self) -> NativeWeights | str:
        recurrent_bias = None
        if self.recurrent_bias is not None:
            recurrent_bias = torch.cat([self.recurrent_bias.new_zeros(2 * self.output_size), self.recurrent_bias])
        return NativeWeights("gru", self.input_weight, self.recurrent_weight, self.bias, recurrent_bias)
