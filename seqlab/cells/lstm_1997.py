"""The long short-term memory as first published. Dimension key: B batch, I input_size, H hidden_size."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqlab.cells.activations import ACTIVATIONS, check_activations
from seqlab.cells.base import Cell, State
from seqlab.cells.init import glorot_, orthogonal_
from seqlab.registry import register_cell


@register_cell("lstm_1997")
class LSTM1997(Cell):
    """LSTM without a forget gate: the memory cell only adds.

    i, o = σ(W x_t + U h_{t−1} + b),  j = g(W_g x_t + U_g h_{t−1} + b_g)
    c_t = c_{t−1} + i ⊙ j,  h_t = o ⊙ h(c_t),  y_t = h_t;  gates are stacked in the order i, j, o

    g is input_activation and h (of c_t) is output_activation.

    Source: S. Hochreiter and J. Schmidhuber, 1997, "Long short-term memory", section 4.
    Differs from the paper in its squashing functions, which are g = 4σ − 2 (bipolar_sigmoid_2) and h = 2σ − 1
    (bipolar_sigmoid) there and tanh here by default, and in its gradient: the paper truncates it at the gates' inputs,
    here back-propagation goes through everything.
    """

    gates = ("input", "cell", "output")

    def __init__(self, input_size: int, hidden_size: int, *, input_activation: str = "tanh", output_activation: str = "tanh", bias: bool = True) -> None:
        check_activations(input_activation=input_activation, output_activation=output_activation)
        super().__init__(input_size, hidden_size, {"h": (hidden_size,), "c": (hidden_size,)}, output_key="h")
        self.input_activation = input_activation
        self.output_activation = output_activation
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
        i, j, o = (p + state["h"] @ self.recurrent_weight.T).chunk(3, -1)
        c = state["c"] + torch.sigmoid(i) * ACTIVATIONS[self.input_activation](j)
        h = torch.sigmoid(o) * ACTIVATIONS[self.output_activation](c)
        return h, {"h": h, "c": c}
