"""The record of a run: the training loss every so many steps, what validation found, and the speed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import lightning.pytorch as L
import torch

from seqlab.callbacks.interrupt import Interrupted
from seqlab.data.base import Batch
from seqlab.tasks import Task


class Record(L.Callback):
    """Reports the mean training loss of the last `every` batches, the learning rate and the norm of the gradient to all loggers.

    The loss is that of the data, without penalties, as validation has it. Rate and norm (before clipping) are those of
    the last step. Sums stay on the device; only a report waits for them. The speed counts training with the loading of
    its batches, without validation and saving.
    """

    def __init__(self, every: int = 100) -> None:
        if every < 1:
            raise ValueError(f"callbacks.record.every is {every}; expected at least 1 batch.")
        self.every = every
        self.training: list[tuple[int, float]] = []  # (step, loss)
        self.validation: dict[str, list[tuple[int, float]]] = {}  # metric: (step, value)
        self._loss: torch.Tensor | float = 0.0
        self._batches = 0
        self._steps = 0
        self._tokens: torch.Tensor | int = 0
        self._seconds = 0.0
        self._since: float | None = None  # when the clock was started, None while it stands
        self._last_step = 0
        self._reported_step = 0
        self._rate: torch.Tensor | float = 0.0
        self._clocked_step: int | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self._clocked_step is None:
            self._last_step = trainer.global_step
        else:  # of a run that goes on, whose last steps were clocked but not counted when it was saved
            self._last_step, self._clocked_step = self._clocked_step, None

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int) -> None:
        self._rate = trainer.optimizers[0].param_groups[0]["lr"]  # here, since at the end of the step the schedule has moved on
        if self._since is None:
            self._since = time.perf_counter()

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Batch, batch_idx: int) -> None:
        self._loss = self._loss + outputs["data_loss"]
        self._batches += 1
        self._tokens += outputs["tokens"]
        if self._batches >= self.every and trainer.global_step != self._reported_step:  # between steps there is none to report it at
            self.report(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.report(trainer)
        self._stop_clock(trainer)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        if not (isinstance(exception, Interrupted) and exception.between_steps):  # which is saved, sums and all, and gone on from
            self.report(trainer)
        self._stop_clock(trainer)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._stop_clock(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not trainer.sanity_checking:
            for name, value in trainer.callback_metrics.items():
                if name.startswith("val/"):
                    self.validation.setdefault(name, []).append((trainer.global_step, float(value)))

    def report(self, trainer: L.Trainer) -> None:
        """Send the mean since the last report to the loggers."""
        if not self._batches:
            return
        mean = float(self._loss) / self._batches
        self.training.append((trainer.global_step, mean))
        row = {"epoch": trainer.current_epoch, "train/loss": mean, "learning_rate": float(self._rate)}
        if isinstance(trainer.lightning_module, Task) and trainer.lightning_module.gradient_norm is not None:
            row["gradient_norm"] = float(trainer.lightning_module.gradient_norm)
        for logger in trainer.loggers:
            logger.log_metrics(row, step=trainer.global_step)
        self._loss, self._batches, self._reported_step = 0.0, 0, trainer.global_step

    def latest(self) -> dict[str, float]:
        """What was reported last: the training loss and each validation metric."""
        training = {"train/loss": self.training[-1][1]} if self.training else {}
        return {**training, **{name: points[-1][1] for name, points in self.validation.items()}}

    def speed(self) -> dict[str, float | None]:
        """Optimizer steps and tokens (for features: vectors) per second of training; None when no step was made."""
        if not self._steps:
            return {"steps_per_second": None, "tokens_per_second": None}
        return {"steps_per_second": self._steps / self._seconds, "tokens_per_second": float(self._tokens) / self._seconds}

    def state_dict(self) -> dict[str, Any]:
        """The sums since the last report, and what the speed is made of. The points themselves stand in metrics.csv."""
        running = 0.0 if self._since is None else time.perf_counter() - self._since
        sums = {"loss": self._loss, "batches": self._batches, "reported_step": self._reported_step, "rate": float(self._rate)}
        return {**sums, "steps": self._steps, "unclocked_since": self._last_step, "tokens": int(self._tokens), "seconds": self._seconds + running}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._loss, self._batches = state_dict["loss"], state_dict["batches"]
        self._reported_step, self._rate = state_dict["reported_step"], state_dict["rate"]
        self._steps, self._tokens, self._seconds = state_dict["steps"], state_dict["tokens"], state_dict["seconds"]
        self._clocked_step = state_dict["unclocked_since"]

    def refill(self, rows: Sequence[dict[str, Any]]) -> None:
        """Take over the points of metrics.csv that a run goes on from."""
        for row in rows:
            step = int(row["step"])
            for name, value in row.items():
                if name == "train/loss":
                    self.training.append((step, float(value)))
                elif name.startswith("val/"):
                    self.validation.setdefault(name, []).append((step, float(value)))

    def _stop_clock(self, trainer: L.Trainer) -> None:
        if self._since is None:
            return
        if trainer.strategy.root_device.type == "cuda":
            torch.cuda.synchronize()
        self._seconds += time.perf_counter() - self._since
        self._since = None
        self._steps += trainer.global_step - self._last_step
        self._last_step = trainer.global_step
