"""The layer-normalised gated recurrent unit. Dimension key: B batch, I input_size, H hidden_size."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqlab.cells.base import Cell, State
from seqlab.cells.init import glorot_, orthogonal_
from seqlab.registry import register_cell


@register_cell("gru_layer_norm")
class GRULayerNorm(Cell):
    """Gated recurrent unit with layer norm of every matrix product; reset after the product, z weighs the new value.

    LN(a; α, β) = α ⊙ (a − mean(a)) / √(var(a) + epsilon) + β,  mean and variance over all the entries of a
    r, z = σ(LN(W x_t; α_x, 0) + LN(U h_{t−1}; α_h, 0) + b),  each LN over the 2H entries of both gates at once
    n = tanh(LN(W_n x_t; α_nx, b_n) + r ⊙ LN(U_n h_{t−1}; α_nh, b_u)),  h_t = (1 − z) ⊙ h_{t−1} + z ⊙ n,  y_t = h_t
    Gates are stacked in the order r, z, n, in input_gain = α_x, α_nx and recurrent_gain = α_h, α_nh (3H,) too; b_u is recurrent_bias (H,).

    Source: J. Ba, J. Kiros and G. Hinton, 2016, "Layer normalization", arXiv 1607.06450, supplementary material, GRU.
    Differs from the paper in that its shifts β of the gates' two products are summed into b; the functions are the same. Differs
    from `gru_reset_after` also in z, which weighs the old value there.
    epsilon is 1e-5, that of torch.nn.LayerNorm; at h = 0 it bounds the gradient to h by 1 / √epsilon.
    """

    gates = ("reset", "update", "candidate")
    keep_gate = ("update", -1)

    def __init__(self, input_size: int, hidden_size: int, *, bias: bool = True, epsilon: float = 1e-5) -> None:
        super().__init__(input_size, hidden_size, {"h": (hidden_size,)}, output_key="h")
        if hidden_size < 2:
            raise ValueError(f"hidden_size of cell 'gru_layer_norm' is {hidden_size}; expected at least 2, since the norm of one entry is constant.")
        self.epsilon = epsilon
        self.input_weight = nn.Parameter(torch.empty(3 * hidden_size, input_size))
        self.recurrent_weight = nn.Parameter(torch.empty(3 * hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.empty(3 * hidden_size)) if bias else None
        self.recurrent_bias = nn.Parameter(torch.empty(hidden_size)) if bias else None
        self.input_gain = nn.Parameter(torch.empty(3 * hidden_size))
        self.recurrent_gain = nn.Parameter(torch.empty(3 * hidden_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Glorot input weights, orthogonal recurrent weights, gains one, biases zero."""
        glorot_(self.input_weight, 3)
        orthogonal_(self.recurrent_weight, 3)
        for gain in (self.input_gain, self.recurrent_gain):
            nn.init.ones_(gain)
        for bias in (self.bias, self.recurrent_bias):
            if bias is not None:
                nn.init.zeros_(bias)

    def _norms(self, a: Tensor, gain: Tensor) -> tuple[Tensor, Tensor]:
        """a (…, 3H) -> the layer norm of its first 2H entries and that of the last H, without shifts."""
        parts = [2 * self.output_size, self.output_size]
        (a_rz, a_n), (gain_rz, gain_n) = a.split(parts, -1), gain.split(parts)
        norm = nn.functional.layer_norm
        return norm(a_rz, gain_rz.shape, gain_rz, None, self.epsilon), norm(a_n, gain_n.shape, gain_n, None, self.epsilon)

    def project(self, x: Tensor) -> Tensor:
        p = torch.cat(self._norms(x @ self.input_weight.T, self.input_gain), -1)
        return p if self.bias is None else p + self.bias

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        h = state["h"]
        p_rz, p_n = p.split([2 * self.output_size, self.output_size], -1)
        u_rz, u_n = self._norms(h @ self.recurrent_weight.T, self.recurrent_gain)
        r, z = torch.sigmoid(p_rz + u_rz).chunk(2, -1)
        if self.recurrent_bias is not None:
            u_n = u_n + self.recurrent_bias
        n = torch.tanh(p_n + r * u_n)
        h = (1 - z) * h + z * n
        return h, {"h": h}
