"""Checks that a cell keeps nothing, writes to nothing it was given, and draws no random numbers where it may not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from seqlab.cells.base import Cell
from seqlab.testing.observe import CellFactory, build, example, isolated, layer_of, observe, over, random_states, reached_state
from seqlab.testing.verdict import Nonconforming, expect_same


@isolated
def check_is_pure(factory: CellFactory) -> str:
    """step writes to none of its arguments and draws nothing at random; no call changes an attribute or an earlier result."""
    for training in (False, True):
        cell = build(factory, training)
        x, other = example(cell, 2, 3), example(cell, 3, 3, seed=4)
        with torch.no_grad():
            for name, call in _calls(cell).items():
                before = attributes(cell)
                first = call(x)
                kept = {f"{name} result{where}": tensor.clone() for where, tensor in _tensors(first)}
                advice = "Return new tensors and keep none."
                if name == "initial_state":  # a caller may write into the state that it was given
                    _overwrite(cell, first)
                call(other)
                if name != "initial_state":
                    later = {f"{name} result{where}": tensor for where, tensor in _tensors(first)}
                    expect_same(later, kept, "after a later call", "as it was returned", advice)
                if name in ("step", "initial_state"):
                    again = {f"{name} result{where}": tensor for where, tensor in _tensors(call(x))}
                    expect_same(again, kept, "when called again", "as in the first call with the same arguments", advice)
                _unchanged(before, attributes(cell), name)
        before = attributes(cell)
        layer = layer_of(cell)
        observe(over(layer), cell, x, reached_state(cell, 2))
        _unchanged(before, attributes(cell), "a run forward and backward")
    return ""


@isolated
def check_evaluation_is_deterministic(factory: CellFactory) -> str:
    """Evaluation draws no random numbers; training repeats itself under the same seed."""
    for training in (False, True):
        cell = build(factory, training)
        layer = layer_of(cell)
        x, state = example(cell, 2, 4), reached_state(cell, 2)
        first = observe(over(layer), cell, x, state, seed=1)
        before = random_states()
        with torch.no_grad():
            layer(x, None, state)
        if not training and random_states() != before:
            raise Nonconforming("a run in evaluation drew random numbers; expected none. Draw noise only if self.training.")
        again = observe(over(layer), cell, x, state, seed=1 if training else 2)
        how = "in a second run in training with the same seed" if training else "in a second run in evaluation"
        expect_same(again, first, how, "as in the first", "Draw noise from torch's generator, and only if self.training.")
    return ""


def _calls(cell: Cell) -> dict[str, Callable[[Tensor], Any]]:
    """The five methods of the contract as functions of x (B, T, I)."""
    return {
        "initial_state": lambda x: cell.initial_state(x.shape[0]),
        "draw_masks": lambda x: cell.draw_masks(x.shape[0]),
        "weights": lambda x: cell.weights(),
        "project": lambda x: cell.project(x),
        "step": lambda x: _step(cell, x),
    }


def _step(cell: Cell, x: Tensor) -> Any:
    """One step whose arguments are looked at before and after."""
    state = reached_state(cell, x.shape[0])
    torch.manual_seed(0)
    p = cell.project(x[:, 0])
    given = {**state, **cell.draw_masks(x.shape[0])}
    arguments = {**{f"state {name!r}": leaf for name, leaf in given.items()}, **{f"p{where}": part for where, part in _tensors(p)}}
    copies = {name: tensor.clone() for name, tensor in arguments.items()}
    versions = {name: tensor._version for name, tensor in arguments.items()}
    randomness, names = random_states(), set(given)
    result = cell.step(p, given)
    if random_states() != randomness:
        raise Nonconforming("step drew random numbers; expected none. Draw a mask for each step in project, a mask for each call in draw_masks.")
    if set(given) != names:
        raise Nonconforming(f"step changed the leaves of the state it was given to {sorted(given)}; expected {sorted(names)}. Build a new dict.")
    advice = "Write `a = a + b`, not `a += b` or `a.add_(b)`, and return a new dict."
    for name, tensor in arguments.items():
        if name.startswith("state") and given[name[7:-1]] is not tensor:
            raise Nonconforming(f"step put another tensor in the place of {name} in the dict it was given; expected the dict as it came. {advice}")
        expect_same({name: tensor}, {name: copies[name]}, "after a step", "as it was given", advice)
        if tensor._version != versions[name]:
            raise Nonconforming(f"{name} was written to by step in place; expected no write to an argument. {advice}")
    return result


def attributes(cell: Cell) -> dict[str, Any]:
    """A comparable image of every attribute of the cell and the modules in it, tensors by identity and content."""
    return {f"{path}.{name}".lstrip("."): _image(value) for path, part in cell.named_modules() for name, value in vars(part).items()}


def _image(value: Any, depth: int = 0) -> Any:
    if isinstance(value, Tensor):
        return "tensor", id(value), value._version, value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes()
    if isinstance(value, dict):
        return [(key, _image(item, depth + 1)) for key, item in value.items()]
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_image(item, depth + 1) for item in value]
    if isinstance(value, (bool, int, float, str, bytes, type(None))):
        return repr(value)
    if isinstance(value, (nn.Module, type)) or callable(value) or depth > 3 or not hasattr(value, "__dict__"):
        return id(value)
    return _image(vars(value), depth + 1)


def _unchanged(before: dict[str, Any], after: dict[str, Any], call: str) -> None:
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            what = "was added" if name not in before else "was removed" if name not in after else "has changed"
            raise Nonconforming(f"attribute {name!r} {what} after {call}; expected the cell as it was. Return it as a state leaf, or compute it in project.")


def _tensors(value: Any, where: str = "") -> list[tuple[str, Tensor]]:
    """Every tensor in nested tuples and dicts, with the way to it."""
    if isinstance(value, Tensor):
        return [(where, value)]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, tuple) else ()
    return [found for key, item in items for found in _tensors(item, f"{where}[{key!r}]")]


def _overwrite(cell: Cell, state: dict[str, Tensor]) -> None:
    """Write into the leaves, as a caller may, but for those that are parameters expanded over the rows."""
    learned = {p.untyped_storage().data_ptr() for p in cell.parameters()}
    for leaf in state.values():
        if leaf.untyped_storage().data_ptr() not in learned:
            leaf.fill_(1 if leaf.dtype == torch.bool else 7)
