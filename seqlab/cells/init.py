"""Initialisation of a cell's parameters, by their roles.

Roles are names: `input_weight` (G·H, I), `recurrent_weight` (G·H, H), `bias` (G·H,), with the G gates stacked along the
first axis in the order that the cell's `gates` says.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def glorot_(weight: Tensor, num_gates: int = 1) -> Tensor:
    """Uniform in ±√(6 / (fan_in + fan_out)) for each gate's own block (X. Glorot and Y. Bengio, 2010, eq. 16)."""
    rows = weight.shape[0] // num_gates
    bound = math.sqrt(6.0 / (rows + weight.shape[1]))
    with torch.no_grad():
        return weight.uniform_(-bound, bound)


def orthogonal_(weight: Tensor, num_gates: int = 1) -> Tensor:
    """Each gate's block orthogonal, so that products over many steps keep norms (A. Saxe et al., 2014)."""
    with torch.no_grad():
        for block in weight.chunk(num_gates):
            nn.init.orthogonal_(block)
    return weight
