"""Trials of a search that are worse than others at the same point end early."""

from __future__ import annotations

import json
import os
from typing import Any

import lightning.pytorch as L

from seqlab.registry import unknown
from seqlab.sweep.study import TRIAL, import_optuna, make_pruner, open_study


class Pruned(Exception):
    """The trial is worse than the others were at this point; what was trained is recorded."""


class Pruning(L.Callback):
    """Reports `monitor` to the study after each validation, and ends the trial when its pruner says so.

    The study is the one that the sweeper hydra/sweeper=optuna_study has set for the job; in a run that belongs to none,
    there is nothing to report to and nothing happens. A job that goes on, for another trial than it began, reports to it
    what it had reported, so that its validations are compared with those of other trials at the same point.
    """

    def __init__(self, monitor: str, mode: str, pruner: str = "median", num_startup: int = 5, num_warmup: int = 1) -> None:
        self.monitor = monitor
        self.mode = mode
        self.make = {"pruner": pruner, "num_startup": num_startup, "num_warmup": num_warmup}
        self.trial: Any = None
        self.reported: list[float] = []
        self.stop = False

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if TRIAL not in os.environ:
            self.stop = False  # a trial that is gone on with by hand
        if TRIAL not in os.environ or not trainer.is_global_zero:
            return
        which = json.loads(os.environ[TRIAL])
        study = open_study(which["storage"], which["study_name"], self.mode, pruner=make_pruner(**self.make))
        (found,) = (trial for trial in study.get_trials(deepcopy=False) if trial.number == which["number"])
        self.trial = import_optuna().trial.Trial(study, found._trial_id)
        for number, value in enumerate(self.reported):
            if number not in found.intermediate_values:
                self.trial.report(value, number)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        if self.trial is not None:
            metrics = trainer.callback_metrics
            if self.monitor not in metrics:
                raise ValueError(unknown("metric", self.monitor, sorted(metrics), "Choose one with monitor=NAME, and mode=min or mode=max."))
            self.trial.report(float(metrics[self.monitor]), len(self.reported))
            self.reported.append(float(metrics[self.monitor]))
            self.stop = self.trial.should_prune()
        self.stop = trainer.strategy.broadcast(self.stop)  # all ranks stop, or none

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int) -> None:
        if self.stop:  # not before the validation has reached the loggers and the checkpoints; a training that is over is not pruned
            raise Pruned(f"{self.monitor} is worse than that of other trials after {len(self.reported)} validations")

    def state_dict(self) -> dict[str, Any]:
        return {"reported": list(self.reported), "stop": self.stop}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.reported, self.stop = list(state_dict["reported"]), state_dict["stop"]
