"""Streams of tokens cut into chunks for truncated back-propagation through time: each token is seen once, in order.

Dimension key: B streams, T time, N tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from seqlab.data.base import Batch


class Chunk(NamedTuple):
    """Inputs tokens[start:stop]; reset: it does not continue the chunk before it in its stream."""

    start: int
    stop: int
    reset: bool


class TokenStreams(Dataset[Batch]):
    """Documents laid end to end in one tensor. Every token of a document but its last is an input; its target is the next.

    An index is a Chunk; a list of them is a batch, padded where they differ in length.
    """

    def __init__(self, documents: Sequence[Tensor]) -> None:
        self.tokens = torch.cat([*documents, torch.zeros(1, dtype=torch.long)])  # one more, so that padding has a target
        ends = list(accumulate((len(document) for document in documents), initial=0))
        self.spans = [(start, stop - 1) for start, stop in pairwise(ends) if stop - start > 1]

    def __len__(self) -> int:
        """How many targets there are."""
        return sum(stop - start for start, stop in self.spans)

    def __getitems__(self, chunks: list[Chunk]) -> Batch:
        starts = torch.tensor([chunk.start for chunk in chunks])
        lengths = torch.tensor([chunk.stop - chunk.start for chunk in chunks])
        steps = torch.arange(int(lengths.max()))
        index = starts[:, None] + steps
        reset = torch.tensor([chunk.reset for chunk in chunks])
        if bool((lengths == len(steps)).all()):
            return Batch(self.tokens[index], self.tokens[index + 1], None, reset)
        valid = steps < lengths[:, None]
        index = torch.where(valid, index, len(self.tokens) - 1)
        return Batch(self.tokens[index], self.tokens[torch.where(valid, index + 1, index)], lengths, reset)


class StreamBatches(Sampler[list[Chunk]]):
    """Batches of chunks: row b of each batch continues row b of the batch before, unless its chunk says reset.

    The documents, end to end, are cut into `num_streams` streams of equal length, and each stream into chunks of at most
    `chunk_length` that end where a document ends. Streams with most chunks are the first rows; one that has ended drops
    out, so that later batches may have fewer rows. shuffle: the documents go to streams in an order drawn by the seed,
    and the pieces of a stream change places from epoch to epoch, a function of (seed, epoch) alone; the number of
    batches stays.
    """

    def __init__(self, spans: Sequence[tuple[int, int]], num_streams: int, chunk_length: int, shuffle: bool, seed: int) -> None:
        self.shuffle, self.seed = shuffle, seed
        self.epoch = 0
        self.sampler = self  # where Lightning looks for set_epoch
        order = self._permutation(len(spans), -1) if shuffle else range(len(spans))
        streams = cut_streams([spans[index] for index in order], num_streams)
        chunked = [[cut_chunks(piece, chunk_length) for piece in stream] for stream in streams]
        self.streams = sorted(chunked, key=lambda stream: -sum(map(len, stream)))

    def _permutation(self, size: int, epoch: int) -> list[int]:
        return torch.randperm(size, generator=torch.Generator().manual_seed(self.seed * 1_000_003 + epoch + 1)).tolist()

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of this epoch; called by the trainer."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[Chunk]]:
        rows = []
        for pieces in self.streams:
            order = self._permutation(len(pieces), self.epoch) if self.shuffle else range(len(pieces))
            rows.append([chunk for index in order for chunk in pieces[index]])
        for step in range(len(self)):
            yield [chunks[step] for chunks in rows if step < len(chunks)]

    def __len__(self) -> int:
        return sum(map(len, self.streams[0])) if self.streams else 0


def cut_streams(spans: Sequence[tuple[int, int]], num_streams: int) -> list[list[tuple[int, int]]]:
    """Spans (start, stop) end to end -> at most num_streams lists of pieces, equal in total length but for one token."""
    total = sum(stop - start for start, stop in spans)
    edges = [total * index // num_streams for index in range(num_streams + 1)]
    streams: list[list[tuple[int, int]]] = []
    waiting = list(reversed(spans))
    for left, right in pairwise(edges):
        room, pieces = right - left, []
        while room:
            start, stop = waiting.pop()
            middle = min(stop, start + room)
            pieces.append((start, middle))
            if middle < stop:
                waiting.append((middle, stop))
            room -= middle - start
        if pieces:
            streams.append(pieces)
    return streams


def cut_chunks(piece: tuple[int, int], chunk_length: int) -> list[Chunk]:
    """A piece of a document -> its chunks; only the first resets, only the last may be shorter than chunk_length."""
    start, stop = piece
    return [Chunk(at, min(at + chunk_length, stop), at == start) for at in range(start, stop, chunk_length)]
