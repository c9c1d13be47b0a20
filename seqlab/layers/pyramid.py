"""Fewer steps, each of several below it. Dimension key: B batch, T time, I input_size, O output_size."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from seqlab.cells.base import Cell, State
from seqlab.executors import lengths_to_mask
from seqlab.layers.bidirectional import Bidirectional
from seqlab.layers.contract import Lengths, SequenceModule, check_input, check_is_part
from seqlab.layers.stack import CellFactory, Stack, Wrapper, make_layer


class Shortened(SequenceModule):
    """`factor` neighbouring steps side by side make one step of the part: ⌈T / factor⌉ steps, zeros after a row's last.

    Source: W. Chan et al., 2016, "Listen, attend and spell", eq. 5. A state carried from chunk to chunk gives what one run
    gives where chunks are multiples of `factor` long. Put both directions inside, not around, or the backward one would
    pair other steps wherever a length is no multiple of `factor`.
    """

    def __init__(self, part: SequenceModule, factor: int = 2) -> None:
        """part: takes factor · input_size features. Raises ValueError where its input_size is no multiple of factor."""
        check_is_part(part, "part of Shortened")
        if factor < 1 or part.input_size % factor:
            raise ValueError(f"factor is {factor} and the part takes {part.input_size} features; expected a factor of that number, at least 1.")
        super().__init__(part.input_size // factor, part.output_size)
        self.part = part
        self.factor = factor

    def initial_state(self, batch_size: int) -> State:
        return self.part.initial_state(batch_size)

    def forward(self, x: Tensor, lengths: Lengths = None, state: State | None = None) -> tuple[Tensor, State]:
        checked = check_input(x, lengths, self.input_size, type(self).__name__)
        if checked is not None:  # the last step of a row may hold padding beside what is valid
            x = torch.where(lengths_to_mask(checked, x.shape[1])[..., None], x, 0.0)
            checked = -(-checked // self.factor)
        x = nn.functional.pad(x, (0, 0, 0, -x.shape[1] % self.factor))
        return self.part(x.reshape(len(x), -1, self.factor * self.input_size), checked, state)

    def output_lengths(self, lengths: Tensor) -> Tensor:
        return self.part.output_lengths(-(-lengths // self.factor))

    def extra_repr(self) -> str:
        return f"factor={self.factor}"


def pyramid(
    cell: str | CellFactory,
    input_size: int,
    num_layers: int = 3,
    factor: int = 2,
    dropout: float = 0.0,
    executor: str = "auto",
    hidden_size: int | None = None,
    wrappers: Sequence[Wrapper] | Mapping[str, Wrapper] = (),
    initialise: Callable[[Cell], Any] | None = None,
) -> Stack:
    """A bidirectional layer over all steps, and num_layers − 1 above it, each over 1 / factor of the steps of the one below.

    hidden_size, wrappers, initialise: as of Stack.of.
    """
    if num_layers < 1:
        raise ValueError(f"num_layers is {num_layers}; expected at least 1.")
    parts: list[SequenceModule] = []
    size = input_size
    for depth in range(num_layers):
        wide = size * (factor if depth else 1)
        ahead, back = (make_layer(cell, wide, hidden_size, wrappers, initialise, executor) for _ in range(2))
        both = Bidirectional(ahead, back)
        parts.append(Shortened(both, factor) if depth else both)
        size = both.output_size
    return Stack(parts, dropout)
