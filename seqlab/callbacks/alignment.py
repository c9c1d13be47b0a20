"""A picture of what a model with CTC emits over time, in the run directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch

from seqlab.data.base import Batch
from seqlab.data.pieces import SPACE
from seqlab.pictures.alignment import Alignment, draw_alignments
from seqlab.registry import unknown
from seqlab.search.ctc import ctc_alignment
from seqlab.tasks.ctc import CTC

PICTURE = "alignment.png"


class AlignmentPicture(L.Callback):
    """After the test: alignment.png of the first `rows` test rows."""

    def __init__(self, directory: str | Path, rows: int = 3) -> None:
        if rows < 1:
            raise ValueError(f"callbacks.alignment.rows is {rows}; expected at least 1.")
        self.path = Path(directory) / PICTURE
        self.rows = rows
        self.batch: Batch | None = None

    def on_test_batch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        self.batch = batch if batch_idx == 0 else self.batch

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not isinstance(pl_module, CTC):
            raise ValueError(unknown("task for the alignment picture", type(pl_module).__name__, ["CTC"], "Leave callbacks=alignment out."))
        if self.batch is not None and trainer.is_global_zero:
            draw_alignments(self.path, alignments(pl_module, self.batch, self.rows), label_names(pl_module))


@torch.no_grad()
def alignments(task: CTC, batch: Batch, count: int, targets: bool = True) -> list[Alignment]:
    """What `draw_alignments` reads of the first `count` rows. targets: whether the batch has any."""
    emitted, steps = task.emissions(batch)
    emitted, found = emitted.float().cpu(), []
    lengths = batch.steps().tolist()
    for row in range(min(count, len(emitted))):
        log_p = emitted[row, : int(steps[row])]
        target = ctc_alignment(log_p, [label for label in batch.targets[row].tolist() if label]) if targets else None
        found.append(Alignment(log_p.exp().tolist(), log_p.argmax(-1).tolist(), target, batch.inputs[row, : lengths[row]].float().tolist()))
    return found


def label_names(task: CTC) -> list[str]:
    """Of every class, as a picture shows it: the blank as –, a space as ␣."""
    return ["–", *(label.replace(SPACE, "") or SPACE if label != " " else "␣" for label in task.labels[1:])]
