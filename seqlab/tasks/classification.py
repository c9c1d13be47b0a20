"""One class for each sequence. Dimension key: B batch, V classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix, MulticlassF1Score

from seqlab.data.base import Batch, SequenceDataModule
from seqlab.data.checks import check_axes, check_labels
from seqlab.tasks.base import Outcome, Task
from seqlab.tasks.step_labelling import MOST_CLASSES


class SequenceClassification(Task):
    """Cross-entropy of one label per sequence; accuracy, and the F1 score averaged over classes without weights.

    class_weights: how much a sequence counts in the loss by its class: "none", alike; "balanced", N / (V · N_class) by the
    counts of the training split, so that all classes count alike; or a list, one weight for each class in their order.
    label_smoothing: the share of each target that is spread over all classes, in training alone (C. Szegedy et al., 2016).
    """

    class_weights: Tensor

    def __init__(self, *args: Any, class_weights: str | Sequence[float] = "none", label_smoothing: float = 0.0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing is {label_smoothing}; expected a share in [0, 1).")
        self.label_smoothing = label_smoothing
        self.balanced = class_weights == "balanced"
        self.weighted = class_weights != "none"
        if self.weighted:  # in the checkpoint: an evaluation has no training split to count
            self.register_buffer("class_weights", torch.ones(self.num_classes) if self.balanced else checked_weights(class_weights, self.num_classes))

    @property
    def num_classes(self) -> int:
        return cast(int, self.model.head.output_size)

    def make_metrics(self) -> MetricCollection:
        classes = self.num_classes
        return MetricCollection(
            {"accuracy": MulticlassAccuracy(classes, average="micro"), "macro_f1": MulticlassF1Score(classes, average="macro")}, compute_groups=False
        )

    def make_confusion(self) -> MulticlassConfusionMatrix | None:
        return MulticlassConfusionMatrix(self.num_classes) if 2 <= self.num_classes <= MOST_CLASSES else None

    def prepare(self, data: SequenceDataModule) -> None:
        super().prepare(data)
        if self.balanced:
            counts = torch.zeros(self.num_classes)
            for batch in data.train_dataloader():
                counts += torch.bincount(batch.targets, minlength=self.num_classes)
            # a class that training never shows has no say in the loss, whatever its weight
            self.class_weights.copy_(counts.sum() / (self.num_classes * counts.clamp(min=1)))

    def outcome(self, batch: Batch) -> Outcome:
        scores, _ = self.model(batch.inputs, batch.lengths)
        check_axes("scores", scores, "batch, classes", "Choose head=pooled.")
        check_axes("targets", batch.targets, "batch", "Choose a data set with one label per sequence, or task=step_labelling.")
        if batch.targets.device.type == "cpu":  # elsewhere looking would wait for the device; data sets are looked at before training
            check_labels(batch.targets, scores.shape[-1], "the batch")
        weights = self.class_weights.to(scores.dtype) if self.weighted else None
        smoothing = self.label_smoothing if self.training else 0.0
        loss = torch.nn.functional.cross_entropy(scores, batch.targets, weights, label_smoothing=smoothing)
        count = len(scores) if weights is None else float(weights[batch.targets].sum())  # torch divides by it
        return Outcome(loss, count, scores.detach().argmax(-1), batch.targets)

    def answer(self, batch: Batch) -> list[dict[str, Any]]:
        """{"label", "probability"} of the likeliest class of each row; without names a class is its number."""
        with torch.no_grad():
            scores, _ = self.model(batch.inputs, batch.lengths)
        best, classes = scores.softmax(-1).max(-1)
        return [
            {"label": self.labels[index] if self.labels else index, "probability": probability}
            for probability, index in zip(best.tolist(), classes.tolist(), strict=True)
        ]


def checked_weights(given: str | Sequence[float], num_classes: int) -> Tensor:
    """The weights (V). Raises ValueError unless there is a positive number for each class."""
    try:
        weights = [] if isinstance(given, str) else [float(weight) for weight in given]
    except (TypeError, ValueError):
        weights = []
    if len(weights) != num_classes or not all(0 < weight < float("inf") for weight in weights):
        raise ValueError(f"class_weights are {given!r}; expected none, balanced, or a list of {num_classes} positive numbers, one for each class in order.")
    return torch.tensor(weights)
