"""The contract of everything between the front end and the head.

Dimension key: B batch, T time, I input_size, O output_size.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from collections.abc import Sequence as Items
from typing import cast

import torch
from torch import Tensor, nn

from seqlab.cells.base import Cell, State

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

    @property
    def keeps_steps(self) -> bool:
        """Whether y has a step for each step of x."""
        return int(self.output_lengths(torch.tensor([1000]))) == 1000


def check_input(x: Tensor, lengths: Lengths, input_size: int, subject: str) -> Tensor | None:
    """Checked once, outside the time loop. Returns lengths as an int64 tensor (B,) on x's device, or None."""
    if not isinstance(x, Tensor):
        raise TypeError(f"x is a {type(x).__name__}; expected a tensor. Call torch.as_tensor(x).")
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
    try:
        lengths = torch.as_tensor(lengths, device=x.device)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"lengths are {lengths!r}; expected {x.shape[0]} whole numbers, one for each row of x, as a list or a tensor.") from error
    if lengths.is_floating_point() or lengths.dtype == torch.bool:
        raise TypeError(f"lengths have dtype {lengths.dtype}; expected whole numbers. A mask becomes lengths by mask.sum(1).")
    if lengths.shape != x.shape[:1]:
        raise ValueError(f"lengths have shape {tuple(lengths.shape)}; expected ({x.shape[0]},), one for each row of x.")
    lengths = lengths.long()  # first: torch compares no uint16 or uint64
    wrong = (lengths < 1) | (lengths > x.shape[1])
    if wrong.any():
        row = int(wrong.nonzero()[0])
        raise ValueError(f"lengths must lie in 1..{x.shape[1]} (the time axis of x); got {int(lengths[row])} in row {row}.")
    return lengths


def check_state(state: State, expected: dict[str, tuple[int, ...]], batch_size: int, subject: str) -> None:
    """Raise ValueError unless the state has exactly the expected leaves {name: shape without batch}, TypeError unless they are tensors."""
    _check_is_state(state, f"with the leaves {sorted(expected)}", subject)
    if set(state) != set(expected):
        raise ValueError(f"state has the leaves {sorted(state)} but {subject} has {sorted(expected)}. Pass the state that it returned, or none.")
    for name, shape in expected.items():
        if tuple(state[name].shape) != (batch_size, *shape):
            raise ValueError(f"state {name!r} has shape {tuple(state[name].shape)}; expected {(batch_size, *shape)}, batch first.")


def check_like(tensors: dict[str, Tensor], parameters: Iterable[Tensor], subject: str) -> None:
    """Raise TypeError unless the tensors have the dtype of the parameters (under autocast, any), ValueError unless they are on their device."""
    like = next((parameter for parameter in parameters if parameter.is_floating_point()), None)
    if like is None:
        return
    for name, tensor in tensors.items():
        if tensor.device != like.device:
            raise ValueError(f"{name} is on {tensor.device} but {subject} has its parameters on {like.device}. Move one of them with .to(…).")
        if tensor.is_floating_point() and tensor.dtype != like.dtype and not torch.is_autocast_enabled(like.device.type):
            raise TypeError(f"{name} has dtype {tensor.dtype} but {subject} has parameters of {like.dtype}. Turn one of them into the other with .to(…).")


def _check_is_state(state: object, leaves: str, subject: str) -> None:
    if not isinstance(state, dict):
        raise TypeError(f"state is a {type(state).__name__}; expected a dict of tensors {leaves}, as {subject} returns it.")
    for name, leaf in state.items():
        if not isinstance(leaf, Tensor):
            raise TypeError(f"state {name!r} is a {type(leaf).__name__}; expected a tensor, batch first.")


def add_prefix(prefix: str, state: State) -> State:
    """State of a part -> state of the whole: h becomes 0.h, as state_dict does."""
    return {f"{prefix}.{name}": leaf for name, leaf in state.items()}


def take_prefix(prefix: str, state: State | None) -> State | None:
    """State of the whole -> state of the part named `prefix`; None stays None."""
    if state is None:
        return None
    return {name.removeprefix(f"{prefix}."): leaf for name, leaf in state.items() if name.startswith(f"{prefix}.")}


def check_parts(state: State | None, parts: dict[str, SequenceModule], subject: str) -> None:
    """Raise ValueError when a state holds leaves that belong to none of the parts, TypeError when it is no dict of tensors."""
    if state is None:
        return
    known = tuple(f"{prefix}." for prefix in parts)
    _check_is_state(state, f"whose names begin with {', '.join(known)}", subject)
    stray = [name for name in state if not name.startswith(known)]
    if stray or not state:
        raise ValueError(
            f"state has the leaves {sorted(state)}; {subject} expects names that begin with {', '.join(known)}. Pass the state that it returned, or none."
        )


def parts_of(parts: nn.ModuleList) -> dict[str, SequenceModule]:
    """The parts by their place, typed. One part may stand in two places, which named_children would hide."""
    return {str(place): cast(SequenceModule, part) for place, part in enumerate(parts)}


def check_is_part(part: object, subject: str) -> None:
    """Raise TypeError unless the part has the contract of a SequenceModule."""
    if not isinstance(part, SequenceModule):
        advice = "Put a cell into a Layer." if isinstance(part, Cell) else "Use Layer, Bidirectional or Stack, or derive it from seqlab.layers.SequenceModule."
        raise TypeError(f"{subject} is a {type(part).__name__}; expected a part with the contract of a Layer. {advice}")
