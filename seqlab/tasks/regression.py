"""One or more real values for each sequence. Dimension key: B batch, V values."""

from __future__ import annotations

import torch
from torchmetrics import MeanAbsoluteError, MetricCollection

from seqlab.data.base import Batch
from seqlab.data.checks import check_axes
from seqlab.tasks.base import Outcome, Task


class SequenceRegression(Task):
    """Mean squared error of the values of a sequence, and their mean absolute error; loss and metrics are means over all values."""

    def make_metrics(self) -> MetricCollection:
        return MetricCollection({"absolute_error": MeanAbsoluteError()})

    def outcome(self, batch: Batch) -> Outcome:
        scores, _ = self.model(batch.inputs, batch.lengths)
        check_axes("scores", scores, "batch, values", "Choose head=pooled.")
        if batch.targets.shape != scores.shape:
            raise ValueError(
                f"targets have shape {tuple(batch.targets.shape)}; expected {tuple(scores.shape)}, as the model gives. "
                "Choose a data set with real values for each sequence."
            )
        loss = torch.nn.functional.mse_loss(scores, batch.targets)
        return Outcome(loss, scores.numel(), scores.detach(), batch.targets)
