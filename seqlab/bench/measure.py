"""Timing that is fair to all sides: alternating rounds, medians, and how noisy the machine was."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from seqlab.bench.sides import Side, first_call, synchronise


@dataclass
class Measurement:
    """Of one side: seconds of each round, seconds of the first call, and what ran where the name does not say it."""

    name: str
    seconds: list[float]
    first_seconds: float
    note: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Interquartile range over the median: how much the rounds differ."""
        low, _, high = statistics.quantiles(self.seconds, n=4)
        return (high - low) / self.median


def measure(sides: list[Side], rounds: int, least_seconds: float = 0.02, tick: Callable[[], None] = lambda: None) -> list[Measurement]:
    """Each round runs every side in turn, so that a slow minute of the machine falls on all of them.

    A side that takes less than `least_seconds` is repeated within a round until it takes that long. `tick` is called
    after each round.
    """
    firsts = [first_call(side) for side in sides]
    repeats = []
    for side in sides:
        side.run()
        repeats.append(max(1, round(least_seconds / max(first_call(side), 1e-7))))
    seconds: list[list[float]] = [[] for _ in sides]
    for _ in range(rounds):
        for side, repeat, times in zip(sides, repeats, seconds, strict=True):
            started = time.perf_counter()
            for _ in range(repeat):
                side.run()
            synchronise()
            times.append((time.perf_counter() - started) / repeat)
        tick()
    return [Measurement(side.name, times, first, side.note) for side, times, first in zip(sides, seconds, firsts, strict=True)]
