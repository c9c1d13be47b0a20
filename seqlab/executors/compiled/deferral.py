"""What leaves the time loop: expressions of weights alone go before it, weight gradients go after it.

Before: whatever depends on nothing but weights is the same at every step, so it is computed once (the prologue).

After: the gradient of a weight is a sum over rows and steps of what each row gives. The graph was traced with a symbolic
batch size, and rows are independent, so the part of it that only weight gradients need can run once, on the T·B rows of
all steps, instead of T times on B rows: Σ_t dz_tᵀ h_{t−1} becomes one product. A gradient leaves the loop at the point
where the batch symbol disappears from its shape. What that point reads (the frontier) is stacked over time inside the
loop, unless it is stacked already (p, the states, the outputs and the gradient of p are) or only summed over (`sums`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, fx

from seqlab.executors.compiled.sums import is_only_summed, run_sum
from seqlab.executors.compiled.trace import Joint, Place

aten = torch.ops.aten


@dataclass
class Epilogue:
    """The part after the loop: module(number of rows, *constants, *inputs) -> a gradient for each weight that has one.

    inputs: where each input is stacked, of kinds p, leaf, mask, y, new, dp, and extra (computed for this in the loop); or
    kind sum: a running sum of each row over time, (B, …).
    """

    module: fx.GraphModule
    inputs: list[Place]
    extra_forward: list[fx.Node]
    extra_backward: list[fx.Node]
    sums: list[fx.Node]
    weights: list[int]


def hoist_constants(joint: Joint) -> fx.GraphModule:
    """Cut what depends on weights alone out of the graph; its boundary becomes placeholders of kind `constant`.

    Returns the prologue: module(*weights) -> constants.
    """
    graph = joint.module.graph
    constant: set[fx.Node] = set()
    for node in graph.nodes:
        weight = joint.places.get(node, ("", 0))[0] == "weight"
        derived = node.op == "call_function" and node.all_input_nodes and all(i in constant for i in node.all_input_nodes)
        if weight or node.op == "get_attr" or derived:
            constant.add(node)
    boundary = [node for node in graph.nodes if node in constant and any(user not in constant for user in node.users)]
    prologue = fx.Graph()
    copies = {node: prologue.placeholder(node.name) for node, (kind, _) in joint.places.items() if kind == "weight"}
    for node in graph.nodes:
        if node in constant and node not in copies:
            copies[node] = prologue.node_copy(node, copies.__getitem__)
    prologue.output(tuple(copies[node] for node in boundary))
    prologue.eliminate_dead_code()
    module = fx.GraphModule(joint.module, prologue)

    last = next(node for node, (kind, _) in joint.places.items() if kind == "batch")
    for index, node in enumerate(boundary):
        with graph.inserting_after(last):
            last = graph.placeholder(f"constant_{index}")
        last.meta["val"] = _settled(node.meta["val"])
        joint.places[last] = ("constant", index)
        node.replace_all_uses_with(last, delete_user_cb=lambda user: user not in constant)
        _replace_results(joint, node, last)
    for node in reversed(list(graph.nodes)):
        if node in constant and not node.users:
            graph.erase_node(node)
            joint.places.pop(node, None)
    return module


def settle(tensor: Tensor) -> Tensor:
    """The tensor as the loop reads it: dense. A transposed matrix stays as it is, for products read it as fast."""
    if tensor.is_conj() or tensor.is_neg():
        tensor = tensor.resolve_conj().resolve_neg()
    return tensor if tensor.dim() == 2 and tensor.T.is_contiguous() else tensor.contiguous()


def _settled(value: Tensor) -> Tensor:
    if value.dim() == 2 and value.T.is_contiguous():
        return value
    return value.new_empty(value.shape)


def defer_weight_gradients(joint: Joint) -> Epilogue:
    """Move what only weight gradients need out of the loop; see the top of this file."""
    graph = joint.module.graph
    output = graph.output_node()
    outputs = [joint.y, *(node for node in joint.new if node is not None)]
    in_loop = _ancestors([*outputs, *joint.dp, *joint.dleaves])
    only_weights = [node for node in graph.nodes if node in _ancestors(joint.dweights) - in_loop]
    for node in only_weights:  # nothing in the loop reads them, so they may stand last
        output.prepend(node)
    stacked = _stacked(joint)
    for node in joint.dp:
        if node is not None:
            _read_pieces_from_whole(graph, node, only_weights)
    only_weights = [node for node in graph.nodes if node in _ancestors(joint.dweights) - in_loop]

    free = {node for node, (kind, _) in joint.places.items() if kind in ("constant", "batch")}
    deferred: set[fx.Node] = set()
    for node in only_weights:
        if node.op != "call_function" or node in stacked:
            continue
        ready = all(i in stacked or i in deferred or i in free for i in node.all_input_nodes)
        if ready or not _mentions_batch(node):
            deferred.add(node)
    work = list(deferred)
    while work:  # what is read must be a tensor whose first axis is the batch; else its producer is deferred too
        for node in work.pop().all_input_nodes:
            if node in deferred or node in stacked or node in free or node.op != "call_function":
                continue
            if not _leads_with_batch(node, joint.batch) or _is_view(node):
                deferred.add(node)
                work.append(node)
    frontier = [n for n in graph.nodes if n not in deferred and n not in free and n.op != "output" and any(u in deferred for u in n.users)]
    return _epilogue(joint, frontier, deferred, stacked)


def _epilogue(joint: Joint, frontier: list[fx.Node], deferred: set[fx.Node], stacked: dict[fx.Node, Place]) -> Epilogue:
    graph, after = fx.Graph(), {}
    for node, (kind, _) in sorted(joint.places.items(), key=lambda item: (item[1][0] != "batch", item[1])):
        if kind in ("batch", "constant"):
            after[node] = graph.placeholder(node.name)
            after[node].meta = dict(node.meta)
    from_tangents = _descendants([node for node, (kind, _) in joint.places.items() if kind in ("dy", "dleaf")], joint.module.graph)
    forward = [node for node in frontier if node not in stacked and node not in from_tangents]
    summed = [node for node in frontier if node not in stacked and node in from_tangents and is_only_summed(node, deferred)]
    backward = [node for node in frontier if node not in stacked and node in from_tangents and node not in summed]
    fresh = {node: (kind, i) for kind, nodes in (("extra_forward", forward), ("extra_backward", backward), ("sum", summed)) for i, node in enumerate(nodes)}
    inputs: list[Place] = []
    for node in frontier:
        after[node] = graph.placeholder(node.name)
        after[node].meta = dict(node.meta)
        inputs.append(stacked.get(node) or fresh[node])
    for node in joint.module.graph.nodes:
        if node in deferred:
            after[node] = graph.node_copy(node, after.__getitem__)
    weights = [index for index, node in enumerate(joint.dweights) if node is not None]
    graph.output(tuple(after[node] for node in joint.dweights if node is not None))
    graph.eliminate_dead_code()
    sums = [run_sum(joint, node, index) for index, node in enumerate(summed)]
    return Epilogue(fx.GraphModule(joint.module, graph), inputs, forward, backward, sums, weights)


def _stacked(joint: Joint) -> dict[fx.Node, Place]:
    """The nodes whose values of every step exist after the loop anyway."""
    found: dict[fx.Node, Place] = {node: place for node, place in joint.places.items() if place[0] in ("p", "leaf", "mask")}
    for index, node in enumerate(joint.dp):
        if node is not None:
            found.setdefault(node, ("dp", index))
    for index, node in enumerate(joint.new):
        if node is not None:
            found.setdefault(node, ("new", index))
    found.setdefault(joint.y, ("y", 0))
    return found


def _read_pieces_from_whole(graph: fx.Graph, whole: fx.Node, readers: list[fx.Node]) -> None:
    """Where a stacked value is a concatenation along its last axis, let readers take slices of it, not its pieces."""
    last = whole.meta["val"].dim() - 1
    if whole.target is not aten.cat.default or last == 0 or (whole.args[1] if len(whole.args) > 1 else 0) not in (-1, last):
        return
    start = 0
    before = readers[0] if readers else graph.output_node()
    for piece in whole.args[0]:  # type: ignore[union-attr]
        width = piece.meta["val"].shape[-1]  # type: ignore[union-attr]
        mine = [node for node in readers if piece in node.all_input_nodes]
        if mine:
            with graph.inserting_before(before):
                part = graph.call_function(aten.slice.Tensor, (whole, last, start, start + width))
            part.meta["val"] = piece.meta["val"]  # type: ignore[union-attr]
            for node in mine:
                node.replace_input_with(piece, part)  # type: ignore[arg-type]
        start += width


def _replace_results(joint: Joint, old: fx.Node, new: fx.Node) -> None:
    def swap(nodes: list[fx.Node | None]) -> list[fx.Node | None]:
        return [new if node is old else node for node in nodes]

    joint.y = new if joint.y is old else joint.y
    joint.new, joint.dp, joint.dweights, joint.dleaves = swap(joint.new), swap(joint.dp), swap(joint.dweights), swap(joint.dleaves)


def _ancestors(roots: Iterable[fx.Node | None]) -> set[fx.Node]:
    seen: set[fx.Node] = set()
    work = [node for node in roots if node is not None]
    while work:
        node = work.pop()
        if node not in seen:
            seen.add(node)
            work += node.all_input_nodes
    return seen


def _descendants(roots: list[fx.Node], graph: fx.Graph) -> set[fx.Node]:
    seen = set(roots)
    for node in graph.nodes:
        if any(i in seen for i in node.all_input_nodes):
            seen.add(node)
    return seen


def _sizes(node: fx.Node) -> list[int | torch.SymInt]:
    value = node.meta.get("val")
    values = value if isinstance(value, (tuple, list)) else [value]
    return [size for v in values if isinstance(v, Tensor) for size in v.shape] + [v for v in values if isinstance(v, torch.SymInt)]


def _is_symbolic(size: int | torch.SymInt) -> bool:
    return isinstance(size, torch.SymInt) and size.node.maybe_as_int() is None


def _mentions_batch(node: fx.Node) -> bool:
    return any(_is_symbolic(size) for size in _sizes(node))


def _leads_with_batch(node: fx.Node, batch: torch.SymInt) -> bool:
    value = node.meta.get("val")
    if not isinstance(value, Tensor) or value.dim() == 0 or not isinstance(value.shape[0], torch.SymInt):
        return False
    return value.shape[0].node.expr == batch.node.expr and not any(_is_symbolic(size) for size in value.shape[1:])  # type: ignore[attr-defined]


def _is_view(node: fx.Node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and (node.target.is_view or node.target in (aten.clone.default, aten._unsafe_view.default))
