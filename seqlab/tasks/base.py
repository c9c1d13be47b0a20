"""The base of the tasks: everything that does not depend on the kind of target, written once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

import lightning.pytorch as L
import torch
from torch import Tensor
from torch.optim import Optimizer
from torchmetrics import MeanMetric, MetricCollection

from seqlab.data.base import Batch
from seqlab.model import SequenceModel


class Outcome(NamedTuple):
    """Of one batch: the loss to minimise, how many targets it is a mean over, and what the metrics compare."""

    loss: Tensor
    count: int
    predictions: Tensor
    targets: Tensor


class Task(L.LightningModule, ABC):
    """Trains a SequenceModel. Subclasses say how a batch becomes an Outcome and which metrics to keep.

    optimizer: called with the parameters. schedule: called with the optimizer, or None for a constant rate.
    l1, l2: weights of the penalties Σ|w| and ½Σw² over all parameters but biases, added to the training loss.
    """

    def __init__(
        self,
        model: SequenceModel,
        optimizer: Callable[..., Optimizer],
        schedule: Callable[[Optimizer], Any] | None = None,
        l1: float = 0.0,
        l2: float = 0.0,
    ) -> None:
        super().__init__()
        self.model = model
        self.make_optimizer = optimizer
        self.make_schedule = schedule
        self.l1 = l1
        self.l2 = l2
        self.metrics = torch.nn.ModuleDict({split: self.make_metrics().clone(prefix=f"{split}/") for split in ("val", "test")})
        self.losses = torch.nn.ModuleDict({split: MeanMetric() for split in ("val", "test")})

    @abstractmethod
    def outcome(self, batch: Batch) -> Outcome:
        """Run the model on a batch and compare with the targets."""

    @abstractmethod
    def make_metrics(self) -> MetricCollection:
        """The metrics of a split, fed with the Outcome's predictions and targets."""

    def predict(self, batch: Batch) -> Tensor:
        """The model's answers on a batch, in evaluation mode and without gradients."""
        training = self.training
        self.eval()
        with torch.no_grad():
            predictions = self.outcome(batch).predictions
        self.train(training)
        return predictions

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        loss = self.outcome(batch).loss
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"the training loss is {loss.item()} at step {self.global_step}; expected a finite number. "
                "The weights were not changed. Lower the learning rate, clip gradients (trainer.gradient_clip_val=1), or look for bad inputs."
            )
        return loss + self.penalty() if self.l1 or self.l2 else loss

    def penalty(self) -> Tensor:
        """l1 Σ|w| + ½ l2 Σw² over the parameters with more than one axis."""
        weights = [p for p in self.model.parameters() if p.dim() > 1]
        return self.l1 * sum((w.abs().sum() for w in weights), torch.zeros(())) + 0.5 * self.l2 * sum((w.square().sum() for w in weights), torch.zeros(()))

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        self._evaluate("val", batch)

    def test_step(self, batch: Batch, batch_index: int) -> None:
        self._evaluate("test", batch)

    def on_validation_epoch_end(self) -> None:
        self._report("val")

    def on_test_epoch_end(self) -> None:
        self._report("test")

    def _evaluate(self, split: str, batch: Batch) -> None:
        outcome = self.outcome(batch)
        self.losses[split].update(outcome.loss, weight=outcome.count)
        self.metrics[split].update(outcome.predictions, outcome.targets)

    def _report(self, split: str) -> None:
        loss, metrics = self.losses[split], self.metrics[split]
        assert isinstance(loss, MeanMetric)
        assert isinstance(metrics, MetricCollection)
        self.log_dict({f"{split}/loss": loss.compute(), **metrics.compute()})
        loss.reset()
        metrics.reset()

    def configure_optimizers(self) -> Any:
        optimizer = self.make_optimizer(self.parameters())
        return optimizer if self.make_schedule is None else self.make_schedule(optimizer)
