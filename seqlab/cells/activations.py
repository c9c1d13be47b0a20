"""The elementwise functions that cells name in their options."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from seqlab.registry import unknown

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "leaky_relu": nn.functional.leaky_relu,
    "elu": nn.functional.elu,
    "identity": lambda a: a,
    "bipolar_sigmoid": lambda a: 2 * torch.sigmoid(a) - 1,  # range −1..1; h of Hochreiter and Schmidhuber, 1997
    "bipolar_sigmoid_2": lambda a: 4 * torch.sigmoid(a) - 2,  # range −2..2; g of Hochreiter and Schmidhuber, 1997
}


def check_activations(**options: str) -> None:
    """Raise ValueError unless each option's value, given as option=value, names one of ACTIVATIONS."""
    for option, name in options.items():
        if name not in ACTIVATIONS:
            raise ValueError(f"{option} is {name!r}; {unknown('activation', name, list(ACTIVATIONS))}")
