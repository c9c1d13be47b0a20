"""A compiled call as one node of autograd: forward over time, and backward through time.

Dimension key: T time, B batch.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqlab.executors.compiled.plan import Plan
from seqlab.executors.compiled.program import Program
from seqlab.executors.compiled.request import Request
from seqlab.executors.compiled.slots import Slot, stack
from seqlab.executors.compiled.trace import Place

Tensors = dict[Place, Tensor]


def call(plan: Plan, request: Request) -> tuple[Tensor, dict[str, Tensor]]:
    """y (T, B, …) and the final state."""
    p = [part.contiguous() for part in request.p]
    leaves = [leaf.contiguous() for leaf in request.leaves.values()]
    weights = list(request.weights.values())
    if plan.backward is None:
        y, final, _ = _forward(plan, p, weights, leaves, request.mask)
    else:
        # Weights are inputs, so that hooks on them fire (DistributedDataParallel) and weight drop's raw weights learn.
        y, *final = _Recurrence.apply(plan, request.mask, len(p), len(weights), *p, *weights, *leaves)  # type: ignore[misc]
    return y, dict(zip(request.state, final, strict=False))


def _forward(plan: Plan, p: list[Tensor], weights: list[Tensor], leaves: list[Tensor], mask: Tensor | None) -> tuple[Tensor, list[Tensor], Tensors]:
    """y, the leaves after the last step, and every tensor that a backward may want, by its place."""
    steps, batch = p[0].shape[:2]
    program, keep = plan.forward, plan.backward is not None
    constants = plan.constants(weights)
    tensors: Tensors = {("p", i): part for i, part in enumerate(p)}
    tensors |= {("constant", i): constant for i, constant in enumerate(constants)}
    if mask is not None:
        tensors["mask", 0] = mask.contiguous()
    slots = {place: Slot("constant" if place[0] == "constant" else "stack", value, rows=place[0] != "constant") for place, value in tensors.items()}
    outputs: dict[Place, Slot] = {}
    for i, leaf in enumerate(leaves):
        if plan.held[i]:
            tensors["leaf", i] = leaf
            slots["leaf", i] = Slot("constant", leaf)
            continue
        buffer = leaf.new_empty(steps + 1 if keep else 2, *leaf.shape)
        buffer[0] = leaf
        tensors["leaf", i] = buffer
        slots["leaf", i] = Slot("stack" if keep else "swing", buffer)
        outputs["new", i] = Slot("stack" if keep else "swing", buffer, shift=1)
    for place in program.graph.outputs:
        if place not in outputs:
            tensors[place] = stack(steps, batch, program.result(place))
            outputs[place] = Slot("stack", tensors[place])
    program.run(slots, outputs, steps, batch, reverse=False)
    final = [leaf if plan.held[i] else tensors["leaf", i][steps if keep else steps % 2] for i, leaf in enumerate(leaves)]
    return tensors["y", 0], final, tensors


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, plan: Plan, mask: Tensor | None, num_p: int, num_weights: int, *flat: Tensor) -> tuple[Tensor, ...]:
        p, rest = list(flat[:num_p]), list(flat[num_p:])
        weights, leaves = rest[:num_weights], rest[num_weights:]
        y, final, tensors = _forward(plan, p, weights, leaves, mask)
        saved = {place: tensor for place, tensor in tensors.items() if place in plan.stacked or place[0] in ("leaf", "constant")}
        if ("y", 0) in plan.stacked:  # a copy: the caller may write to y
            saved["y", 0] = y.clone()
        ctx.plan, ctx.places, ctx.counts = plan, list(saved), (num_p, num_weights, len(leaves))
        ctx.shape = y.shape
        ctx.save_for_backward(*saved.values())
        ctx.set_materialize_grads(False)
        final = [leaf.view_as(leaf) if plan.held[i] else leaf.clone() for i, leaf in enumerate(final)]
        ctx.mark_non_differentiable(*[leaf for leaf in final if not leaf.is_floating_point()])
        return y, *final

    @staticmethod
    def backward(ctx: Any, dy: Tensor | None, *dfinal: Tensor | None) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        if torch.is_grad_enabled():
            raise RuntimeError("executor='compiled' has no second derivative, but create_graph=True asks for one. Use executor='loop'.")
        plan: Plan = ctx.plan
        num_p, num_weights, num_leaves = ctx.counts
        tensors: Tensors = dict(zip(ctx.places, ctx.saved_tensors, strict=True))
        dp, dleaves, extra = _backward(plan, tensors, ctx.shape, dy, list(dfinal))
        steps = ctx.shape[0]
        stacks = {**tensors, **extra}
        for i, held in enumerate(plan.held):
            leaf = tensors["leaf", i]
            stacks["leaf", i] = leaf.expand(steps, *leaf.shape) if held else leaf[:steps]
            stacks["new", i] = stacks["leaf", i] if held else leaf[1:]
        constants = [tensor for place, tensor in tensors.items() if place[0] == "constant"]
        found = dict(zip(plan.weights, plan.weight_gradients(constants, stacks, *ctx.shape[:2]), strict=True))
        return (
            *[None] * 4,
            *(dp.get(i) for i in range(num_p)),
            *(found.get(i) for i in range(num_weights)),
            *(dleaves.get(i) for i in range(num_leaves)),
        )


def _backward(
    plan: Plan, tensors: Tensors, shape: torch.Size, dy: Tensor | None, dfinal: list[Tensor | None]
) -> tuple[dict[int, Tensor], dict[int, Tensor], Tensors]:
    """Gradients of p and of the first leaves by their index, and what was stacked on the way."""
    assert plan.backward is not None
    program: Program = plan.backward
    steps, batch = shape[:2]
    keeps = torch._C._autograd._get_current_graph_task_keep_graph()  # type: ignore[attr-defined]  # another backward would read what this one wrote over
    slots: dict[Place, Slot] = {}
    for place in program.graph.inputs:
        kind, i = place
        if kind == "new":
            slots[place] = Slot("stack", tensors["leaf", i], shift=1)
        elif kind == "constant" or (kind == "leaf" and plan.held[i]):
            slots[place] = Slot("constant", tensors[place], rows=kind == "leaf")
        elif kind == "dy":
            nothing = Slot("constant", stack(1, batch, program.value(place))[0].zero_())
            slots[place] = nothing if dy is None else Slot("stack", dy.contiguous())
        elif kind == "dleaf":  # replaced below where a gradient goes on from this leaf
            given = dfinal[i]
            slots[place] = Slot("constant", stack(1, batch, program.value(place))[0].zero_() if given is None else given.contiguous())
        elif kind not in ("batch", "size", "sum"):
            slots[place] = Slot("stack", tensors[place])
    outputs: dict[Place, Slot] = {}
    swinging: Tensors = {}
    made: Tensors = {}
    for place in program.graph.outputs:
        kind, i = place
        if kind not in ("dleaf", "sum"):
            over = None if keeps else program.over.get(place)
            made[place] = stack(steps, batch, program.result(place)) if over is None else tensors[over]
            outputs[place] = Slot("stack", made[place])
            continue
        swinging[place] = stack(2, batch, program.result(place))
        given = dfinal[i] if kind == "dleaf" else None
        swinging[place][0] = 0 if given is None else given
        slots[place] = Slot("swing", swinging[place])
        outputs[place] = Slot("swing", swinging[place], shift=1)
    program.run(slots, outputs, steps, batch, reverse=True)
    last = {place: buffer[steps % 2] for place, buffer in swinging.items()}
    dp, dleaves = ({i: tensor for (kind, i), tensor in found.items() if kind == wanted} for wanted, found in (("dp", made), ("dleaf", last)))
    return dp, dleaves, {**made, **last}
