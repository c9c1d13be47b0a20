"""Cells that the engine has never seen, each with something that has gone wrong in an engine before."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor, nn

from seqlab import Cell
from seqlab.cells.base import State


class Odd(Cell):
    """LSTM-shaped products, a peephole, gates that share, a sine, and an output that is the new state itself."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size, {"h": (hidden_size,), "c": (hidden_size,)}, "h")
        self.input_weight = nn.Parameter(torch.randn(4 * hidden_size, input_size) / input_size**0.5)
        self.recurrent_weight = nn.Parameter(torch.randn(4 * hidden_size, hidden_size) / hidden_size**0.5)
        self.bias = nn.Parameter(torch.zeros(4 * hidden_size))
        self.peephole = nn.Parameter(torch.randn(hidden_size) / 10)

    def project(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.input_weight, self.bias)

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        a, f, g, o = (p + state["h"] @ self.recurrent_weight.T).chunk(4, -1)
        keep = torch.sigmoid(f + self.peephole * state["c"])
        c = keep * state["c"] + (1 - keep) * torch.tanh(a) * torch.sigmoid(g)
        h = torch.sigmoid(o) * torch.sin(c)
        return h, {"h": h, "c": c}


class Small(Cell):
    """h = φ(p + U h): the base of the cells below."""

    def __init__(self, input_size: int = 3, hidden_size: int = 5, shapes: dict[str, tuple[int, ...]] | None = None) -> None:
        super().__init__(input_size, hidden_size, {"h": (hidden_size,), **(shapes or {})})
        self.input_weight = nn.Parameter(torch.randn(hidden_size, input_size) / 2)
        self.recurrent_weight = nn.Parameter(torch.randn(hidden_size, hidden_size) / 3)

    def project(self, x: Tensor) -> Tensor:
        return x @ self.input_weight.T

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        h = torch.tanh(p + state["h"] @ self.recurrent_weight.T)
        return h, {**state, "h": h}


class Tied(Small):
    """One matrix twice, once transposed."""

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        u = torch.tanh(state["h"] @ self.recurrent_weight.T)
        h = torch.tanh(p + u @ self.recurrent_weight)
        return h, {"h": h}


class Attends(Small):
    """A leaf that never changes and still wants a gradient, and products of a matrix for each row."""

    def __init__(self) -> None:
        super().__init__(shapes={"memory": (4, 5)})

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        weights = torch.softmax(torch.einsum("bh,bsh->bs", state["h"] @ self.recurrent_weight.T, state["memory"]), -1)
        h = torch.tanh(p + torch.einsum("bs,bsh->bh", weights, state["memory"]))
        return h, {"h": h, "memory": state["memory"]}


class Counts(Small):
    """A whole-number leaf, an embedding in the step, a write to a tensor of its own, and an output that is no state."""

    def __init__(self) -> None:
        super().__init__(shapes={"count": ()})
        self.position = nn.Embedding(7, 5)

    def initial_state(self, batch_size: int) -> State:
        return {"h": self.input_weight.new_zeros(batch_size, 5), "count": torch.zeros(batch_size, dtype=torch.long)}

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        h = torch.tanh(p + state["h"] @ self.recurrent_weight.T + self.position(state["count"] % 7))
        y = h * 2
        y[:, :2] = y[:, :2] / 2
        return y, {"h": h, "count": state["count"] + 1}


class RowProducts(Small):
    """The batch leaves the gradient of a weight only after a (B, H, H) product."""

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        h = torch.tanh(p + (state["h"].unsqueeze(1) * torch.tanh(self.recurrent_weight)).sum(-1))
        return h, {"h": h}


class Complex(Small):
    """Complex numbers inside: a decomposed forward trace would lose their gradient."""

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        turn = torch.polar(torch.sigmoid(self.recurrent_weight[0]), self.recurrent_weight[1])
        h = torch.view_as_real(turn * torch.view_as_complex(torch.stack([state["h"], p], -1))).sum(-1)
        return h, {"h": h}


class _Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, a: Tensor) -> Tensor:
        return a.clone()

    @staticmethod
    def backward(ctx: object, da: Tensor) -> Tensor:
        return 2 * da


class StraightThrough(Small):
    """A custom autograd Function, whose backward is not the derivative of its forward."""

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        h = torch.tanh(p + _Doubled.apply(state["h"] @ self.recurrent_weight.T))  # type: ignore[operator]
        return h, {"h": h}


class Scaled(Small):
    """A plain attribute that the step reads."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = 1.0

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        h = torch.tanh(p + self.factor * (state["h"] @ self.recurrent_weight.T))
        return h, {"h": h}


class Configured(Small):
    """A record of options and a module without parameters, both read by the step."""

    def __init__(self) -> None:
        super().__init__()
        self.options = SimpleNamespace(factor=1.0)
        self.squash = nn.Tanh()

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        h = self.squash(p + self.options.factor * (state["h"] @ self.recurrent_weight.T))
        return h, {"h": h}
