"""Linear cells in parallel over time, against the loop."""

from __future__ import annotations

import pytest
import torch

from seqlab import Layer, make_cell
from seqlab.executors.scan import linear_recurrence
from tests.executors.agreement import expect_agreement


@pytest.mark.parametrize("name", ["min_gru", "min_lstm", "lru"])
@pytest.mark.parametrize(("num_steps", "batch_size"), [(1, 1), (2, 3), (63, 1), (100, 3)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_scan_is_the_loop(name: str, num_steps: int, batch_size: int, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    cell = make_cell(name, 3, 7).to(dtype)
    for padded in (False, True):
        expect_agreement(cell, "scan", num_steps, batch_size, padded)


@pytest.mark.parametrize("first", [-1e6, -1.0, 0.0, 1e-30, 1e6])
@pytest.mark.parametrize("decay", [0.0, 1e-30, 1 - 1e-7, 1.0])
def test_any_initial_state_and_any_gate(first: float, decay: float) -> None:
    torch.manual_seed(0)
    a, b = torch.full((150, 2, 3), decay), torch.randn(150, 2, 3)
    a.requires_grad_()
    start = torch.full((2, 3), first)
    h, expected = linear_recurrence(a, b, start), start.double()
    rows = []
    for t in range(150):
        expected = a[t].double() * expected + b[t].double()
        rows.append(expected)
    # 150 float32 roundings of numbers as large as the state
    torch.testing.assert_close(h.double(), torch.stack(rows), atol=150 * 6e-8 * max(abs(first), 20.0), rtol=0)
    (gradient,) = torch.autograd.grad(h.sum(), a)
    assert gradient.isfinite().all()


def test_second_derivatives_pass_through_the_scan() -> None:
    torch.manual_seed(0)
    layer = Layer(make_cell("min_gru", 2, 3).double(), "scan")
    x = torch.randn(1, 4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: layer(x)[0], x)
