"""Batches of about as many steps each, of sequences of about the same length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import BatchSampler


class BudgetBatches(BatchSampler):
    """Batches of indices with at most `batch_tokens` steps, padding included; a longer sequence is a batch by itself.

    Sequences stand in the order of their lengths, those of one length in an order drawn anew each epoch, so that little is
    padded and the number of batches stays. shuffle: the batches, too, change places. Every sequence is in one batch of an
    epoch; the order is a function of (seed, epoch) alone.
    """

    def __init__(self, lengths: Sequence[int], batch_tokens: int, shuffle: bool, seed: int) -> None:
        if batch_tokens < 1:
            raise ValueError(f"batch_tokens is {batch_tokens}; expected at least 1.")
        self.shuffle, self.seed = shuffle, seed
        self.lengths = torch.tensor(lengths, dtype=torch.long)
        self.epoch = 0
        self.sampler = self  # where Lightning looks for set_epoch
        self.cuts = cut_batches(sorted(lengths), batch_tokens)

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of this epoch; called by the trainer."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        size = len(self.lengths)
        order = torch.randperm(size, generator=generator) if self.shuffle else torch.arange(size)
        order = order[torch.argsort(self.lengths[order], stable=True)].tolist()
        turns = torch.randperm(len(self.cuts), generator=generator).tolist() if self.shuffle else range(len(self.cuts))
        for turn in turns:
            yield order[self.cuts[turn]]

    def __len__(self) -> int:
        return len(self.cuts)


def cut_batches(lengths: Sequence[int], batch_tokens: int) -> list[slice]:
    """Lengths in rising order -> stretches whose number of rows times the last length is at most batch_tokens."""
    cuts, start = [], 0
    for index, length in enumerate(lengths):
        if index > start and (index + 1 - start) * length > batch_tokens:
            cuts.append(slice(start, index))
            start = index
    return [*cuts, slice(start, len(lengths))] if lengths else []
