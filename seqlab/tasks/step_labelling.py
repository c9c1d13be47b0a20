"""One class at every step, such as the tag of a word. Dimension key: B batch, T time, V classes."""

from __future__ import annotations

import torch
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy

from seqlab.data.base import Batch
from seqlab.data.checks import check_axes, check_labels
from seqlab.executors import lengths_to_mask
from seqlab.tasks.base import Outcome, Task

PADDING = -1


class StepLabelling(Task):
    """Cross-entropy and accuracy of a label per step, over the valid steps: each step weighs the same, in long rows and in short."""

    def make_metrics(self) -> MetricCollection:
        return MetricCollection({"accuracy": MulticlassAccuracy(average="micro", ignore_index=PADDING)})

    def outcome(self, batch: Batch) -> Outcome:
        scores, _ = self.model(batch.inputs, batch.lengths)
        check_axes("scores", scores, "batch, time, classes", "Choose head=steps.")
        check_axes("targets", batch.targets, "batch, time", "Choose a data set with one label per step, or task=classification.")
        targets, count = batch.targets, batch.targets.numel()
        valid = None
        if batch.lengths is not None:
            valid = lengths_to_mask(batch.lengths, scores.shape[1])
            count = int(batch.lengths.sum())
        if targets.device.type == "cpu":  # elsewhere looking would wait for the device; data sets are looked at before training
            check_labels(targets if valid is None else torch.where(valid, targets, 0), scores.shape[-1], "the batch")
        if valid is not None:
            targets = torch.where(valid, targets, PADDING)
        loss = torch.nn.functional.cross_entropy(scores.flatten(0, 1), targets.flatten(), ignore_index=PADDING)
        return Outcome(loss, count, scores.detach().argmax(-1), targets)
