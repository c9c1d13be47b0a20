"""Whole recurrent modules of torch.nn as stacks."""

from __future__ import annotations

from torch import Tensor, nn

from seqlab.cells.base import make_cell
from seqlab.cells.convert import CELL_NAMES, check_torch_module, load_torch_weights
from seqlab.layers.bidirectional import Bidirectional
from seqlab.layers.contract import SequenceModule
from seqlab.layers.layer import Layer
from seqlab.layers.stack import Stack


def stack_from_torch(module: nn.RNNBase, executor: str = "auto") -> Stack:
    """torch.nn.RNN, LSTM or GRU -> a Stack with copies of its weights, all layers and directions, on its device and in its dtype.

    The stack gives the same numbers in the layout of seqlab: batch first whatever `batch_first` says, state as
    {"0.h": (B, H)}, or {"0.forward.h": …, "0.backward.h": …} when bidirectional. `dropout` lies between the layers, as there.
    Raises TypeError for another kind of module and ValueError for proj_size.
    """
    check_torch_module(module)
    like = module.weight_ih_l0
    assert isinstance(like, Tensor)
    options = {"activation": module.mode.removeprefix("RNN_").lower()} if module.mode.startswith("RNN_") else {}

    def layer(depth: int, reverse: bool = False) -> Layer:
        size = module.input_size if depth == 0 else module.hidden_size * (2 if module.bidirectional else 1)
        cell = make_cell(CELL_NAMES[module.mode], size, module.hidden_size, bias=module.bias, **options).to(like.device, like.dtype)
        load_torch_weights(cell, module, depth, reverse)
        return Layer(cell, executor)

    parts: list[SequenceModule] = []
    for depth in range(module.num_layers):
        parts.append(Bidirectional(layer(depth), layer(depth, reverse=True)) if module.bidirectional else layer(depth))
    return Stack(parts, dropout=module.dropout).train(module.training)
