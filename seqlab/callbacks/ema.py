"""Weights averaged over the steps of a training."""

from __future__ import annotations

import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor


class AveragedWeights(WeightAveraging):
    """Validation, test and checkpoints use a = decay · a + (1 − decay) · w, an exponential moving average of the weights w; training goes on with w.

    It moves every `update_every_n_steps` steps of the optimizer. update_starting_at_step: until this step the average is w itself.
    (Lightning's EMAWeightAveraging, 2.6.6, validates and saves the weights before training until then, and rounds what is whole
    numbers, such as tables of tags, down: 0.9 · 3 + 0.1 · 3 < 3.)
    """

    def __init__(self, decay: float = 0.999, update_every_n_steps: int = 1, update_starting_at_step: int | None = None) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"callbacks.ema.decay is {decay}; expected a number in [0, 1), near 1 for an average over many steps.")
        if update_every_n_steps < 1:
            raise ValueError(f"callbacks.ema.update_every_n_steps is {update_every_n_steps}; expected at least 1.")
        super().__init__(avg_fn=self._mean)
        self.decay = decay
        self.update_every_n_steps = update_every_n_steps
        self.update_starting_at_step = update_starting_at_step or 0
        self._waits = False

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """step_idx: of the step that was made, from 0."""
        if step_idx is None:
            return False
        self._waits = step_idx < self.update_starting_at_step
        return self._waits or step_idx % self.update_every_n_steps == 0

    def _mean(self, average: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
        if self._waits or not average.is_floating_point():
            return current
        return torch.where(average == current, current, self.decay * average + (1 - self.decay) * current)  # what stays the same stays so to the last bit
