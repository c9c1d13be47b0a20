"""Weight drop (DropConnect on the recurrent weights) around any cell."""

from __future__ import annotations

from collections.abc import Sequence as Items

from torch import Tensor, nn

from seqlab.cells.base import Cell, NativeCell, NativeWeights, WrapperCell
from seqlab.cells.init import role
from seqlab.registry import unknown


class WeightDrop(WrapperCell, NativeCell):
    """Entries of the recurrent weights are zero with probability `rate`, the same ones for all steps and rows of one call.

    Û = M ⊙ U,  M_ij = 0 with probability `rate`, else 1 / (1 − rate), drawn once per call of a layer;  Û = U in evaluation
    The parameter is U itself: the optimizer steps on it and its gradient is M ⊙ ∂L/∂Û.

    Source: S. Merity, N. Keskar and R. Socher, 2018, "Regularizing and optimizing LSTM language models", section 2; L. Wan et al., 2013.
    Where the inner cell has a kernel of torch.nn, so has this one: the kernel reads Û.
    names: parameters to drop, by their whole name or its last component; by default every recurrent weight.
    """

    def __init__(self, cell: Cell, rate: float = 0.5, names: Items[str] | None = None) -> None:
        super().__init__(cell)
        if not 0 <= rate < 1:
            raise ValueError(f"rate of WeightDrop is {rate}; expected a probability in [0, 1).")
        known = [name for name, _ in cell.named_parameters()]
        if names is None:
            chosen = [name for name in known if role(name) == "recurrent"]
            if not chosen:
                raise ValueError(
                    f"cell {type(cell).__name__} has no parameter named recurrent_weight; it has {', '.join(known) or 'none'}. Say which with names=[…], or "
                    "leave the wrapper out, as wrap=[] does."
                )
        else:
            for name in names:
                if not any(name in (k, k.rpartition(".")[2]) for k in known):
                    raise ValueError(unknown(f"parameter of cell {type(cell).__name__}", name, known))
            chosen = [k for k in known if k in names or k.rpartition(".")[2] in names]
        self.rate = rate
        self.names = chosen

    def weights(self) -> dict[str, Tensor]:
        """The inner cell's weights; in training the chosen ones with their entries dropped."""
        weights = super().weights()
        if self.training:
            weights |= {f"cell.{name}": nn.functional.dropout(weights[f"cell.{name}"], self.rate) for name in self.names}
        return weights

    def native_weights(self) -> NativeWeights | str:
        if not isinstance(self.cell, NativeCell):
            return f"{type(self.cell).__name__} has equations of its own"
        return self.cell.native_weights()

    def extra_repr(self) -> str:
        return f"rate={self.rate}, names={self.names}"
