"""The gradient made visible: what reaches each state, parameter and gate while training goes on."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import numpy as np
import torch

from seqlab import run_directory
from seqlab.callbacks.gradient_pictures import draw_activations, draw_parameters, draw_states
from seqlab.callbacks.probe import Reading, fresh_rows, probe
from seqlab.data.base import Batch
from seqlab.ranks.group import is_first
from seqlab.tasks import Task

log = logging.getLogger("seqlab")
RECORD = "gradient.npz"


class GradientRecord(L.Callback):
    """Probes the model on the first `rows` sequences for validation: at start and end, every `every` steps, and before that
    after 1, 2, 4, 8, … steps, since what explodes does so early. Without validation it takes sequences for training.

    A probe is a forward and a backward pass in float64 on a copy of the model; training goes on exactly as without it.
    max_share bounds the cost: a probe that would bring their time above this share of the run so far is left out, the
    first and the last never are. What they took is logged at the end.
    Writes gradient.npz (`load_record`) and gradient_states.png, gradient_parameters.png and gradient_activations.png into
    `directory`, and reports to all loggers the norm of the whole gradient, the largest norm of a training batch since the
    probe before (unclipped), that of each state's first step against its largest, and each layer's mean activation, dead
    units and saturation.
    """

    def __init__(self, directory: str | Path, every: int = 100, rows: int = 16, max_share: float = 0.1) -> None:
        for name, value in (("every", every), ("rows", rows)):
            if value < 1:
                raise ValueError(f"callbacks.gradient.{name} is {value}; expected at least 1.")
        if not 0 < max_share <= 1:
            raise ValueError(f"callbacks.gradient.max_share is {max_share}; expected a share of the run's time in (0, 1].")
        self.directory = Path(directory)
        self.every = every
        self.rows = rows
        self.max_share = max_share
        self.steps: list[int] = []
        self.readings: list[Reading] = []
        self.largest: list[float] = []  # norm of a training batch's gradient before clipping, since the probe before
        self._largest = torch.zeros(())
        self._batch: Batch | None = None
        self._seen_step = 0
        self._left_out = 0
        self._spent = 0.0
        self._started = 0.0
        self._before = 0.0  # seconds that the run has taken before it was stopped

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._started = time.perf_counter() - self._before
        self._seen_step = trainer.global_step
        if not self.steps:  # else the run goes on, and its start was probed
            self._probe(trainer, pl_module)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int) -> None:
        step = trainer.global_step
        if step == self._seen_step:  # the batch is one of those that make a step together
            return
        self._seen_step = step
        if isinstance(pl_module, Task) and pl_module.gradient_norm is not None:
            self._largest = torch.maximum(self._largest.to(pl_module.gradient_norm), pl_module.gradient_norm)  # stays on the device
        if not self._due(step) or not trainer.is_global_zero or self.steps[-1] == step:
            return
        likely = self._spent * (1 + 1 / len(self.steps))
        if likely > self.max_share * (time.perf_counter() - self._started + likely - self._spent):
            self._left_out += 1
        else:
            self._probe(trainer, pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.steps and self.steps[-1] != trainer.global_step:
            self._left_out -= self._due(trainer.global_step)  # the last is never left out
            self._probe(trainer, pl_module)
        self._write()
        if self.steps and is_first():
            share = self._spent / max(time.perf_counter() - self._started, 1e-9)
            more = f"; {self._left_out} more were left out to stay below {self.max_share:.0%}" if self._left_out else ""
            log.info(f"{len(self.steps)} gradient probes took {self._spent:.1f} s, {share:.0%} of the run{more}")

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        self._write()

    def _due(self, step: int) -> bool:
        return step % self.every == 0 or (step < self.every and step.bit_count() == 1)

    def _probe(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        assert isinstance(task, Task)
        if not trainer.is_global_zero:
            return
        start = time.perf_counter()
        self._batch = self._batch or self._first_batch(trainer)
        reading = probe(task, self._batch)
        if not reading.states:
            raise ValueError("callbacks.gradient finds no layer whose states could be watched in this model. Leave gradient out of callbacks.")
        self.steps.append(trainer.global_step)
        self.readings.append(reading)
        self.largest.append(float(self._largest))
        self._largest = torch.zeros(())
        for logger in trainer.loggers:
            logger.log_metrics({"gradient/largest_norm": self.largest[-1], **scalars(reading)}, step=trainer.global_step)
        self._spent += time.perf_counter() - start

    def _first_batch(self, trainer: L.Trainer) -> Batch:
        data = trainer.datamodule  # pyright: ignore[reportAttributeAccessIssue]
        loader: Any = trainer.val_dataloaders or (data.val_dataloader() if data is not None else trainer.train_dataloader)
        with torch.random.fork_rng([]):  # a loader draws a seed from the generator that training uses
            batch = next(iter(loader))
        return trainer.strategy.batch_to_device(fresh_rows(batch, self.rows))

    def _write(self) -> None:
        if self.readings and is_first():  # all processes have those of the run that goes on
            packed = pack(self.steps, self.readings, self.largest)
            run_directory.replace(self.directory / RECORD, lambda partial: np.savez_compressed(partial, allow_pickle=False, **packed))
            self._draw()

    def state_dict(self) -> dict[str, Any]:
        """The probes so far, so that a run that goes on writes all of them."""
        readings = [{**asdict(reading), "states": {name: torch.from_numpy(norms) for name, norms in reading.states.items()}} for reading in self.readings]
        own = {"steps": list(self.steps), "readings": readings, "largest": list(self.largest), "largest_now": self._largest}
        return {**own, "left_out": self._left_out, "spent": self._spent, "seconds": time.perf_counter() - self._started}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        readings = state_dict["readings"]
        self.readings = [Reading(**{**plain, "states": {name: norms.numpy() for name, norms in plain["states"].items()}}) for plain in readings]
        self.steps, self.largest, self._largest = list(state_dict["steps"]), list(state_dict["largest"]), state_dict["largest_now"]
        self._left_out, self._spent, self._before = state_dict["left_out"], state_dict["spent"], state_dict["seconds"]

    def _draw(self) -> None:
        record = load_record(self.directory / RECORD)
        draw_states(record, self.directory / "gradient_states.png")
        draw_parameters(record, self.directory / "gradient_parameters.png")
        draw_activations(record, self.directory / "gradient_activations.png")


def scalars(reading: Reading) -> dict[str, float]:
    """What a logger is told of a probe."""
    told = {"gradient/norm": float(np.linalg.norm(list(reading.parameters.values())))}
    told |= {f"gradient/first_step/{name}": float(norms[0] / norms.max()) if norms.max() > 0 else 0.0 for name, norms in reading.states.items()}
    told |= {f"activation/mean/{name}": value for name, value in reading.mean.items()}
    told |= {f"activation/dead/{name}": value for name, value in reading.dead.items()}
    return told | {f"activation/saturated/{name}": value for name, value in reading.saturation.items()}


def pack(steps: list[int], readings: list[Reading], largest: list[float]) -> dict[str, np.ndarray]:
    """{name: array over probes}: `steps`, `loss` and `largest` (P,), `states/NAME` (P, T) and `KIND/NAME` (P,) for all others."""
    packed = {"steps": np.array(steps), "loss": np.array([r.loss for r in readings]), "largest": np.array(largest)}
    for kind in ("states", "parameters", "saturation", "dead", "mean", "spread"):
        for name in getattr(readings[0], kind):
            packed[f"{kind}/{name}"] = np.array([getattr(r, kind)[name] for r in readings])
    packed["silent"] = np.array(readings[0].silent, dtype=str)
    return packed


def load_record(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of a gradient.npz, by the names that `pack` gives them."""
    with np.load(path, allow_pickle=False) as file:
        return dict(file)
