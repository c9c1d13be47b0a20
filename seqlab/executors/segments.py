"""Trade time for memory: run a sequence in segments of time, and run each again when its gradient is due.

Only the state between segments is kept, so memory grows with √T instead of T. The result is the same to the last bit that
the executor promises: random numbers of `project` are drawn again from the same generator state, masks and weights of the
call are drawn once and shared by all segments.

Source: T. Chen et al., 2016, "Training deep nets with sublinear memory cost".
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from seqlab.cells.base import State
from seqlab.executors.sequence import Sequence

Runner = Callable[[Sequence], tuple[Tensor, State]]


def in_segments(run: Runner, inputs: Sequence) -> tuple[Tensor, State]:
    """y (T, B, O) and the final state from `run` over about √T segments; without gradients, from `run` itself."""
    steps = inputs.x.shape[0]
    if not torch.is_grad_enabled() or steps == 1:
        return run(inputs)
    size = math.isqrt(steps - 1) + 1
    state, outputs = inputs.state, []
    for first in range(0, steps, size):
        part = slice(first, first + size)
        mask = None if inputs.mask is None else inputs.mask[part]

        def segment(x: Tensor, state: State, mask: Tensor | None = mask) -> tuple[Tensor, State]:
            return run(inputs._replace(x=x, lengths=None, mask=mask, state=state))

        y, state = checkpoint(segment, inputs.x[part], state, use_reentrant=False)  # type: ignore[misc]
        outputs.append(y)
    return torch.cat(outputs), state
