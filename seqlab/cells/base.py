"""The cell contract: one step of a recurrence, in plain PyTorch.

Dimension key: B batch, I input_size, O output_size; `…` stands for any number of leading axes.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from seqlab.registry import resolve_cell, unknown

State = dict[str, Tensor]
Projected = Tensor | tuple[Tensor, ...]


class Cell(nn.Module, ABC):
    """One step of a recurrence. Subclasses write `step`, and `project` for what needs no previous state.

    `state_shapes` maps the name of each state leaf to its shape without the batch axis. `output_key` names the leaf that
    y is, or is None when y is no leaf of the state. `gates` are the blocks of rows that input_weight, recurrent_weight and
    bias stack, in their order. `keep_gate` is the gate that decides how much of the old state is kept, and +1 if it keeps
    where it is open, −1 if where it is closed; initialisation reads both.
    """

    gates: Sequence[str] = ()
    keep_gate: tuple[str, int] | None = None

    def __init__(self, input_size: int, output_size: int, state_shapes: Mapping[str, tuple[int, ...]], output_key: str | None = None) -> None:
        super().__init__()
        for name, size in (("input_size", input_size), ("output_size", output_size)):
            if not isinstance(size, int) or isinstance(size, bool) or size < 1:
                raise ValueError(f"{name} is {size!r}; expected a whole number of at least 1.")
        if output_key is not None and output_key not in state_shapes:
            raise ValueError(f"output_key is {output_key!r}; expected one of the state leaves {sorted(state_shapes)} or None.")
        for name, shape in state_shapes.items():
            if not all(isinstance(size, int) and size >= 1 for size in shape):
                raise ValueError(f"state {name!r} has the shape {tuple(shape)}; expected whole numbers of at least 1, without the batch axis.")
        self.input_size = input_size
        self.output_size = output_size
        self.state_shapes = {name: tuple(shape) for name, shape in state_shapes.items()}
        self.output_key = output_key

    def weights(self) -> dict[str, Tensor]:
        """{name: tensor} that `project` and `step` read; called once per call of a layer.

        Weight drop and other reparametrisations override it: the layer puts the returned tensors in the place of the
        parameters of the same name for the duration of the call. Random numbers are allowed here.
        """
        return {**dict(self.named_parameters()), **dict(self.named_buffers())}

    def project(self, x: Tensor) -> Projected:
        """x (…, I) -> p (…, ·), a tensor or a tuple of tensors: all that needs no previous state, for all steps at once.

        Must treat every position of the leading axes alike. Per-step random masks are drawn here and travel beside p.
        """
        return x

    def draw_masks(self, batch_size: int) -> State:
        """{name: (B, …)} drawn once per call of a layer (per-call dropout masks); nothing by default.

        `step` finds them in `state` beside the declared leaves. It does not return them, and they are never carried on,
        so that truncated back-propagation does not keep one mask for an epoch.
        """
        return {}

    @abstractmethod
    def step(self, p: Any, state: State) -> tuple[Tensor, State]:
        """p (B, ·), state {name: (B, …)} -> y (B, O) and every declared leaf with the shape it came with.

        Pure: it writes to none of its arguments, draws no random numbers, keeps no attributes; rows are independent.
        """

    def initial_state(self, batch_size: int) -> State:
        """{name: (B, …)}: zeros of the parameters' dtype and device, unless the cell says otherwise."""
        like = next((p for p in (*self.parameters(), *self.buffers()) if p.is_floating_point()), torch.empty(0))
        return {name: like.new_zeros(batch_size, *shape) for name, shape in self.state_shapes.items()}


class NativeWeights(NamedTuple):
    """A cell's weights in the layout of torch.nn's kernels: gates stacked along the first axis, one direction.

    kind: lstm (gates i, f, g, o), gru (r, z, n), rnn_tanh or rnn_relu. Biases are both given or both None.
    """

    kind: str
    input_weight: Tensor
    recurrent_weight: Tensor
    input_bias: Tensor | None
    recurrent_bias: Tensor | None


class NativeCell(Cell):
    """A cell whose equations are exactly those of a kernel of torch.nn. State leaves are h, and c for lstm."""

    @abstractmethod
    def native_weights(self) -> NativeWeights | str:
        """The weights for the kernel, made from the cell's own so that gradients reach them; or a sentence that says
        which option of this instance the kernel does not have."""


class ScanCell(Cell):
    """A cell that is linear in its state, h_t = a_t · h_{t−1} + b_t, so that an executor can compute all steps at once.

    It has one state leaf. · is the elementwise product; with `complex_state` it is the complex product, and the last axis of
    the leaf, of a and of b holds the real parts, then the imaginary parts. `step` remains the definition: `scan_terms` and
    `scan_output` are the same equations without the state of the step before.
    """

    complex_state: ClassVar[bool] = False

    @abstractmethod
    def scan_terms(self, p: Any) -> tuple[Tensor, Tensor]:
        """p (…, ·) as `project` gives it -> a and b: b (…, *leaf shape), a of the same shape or one that broadcasts to it."""

    def scan_output(self, p: Any, h: Tensor) -> Tensor:
        """p (…, ·) and the leaf after each step, h (…, *leaf shape) -> y (…, O); by default y is the leaf."""
        return h


class WrapperCell(Cell):
    """A cell that holds a cell. Inner state leaves, weights and masks keep their names, weights under `cell.`.

    Subclasses change the step, what is projected or the weights; by default all is passed on to the inner cell.
    """

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell.input_size, cell.output_size, cell.state_shapes, cell.output_key)
        self.cell = cell

    def weights(self) -> dict[str, Tensor]:
        own = {name: value for name, value in super().weights().items() if not name.startswith("cell.")}
        return {**own, **{f"cell.{name}": value for name, value in self.cell.weights().items()}}

    def project(self, x: Tensor) -> Any:
        return self.cell.project(x)

    def draw_masks(self, batch_size: int) -> State:
        return self.cell.draw_masks(batch_size)

    def step(self, p: Any, state: State) -> tuple[Tensor, State]:
        return self.cell.step(p, state)

    def initial_state(self, batch_size: int) -> State:
        return self.cell.initial_state(batch_size)


def make_cell(name: str, input_size: int, hidden_size: int, **options: Any) -> Cell:
    """The registered cell `name`, e.g. make_cell("lstm_peephole", input_size=64, hidden_size=128).

    Raises ValueError for an unknown name or option, with the closest match, and TypeError for a class that is no Cell.
    """
    cls = resolve_cell(name)
    if not issubclass(cls, Cell):
        raise TypeError(f"cell {name!r} is {cls.__module__}.{cls.__qualname__}, which is no subclass of seqlab.Cell. Derive it from Cell.")
    for key, size in (("input_size", input_size), ("hidden_size", hidden_size)):
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise ValueError(f"{key} of cell {name!r} is {size!r}; expected a whole number of at least 1.")
    accepted = inspect.signature(cls).parameters
    if not any(p.kind is p.VAR_KEYWORD for p in accepted.values()):
        for option in options:
            if option not in accepted:
                known = [p for p in accepted if p not in ("input_size", "hidden_size")]
                raise ValueError(unknown(f"option of cell {name!r}", option, known))
    return cls(input_size, hidden_size, **options)
