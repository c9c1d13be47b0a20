"""Checks that every way to run a cell over time gives what the reference gives.

Dimension key: B batch, T time.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqlab.cells.base import Cell, State
from seqlab.executors import EXECUTORS, choose
from seqlab.layers import Layer
from seqlab.testing.observe import CellFactory, Run, build, example, isolated, observe, over, reached_state
from seqlab.testing.verdict import Nonconforming, expect_finite, expect_same

CASES = [(3, 4, None), (3, 5, torch.tensor([5, 1, 3])), (1, 1, None)]  # B, T, lengths
CIRCUMSTANCES = [(True, torch.float64), (False, torch.float32)]  # training, dtype: each of both once, since each may be a compilation


@isolated
def check_executors_agree(factory: CellFactory) -> str:
    """Every executor that runs this cell, `compiled` apart, == `loop`: outputs, final state, all gradients, lengths too.

    Noise comes from the same seed, so an executor draws it in the order of `loop`: weights, draw_masks, project.
    """
    accepted, refused = split_executors(build(factory))
    for executor in accepted:
        _compare(factory, executor)
    return " ".join(refused)


@isolated
def check_compiled_agrees(factory: CellFactory) -> str:
    """The executor `compiled` == `loop`, under autocast too, or says what in the cell prevents it. Takes seconds, to compile."""
    from seqlab.executors.compiled import CannotCompile  # Inductor takes two seconds to import: only who runs it pays

    try:
        choose(build(factory), "compiled")
        _compare(factory, "compiled")
        expect_carry_kept(factory, "compiled")
    except CannotCompile as error:
        return f"not compared: {error}"
    return ""


def split_executors(cell: Cell) -> tuple[list[str], list[str]]:
    """The executors that `choose` accepts for the cell, and why it refuses the others; `loop` and `compiled` left out."""
    accepted, refused = [], []
    for name in EXECUTORS:
        if name in ("loop", "compiled"):
            continue
        try:
            choose(cell, name)
        except ValueError as error:  # the refusal that `choose` promises
            refused.append(f"not compared: {error}")
        else:
            accepted.append(name)
    return accepted, refused


def _compare(factory: CellFactory, executor: str) -> None:
    for training, dtype in CIRCUMSTANCES:
        cell = build(factory, training, dtype)
        for batch_size, num_steps, lengths in CASES:
            x, state = example(cell, batch_size, num_steps), reached_state(cell, batch_size)
            expected = observe(over(Layer(cell, "loop"), lengths), cell, x, state)
            found = observe(over(Layer(cell, executor), lengths), cell, x, state)
            mode, rows = "training" if training else "evaluation", "all" if lengths is None else lengths.tolist()
            how = f"on executor {executor!r} in {dtype}, {mode}, x {tuple(x.shape)}, lengths {rows},"
            expect_same(found, expected, how, "as on 'loop'", "The step is the definition: repair the executor, or what the cell tells it.")


def expect_carry_kept(factory: CellFactory, executor: str) -> None:
    """Raise Nonconforming unless the state keeps its dtype under autocast, and all values and gradients are finite."""
    cell = build(factory)
    x, state = example(cell, 2, 4), reached_state(cell, 2)
    found = observe(_narrowed(Layer(cell, executor)), cell, x, state)
    how = f"under autocast on executor {executor!r}"
    for name, leaf in state.items():
        dtype = found[f"final state {name!r}"].dtype
        if dtype != leaf.dtype:
            raise Nonconforming(f"final state {name!r} {how} has dtype {dtype}; expected {leaf.dtype}, as it came. Cast the carry back after each step.")
    expect_finite(found, how, "Keep exponents and quotients in range, or leave autocast inside step.")


def _narrowed(layer: Layer) -> Run:
    def run(x: Tensor, state: State | None) -> tuple[Tensor, State]:
        with torch.autocast(x.device.type, dtype=torch.bfloat16):
            return layer(x, None, state)

    return run
