"""A picture of where the decoder looks, in the run directory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as L
from torch import Tensor

from seqlab.data.base import Batch, SequenceDataModule
from seqlab.data.pairs import PADDING
from seqlab.pictures.attention import draw_attention
from seqlab.registry import unknown
from seqlab.tasks.sequence_to_sequence import SequenceToSequence

PICTURE = "attention.png"
Panel = tuple[Sequence[str], Sequence[str], Sequence[Sequence[float]]]  # source, written, weights [written][source]


class AttentionPicture(L.Callback):
    """After the test: attention.png of the first `rows` test rows whose source is encoded in 2 to `longest` steps and whose
    answer has no more symbols."""

    def __init__(self, directory: str | Path, rows: int = 3, longest: int = 40) -> None:
        if rows < 1:
            raise ValueError(f"callbacks.attention.rows is {rows}; expected at least 1.")
        self.path = Path(directory) / PICTURE
        self.rows = rows
        self.longest = longest
        self.batch: Batch | None = None

    def on_test_batch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        self.batch = batch if batch_idx == 0 else self.batch

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not isinstance(pl_module, SequenceToSequence):
            raise ValueError(unknown("task for the attention picture", type(pl_module).__name__, ["SequenceToSequence"], "Leave callbacks=attention out."))
        if self.batch is None or not trainer.is_global_zero:
            return
        data = getattr(trainer, "datamodule", None)  # absent when single batches are fitted: nothing but numbers names the steps then
        panels = attention_panels(pl_module, self.batch, data, 2, self.longest)[: self.rows]
        if panels:
            draw_attention(self.path, panels)


def attention_panels(task: SequenceToSequence, batch: Batch, data: SequenceDataModule | None, shortest: int = 1, longest: int = 10**9) -> list[Panel]:
    """What `draw_attention` reads, of the rows whose source is encoded in `shortest` to `longest` steps and whose answer has no more symbols; none
    without attention."""
    written, weights = task.attention(batch)
    if weights is None:
        return []
    lengths = batch.steps().tolist()
    panels = []
    for row, (length, steps) in enumerate(zip(lengths, task.encoded_lengths(batch), strict=True)):
        ids = [index for index in written[row].tolist() if index != PADDING]
        if not (shortest <= steps <= longest and len(ids) <= longest and ids):
            continue
        panels.append((source_names(batch.inputs[row, :length], steps, data), [task.labels[index] for index in ids], weights[row, : len(ids), :steps].tolist()))
    return panels


def source_names(inputs: Tensor, steps: int, data: SequenceDataModule | None) -> list[str]:
    """What stands under each of the encoder's steps: the inputs (T, …) by their names, or where these are no symbols, or time is
    shortened, the numbers of about twenty steps."""
    if inputs.is_floating_point() or len(inputs) != steps:
        return [str(step) if step % max(1, steps // 20) == 0 else "" for step in range(steps)]
    return [str(step) for step in inputs.tolist()] if data is None else data.step_names(inputs)
