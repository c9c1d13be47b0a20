"""summary.json: what a run was and what came of it."""

from __future__ import annotations

import resource
import sys
from collections.abc import Sequence
from typing import Any

import lightning.pytorch as L
import torch
from torch import Tensor

from seqlab import run_directory
from seqlab.callbacks.record import Record
from seqlab.data.base import SequenceDataModule
from seqlab.layers import Layer
from seqlab.tasks import Task


def summarise(trainer: L.Trainer, task: Task, record: Record) -> dict[str, Any]:
    """What can be said of every run, finished or not. Memory is the peak of the process, in MiB; of several, that of the first.
    The speed is that of all together."""
    layers = {name: module for name, module in task.model.named_modules() if isinstance(module, Layer)}
    data = getattr(trainer, "datamodule", None)  # absent when single batches are fitted
    choices = {name: layer.choice() for name, layer in layers.items()}
    return {
        "parameters": sum(p.numel() for p in task.model.parameters()),
        "executors": {name: {"executor": choice.executor, "reason": choice.reason} for name, choice in choices.items()},
        "steps": trainer.global_step,
        "epochs": trainer.current_epoch,
        **({"classes": class_table(task.confused, task.labels)} if task.confused is not None else {}),
        **({"signatures": task.signatures} if task.signatures else {}),
        **({"init_from": task.origin} if task.origin is not None else {}),
        **({"duplicates": data.duplicates} if isinstance(data, SequenceDataModule) and data.duplicates else {}),
        **record.speed(),
        "peak_memory_mb": peak_memory(),
        "peak_device_memory_mb": torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else None,
        "device": str(trainer.strategy.root_device),
        "precision": str(trainer.precision),
        "versions": run_directory.versions(),
    }


def peak_memory() -> float:
    """The most memory this process has held so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)  # bytes there, KiB elsewhere


def class_table(confused: Tensor, labels: Sequence[str]) -> list[dict[str, Any]]:
    """Of counts (V, V), [true class, answer]: each class with its precision, recall and F1 in the test, 0 where nothing was there to count."""
    right, said, true = confused.diagonal(), confused.sum(0), confused.sum(1)
    columns = {"precision": right / said.clamp(min=1), "recall": right / true.clamp(min=1), "f1": 2 * right / (said + true).clamp(min=1), "count": true}
    names: Sequence[Any] = labels or range(len(confused))
    return [{"label": name, **{key: values[index].item() for key, values in columns.items()}} for index, name in enumerate(names)]
