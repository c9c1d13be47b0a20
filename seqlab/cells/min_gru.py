"""The minimal gated recurrent unit, linear in its state. Dimension key: B batch, I input_size, H hidden_size."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqlab.cells.base import ScanCell, State
from seqlab.cells.init import glorot_
from seqlab.registry import register_cell


def positive(a: Tensor) -> Tensor:
    """g(a) = a + ½ for a ≥ 0 and σ(a) below: continuous and above zero (Feng et al., 2024, appendix B)."""
    return torch.where(a >= 0, a + 0.5, torch.sigmoid(a))


@register_cell("min_gru")
class MinGRU(ScanCell):
    """Minimal GRU: gate and candidate see the input alone, so that all steps can be computed at once.

    z = σ(W_z x_t + b_z),  n = g(W_n x_t + b_n),  g(a) = a + ½ for a ≥ 0, σ(a) below
    h_t = (1 − z) ⊙ h_{t−1} + z ⊙ n,  y_t = h_t;  gates are stacked in the order z, n

    Source: L. Feng et al., 2024, "Were RNNs all we needed?", arXiv 2410.01201, section 3.1 and appendix B.
    Differs from the paper's parallel form, which takes the logarithm of h_0 and so needs it above zero; here any h_0 is right.
    """

    gates = ("update", "candidate")
    keep_gate = ("update", -1)

    def __init__(self, input_size: int, hidden_size: int, *, bias: bool = True) -> None:
        super().__init__(input_size, hidden_size, {"h": (hidden_size,)}, output_key="h")
        self.input_weight = nn.Parameter(torch.empty(2 * hidden_size, input_size))
        self.bias = nn.Parameter(torch.empty(2 * hidden_size)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Glorot input weights, zero biases."""
        glorot_(self.input_weight, 2)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def project(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.input_weight, self.bias)

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        keep, new = self.scan_terms(p)
        h = keep * state["h"] + new
        return h, {"h": h}

    def scan_terms(self, p: Tensor) -> tuple[Tensor, Tensor]:
        # Not in `project`, though they need no state: a compiled step makes the gates on its way, where ten passes over all steps cost more
        z, n = p.chunk(2, -1)
        return torch.sigmoid(-z), torch.sigmoid(z) * positive(n)  # σ(−z) = 1 − σ(z), without cancellation
