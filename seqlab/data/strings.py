"""Strings of digits, put together from single ones. Dimension key: T steps or samples, I rows of pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import Dataset

from seqlab.data.base import Example


@dataclass(frozen=True)
class DigitString:
    """Which parts stand in a row, by their indices, and the seed of what is between them."""

    parts: tuple[int, ...]
    seed: int


class StringSplit(Dataset[Example]):
    """Strings that are put together as they are asked for: join(string) -> inputs, ids (U,) of its labels."""

    def __init__(self, strings: Sequence[DigitString], join: Callable[[DigitString], Tensor], ids: Sequence[int], closing: Sequence[int] = ()) -> None:
        """ids: of each part. closing: those after the labels of every string."""
        self.strings, self.join, self.ids, self.closing = strings, join, ids, closing

    def __len__(self) -> int:
        return len(self.strings)

    def __getitem__(self, index: int) -> Example:
        return Example(self.join(self.strings[index]), self.targets(index))

    def targets(self, index: int) -> Tensor:
        """ids (U,) of a string's labels."""
        return torch.tensor([*(self.ids[part] for part in self.strings[index].parts), *self.closing])


def draw_strings(size: int, lengths: tuple[int, int], groups: Sequence[Sequence[int]], seed: int) -> list[DigitString]:
    """`size` strings of lengths[0] to lengths[1] parts, each from the indices of one group, drawn with replacement; every group alike often."""
    generator = torch.Generator().manual_seed(seed)
    counts = torch.randint(lengths[0], lengths[1] + 1, (size,), generator=generator).tolist()
    chosen = torch.randint(len(groups), (size,), generator=generator).tolist()
    seeds = torch.randint(2**31, (size,), generator=generator).tolist()
    return [
        DigitString(tuple(groups[group][part] for part in torch.randint(len(groups[group]), (count,), generator=generator).tolist()), seed)
        for count, group, seed in zip(counts, chosen, seeds, strict=True)
    ]


def check_strings(min_digits: int, max_digits: int, **sizes: int) -> None:
    """Raise ValueError for lengths of strings or numbers of them that make none."""
    if not 1 <= min_digits <= max_digits:
        raise ValueError(f"data.min_digits is {min_digits} and data.max_digits is {max_digits}; expected 1 <= min_digits <= max_digits.")
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"data.{name} is {size}; expected at least 1.")
