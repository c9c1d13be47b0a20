"""Checks that a cell can be saved, loaded and copied, and that two of a kind have nothing in common."""

from __future__ import annotations

import copy
import io
from typing import Any

import torch
from torch import Tensor, nn

from seqlab.cells.base import Cell
from seqlab.testing.observe import CellFactory, build, example, isolated, layer_of, observe, over, reached_state
from seqlab.testing.verdict import Nonconforming, expect_same
from seqlab.testing.watched import watched_class_attributes


@isolated
def check_round_trip(factory: CellFactory) -> str:
    """state_dict saved, loaded weights-only into another instance == the cell; so is its deep copy, which is separate."""
    for training in (False, True):
        cell = build(factory, training)
        before = _look(cell)
        file = io.BytesIO()
        torch.save(cell.state_dict(), file)
        file.seek(0)
        other = build(factory, training, seed=11)
        other.load_state_dict(torch.load(file, weights_only=True))
        advice = "Register every tensor that was drawn or learned as a parameter or a persistent buffer."
        expect_same(_look(other, cell), before, "of another instance with the state_dict loaded", "as of the cell it was saved from", advice)
        try:
            twin = copy.deepcopy(cell)
        except (RuntimeError, TypeError) as error:
            raise Nonconforming(f"the cell cannot be copied: {error}; expected deepcopy to work. Keep no tensor of a graph and no handle.") from error
        expect_same(_look(twin, cell), before, "of a deep copy", "as of the cell", advice)
        _disturb(twin)
        expect_same(_look(cell), before, "after the deep copy was altered", "as before", "Let the copy own its tensors.")
    return ""


@isolated
def check_instances_are_separate(factory: CellFactory) -> str:
    """Two cells of one factory share no tensor and no container; building and running one never changes the other."""
    first, second = build(factory), build(factory, seed=12)
    if first is second:
        raise Nonconforming("the factory returned the same cell twice; expected a new one for each call. Build the cell inside the factory.")
    mine = {id(value): name for name, value in _owned(first).items()}
    for name, value in _owned(second).items():
        if id(value) in mine:
            raise Nonconforming(f"attribute {name!r} of two cells is the same {type(value).__name__}; expected one for each. Make it in __init__.")
    before = _look(second)
    with watched_class_attributes(type(first)) as written:
        third = build(factory, seed=13)
        _look(third)
    if written:
        raise Nonconforming(
            f"building or running a cell wrote to the class attribute {written[0]!r}; expected no write. Copy it in __init__ before altering it."
        )
    with torch.no_grad():
        for leaf in (*first.initial_state(2).values(), *first.draw_masks(2).values()):
            leaf.fill_(1 if leaf.dtype == torch.bool else 7)
    _disturb(first)
    _look(first)
    expect_same(_look(second), before, "after another instance was altered and run", "as before", "Keep no tensor on the class or in the module.")
    return ""


def _look(cell: Cell, state_of: Cell | None = None) -> dict[str, Tensor]:
    """All that can be compared of a run from a state (of `state_of`, when given) and of one from the initial state."""
    layer = layer_of(cell)
    x, state = example(cell, 2, 3), reached_state(state_of or cell, 2)
    given = observe(over(layer), cell, x, state)
    fresh = observe(over(layer), cell, x)
    return {**given, **{f"{name} from the initial state": value for name, value in fresh.items()}}


def _disturb(cell: Cell) -> None:
    """Add something to every parameter and floating buffer, in place."""
    with torch.no_grad():
        for tensor in (*cell.parameters(), *cell.buffers()):
            if tensor.is_floating_point():
                tensor.add_(0.5)


def _owned(cell: Cell) -> dict[str, Any]:
    """Tensors, modules and mutable containers that the cell holds, by name, those inside containers too."""
    found: dict[str, Any] = {}

    def collect(name: str, value: Any) -> None:
        if isinstance(value, (Tensor, nn.Module, dict, list, set)):
            found[name] = value
        if isinstance(value, (dict, list, tuple)) and name.count("[") < 4:
            for key, item in value.items() if isinstance(value, dict) else enumerate(value):
                collect(f"{name}[{key!r}]", item)

    for path, part in cell.named_modules():
        for name, value in vars(part).items():
            collect(f"{path}.{name}".lstrip("."), value)
    return found
