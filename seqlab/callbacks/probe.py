"""A look inside a model on one fixed batch: what reaches each state, each parameter and each gate.

Everything happens on a copy of the model in float64: training is not touched, and a gradient that vanishes is measured
where float32 would round it to zero. Dimension key: B batch, T time, O output_size.
"""

from __future__ import annotations

import copy
import dataclasses
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seqlab.callbacks.squashing import SquashingWatch
from seqlab.cells.base import Cell, State, WrapperCell
from seqlab.data.base import Batch
from seqlab.executors import lengths_to_mask
from seqlab.layers import Bidirectional, Layer
from seqlab.layers.bidirectional import reverse
from seqlab.tasks import Task


@dataclasses.dataclass
class Reading:
    """What one probe found. A layer is named by its place, such as `0.backward`; a state by its layer and leaf, `0.h`.

    states: ‖∂L/∂s_t‖ over the whole batch for t = 1..T, in the time of the input, also for a layer that reads backward.
    parameters: ‖∂L/∂w‖. saturation: share of the values of each σ and tanh that lie within 0.1 of a limit.
    dead: share of a layer's units that are zero at every valid step. mean, spread: of a layer's units' mean activations.
    silent: the layers whose cell computes no σ or tanh that could be watched.
    """

    loss: float
    states: dict[str, np.ndarray]
    parameters: dict[str, float]
    saturation: dict[str, float]
    dead: dict[str, float]
    mean: dict[str, float]
    spread: dict[str, float]
    silent: list[str]


def probe(task: Task, batch: Batch) -> Reading:
    """Run the task's loss forward and backward on a copy of its model, in evaluation mode on the `loop` executor.

    batch: what `fresh_rows` gives, on the task's device.
    """
    originals = list(task.model.named_parameters())  # tracing adds a level to the names of the copy
    devices = [task.device] if task.device.type == "cuda" else []
    with torch.random.fork_rng(devices), torch.enable_grad(), _unsaid():
        shadow = double_copy(task)
        shadow.model.requires_grad_()  # through frozen parameters the gradient flows all the same
        traces = {place(name): _Trace(layer) for name, layer in shadow.model.named_modules() if isinstance(layer, Layer)}
        _note_direction(shadow.model, False, {trace.layer: trace for trace in traces.values()})
        loss = shadow.outcome(batch).loss
        loss.backward()
    traces = {name: trace for name, trace in traces.items() if trace.cell.states}  # a layer that the loss does not use has nothing to show
    states = {f"{name}.{leaf}": norms for name, trace in traces.items() for leaf, norms in trace.norms().items()}
    units = {name: trace.unit_means() for name, trace in traces.items()}
    return Reading(
        loss=loss.item(),
        states=states,
        parameters={name: _norm(p) for (name, original), p in zip(originals, shadow.model.parameters(), strict=True) if original.requires_grad},
        saturation={f"{name}.{label}": share for name, trace in traces.items() for label, share in trace.watch.shares().items()},
        dead={name: trace.dead() for name, trace in traces.items()},
        mean={name: float(means.mean()) for name, means in units.items()},
        spread={name: float(means.std(unbiased=False)) for name, means in units.items()},
        silent=[name for name, trace in traces.items() if not trace.watch.shares()],
    )


def double_copy(task: Task) -> Task:
    """The task with a copy of its model in float64 and evaluation mode; what is done to it does not reach the original."""
    shadow = copy.copy(task)
    model = copy.deepcopy(task.model).double().eval()
    shadow._modules = {**task._modules, "model": model}  # a dict of its own: a shallow copy shares it with the original
    shadow.training = False
    return shadow


def fresh_rows(batch: Batch, rows: int) -> Batch:
    """The first `rows` sequences, continuing none, with floats in float64; class numbers and lengths stay as they are."""
    changed: dict[str, Any] = {field.name: getattr(batch, field.name) for field in dataclasses.fields(batch)}
    for name, value in changed.items():
        if isinstance(value, Tensor):
            changed[name] = value[:rows].double() if value.is_floating_point() else value[:rows]
    return type(batch)(**{**changed, "reset": None})


