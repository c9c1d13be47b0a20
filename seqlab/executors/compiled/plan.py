"""A plan: everything that is compiled for one kind of call, and the store of plans of this process."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

import torch
from torch import Tensor

from seqlab.executors.compiled.deferral import defer_weight_gradients, hoist_constants, settle
from seqlab.executors.compiled.partition import partition
from seqlab.executors.compiled.products import use_driver
from seqlab.executors.compiled.program import Program
from seqlab.executors.compiled.request import Request
from seqlab.executors.compiled.trace import trace
from seqlab.executors.sequence import CannotCompile

MAX_PLANS = 64
EPILOGUE_BYTES = 64 * 2**20  # above this, intermediates after the loop are made for some of the steps at a time

_plans: OrderedDict[Hashable, Plan | CannotCompile] = OrderedDict()
_log = logging.getLogger("seqlab")


class Plan:
    """Compiled forward and backward of one step, with the parts before and after the loop.

    held: which leaves are constant over the sequence. stacked: the places whose values of all steps the backward reads.
    weights: which weights have a gradient, in the order in which `weight_gradients` returns them.
    """

    def __init__(self, request: Request) -> None:
        start = time.perf_counter()
        joint = trace(request)
        name = type(request.cell).__name__
        self._device = request.p[0].device.type
        # the casts of autocast stand in the graph by now: whoever runs it again must not add its own
        with torch.autocast(self._device, enabled=False):
            self._prologue = hoist_constants(joint)
            self._epilogue = defer_weight_gradients(joint)
            use_driver(self._epilogue.module)
            ahead, back = partition(joint, self._epilogue)
            self.forward = Program(joint, ahead, name)
            self.backward = None if back is None else Program(joint, back, name)
        self.held = [node is None for node in joint.new]
        self.weights = self._epilogue.weights
        self.stacked = {*self._epilogue.inputs, *(back.inputs if back is not None else [])}
        self._row_bytes = max((_bytes_of_a_row(node) for node in self._epilogue.module.graph.nodes if node.op == "call_function"), default=0)
        self.seconds = time.perf_counter() - start
        _log.debug("compiled the step of %s in %.1f s", name, self.seconds)

    def constants(self, weights: list[Tensor]) -> list[Tensor]:
        """What depends on weights alone, computed once for the call."""
        with torch.autocast(self._device, enabled=False):
            return [settle(constant) for constant in self._prologue(*weights)]

    def weight_gradients(self, constants: list[Tensor], stacks: dict[Any, Tensor], steps: int, batch: int) -> list[Tensor]:
        """The gradients of `weights`, from stacked (T, B, …) values, as one product over all rows of all steps, and from sums (B, …)."""
        if not self.weights:
            return []
        at_once = max(1, min(steps, EPILOGUE_BYTES // max(1, self._row_bytes * batch)))
        total: list[Tensor] = []
        with torch.autocast(self._device, enabled=False):
            for first in range(0, steps, at_once):
                last = min(steps, first + at_once)
                rows = [
                    stacks[place][: batch if first == 0 else 0] if place[0] == "sum" else stacks[place][first:last].flatten(0, 1)
                    for place in self._epilogue.inputs  # a sum is of all steps, so only the first part takes it
                ]
                part = self._epilogue.module((last - first) * batch, *constants, *rows)
                total = list(part) if not total else [a + b for a, b in zip(total, part, strict=True)]
        return total


def plan_for(request: Request) -> Plan:
    """The plan for calls like this one, compiled on first use. Raises CannotCompile, each time for the same reason."""
    key = request.key()
    plan = _plans.get(key)
    if plan is None:
        try:
            with torch.inference_mode(False):
                plan = Plan(request)
        except CannotCompile as reason:
            plan = reason
        _plans[key] = plan
        while len(_plans) > MAX_PLANS:
            _plans.popitem(last=False)
    _plans.move_to_end(key)
    if isinstance(plan, CannotCompile):
        raise plan
    return plan


def _bytes_of_a_row(node: torch.fx.Node) -> int:
    value = node.meta.get("val")
    if not isinstance(value, Tensor) or value.dim() == 0 or not isinstance(value.shape[0], torch.SymInt):
        return 0
    if isinstance(node.target, torch._ops.OpOverload) and node.target.is_view:
        return 0
    return value[0].numel() * value.element_size() if all(isinstance(size, int) for size in value.shape[1:]) else 0
