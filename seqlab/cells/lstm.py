"""The long short-term memory. Dimension key: B batch, I input_size, H hidden_size."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqlab.cells.base import NativeCell, NativeWeights, State
from seqlab.cells.init import glorot_, orthogonal_
from seqlab.registry import register_cell


@register_cell("lstm")
class LSTM(NativeCell):
    """LSTM with a forget gate.

    i, f, o = σ(W x_t + U h_{t−1} + b),  g = tanh(W_g x_t + U_g h_{t−1} + b_g)
    c_t = f ⊙ c_{t−1} + i ⊙ g,  h_t = o ⊙ tanh(c_t),  y_t = h_t;  gates are stacked in the order i, f, g, o

    Source: F. Gers, J. Schmidhuber and F. Cummins, 2000, "Learning to forget".
    Same as torch.nn.LSTM with its two biases summed into one.
    forget_bias is 1, so that memory is kept before anything is learned (R. Jozefowicz et al., 2015).
    """

    gates = ("input", "forget", "cell", "output")
    keep_gate = ("forget", 1)

    def __init__(self, input_size: int, hidden_size: int, *, bias: bool = True, forget_bias: float = 1.0) -> None:
        super().__init__(input_size, hidden_size, {"h": (hidden_size,), "c": (hidden_size,)}, output_key="h")
        self.forget_bias = forget_bias
        self.input_weight = nn.Parameter(torch.empty(4 * hidden_size, input_size))
        self.recurrent_weight = nn.Parameter(torch.empty(4 * hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.empty(4 * hidden_size)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Glorot input weights, orthogonal recurrent weights, zero biases but for the forget gate's."""
        glorot_(self.input_weight, 4)
        orthogonal_(self.recurrent_weight, 4)
        if self.bias is not None:
            nn.init.zeros_(self.bias)
            nn.init.constant_(self.bias.chunk(4)[1], self.forget_bias)

    def project(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.input_weight, self.bias)

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        i, f, g, o = (p + state["h"] @ self.recurrent_weight.T).chunk(4, -1)
        c = torch.sigmoid(f) * state["c"] + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        return h, {"h": h, "c": c}

    def native_weights(self) -> NativeWeights | str:
        zeros = None if self.bias is None else torch.zeros_like(self.bias)
        return NativeWeights("lstm", self.input_weight, self.recurrent_weight, self.bias, zeros)
