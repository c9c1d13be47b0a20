"""Check that every way to run a cell over time gives what the reference gives.

Dimension key: B batch, T time.
"""

from __future__ import annotations

import torch

from seqlab.cells.base import Cell
from seqlab.executors import EXECUTORS, choose
from seqlab.layers import Layer
from seqlab.testing.observe import CellFactory, build, example, isolated, observe, over, reached_state
from seqlab.testing.verdict import expect_same

CASES = [(3, 4, None), (3, 5, torch.tensor([5, 1, 3])), (1, 1, None)]  # B, T, lengths


@isolated
def check_executors_agree(factory: CellFactory) -> str:
    """Every executor that runs this cell == `loop`: outputs, final state, all gradients, with lengths too.

    Noise comes from the same seed, so an executor draws it in the order of `loop`: weights, draw_masks, project.
    """
    refused: dict[str, str] = {}
    for training in (False, True):
        for dtype in (torch.float32, torch.float64):
            refused = {}
            cell = build(factory, training, dtype)
            for executor in accepted_executors(cell, refused):
                for batch_size, num_steps, lengths in CASES:
                    x, state = example(cell, batch_size, num_steps), reached_state(cell, batch_size)
                    expected = observe(over(Layer(cell, "loop"), lengths), cell, x, state)
                    found = observe(over(Layer(cell, executor), lengths), cell, x, state)
                    mode, rows = "training" if training else "evaluation", "all" if lengths is None else lengths.tolist()
                    how = f"on executor {executor!r} in {dtype}, {mode}, x {tuple(x.shape)}, lengths {rows},"
                    expect_same(found, expected, how, "as on 'loop'", "The step is the definition: repair the executor, or what the cell tells it.")
    return "; ".join(f"not on {name}: {reason}" for name, reason in refused.items())


def accepted_executors(cell: Cell, refused: dict[str, str] | None = None) -> list[str]:
    """The executors that `choose` accepts for the cell, but for the reference; the reasons of the others go into `refused`."""
    accepted = []
    for name in EXECUTORS:
        if name == "loop":
            continue
        try:
            choose(cell, name)
        except ValueError as error:  # the refusal that `choose` promises
            if refused is not None:
                refused[name] = str(error)
        else:
            accepted.append(name)
    return accepted
