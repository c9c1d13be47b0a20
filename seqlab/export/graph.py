"""A model in the form that can be written down as a graph: a loop over time stays one loop, whatever the length.

Dimension key: B batch, T time, I input_size, O output_size.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch._higher_order_ops.scan import scan  # public in name only as torch.export's own operator; pinned by torch<2.14

from seqlab.cells.base import Cell, State
from seqlab.executors.sequence import call_weights
from seqlab.layers import Layer, SequenceModule
from seqlab.layers.contract import Lengths
from seqlab.model import SequenceModel


class Whole(nn.Module):
    """forward(inputs (B, T, …), state) -> scores and the state, for any B and T: what is exported. No row is padded."""

    def __init__(self, model: SequenceModel) -> None:
        super().__init__()
        self.model = with_scans(copy.deepcopy(model).eval())

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        return self.model(inputs, None, state)


class ScanLayer(SequenceModule):
    """A Layer whose steps are one `scan`: the graph holds the step once, as ONNX's Scan does, and runs it T times."""

    def __init__(self, layer: Layer) -> None:
        super().__init__(layer.input_size, layer.output_size)
        self.cell = fixed(layer.cell)
        self.start = layer.initial_state  # the method, not the layer: its weights would stand in the graph a second time

    def initial_state(self, batch_size: int) -> State:
        return self.start(batch_size)

    def forward(self, x: Tensor, lengths: Lengths = None, state: State | None = None) -> tuple[Tensor, State]:
        assert lengths is None
        assert state is not None

        def step(carried: State, p: Any) -> tuple[State, Tensor]:
            y, new = self.cell.step(p, carried)
            # y is often a leaf, and a constant leaf is its own input: a scan's outputs may share no memory
            return {name: new[name].clone() for name in carried}, y.clone()

        final, y = scan(step, state, self.cell.project(x.transpose(0, 1)), dim=0)
        return y.transpose(0, 1), final


def fixed(cell: Cell) -> Cell:
    """A copy of the cell that holds what `weights()` gives in evaluation mode. Raises ValueError for a cell that draws masks there."""
    made = copy.deepcopy(cell).eval()
    if made.draw_masks(1):
        raise ValueError(f"cell {type(cell).__name__} draws masks in evaluation mode too, so no graph is the whole of it. Train it without this wrapper.")
    own = {**dict(made.named_parameters()), **dict(made.named_buffers())}
    with torch.no_grad():
        for name, value in call_weights(made).items():
            own[name].copy_(value)
    return made


def with_scans(module: Any) -> Any:
    """The module with a ScanLayer in the place of each Layer, at any depth."""
    made: dict[int, ScanLayer] = {}  # a layer may stand in two places
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, Layer):
                setattr(parent, name, made.setdefault(id(child), ScanLayer(child)))
    return module
