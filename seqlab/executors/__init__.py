"""Ways to run a cell over time, all proved equal to `loop`, and the one place that chooses between them.

Every executor is a function (cell, inputs: Sequence) -> (y (T, B, O), final state). Storage is time-major here and only
here. Dimension key: T time, B batch, I input_size, O output_size.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from seqlab.cells.base import Cell, State
from seqlab.executors.loop import loop
from seqlab.executors.native import native, why_not_native
from seqlab.executors.scan import scan, why_not_scan
from seqlab.executors.segments import in_segments
from seqlab.executors.sequence import Sequence, call_weights, lengths_to_mask, with_weights
from seqlab.registry import unknown

__all__ = ["EXECUTORS", "Call", "Choice", "Sequence", "choose", "lengths_to_mask", "run"]


def _compiled(cell: Cell, inputs: Sequence) -> tuple[Tensor, State]:
    from seqlab.executors.compiled import compiled  # Inductor takes two seconds to import: only who runs it pays

    return compiled(cell, inputs)


EXECUTORS: dict[str, Callable[[Cell, Sequence], tuple[Tensor, State]]] = {"loop": loop, "native": native, "compiled": _compiled, "scan": scan}
LEAST_STEPS = 32  # fewer steps than this do not pay for compiling them
_log = logging.getLogger("seqlab")
_said: set[str] = set()


@dataclass(frozen=True)
class Choice:
    """Which executor runs a cell, and why. The reason is a sentence for the log and for summary.json."""

    executor: str
    reason: str


class Call(NamedTuple):
    """What of a call bears on the choice: how many steps, whether gradients are wanted, where, whether memory is saved."""

    steps: int = 1024
    gradient: bool = True
    device: str = "cpu"
    recompute: bool = False


def choose(cell: Cell, requested: str = "auto", call: Call | None = None) -> Choice:
    """The executor for a cell. `requested` is "auto" or the name of one; without a `call`, for training on long sequences.

    Raises ValueError for an unknown name, and for an executor that this cell cannot run on, with what prevents it.
    """
    if requested not in ("auto", *EXECUTORS):
        raise ValueError(unknown("executor", requested, ["auto", *EXECUTORS]))
    call = call or Call()
    if requested != "auto":
        obstacle = _obstacle(cell, requested, call)
        if obstacle:
            raise ValueError(f"executor={requested!r} cannot run {describe(cell)}: {obstacle}. Use executor='auto' or 'loop'.")
        return Choice(requested, f"executor={requested!r} was asked for")
    return _automatic(cell, call)


def _obstacle(cell: Cell, executor: str, call: Call) -> str:
    if executor == "native":
        return "torch.nn's kernels keep all steps, so recompute=True saves nothing" if call.recompute else why_not_native(cell)
    if executor == "scan":
        return why_not_scan(cell)
    if executor == "compiled":
        return why_not_compiled()
    return ""


def _automatic(cell: Cell, call: Call) -> Choice:
    """By measurement on two CPU cores; see experiments/speed."""
    not_native = _obstacle(cell, "native", call)
    if not not_native:
        return Choice("native", "a kernel of torch.nn has exactly this cell's equations")
    return Choice("loop", f"no kernel of torch.nn fits: {not_native}")


def why_not_compiled() -> str:
    """What on this machine prevents compiling, or an empty string."""
    from torch._inductor import exc
    from torch._inductor.cpp_builder import get_cpp_compiler

    try:
        get_cpp_compiler()
    except exc.InvalidCxxCompiler:
        return "no C++ compiler was found on this machine"
    return ""


def run(cell: Cell, inputs: Sequence, requested: str = "auto", recompute: bool = False) -> tuple[Tensor, State]:
    """Run the cell over time on the executor that `choose` names, with the cell's `weights()` in place.

    recompute: in segments of time that are run again for their gradients, for less memory (see `segments`).
    """
    call = Call(inputs.x.shape[0], torch.is_grad_enabled(), inputs.x.device.type, recompute)
    choice = choose(cell, requested, call)
    say(f"{describe(cell)} runs on executor {choice.executor!r}: {choice.reason}")
    execute = EXECUTORS[choice.executor]
    weights = call_weights(cell)
    if not recompute:
        return with_weights(cell, execute, inputs, weights)
    return in_segments(partial(_substituted, cell, execute, weights), inputs._replace(masks=inputs.drawn(cell)))


def _substituted(cell: Cell, execute: Callable[[Cell, Sequence], tuple[Tensor, State]], weights: State, inputs: Sequence) -> tuple[Tensor, State]:
    return with_weights(cell, execute, inputs, weights)


def say(line: str) -> None:
    """Log a line once in this process."""
    if line not in _said:
        _said.add(line)
        _log.info(line)


def describe(cell: Cell) -> str:
    """The cell's class, with the cells it holds: Zoneout(LSTM)."""
    inner = getattr(cell, "cell", None)
    return f"{type(cell).__name__}({describe(inner)})" if isinstance(inner, Cell) else type(cell).__name__
