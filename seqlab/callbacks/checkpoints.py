"""Which states of a run are kept: the last one, the one before it and the best one; each can be gone on from exactly."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
from lightning.pytorch.callbacks import Checkpoint, Timer

from seqlab.callbacks.interrupt import Interrupted
from seqlab.callbacks.position import RESUME, Position, validation_due
from seqlab.checkpoint import BEST, LAST, copy_checkpoint
from seqlab.metrics_file import MetricsFile
from seqlab.random_state import random_states, set_random_states
from seqlab.ranks.sharded import of_parts, own_part
from seqlab.registry import unknown
from seqlab.run_directory import CHECKPOINTS
from seqlab.tasks import Task

SAVE = "save"  # the question to all processes


class Checkpoints(Checkpoint):
    """Keeps `last.ckpt`, renewed every `every_seconds` and `every_steps`, after every validation and epoch and when the run is
    stopped; `previous.ckpt`, the one before it; and `best.ckpt`, the one whose `monitor` is best. A loss that is no number
    before the first of them leaves the weights before its step as `last.ckpt`.

    Of equal ones the earliest is best; a NaN never is. Beside Lightning's own state a checkpoint holds the place in the epoch,
    the random numbers' states, what each rank carries from batch to batch, gradients that are not applied yet, and how many
    rows metrics.csv has, so that a run that goes on from it is the run that was never stopped. (Lightning's ModelCheckpoint
    keeps none of these and renews its last.ckpt only when the best one changes, 2.6.6.)
    """

    def __init__(self, monitor: str, mode: str, every_seconds: float | None = 60.0, every_steps: int | None = None) -> None:
        if mode not in ("min", "max"):
            raise ValueError(unknown("mode", mode, ["min", "max"]))
        for name, value in (("every_seconds", every_seconds), ("every_steps", every_steps)):
            if value is not None and value <= 0:
                raise ValueError(f"callbacks.checkpoints.{name} is {value}; expected more than 0, or null for never.")
        self.monitor = monitor
        self.mode = mode
        self.every_seconds = every_seconds
        self.every_steps = every_steps
        self.best_model_path = ""  # the name Lightning's trainer looks for
        self.best_step = 0
        self.best_metrics: dict[str, float] = {}
        self.folder = Path(CHECKPOINTS)
        self._better = False  # the weights are the best, and best.ckpt is not renewed yet
        self._saved_step = 0
        self._saved_at = time.monotonic()
        self._epoch_ended = False
        self._validated = True
        self._loaded: dict[str, Any] | None = None  # of the checkpoint that training goes on from

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        self.folder = Path(trainer.default_root_dir) / CHECKPOINTS
        assert isinstance(pl_module, Task)
        pl_module.asked_of_all[SAVE] = lambda: self.is_late()  # a bound method would be copied with this callback wherever the task is

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._saved_at, self._saved_step = time.monotonic(), trainer.global_step
        if self._loaded is not None:
            self._go_on(trainer, pl_module, self._loaded)
            self._loaded = None

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._epoch_ended = False

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int) -> None:
        self._epoch_ended = False
        self._validated = not validation_due(trainer)
        if trainer.is_last_batch and self._validated:
            return  # the end of the epoch follows, and saves
        late = self.is_late() if trainer.world_size == 1 else outputs["agreed"][SAVE]  # clocks differ, saving is done together
        if late or (self.every_steps is not None and trainer.global_step - self._saved_step >= self.every_steps):
            self.save_last(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.sanity_checking or not trainer.validating or trainer.state.fn != "fit":
            return
        self._validated = True
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        if self.monitor not in metrics:
            raise ValueError(unknown("metric", self.monitor, sorted(metrics), "Choose one with monitor=NAME, and mode=min or mode=max."))
        if self._is_better(metrics[self.monitor]):
            self.best_model_path, self.best_step, self.best_metrics = str(self.folder / BEST), trainer.global_step, metrics
            self._better = True
        stops = trainer.should_stop and trainer.fit_loop._can_stop_early
        if not trainer.is_last_batch and not stops:  # else the end of the epoch follows, and saves
            self.save_last(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._epoch_ended = True
        self.save_last(trainer)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        if isinstance(exception, Interrupted) and exception.between_steps:
            self._validated = not exception.validation_due
            self.save_last(trainer)
        # a step that was refused changed no weight; where a validation has passed, its checkpoint is the one known to be good
        if isinstance(exception, FloatingPointError) and not (self.folder / LAST).exists():
            self.save_last(trainer)

    def save_last(self, trainer: L.Trainer) -> None:
        """Renew last.ckpt, and best.ckpt when the weights are the best."""
        trainer.save_checkpoint(self.folder / LAST)
        if self._better and trainer.is_global_zero:
            copy_checkpoint(self.folder / LAST, self.folder / BEST)
        self._better = False
        self._saved_step, self._saved_at = trainer.global_step, time.monotonic()

    def _position(self, trainer: L.Trainer) -> Position:
        return Position.of(trainer, self._epoch_ended, self._validated)

    def is_late(self) -> bool:
        """Whether `every_seconds` have passed since the last checkpoint, by the clock of this process."""
        return self.every_seconds is not None and time.monotonic() - self._saved_at >= self.every_seconds

    def _is_better(self, score: float) -> bool:
        if not self.best_model_path:
            return score == score  # not a NaN
        best = self.best_metrics[self.monitor]
        return score < best if self.mode == "min" else score > best

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Say outright where the training stands, and add what Lightning leaves out."""
        position = self._position(trainer)
        position.write_into(checkpoint["loops"]["fit_loop"])
        assert isinstance(pl_module, Task)
        own = {"random": random_states(), "carried": pl_module.carried_over(), "gradients": _gradients(pl_module, trainer)}
        ranks: list[Any] = [own] * trainer.world_size
        if trainer.world_size > 1:
            torch.distributed.all_gather_object(ranks, own)
        stopped = trainer.should_stop and not _out_of_time(trainer)
        checkpoint[RESUME] = {"position": asdict(position), "ranks": ranks, "metrics": _metrics_file(trainer).mark(), "stopped": stopped}

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        self._loaded = checkpoint[RESUME]
        source, own = Path(str(trainer.ckpt_path)), checkpoint["callbacks"].get(self.state_key, {})
        if source.parent.resolve() != self.folder.resolve():  # another run's
            return
        trainer.should_stop = checkpoint[RESUME]["stopped"]  # early stopping has spoken, and is not asked again
        # the process may have been killed after last.ckpt was written and before it became best.ckpt
        if own.get("is_best") and trainer.is_global_zero:
            copy_checkpoint(source, self.folder / BEST)

    def _go_on(self, trainer: L.Trainer, pl_module: L.LightningModule, loaded: dict[str, Any]) -> None:
        """Here, after all that loading has done, since the next random number to be drawn is the training's."""
        self._validated = loaded["position"]["validated"]
        ranks = loaded["ranks"]
        if len(ranks) != trainer.world_size:
            raise ValueError(f"the checkpoint is that of {len(ranks)} processes, the trainer has {trainer.world_size}. Set trainer.devices={len(ranks)}.")
        own = ranks[trainer.global_rank]
        assert isinstance(pl_module, Task)
        pl_module.carry_over(own["carried"])
        for name, parameter in pl_module.named_parameters():
            if name in own["gradients"]:
                parameter.grad = of_parts(own["gradients"][name].to(parameter.device), parameter)
        set_random_states(own["random"])

    def state_dict(self) -> dict[str, Any]:
        return {"best_step": self.best_step, "best_metrics": self.best_metrics, "is_best": self._better}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """What is best is taken over only where its file is: a run that starts from another run's checkpoint finds its own."""
        if state_dict["best_metrics"] and (self.folder / BEST).is_file():
            self.best_model_path, self.best_step, self.best_metrics = str(self.folder / BEST), state_dict["best_step"], state_dict["best_metrics"]


def _gradients(task: L.LightningModule, trainer: L.Trainer) -> dict[str, torch.Tensor]:
    """Those of batches that were accumulated and that no step was made of yet."""
    if not trainer.fit_loop.epoch_loop._should_accumulate():
        return {}
    return {name: own_part(parameter.grad) for name, parameter in task.named_parameters() if parameter.grad is not None}


def _out_of_time(trainer: L.Trainer) -> bool:
    """Whether trainer.max_time has passed, which may be another when the run goes on."""
    return any(isinstance(callback, Timer) and (callback.time_remaining() or 0.0) < 0 for callback in trainer.callbacks)  # pyright: ignore[reportAttributeAccessIssue]


def _metrics_file(trainer: L.Trainer) -> MetricsFile:
    return next(logger for logger in trainer.loggers if isinstance(logger, MetricsFile))
