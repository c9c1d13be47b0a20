"""Cells that are linear in their state, h_t = a_t · h_{t−1} + b_t, with many steps computed at once.

Time is cut into about √T chunks of about √T steps. First all chunks run side by side from a state of zero, and multiply up
their decays; then the state is carried from chunk to chunk; then each step adds what was carried into its chunk. That is
2√T steps in a row and three times the arithmetic. All of it is sums and products of real numbers, so it is right for any
h_0 and for decays of 0 and 1, where forms that take logarithms break down.

Source: G. Blelloch, 1990, "Prefix sums and their applications", section 1.4 (first-order recurrences).
Dimension key: T time, B batch, O output_size.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from seqlab.cells.base import Cell, ScanCell, State
from seqlab.executors.sequence import Sequence, expand_mask


def why_not_scan(cell: Cell) -> str:
    """What in the cell prevents the scan, or an empty string."""
    return "" if isinstance(cell, ScanCell) else f"{type(cell).__name__} is not known to be linear in its state"


def scan(cell: Cell, inputs: Sequence) -> tuple[Tensor, State]:
    """y (T, B, O) and the final state. A padded step holds the state and gives a zero output."""
    assert isinstance(cell, ScanCell)
    ((name, first),) = inputs.state.items()
    p = cell.project(inputs.x)
    a, b = (term.to(first.dtype) for term in cell.scan_terms(p))
    a = a.expand_as(b)
    if inputs.mask is not None:
        valid = expand_mask(inputs.mask, b)
        a, b = torch.where(valid, a, _one(b, cell.complex_state)), torch.where(valid, b, 0.0)
    h = linear_recurrence(a, b, first, cell.complex_state)
    y = cell.scan_output(p, h)
    if inputs.mask is not None:
        y = torch.where(expand_mask(inputs.mask, y), y, 0.0)
    return y, {name: h[-1]}


def linear_recurrence(a: Tensor, b: Tensor, first: Tensor, complex_numbers: bool = False) -> Tensor:
    """h (T, B, …) of h_t = a_t · h_{t−1} + b_t for a and b (T, B, …) and h_0 = first (B, …).

    complex_numbers: the last axis holds the real parts, then the imaginary parts, and · is the complex product.
    """
    steps = b.shape[0]
    size = math.isqrt(steps - 1) + 1
    chunks = -(-steps // size)
    missing = chunks * size - steps
    if missing:  # steps that hold the state
        one = _one(b, complex_numbers).expand_as(b[:1])
        a = torch.cat([a, one.expand(missing, *b.shape[1:])])
        b = torch.cat([b, b.new_zeros(missing, *b.shape[1:])])
    decays, inputs = (term.unflatten(0, (chunks, size)).unbind(1) for term in (a, b))
    decay, reached = [decays[0]], [inputs[0]]
    for a_t, b_t in zip(decays[1:], inputs[1:], strict=True):
        decay.append(_times(a_t, decay[-1], complex_numbers))
        reached.append(_times(a_t, reached[-1], complex_numbers) + b_t)
    carried = [first]
    for a_end, h_end in zip(decay[-1].unbind(0)[:-1], reached[-1].unbind(0)[:-1], strict=True):
        carried.append(_times(a_end, carried[-1], complex_numbers) + h_end)
    h = torch.stack(reached, 1) + _times(torch.stack(decay, 1), torch.stack(carried)[:, None], complex_numbers)
    return h.flatten(0, 1)[:steps]


def _times(a: Tensor, b: Tensor, complex_numbers: bool) -> Tensor:
    if not complex_numbers:
        return a * b
    a_re, a_im = a.chunk(2, -1)
    b_re, b_im = b.chunk(2, -1)
    return torch.cat([a_re * b_re - a_im * b_im, a_re * b_im + a_im * b_re], -1)


def _one(like: Tensor, complex_numbers: bool) -> Tensor:
    """The number one, in the last axis of `like`."""
    one = like.new_ones(like.shape[-1])
    if complex_numbers:
        one[like.shape[-1] // 2 :] = 0
    return one
