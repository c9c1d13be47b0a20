"""Which part of the data is for training, validation and test."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from seqlab.data.base import SPLITS

Fractions = Sequence[float]


def check_fractions(fractions: Fractions) -> None:
    """Raise ValueError unless there is a share for each of SPLITS and they make up the whole."""
    if len(fractions) != len(SPLITS) or min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-6:
        raise ValueError(
            f"fractions are {list(fractions)}; expected shares above 0 for {', '.join(SPLITS)} that add up to 1. Give data.fractions=[0.9,0.05,0.05]."
        )


def split_points(size: int, fractions: Fractions) -> dict[str, slice]:
    """One sequence of `size` items -> the stretch of each split, in order and without gaps."""
    check_fractions(fractions)
    first, second = round(size * fractions[0]), round(size * (fractions[0] + fractions[1]))
    return dict(zip(SPLITS, (slice(0, first), slice(first, second), slice(second, size)), strict=True))


def split_documents(sizes: Sequence[int], fractions: Fractions, seed: int) -> dict[str, list[int]]:
    """Documents of these sizes -> the indices of each split, in order; a document is never on both sides.

    In an order drawn by the seed, each goes to the split that lacks most of its share, so that shares hold by size.
    """
    check_fractions(fractions)
    lacking = [fraction * sum(sizes) for fraction in fractions]
    chosen: list[list[int]] = [[] for _ in SPLITS]
    for index in torch.randperm(len(sizes), generator=torch.Generator().manual_seed(seed)).tolist():
        split = lacking.index(max(lacking))
        chosen[split].append(index)
        lacking[split] -= sizes[index]
    return {name: sorted(indices) for name, indices in zip(SPLITS, chosen, strict=True)}
