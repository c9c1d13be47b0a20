"""Pictures of digits and what is to be seen in them. Dimension key: B batch, U words, S side of a scene, P side of a digit, N scenes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

from seqlab.data.base import Batch, DataSpec, Example
from seqlab.data.image_files import PictureData
from seqlab.data.mnist import read_mnist
from seqlab.data.moving_digits import DIGIT, halved
from seqlab.data.pairs import END, MARKS, pad_pairs

CELL, CELLS = 16, 3  # a scene has 3 × 3 places of 16 × 16 pixels for digits of 14 × 14
SIDE = CELL * CELLS
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
WORDS = (*MARKS, "a", "left", "of", "above", *NUMBERS)
IDS = {word: index for index, word in enumerate(WORDS)}


class SceneSplit(Dataset[Example]):
    """Scenes, drawn when they are asked for: for each, digits (n, P, P) in 0..1, their upper left corners, and the ids of the caption."""

    def __init__(self, scenes: Sequence[tuple[Tensor, list[tuple[int, int]], Tensor]]) -> None:
        self.scenes = scenes

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, index: int) -> Example:
        digits, corners, caption = self.scenes[index]
        scene = torch.zeros(SIDE, SIDE)
        for digit, (row, column) in zip(digits, corners, strict=True):
            scene[row : row + DIGIT, column : column + DIGIT] = digit
        return Example(scene, caption)


class DigitScenes(PictureData):
    """Say what is in a picture: one to three digits of MNIST in half their size, in a row, "a three left of a seven", or in a column,
    "a three above a seven above a two"; read from the left, and from above.

    Inputs (48, 48): the rows of the picture, pixels in 0..1. Targets (U): ids of the caption's words, END among them. Which digits,
    how many and where is drawn by `seed`; in its place of 3 × 3 each is moved by up to two pixels. Each part of MNIST gives its own
    digits. New input: pictures of that size; files: which of a folder.
    """

    def __init__(
        self,
        num_train: int = 20_000,
        num_val: int = 1000,
        num_test: int = 2000,
        data_dir: str | Path | None = None,
        files: str = "*.png",
        batch_size: int = 64,
        eval_batch_size: int | None = 250,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(files, (SIDE, SIDE), batch_size, eval_batch_size, num_workers, seed)
        self.sizes = {"train": num_train, "val": num_val, "test": num_test}
        for split, size in self.sizes.items():
            if size < 1:
                raise ValueError(f"num_{split} is {size}; expected at least 1.")
        self.data_dir = data_dir

    @property
    def spec(self) -> DataSpec:
        return DataSpec("features", SIDE, "symbols", len(WORDS), WORDS)

    def setup(self, stage: str | None = None) -> None:
        if self.splits:
            return
        for number, (split, (images, labels)) in enumerate(read_mnist(self.data_dir).items()):
            draw = torch.Generator().manual_seed(3 * self.seed + number)
            small = halved(images)
            self.splits[split] = SceneSplit([_scene(small, labels, draw) for _ in range(self.sizes[split])])

    def as_input(self, pixels: Tensor) -> Tensor:
        return pixels

    def joined(self, symbols: Sequence[str]) -> str:
        return " ".join(symbols)

    def collate(self, examples: Sequence[Example]) -> Batch:
        return pad_pairs(examples)

    def examples(self, predict: Callable[[Batch], Tensor]) -> list[str]:
        split = self.splits["test"]
        batch = pad_pairs([split[row] for row in range(min(5, self.sizes["test"]))])
        return [f"{text(target)} -> {text(written)}" for target, written in zip(batch.targets, predict(batch), strict=True)]


def _scene(images: Tensor, labels: Tensor, draw: torch.Generator) -> tuple[Tensor, list[tuple[int, int]], Tensor]:
    def drawn(size: int) -> int:
        return int(torch.randint(size, (), generator=draw))

    count, across, line = 1 + drawn(CELLS), bool(drawn(2)), drawn(CELLS)
    chosen = [drawn(len(images)) for _ in range(count)]
    places = [(line, place) if across else (place, line) for place in sorted(torch.randperm(CELLS, generator=draw)[:count].tolist())]
    room = CELL - DIGIT + 1
    corners = [(CELL * row + drawn(room), CELL * column + drawn(room)) for row, column in places]
    return images[chosen], corners, torch.tensor([IDS[word] for word in caption([int(labels[one]) for one in chosen], across)] + [END])


def caption(digits: Sequence[int], across: bool) -> list[str]:
    """The words for digits from the left to the right, or with across=False from above to below."""
    words: list[str] = []
    for digit in digits:
        words += [*((["left", "of"] if across else ["above"]) if words else []), "a", NUMBERS[digit]]
    return words


def text(ids: Tensor) -> str:
    """ids (U,) -> the words; the marks leave no trace."""
    return " ".join(WORDS[index] for index in ids.tolist() if index >= len(MARKS))
