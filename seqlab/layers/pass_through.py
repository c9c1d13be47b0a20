"""No layers at all, where what the front end gives is what the head should read."""

from __future__ import annotations

import torch
from torch import Tensor

from seqlab.cells.base import State
from seqlab.executors import lengths_to_mask
from seqlab.layers.contract import Lengths, SequenceModule, check_input


class PassThrough(SequenceModule):
    """y = x, zero past a row's length; without state."""

    def __init__(self, input_size: int) -> None:
        super().__init__(input_size, input_size)

    def forward(self, x: Tensor, lengths: Lengths = None, state: State | None = None) -> tuple[Tensor, State]:
        checked = check_input(x, lengths, self.input_size, "the encoder")
        if state:
            raise ValueError(f"state has the leaves {sorted(state)} but the encoder has none. Pass no state.")
        return x if checked is None else torch.where(lengths_to_mask(checked, x.shape[1])[..., None], x, 0.0), {}

    def initial_state(self, batch_size: int) -> State:
        return {}
