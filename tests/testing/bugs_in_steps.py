"""The sound cell with one bug at a time: shapes, purity, rows, time."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy
import torch
from torch import Tensor, nn

from seqlab.cells.base import State
from tests.testing.sound import Sound, seen_by


@seen_by("check_spec", r"leaves ['h']; expected ['c', 'h']")
class DropsLeaf(Sound):
    def step(self, p: Any, state: State) -> tuple[Tensor, State]:
        h, new = super().step(p, state)
        return h, {"h": new["h"]}


@seen_by("check_spec", "y of a step has shape (4,); expected (1, 4)")
class SqueezesOneRow(Sound):
    def step(self, p: Any, state: State) -> tuple[Tensor, State]:
        h, new = super().step(p, state)
        return h.squeeze(0), new


@seen_by("check_spec", "expected a real one")
class HasComplexState(Sound):
    def initial_state(self, batch_size: int) -> State:
        return {name: leaf + 0j for name, leaf in super().initial_state(batch_size).items()}


@seen_by("check_spec", "the leaf 'h' that output_key names")
class NamesWrongOutput(Sound):
    def step(self, p: Any, state: State) -> tuple[Tensor, State]:
        h, new = super().step(p, state)
        return 2 * h, new


@seen_by("check_is_pure", "state 'c'")
class OverwritesState(Sound):
    def step(self, p: Any, state: State) -> tuple[Tensor, State]:
        f, g = self.gates(p, state["h"])
        c = state["c"].mul_(f).add_((1 - f) * g)
        h = torch.tanh(self.scale * c)
        return h, {"h": h, "c": c}


@seen_by("check_is_pure", "in the dict it was given")
class WritesIntoStateDict(Sound):
    def step(self, p: Any, state: State) -> tuple[Tensor, State]:
        h, new = super().step(p, state)
        state.update(new)
        return h, state


@seen_by("check_is_pure", "drew random numbers")
class DrawsInStep(Sound):
    def step(self, p: Any, state: State) -> tuple[Tensor, State]:
        h, new = super().step(p, state)
        return nn.functional.dropout(h, 0.5, self.training), new


@seen_by("check_is_pure", "attribute 'seen'")
class KeepsList(Sound):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[float] = []

    def step(self, p: Any, state: State) -> tuple[Tensor, State]:
        h, new = super().step(p, state)
        self.seen.append(float(h.detach().sum()))
        return h, new


@seen_by("check_is_pure", "attribute 'keys'")
class KeepsProjection(Sound):
    def project(self, x: Tensor) -> Any:
        self.keys = super().project(x)
        return self.keys


@seen_by("check_is_pure", "as it was returned")
class ReturnsSharedMemory(Sound):
    memory: ClassVar[Tensor] = torch.zeros(8, 4)

    def step(self, p: Any, state: State) -> tuple[Tensor, State]:
        h, new = super().step(p, state)
        view = self.memory[: h.shape[0]]
        view.copy_(new["c"].detach())
        return h, {"h": h, "c": view}


@seen_by("check_evaluation_is_deterministic", "in evaluation drew random numbers")
class DropsInEvaluation(Sound):
    def project(self, x: Tensor) -> Any:
        return nn.functional.dropout(super().project(x), 0.5)


@seen_by("check_evaluation_is_deterministic", "in training with the same seed")
class DrawsElsewhere(Sound):
    def project(self, x: Tensor) -> Any:
        p = super().project(x)
        return p + torch.from_numpy(numpy.random.rand(*p.shape)).to(p) if self.training else p


@seen_by("check_project_is_per_step", "at step 2, row 1")
class ProjectsOverTime(Sound):
    def project(self, x: Tensor) -> Any:
        return super().project(x).cumsum(0)


@seen_by("check_project_is_per_step", "at step 1, row 0")
class ProjectsOverRows(Sound):
    def project(self, x: Tensor) -> Any:
        return super().project(x - x.mean(-2, keepdim=True))


@seen_by("check_project_is_per_step", "as the step alone gives")
class ProjectsByPosition(Sound):
    def project(self, x: Tensor) -> Any:
        p = super().project(x)
        return p + torch.arange(p.shape[0]).reshape(-1, *[1] * (p.dim() - 1)).to(p)


@seen_by("check_rows_are_independent", "with row 1 altered")
class CentresRows(Sound):
    def step(self, p: Any, state: State) -> tuple[Tensor, State]:
        return super().step(p, {**state, "c": state["c"] - 0.1 * state["c"].mean(0)})


@seen_by("check_rows_are_independent", "with row 1 altered")
class NormalisesBatchInTraining(Sound):
    def step(self, p: Any, state: State) -> tuple[Tensor, State]:
        h, new = super().step(p, state)
        h = (h - h.mean(0)) / (h.std(0, unbiased=False) + 1) if self.training else h
        return h, {**new, "h": h}


@seen_by("check_rows_are_independent", "as the row alone gives")
class DividesByBatchSize(Sound):
    def step(self, p: Any, state: State) -> tuple[Tensor, State]:
        return super().step(p / p.shape[0], state)


@seen_by("check_unequal_histories", "whose neighbours have longer or shorter histories")
class FollowsFirstRow(Sound):
    """The first row's age decides for all: visible only once rows differ in age."""

    def __init__(self) -> None:
        super().__init__()
        self.state_shapes["age"] = (1,)

    def step(self, p: Any, state: State) -> tuple[Tensor, State]:
        h, new = super().step(p / (1 + state["age"][:1]), state)
        return h, {**new, "age": state["age"] + 1}


@seen_by("check_resumes", "run as 1 + 3 + 2")
class ForgetsBetweenCalls(Sound):
    """c is kept on the module from step to step and started anew with each call."""

    def draw_masks(self, batch_size: int) -> State:
        self.memory = None
        return {}

    def step(self, p: Any, state: State) -> tuple[Tensor, State]:
        h, new = super().step(p, state if self.memory is None else {**state, "c": self.memory})
        self.memory = new["c"]
        return h, {**new, "c": 0 * new["c"]}


@seen_by("check_ignores_padding", "with NaN in the padding")
class IsUndefinedAtZero(Sound):
    def project(self, x: Tensor) -> Any:
        return super().project(x / x.norm(dim=-1, keepdim=True))


@seen_by("check_ignores_padding", "gradient of parameter 'input_weight'")
class HasNoSlopeAtZero(Sound):
    def project(self, x: Tensor) -> Any:
        return (x @ self.input_weight.T).square().sqrt() + self.bias


@seen_by("check_any_length", "after 1000 steps")
class Grows(Sound):
    def step(self, p: Any, state: State) -> tuple[Tensor, State]:
        h, new = super().step(p, state)
        return h, {**new, "c": new["c"] + 1.2 * state["c"]}


@seen_by("check_any_length", "after 1 steps")
class DividesByInitialState(Sound):
    def step(self, p: Any, state: State) -> tuple[Tensor, State]:
        return super().step(p, {**state, "c": state["c"] / state["c"].norm(dim=-1, keepdim=True)})
