"""Which indices make a batch: as many rows each, or about as many steps each, of sequences of about the same length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import BatchSampler


class SeededBatches(BatchSampler):
    """Batches of indices whose order is a function of (seed, epoch) alone, so that a run can be repeated and resumed."""

    def __init__(self, size: int, batch_size: int, shuffle: bool, seed: int, drop_last: bool = False) -> None:
        self.size, self.batch_size, self.shuffle, self.seed, self.drop_last = size, batch_size, shuffle, seed, drop_last
        self.epoch = 0
        self.sampler = self  # where Lightning looks for set_epoch

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of this epoch; called by the trainer."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(self.size, generator=generator).tolist() if self.shuffle else list(range(self.size))
        for start in range(0, self.size, self.batch_size):
            batch = order[start : start + self.batch_size]
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch

    def __len__(self) -> int:
        return self.size // self.batch_size if self.drop_last else -(-self.size // self.batch_size)


class BudgetBatches(BatchSampler):
    """Batches of indices with at most `batch_tokens` steps, padding included; a longer sequence is a batch by itself.

    Sequences stand in the order of their lengths, those of one length in an order drawn anew each epoch, so that little is
    padded and the number of batches stays. shuffle: the batches, too, change places. Every sequence is in one batch of an
    epoch; the order is a function of (seed, epoch) alone.
    """

    def __init__(self, lengths: Sequence[int], batch_tokens: int, shuffle: bool, seed: int) -> None:
        check_budget(batch_tokens)
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


def check_budget(batch_tokens: int | None) -> int | None:
    """The budget, None for none. Raises ValueError for one below 1."""
    if batch_tokens is not None and batch_tokens < 1:
        raise ValueError(f"batch_tokens is {batch_tokens}; expected at least 1.")
    return batch_tokens


def cut_batches(lengths: Sequence[int], batch_tokens: int) -> list[slice]:
    """Lengths in rising order -> stretches whose number of rows times the last length is at most batch_tokens."""
    cuts, start = [], 0
    for index, length in enumerate(lengths):
        if index > start and (index + 1 - start) * length > batch_tokens:
            cuts.append(slice(start, index))
            start = index
    return [*cuts, slice(start, len(lengths))] if lengths else []
