"""A picture of where the decoder looks in a picture, in the run directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as L

from seqlab.data.base import Batch
from seqlab.data.pairs import PADDING
from seqlab.frontends.image_grid import ImageGrid
from seqlab.pictures.captions import draw_captions
from seqlab.registry import unknown
from seqlab.tasks import SequenceToSequence

PICTURE = "attention.png"


class CaptionPicture(L.Callback):
    """After the test: attention.png of the first `rows` test pictures, with what is written and where each word looked."""

    def __init__(self, directory: str | Path, rows: int = 5) -> None:
        if rows < 1:
            raise ValueError(f"callbacks.captions.rows is {rows}; expected at least 1.")
        self.path, self.rows = Path(directory) / PICTURE, rows
        self.batch: Batch | None = None

    def on_test_batch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        self.batch = batch if batch_idx == 0 else self.batch

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not isinstance(pl_module, SequenceToSequence):
            raise ValueError(unknown("task for the picture of captions", type(pl_module).__name__, ["SequenceToSequence"], "Leave callbacks=captions out."))
        frontend = pl_module.model.frontend
        if not isinstance(frontend, ImageGrid):
            raise ValueError(unknown("front end for the picture of captions", type(frontend).__name__, ["ImageGrid"], "Leave callbacks=captions out."))
        if self.batch is None or not trainer.is_global_zero:
            return
        few = self.batch.rows(slice(self.rows))
        written, weights = pl_module.attention(few)
        if weights is None:
            return  # attention=none, or nothing was written
        rows = []
        for picture, ids, looked in zip(few.inputs.float().cpu(), written.tolist(), weights.float().cpu(), strict=True):
            words = [pl_module.labels[index] for index in ids if index != PADDING]
            rows.append((picture.tolist(), words, looked[: len(words)].unflatten(1, (-1, frontend.columns)).tolist()))
        draw_captions(self.path, rows)
