"""A picture of videos and what the model calls them, in the run directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as L

from seqlab.data.base import Batch
from seqlab.frontends.frames import Frames
from seqlab.pictures.video import draw_videos
from seqlab.registry import unknown
from seqlab.tasks import SequenceClassification

PICTURE = "video.png"


class VideoPicture(L.Callback):
    """After the test: video.png, `rows` videos of its first batch, those that the model gets wrong before the others."""

    def __init__(self, directory: str | Path, rows: int = 6) -> None:
        if rows < 1:
            raise ValueError(f"callbacks.video.rows is {rows}; expected at least 1.")
        self.path, self.rows = Path(directory) / PICTURE, rows
        self.batch: Batch | None = None

    def on_test_batch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        self.batch = batch if batch_idx == 0 else self.batch

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not isinstance(pl_module, SequenceClassification):
            raise ValueError(unknown("task for the video picture", type(pl_module).__name__, ["SequenceClassification"], "Leave callbacks=video out."))
        frontend = pl_module.model.frontend
        if not isinstance(frontend, Frames):
            raise ValueError(unknown("front end for the video picture", type(frontend).__name__, ["Frames"], "Leave callbacks=video out."))
        if self.batch is None or not trainer.is_global_zero:
            return
        answers = pl_module.predict(self.batch).tolist()
        named = list(zip(answers, self.batch.targets.tolist(), self.batch.inputs.float().cpu(), strict=True))
        chosen = sorted(named, key=lambda row: row[0] == row[1])[: self.rows]
        labels = pl_module.labels or tuple(map(str, range(pl_module.num_classes)))
        names = [labels[answer] if answer == target else f"{labels[answer]}\n(is {labels[target]})" for answer, target, _ in chosen]
        draw_videos(
            self.path,
            [(name, answer == target, frames.unflatten(1, frontend.shape).tolist()) for name, (answer, target, frames) in zip(names, chosen, strict=True)],
        )
