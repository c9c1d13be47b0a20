"""One class for each sequence. Dimension key: B batch, V classes."""

from __future__ import annotations

from typing import cast

import torch
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

from seqlab.data.base import Batch
from seqlab.data.checks import check_axes, check_labels
from seqlab.tasks.base import Outcome, Task


class SequenceClassification(Task):
    """Cross-entropy of one label per sequence; accuracy, and the F1 score averaged over classes without weights."""

    def make_metrics(self) -> MetricCollection:
        classes = cast(int, self.model.head.output_size)
        return MetricCollection({"accuracy": MulticlassAccuracy(classes, average="micro"), "macro_f1": MulticlassF1Score(classes, average="macro")})

    def outcome(self, batch: Batch) -> Outcome:
        scores, _ = self.model(batch.inputs, batch.lengths)
        check_axes("scores", scores, "batch, classes", "Choose head=pooled.")
        check_axes("targets", batch.targets, "batch", "Choose a data set with one label per sequence, or task=step_labelling.")
        if batch.targets.device.type == "cpu":  # elsewhere looking would wait for the device; data sets are looked at before training
            check_labels(batch.targets, scores.shape[-1], "the batch")
        loss = torch.nn.functional.cross_entropy(scores, batch.targets)
        return Outcome(loss, len(scores), scores.detach().argmax(-1), batch.targets)
