"""Handwritten digits as the way of a pen. Dimension key: B batch, T time, C conditions, P points."""

from __future__ import annotations

import itertools
import logging
from pathlib import Path

import torch
from torch import Tensor

from seqlab.data.base import DataSpec, Example, ExampleSplit, SequenceDataModule
from seqlab.data.mnist import read_mnist
from seqlab.data.tracing import trace

log = logging.getLogger("seqlab")
START = (14.0, 14.0)  # where the pen hangs before the first point: the middle of an image of 28 × 28
REST, REST_DEVIATION = (42.0, 14.0), 2.0  # where it goes after the last: about where a next digit would stand
GONE = 35.0  # a pen to the right of this has left the digit


class PenStrokes(SequenceDataModule):
    """Digits of MNIST, traced (see seqlab.data.tracing): a step is the offset from the point before, in pixels, x to the right and
    y downwards, and whether the stroke ends at the point.

    Inputs (T, 3 + C): the step before, at first (0, 0, 1), the pen hanging over the middle of the image; then, with classes, the
    digit as 10 numbers of which one is 1. Targets (T, 3): the step. After the last point of a digit the pen moves on to the
    right, to a place drawn around REST by `seed`: so a writer knows when it has written a digit.
    The first images of each part of MNIST; an image without a line that could be traced is left out.
    """

    def __init__(
        self,
        num_train: int = 8000,
        num_val: int = 1000,
        num_test: int = 2000,
        classes: bool = True,
        data_dir: str | Path | None = None,
        batch_size: int = 64,
        eval_batch_size: int | None = 500,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, num_workers, seed)
        self.sizes = {"train": num_train, "val": num_val, "test": num_test}
        for split, size in self.sizes.items():
            if size < 1:
                raise ValueError(f"num_{split} is {size}; expected at least 1.")
        self.classes, self.data_dir = classes, data_dir

    @property
    def spec(self) -> DataSpec:
        return DataSpec("features", 13 if self.classes else 3, "strokes", 3)

    @property
    def conditions(self) -> Tensor:
        """Everything that may be asked for, (N, C): the ten digits, or one row of nothing."""
        return torch.eye(10) if self.classes else torch.zeros(1, 0)

    def setup(self, stage: str | None = None) -> None:
        if self.splits:
            return
        log.info("tracing %s digits", f"{sum(self.sizes.values()):,}")
        for number, (split, (images, labels)) in enumerate(read_mnist(self.data_dir).items()):
            size = self.sizes[split]
            if size > len(images):
                raise ValueError(f"data.num_{split} is {size}; expected at most {len(images)}, the images that MNIST has for it.")
            draw = torch.Generator().manual_seed(3 * self.seed + number)
            rests = torch.tensor(REST) + REST_DEVIATION * torch.randn(size, 2, generator=draw)
            digits = zip(trace(images[:size]), labels[:size].tolist(), rests, strict=True)
            examples = [self._example(strokes, label, rest) for strokes, label, rest in digits if strokes]
            if len(examples) < size:
                log.warning(f"{size - len(examples)} of {size} images for {split} have no line that could be traced: left out.")
            self.splits[split] = ExampleSplit(examples)

    def _example(self, strokes: list[Tensor], label: int, rest: Tensor) -> Example:
        targets = offsets([*strokes, rest[None]])
        inputs = torch.cat([torch.tensor([[0.0, 0.0, 1.0]]), targets[:-1]])
        return Example(torch.cat([inputs, self.conditions[label].expand(len(inputs), -1)], 1) if self.classes else inputs, targets)


def offsets(strokes: list[Tensor]) -> Tensor:
    """Strokes (P, 2) one after the other -> steps (T, 3) of a pen that hangs at START: offset, and 1 where a stroke ends."""
    points = torch.cat(strokes)
    ends = torch.zeros(len(points), 1)
    ends[torch.tensor([len(stroke) for stroke in strokes]).cumsum(0) - 1] = 1.0
    return torch.cat([torch.diff(points, dim=0, prepend=torch.tensor([START])), ends], 1)


def strokes_of(steps: Tensor) -> list[Tensor]:
    """The inverse of `offsets`, up to where the pen has left the digit: steps (T, 3) -> strokes (P, 2)."""
    points = torch.tensor(START) + steps[:, :2].cumsum(0)
    gone = (points[:, 0] > GONE).nonzero()
    length = int(gone[0]) if len(gone) else len(points)
    ends = [int(end) + 1 for end in (steps[:length, 2] > 0.5).nonzero()[:, 0]]
    parts = [0, *ends, *([length] if not ends or ends[-1] < length else [])]
    return [points[start:end] for start, end in itertools.pairwise(parts) if end > start]
