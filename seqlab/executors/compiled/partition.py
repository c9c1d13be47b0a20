"""Cut the joint graph into the step forward and the step backward, and say where each of their values lives.

What the backward needs of the forward is chosen by a minimum cut: cheap pointwise work is repeated, the least memory is
kept. States, mask and constants cost nothing to keep, for they are stacked (or held) anyway. What is kept is read for the
last time at its own step, so the backward writes what it stacks over it, where the sizes are the same (`written_over`).

Every output of a step goes to a buffer that is stacked over time, so outputs are made contiguous and distinct.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch._functorch.config as functorch_config
from torch import Tensor, fx
from torch._functorch.partitioners import min_cut_rematerialization_partition
from torch.fx.passes.fake_tensor_prop import FakeTensorProp
from torch.utils.checkpoint import CheckpointPolicy

from seqlab.executors.compiled.deferral import Epilogue
from seqlab.executors.compiled.trace import Joint, Place

aten = torch.ops.aten
WRITTEN_LATE = ("dp", "extra_backward")  # kinds of outputs that nothing reads before the loop has ended


@dataclass
class StepGraph:
    """One direction of one step. inputs: a Place for each placeholder; outputs: a Place for each result.

    Beside the kinds of Joint: y, new (a leaf after the step), saved, extra_forward, extra_backward, dp, and dleaf (as
    an input the gradient of a leaf after the step, as an output of the leaf before it), and sum (as an input the sum over the
    steps before). A symbolic size has kind size.
    """

    module: fx.GraphModule
    inputs: list[Place]
    outputs: list[Place]
    sizes: list[torch.SymInt]  # what kind `size` indexes


def partition(joint: Joint, epilogue: Epilogue) -> tuple[StepGraph, StepGraph | None]:
    """The forward, and the backward or None when nothing wants a gradient."""
    ahead: list[tuple[fx.Node, Place]] = [(joint.y, ("y", 0))]
    ahead += [(node, ("new", i)) for i, node in enumerate(joint.new) if node is not None]
    ahead += [(node, ("extra_forward", i)) for i, node in enumerate(epilogue.extra_forward)]
    back: list[tuple[fx.Node, Place]] = [(node, ("dleaf", i)) for i, node in enumerate(joint.dleaves) if node is not None]
    back += [(node, ("dp", i)) for i, node in enumerate(joint.dp) if node is not None]
    back += [(node, ("extra_backward", i)) for i, node in enumerate(epilogue.extra_backward)]
    back += [(node, ("sum", i)) for i, node in enumerate(epilogue.sums)]
    graph = joint.module.graph
    graph.output_node().args = (tuple(node for node, _ in [*ahead, *back]),)
    graph.eliminate_dead_code()
    _keep_sums_of_p(joint, epilogue)
    places = _rename(joint)
    if not joint.trains:
        for node in reversed(graph.find_nodes(op="placeholder")):
            if places[node.name][0] in ("dy", "dleaf"):
                graph.erase_node(node)
        joint.module.recompile()
        return _finish(joint, joint.module, places, [place for _, place in ahead]), None

    joint.module.recompile()
    values = [node.meta["val"] for node in graph.find_nodes(op="placeholder")]
    free = [i for i, node in enumerate(graph.find_nodes(op="placeholder")) if places[node.name][0] in ("constant", "leaf", "mask")]
    with functorch_config.patch(treat_parameters_as_free_to_save=True):
        forward, backward = min_cut_rematerialization_partition(joint.module, values, num_fwd_outputs=len(ahead), static_lifetime_input_indices=free)
    results = list(forward.graph.output_node().args[0])  # type: ignore[arg-type]
    ahead_places = [place for _, place in ahead]
    sizes: list[torch.SymInt] = []
    kept: list[fx.Node] = []
    for node in results[len(ahead) :]:
        if node.name in places:
            continue
        if isinstance(node.meta["val"], torch.SymInt):
            places[node.name] = ("size", len(sizes))
            sizes.append(node.meta["val"])
        elif node in results[: len(ahead)]:
            places[node.name] = ahead_places[results.index(node)]
        else:
            kept.append(node)
    kept = _join(forward, backward, kept, [node for node, place in back if place[0] in WRITTEN_LATE])
    places |= {node.name: ("saved", i) for i, node in enumerate(kept)}
    forward.graph.output_node().args = (tuple(results[: len(ahead)] + kept),)
    saved: list[Place] = [("saved", i) for i in range(len(kept))]
    first = _finish(joint, forward, places, ahead_places + saved)
    return first, _finish(joint, backward, places, [place for _, place in back], sizes)


def written_over(graph: StepGraph) -> dict[Place, Place]:
    """{a stacked output of the backward: a value kept for it alone, as large, whose place it can take at each step}."""
    values = [node.meta["val"] for node in graph.module.graph.find_nodes(op="placeholder")]
    free = [(place, value) for place, value in zip(graph.inputs, values, strict=True) if place[0] == "saved"]
    taken: dict[Place, Place] = {}
    for place, node in zip(graph.outputs, graph.module.graph.output_node().args[0], strict=True):  # type: ignore[arg-type]
        result = node.meta["val"]  # type: ignore[union-attr]
        fits = [item for item in free if item[1].shape == result.shape and item[1].dtype == result.dtype]
        if place[0] in WRITTEN_LATE and fits:
            taken[place] = fits[0][0]
            free.remove(fits[0])
    return taken


def _join(forward: fx.GraphModule, backward: fx.GraphModule, kept: list[fx.Node], outputs: list[fx.Node]) -> list[fx.Node]:
    """Keep narrow values side by side as one, where they are as wide together as an output that can then take their place."""
    rest = list(kept)
    joined: list[fx.Node] = []
    for output in outputs:
        wide = output.meta["val"]
        same = [node for node in rest if node.meta["val"].shape == wide.shape and node.meta["val"].dtype == wide.dtype]
        if same:
            rest.remove(same[0])
            joined.append(same[0])
            continue
        for first in rest:
            group = [node for node in rest if node.meta["val"].shape == first.meta["val"].shape and node.meta["val"].dtype == wide.dtype]
            count, left = divmod(wide.shape[-1], first.meta["val"].shape[-1]) if wide.dim() == first.meta["val"].dim() == 2 else (0, 0)
            if 1 < count <= len(group) and not left:
                joined.append(_side_by_side(forward, backward, group[:count]))
                rest = [node for node in rest if node not in group[:count]]
                break
    return joined + rest


def _side_by_side(forward: fx.GraphModule, backward: fx.GraphModule, group: list[fx.Node]) -> fx.Node:
    with forward.graph.inserting_before(forward.graph.output_node()):
        whole = forward.graph.call_function(aten.cat.default, (group, 1))
    width = group[0].meta["val"].shape[1]
    whole.meta["val"] = group[0].meta["val"].new_empty(group[0].meta["val"].shape[0], width * len(group))
    readers = {node.name: node for node in backward.graph.find_nodes(op="placeholder")}
    *_, last = readers.values()
    with backward.graph.inserting_after(last):
        read = backward.graph.placeholder(whole.name)
    read.name = read.target = whole.name
    read.meta["val"] = whole.meta["val"]
    after = read
    for index, node in enumerate(group):
        with backward.graph.inserting_after(after):
            after = backward.graph.call_function(aten.slice.Tensor, (read, 1, index * width, (index + 1) * width))
        after.meta["val"] = node.meta["val"]
        readers[node.name].replace_all_uses_with(after)
        backward.graph.erase_node(readers[node.name])
    return whole


def _keep_sums_of_p(joint: Joint, epilogue: Epilogue) -> None:
    """Where a part of p is only added to something, keep the sum for the backward, or what follows from it, but not p itself.

    It is as large as p. But p is the caller's and can go after the forward, while what the executor keeps can be written over.
    """
    for node, place in joint.places.items():
        if place[0] == "p" and len(node.users) == 1 and place not in epilogue.inputs:
            (total,) = node.users
            if total.target is aten.add.Tensor and total.meta["val"].shape == node.meta["val"].shape and total.meta["val"].dtype == node.meta["val"].dtype:
                total.meta["recompute"] = CheckpointPolicy.MUST_SAVE


def _rename(joint: Joint) -> dict[str, Place]:
    """Give placeholders the names that the partitioner goes by. Returns name -> Place, which survives its copies."""
    places: dict[str, Place] = {}
    for index, node in enumerate(joint.module.graph.find_nodes(op="placeholder")):
        place = joint.places[node]
        node.name = node.target = f"tangents_{index}" if place[0] in ("dy", "dleaf", "sum") else f"primals_{index}"
        places[node.name] = place
    return places


def _finish(joint: Joint, module: fx.GraphModule, places: dict[str, Place], outputs: list[Place], sizes: list[torch.SymInt] | None = None) -> StepGraph:
    graph = module.graph
    output = graph.output_node()
    results: list[fx.Node] = []
    with graph.inserting_before(output):
        for node in output.args[0]:  # type: ignore[union-attr]
            if node in results or node.op == "placeholder" or not node.meta["val"].is_contiguous():  # type: ignore[union-attr]
                node = graph.call_function(aten.clone.default, (node,), {"memory_format": torch.contiguous_format})
            results.append(node)  # type: ignore[arg-type]
    output.args = (tuple(results),)
    graph.eliminate_dead_code()
    module.recompile()
    values = [_as_stored(node.meta["val"], places[node.name]) for node in graph.find_nodes(op="placeholder")]
    FakeTensorProp(module, joint.fake_mode).propagate_dont_convert_inputs(*values)
    inputs = [places[node.name] for node in graph.find_nodes(op="placeholder")]
    return StepGraph(module, inputs, outputs, sizes or [])


def _as_stored(value: Tensor | torch.SymInt, place: Place) -> Tensor | torch.SymInt:
    """A placeholder's value with the strides of the buffer it will be read from."""
    if not isinstance(value, Tensor) or place[0] == "constant" or value.is_contiguous():
        return value
    return value.new_empty(value.shape)