def place(name: str) -> str:
    """encoder.parts.0.forward_part -> 0.forward"""
    return name.removeprefix("encoder.").removeprefix("parts.").replace(".parts.", ".").replace("_part", "")


class TracedCell(WrapperCell):
    """The inner cell, whose states after each step are kept so that their gradients can be read. For one probe only."""

    def __init__(self, cell: Cell, watch: SquashingWatch) -> None:
        super().__init__(cell)
        self.watch = watch
        self.states: list[State] = []

    def project(self, x: Tensor) -> Any:
        with self.watch.at(None):
            return self.cell.project(x)

    def step(self, p: Any, state: State) -> tuple[Tensor, State]:
        with self.watch.at(len(self.states)):
            y, new = self.cell.step(p, state)
        kept = {name: leaf for name, leaf in new.items() if leaf.is_floating_point() and leaf is not state[name]}
        for leaf in kept.values():
            if leaf.requires_grad:
                leaf.retain_grad()
        self.states.append(kept)
        return (new[self.output_key] if self.output_key in kept else y), new


class _Trace:
    """A layer of the copied model under observation. If it is called more than once, what was last called counts."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        self.watch = SquashingWatch()
        self.cell = TracedCell(layer.cell, self.watch)
        layer.cell = self.cell
        layer.executor = "loop"
        layer.recompute = False  # the steps are watched as they are taken, and once
        self.reads_backward = False
        self.lengths: Tensor | None = None
        self.y = torch.empty(0)
        layer.register_forward_pre_hook(self._begin, with_kwargs=True)
        layer.register_forward_hook(self._end)

    def _begin(self, layer: nn.Module, args: Any, kwargs: dict[str, Any]) -> Any:
        x, *others = args
        lengths = others[0] if others else kwargs.get("lengths")
        self.lengths = None if lengths is None else torch.as_tensor(lengths, device=x.device)
        self.cell.states.clear()
        self.watch.begin(self.lengths)
        return (x if x.requires_grad else x.detach().requires_grad_(), *others), kwargs  # a cell without parameters has a gradient too

    def _end(self, layer: nn.Module, args: Any, output: tuple[Tensor, State]) -> None:
        self.y = output[0].detach()

    def norms(self) -> dict[str, np.ndarray]:
        """‖∂L/∂leaf_t‖ for every floating state leaf that changes, (T,)."""
        found = {}
        for leaf in self.cell.states[0]:
            values = [state[leaf] for state in self.cell.states]
            grads = torch.stack([torch.zeros_like(value) if value.grad is None else value.grad for value in values])
            per_row = grads.flatten(2).norm(dim=2).T[..., None]  # (B, T, 1)
            if self.reads_backward:
                per_row = reverse(per_row, self.lengths)
            found[leaf] = per_row[..., 0].norm(dim=0).cpu().numpy()
        return found

    def _valid(self) -> Tensor:
        if self.lengths is None:
            return torch.ones(self.y.shape[:2], dtype=torch.bool, device=self.y.device)
        return lengths_to_mask(self.lengths, self.y.shape[1])

    def unit_means(self) -> Tensor:
        """Mean of each unit of y over the valid steps of all rows, (O,)."""
        return self.y[self._valid()].mean(0)

    def dead(self) -> float:
        """Share of the units of y that are zero at every valid step."""
        return float((self.y[self._valid()] == 0).all(0).double().mean())


def _note_direction(module: nn.Module, backward: bool, traces: dict[Layer, _Trace]) -> None:
    """Tell each trace whether its layer reads its input backward; inside two backward parts it reads forward again."""
    if isinstance(module, Layer):
        traces[module].reads_backward = backward
    for child in module.children():
        _note_direction(child, backward != (isinstance(module, Bidirectional) and child is module.backward_part), traces)


@contextmanager
def _unsaid() -> Iterator[None]:
    """Keep the executors from telling how the copy runs."""
    logger = logging.getLogger("seqlab")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def _norm(parameter: Tensor) -> float:
    return 0.0 if parameter.grad is None else float(parameter.grad.norm())
