"""Video made from handwritten digits. Dimension key: B batch, T frames, S side of a frame, P side of a digit."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

from seqlab.data.base import Batch, DataSpec, Example, SequenceDataModule
from seqlab.data.mnist import read_mnist

SIDE, DIGIT = 28, 14  # pixels of a frame and of a digit in it
DIRECTIONS = ("up", "up right", "right", "down right", "down", "down left", "left", "up left")
STEPS = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))  # of each direction, down and to the right


class VideoSplit(Dataset[Example]):
    """Videos, drawn when they are asked for: digits (N, P, P) in 0..1, classes (N,), first corner and step per frame (N, 2) as row and
    column; the noise of a video is a function of seed and its number."""

    def __init__(self, digits: Tensor, classes: Tensor, corners: Tensor, steps: Tensor, num_frames: int, noise: float, seed: int) -> None:
        self.digits, self.classes, self.corners, self.steps = digits, classes, corners, steps
        self.num_frames, self.noise, self.seed = num_frames, noise, seed

    def __len__(self) -> int:
        return len(self.digits)

    def __getitem__(self, index: int) -> Example:
        batch = self.__getitems__([index])
        return Example(batch.inputs[0], batch.targets[0])

    def __getitems__(self, indices: list[int]) -> Batch:
        frames = torch.zeros(len(indices), self.num_frames, SIDE, SIDE)
        for row, index in enumerate(indices):
            places = self.corners[index] + torch.arange(self.num_frames)[:, None] * self.steps[index]
            for frame, (down, right) in enumerate(places.round().long().tolist()):
                frames[row, frame, down : down + DIGIT, right : right + DIGIT] = self.digits[index]
            if self.noise:
                draw = torch.Generator().manual_seed(self.seed + index)
                frames[row] += self.noise * torch.randn(frames[row].shape, generator=draw)
        return Batch(frames.flatten(2), self.classes[torch.tensor(indices)])


class MovingDigits(SequenceDataModule):
    """Which digit moves, and in which of eight directions: videos of num_frames frames of 28 × 28 pixels, a digit of MNIST in half its
    size in each, and noise of that deviation over all of it.

    A digit goes on by 0.75 to 1.25 pixels a frame, rounded in every frame, from a place that keeps it in the frame; place,
    direction and speed are drawn by `seed`. A class is a digit and a direction, "3 up left", 80 in all, so that accuracy counts
    videos of which both are right. Each part of MNIST gives its own digits: no digit of the test is in training.
    """

    def __init__(
        self,
        num_train: int = 20_000,
        num_val: int = 1000,
        num_test: int = 2000,
        num_frames: int = 8,
        noise: float = 0.1,
        data_dir: str | Path | None = None,
        batch_size: int = 64,
        eval_batch_size: int | None = 250,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, num_workers, seed)
        self.sizes = {"train": num_train, "val": num_val, "test": num_test}
        for split, size in self.sizes.items():
            if size < 1:
                raise ValueError(f"num_{split} is {size}; expected at least 1.")
        longest = 1 + int((SIDE - DIGIT) / 1.25)
        if not 2 <= num_frames <= longest:
            raise ValueError(f"num_frames is {num_frames}; expected 2 to {longest}: a digit would leave a frame of {SIDE} × {SIDE} after that.")
        if not noise >= 0:
            raise ValueError(f"noise is {noise}; expected a deviation of at least 0, of pixels in 0..1.")
        self.num_frames, self.noise, self.data_dir = num_frames, noise, data_dir

    @property
    def spec(self) -> DataSpec:
        labels = tuple(f"{digit} {direction}" for digit in range(10) for direction in DIRECTIONS)
        return DataSpec("features", SIDE * SIDE, "sequence", len(labels), labels)

    def setup(self, stage: str | None = None) -> None:
        if self.splits:
            return
        for number, (split, (images, labels)) in enumerate(read_mnist(self.data_dir).items()):
            self.splits[split] = self._videos(images, labels, self.sizes[split], 3 * self.seed + number)

    def _videos(self, images: Tensor, labels: Tensor, size: int, seed: int) -> VideoSplit:
        draw = torch.Generator().manual_seed(seed)
        chosen = torch.randperm(max(size, len(images)), generator=draw)[:size] % len(images)  # each once, where there are enough
        directions = torch.randint(len(DIRECTIONS), (size,), generator=draw)
        steps = torch.tensor(STEPS)[directions] * (0.75 + 0.5 * torch.rand(size, 1, generator=draw))
        travel = steps * (self.num_frames - 1)
        low, high = (-travel).clamp(min=0), (SIDE - DIGIT) - travel.clamp(min=0)
        corners = low + (high - low) * torch.rand(size, 2, generator=draw)
        return VideoSplit(
            halved(images[chosen]), labels[chosen].long() * len(DIRECTIONS) + directions, corners, steps, self.num_frames, self.noise, seed * 1_000_003
        )


def halved(images: Tensor) -> Tensor:
    """images (N, H, W) of bytes -> (N, H / 2, W / 2) in 0..1: the mean of four pixels."""
    return torch.nn.functional.avg_pool2d(images[:, None].float() / 255, 2)[:, 0]
