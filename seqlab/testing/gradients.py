"""Checks of the gradients: that they reach everything, and that the first and the second derivative are right.

Derivatives are held against central differences along one random direction for each tensor, in float64: a few runs, where
one run for each entry would take hundreds, and a wrong entry shows in every direction but a set of measure zero. Noise is
drawn from the same seed in every run, which makes it a constant. Where a kink (of relu, say) lies within the wide step,
the narrow one has to agree; a wrong derivative agrees with neither.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from seqlab.cells.base import Cell, State
from seqlab.layers import SequenceModule
from seqlab.testing.observe import CellFactory, Run, build, example, gradients, isolated, layer_of, leaves, observe, reached_state, weigh
from seqlab.testing.verdict import Nonconforming, expect_finite

STEPS = (1e-6, 1e-8)  # of the difference: the error is about step² by curvature and 1e-16 / step by rounding
AGREEMENT = 1e-5  # relative, with a floor of 1e-7: ten times those errors, a thousandth of any wrong term
CAUSES = "Look for detach, .data, a Function's backward, or a cast to a narrower dtype."


@isolated
def check_gradients_reach_everything(factory: CellFactory) -> str:
    """The loss of y sends a gradient to x, to every leaf of the initial state and to every parameter, in every unit."""
    for training in (False, True):
        cell = build(factory, training, torch.float64)
        outputs = _outputs_of(layer_of(cell))
        x, state = example(cell, 8, 4), reached_state(cell, 8)
        given, fresh = observe(outputs, cell, x, state), observe(outputs, cell, x)
        found = {name: value.abs() + fresh.get(name, torch.zeros_like(value)).abs() for name, value in given.items()}
        expect_finite(found, "of the outputs of 4 steps", "Guard square roots, logarithms and quotients at zero.")
        for name, value in found.items():
            if not value.any():
                raise Nonconforming(f"{name} of the outputs of 4 steps is zero everywhere; expected some influence on y. Use it in step or take it away.")
            if training or "parameter" not in name or value.dim() < 1:
                continue  # noise may silence a unit
            idle = [i for i, unit in enumerate(value) if not unit.any()]
            if idle:
                raise Nonconforming(f"{name} of the outputs of 4 steps is zero in the rows {idle}; expected influence of every unit on y. Look at the gates.")
    return ""


@isolated
def check_gradcheck(factory: CellFactory) -> str:
    """Gradients of x, of the initial state and of every parameter == central differences, in float64."""
    for training in (False, True):
        problem = _Problem(build(factory, training, torch.float64), batch_size=3, num_steps=3)
        found = gradients(problem.loss(), problem.tensors)
        for name, tensor in problem.tensors.items():
            _agree(f"gradient of {name}", found[f"gradient of {name}"], problem.loss, tensor)
    return ""


@isolated
def check_double_backward(factory: CellFactory) -> str:
    """The gradient can be differentiated again, and that derivative == central differences of the gradient, in float64."""
    for training in (False, True):
        problem = _Problem(build(factory, training, torch.float64), batch_size=2, num_steps=2)
        try:
            second = gradients(problem.slope(create_graph=True), problem.tensors)
        except RuntimeError as error:
            raise Nonconforming(
                f"the gradient cannot be differentiated again: {error}; expected a second derivative. Write a Function's backward in differentiable operations."
            ) from error
        for name, tensor in problem.tensors.items():
            _agree(f"second derivative by {name}", second[f"gradient of {name}"], problem.slope, tensor)
    return ""


class _Problem:
    """The tensors to differentiate by, and a loss over a run from a reached state and one from the initial state."""

    def __init__(self, cell: Cell, batch_size: int, num_steps: int) -> None:
        self.layer = layer_of(cell)
        self.x = example(cell, batch_size, num_steps).requires_grad_()
        self.state = {name: leaf.requires_grad_(leaf.is_floating_point()) for name, leaf in reached_state(cell, batch_size).items()}
        self.tensors = leaves(cell, self.x, self.state)

    def loss(self) -> Tensor:
        torch.manual_seed(3)
        starts: list[State | None] = [self.state, None]
        return torch.stack([weigh(*self.layer(self.x, None, start)) for start in starts]).sum()

    def slope(self, create_graph: bool = False) -> Tensor:
        """The derivative of the loss along one direction of all tensors together."""
        first = gradients(self.loss(), self.tensors, create_graph)
        return torch.stack([(first[f"gradient of {name}"] * _direction(tensor, seed=7)).sum() for name, tensor in self.tensors.items()]).sum()


def _outputs_of(layer: SequenceModule) -> Run:
    return lambda x, state: (layer(x, None, state)[0], {})


def _direction(tensor: Tensor, seed: int = 6) -> Tensor:
    return torch.randn(tensor.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(tensor)


def _agree(subject: str, derivative: Tensor, function: Callable[[], Tensor], tensor: Tensor) -> None:
    """Raise Nonconforming unless the derivative along a direction is the central difference of the function along it."""
    direction, start = _direction(tensor), tensor.detach().clone()
    found, differences = float((derivative.detach() * direction).sum()), []
    for step in STEPS:
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                tensor.copy_(start + sign * step * direction)
            values.append(float(function().detach()))
        with torch.no_grad():
            tensor.copy_(start)
        differences.append((values[0] - values[1]) / (2 * step))
        if abs(found - differences[-1]) <= AGREEMENT * max(abs(found), abs(differences[-1])) + 1e-7:
            return
    raise Nonconforming(f"{subject} along a random direction is {found:.9g}; expected {differences[0]:.9g}, the central difference in float64. {CAUSES}")
