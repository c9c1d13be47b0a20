"""What several processes read together is what one reads: every row once, in one order, in equally many batches."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.utils.data import Dataset

from seqlab.data.base import Batch, DataSpec, Example, ExampleSplit, SequenceDataModule
from seqlab.data.batches import BudgetBatches, SeededBatches
from seqlab.data.order import FromBatch, Share, Spare
from seqlab.data.streams import Chunk, StreamBatches, TokenStreams
from seqlab.tasks.ranks import interleaved

LENGTHS = [(index * 7919) % 23 + 1 for index in range(61)]
DOCUMENTS = [torch.arange(size) for size in (40, 3, 17, 2, 90, 5)]

SAMPLERS: dict[str, Callable[[], Any]] = {
    "shuffled": lambda: SeededBatches(61, 4, True, 0),  # the last batch has one row
    "in order": lambda: SeededBatches(61, 4, False, 0),
    "one by one": lambda: SeededBatches(5, 1, True, 0),
    "token budget": lambda: BudgetBatches(LENGTHS, 40, True, 0),
    "streams": lambda: StreamBatches(TokenStreams(DOCUMENTS).spans, 5, 7, True, 0),
    "one stream": lambda: StreamBatches(TokenStreams(DOCUMENTS).spans, 1, 7, False, 0),
}


@pytest.mark.parametrize("ranks", [2, 3])
@pytest.mark.parametrize("start", [(0, 0), (1, 0), (1, 2)])
@pytest.mark.parametrize("kind", SAMPLERS)
def test_the_shares_of_each_batch_are_that_batch(kind: str, ranks: int, start: tuple[int, int]) -> None:
    whole = FromBatch(SAMPLERS[kind](), start)
    shares = [FromBatch(SAMPLERS[kind](), start, share=Share(rank, ranks)) for rank in range(ranks)]
    for epoch in (1, 2):
        found = []
        for sampler in (whole, *shares):
            sampler.set_epoch(epoch)
            found.append(list(sampler))
        assert all(len(share) == len(found[0]) for share in found)
        for batch, *parts in zip(*found, strict=True):
            own = [[] if isinstance(part, Spare) else part for part in parts]
            assert interleaved(own) == batch
            assert max(map(len, own)) - min(map(len, own)) <= 1
            assert all(len(part) >= 1 for part in parts), "every process has something to take part with"


@pytest.mark.parametrize("ranks", [2, 3])
def test_a_stream_stays_with_its_process_and_in_its_row(ranks: int) -> None:
    resumed = 0
    for rank in range(ranks):
        before: list[Chunk] = []
        for chunks in FromBatch(StreamBatches(TokenStreams(DOCUMENTS).spans, 5, 7, True, 0), share=Share(rank, ranks)):
            if isinstance(chunks, Spare):
                before = []
                continue
            for row, chunk in enumerate(chunks):
                assert chunk.reset or chunk.start == before[row].stop
                resumed += not chunk.reset
            before = chunks
    assert resumed > 5


def test_the_random_numbers_of_workers_differ_between_processes() -> None:
    first, second = (FromBatch([[0, 1]], numbered=True, share=Share(rank, 2)) for rank in range(2))
    assert next(iter(first))[0] != next(iter(second))[0]


class Numbers(SequenceDataModule):
    """Sequences of their own number, of lengths 1, 2, 3."""

    def setup(self, stage: str) -> None:
        rows: Dataset[Any] = ExampleSplit([Example(torch.full((1 + row % 3, 1), float(row)), torch.tensor(row)) for row in range(5)])
        self.splits = {"train": rows, "val": rows, "test": rows}

    @property
    def spec(self) -> DataSpec:
        return DataSpec("features", 1, "sequence", 5)


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_data_set_gives_each_process_its_share_once_there_is_a_trainer(split: str, workers: int) -> None:
    def read(rank: int | None) -> list[Batch]:
        data = Numbers(batch_size=2, num_workers=workers)
        data.setup("fit")
        if rank is not None:
            data.trainer = SimpleNamespace(global_rank=rank, world_size=2)  # pyright: ignore[reportAttributeAccessIssue]
        return list(data.loader(split))

    whole, *shares = read(None), read(0), read(1)
    assert [batch.spare for batch in shares[0]] == [False, False, False]
    assert [batch.spare for batch in shares[1]] == [False, False, True]
    for batch, *parts in zip(whole, *shares, strict=True):
        assert batch.targets.tolist() == interleaved([[] if part.spare else part.targets.tolist() for part in parts])
        for rank, part in enumerate(parts):
            cut = batch.part(Share(rank, 2))
            assert cut.spare == part.spare
            assert torch.equal(cut.targets, part.targets)
            width = part.inputs.shape[1]  # padded to the longest of its own rows
            assert torch.equal(cut.inputs[:, :width], part.inputs)
