"""The tanh of compiled steps, held against torch's."""

from __future__ import annotations

import torch
from torch import Tensor, fx

from seqlab.executors.compiled.tanh import FLAT, expand_tanh


def written_out(x: Tensor) -> Tensor:
    graph = fx.Graph()
    argument = graph.placeholder("x")
    node = graph.call_function(torch.ops.aten.tanh.default, (argument,))
    node.meta["val"] = torch.empty(0, dtype=x.dtype)
    graph.output(node)
    module = expand_tanh(fx.GraphModule({}, graph))
    assert (x.dtype == torch.float32) == (not module.graph.find_nodes(op="call_function", target=torch.ops.aten.tanh.default))
    return module(x)


def test_is_tanh_to_six_rounding_errors():
    size = torch.logspace(-30, 2, 20_001)
    x = torch.cat([size, -size, torch.linspace(-FLAT, FLAT, 20_001), torch.zeros(1)])
    torch.testing.assert_close(written_out(x), x.double().tanh().float(), rtol=6 * 2**-24, atol=0)


def test_never_leaves_one_and_keeps_what_is_no_number():
    x = torch.cat([torch.linspace(7, 10, 20_001), torch.tensor([torch.inf])])
    assert written_out(x).max() == 1
    assert written_out(-x).min() == -1
    assert written_out(torch.tensor([torch.nan])).isnan().all()


def test_leaves_float64_to_the_library():
    x = torch.linspace(-3, 3, 101, dtype=torch.float64)
    assert torch.equal(written_out(x), x.tanh())
