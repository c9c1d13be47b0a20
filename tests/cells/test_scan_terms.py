"""h_t = a_t · h_{t−1} + b_t: what the scan cells say of themselves, against their own step."""

import pytest
import torch

from seqlab import Layer, make_cell
from seqlab.cells.base import ScanCell
from seqlab.executors.loop import steps
from seqlab.registry import list_cells, resolve_cell
from tests.cells.instances import random_cell, random_state, weights_of
from tests.oracles import ORACLES

SCAN_CELLS = [info.name for info in list_cells() if info.origin == "seqlab" and issubclass(resolve_cell(info.name), ScanCell)]


def test_the_cells_that_are_linear_in_their_state():
    assert SCAN_CELLS == ["lru", "min_gru", "min_lstm"]


def times(cell, a, h):
    if not cell.complex_state:
        return a * h
    (a_re, a_im), (h_re, h_im) = a.chunk(2, -1), h.chunk(2, -1)
    product = torch.complex(a_re, a_im) * torch.complex(h_re, h_im)
    return torch.cat([product.real, product.imag], -1)


@pytest.mark.parametrize("name", SCAN_CELLS)
def test_terms_and_output_are_the_step(name):
    cell = random_cell(name, 3, 5)
    x = torch.randn(7, 2, 3, dtype=torch.float64)
    p = cell.project(x)
    a, b = cell.scan_terms(p)
    ((leaf, start),) = random_state(cell, 2).items()
    assert b.shape == (7, 2, *cell.state_shapes[leaf])
    a = a.expand_as(b)
    h, states, expected = start, [], []
    state = {leaf: start}
    for t, p_t in enumerate(steps(p)):
        y, state = cell.step(p_t, state)
        expected.append((y, state[leaf]))
        h = times(cell, a[t], h) + b[t]
        states.append(h)
    y = cell.scan_output(p, torch.stack(states))
    # the same float64 operations but for one matrix product of all steps at once
    torch.testing.assert_close(y, torch.stack([y for y, _ in expected]), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(torch.stack(states), torch.stack([h for _, h in expected]), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["min_gru", "min_lstm"])
@pytest.mark.parametrize("size", [0.0, -3.0, 1e4])
def test_any_initial_state_is_right(name, size):
    """The logarithmic parallel form needs h_0 > 0; the step does not."""
    cell = random_cell(name, 3, 5)
    x, h = torch.randn(7, 3, dtype=torch.float64), torch.full((5,), size, dtype=torch.float64)
    y, _ = Layer(cell, executor="loop")(x[None], state={"h": h[None]})
    expected, _ = ORACLES[name](weights_of(cell), x.numpy(), {"h": h.numpy()})
    torch.testing.assert_close(y[0], torch.from_numpy(expected), rtol=1e-12, atol=1e-12)  # float64 rounding over 7 steps


@pytest.mark.parametrize("name", ["min_gru", "min_lstm"])
@pytest.mark.parametrize("scale", [1e2, 1e4])
def test_gates_at_their_ends_stay_finite(name, scale):
    """In float32 σ(−200) is 0: f / (f + i) as written would be 0 / 0."""
    cell = make_cell(name, 1, 4)
    with torch.no_grad():
        cell.input_weight.fill_(1.0)
    x = torch.tensor([[-scale], [scale]], requires_grad=True)
    y, _ = cell.step(cell.project(x), {"h": torch.ones(2, 4)})
    y.sum().backward()
    assert torch.isfinite(y).all()
    assert torch.isfinite(x.grad).all()
    assert torch.isfinite(cell.input_weight.grad).all()


def test_min_lstm_weighs_by_the_ratio_when_both_gates_underflow():
    """f = σ(−200), i = σ(−201): f' = 1 / (1 + e^−1), whatever their size."""
    cell = make_cell("min_lstm", 1, 1)
    with torch.no_grad():
        cell.input_weight.zero_()
        cell.bias.copy_(torch.tensor([-200.0, -201.0, 0.0]))
    keep, new = cell.scan_terms(cell.project(torch.zeros(1, 1)))
    torch.testing.assert_close(keep, torch.full((1, 1), 0.731059))
    torch.testing.assert_close(new, torch.full((1, 1), 0.5 * 0.268941))
