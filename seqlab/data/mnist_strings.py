"""Images of digits in a row, made from MNIST. Dimension key: T columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from seqlab.data.base import Batch, DataSpec, Example, SequenceDataModule
from seqlab.data.image_files import PictureData
from seqlab.data.long_input import say_long
from seqlab.data.mnist import read_mnist
from seqlab.data.pairs import pad_pairs
from seqlab.data.strings import DigitString, StringSplit, check_strings, draw_strings
from seqlab.data.transcripts import Transcripts

SIDE = 28  # pixels of a digit, either way


@dataclass(frozen=True, eq=False)
class JoinedImages:
    """Images (N, 28, 28) of bytes, of which a string of them makes columns (T, 28) in 0..1. A class, as processes that load data are sent it."""

    images: Tensor
    overlap: int
    gap: int

    def __call__(self, string: DigitString) -> Tensor:
        generator = torch.Generator().manual_seed(string.seed)
        between = torch.randint(-self.overlap, self.gap + 1, (len(string.parts) - 1,), generator=generator).tolist()
        starts = [0]
        for pause in between:
            starts.append(starts[-1] + SIDE + pause)
        row = torch.zeros(starts[-1] + SIDE, SIDE)
        for start, part in zip(starts, string.parts, strict=True):
            place = row[start : start + SIDE]
            torch.maximum(place, self.images[part].t().float() / 255, out=place)
        return row


class MNISTStrings(PictureData):
    """Strings of min_digits to max_digits images side by side, read column by column, and what they say.

    Between two of them lie −overlap to +gap columns, drawn for each; where they overlap the brighter pixel counts. The images of
    a split are those of MNIST's split alone: strings of the test hold test images. targets: "transcript" for task=ctc, "symbols"
    for task=seq2seq. New input: pictures 28 pixels high, bright digits on a dark ground; files: which of a folder.
    """

    def __init__(
        self,
        min_digits: int = 3,
        max_digits: int = 6,
        overlap: int = 4,
        gap: int = 6,
        targets: str = "transcript",
        num_train: int = 16_000,
        num_val: int = 500,
        num_test: int = 2_000,
        data_dir: str | Path | None = None,
        files: str = "*.png",
        batch_size: int = 64,
        eval_batch_size: int | None = 250,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(files, (SIDE, None), batch_size, eval_batch_size, num_workers, seed)
        check_strings(min_digits, max_digits, num_train=num_train, num_val=num_val, num_test=num_test)
        if not (0 <= overlap < SIDE and gap >= 0):
            raise ValueError(f"data.overlap is {overlap} and data.gap {gap}; expected 0 <= overlap < {SIDE} and a gap of at least 0 columns.")
        self.digits, self.overlap, self.gap = (min_digits, max_digits), overlap, gap
        self.sizes = {"train": num_train, "val": num_val, "test": num_test}
        self.data_dir = data_dir
        self.transcripts = Transcripts.learn("characters", "0123456789", targets)

    @property
    def spec(self) -> DataSpec:
        return DataSpec("features", SIDE, self.transcripts.targets, len(self.transcripts.labels), self.transcripts.labels)

    def setup(self, stage: str | None = None) -> None:
        if self.splits:
            return
        for number, (split, (images, labels)) in enumerate(read_mnist(self.data_dir).items()):
            strings = draw_strings(self.sizes[split], self.digits, [range(len(images))], 3 * self.seed + number)
            ids = [self.transcripts.ids[str(label)] for label in labels.tolist()]
            self.splits[split] = StringSplit(strings, JoinedImages(images, self.overlap, self.gap), ids, self.transcripts.closing)

    def read_new(self, file: Path) -> list[Example | None]:
        rows = super().read_new(file)
        longest = self.digits[1] * SIDE + (self.digits[1] - 1) * self.gap
        say_long("pictures", rows, list(map(str, self._read_files)), longest, lambda length: f"{length} columns")
        return rows

    def as_input(self, pixels: Tensor) -> Tensor:
        return pixels.t().contiguous()

    def joined(self, symbols: Sequence[str]) -> str:
        return self.transcripts.pieces.join(symbols)

    def collate(self, examples: Sequence[Example]) -> Batch:
        return pad_pairs(examples)

    def references(self, split: str) -> list[str] | None:
        rows = self.splits[split]
        assert isinstance(rows, StringSplit)
        return [self.read_out(rows.targets(row).tolist()) for row in range(len(rows))]

    def read_out(self, ids: Iterable[int]) -> str:
        return self.transcripts.decode(ids)

    def examples(self, predict: Callable[[Batch], Tensor]) -> list[str]:
        return [f"{right} read as {found}" for right, found in show_first(self, predict)]


def show_first(data: SequenceDataModule, predict: Callable[[Batch], Tensor], count: int = 5) -> list[tuple[str, str]]:
    """(transcript, what the model writes) of the first rows of the test."""
    rows = data.splits["test"]
    batch = data.collate([rows[row] for row in range(min(count, len(rows)))])  # pyright: ignore[reportArgumentType]
    return [(data.read_out(right), data.read_out(found)) for right, found in zip(batch.targets.tolist(), predict(batch).tolist(), strict=True)]
