"""Streams: each token once, in order, whatever the sizes; rows go on where they should and reset where they must."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
import torch

from seqlab.data.base import Batch
from seqlab.data.streams import StreamBatches, TokenStreams


def numbered(*sizes: int) -> TokenStreams:
    """Documents whose tokens are 1, 2, 3, …, so that a token says where it stands."""
    ends = torch.tensor([0, *sizes]).cumsum(0).tolist()
    return TokenStreams([torch.arange(start + 1, stop + 1) for start, stop in pairwise(ends)])


def read(data: TokenStreams, num_streams: int, chunk_length: int, shuffle: bool = False, epoch: int = 0, seed: int = 0) -> list[Batch]:
    batches = StreamBatches(data.spans, num_streams, chunk_length, shuffle, seed)
    batches.set_epoch(epoch)
    found = [data.__getitems__(chunks) for chunks in batches]
    assert len(found) == len(batches)
    return found


def valid(batch: Batch, tokens: torch.Tensor) -> list[list[int]]:
    lengths = [tokens.shape[1]] * len(tokens) if batch.lengths is None else batch.lengths.tolist()
    return [row[:length].tolist() for row, length in zip(tokens, lengths, strict=True)]


SIZES = [(1000,), (2,), (64,), (7, 1, 100, 2, 33, 3), (5,) * 40]
CUTS = [(1, 1), (1, 7), (3, 10), (4, 63), (8, 100), (50, 16)]


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize(("num_streams", "chunk_length"), CUTS)
@pytest.mark.parametrize("shuffle", [False, True])
def test_every_token_is_seen_exactly_once(sizes: tuple[int, ...], num_streams: int, chunk_length: int, shuffle: bool) -> None:
    data = numbered(*sizes)
    firsts = {1 + sum(sizes[:index]) for index in range(len(sizes))}
    expected = Counter(token for token in range(1, sum(sizes) + 1) if token not in firsts)
    assert len(data) == expected.total()
    for epoch in (0, 1):
        targets, inputs = Counter(), Counter()
        for batch in read(data, num_streams, chunk_length, shuffle, epoch):
            assert batch.inputs.shape == batch.targets.shape
            targets.update(token for row in valid(batch, batch.targets) for token in row)
            inputs.update(token for row in valid(batch, batch.inputs) for token in row)
        assert targets == expected
        assert inputs == Counter(token - 1 for token in expected.elements())


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize(("num_streams", "chunk_length"), CUTS)
def test_a_row_goes_on_unless_it_says_reset(sizes: tuple[int, ...], num_streams: int, chunk_length: int) -> None:
    before: list[list[int]] = []
    for index, batch in enumerate(read(numbered(*sizes), num_streams, chunk_length, shuffle=True)):
        rows = valid(batch, batch.inputs)
        assert batch.reset is not None
        assert index or batch.reset.all()
        assert not index or len(rows) <= len(before)
        for row, (tokens, reset) in enumerate(zip(rows, batch.reset.tolist(), strict=True)):
            if not reset:
                assert tokens[0] == before[row][-1] + 1
                assert len(before[row]) == chunk_length, "a row that ended early must not go on"
        before = rows


def test_documents_begin_with_a_reset() -> None:
    sizes = (30, 20, 50)
    for batch in read(numbered(*sizes), 2, 8):
        assert batch.reset is not None
        for tokens, reset in zip(valid(batch, batch.inputs), batch.reset.tolist(), strict=True):
            assert reset or tokens[0] not in (1, 31, 51)
            assert not any(token in (1, 31, 51) for token in tokens[1:]), "a chunk ends where a document ends"


def test_streams_are_equally_long() -> None:
    rows = Counter()
    for batch in read(numbered(1001), 7, 10):
        rows.update({row: len(tokens) for row, tokens in enumerate(valid(batch, batch.inputs))})
    assert set(rows.values()) == {142, 143}  # 1000 = 6 · 143 + 142


def test_padding_is_zero_and_full_batches_have_no_lengths() -> None:
    full, last = read(numbered(13), 1, 8)
    assert full.lengths is None
    assert last.lengths is None  # one row is never padded
    padded = next(batch for batch in read(numbered(6, 10), 2, 8) if batch.lengths is not None)
    for row, length in enumerate(padded.lengths.tolist()):
        assert not padded.inputs[row, length:].any()
        assert not padded.targets[row, length:].any()


def test_order_is_a_function_of_seed_and_epoch() -> None:
    def order(epoch: int, seed: int) -> list[list[list[int]]]:
        return [valid(batch, batch.inputs) for batch in read(numbered(*[9] * 30), 3, 4, True, epoch, seed)]

    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(1, 0)
    assert order(0, 0) != order(0, 1)
    assert len(order(0, 0)) == len(order(1, 0)) == len(order(7, 0)), "the trainer asks for the number of batches once"


def test_documents_too_short_to_predict_anything_are_left_out() -> None:
    assert numbered(1, 1).spans == []
    assert len(numbered(1, 1)) == 0
    assert read(numbered(1, 1), 2, 4) == []
