"""Where in an epoch reading begins, which rows of a batch a process reads, and which random numbers the workers draw: functions of
the seed and the place alone."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler


class Share(NamedTuple):
    """Which of the processes that train one model together this is: rank of size. Each batch is divided among them."""

    rank: int = 0
    size: int = 1

    def of(self, batch: list[Any]) -> list[Any]:
        """The rows rank, rank + size, … of a batch, so that a stream of chunks, which is row b of every batch, stays in one process,
        and rows in the order of their lengths are divided evenly. Where none is left, one row as a Spare."""
        return (batch[self.rank :: self.size] or Spare(batch[:1])) if self.size > 1 else batch


class Spare(list[Any]):
    """Rows that are another process's: read where a batch has none left for this one, which has to take part in every step."""


class FromBatch(Sampler[Any]):
    """What `batches` yields in every epoch, but in the epoch `start[0]` without the first `start[1]` batches, which are never read.

    batches: a sampler, with `set_epoch` where its order depends on the epoch. numbered: yield (seed of the batch, batch) as
    `SeededItems` expects; the seed is a function of (seed, epoch, place in the epoch, rank). share: yield that part of each
    batch; all processes get equally many batches, and together the rows of one process that trains alone.
    """

    def __init__(self, batches: Iterable[Any], start: tuple[int, int] = (0, 0), numbered: bool = False, seed: int = 0, share: Share | None = None) -> None:
        self.batches, self.start, self.numbered, self.seed = batches, start, numbered, seed
        self.share = share or Share()
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
            own = self.share.of(batch)
            yield (self._seed(place), own) if self.numbered else own

    def _seed(self, place: int) -> int:
        return zlib.crc32(f"{self.seed} {self.epoch} {place} {self.share.rank}".encode())

    def __len__(self) -> int:
        return len(self.batches)  # pyright: ignore[reportArgumentType]


class SharedItems(Dataset[Any]):
    """A split of which a process reads its share: whole batches, made by `collate` and marked where they are a Spare."""

    def __init__(self, data: Dataset[Any], collate: Callable[[Any], Any]) -> None:
        self.data, self.collate = data, collate

    def __len__(self) -> int:
        return len(self.data)  # pyright: ignore[reportArgumentType]

    def __getitems__(self, indices: list[Any]) -> Any:
        batch = self.collate(fetch(self.data, indices))
        batch.spare = isinstance(indices, Spare)
        return batch


class SeededItems(Dataset[Any]):
    """A split as a worker process reads it: its random numbers are set anew for each batch, so that a worker that begins in
    the middle of an epoch draws what one draws that was there from the start."""

    def __init__(self, data: Dataset[Any]) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)  # pyright: ignore[reportArgumentType]

    def __getitems__(self, numbered: tuple[int, list[Any]]) -> Any:
        seed, indices = numbered
        seed_process(seed)
        return fetch(self.data, indices)


def seed_process(seed: int) -> None:
    """Set all random numbers that this process draws."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def fetch(data: Dataset[Any], indices: list[Any]) -> Any:
    """What a loader gives to its collate: the items, or whatever the split's own `__getitems__` makes of all of them."""
    whole = getattr(data, "__getitems__", None)
    return [data[index] for index in indices] if whole is None else whole(indices)
