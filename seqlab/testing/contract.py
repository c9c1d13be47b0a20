"""Checks of one step: what it takes and returns, and that neither time nor other rows get into it.

Dimension key: B batch, T time, I input_size, O output_size.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqlab.cells.base import Cell, Projected, State
from seqlab.testing.observe import CellFactory, build, comparable_modes, example, isolated, layer_of, observe, over, reached_state, take_rows
from seqlab.testing.verdict import Nonconforming, expect_same


@isolated
def check_spec(factory: CellFactory) -> str:
    """Sizes, state leaves, masks, weights and one step are as declared, for one row and for three."""
    for training in (False, True):
        cell = build(factory, training)
        _check_weights(cell)
        for batch_size in (1, 3):
            state = cell.initial_state(batch_size)
            _check_state(cell, state, cell.initial_state(batch_size), batch_size)
            masks = cell.draw_masks(batch_size)
            for name, mask in masks.items():
                if name in cell.state_shapes:
                    raise Nonconforming(f"draw_masks gives {name!r}, which is a state leaf; expected a name of its own. Rename the mask.")
                if mask.shape[:1] != (batch_size,):
                    raise Nonconforming(f"mask {name!r} has shape {tuple(mask.shape)}; expected ({batch_size}, …), batch first.")
            y, new = cell.step(cell.project(example(cell, batch_size, 1)[:, 0]), {**state, **masks})
            _check_step(cell, y, new, state, batch_size)
    return ""


def _check_weights(cell: Cell) -> None:
    own = {**dict(cell.named_parameters()), **dict(cell.named_buffers())}
    for name, parameter in own.items():
        if parameter.is_complex():
            raise Nonconforming(f"parameter {name!r} has dtype {parameter.dtype}; expected a real one. Store real and imaginary parts.")
    for name, weight in cell.weights().items():
        if name not in own:
            raise Nonconforming(f"weights() gives {name!r}, which is no parameter or buffer; expected some of {sorted(own)}. Return those names.")
        if weight.shape != own[name].shape:
            raise Nonconforming(f"weights() gives {name!r} of shape {tuple(weight.shape)}; expected {tuple(own[name].shape)}, as the parameter has.")


def _check_state(cell: Cell, state: State, again: State, batch_size: int) -> None:
    if set(state) != set(cell.state_shapes):
        raise Nonconforming(f"initial_state has the leaves {sorted(state)}; expected {sorted(cell.state_shapes)}, as state_shapes declares.")
    for name, shape in cell.state_shapes.items():
        if tuple(state[name].shape) != (batch_size, *shape):
            raise Nonconforming(f"initial state {name!r} has shape {tuple(state[name].shape)}; expected {(batch_size, *shape)}, batch first.")
        if state[name].is_complex():
            raise Nonconforming(f"initial state {name!r} has dtype {state[name].dtype}; expected a real one. Store real and imaginary parts.")
    named = {f"initial state {name!r}": leaf for name, leaf in again.items()}
    expect_same({f"initial state {name!r}": leaf for name, leaf in state.items()}, named, "in a first call", "as in a second", "Draw nothing at random there.")


def _check_step(cell: Cell, y: Tensor, new: State, state: State, batch_size: int) -> None:
    advice = "Write step for any number of rows; squeeze nothing."
    if tuple(y.shape) != (batch_size, cell.output_size):
        raise Nonconforming(f"y of a step has shape {tuple(y.shape)}; expected {(batch_size, cell.output_size)}, (batch, output_size). {advice}")
    if not y.is_floating_point():
        raise Nonconforming(f"y of a step has dtype {y.dtype}; expected floating point.")
    if set(new) != set(state):
        raise Nonconforming(f"step returned the state leaves {sorted(new)}; expected {sorted(state)}. Return every leaf of state_shapes and no other.")
    for name, leaf in state.items():
        if new[name].shape != leaf.shape or new[name].dtype != leaf.dtype:
            found, expected = (tuple(new[name].shape), new[name].dtype), (tuple(leaf.shape), leaf.dtype)
            raise Nonconforming(f"step returned state {name!r} as {found}; expected {expected}, as it came. {advice}")
    if cell.output_key is not None:
        key = cell.output_key
        expect_same({"y": y}, {"y": new[key]}, "of a step", f"the leaf {key!r} that output_key names", "Return that leaf, or set output_key=None.")


@isolated
def check_project_is_per_step(factory: CellFactory) -> str:
    """project treats every step and row alike: all steps at once == each by itself. Noise: same seed, one position altered."""
    compared, note = comparable_modes(factory)
    advice = "project sees neither state nor which axis is time; move what mixes positions into step or into a layer."
    for training in (False, True):
        cell = build(factory, training)
        x = example(cell, 2, 4).transpose(0, 1)  # (T, B, I)
        with torch.no_grad():
            torch.manual_seed(0)
            whole = _parts(cell.project(x), x.shape[:2])
            altered = x.clone()
            altered[1, 1] = -2 * altered[1, 1] + 1
            torch.manual_seed(0)
            other = _parts(cell.project(altered), x.shape[:2])
            kept = [(0, 0), (0, 1), (1, 0), (2, 0), (2, 1), (3, 0), (3, 1)]
            for t, row in kept:
                found = {name: part[t, row] for name, part in other.items()}
                expected = {name: part[t, row] for name, part in whole.items()}
                expect_same(found, expected, f"at step {t}, row {row}, with x altered at step 1, row 1 alone,", "as before", advice)
            if training not in compared:
                continue
            for t in range(4):
                expected = {name: part[t] for name, part in whole.items()}
                expect_same(expected, _parts(cell.project(x[t]), x[t].shape[:1]), f"at step {t} of 4 projected together", "as the step alone gives", advice)
            flat = _parts(cell.project(x.flatten(0, 1)), torch.Size([8]))
            together = {name: part.flatten(0, 1) for name, part in whole.items()}
            expect_same(together, flat, "over (4 steps, 2 rows)", "as over 8 rows", advice)
    return f"shapes compared {note}" if note else ""


def _parts(p: Projected, leading: torch.Size) -> dict[str, Tensor]:
    """Every tensor of p by name, with its leading axes checked."""
    parts = p if isinstance(p, tuple) else (p,)
    for i, part in enumerate(parts):
        if not isinstance(part, Tensor) or part.shape[: len(leading)] != leading:
            found = tuple(part.shape) if isinstance(part, Tensor) else type(part).__name__
            raise Nonconforming(f"part {i} of project(x) is {found}; expected a tensor that begins with {tuple(leading)}, the leading axes of x.")
    return {f"p[{i}]": part for i, part in enumerate(parts)}


@isolated
def check_rows_are_independent(factory: CellFactory) -> str:
    """A row does not see the others: not their values, not their number. Noise: same seed, the others altered."""
    compared, note = comparable_modes(factory)
    advice = "Reduce over features, never over the batch axis."
    for training in (False, True):
        cell = build(factory, training)
        layer = layer_of(cell)
        x, state = example(cell, 3, 4), reached_state(cell, 3)
        together = observe(over(layer), cell, x, state)
        altered, moved = x.clone(), {name: leaf.clone() for name, leaf in state.items()}
        altered[1] = -2 * altered[1] + 1
        for leaf in moved.values():
            leaf[1] = leaf[2]
        other = observe(over(layer), cell, altered, moved)
        expect_same(take_rows(other, [0, 2]), take_rows(together, [0, 2]), "of rows 0 and 2, with row 1 altered,", "as before", advice)
        for row in range(3 if training in compared else 0):
            alone = observe(over(layer), cell, x[row : row + 1], {name: leaf[row : row + 1] for name, leaf in state.items()})
            expect_same(take_rows(together, [row]), take_rows(alone, [0]), f"of row {row} in a batch of 3", "as the row alone gives", advice)
    return f"batch sizes compared {note}" if note else ""
