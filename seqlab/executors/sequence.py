"""What an executor is given: a padded, time-major batch with its mask and initial state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from seqlab.cells.base import Cell, State, WrapperCell


class CannotCompile(ValueError):
    """The step cannot be compiled; the message says what in the cell or the machine prevents it."""


class Sequence(NamedTuple):
    """x (T, B, I), zero past each row's length; lengths (B,) and mask (T, B), True where valid, both None when no row is
    padded; state {name: (B, …)}. masks: what `draw_masks` gave for this call, or None when the executor is to draw them."""

    x: Tensor
    lengths: Tensor | None
    mask: Tensor | None
    state: State
    masks: State | None = None

    def drawn(self, cell: Cell) -> State:
        """The per-call masks, drawn now unless they were."""
        return cell.draw_masks(self.x.shape[1]) if self.masks is None else self.masks


def lengths_to_mask(lengths: Tensor, num_steps: int) -> Tensor:
    """lengths (B,) -> mask (B, T), True = valid. The one place where masks are made."""
    return torch.arange(num_steps, device=lengths.device) < lengths[:, None]


def expand_mask(mask: Tensor, like: Tensor) -> Tensor:
    """mask (B,) or (T, B) shaped so that it broadcasts against `like`, whose leading axes are those of the mask."""
    return mask.reshape(*mask.shape, *[1] * (like.dim() - mask.dim()))


def call_weights(cell: Cell) -> State:
    """What one call of `cell.weights()` puts in the place of the cell's own parameters: those that differ from them."""
    made_by = getattr(cell.weights, "__func__", None)
    if made_by is Cell.weights:  # the parameters themselves; to compare them would cost as much as a step of a small cell
        return {}
    if made_by is WrapperCell.weights:
        assert isinstance(cell, WrapperCell)
        return {f"cell.{name}": value for name, value in call_weights(cell.cell).items()}
    own = {**dict(cell.named_parameters()), **dict(cell.named_buffers())}
    return {name: value for name, value in cell.weights().items() if own.get(name) is not value}


def with_weights(cell: Cell, function: Callable[[Cell, Sequence], Any], inputs: Sequence, weights: State | None = None) -> Any:
    """function(cell, inputs) while the cell's parameters are those of one call of `cell.weights()`, made now or given."""
    changed = call_weights(cell) if weights is None else weights
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
