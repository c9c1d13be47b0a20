"""Truncated back-propagation through time, in both of its meanings, for any part that reads forward in time.

Dimension key: B batch, T time, I input_size, O output_size, k num_steps.
Source: R. Williams and J. Peng, 1990, "An efficient gradient-based algorithm for on-line training of recurrent network
trajectories". Their BPTT(h; h') looks back h = k2 steps once in every h' = k1 steps.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from seqlab.cells.base import State
from seqlab.executors import lengths_to_mask
from seqlab.executors.sequence import expand_mask
from seqlab.layers.bidirectional import Bidirectional
from seqlab.layers.contract import Lengths, SequenceModule, check_input


def chunked(module: SequenceModule, x: Tensor, num_steps: int, lengths: Lengths = None, state: State | None = None) -> Iterator[tuple[Tensor, State]]:
    """Runs x (B, T, I) in chunks of k steps (k1 = k2 = k); yields y (B, ≤ k, O) and the state after each chunk.

    The values are those of one run over x. The gradient of a chunk's y stops at the chunk's start: the yielded state is
    detached, and the next chunk starts from it. `state`, or the initial state, is left attached, so the first chunk's
    gradient reaches it. A chunk is run when it is asked for: call backward, and step the optimizer, between two of them.
    A row that has ended gives zeros and holds its state. Per-call masks are drawn anew for each chunk.
    """
    checked = _check(module, x, num_steps, lengths)
    one, ten = module.output_lengths(torch.tensor([num_steps, 10 * num_steps])).tolist()
    if ten != 10 * one:
        raise ValueError(
            f"num_steps is {num_steps} but {type(module).__name__} makes one step of several, and would pair others; expected a multiple of those."
        )
    if checked is not None:
        x = _without_padding(x, checked)  # an ended row still runs for one step, which must not be a NaN
    return _chunks(module, x, num_steps, checked, module.initial_state(x.shape[0]) if state is None else state)


def _chunks(module: SequenceModule, x: Tensor, num_steps: int, lengths: Tensor | None, state: State) -> Iterator[tuple[Tensor, State]]:
    for start in range(0, x.shape[1], num_steps):
        part = x[:, start : start + num_steps]
        if lengths is None:
            y, new = module(part, None, state)
        else:
            left = lengths - start
            y, new = module(part, left.clamp(1, part.shape[1]), state)
            y = torch.where(expand_mask(left > 0, y), y, 0.0)
            new = {name: torch.where(expand_mask(left > 0, leaf), leaf, state[name]) for name, leaf in new.items()}
        state = {name: leaf.detach() for name, leaf in new.items()}
        yield y, state


def sliding(module: SequenceModule, x: Tensor, num_steps: int, lengths: Lengths = None, state: State | None = None) -> tuple[Tensor, State]:
    """y (B, T, O) and the final state of x (B, T, I), where the gradient of each step reaches back over its own last k steps.

    k1 = 1, k2 = k: y_t is differentiated through the steps max(t − k + 1, 0)..t of every layer, as in the loop over each t
    with j from t down to max(t − k + 1, 0). The state before the first of them is a constant, unless it is the state that x
    starts from: k ≥ T is the full gradient. The final state's gradient is truncated like the last y's.

    Every step is the last one of a window of k steps, which starts from the detached state of a first run without gradient;
    all windows are one batch of T·B rows. It costs k times the work of one run. Noise (dropout, zoneout) is drawn for each
    window by itself.
    """
    checked = _check(module, x, num_steps, lengths)
    if not module.keeps_steps:
        raise ValueError(f"{type(module).__name__} makes one step of several; expected a y for each step of x, whose gradient is cut. Use chunked.")
    if checked is not None:
        x = _without_padding(x, checked)
    (batch, steps, _), k = x.shape, min(num_steps, x.shape[1])
    starts = [module.initial_state(batch) if state is None else state]
    with torch.no_grad():
        for t in range(steps - k):
            starts.append(module(x[:, t : t + 1], None, starts[-1])[1])
    time = torch.arange(steps, device=x.device)
    first = (time - k + 1).clamp(min=0)  # (T,), where the window of each step begins
    windows = x[:, first[:, None] + time[:k]].flatten(0, 1)  # (B·T, k, I)
    valid = (time - first + 1).repeat(batch)  # the windows of the first steps are shorter
    begin = {name: torch.stack([starts[j][name] for j in first.tolist()], 1).flatten(0, 1) for name in starts[0]}
    y, last = module(windows, valid, begin)
    y = y[torch.arange(batch * steps, device=x.device), valid - 1].unflatten(0, (batch, steps))
    ends = torch.full((batch,), steps, device=x.device) if checked is None else checked
    rows = torch.arange(batch, device=x.device)
    final = {name: leaf.unflatten(0, (batch, steps))[rows, ends - 1] for name, leaf in last.items()}
    return (y if checked is None else _without_padding(y, checked)), final


def _check(module: SequenceModule, x: Tensor, num_steps: int, lengths: Lengths) -> Tensor | None:
    if num_steps < 1:
        raise ValueError(f"num_steps is {num_steps}; expected at least 1 step between two cuts of the gradient.")
    if any(isinstance(part, Bidirectional) for part in module.modules()):
        raise ValueError(f"{type(module).__name__} reads backward in time too; expected parts that read forward only, since a later chunk is not known yet.")
    return check_input(x, lengths, module.input_size, type(module).__name__)


def _without_padding(x: Tensor, lengths: Tensor) -> Tensor:
    """x (B, T, ·) with zeros past each row's length."""
    return torch.where(lengths_to_mask(lengths, x.shape[1])[..., None], x, 0.0)
