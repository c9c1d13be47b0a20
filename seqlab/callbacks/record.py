"""The record of a run: the training loss every so many steps, the speed, and the learning curve."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch

from seqlab.data.base import Batch


class Record(L.Callback):
    """Reports the mean training loss of the last `every` steps, the learning rate and the speed to all loggers.

    The sums stay on the device; only a report waits for them. `steps_per_second` and `targets_per_second` leave
    validation out.
    """

    def __init__(self, every: int = 100) -> None:
        if every < 1:
            raise ValueError(f"callbacks.record.every is {every}; expected at least 1 step.")
        self.every = every
        self.loss: torch.Tensor | None = None
        self.batches = 0
        self.targets = 0
        self.seconds = 0.0
        self.steps = 0
        self.total_targets = 0
        self.curve: list[tuple[int, float]] = []
        self._start = 0.0

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int) -> None:
        self._start = time.perf_counter()

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Batch, batch_idx: int) -> None:
        self.seconds += time.perf_counter() - self._start
        loss = outputs["loss"].detach()
        self.loss = loss if self.loss is None else self.loss + loss
        self.batches += 1
        self.steps += 1
        self.total_targets += batch.targets.numel() if batch.lengths is None or batch.targets.dim() < 2 else int(batch.lengths.sum())
        if self.batches >= self.every:
            self.report(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.report(trainer)

    def report(self, trainer: L.Trainer) -> None:
        """Send the mean since the last report to the loggers."""
        if self.loss is None:
            return
        mean = float(self.loss) / self.batches
        self.curve.append((trainer.global_step, mean))
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        for logger in trainer.loggers:
            logger.log_metrics({"epoch": trainer.current_epoch, "train/loss": mean, "learning_rate": rate}, step=trainer.global_step)
        self.loss, self.batches = None, 0

    def speed(self) -> dict[str, float]:
        """Steps and targets (bits, labels, tokens) per second of training."""
        seconds = max(self.seconds, 1e-9)
        return {"steps_per_second": self.steps / seconds, "targets_per_second": self.total_targets / seconds}


class ValidationCurve(L.Callback):
    """Keeps what validation reported at each step, for the learning curve."""

    def __init__(self) -> None:
        self.points: dict[str, list[tuple[int, float]]] = {}

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.sanity_checking:
            return
        for name, value in trainer.callback_metrics.items():
            if name.startswith("val/"):
                self.points.setdefault(name, []).append((trainer.global_step, float(value)))


def draw_learning_curve(path: Path, training: list[tuple[int, float]], validation: dict[str, list[tuple[int, float]]]) -> None:
    """learning_curve.png: losses on the left, every other validation metric on the right."""
    from matplotlib.figure import Figure  # not at import time: it costs a second

    others = {name: points for name, points in validation.items() if name != "val/loss"}
    figure = Figure(figsize=(11 if others else 6, 4), layout="constrained")
    axes = figure.subplots(1, 2 if others else 1, squeeze=False)[0]
    if training:
        axes[0].plot(*zip(*training, strict=True), label="train", color="tab:blue")
    if "val/loss" in validation:
        axes[0].plot(*zip(*validation["val/loss"], strict=True), label="validation", color="tab:orange", marker="o", markersize=3)
    axes[0].set(title="loss", xlabel="step", ylabel="loss")
    axes[0].legend()
    if others:
        for name, points in others.items():
            axes[1].plot(*zip(*points, strict=True), label=name.removeprefix("val/"), marker="o", markersize=3)
        axes[1].set(title="validation", xlabel="step")
        axes[1].legend()
    for axis in axes:
        axis.grid(alpha=0.3)
    figure.savefig(path, dpi=120)
