"""A tanh of float32 that a CPU computes in vector registers: clamps, eight multiply-adds and a division.

Inductor calls a library function for tanh, which takes longer than everything else in the step of a small LSTM.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

aten = torch.ops.aten

# tanh(x) ≈ x P(x²) / Q(x²), fitted to |x| ≤ 9.02 by reweighted least squares of the relative error, which stays below 2.1e-8: in
# float32 the result is within 3.3e-7 of tanh(x), relatively. Beyond FLAT the tanh of a float32 is 1 to within that error.
ABOVE = (0.9999999790738855, 0.13379825721943203, 0.003494162478999174, 2.0585583904020113e-05, 1.3321984263346026e-08)
BELOW = (1.0, 0.46713140996910285, 0.02587156007063138, 0.0003283301917712358, 7.76321146051883e-07)
FLAT = 9.0


def expand_tanh(module: fx.GraphModule) -> fx.GraphModule:
    """Write each tanh of a float32 CPU tensor out in arithmetic."""
    graph = module.graph
    for node in graph.find_nodes(op="call_function", target=aten.tanh.default):
        value = node.meta["val"]
        if value.dtype != torch.float32 or value.device.type != "cpu":
            continue
        with graph.inserting_before(node):
            node.replace_all_uses_with(_written_out(graph, node.args[0], value))  # type: ignore[arg-type]
        graph.erase_node(node)
    module.recompile()
    return module


def _written_out(graph: fx.Graph, x: fx.Node, value: Tensor) -> fx.Node:
    def apply(target: Any, *arguments: Any) -> fx.Node:
        node = graph.call_function(target, arguments)
        node.meta["val"] = value
        return node

    def polynomial(coefficients: tuple[float, ...], u: fx.Node) -> fx.Node:
        *rest, highest = coefficients
        result = apply(aten.mul.Tensor, u, highest)
        for coefficient in reversed(rest[1:]):
            result = apply(aten.mul.Tensor, apply(aten.add.Tensor, result, coefficient), u)
        return apply(aten.add.Tensor, result, rest[0])

    def clamped(x: fx.Node, limit: float) -> fx.Node:
        for target, bound in ((aten.maximum.default, -limit), (aten.minimum.default, limit)):
            scalar = graph.call_function(aten.full.default, ([], bound), {"dtype": value.dtype, "device": value.device})
            scalar.meta["val"] = value.new_empty(())
            x = apply(target, x, scalar)
        return x

    x = clamped(x, FLAT)
    u = apply(aten.mul.Tensor, x, x)
    ratio = apply(aten.div.Tensor, apply(aten.mul.Tensor, x, polynomial(ABOVE, u)), polynomial(BELOW, u))
    return clamped(ratio, 1.0)  # rounding may reach past 1, where no tanh lies
