"""The long short-term memory with coupled gates. Dimension key: B batch, I input_size, H hidden_size."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqlab.cells.base import Cell, State
from seqlab.cells.init import glorot_, orthogonal_
from seqlab.registry import register_cell


@register_cell("lstm_coupled")
class LSTMCoupled(Cell):
    """LSTM with the coupled input and forget gate (CIFG): what is forgotten makes room for what is new.

    f, o = σ(W x_t + U h_{t−1} + b),  g = tanh(W_g x_t + U_g h_{t−1} + b_g)
    c_t = f ⊙ c_{t−1} + (1 − f) ⊙ g,  h_t = o ⊙ tanh(c_t),  y_t = h_t;  gates are stacked in the order f, g, o

    Source: K. Greff et al., 2017, "LSTM: a search space odyssey", arXiv 1503.04069, variant CIFG.
    Differs from the paper's CIFG, whose gates also have peepholes and which names the shared gate i, with f = 1 − i.
    forget_bias is 1, as in `lstm`: memory is kept before anything is learned. Without biases there is none.
    """

    gates = ("forget", "cell", "output")
    keep_gate = ("forget", 1)

    def __init__(self, input_size: int, hidden_size: int, *, bias: bool = True, forget_bias: float = 1.0) -> None:
        super().__init__(input_size, hidden_size, {"h": (hidden_size,), "c": (hidden_size,)}, output_key="h")
        self.forget_bias = forget_bias
        self.input_weight = nn.Parameter(torch.empty(3 * hidden_size, input_size))
        self.recurrent_weight = nn.Parameter(torch.empty(3 * hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.empty(3 * hidden_size)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Glorot input weights, orthogonal recurrent weights, zero biases but for the forget gate's."""
        glorot_(self.input_weight, 3)
        orthogonal_(self.recurrent_weight, 3)
        if self.bias is not None:
            nn.init.zeros_(self.bias)
            nn.init.constant_(self.bias.chunk(3)[0], self.forget_bias)

    def project(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.input_weight, self.bias)

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        f, g, o = (p + state["h"] @ self.recurrent_weight.T).chunk(3, -1)
        f = torch.sigmoid(f)
        c = f * state["c"] + (1 - f) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        return h, {"h": h, "c": c}
