"""The contract of everything between the front end and the head.

Dimension key: B batch, T time, I input_size, O output_size.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence as Items
from typing import cast

import torch
from torch import Tensor, nn

from seqlab.cells.base import State

Lengths = Tensor | Items[int] | None


class SequenceModule(nn.Module, ABC):
    """forward(x (B, T, I), lengths, state) -> (y (B, T, O), state). Batch first, always; outputs and final state, always.

    Past a row's length the state is held and the output is zero. Nothing is kept between calls: state is the caller's.
    """

    def __init__(self, input_size: int, output_size: int) -> None:
        super().__init__()
        self.input_size = input_size
        self.output_size = output_size

    @abstractmethod
    def forward(self, x: Tensor, lengths: Lengths = None, state: State | None = None) -> tuple[Tensor, State]:
        """x (B, T, I), lengths (B,) in 1..T -> y (B, T, O) and the state after each row's last step."""

    @abstractmethod
    def initial_state(self, batch_size: int) -> State:
        """The state that a call without `state` starts from, {name: (B, …)}."""

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """lengths of y for lengths of x; parts that shorten time override it."""
        return lengths


def check_input(x: Tensor, lengths: Lengths, input_size: int, subject: str) -> Tensor | None:
    """Checked once, outside the time loop. Returns lengths as an int64 tensor (B,) on x's device, or None."""
    if x.dim() != 3:
        raise ValueError(f"x has shape {tuple(x.shape)}; expected three axes, (batch, time, {input_size}).")
    if x.shape[-1] != input_size:
        raise ValueError(f"x has shape {tuple(x.shape)} but {subject} takes input_size={input_size} in the last axis.")
    if x.shape[0] < 1 or x.shape[1] < 1:
        raise ValueError(f"x has shape {tuple(x.shape)}; expected at least one row and one step.")
    if not x.is_floating_point():
        raise TypeError(f"x has dtype {x.dtype}; expected floating point. Embed tokens first, or call x.float().")
    if lengths is None:
        return None
    lengths = torch.as_tensor(lengths, device=x.device)
    if lengths.is_floating_point() or lengths.dtype == torch.bool:
        raise TypeError(f"lengths have dtype {lengths.dtype}; expected whole numbers. A mask becomes lengths by mask.sum(1).")
    if lengths.shape != x.shape[:1]:
        raise ValueError(f"lengths have shape {tuple(lengths.shape)}; expected ({x.shape[0]},), one for each row of x.")
    wrong = (lengths < 1) | (lengths > x.shape[1])
    if wrong.any():
        row = int(wrong.nonzero()[0])
        raise ValueError(f"lengths must lie in 1..{x.shape[1]} (the time axis of x); got {int(lengths[row])} in row {row}.")
    return lengths.long()


def check_state(state: State, expected: dict[str, tuple[int, ...]], batch_size: int, subject: str) -> None:
    """Raise ValueError unless the state has exactly the expected leaves {name: shape without batch}."""
    if not isinstance(state, dict):
        raise TypeError(f"state is a {type(state).__name__}; expected a dict of tensors with the leaves {sorted(expected)}, as {subject} returns it.")
    if set(state) != set(expected):
        raise ValueError(f"state has the leaves {sorted(state)} but {subject} has {sorted(expected)}. Pass the state that it returned, or none.")
    for name, shape in expected.items():
        if tuple(state[name].shape) != (batch_size, *shape):
            raise ValueError(f"state {name!r} has shape {tuple(state[name].shape)}; expected {(batch_size, *shape)}, batch first.")


def add_prefix(prefix: str, state: State) -> State:
    """State of a part -> state of the whole: h becomes 0.h, as state_dict does."""
    return {f"{prefix}.{name}": leaf for name, leaf in state.items()}


def take_prefix(prefix: str, state: State | None) -> State | None:
    """State of the whole -> state of the part named `prefix`; None stays None."""
    if state is None:
        return None
    return {name.removeprefix(f"{prefix}."): leaf for name, leaf in state.items() if name.startswith(f"{prefix}.")}


def check_parts(state: State | None, parts: dict[str, SequenceModule], subject: str) -> None:
    """Raise ValueError when a state holds leaves that belong to none of the parts."""
    if state is None:
        return
    known = tuple(f"{prefix}." for prefix in parts)
    stray = [name for name in state if not name.startswith(known)]
    if stray or not state:
        raise ValueError(
            f"state has the leaves {sorted(state)}; {subject} expects names that begin with {', '.join(known)}. Pass the state that it returned, or none."
        )


def parts_of(module: nn.ModuleDict | nn.ModuleList) -> dict[str, SequenceModule]:
    """The named parts of a container of SequenceModules, typed."""
    return {name: cast(SequenceModule, part) for name, part in module.named_children()}
