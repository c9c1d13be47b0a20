"""Where in an epoch reading begins, and which random numbers the workers draw: functions of the seed and the place alone."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler


class FromBatch(Sampler[Any]):
    """What `batches` yields in every epoch, but in the epoch `start[0]` without the first `start[1]` batches, which are never read.

    batches: a sampler, with `set_epoch` where its order depends on the epoch. numbered: yield (seed of the batch, batch) as
    `SeededItems` expects; the seed is a function of (seed, epoch, place in the epoch, rank).
    """

    def __init__(self, batches: Iterable[Any], start: tuple[int, int] = (0, 0), numbered: bool = False, seed: int = 0) -> None:
        self.batches, self.start, self.numbered, self.seed = batches, start, numbered, seed
        self.sampler = self  # where Lightning looks for set_epoch
        self.set_epoch(start[0])  # workers begin to read before Lightning says which epoch it is

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of this epoch; called by the trainer."""
        self.epoch = epoch
        if hasattr(self.batches, "set_epoch"):
            self.batches.set_epoch(epoch)  # pyright: ignore[reportAttributeAccessIssue]

    def __iter__(self) -> Iterator[Any]:
        first = self.start[1] if self.epoch == self.start[0] else 0
        for place, batch in enumerate(islice(self.batches, first, None), first):
            yield (self._seed(place), batch) if self.numbered else batch

    def _seed(self, place: int) -> int:
        rank = torch.distributed.get_rank() if torch.distributed.is_available() and torch.distributed.is_initialized() else 0
        return zlib.crc32(f"{self.seed} {self.epoch} {place} {rank}".encode())

    def __len__(self) -> int:
        return len(self.batches)  # pyright: ignore[reportArgumentType]


class SeededItems(Dataset[Any]):
    """A split as a worker process reads it: its random numbers are set anew for each batch, so that a worker that begins in
    the middle of an epoch draws what one draws that was there from the start."""

    def __init__(self, data: Dataset[Any]) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)  # pyright: ignore[reportArgumentType]

    def __getitems__(self, numbered: tuple[int, list[Any]]) -> Any:
        seed, indices = numbered
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        fetch = getattr(self.data, "__getitems__", None)
        return [self.data[index] for index in indices] if fetch is None else fetch(indices)
