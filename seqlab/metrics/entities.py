"""Named entities found, as whole spans. Dimension key: B batch, T time, V labels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric

from seqlab.entity_tags import split_tag


class EntityF1(Metric):
    """Precision, recall and F1 of entities, over all types: an entity counts as found when its type, first and last token are right.

    Any sequence of tags is read, legal or not, by the rule of conlleval (E. Tjong Kim Sang and F. De Meulder, 2003): an entity
    opens at every B, and at an I after O, after another type or at the start; it ends before the next opening or O. Legal BIO
    and IOB1 both come out of it as they are meant. All three are 0 where nothing was there to count.
    """

    full_state_update = False
    correct: Tensor
    predicted: Tensor
    expected: Tensor
    marks: Tensor
    types: Tensor

    def __init__(self, labels: Sequence[str]) -> None:
        """labels: the tag of each class number, O, B-TYPE or I-TYPE."""
        super().__init__()
        parts = [split_tag(label) for label in labels]
        names = sorted({kind for _, kind in parts})
        self.register_buffer("marks", torch.tensor(["OIB".index(mark) for mark, _ in parts]), persistent=False)
        self.register_buffer("types", torch.tensor([names.index(kind) for _, kind in parts]), persistent=False)
        for name in ("correct", "predicted", "expected"):
            self.add_state(name, torch.tensor(0), dist_reduce_fx="sum")

    def update(self, predictions: Tensor, targets: Tensor) -> None:
        """predictions, targets (B, T) class numbers; where the target is negative is padding, whatever is predicted there."""
        if predictions.shape != targets.shape or targets.dim() != 2:
            raise ValueError(f"predictions and targets have shapes {tuple(predictions.shape)} and {tuple(targets.shape)}; expected one shape (batch, time).")
        valid = targets >= 0
        found, gold = self._spans(predictions, valid), self._spans(targets, valid)
        self.predicted += found[0].sum()
        self.expected += gold[0].sum()
        self.correct += torch.stack([a == b for a, b in zip(found, gold, strict=True)]).all(0)[gold[0]].sum()

    def compute(self) -> dict[str, Tensor]:
        precision = self.correct / self.predicted.clamp(min=1)
        recall = self.correct / self.expected.clamp(min=1)
        f1 = 2 * self.correct / (self.predicted + self.expected).clamp(min=1)
        return {"entity_precision": precision, "entity_recall": recall, "entity_f1": f1}

    def _spans(self, tags: Tensor, valid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of each token (B, T): whether an entity opens here, its type, and the first token past it."""
        tags = torch.where(valid, tags, 0)
        marks = torch.where(valid, self.marks[tags], 0)
        types = self.types[tags]
        continues = torch.zeros_like(valid)
        continues[:, 1:] = (marks[:, 1:] == 1) & (marks[:, :-1] > 0) & (types[:, 1:] == types[:, :-1])
        num_steps = tags.shape[1]
        steps = torch.arange(1, num_steps + 1, device=tags.device)
        boundary = torch.where(continues[:, 1:], num_steps, steps[:-1])  # the step t+1 if no entity goes on into it
        past = torch.full_like(tags, num_steps)
        past[:, :-1] = boundary.flip(1).cummin(1).values.flip(1)
        return (marks > 0) & ~continues, types, past
