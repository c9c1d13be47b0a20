"""An evaluation of a language model with a neural cache: its two values are chosen on validation, never on the test."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as L

from seqlab.metrics.neural_cache import NeuralCache
from seqlab.tasks import LanguageModelling, Task

log = logging.getLogger("seqlab")
THETAS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5, 2.0)
LAMBDAS = (0.0, 0.02, 0.05, 0.08, 0.1, 0.12, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)  # 0: what does not help is not used


def make_cache(window: int | None, thetas: Sequence[float] | None, lambdas: Sequence[float] | None) -> NeuralCache | None:
    """The cache with all values to choose from, or None without a window. Raises ValueError for values out of range or of no cache."""
    if window is None:
        for name, values in (("cache_theta", thetas), ("cache_lambda", lambdas)):
            if values is not None:
                raise ValueError(f"{name} is given without a cache; expected both. Give cache=500, or leave {name} out.")
        return None
    return NeuralCache(window, THETAS if thetas is None else thetas, LAMBDAS if lambdas is None else lambdas)


def check_language_model(task: Task, cache: NeuralCache, run: Path) -> None:
    """Raise ValueError for a run of another kind."""
    if not isinstance(task, LanguageModelling):
        raise ValueError(f"cache is {cache.window}, but run {run} trained a {type(task).__name__}; expected a language model. Leave cache out.")


def choose(cache: NeuralCache, task: Task, trainer: L.Trainer, validation: dict[str, Any]) -> dict[str, float]:
    """Validate `task` with the cache and leave it with the best pair of values, for its test.

    Returns the validation figures and cache_window, cache_theta and cache_lambda. Raises ValueError for several processes,
    each of which would see a part of the streams, and for an empty validation.
    """
    assert isinstance(task, LanguageModelling)
    if trainer.world_size > 1:
        raise ValueError(f"the cache is computed by one process, but there are {trainer.world_size}. Give trainer.devices=1.")
    task.cache = cache
    trainer.validate(task, verbose=False, **validation)
    theta, lambda_, _ = cache.best()
    for name, value, tried in (("cache_theta", theta, cache.thetas), ("cache_lambda", lambda_, cache.lambdas)):
        if len(tried) > 1 and value == max(tried):
            log.warning("%s %g is the largest of those tried: a larger one may be better still. Give larger ones too, with %s=X,Y,Z.", name, value, name)
    task.cache = NeuralCache(cache.window, [theta], [lambda_])
    figures = {name: float(metric) for name, metric in trainer.callback_metrics.items()}
    return {**figures, "cache_window": cache.window, "cache_theta": theta, "cache_lambda": lambda_}
