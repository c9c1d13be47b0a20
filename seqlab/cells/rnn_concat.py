"""The recurrent network of two linear maps. Dimension key: B batch, I input_size, H hidden_size, O output_size."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqlab.cells.base import Cell, State
from seqlab.cells.init import glorot_, orthogonal_
from seqlab.registry import register_cell


@register_cell("rnn_concat")
class RNNConcat(Cell):
    """Recurrent network of two linear maps of the input joined to the state, without squashing.

    k_t = [x_t; h_{t−1}],  h_t = W_h k_t + b_h,  y_t = W_y k_t + b_y;  y_t does not depend on h_t

    W_h = [input_weight, recurrent_weight] and W_y = [output_input_weight, output_recurrent_weight], parted at x and h.

    Source: the "i2h / i2o" network of the character-level name classification tutorials; no paper.
    Differs from `rnn` in that h is not squashed and that y is not h, with a width of its own; the loss head of the tutorials
    is the log-softmax of y.
    output_size is hidden_size unless it is given.
    """

    gates = ("hidden",)

    def __init__(self, input_size: int, hidden_size: int, *, output_size: int | None = None, bias: bool = True) -> None:
        width = hidden_size if output_size is None else output_size
        super().__init__(input_size, width, {"h": (hidden_size,)})
        self.input_weight = nn.Parameter(torch.empty(hidden_size, input_size))
        self.recurrent_weight = nn.Parameter(torch.empty(hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.empty(hidden_size)) if bias else None
        self.output_input_weight = nn.Parameter(torch.empty(width, input_size))
        self.output_recurrent_weight = nn.Parameter(torch.empty(width, hidden_size))
        self.output_bias = nn.Parameter(torch.empty(width)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Orthogonal recurrent weights, because nothing squashes what a larger norm would let grow; the others Glorot, biases zero."""
        orthogonal_(self.recurrent_weight)
        for weight in (self.input_weight, self.output_input_weight, self.output_recurrent_weight):
            glorot_(weight)
        for bias in (self.bias, self.output_bias):
            if bias is not None:
                nn.init.zeros_(bias)

    def project(self, x: Tensor) -> tuple[Tensor, Tensor]:
        to_hidden = nn.functional.linear(x, self.input_weight, self.bias)
        return to_hidden, nn.functional.linear(x, self.output_input_weight, self.output_bias)

    def step(self, p: tuple[Tensor, Tensor], state: State) -> tuple[Tensor, State]:
        to_hidden, to_output = p
        h = to_hidden + state["h"] @ self.recurrent_weight.T
        y = to_output + state["h"] @ self.output_recurrent_weight.T
        return y, {"h": h}
