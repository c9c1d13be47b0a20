"""What one call asks of the engine, flattened; and the key that says when two calls can share compiled code.

Dimension key: T time, B batch.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field, is_dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from seqlab.cells.base import Cell, State


@dataclass(frozen=True)
class Request:
    """One call: p parts (T, B, …), the weights that `step` may read, state leaves and drawn masks (B, …), mask (T, B)."""

    cell: Cell
    p: tuple[Tensor, ...]
    tuple_p: bool  # whether `step` receives a tuple
    weights: dict[str, Tensor]
    state: State
    drawn: State
    mask: Tensor | None
    leaves: State = field(init=False)
    wants_gradient: bool = field(init=False)  # as of the call: compiling switches gradient modes

    def __post_init__(self) -> None:
        leaves = {**self.state, **self.drawn}
        every = (*self.p, *self.weights.values(), *leaves.values())
        object.__setattr__(self, "leaves", leaves)
        object.__setattr__(self, "wants_gradient", torch.is_grad_enabled() and any(t.requires_grad for t in every))

    def key(self) -> Hashable:
        """Equal for two calls that one plan can serve. Neither T nor B is in it.

        A trace turns every Python value that `step` reads into a constant, so all plain attributes of the cell and of
        what it holds are part of the key, beside dtypes, shapes, training flags, autocast and who requires a gradient.
        """
        grad = self.wants_gradient
        device = self.p[0].device.type
        return (
            tuple((name, _module_key(module)) for name, module in self.cell.named_modules()),
            self.tuple_p,
            tuple(_tensor_key(part, 2, grad) for part in self.p),
            tuple((name, weight.stride(), _tensor_key(weight, 0, grad)) for name, weight in self.weights.items()),
            tuple((name, _tensor_key(leaf, 1, grad)) for name, leaf in self.leaves.items()),
            len(self.drawn),
            self.mask is not None,
            torch.is_autocast_enabled(device) and torch.get_autocast_dtype(device),
        )


def _tensor_key(tensor: Tensor, batch_axes: int, grad: bool) -> Hashable:
    return tuple(tensor.shape[batch_axes:]), tensor.dtype, tensor.device, grad and tensor.requires_grad


_OF_TORCH = frozenset(vars(nn.Module())) - {"training"}  # hooks, parameters and children: not what a step reads as a value


def _module_key(module: nn.Module) -> Hashable:
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    # each hook by itself: a dict of hooks stays the same one when another is registered or one is removed
    return type(module), attributes_key(module), tuple(tuple(_Identity(hook) for hook in kind.values()) for kind in hooks) if any(hooks) else None


def attributes_key(module: nn.Module) -> Hashable:
    """Equal while no attribute of the module's own is changed: tensors by identity and version, other objects by identity."""
    return tuple((name, _value_key(value)) for name, value in vars(module).items() if name not in _OF_TORCH)


def _value_key(value: Any) -> Hashable:
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes, torch.dtype, torch.device, type)):
        return type(value), value
    if isinstance(value, (tuple, list)):
        return type(value), tuple(_value_key(item) for item in value)
    if isinstance(value, dict):
        return type(value), tuple((_value_key(k), _value_key(v)) for k, v in value.items())
    if isinstance(value, Tensor):
        return _Identity(value), value._version if not value.is_inference() else 0
    if isinstance(value, SimpleNamespace) or (is_dataclass(value) and not isinstance(value, type)):  # records of options
        return _Identity(value), _value_key(vars(value)) if hasattr(value, "__dict__") else None
    return _Identity(value)


class _Identity:
    """Equal only to itself around the same object, which it keeps alive so that its address is not given away."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and other.value is self.value
