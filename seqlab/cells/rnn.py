"""Simple recurrent networks. Dimension key: B batch, I input_size, H hidden_size, O output_size."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqlab.cells.activations import ACTIVATIONS, check_activations
from seqlab.cells.base import NativeCell, NativeWeights, State
from seqlab.cells.init import glorot_, orthogonal_
from seqlab.registry import register_cell


@register_cell("rnn")
class RNN(NativeCell):
    """Simple (Elman) recurrent network with a choice of squashing function φ.

    h_t = φ(W x_t + U h_{t−1} + b),  y_t = h_t

    Source: J. Elman, 1990, "Finding structure in time".
    Same as torch.nn.RNN for φ = tanh and relu, with its two biases summed into one.
    """

    gates = ("hidden",)

    def __init__(self, input_size: int, hidden_size: int, *, activation: str = "tanh", bias: bool = True) -> None:
        check_activations(activation=activation)
        super().__init__(input_size, hidden_size, {"h": (hidden_size,)}, output_key="h")
        self.activation = activation
        self.input_weight = nn.Parameter(torch.empty(hidden_size, input_size))
        self.recurrent_weight = nn.Parameter(torch.empty(hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.empty(hidden_size)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Glorot input weights, orthogonal recurrent weights, zero biases."""
        glorot_(self.input_weight)
        orthogonal_(self.recurrent_weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def project(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.input_weight, self.bias)

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        h = ACTIVATIONS[self.activation](p + state["h"] @ self.recurrent_weight.T)
        return h, {"h": h}

    def native_weights(self) -> NativeWeights | str:
        if self.activation not in ("tanh", "relu"):
            return f"activation {self.activation!r} has no kernel, only tanh and relu have"
        zeros = None if self.bias is None else torch.zeros_like(self.bias)
        return NativeWeights(f"rnn_{self.activation}", self.input_weight, self.recurrent_weight, self.bias, zeros)


@register_cell("irnn")
class IRNN(NativeCell):
    """Simple recurrent network of rectified linear units that starts as the identity.

    h_t = relu(W x_t + U h_{t−1} + b),  y_t = h_t;  at first U = scale · 1, b = 0, W ~ N(0, input_std²)

    Source: Q. Le, N. Jaitly and G. Hinton, 2015, "A simple way to initialize recurrent networks of rectified linear units",
    arXiv 1504.00941.
    Same as `rnn` with activation relu but for how it starts.
    input_std is 0.001: the input hardly disturbs what the identity keeps, until the weights are learned. A scale below 1
    makes it forget, which the paper prefers where short memory is enough.
    """

    gates = ("hidden",)

    def __init__(self, input_size: int, hidden_size: int, *, scale: float = 1.0, input_std: float = 0.001, bias: bool = True) -> None:
        super().__init__(input_size, hidden_size, {"h": (hidden_size,)}, output_key="h")
        self.scale = scale
        self.input_std = input_std
        self.input_weight = nn.Parameter(torch.empty(hidden_size, input_size))
        self.recurrent_weight = nn.Parameter(torch.empty(hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.empty(hidden_size)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Small normal input weights, a multiple of the identity as recurrent weights, zero biases."""
        nn.init.normal_(self.input_weight, std=self.input_std)
        with torch.no_grad():
            nn.init.eye_(self.recurrent_weight).mul_(self.scale)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def project(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.input_weight, self.bias)

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        h = torch.relu(p + state["h"] @ self.recurrent_weight.T)
        return h, {"h": h}

    def native_weights(self) -> NativeWeights | str:
        zeros = None if self.bias is None else torch.zeros_like(self.bias)
        return NativeWeights("rnn_relu", self.input_weight, self.recurrent_weight, self.bias, zeros)
