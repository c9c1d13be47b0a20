"""Small models and batches for the tests of tasks and of what looks at them."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn

from seqlab import Stack
from seqlab.data.base import Batch
from seqlab.frontends import Features
from seqlab.heads import PooledHead, StepHead
from seqlab.model import SequenceModel
from seqlab.tasks import Task

SGD = partial(torch.optim.SGD, lr=0.1)


def make_task(
    kind: type[Task], cell: str = "lstm", *, input_size: int = 3, hidden_size: int = 4, output_size: int = 3, pool: str | None = None, **stack: Any
) -> Task:
    """A task around a stack of one cell; with `pool` its head pools, else it labels steps."""
    torch.manual_seed(0)
    encoder = Stack.of(cell, input_size, hidden_size, **stack)
    head = PooledHead(encoder.output_size, output_size, pool) if pool else StepHead(encoder.output_size, output_size)
    return kind(SequenceModel(Features(input_size), encoder, head), SGD)


class GivenScores(nn.Module):
    """A model whose scores are given."""

    def __init__(self, scores: torch.Tensor) -> None:
        super().__init__()
        self.scores = scores
        self.head = nn.Module()
        self.head.output_size = scores.shape[-1]

    def forward(self, inputs: torch.Tensor, lengths: torch.Tensor | None = None) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        return self.scores, {}


def outcome(kind: type[Task], scores: torch.Tensor, targets: torch.Tensor, lengths: torch.Tensor | None = None) -> Any:
    """The task's outcome for given scores and targets."""
    task = kind(GivenScores(scores), SGD)  # pyright: ignore[reportArgumentType]
    return task, task.outcome(Batch(torch.zeros(len(scores), 1, 1), targets, lengths))
