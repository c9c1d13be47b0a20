"""A picture of where the decoder looks, in the run directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as L

from seqlab.data.base import Batch
from seqlab.pictures.attention import draw_attention
from seqlab.registry import unknown
from seqlab.tasks.sequence_to_sequence import SequenceToSequence

PICTURE = "attention.png"


class AttentionPicture(L.Callback):
    """After the test: attention.png of the first `rows` test rows whose source and answer have 2 to `longest` symbols."""

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
        if self.batch is None:
            return
        written, weights = pl_module.attention(self.batch)
        if weights is None:  # a decoder without attention
            return
        data, labels = getattr(trainer, "datamodule", None), pl_module.labels
        # without the data module, as in debug=overfit, nothing names the source's symbols but their numbers
        sources = [str(i) for i in range(int(self.batch.inputs.max()) + 1)] if data is None else getattr(data, "source_symbols", labels)
        lengths = [self.batch.inputs.shape[1]] * len(written) if self.batch.lengths is None else self.batch.lengths.tolist()
        panels = []
        for row, length in enumerate(lengths):
            count = int((written[row] != 0).sum())
            if 2 <= length <= self.longest and 2 <= count <= self.longest and len(panels) < self.rows:
                source = [sources[i] for i in self.batch.inputs[row, :length].tolist()]
                panels.append((source, [labels[i] for i in written[row, :count].tolist()], weights[row, :count, :length].tolist()))
        if panels:
            draw_attention(self.path, panels)
