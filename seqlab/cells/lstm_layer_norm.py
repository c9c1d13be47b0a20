"""The layer-normalised long short-term memory. Dimension key: B batch, I input_size, H hidden_size."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqlab.cells.base import Cell, State
from seqlab.cells.init import glorot_, orthogonal_
from seqlab.registry import register_cell


@register_cell("lstm_layer_norm")
class LSTMLayerNorm(Cell):
    """LSTM with layer norm of both matrix products, and of the memory cell where the output gate reads it.

    LN(a; α, β) = α ⊙ (a − mean(a)) / √(var(a) + epsilon) + β,  mean and variance over all the entries of a
    i, f, g, o = LN(W x_t; α_x, 0) + LN(U h_{t−1}; α_h, 0) + b,  each LN over all 4H entries at once
    c_t = σ(f) ⊙ c_{t−1} + σ(i) ⊙ tanh(g),  h_t = σ(o) ⊙ tanh(LN(c_t; α_c, β_c)),  y_t = h_t
    Gates are stacked in the order i, f, g, o. α_x is input_gain (4H,), α_h recurrent_gain (4H,), α_c, β_c cell_gain, cell_shift (H,).

    Source: J. Ba, J. Kiros and G. Hinton, 2016, "Layer normalization", arXiv 1607.06450, supplementary material, LSTM.
    Differs from the paper in that its shifts β of the two products are summed into b; the functions are the same. Differs from
    LayerNormBasicLSTMCell of TensorFlow 1, which normalises the sum of the products, each gate for itself.
    forget_bias is 1 as in `lstm`. epsilon is 1e-5, that of torch.nn.LayerNorm; at h = 0 it bounds the gradient to h by
    1 / √epsilon.
    """

    gates = ("input", "forget", "cell", "output")
    keep_gate = ("forget", 1)

    def __init__(self, input_size: int, hidden_size: int, *, bias: bool = True, forget_bias: float = 1.0, epsilon: float = 1e-5) -> None:
        super().__init__(input_size, hidden_size, {"h": (hidden_size,), "c": (hidden_size,)}, output_key="h")
        if hidden_size < 2:
            raise ValueError(f"hidden_size of cell 'lstm_layer_norm' is {hidden_size}; expected at least 2, since the norm of one entry is constant.")
        self.forget_bias = forget_bias
        self.epsilon = epsilon
        self.input_weight = nn.Parameter(torch.empty(4 * hidden_size, input_size))
        self.recurrent_weight = nn.Parameter(torch.empty(4 * hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.empty(4 * hidden_size)) if bias else None
        self.input_gain = nn.Parameter(torch.empty(4 * hidden_size))
        self.recurrent_gain = nn.Parameter(torch.empty(4 * hidden_size))
        self.cell_gain = nn.Parameter(torch.empty(hidden_size))
        self.cell_shift = nn.Parameter(torch.empty(hidden_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Glorot input weights, orthogonal recurrent weights, gains one, shift and biases zero but for the forget gate's."""
        glorot_(self.input_weight, 4)
        orthogonal_(self.recurrent_weight, 4)
        for gain in (self.input_gain, self.recurrent_gain, self.cell_gain):
            nn.init.ones_(gain)
        nn.init.zeros_(self.cell_shift)
        if self.bias is not None:
            nn.init.zeros_(self.bias)
            nn.init.constant_(self.bias.chunk(4)[1], self.forget_bias)

    def project(self, x: Tensor) -> Tensor:
        return nn.functional.layer_norm(x @ self.input_weight.T, self.input_gain.shape, self.input_gain, self.bias, self.epsilon)

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        u = nn.functional.layer_norm(state["h"] @ self.recurrent_weight.T, self.recurrent_gain.shape, self.recurrent_gain, None, self.epsilon)
        i, f, g, o = (p + u).chunk(4, -1)
        c = torch.sigmoid(f) * state["c"] + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(nn.functional.layer_norm(c, self.cell_gain.shape, self.cell_gain, self.cell_shift, self.epsilon))
        return h, {"h": h, "c": c}
