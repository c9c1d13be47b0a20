"""The base of the tasks: everything that does not depend on the kind of target, written once."""

from __future__ import annotations

import math
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import lightning.pytorch as L
import torch
from lightning.pytorch.plugins.precision import Precision
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import Tensor
from torch.optim import Optimizer
from torchmetrics import MeanMetric, MetricCollection
from torchmetrics.classification import MulticlassConfusionMatrix

from seqlab.data.base import Batch, SequenceDataModule
from seqlab.data.order import seed_process
from seqlab.frontends.batch_norm import BatchNorm2d
from seqlab.heads import HeadWithLoss
from seqlab.model import SequenceModel
from seqlab.registry import unknown
from seqlab.tasks.ranks import loss_of_share, whole
from seqlab.tasks.schedules import Schedule


@dataclass(frozen=True)
class Outcome:
    """Of one batch: the loss to minimise, how many targets (or what weight of targets) it is a mean over, and what the metrics compare.

    predictions: empty while training with a head that would have to search for them; nothing reads them there.
    """

    loss: Tensor
    count: float
    predictions: Tensor
    targets: Tensor


class Task(L.LightningModule, ABC):
    """Trains a SequenceModel. Subclasses say how a batch becomes an Outcome and which metrics to keep.

    optimizer: called with the parameters. schedule: see seqlab.tasks.schedules; None for a constant rate.
    labels: the names of the classes, where the data has them.
    l1, l2: weights of the penalties Σ|w| and ½Σw² over all parameters but biases, added to the training loss.
    A loss or gradient that is no finite number raises FloatingPointError before the weights change.
    """

    uses_head_loss: ClassVar[bool] = False  # whether the loss of a HeadWithLoss is minimised; if not, such a head is refused

    def __init__(
        self,
        model: SequenceModel,
        optimizer: Callable[..., Optimizer],
        schedule: Callable[[Optimizer, int | None], Schedule] | None = None,
        l1: float = 0.0,
        l2: float = 0.0,
        labels: Sequence[str] = (),
    ) -> None:
        super().__init__()
        if isinstance(model.head, HeadWithLoss) and not self.uses_head_loss:
            raise ValueError(
                f"the head is a {type(model.head).__name__}, with a loss of its own over steps, which {type(self).__name__} has no use for. "
                "Choose head=pooled for one answer per sequence, head=steps for one per step."
            )
        self.labels = tuple(labels)
        self.signatures: dict[str, str] = {}  # how metrics were computed that can be computed in more than one way, for the summary
        self.origin: dict[str, Any] | None = None  # what a warm start took over, for the summary
        self.model = model
        self.make_optimizer = optimizer
        self.make_schedule = schedule
        self.l1 = l1
        self.l2 = l2
        self.num_ranks = 1  # processes that train this model together
        self.asked_of_all: dict[str, Callable[[], bool]] = {}  # what callbacks want to know of every process with each training batch
        self.normalising: list[BatchNorm2d] = []  # the parts of the model that have to know which rows count
        self.gradient_norm: Tensor | None = None  # of the last step, before clipping
        self._validation_schedule: Schedule | None = None
        self.metrics = torch.nn.ModuleDict({split: self.make_metrics().clone(prefix=f"{split}/") for split in ("val", "test")})
        self.losses = torch.nn.ModuleDict({split: MeanMetric() for split in ("val", "test")})
        self.confusion = self.make_confusion()  # of the test
        self.confused: Tensor | None = None  # what it counted in the last test, (V, V): [true class, answer]

    def __setattr__(self, name: str, value: Any) -> None:
        # Lightning notes here which hook runs, 42 times a step: through nn.Module's own way that is 7 % of a small step
        if name == "_current_fx_name":
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    @abstractmethod
    def outcome(self, batch: Batch) -> Outcome:
        """Run the model on a batch and compare with the targets."""

    @abstractmethod
    def make_metrics(self) -> MetricCollection:
        """The metrics of a split, fed with the Outcome's predictions and targets. With compute_groups=False: torchmetrics takes metrics
        that agree on the first batch for one for good, by chance or because it counts for nothing, and each process finds its own."""

    def setup(self, stage: str) -> None:
        """Lightning calls this with the trainer in place."""
        self.num_ranks = self.trainer.world_size
        self.normalising = [module for module in self.model.modules() if isinstance(module, BatchNorm2d)]

    def configure_model(self) -> None:
        """Lightning calls this before it trains or tests. With trainer=fsdp2 the weights are divided among the ranks here, as one unit that
        is put together around each step, so that a task may use any part of its model in any way."""
        if not isinstance(self.trainer.strategy, ModelParallelStrategy):
            return
        from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method

        if isinstance(self, FSDPModule):  # the test follows the training
            return
        assert self.device_mesh is not None
        fully_shard(self, mesh=self.device_mesh["data_parallel"])
        for step in ("training_step", "validation_step", "test_step", "predict"):
            register_fsdp_forward_method(self, step)

    def on_fit_start(self) -> None:
        """Here all processes have drawn the same weights; the rows that they get from now on have dropout of their own."""
        if self.num_ranks > 1:
            seed_process(zlib.crc32(f"{torch.initial_seed()} {self.trainer.global_rank}".encode()))

    def make_confusion(self) -> MulticlassConfusionMatrix | None:
        """Counts which class was taken for which, in the test; None where there are no classes, or too many to look at."""
        return None

    def prepare(self, data: SequenceDataModule) -> None:
        """Called once at the start of a fresh run: take from the training split what is not trained (see Frontend.prepare)."""
        self.model.frontend.prepare(data)

    def derived_metrics(self, loss: Tensor) -> dict[str, Tensor]:
        """Metrics that are a function of a split's mean loss, {name: value}; none by default."""
        return {}

    def keep(self, split: str, outcome: Outcome) -> None:
        """Called with every Outcome of an evaluation, without rows where the batch is spare: put aside what `closing_metrics` needs; nothing by default."""

    def closing_metrics(self, split: str) -> dict[str, Tensor]:
        """Metrics of a split that need all of its batches at once, {name: value}, called at its end; none by default."""
        return {}

    def closing_lines(self, data: SequenceDataModule) -> list[str]:
        """A few lines that show what the trained model does, for the end of a run."""
        return data.examples(self.predict)

    def predict(self, batch: Batch) -> Tensor:
        """The model's answers on a batch, in evaluation mode and without gradients."""
        training, dtype = self.training, next(self.model.parameters()).dtype
        inputs, targets = (part.to(dtype) if part.is_floating_point() else part for part in (batch.inputs, batch.targets))
        self.eval()
        with torch.no_grad():
            predictions = self.outcome(replace(batch, inputs=inputs, targets=targets)).predictions
        self.train(training)
        return predictions

    def answer(self, batch: Batch) -> list[dict[str, Any]]:
        """What the trained model says of each row of a batch without targets, as plain values for `seqlab predict`."""
        raise ValueError(f"{type(self).__name__} has no answers to write for new input. Predict with a run of another task.")

    def carried_over(self) -> dict[str, Any]:
        """What one training batch leaves to the next besides weights, as plain data and tensors: in a checkpoint for each rank."""
        return {"gradient_norm": self.gradient_norm}

    def carry_over(self, carried: dict[str, Any]) -> None:
        """Go on from what `carried_over` gave, in a run that is resumed."""
        self.gradient_norm = carried["gradient_norm"]

    def training_step(self, batch: Batch, batch_index: int) -> dict[str, Any]:
        """loss: what is minimised. data_loss, tokens: the loss without penalties and the valid steps, of the shares of all processes.
        agreed: of each question of `asked_of_all` whether any process said yes in this step; empty where there is one process."""
        for module in self.normalising:
            module.counts = not batch.spare
        outcome = self.outcome(batch)
        loss, mean, tokens, agreed = outcome.loss, outcome.loss.detach(), num_tokens(batch), {}
        if self.num_ranks > 1:
            weight, counted, answers = 0.0 if batch.spare else outcome.count, 0 if batch.spare else tokens, [ask() for ask in self.asked_of_all.values()]
            loss, mean, tokens, answers = loss_of_share(loss, weight, counted, self.num_ranks, answers)
            agreed = dict(zip(self.asked_of_all, answers, strict=True))
        self._check_finite("loss", mean)
        return {"loss": loss + self.penalty() if self.l1 or self.l2 else loss, "data_loss": mean, "tokens": tokens, "agreed": agreed}

    def penalty(self) -> Tensor:
        """l1 Σ|w| + ½ l2 Σw² over all parameters but biases, known by their names."""
        weights = [p for name, p in self.model.named_parameters() if "bias" not in name.rpartition(".")[2]]
        return self.l1 * torch.stack([w.abs().sum() for w in weights]).sum() + 0.5 * self.l2 * torch.stack([w.square().sum() for w in weights]).sum()

    def configure_gradient_clipping(self, optimizer: Optimizer, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None) -> None:
        """Lightning calls this before every step of the optimizer, whether there is something to clip or not."""
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        self.gradient_norm = whole(torch.nn.utils.get_total_norm(gradients), self.num_ranks)
        if getattr(self.trainer.precision_plugin, "scaler", None) is None:  # 16-mixed overflows by design and then skips the step itself
            self._check_finite("norm of the gradient", self.gradient_norm)
        if gradient_clip_val is None:
            return
        if gradient_clip_algorithm in (None, "norm") and type(self.trainer.precision_plugin) is Precision:  # its way, but for a norm that is known already
            torch.nn.utils.clip_grads_with_norm_([p for group in optimizer.param_groups for p in group["params"]], gradient_clip_val, self.gradient_norm)
        else:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def _check_finite(self, what: str, value: Tensor) -> None:
        if not math.isfinite(value.item()):
            raise FloatingPointError(
                f"the training {what} is {value.item()} at step {self.global_step + 1}; expected a finite number. The weights were not changed. "
                "Lower the learning rate, clip gradients (trainer.gradient_clip_val=1), or look for bad inputs."
            )

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
        if batch.spare:
            self.keep(split, replace(outcome, predictions=outcome.predictions[:0], targets=outcome.targets[:0]))
            return
        loss, metrics = self._meters(split)
        loss.update(outcome.loss, weight=outcome.count)
        metrics.update(outcome.predictions, outcome.targets)
        if split == "test" and self.confusion is not None:
            self.confusion.update(outcome.predictions, outcome.targets)
        self.keep(split, outcome)

    def _meters(self, split: str) -> tuple[MeanMetric, MetricCollection]:
        loss, metrics = self.losses[split], self.metrics[split]
        assert isinstance(loss, MeanMetric)
        assert isinstance(metrics, MetricCollection)
        return loss, metrics

    def _report(self, split: str) -> None:
        loss, metrics = self._meters(split)
        mean = loss.compute()
        further = {**self.derived_metrics(mean), **self.closing_metrics(split)}
        values = {f"{split}/loss": mean, **metrics.compute(), **{f"{split}/{name}": value for name, value in further.items()}}
        loss.reset()
        metrics.reset()
        if split == "test" and self.confusion is not None:
            self.confused = self.confusion.compute().cpu()
            self.confusion.reset()
        if self.trainer.sanity_checking:
            return
        self.log_dict(values, logger=False)  # for the callbacks; Lightning would number the row one step too low
        for logger in self.loggers:
            logger.log_metrics({"epoch": self.current_epoch, **{name: float(value) for name, value in values.items()}}, step=self.global_step)
        schedule = self._validation_schedule
        if split == "val" and schedule is not None and self.trainer.state.fn == "fit":
            if schedule.monitor not in values:
                raise ValueError(unknown("metric", schedule.monitor, sorted(values), "Choose one with schedule.monitor=NAME."))
            schedule.scheduler.step(float(values[schedule.monitor]))

    def configure_optimizers(self) -> Any:
        optimizer = self.make_optimizer(self.parameters())
        if self.make_schedule is None:
            return optimizer
        total = self.trainer.estimated_stepping_batches
        schedule = self.make_schedule(optimizer, int(total) if 0 < total < math.inf else None)
        on_validation = schedule.interval == "validation"
        self._validation_schedule = schedule if on_validation else None
        interval = "epoch" if on_validation else schedule.interval
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule.scheduler, "interval": interval, "reduce_on_plateau": False}}

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Lightning knows steps and epochs, and keeps every scheduler's state; those that wait for a validation move in `_report`."""
        if self._validation_schedule is None:
            scheduler.step()


def num_tokens(batch: Batch) -> Tensor | int:
    """The steps of a batch that are no padding."""
    return batch.inputs.shape[:2].numel() if batch.lengths is None else batch.lengths.sum()
