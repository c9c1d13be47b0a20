"""torch.nn's fused kernels (oneDNN, cuDNN), for the cells whose equations are exactly theirs. Weights stay the cell's."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from seqlab.cells.base import Cell, NativeCell, State
from seqlab.executors.sequence import Sequence

_KERNELS = {"lstm": torch.lstm, "gru": torch.gru, "rnn_tanh": torch.rnn_tanh, "rnn_relu": torch.rnn_relu}


def why_not_native(cell: Cell) -> str:
    """What in the cell prevents the kernel, or an empty string."""
    if not isinstance(cell, NativeCell):
        return f"{type(cell).__name__} has equations of its own"
    weights = cell.native_weights()
    return weights if isinstance(weights, str) else ""


def native(cell: Cell, inputs: Sequence) -> tuple[Tensor, State]:
    """y (T, B, H) and the final state from one kernel call; rows with lengths go packed."""
    assert isinstance(cell, NativeCell)
    weights = cell.native_weights()
    assert not isinstance(weights, str)
    keys = ["h", "c"] if weights.kind == "lstm" else ["h"]
    hidden = [inputs.state[key][None].contiguous() for key in keys]  # a learned state comes expanded, which cuDNN refuses
    flat = [w for w in weights[1:] if w is not None]
    has_biases = weights.input_bias is not None
    keep = torch.is_grad_enabled()  # cuDNN's "train": what the backward needs. Not cell.training, since evaluation may be differentiated too
    kernel = _KERNELS[weights.kind]
    if inputs.lengths is None:
        first = hidden if weights.kind == "lstm" else hidden[0]
        y, *last = kernel(inputs.x, first, flat, has_biases, 1, 0.0, keep, False, False)
        return y, {key: leaf[0].to(inputs.state[key].dtype) for key, leaf in zip(keys, last, strict=True)}  # autocast narrows; the carry does not
    packed = pack_padded_sequence(inputs.x, inputs.lengths.cpu(), enforce_sorted=False)
    order, back = packed.sorted_indices, packed.unsorted_indices
    assert order is not None
    assert back is not None
    ordered = [leaf.index_select(1, order) for leaf in hidden]
    first = ordered if weights.kind == "lstm" else ordered[0]
    data, *last = kernel(packed.data, packed.batch_sizes, first, flat, has_biases, 1, 0.0, keep, False)
    y, _ = pad_packed_sequence(PackedSequence(data, packed.batch_sizes, order, back), total_length=inputs.x.shape[0])
    return y, {key: leaf[0].index_select(0, back).to(inputs.state[key].dtype) for key, leaf in zip(keys, last, strict=True)}
