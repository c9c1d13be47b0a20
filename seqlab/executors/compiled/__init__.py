"""The compiled executor: any cell whose step traces, forward and backward, at the speed of a hand-written kernel.

A cell's `step` is ordinary PyTorch. This package turns it into a loop that runs outside Python, in these stages:

1. trace      the step once, jointly with its gradients, with a symbolic batch size
2. deferral   what depends on weights alone goes before the loop, weight gradients go after it as one product
3. partition  the rest into a forward and a backward step, keeping as little as a minimum cut allows
4. inductor   compiles each to kernels and matrix products
5. tape       records those calls once; `driver.cpp` replays them over time, each thread on rows of its own
6. function   is the autograd node around it

Where a step cannot be recorded (a product of bfloat16 matrices, say), a Python loop calls the compiled step, and the log
says why. A plan holds for every T and B; it is keyed on everything else that a trace turns into a constant (`request`).
"""

from __future__ import annotations

from torch import Tensor

from seqlab.cells.base import Cell, State
from seqlab.executors.compiled.function import call
from seqlab.executors.compiled.plan import plan_for
from seqlab.executors.compiled.products import LinearOnDriver
from seqlab.executors.compiled.request import Request
from seqlab.executors.sequence import CannotCompile, Sequence

__all__ = ["CannotCompile", "compiled"]


def compiled(cell: Cell, inputs: Sequence) -> tuple[Tensor, State]:
    """y (T, B, O) and the final state. Raises CannotCompile with what in the cell prevents it."""
    drawn = inputs.drawn(cell)
    with LinearOnDriver():
        p = cell.project(inputs.x)
    request = Request(
        cell=cell,
        p=p if isinstance(p, tuple) else (p,),
        tuple_p=isinstance(p, tuple),
        weights={**dict(cell.named_parameters()), **dict(cell.named_buffers())},
        state=inputs.state,
        drawn=drawn,
        mask=inputs.mask,
    )
    return call(plan_for(request), request)
