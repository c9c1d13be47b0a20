"""Ways to run a cell over time, all proved equal to `loop`, and the one place that chooses between them.

Every executor is a function (cell, inputs: Sequence) -> (y (T, B, O), final state). Storage is time-major here and only
here. Dimension key: T time, B batch, I input_size, O output_size.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from seqlab.cells.base import Cell, State
from seqlab.executors.loop import loop
from seqlab.executors.native import native, why_not_native
from seqlab.executors.sequence import Sequence, lengths_to_mask, with_weights
from seqlab.registry import unknown

__all__ = ["EXECUTORS", "Choice", "Sequence", "choose", "lengths_to_mask", "run"]


def _compiled(cell: Cell, inputs: Sequence) -> tuple[Tensor, State]:
    from seqlab.executors.compiled import compiled  # Inductor takes two seconds to import: only who runs it pays

    return compiled(cell, inputs)


EXECUTORS: dict[str, Callable[[Cell, Sequence], tuple[Tensor, State]]] = {"loop": loop, "native": native, "compiled": _compiled}
_log = logging.getLogger("seqlab")
_said: set[str] = set()


@dataclass(frozen=True)
class Choice:
    """Which executor runs a cell, and why. The reason is a sentence for the log and for summary.json."""

    executor: str
    reason: str


def choose(cell: Cell, requested: str = "auto") -> Choice:
    """The executor for a cell. `requested` is "auto" or the name of one.

    Raises ValueError for an unknown name, and for an executor that this cell cannot run on, with what prevents it.
    """
    if requested not in ("auto", *EXECUTORS):
        raise ValueError(unknown("executor", requested, ["auto", *EXECUTORS]))
    obstacle = why_not_native(cell)
    if requested == "native" and obstacle:
        raise ValueError(f"executor='native' cannot run {describe(cell)}: {obstacle}. Use executor='auto' or 'loop'.")
    if requested != "auto":
        return Choice(requested, f"executor={requested!r} was asked for")
    if obstacle:
        return Choice("loop", f"no kernel of torch.nn fits: {obstacle}")
    return Choice("native", "a kernel of torch.nn has exactly this cell's equations")


def run(cell: Cell, inputs: Sequence, requested: str = "auto") -> tuple[Tensor, State]:
    """Run the cell over time on the executor that `choose` names, with the cell's `weights()` in place."""
    choice = choose(cell, requested)
    line = f"{describe(cell)} runs on executor {choice.executor!r}: {choice.reason}"
    if line not in _said:
        _said.add(line)
        _log.info(line)
    return with_weights(cell, EXECUTORS[choice.executor], inputs)


def describe(cell: Cell) -> str:
    """The cell's class, with the cells it holds: Zoneout(LSTM)."""
    inner = getattr(cell, "cell", None)
    return f"{type(cell).__name__}({describe(inner)})" if isinstance(inner, Cell) else type(cell).__name__
