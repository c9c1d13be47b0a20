"""Variational (recurrent) dropout around any cell. Dimension key: B batch, O output_size."""

from __future__ import annotations

from collections.abc import Sequence as Items

import torch
from torch import Tensor, nn

from seqlab.cells.base import Cell, State, WrapperCell
from seqlab.registry import unknown


class VariationalDropout(WrapperCell):
    """The state that a step reads is multiplied by a mask that stays the same for all steps of one call of a layer.

    ŝ_{t−1} = m ⊙ s_{t−1},  m_j = 0 with probability `rate`, else 1 / (1 − rate);  m = 1 in evaluation
    One mask for each row, drawn anew for every call and never carried on with the state.

    Source: Y. Gal and Z. Ghahramani, 2016, "A theoretically grounded application of dropout in recurrent neural networks",
    arXiv 1512.05287, section 4.
    Same as the `recurrent_dropout` of LSTM in Keras 3. Dropout on x is a layer's matter (`locked_dropout` of Stack).
    leaves: what the mask acts on. By default the leaf that y is, looked for through the wrappers; all floating leaves of
    a cell whose y is no leaf.
    rescale: False leaves out the factor 1 / (1 − rate), so that a kept unit is read as it is. The paper's cells read h only
    through a weight matrix. A cell that also carries h on by itself (gru, min_gru, lru) meets the mask there too, and the
    factor would then grow with every step that h is carried: choose False for those. For the same reason it belongs inside
    Zoneout, not around it: a Zoneout inside would keep the masked value.
    """

    def __init__(self, cell: Cell, rate: float = 0.25, leaves: Items[str] | None = None, rescale: bool = True) -> None:
        super().__init__(cell)
        if not 0 <= rate < 1:
            raise ValueError(f"rate of VariationalDropout is {rate}; expected a probability in [0, 1).")
        floating = [name for name, leaf in cell.initial_state(1).items() if leaf.is_floating_point()]
        output_key = _output_key(cell)
        if leaves is None:
            leaves = floating if output_key is None else [output_key]
        for name in leaves:
            if name not in floating:
                raise ValueError(unknown("floating state leaf", name, floating, "VariationalDropout acts on these."))
        self.rate = rate
        self.leaves = list(leaves)
        self.rescale = rescale
        # Two of these in one nest stand at different depths: the depth keeps their masks apart.
        self.mask_names = {name: f"variational_dropout.{_depth(cell)}.{name}" for name in self.leaves}

    def draw_masks(self, batch_size: int) -> State:
        """The inner cell's masks and, in training, one (B, *leaf) for each leaf, in the leaf's dtype and on its device."""
        masks = super().draw_masks(batch_size)
        if not self.training or self.rate == 0:
            return masks
        like = self.initial_state(1)
        for leaf, name in self.mask_names.items():
            mask = torch.ones(batch_size, *self.state_shapes[leaf], dtype=like[leaf].dtype, device=like[leaf].device)
            masks = {**masks, name: nn.functional.dropout(mask, self.rate) * (1 if self.rescale else 1 - self.rate)}
        return masks

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        dropped = {leaf: state[leaf] * state[name] for leaf, name in self.mask_names.items() if name in state}
        y, new = super().step(p, {**state, **dropped})
        # A leaf that the cell hands back as it read it is constant over the sequence: it must not be masked once more at each step.
        return y, {name: state[name] if leaf is dropped.get(name) else leaf for name, leaf in new.items()}

    def extra_repr(self) -> str:
        return f"rate={self.rate}, leaves={self.leaves}, rescale={self.rescale}"


def _output_key(cell: Cell) -> str | None:
    """The leaf that y is, or that y of a cell held inside is: OutputNorm hides it, but steps still read it."""
    while cell.output_key is None and isinstance(cell, WrapperCell):
        cell = cell.cell
    return cell.output_key


def _depth(cell: Cell) -> int:
    """How many wrappers lie around the innermost cell."""
    depth = 0
    while isinstance(cell, WrapperCell):
        cell, depth = cell.cell, depth + 1
    return depth
