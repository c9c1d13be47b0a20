"""What tasks share that write a sequence of symbols for each row. Dimension key: B batch, U symbols."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor
from torchmetrics import MetricCollection

from seqlab.data.base import SequenceDataModule
from seqlab.metrics.written import WrittenMetrics
from seqlab.tasks.base import Outcome, Task
from seqlab.tasks.ranks import in_order


class WritingTask(Task):
    """Predictions of an Outcome are ids (B, U), zeros past their end. Metrics: exact_match and symbol_error_rate, and those of the
    text that all ids of a split read as, where the data's targets are text, in the place of those of symbols with the same name."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.written: dict[str, list[list[list[int]]]] = {"val": [], "test": []}  # for each batch, what its rows say

    def make_metrics(self) -> MetricCollection:
        return MetricCollection([WrittenMetrics()])

    def keep(self, split: str, outcome: Outcome) -> None:
        self.written[split].append(outcome.predictions.tolist())

    def closing_metrics(self, split: str) -> dict[str, Tensor]:
        written, self.written[split] = in_order(self.written[split], self.num_ranks), []
        data = getattr(self.trainer, "datamodule", None)  # absent when single batches are fitted
        references = data.references(split) if isinstance(data, SequenceDataModule) else None
        if data is None or references is None:
            return {}
        scores = self.text_metrics([data.read_out(row) for row in written], references[: len(written)])
        return {name: torch.tensor(value) for name, value in scores.items()}

    @abstractmethod
    def text_metrics(self, written: list[str], references: list[str]) -> dict[str, float]:
        """How near the texts come to their references, over the whole split."""
