"""Learning rates that change. A schedule is called with the optimizer and the number of steps the training will take
(None when it has no end), and says when it moves on: after every optimizer step, every epoch or every validation."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from seqlab.registry import unknown

log = logging.getLogger("seqlab")


@dataclass(frozen=True)
class Schedule:
    """A scheduler, and when it moves on. interval: "step", "epoch", or "validation", which hands it the metric `monitor`."""

    scheduler: Any
    interval: str
    monitor: str = ""


def step(optimizer: Optimizer, total_steps: int | None, every: int, unit: str = "epoch", factor: float = 0.5, after: int = 0) -> Schedule:
    """Multiply the rate by `factor` after every `every` epochs, or with unit="step" optimizer steps; the first `after` of them are not counted."""
    if unit not in ("epoch", "step"):
        raise ValueError(unknown("unit", unit, ["epoch", "step"]))
    if every < 1:
        raise ValueError(f"schedule.every is {every}; expected at least 1.")
    if after < 0:
        raise ValueError(f"schedule.after is {after}; expected 0 or more.")
    return Schedule(LambdaLR(optimizer, lambda done: factor ** (max(0, done - after) // every)), unit)


def cosine(optimizer: Optimizer, total_steps: int | None, final: float = 0.0) -> Schedule:
    """From the rate to `final` times the rate over the whole training, along half a cosine; it moves with every step.

    Source: I. Loshchilov and F. Hutter, 2017, "SGDR", eq. 5, without restarts.
    """
    return warmup(optimizer, total_steps, steps=0, then="cosine", final=final)


def warmup(optimizer: Optimizer, total_steps: int | None, steps: int, then: str = "constant", final: float = 0.0) -> Schedule:
    """Step s of the first `steps` (s = 1, 2, …) is taken at s/steps of the rate; after them the rate is constant or falls as `cosine` does.

    A training that ends within the warm-up runs, and the log says how far the rate comes.
    """
    if then not in ("constant", "cosine"):
        raise ValueError(unknown("continuation of the warm-up", then, ["constant", "cosine"]))
    if steps < 0:
        raise ValueError(f"schedule.steps is {steps}; expected 0 or more.")
    if then == "cosine" and total_steps is None:
        raise ValueError("the cosine schedule needs the length of the training, which has no end. Set trainer.max_epochs or trainer.max_steps.")
    if total_steps is not None and total_steps < steps:
        log.warning(
            f"the training ends after {total_steps} steps, within the warm-up of {steps}: the learning rate goes up to {total_steps / steps:.0%} of "
            "optimizer.lr. Give a smaller schedule.steps, or schedule=none."
        )

    def share(done: int) -> float:
        if done < steps:
            return (done + 1) / steps
        if then == "constant":
            return 1.0
        assert total_steps is not None
        progress = min(1.0, (done - steps) / max(1, total_steps - steps))
        return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * progress))

    return Schedule(LambdaLR(optimizer, share), "step")


def plateau(
    optimizer: Optimizer,
    total_steps: int | None,
    monitor: str = "val/loss",
    mode: str = "min",
    factor: float = 0.1,
    patience: int = 10,
    threshold: float = 1e-4,
    minimum: float = 0.0,
) -> Schedule:
    """Multiply the rate by `factor` when `monitor` has not been better, by the share `threshold`, for more than `patience` validations."""
    return Schedule(ReduceLROnPlateau(optimizer, mode, factor, patience, threshold, min_lr=minimum), "validation", monitor)  # pyright: ignore[reportArgumentType]


def halve_on_rise(optimizer: Optimizer, total_steps: int | None, monitor: str = "val/loss", factor: float = 0.5) -> Schedule:
    """Multiply the rate by `factor` whenever `monitor` is higher than at the validation before, as the classic scripts do."""
    return Schedule(OnRise(optimizer, factor), "validation", monitor)


class OnRise:
    """Multiplies the learning rates by `factor` at every value that is higher than the one before, or is no number."""

    def __init__(self, optimizer: Optimizer, factor: float) -> None:
        if not 0 < factor < 1:
            raise ValueError(f"schedule.factor is {factor}; expected a number between 0 and 1.")
        self.optimizer = optimizer
        self.factor = factor
        self.previous = math.inf

    def step(self, value: float) -> None:
        """Take the next value of the monitored metric."""
        if not value <= self.previous:
            for group in self.optimizer.param_groups:
                group["lr"] *= self.factor
        if not math.isnan(value):
            self.previous = value

    def state_dict(self) -> dict[str, Any]:
        return {"previous": self.previous}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.previous = state_dict["previous"]
