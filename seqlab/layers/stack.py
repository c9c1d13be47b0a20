"""Parts on top of each other. Dimension key: B batch, T time, I input_size, O output_size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Sequence as Items
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from seqlab.cells.base import Cell, State, WrapperCell, make_cell
from seqlab.executors import lengths_to_mask
from seqlab.layers.bidirectional import Bidirectional
from seqlab.layers.contract import Lengths, SequenceModule, add_prefix, check_input, check_is_part, check_parts, parts_of, take_prefix
from seqlab.layers.layer import Layer

CellFactory = Callable[..., Cell]  # called with input_size=
Wrapper = Callable[[Cell], WrapperCell]


class Stack(SequenceModule):
    """Each part reads what the one below gives: layers, directions or stacks, of one cell or of different ones.

    dropout: between the parts, not after the last; a new mask for every step, or with `locked_dropout` one mask for the
    whole sequence (Y. Gal and Z. Ghahramani, 2016). residual: x, as it is before dropout, is added to y wherever a part keeps
    the width, and at least one part has to. State leaves are 0.*, 1.*, ….
    """

    def __init__(self, parts: Items[SequenceModule], dropout: float = 0.0, residual: bool = False, locked_dropout: bool = False) -> None:
        if not parts:
            raise ValueError("a Stack has no parts; expected at least one.")
        for depth, part in enumerate(parts):
            check_is_part(part, f"part {depth} of Stack")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is {dropout}; expected a probability in [0, 1).")
        for depth, (below, above) in enumerate(pairwise(parts)):
            if below.output_size != above.input_size:
                raise ValueError(f"part {depth} gives {below.output_size} features and part {depth + 1} takes {above.input_size}; expected equal widths.")
        if residual and all(part.input_size != part.output_size for part in parts):
            raise ValueError(
                f"residual=True but no part keeps its width: {[(p.input_size, p.output_size) for p in parts]}. Give one the same input and output size."
            )
        for depth, part in enumerate(parts):
            if residual and part.input_size == part.output_size and not part.keeps_steps:
                raise ValueError(f"residual=True but part {depth} makes one step of several; expected as many steps of y as of x, to which it is added.")
        super().__init__(parts[0].input_size, parts[-1].output_size)
        self.parts = nn.ModuleList(parts)
        self.dropout = dropout
        self.residual = residual
        self.locked_dropout = locked_dropout

    @classmethod
    def of(
        cls,
        cell: str | CellFactory | Items[str | CellFactory],
        input_size: int,
        hidden_size: int | None = None,
        num_layers: int = 1,
        *,
        bidirectional: bool = False,
        merge: str = "concat",
        dropout: float = 0.0,
        locked_dropout: bool = False,
        residual: bool = False,
        wrappers: Items[Wrapper] | Mapping[str, Wrapper] = (),
        initialise: Callable[[Cell], Any] | None = None,
        executor: str = "auto",
        learn_initial_state: bool = False,
        recompute: bool = False,
    ) -> Stack:
        """A stack of `num_layers` layers of one cell, or one layer of each cell when `cell` is a list.

        cell: a registered name (then hidden_size is needed) or a factory called with input_size=. wrappers: applied to
        every cell, the first innermost; a mapping's names do not matter. initialise: called on every cell before it is wrapped.
        merge: how both directions become one (see Bidirectional); raises ValueError for another than the default without bidirectional=True.
        """
        if merge != "concat" and not bidirectional:
            raise ValueError(f"merge is {merge!r} but bidirectional is False; expected two directions to merge. Add bidirectional=True, or leave merge out.")
        cells = [cell] * num_layers if isinstance(cell, str) or callable(cell) else list(cell)
        if num_layers < 1 or (len(cells) != num_layers and num_layers != 1):
            raise ValueError(f"num_layers is {num_layers} with {len(cells)} cells; expected at least 1, and as many layers as cells are listed.")

        def layer(which: str | CellFactory, size: int) -> Layer:
            return make_layer(which, size, hidden_size, wrappers, initialise, executor, learn_initial_state, recompute)

        parts: list[SequenceModule] = []
        size = input_size
        for which in cells:
            parts.append(Bidirectional(layer(which, size), layer(which, size), merge) if bidirectional else layer(which, size))
            size = parts[-1].output_size
        return cls(parts, dropout, residual, locked_dropout)

    def initial_state(self, batch_size: int) -> State:
        state: State = {}
        for name, part in parts_of(self.parts).items():
            state |= add_prefix(name, part.initial_state(batch_size))
        return state

    def forward(self, x: Tensor, lengths: Lengths = None, state: State | None = None) -> tuple[Tensor, State]:
        checked = check_input(x, lengths, self.input_size, type(self).__name__)
        parts = parts_of(self.parts)
        check_parts(state, parts, type(self).__name__)
        if self.residual and checked is not None:
            x = torch.where(lengths_to_mask(checked, x.shape[1])[..., None], x, 0.0)  # what is added stays zero in the padding
        final: State = {}
        for depth, (name, part) in enumerate(parts.items()):
            y, last = part(self._drop(x) if depth else x, checked, take_prefix(name, state))
            final |= add_prefix(name, last)
            x = x + y if self.residual and part.input_size == part.output_size else y
            checked = part.output_lengths(checked) if checked is not None else None
        return x, final

    def _drop(self, x: Tensor) -> Tensor:
        if not self.locked_dropout:
            return nn.functional.dropout(x, self.dropout, self.training)
        return x * nn.functional.dropout(torch.ones_like(x[:, :1]), self.dropout, self.training)

    def output_lengths(self, lengths: Tensor) -> Tensor:
        for part in parts_of(self.parts).values():
            lengths = part.output_lengths(lengths)
        return lengths

    def extra_repr(self) -> str:
        return f"dropout={self.dropout}, residual={self.residual}"


def make_layer(
    cell: str | CellFactory,
    input_size: int,
    hidden_size: int | None = None,
    wrappers: Items[Wrapper] | Mapping[str, Wrapper] = (),
    initialise: Callable[[Cell], Any] | None = None,
    executor: str = "auto",
    learn_initial_state: bool = False,
    recompute: bool = False,
) -> Layer:
    """A layer of a cell that is built, initialised and wrapped for it, as `Stack.of` says."""
    if isinstance(cell, Cell):
        raise TypeError(f"cell is a {type(cell).__name__} already built; expected a name or a factory, as every layer needs its own. Use Stack([Layer(cell)]).")
    if isinstance(cell, str):
        if hidden_size is None:
            raise ValueError(f"hidden_size is missing for cell {cell!r}; expected the width of its state.")
        built = make_cell(cell, input_size, hidden_size)
    else:
        built = cell(input_size=input_size)
    if initialise is not None:
        initialise(built)
    for wrap in wrappers.values() if isinstance(wrappers, Mapping) else wrappers:
        built = wrap(built)
    return Layer(built, executor, learn_initial_state, recompute)
