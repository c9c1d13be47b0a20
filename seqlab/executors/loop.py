"""The reference executor: a Python loop over `step`. Every other executor is held against it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from seqlab.cells.base import Cell, Projected, State
from seqlab.executors.sequence import Sequence, expand_mask


def loop(cell: Cell, inputs: Sequence) -> tuple[Tensor, State]:
    """y (T, B, O) and the final state. A padded step holds the state and gives a zero output."""
    state = inputs.state
    masks = inputs.drawn(cell)
    outputs = []
    for t, p in enumerate(steps(cell.project(inputs.x))):
        y, new = cell.step(p, {**state, **masks})
        if t == 0:
            check_step(cell, y, new, state)
        new = {name: new[name].to(leaf.dtype) for name, leaf in state.items()}  # autocast narrows; the carry does not
        if inputs.mask is not None:
            valid = inputs.mask[t]
            new = {name: leaf if leaf is state[name] else torch.where(expand_mask(valid, leaf), leaf, state[name]) for name, leaf in new.items()}
            y = torch.where(expand_mask(valid, y), y, 0.0)
        outputs.append(y)
        state = new
    return torch.stack(outputs), state


def steps(p: Projected) -> Iterable[Any]:
    """p (T, B, …) -> what each step receives. Unbound once: indexing p[t] would make autograd write O(T²) zeros."""
    return zip(*(part.unbind(0) for part in p), strict=True) if isinstance(p, tuple) else p.unbind(0)


def check_step(cell: Cell, y: Tensor, new: State, state: State) -> None:
    """Raise ValueError unless a step returned y (B, O) and every declared leaf in the shape it came with."""
    name = type(cell).__name__
    if set(new) != set(state):
        raise ValueError(f"step of {name} returned the state leaves {sorted(new)}; expected {sorted(state)}. Return every leaf of state_shapes and no other.")
    for leaf in state:
        if new[leaf].shape != state[leaf].shape:
            raise ValueError(f"step of {name} returned state {leaf!r} of shape {tuple(new[leaf].shape)}; expected {tuple(state[leaf].shape)}, as it came.")
    expected = (next(iter(state.values())).shape[0] if state else y.shape[0], cell.output_size)
    if tuple(y.shape) != expected:
        raise ValueError(f"step of {name} returned y of shape {tuple(y.shape)}; expected {expected}, (batch, output_size).")
