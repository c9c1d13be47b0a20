"""summary.json: what a run was and what came of it."""

from __future__ import annotations

import resource
import sys
from typing import Any

import lightning.pytorch as L
import torch

from seqlab import run_directory
from seqlab.callbacks.record import Record
from seqlab.layers import Layer
from seqlab.tasks import Task


def summarise(trainer: L.Trainer, task: Task, record: Record) -> dict[str, Any]:
    """What can be said of every run, finished or not. Memory is the peak of the process, in MiB."""
    layers = {name: module for name, module in task.model.named_modules() if isinstance(module, Layer)}
    choices = {name: layer.choice() for name, layer in layers.items()}
    return {
        "parameters": sum(p.numel() for p in task.model.parameters()),
        "executors": {name: {"executor": choice.executor, "reason": choice.reason} for name, choice in choices.items()},
        "steps": trainer.global_step,
        "epochs": trainer.current_epoch,
        **record.speed(),
        "peak_memory_mb": peak_memory(),
        "peak_device_memory_mb": torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else None,
        "device": str(trainer.strategy.root_device),
        "precision": str(trainer.precision),
        "versions": run_directory.versions(),
        "git_commit": run_directory.seqlab_commit(),
        "git_commit_working_directory": run_directory.working_commit(),
    }


def peak_memory() -> float:
    """The most memory this process has held so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)  # bytes there, KiB elsewhere
