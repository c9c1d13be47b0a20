"""Each optimizer of conf/ takes the steps its paper says, with the options it is given."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from hydra.utils import instantiate

from tests.train.conftest import Run, small_config

START = np.array([1.0, -2.0, 0.5])
CURVATURE = np.array([1.0, 3.0, 0.2])  # of the loss ½ Σ a w², whose gradient is a·w

Updates = Iterator[np.ndarray]


def sgd(lr: float, momentum: float, nesterov: bool) -> Updates:
    w, velocity = START, 0.0
    while True:
        gradient = CURVATURE * w
        velocity = momentum * velocity + gradient
        w = w - lr * (gradient + momentum * velocity if nesterov else velocity)
        yield w


def adagrad(lr: float) -> Updates:
    w, squares = START, 0.0
    while True:
        gradient = CURVATURE * w
        squares = squares + gradient**2
        w = w - lr * gradient / (np.sqrt(squares) + 1e-10)
        yield w


def rmsprop(lr: float, alpha: float) -> Updates:
    w, mean = START, 0.0
    while True:
        gradient = CURVATURE * w
        mean = alpha * mean + (1 - alpha) * gradient**2
        w = w - lr * gradient / (np.sqrt(mean) + 1e-8)
        yield w


def adam(lr: float, first: float, second: float, decay: float, decoupled: bool) -> Updates:
    w, mean, square, t = START, 0.0, 0.0, 0
    while True:
        t += 1
        gradient = CURVATURE * w + (0 if decoupled else decay * w)
        w = w * (1 - lr * decay) if decoupled else w
        mean = first * mean + (1 - first) * gradient
        square = second * square + (1 - second) * gradient**2
        w = w - lr * (mean / (1 - first**t)) / (np.sqrt(square / (1 - second**t)) + 1e-8)
        yield w


CASES = {
    "sgd": sgd(0.1, 0.0, False),
    "sgd optimizer.lr=0.05 optimizer.momentum=0.9": sgd(0.05, 0.9, False),
    "sgd optimizer.momentum=0.9 optimizer.nesterov=true": sgd(0.1, 0.9, True),
    "adagrad optimizer.lr=0.3": adagrad(0.3),
    "rmsprop optimizer.alpha=0.8": rmsprop(0.001, 0.8),
    "adam": adam(0.001, 0.9, 0.999, 0.0, False),
    "adam optimizer.weight_decay=0.5 optimizer.betas=[0.5,0.7]": adam(0.001, 0.5, 0.7, 0.5, False),
    "adamw optimizer.weight_decay=0.5": adam(0.001, 0.9, 0.999, 0.5, True),
}


@pytest.mark.parametrize("options", CASES)
def test_steps_are_those_of_the_formula(options: str) -> None:
    name, *overrides = options.split()
    config = small_config(f"optimizer={name}", *overrides)
    w = torch.tensor(START, requires_grad=True)
    optimizer = instantiate(config.optimizer)([w])
    for _, expected in zip(range(4), CASES[options], strict=False):
        optimizer.zero_grad()
        (0.5 * (torch.tensor(CURVATURE) * w**2).sum()).backward()
        optimizer.step()
        np.testing.assert_allclose(w.detach().numpy(), expected, rtol=1e-12)  # float64: rounding alone


def test_the_optimizer_of_the_config_is_the_one_that_trains(run: Callable[..., Run]) -> None:
    """One step of plain SGD at twice the rate moves every weight twice as far."""
    start, once, twice = (run(f"optimizer.lr={lr}", "trainer.max_steps=1", "trainer.precision=64-true") for lr in (0.0, 0.1, 0.2))
    for name, before in start.checkpoint("last")["state_dict"].items():
        small, large = (r.checkpoint("last")["state_dict"][name] - before for r in (once, twice))
        assert small.abs().max() > 0
        torch.testing.assert_close(large, 2 * small, rtol=1e-9, atol=1e-15)  # float64: rounding of the weight the step is added to
    assert math.isfinite(once.summary["metrics"]["train/loss"])
