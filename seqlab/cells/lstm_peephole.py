"""The long short-term memory with peepholes. Dimension key: B batch, I input_size, H hidden_size, C cells_per_block, N = H / C."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqlab.cells.activations import ACTIVATIONS, check_activations
from seqlab.cells.base import Cell, State
from seqlab.cells.init import glorot_, orthogonal_
from seqlab.registry import register_cell


@register_cell("lstm_peephole")
class LSTMPeephole(Cell):
    """LSTM whose gates see the memory cells: input and forget gate the old ones, the output gate the new ones.

    i = f(W_i x_t + U_i h_{t−1} + b_i + p_i ⊙ c_{t−1}),  φ = f(W_φ x_t + U_φ h_{t−1} + b_φ + p_φ ⊙ c_{t−1})
    c_t = φ ⊙ c_{t−1} + i ⊙ g(W_c x_t + U_c h_{t−1} + b_c)
    o = f(W_o x_t + U_o h_{t−1} + b_o + p_o ⊙ c_t),  h_t = o ⊙ h(c_t),  y_t = h_t

    f, g and h are gate_, input_ and output_activation. With cells_per_block C > 1, the H cells form N = H / C blocks of one
    i, φ and o each, which the block's cells share, and p ⊙ c is summed over the block's cells. Cell number k · N + n is the
    k-th of block n. Gates are stacked in blocks of N rows, in the order i, φ, C times the cells, o; peephole is (3, H): p_i, p_φ, p_o.

    Source: A. Graves, 2012, "Supervised sequence labelling with recurrent neural networks", eqs 4.2–4.10.
    Differs from torch.nn.LSTM, which has no peepholes; with peephole = 0 and C = 1 it is the same.
    forget_bias is 1 as in `lstm`, and the peepholes start at zero: at first it is `lstm`. Without biases there is no forget_bias.
    """

    keep_gate = ("forget", 1)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        cells_per_block: int = 1,
        gate_activation: str = "sigmoid",
        input_activation: str = "tanh",
        output_activation: str = "tanh",
        bias: bool = True,
        forget_bias: float = 1.0,
    ) -> None:
        check_activations(gate_activation=gate_activation, input_activation=input_activation, output_activation=output_activation)
        super().__init__(input_size, hidden_size, {"h": (hidden_size,), "c": (hidden_size,)}, output_key="h")
        if cells_per_block < 1 or hidden_size % cells_per_block:
            raise ValueError(f"cells_per_block is {cells_per_block}; expected a divisor of hidden_size={hidden_size}.")
        self.gates = ("input", "forget", *["cell"] * cells_per_block, "output")
        self.block_shape = (cells_per_block, hidden_size // cells_per_block)
        self.gate_activation = gate_activation
        self.input_activation = input_activation
        self.output_activation = output_activation
        self.forget_bias = forget_bias
        rows = len(self.gates) * self.block_shape[1]
        self.input_weight = nn.Parameter(torch.empty(rows, input_size))
        self.recurrent_weight = nn.Parameter(torch.empty(rows, hidden_size))
        self.peephole = nn.Parameter(torch.empty(3, hidden_size))
        self.bias = nn.Parameter(torch.empty(rows)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Glorot input weights, orthogonal recurrent weights, zero peepholes, zero biases but for the forget gates'."""
        glorot_(self.input_weight, len(self.gates))
        orthogonal_(self.recurrent_weight, len(self.gates))
        nn.init.zeros_(self.peephole)
        if self.bias is not None:
            nn.init.zeros_(self.bias)
            nn.init.constant_(self.bias.chunk(len(self.gates))[1], self.forget_bias)

    def project(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.input_weight, self.bias)

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        f, g, h = ACTIVATIONS[self.gate_activation], ACTIVATIONS[self.input_activation], ACTIVATIONS[self.output_activation]
        c = state["c"].unflatten(-1, self.block_shape)  # (B, C, N); what a block shares has 1 in the place of C
        a = (p + state["h"] @ self.recurrent_weight.T).unflatten(-1, (-1, self.block_shape[1]))
        a_i, a_f, a_c, a_o = a.split([1, 1, self.block_shape[0], 1], -2)
        p_i, p_f, p_o = self.peephole.unflatten(-1, self.block_shape)
        i = f(a_i + (p_i * c).sum(-2, keepdim=True))
        forget = f(a_f + (p_f * c).sum(-2, keepdim=True))
        c = forget * c + i * g(a_c)
        o = f(a_o + (p_o * c).sum(-2, keepdim=True))
        y = (o * h(c)).flatten(-2)
        return y, {"h": y, "c": c.flatten(-2)}
