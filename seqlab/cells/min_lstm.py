"""The minimal long short-term memory, linear in its state. Dimension key: B batch, I input_size, H hidden_size."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqlab.cells.base import ScanCell, State
from seqlab.cells.init import glorot_
from seqlab.cells.min_gru import positive
from seqlab.registry import register_cell


@register_cell("min_lstm")
class MinLSTM(ScanCell):
    """Minimal LSTM: gates and candidate see the input alone, so that all steps can be computed at once.

    f, i = σ(W x_t + b),  n = g(W_n x_t + b_n),  g(a) = a + ½ for a ≥ 0, σ(a) below
    f' = f / (f + i),  i' = i / (f + i),  h_t = f' ⊙ h_{t−1} + i' ⊙ n,  y_t = h_t;  gates are stacked in the order f, i, n

    Source: L. Feng et al., 2024, "Were RNNs all we needed?", arXiv 2410.01201, section 3.2 and appendix B.
    Differs from the paper's parallel form, which takes the logarithm of h_0 and so needs it above zero; here any h_0 is right.
    """

    gates = ("forget", "input", "candidate")
    keep_gate = ("forget", 1)

    def __init__(self, input_size: int, hidden_size: int, *, bias: bool = True) -> None:
        super().__init__(input_size, hidden_size, {"h": (hidden_size,)}, output_key="h")
        self.input_weight = nn.Parameter(torch.empty(3 * hidden_size, input_size))
        self.bias = nn.Parameter(torch.empty(3 * hidden_size)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Glorot input weights, zero biases."""
        glorot_(self.input_weight, 3)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def project(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.input_weight, self.bias)

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        keep, new = self.scan_terms(p)
        h = keep * state["h"] + new
        return h, {"h": h}

    def scan_terms(self, p: Tensor) -> tuple[Tensor, Tensor]:
        # not in `project`, for the reason given in MinGRU
        f, i, n = p.chunk(3, -1)
        # f / (f + i) = σ(log f − log i), which is still a number when both gates have underflowed to zero
        log_ratio = nn.functional.logsigmoid(f) - nn.functional.logsigmoid(i)
        return torch.sigmoid(log_ratio), torch.sigmoid(-log_ratio) * positive(n)
