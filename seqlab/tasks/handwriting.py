"""Where a pen goes next. Dimension key: B batch, T time, C conditions, N samples."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import MetricCollection

from seqlab.data.base import Batch
from seqlab.heads.mixture import MixtureDensityHead, draw
from seqlab.layers import Bidirectional
from seqlab.tasks.base import Outcome, Task


class Handwriting(Task):
    """−log of the density of each next step of a pen, in nats, mean over all steps.

    Inputs (B, T, 3 + C) are the step before, then C numbers that are held for the whole sequence; targets (B, T, 3) the step.
    The loss is that of a density and not of a probability: it may lie below 0, and depends on the unit of length.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if any(isinstance(module, Bidirectional) for module in self.model.encoder.modules()):
            raise ValueError("the encoder is bidirectional, so it has read the steps it should foresee. Choose encoder.bidirectional=false.")
        if self.model.frontend.mixes_steps:
            name = type(self.model.frontend).__name__
            raise ValueError(f"the front end {name} looks ahead, so it has read the steps it should foresee. Choose frontend=features.")
        if not isinstance(self.model.head, MixtureDensityHead):
            raise ValueError(f"the head is a {type(self.model.head).__name__}; expected a density over the next step. Choose head=mixture.")
        self.head = [self.model.head]  # in a list: its parameters belong to the model

    def make_metrics(self) -> MetricCollection:
        return MetricCollection({})

    def outcome(self, batch: Batch) -> Outcome:
        y, lengths, _ = self.model.encode(batch.inputs, batch.lengths)
        losses = self.head[0].losses(y, batch.targets, lengths)
        return Outcome(losses.mean(), len(losses), torch.zeros(0), torch.zeros(0))

    @torch.no_grad()
    def sample(self, conditions: Tensor, num_steps: int, generator: torch.Generator, bias: float = 0.0) -> Tensor:
        """conditions (N, C) -> steps (N, num_steps, 3), each drawn after those before it. bias: see `seqlab.heads.mixture.draw`."""
        training = self.training
        self.eval()
        step, state, steps = conditions.new_tensor([0.0, 0.0, 1.0]).expand(len(conditions), 3), None, []
        for _ in range(num_steps):
            y, _, state = self.model.encode(torch.cat([step, conditions], 1)[:, None], None, state)
            step = draw(self.head[0](y)[:, 0], generator, bias)
            steps.append(step)
        self.train(training)
        return torch.stack(steps, 1)
