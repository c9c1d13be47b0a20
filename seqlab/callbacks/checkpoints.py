"""Which states of a run are kept: the last one and the best one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.callbacks import Checkpoint

from seqlab.callbacks.interrupt import Interrupted
from seqlab.checkpoint import copy_checkpoint
from seqlab.registry import unknown
from seqlab.run_directory import CHECKPOINTS


class Checkpoints(Checkpoint):
    """Keeps `last.ckpt`, renewed after every validation and epoch, and `best.ckpt`, the one whose `monitor` is best. A loss
    that is no number before the first of them leaves the weights before its step as `last.ckpt`.

    Of equal ones the earliest is best; a NaN never is. Lightning's ModelCheckpoint renews its last.ckpt only when the
    best one changes (2.6.6), so that it would not hold the end of the training.
    """

    def __init__(self, monitor: str, mode: str) -> None:
        if mode not in ("min", "max"):
            raise ValueError(unknown("mode", mode, ["min", "max"]))
        self.monitor = monitor
        self.mode = mode
        self.best_model_path = ""  # the name Lightning's trainer looks for
        self.best_step = 0
        self.best_metrics: dict[str, float] = {}
        self.folder = Path(CHECKPOINTS)
        self._saved_step = 0

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        self.folder = Path(trainer.default_root_dir) / CHECKPOINTS

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.sanity_checking or not trainer.validating or trainer.state.fn != "fit":
            return
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        if self.monitor not in metrics:
            raise ValueError(unknown("metric", self.monitor, sorted(metrics), "Choose one with monitor=NAME, and mode=min or mode=max."))
        better = self._is_better(metrics[self.monitor])
        if better:
            self.best_model_path, self.best_step, self.best_metrics = str(self.folder / "best.ckpt"), trainer.global_step, metrics
        self.save_last(trainer)
        if better:
            copy_checkpoint(self.folder / "last.ckpt", self.folder / "best.ckpt")

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self._saved_step != trainer.global_step:
            self.save_last(trainer)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        unsaved = self._saved_step != trainer.global_step
        if isinstance(exception, Interrupted) and exception.between_steps and unsaved:
            self.save_last(trainer)
        # a step that was refused changed no weight; where a validation has passed, its checkpoint is the one known to be good
        if isinstance(exception, FloatingPointError) and not (self.folder / "last.ckpt").exists():
            self.save_last(trainer)

    def save_last(self, trainer: L.Trainer) -> None:
        """Renew last.ckpt."""
        trainer.save_checkpoint(self.folder / "last.ckpt")
        self._saved_step = trainer.global_step

    def _is_better(self, score: float) -> bool:
        if not self.best_model_path:
            return score == score  # not a NaN
        best = self.best_metrics[self.monitor]
        return score < best if self.mode == "min" else score > best

    def state_dict(self) -> dict[str, Any]:
        return {"best_step": self.best_step, "best_metrics": self.best_metrics}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """What is best is taken over only where its file is: a run that starts from another run's checkpoint finds its own."""
        if state_dict["best_metrics"] and (self.folder / "best.ckpt").is_file():
            self.best_model_path, self.best_step, self.best_metrics = str(self.folder / "best.ckpt"), state_dict["best_step"], state_dict["best_metrics"]
