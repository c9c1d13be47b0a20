"""bf16 autocast: every executor multiplies in bfloat16 and carries the state in its own dtype, forward and backward."""

import pytest
import torch

from seqlab import Layer, make_cell
from seqlab.executors import EXECUTORS


@pytest.mark.parametrize("executor", ["native", "compiled"])
def test_executors_agree_with_the_loop_under_autocast(executor):
    if executor not in EXECUTORS:
        pytest.skip(f"no executor {executor}")
    torch.manual_seed(0)
    cell = make_cell("lstm", 3, 4)
    x = torch.randn(2, 7, 3)
    gradient = torch.randn(2, 7, 4)
    found = {}
    for name in ("loop", executor):
        cell.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            y, state = Layer(cell, name)(x, lengths=[7, 4])
        y.float().backward(gradient)
        assert {leaf.dtype for leaf in state.values()} == {torch.float32}
        found[name] = [y.detach().float(), *(p.grad.clone() for p in cell.parameters())]
    for reference, value in zip(found["loop"], found[executor], strict=True):
        # bfloat16 keeps 8 bits, a relative 2⁻⁸ = 0.004 for each product; seven steps of them compound
        assert (value - reference).abs().max() <= 0.03 * reference.abs().max()


def test_the_compiled_step_multiplies_in_the_dtype_of_autocast():
    """A trace that lost autocast would give float32 products, which are closer to the full-precision result than bfloat16 can be."""
    torch.manual_seed(0)
    layer = Layer(make_cell("lstm", 16, 32), "compiled")
    x = torch.randn(4, 20, 16)
    with torch.no_grad():
        full, _ = layer(x)
        with torch.autocast("cpu", torch.bfloat16):
            half, _ = layer(x)
            loop, _ = Layer(layer.cell, "loop")(x)
    error = (half.float() - full).abs().max()
    assert error > 0.2 * (loop.float() - full).abs().max()
    assert error > 1e-4  # float32 would be within about 1e-6
