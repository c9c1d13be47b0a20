"""One class at every step, such as the tag of a word. Dimension key: B batch, T time, V classes."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix

from seqlab.data.base import Batch
from seqlab.data.checks import check_axes, check_labels
from seqlab.entity_tags import scheme_of
from seqlab.executors import lengths_to_mask
from seqlab.heads import HeadWithLoss
from seqlab.metrics import EntityF1
from seqlab.tasks.base import Outcome, Task

PADDING = -1


MOST_CLASSES = 100  # in a confusion matrix: more are no picture


class StepLabelling(Task):
    """Accuracy of a label per step, and where the labels are tags of spans the F1 of the entities.

    The loss is the cross-entropy over the valid steps, so that each step weighs the same, in long rows and in short. A head
    with a loss of its own, such as head=crf, takes its place: with the CRF the mean over the rows.
    """

    uses_head_loss = True

    def make_metrics(self) -> MetricCollection:
        entities = {"entities": EntityF1(self.labels)} if scheme_of(self.labels) else {}
        return MetricCollection({"accuracy": MulticlassAccuracy(average="micro", ignore_index=PADDING), **entities}, compute_groups=False)

    def make_confusion(self) -> MulticlassConfusionMatrix | None:
        classes = cast(int, self.model.head.output_size)
        return MulticlassConfusionMatrix(classes, ignore_index=PADDING) if 2 <= classes <= MOST_CLASSES else None

    def outcome(self, batch: Batch) -> Outcome:
        if not isinstance(self.model.head, HeadWithLoss):
            scores, _ = self.model(batch.inputs, batch.lengths)
            targets, count = self._checked(batch, scores, "scores", "batch, time, classes")
            loss = torch.nn.functional.cross_entropy(scores.flatten(0, 1), targets.flatten(), ignore_index=PADDING)
            return Outcome(loss, count, scores.detach().argmax(-1), targets)
        y, lengths, _ = self.model.encode(batch.inputs, batch.lengths)
        targets, _ = self._checked(batch, y, "outputs", "batch, time, features")
        losses = self.model.head.losses(y, targets, lengths)
        with torch.no_grad():
            predictions = y.new_empty(0) if self.training else self.model.head.predict(y, lengths)
        return Outcome(losses.mean(), len(losses), predictions, targets)

    def answer(self, batch: Batch) -> list[dict[str, Any]]:
        """{"tags": the label of each valid step} of each row; without names a class is its number."""
        with torch.no_grad():
            y, lengths, _ = self.model.encode(batch.inputs, batch.lengths)
            head = self.model.head
            found = head.predict(y, lengths) if isinstance(head, HeadWithLoss) else head(y, lengths).argmax(-1)
        sizes = [found.shape[1]] * len(found) if lengths is None else lengths.tolist()
        return [{"tags": [self.labels[tag] if self.labels else tag for tag in row[:size]]} for row, size in zip(found.tolist(), sizes, strict=True)]

    def _checked(self, batch: Batch, found: Tensor, what: str, axes: str) -> tuple[Tensor, int]:
        """The targets with PADDING past each length, and how many are none."""
        check_axes(what, found, axes, "Choose head=steps.")
        check_axes("targets", batch.targets, "batch, time", "Choose a data set with one label per step, or task=classification.")
        targets, count = batch.targets, batch.targets.numel()
        if targets.shape[1] != found.shape[1]:
            raise ValueError(
                f"the model gives {found.shape[1]} steps for the {targets.shape[1]} labels of a row; expected as many. Choose a front end that keeps the steps."
            )
        valid = None
        if batch.lengths is not None:
            valid = lengths_to_mask(batch.lengths, targets.shape[1])
            count = int(batch.lengths.sum())
        if targets.device.type == "cpu":  # elsewhere looking would wait for the device; data sets are looked at before training
            check_labels(targets if valid is None else torch.where(valid, targets, 0), cast(int, self.model.head.output_size), "the batch")
        return (targets if valid is None else torch.where(valid, targets, PADDING)), count
