"""Where a value of the step lives over time: stacked, constant, or in two halves that swing.

Dimension key: T time, B batch.
"""

from __future__ import annotations

from collections.abc import Sequence as Items
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Slot:
    """Memory of one input or output of a step.

    stack: tensor (T + shift, B, …), step t uses tensor[t + shift]. constant: every step uses the whole tensor; `rows` says
    whether its first axis is the batch. swing: tensor (2, B, …); the s-th step to run uses tensor[(s + shift) % 2].
    """

    kind: str
    tensor: Tensor
    shift: int = 0
    rows: bool = True

    def at(self, t: int, s: int) -> Tensor:
        """What the step at time t, the s-th to run, reads or writes."""
        if self.kind == "constant":
            return self.tensor
        return self.tensor[t + self.shift] if self.kind == "stack" else self.tensor[(s + self.shift) % 2]

    def binding(self, first_row: int) -> tuple[int, int, int]:
        """(address, bytes from one time to the next, bytes from an even step to an odd) from this row on."""
        size = self.tensor.element_size()
        if self.kind == "constant":
            row = self.tensor.stride(0) if self.rows and self.tensor.dim() else 0
            return self.tensor.data_ptr() + first_row * row * size, 0, 0
        step = self.tensor.stride(0) * size
        address = self.tensor.data_ptr() + self.shift * step + first_row * self.tensor.stride(1) * size
        if self.kind == "stack":
            return address, step, 0
        return address, 0, -step if self.shift else step


def stack(steps: int, batch: int, like: Tensor) -> Tensor:
    """An empty (T, B, …) for values shaped as `like` (a fake tensor with a symbolic batch)."""
    return torch.empty((steps, *concrete(like.shape, batch)), dtype=like.dtype, device=like.device)


def concrete(shape: Items[Any], batch: int) -> list[int]:
    """A shape with the batch symbol replaced."""
    return [evaluate(size, batch) for size in shape]


def evaluate(size: int | torch.SymInt, batch: int) -> int:
    """A symbolic size for this batch; the only symbol there is stands for the batch."""
    if not isinstance(size, torch.SymInt):
        return size
    expression = size.node.expr
    return int(expression.subs(dict.fromkeys(expression.free_symbols, batch)))
