"""Checks of a cell over time: parts of a sequence, padding, rows of different ages, any length.

Dimension key: B batch, T time, I input_size, O output_size.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqlab.cells.base import State
from seqlab.layers import Bidirectional, SequenceModule
from seqlab.testing.observe import CellFactory, Run, build, comparable_modes, example, isolated, layer_of, observe, over, reached_state, take_rows
from seqlab.testing.verdict import expect_finite, expect_same

LENGTHS = torch.tensor([5, 2, 3])


@isolated
def check_resumes(factory: CellFactory) -> str:
    """Parts of a sequence with the state carried == one run: outputs, final state, all gradients."""
    compared, note = comparable_modes(factory)
    for training in compared:
        cell = build(factory, training)
        layer = layer_of(cell)
        x, state = example(cell, 3, 6), reached_state(cell, 3)
        whole = observe(over(layer), cell, x, state)
        expect_same(
            observe(_in_parts(layer), cell, x, state),
            whole,
            "of 6 steps run as 1 + 3 + 2 with the state carried",
            "as in one run",
            "Return from step all that the next step needs, undetached, and keep nothing elsewhere.",
        )
    return note


def _in_parts(layer: SequenceModule) -> Run:
    def run(x: Tensor, state: State | None) -> tuple[Tensor, State]:
        outputs, carried = [], state
        for part in x.split([1, 3, 2], 1):
            y, carried = layer(part, None, carried)
            outputs.append(y)
        assert carried is not None
        return torch.cat(outputs, 1), carried

    return run


@isolated
def check_unequal_histories(factory: CellFactory) -> str:
    """Rows that come from histories of different lengths go on as each would alone."""
    compared, note = comparable_modes(factory)
    for training in compared:
        cell = build(factory, training)
        layer = layer_of(cell)
        past, future = example(cell, 3, 5), example(cell, 3, 3, seed=4)
        with torch.no_grad():
            _, state = layer(past, LENGTHS)
            y, final = layer(future, None, state)
            for row, length in enumerate(LENGTHS.tolist()):
                y_alone, alone = layer(torch.cat([past[row : row + 1, :length], future[row : row + 1]], 1))
                expect_same(
                    {"output": y[row], **{f"final state {name!r}": leaf[row] for name, leaf in final.items()}},
                    {"output": y_alone[0, length:], **{f"final state {name!r}": leaf[0] for name, leaf in alone.items()}},
                    f"of row {row}, whose neighbours have longer or shorter histories,",
                    f"as the row alone gives after {length} steps",
                    "Let each row's own state decide; one row, a maximum over rows or a counter of the cell may not.",
                )
    return note


@isolated
def check_ignores_padding(factory: CellFactory) -> str:
    """NaN in the padding changes nothing, in both directions of time; a padded row == the row alone, gradients too."""
    compared, note = comparable_modes(factory)
    advice = "Let step and its derivative be finite at x = 0, and mix neither steps nor rows."
    for training in (False, True):
        ahead, back = build(factory, training), build(factory, training, seed=5)
        both = Bidirectional(layer_of(ahead), layer_of(back))
        x, padded = example(ahead, 3, 5), example(ahead, 3, 5)
        for row, length in enumerate(LENGTHS.tolist()):
            x[row, length:], padded[row, length:] = 0.0, torch.nan
        state = {f"{side}.{name}": leaf for side, cell in (("forward", ahead), ("backward", back)) for name, leaf in reached_state(cell, 3).items()}
        for cell, side in ((ahead, "forward"), (back, "backward")):
            clean = observe(over(both, LENGTHS), cell, x, state)
            dirty = observe(over(both, LENGTHS), cell, padded, state)
            expect_finite(dirty, f"with NaN in the padding, {side} in time,", advice)
            expect_same(dirty, clean, f"with NaN in the padding, {side} in time,", "as with zeros there", advice)
            if training not in compared:
                continue
            total: dict[str, Tensor] = {}
            for row, length in enumerate(LENGTHS.tolist()):
                alone = observe(over(both), cell, x[row : row + 1, :length], {name: leaf[row : row + 1] for name, leaf in state.items()})
                found = take_rows(clean, [row])
                for name in ("output", "gradient of x"):
                    expect_finite({name: found[name]}, f"of row {row}", advice)
                    past_end = found[name][:, length:]
                    expect_same({name: past_end}, {name: torch.zeros_like(past_end)}, f"past the end of row {row}", "zero in the padding", advice)
                    found[name] = found[name][:, :length]
                expect_same(found, take_rows(alone, [0]), f"of row {row}, padded from {length} to 5 steps,", "as the row alone gives", advice)
                for name in alone:
                    if "parameter" in name:
                        total[name] = total.get(name, torch.zeros(())) + alone[name]
            expect_same(clean, total, "of three padded rows", "the sum over the rows alone", advice)
    return f"padded against alone {note}" if note else ""


@isolated
def check_any_length(factory: CellFactory) -> str:
    """Sequences of 1, 2 and 1000 steps give finite outputs and states; the short ones finite gradients."""
    for training in (False, True):
        cell = build(factory, training)
        layer = layer_of(cell)
        for num_steps in (1, 2):
            expect_finite(observe(over(layer), cell, example(cell, 2, num_steps)), f"after {num_steps} steps", "Guard the first step.")
    cell = build(factory)
    with torch.no_grad():
        y, final = layer_of(cell)(example(cell, 1, 1000))
    found = {**{f"final state {name!r}": leaf for name, leaf in final.items()}, "output": y}
    expect_finite(found, "after 1000 steps", "Keep the recurrence from growing: its initial weights, or a squashing or a normaliser in step.")
    return ""
