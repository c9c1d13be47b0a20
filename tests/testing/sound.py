"""A sound cell, and the list of its bugs: `seen_by` says which check has to see each, and in what words."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from seqlab import Cell
from seqlab.cells.base import State


class Sound(Cell):
    """f = σ(W_f x + U_f h + b_f), g = tanh(W_g x + U_g h + b_g), c ← f ⊙ c + (1 − f) ⊙ g, h = tanh(scale ⊙ c); scale is drawn."""

    def __init__(self) -> None:
        super().__init__(3, 4, {"h": (4,), "c": (4,)}, output_key="h")
        self.input_weight = nn.Parameter(torch.empty(8, 3).uniform_(-1, 1))
        self.recurrent_weight = nn.Parameter(torch.empty(8, 4).uniform_(-0.7, 0.7))
        self.bias = nn.Parameter(torch.empty(8).uniform_(-0.5, 0.5))
        self.register_buffer("scale", torch.empty(4).uniform_(0.5, 1.5))

    def project(self, x: Tensor) -> Any:
        return nn.functional.linear(x, self.input_weight, self.bias)

    def gates(self, p: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        f, g = (p + h @ self.recurrent_weight.T).chunk(2, -1)
        return torch.sigmoid(f), torch.tanh(g)

    def step(self, p: Any, state: State) -> tuple[Tensor, State]:
        f, g = self.gates(p, state["h"])
        c = f * state["c"] + (1 - f) * g
        h = torch.tanh(self.scale * c)
        return h, {"h": h, "c": c}


BUGS: list[tuple[type[Cell], str, str]] = []  # class, the check named for the bug, part of its message


def seen_by(check: str, message: str) -> Any:
    """Class decorator: the check that must fail for this cell, and what it must say."""

    def note(cls: type[Cell]) -> type[Cell]:
        BUGS.append((cls, check, message))
        return cls

    return note


class Unusual(Sound):
    """All that the contract allows and few cells do: a learned initial state, a leaf that never changes, one that counts in
    whole numbers, several parts of p with noise among them, a mask drawn for each call, y that is no leaf."""

    def __init__(self) -> None:
        super().__init__()
        self.output_key = None
        self.state_shapes |= {"memory": (2, 2), "age": ()}
        self.start = nn.Parameter(torch.randn(4))
        self.recall = nn.Parameter(torch.randn(2, 2))

    def initial_state(self, batch_size: int) -> State:
        start = self.start.expand(batch_size, 4)
        memory = self.recall.expand(batch_size, 2, 2)
        return {"h": start, "c": torch.zeros_like(start), "memory": memory, "age": torch.zeros(batch_size, dtype=torch.int64)}

    def project(self, x: Tensor) -> Any:
        p = super().project(x)
        keep = torch.rand_like(p[..., :1]) > 0.5 if self.training else torch.ones_like(p[..., :1], dtype=torch.bool)
        return p, keep

    def draw_masks(self, batch_size: int) -> State:
        return {"mask": nn.functional.dropout(torch.ones_like(self.bias[:4]).expand(batch_size, 4), 0.5, self.training)}

    def step(self, p: Any, state: State) -> tuple[Tensor, State]:
        p, keep = p
        h, new = super().step(p * keep, {**state, "h": state["h"] * state["mask"]})
        y = h + state["memory"].flatten(1) / (1 + state["age"][:, None])
        return y, {**new, "memory": state["memory"], "age": state["age"] + 1}
