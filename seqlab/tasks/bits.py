"""Bits at every step, such as the digits of a sum. Dimension key: B batch, T time, N bits per step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection

from seqlab.data.base import Batch, SequenceDataModule
from seqlab.executors import lengths_to_mask
from seqlab.layers import Bidirectional
from seqlab.registry import unknown
from seqlab.tasks.base import Outcome, Task


class ExactMatch(Metric):
    """Share of sequences in which every bit is right."""

    higher_is_better = True
    right: Tensor
    total: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("right", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("total", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, predictions: Tensor, targets: Tensor) -> None:
        """predictions, targets (B, T, N); -1 in the targets is padding."""
        right = ((predictions == targets) | (targets < 0)).flatten(1).all(1)
        self.right += right.sum()
        self.total += len(right)

    def compute(self) -> Tensor:
        return self.right / self.total


class BitAccuracy(ExactMatch):
    """Share of bits that are right."""

    def update(self, predictions: Tensor, targets: Tensor) -> None:
        """predictions, targets (B, T, N); -1 in the targets is padding."""
        valid = targets >= 0
        self.right += ((predictions == targets) & valid).sum()
        self.total += valid.sum()


class BitF1(Metric):
    """2 · right ones / (ones said + true ones), over all bits: where few bits are 1, as in music, accuracy says little. 0 where there are none."""

    higher_is_better = True
    right: Tensor
    total: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("right", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("total", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, predictions: Tensor, targets: Tensor) -> None:
        """predictions, targets (B, T, N); -1 in the targets is padding."""
        said, true = (predictions == 1) & (targets >= 0), targets == 1
        self.right += (said & true).sum()
        self.total += said.sum() + true.sum()

    def compute(self) -> Tensor:
        return 2 * self.right / self.total.clamp(min=1)


class BitLabelling(Task):
    """Binary labels at each step, ŷ = σ(scores): the digits of a sum, or several labels at once, such as which notes sound next.

    loss "squared_error" is ½ (ŷ − y)², as the classic networks with a sigmoid output are trained; "cross_entropy" is
    −y log ŷ − (1 − y) log(1 − ŷ). reduction "sum" adds the steps of a row and averages rows, "mean" averages all.
    """

    def __init__(self, *args: Any, loss: str = "cross_entropy", reduction: str = "mean", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if loss not in ("squared_error", "cross_entropy"):
            raise ValueError(unknown("loss", loss, ["squared_error", "cross_entropy"]))
        if reduction not in ("mean", "sum"):
            raise ValueError(unknown("reduction", reduction, ["mean", "sum"]))
        self.loss = loss
        self.reduction = reduction

    def prepare(self, data: SequenceDataModule) -> None:
        if data.next_steps and any(isinstance(module, Bidirectional) for module in self.model.encoder.modules()):
            raise ValueError("the encoder is bidirectional, so it has read the steps whose labels it should foretell. Choose encoder.bidirectional=false.")
        if data.next_steps and self.model.frontend.mixes_steps:
            name = type(self.model.frontend).__name__
            raise ValueError(f"the front end {name} looks ahead, so it has read the steps whose labels are to be foretold. Choose frontend=features.")
        super().prepare(data)

    def make_metrics(self) -> MetricCollection:
        return MetricCollection({"exact_match": ExactMatch(), "bit_accuracy": BitAccuracy(), "bit_f1": BitF1()}, compute_groups=False)

    def outcome(self, batch: Batch) -> Outcome:
        scores, _ = self.model(batch.inputs, batch.lengths)
        targets = batch.targets
        if self.loss == "squared_error":
            losses = 0.5 * (torch.sigmoid(scores) - targets).square()
        else:
            losses = torch.nn.functional.binary_cross_entropy_with_logits(scores, targets, reduction="none")
        count = losses.numel()
        if batch.lengths is not None:
            mask = lengths_to_mask(batch.lengths, scores.shape[1])[..., None]
            losses = torch.where(mask, losses, 0.0)
            targets = torch.where(mask, targets, -1.0)
            count = int(batch.lengths.sum()) * scores.shape[-1]
        rows = len(targets)
        loss = losses.sum() / (rows if self.reduction == "sum" else count)
        return Outcome(loss, rows if self.reduction == "sum" else count, (scores.detach() > 0).to(targets.dtype), targets)

    def answer(self, batch: Batch) -> list[dict[str, Any]]:
        """{"probabilities": those of the labels at each valid step, (T, N) as lists} of each row."""
        with torch.no_grad():
            scores, _ = self.model(batch.inputs, batch.lengths)
        sizes = [scores.shape[1]] * len(scores) if batch.lengths is None else batch.lengths.tolist()
        return [{"probabilities": row[:size]} for row, size in zip(torch.sigmoid(scores).tolist(), sizes, strict=True)]
