"""What is only summed over rows and steps is summed in the loop, not stacked.

The gradient of a bias, a gain or a peephole is the sum of one value per row over all rows and steps. Stacked, that value
costs a tensor (T, B, …), written and read once more for nothing but its sum. Instead each row carries a running sum over
time, and the rows are summed after the loop, where the part after the loop takes the B sums for the T·B values.
"""

from __future__ import annotations

import torch
from torch import fx

from seqlab.executors.compiled.trace import Joint

aten = torch.ops.aten


def is_only_summed(node: fx.Node, deferred: set[fx.Node]) -> bool:
    """Whether all that the part after the loop does with this value is to sum it over its rows."""
    readers = [user for user in node.users if user in deferred]
    return all(user.target is aten.sum.dim_IntList and _sums_rows(user, node.meta["val"].dim()) for user in readers)


def run_sum(joint: Joint, value: fx.Node, index: int) -> fx.Node:
    """The running sum after the step: a new placeholder of kind `sum`, the sum before the step, plus the value."""
    graph = joint.module.graph
    *_, last = graph.find_nodes(op="placeholder")
    with graph.inserting_after(last):
        before = graph.placeholder(f"sum_{index}_before")
    before.meta["val"] = value.meta["val"].new_empty(value.meta["val"].shape)
    joint.places[before] = ("sum", index)
    with graph.inserting_before(graph.output_node()):
        after = graph.call_function(aten.add.Tensor, (before, value))
    after.meta["val"] = before.meta["val"]
    return after


def _sums_rows(reader: fx.Node, dims: int) -> bool:
    axes = reader.args[1]
    return not reader.kwargs and (not axes or 0 in axes or -dims in axes)  # type: ignore[operator]
