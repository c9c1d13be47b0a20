"""How often the decoder is told the right symbol before the next, by the step of training."""

from __future__ import annotations

import math
from dataclasses import dataclass

from seqlab.registry import unknown

SCHEDULES = ("constant", "linear", "exponential", "inverse_sigmoid")


@dataclass(frozen=True)
class TeacherForcing:
    """ε(i): the probability, for each symbol by itself, of feeding the right one and not one the model draws; i counts steps.

    constant: ε = start. Scheduled sampling lets it fall to `least`: linear, max(least, start − i / k); exponential,
    start · exp(−i / k); inverse_sigmoid, start · k / (k + exp(i / k)).
    Source: S. Bengio et al., 2015, "Scheduled sampling for sequence prediction with recurrent neural networks", section 2.4.
    """

    schedule: str = "constant"
    start: float = 1.0
    least: float = 0.0
    k: float = 1000.0

    def __post_init__(self) -> None:
        if self.schedule not in SCHEDULES:
            raise ValueError(unknown("teacher forcing schedule", self.schedule, list(SCHEDULES)))
        if not 0 <= self.least <= self.start <= 1:
            raise ValueError(f"teacher forcing starts at {self.start} and falls to {self.least}; expected 0 <= least <= start <= 1.")
        if not self.k > 0:
            raise ValueError(f"k is {self.k}; expected a number of steps above 0.")

    def probability(self, step: int) -> float:
        """ε after `step` steps of training."""
        if self.schedule == "constant":
            return self.start
        if self.schedule == "linear":
            return max(self.least, self.start - step / self.k)
        if self.schedule == "exponential":
            return max(self.least, self.start * math.exp(-step / self.k))
        return max(self.least, self.start * self.k / (self.k + math.exp(min(step / self.k, 700.0))))
