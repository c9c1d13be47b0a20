"""Other kernels for a GPU as sides: haste (haste_pytorch) and FlashRNN (flashrnn). Used where they are installed, never required.

Written after their documentation; with neither installed at hand, no run of theirs has been measured here yet.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from seqlab.bench.sides import Side, Size
from seqlab.registry import unknown

MODULES = {"haste": "haste_pytorch", "flashrnn": "flashrnn"}
CELLS = {
    "haste": {"lstm": "LSTM", "gru": "GRU", "lstm_layer_norm": "LayerNormLSTM"},
    "flashrnn": {"lstm": "lstm", "gru": "gru", "rnn": "elman"},
}
GATES = {"lstm": 4, "gru": 3, "elman": 1}


def gpu_side(library: str, cell: str, size: Size, mode: str, device: str) -> Side:
    """haste:CELL or flashrnn:CELL as a side. Raises ValueError when it is not installed, has no such cell, or the device is no GPU."""
    name = f"{library}:{cell}"
    if importlib.util.find_spec(MODULES[library]) is None:
        raise ValueError(f"{MODULES[library]} is not installed, so {name} cannot run. Install it, or leave the side out.")
    if cell not in CELLS[library]:
        raise ValueError(f"{unknown(f'{library} cell', cell, list(CELLS[library]))} {name} cannot run.")
    if device == "cpu" or mode == "streaming":
        raise ValueError(f"{name} cannot run on {device} for {mode}: its kernels are for whole sequences on a GPU. Use --device cuda, without streaming.")
    torch.manual_seed(0)
    module = (_haste if library == "haste" else _flashrnn)(CELLS[library][cell], size).to(device)
    x = torch.randn(size.batch_size, size.num_steps, size.input_size, device=device)
    gradient = torch.randn(size.batch_size, size.num_steps, size.hidden_size, device=device)

    def train() -> None:
        module.zero_grad(set_to_none=True)
        module(x).backward(gradient)

    def infer() -> object:
        with torch.no_grad():
            return module(x)

    return Side(name, train if mode == "training" else infer, note="multiplies in bfloat16" if library == "flashrnn" else "")


class Outputs(nn.Module):
    """A module that returns (y, state) as one that returns y."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)[0]


def _haste(cell: str, size: Size) -> nn.Module:
    haste: Any = importlib.import_module("haste_pytorch")
    return Outputs(getattr(haste, cell)(size.input_size, size.hidden_size, batch_first=True))


def _flashrnn(function: str, size: Size) -> nn.Module:
    kernel: Callable[..., Any] = importlib.import_module("flashrnn").flashrnn
    return FlashRNN(kernel, function, size)


class FlashRNN(nn.Module):
    """The projection of x as one product, then FlashRNN's kernel over time with one head as wide as the state.

    Its fused kernel multiplies in bfloat16; y comes back in the dtype of x.
    """

    def __init__(self, kernel: Callable[..., Any], function: str, size: Size) -> None:
        super().__init__()
        self.kernel = kernel
        self.function = function
        gates, width = GATES[function], size.hidden_size
        self.input_map = nn.Linear(size.input_size, gates * width, bias=False)
        self.recurrent_weight = nn.Parameter(torch.randn(gates, 1, width, width) / width**0.5)
        self.bias = nn.Parameter(torch.zeros(gates, 1, width))

    def forward(self, x: Tensor) -> Tensor:
        gates, _, width = self.bias.shape
        p = self.input_map(x).unflatten(-1, (gates, 1, width))
        half = [t.to(torch.bfloat16) for t in (p, self.recurrent_weight, self.bias)]
        states, _ = self.kernel(*half, function=self.function, backend="cuda_fused")
        return states[0].squeeze(2).to(x.dtype)
