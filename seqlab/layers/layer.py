"""A cell over time. Dimension key: B batch, T time, I input_size, O output_size."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqlab.cells.base import Cell, State
from seqlab.executors import Call, CannotCompile, Choice, Sequence, choice_in_training, choose, lengths_to_mask, run
from seqlab.executors.sequence import expand_mask
from seqlab.layers.contract import Lengths, SequenceModule, check_input, check_like, check_state


class Layer(SequenceModule):
    """Any cell over time: y_t, s_t = step(project(x)_t, s_{t−1}).

    executor: "auto", or the name of one (see seqlab.executors); one that cannot run this cell is an error at once.
    learn_initial_state: the state before the first step becomes parameters, started at what the cell says (zeros).
    recompute: run in segments of time whose inside is computed again in the backward, for memory that grows with √T.
    """

    def __init__(self, cell: Cell, executor: str = "auto", learn_initial_state: bool = False, recompute: bool = False) -> None:
        if not isinstance(cell, Cell):
            raise TypeError(f"cell is a {type(cell).__name__}; expected a seqlab.Cell, e.g. make_cell('lstm', input_size=8, hidden_size=16).")
        super().__init__(cell.input_size, cell.output_size)
        self.cell = cell
        self.executor = executor
        self.recompute = recompute
        choose(cell, executor, Call(recompute=recompute))
        self.learned = nn.ParameterDict()
        if learn_initial_state:
            start = {name: leaf for name, leaf in cell.initial_state(1).items() if leaf.is_floating_point()}
            self.learned.update({name: nn.Parameter(leaf[0].clone()) for name, leaf in start.items()})

    def choice(self) -> Choice:
        """Which executor runs this layer, and why: in training, or where it was not trained yet, for long sequences."""
        return choice_in_training(self.cell, self.executor) or choose(self.cell, self.executor, Call(recompute=self.recompute))

    def initial_state(self, batch_size: int) -> State:
        learned = {name: leaf.expand(batch_size, *leaf.shape) for name, leaf in self.learned.items()}
        return {**self.cell.initial_state(batch_size), **learned}

    def forward(self, x: Tensor, lengths: Lengths = None, state: State | None = None) -> tuple[Tensor, State]:
        subject = f"cell {type(self.cell).__name__}"
        lengths = check_input(x, lengths, self.input_size, subject)
        if state is None:
            state = self.initial_state(x.shape[0])
        else:
            check_state(state, self.cell.state_shapes, x.shape[0], subject)
        mask = None
        x = x.transpose(0, 1)
        if lengths is not None:
            mask = lengths_to_mask(lengths, x.shape[0]).T
            x = torch.where(expand_mask(mask, x), x, 0.0)  # a NaN in the padding must not reach `project`
        try:
            y, final = run(self.cell, Sequence(x.contiguous(), lengths, mask, state), self.executor, self.recompute)
        except (RuntimeError, CannotCompile):
            check_like({"x": x, **{f"state {name!r}": leaf for name, leaf in state.items()}}, self.cell.parameters(), subject)  # only now: it costs nothing
            raise
        return y.transpose(0, 1), final

    def extra_repr(self) -> str:
        return f"executor={self.executor!r}"
