"""Recordings with transcripts. Dimension key: T samples, U labels."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqlab.data.base import Batch, Example
from seqlab.data.file_answers import as_text
from seqlab.data.pairs import pad_pairs
from seqlab.data.recordings import Recordings
from seqlab.data.transcripts import Transcripts


class TranscribedRecordings(Recordings):
    """Recordings whose target is text, cut into `unit`; `transcripts` is known after `setup` or `restore`.

    targets: see Transcripts.
    """

    def __init__(self, unit: str, targets: str, files: str, batch_size: int, eval_batch_size: int | None, num_workers: int, seed: int) -> None:
        super().__init__(files, batch_size, eval_batch_size, num_workers, seed)
        self.unit = unit
        self.transcripts = Transcripts(unit, (), targets)

    @abstractmethod
    def texts(self, split: str) -> list[str]:
        """The transcript of each row of a split."""

    def references(self, split: str) -> list[str] | None:
        return self.texts(split)

    def read_out(self, ids: Iterable[int]) -> str:
        return self.transcripts.decode(ids)

    def collate(self, examples: Sequence[Example]) -> Batch:
        return pad_pairs(examples)

    def restore(self, directory: Path) -> None:
        super().restore(directory)
        self.transcripts = Transcripts(self.unit, self.spec.labels, self.spec.targets)

    def no_target(self) -> Tensor:
        return torch.zeros(0, dtype=torch.long)

    def as_text(self, answer: dict[str, Any]) -> dict[str, Any]:
        """symbols -> text, that of the hypotheses too."""
        return as_text(answer, self.transcripts.pieces.join)

    def examples(self, predict: Callable[[Batch], Tensor]) -> list[str]:
        rows = self.splits["test"]
        batch = self.collate([rows[row] for row in range(min(5, len(rows)))])  # pyright: ignore[reportArgumentType]
        return [f"{self.read_out(right)} heard as {self.read_out(found)}" for right, found in zip(batch.targets.tolist(), predict(batch).tolist(), strict=True)]
