"""What an executor is given: a padded, time-major batch with its mask and initial state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from seqlab.cells.base import Cell, State


class Sequence(NamedTuple):
    """x (T, B, I), zero past each row's length; lengths (B,) and mask (T, B), True where valid, both None when no row is
    padded; state {name: (B, …)}."""

    x: Tensor
    lengths: Tensor | None
    mask: Tensor | None
    state: State


def lengths_to_mask(lengths: Tensor, num_steps: int) -> Tensor:
    """lengths (B,) -> mask (B, T), True = valid. The one place where masks are made."""
    return torch.arange(num_steps, device=lengths.device) < lengths[:, None]


def expand_mask(mask: Tensor, like: Tensor) -> Tensor:
    """mask (B,) or (T, B) shaped so that it broadcasts against `like`, whose leading axes are those of the mask."""
    return mask.reshape(*mask.shape, *[1] * (like.dim() - mask.dim()))


def with_weights(cell: Cell, function: Callable[[Cell, Sequence], Any], inputs: Sequence) -> Any:
    """function(cell, inputs) while the cell's parameters are those of one call of `cell.weights()`."""
    own = {**dict(cell.named_parameters()), **dict(cell.named_buffers())}
    changed = {name: value for name, value in cell.weights().items() if own.get(name) is not value}
    if not changed:
        return function(cell, inputs)
    return functional_call(_Call(cell, function), {f"cell.{name}": value for name, value in changed.items()}, (inputs,))


class _Call(nn.Module):
    """A function of a cell as a module, the form that functional_call takes."""

    def __init__(self, cell: Cell, function: Callable[[Cell, Sequence], Any]) -> None:
        super().__init__()
        self.cell = cell
        self.function = function

    def forward(self, inputs: Sequence) -> Any:
        return self.function(self.cell, inputs)
