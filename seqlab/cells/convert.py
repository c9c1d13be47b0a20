"""Weights of torch.nn's recurrent modules, loaded into the cells that have their equations."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqlab.cells.base import Cell
from seqlab.cells.gru_reset_after import GRUResetAfter
from seqlab.cells.lstm import LSTM
from seqlab.cells.rnn import IRNN, RNN

CELL_NAMES = {"LSTM": "lstm", "GRU": "gru_reset_after", "RNN_TANH": "rnn", "RNN_RELU": "rnn"}


def load_torch_weights(cell: Cell, module: nn.RNNBase, layer: int = 0, reverse: bool = False) -> None:
    """Copy one layer and direction of torch.nn.RNN, LSTM or GRU into a cell `rnn` or `irnn`, `lstm` or `gru_reset_after`.

    torch keeps two biases for each gate; where one serves, it becomes their sum. Training both is then another step, since
    torch moves its two by the same gradient each. Raises TypeError for a cell or module of another kind, ValueError for
    another activation, sizes or biases, and for a layer or direction that the module lacks.
    """
    check_torch_module(module)
    _check_kind(cell, module)
    assert isinstance(cell, LSTM | GRUResetAfter | RNN | IRNN)
    if not 0 <= layer < module.num_layers:
        raise ValueError(f"layer is {layer}; expected 0..{module.num_layers - 1}, the layers of this {type(module).__name__}.")
    if reverse and not module.bidirectional:
        raise ValueError(f"reverse is True but this {type(module).__name__} is not bidirectional. Leave reverse out.")
    suffix = f"l{layer}_reverse" if reverse else f"l{layer}"
    input_weight, recurrent_weight = getattr(module, f"weight_ih_{suffix}"), getattr(module, f"weight_hh_{suffix}")
    given, taken = (input_weight.shape[1], recurrent_weight.shape[1]), (cell.input_size, cell.output_size)
    if given != taken:
        raise ValueError(f"layer {layer} of the module has input_size, hidden_size = {given} but the cell has {taken}. Build the cell with the module's.")
    if module.bias != (cell.bias is not None):
        raise ValueError(f"the module has bias={module.bias} but the cell bias={cell.bias is not None}. Build the cell with bias={module.bias}.")
    with torch.no_grad():
        cell.input_weight.copy_(input_weight)
        cell.recurrent_weight.copy_(recurrent_weight)
        if cell.bias is not None:
            _load_biases(cell, cell.bias, getattr(module, f"bias_ih_{suffix}"), getattr(module, f"bias_hh_{suffix}"))


def _load_biases(cell: Cell, bias: Tensor, input_bias: Tensor, recurrent_bias: Tensor) -> None:
    if isinstance(cell, GRUResetAfter):  # the reset gate parts the two biases of the candidate, so both stay
        assert cell.recurrent_bias is not None
        width = cell.output_size
        cell.recurrent_bias.copy_(recurrent_bias[2 * width :])
        recurrent_bias = torch.cat([recurrent_bias[: 2 * width], recurrent_bias.new_zeros(width)])
    bias.copy_(input_bias + recurrent_bias)


def check_torch_module(module: nn.RNNBase) -> None:
    """Raise unless the module is torch.nn.RNN, LSTM or GRU (TypeError), without projection (ValueError)."""
    if not isinstance(module, nn.RNNBase) or module.mode not in CELL_NAMES:
        raise TypeError(f"module is a {type(module).__name__}; expected torch.nn.RNN, LSTM or GRU.")
    if module.proj_size:
        raise ValueError(f"the module has proj_size={module.proj_size}, which no cell has; expected 0.")


def _check_kind(cell: Cell, module: nn.RNNBase) -> None:
    """Raise unless the cell has exactly the module's equations."""
    fits = CELL_NAMES[module.mode]
    if not isinstance(cell, LSTM | GRUResetAfter | RNN | IRNN):
        raise TypeError(f"cell is a {type(cell).__name__}; expected the cell {fits!r}, which has the equations of torch.nn.{type(module).__name__}.")
    native = cell.native_weights()
    kind = native if isinstance(native, str) else native.kind
    if kind != module.mode.lower():
        raise ValueError(f"cell {type(cell).__name__} is no match for a module of mode {module.mode}: {kind}. Build the cell {fits!r} with its activation.")
