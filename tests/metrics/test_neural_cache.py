"""The neural cache against its equations, written out position by position, and against seeded bugs."""

from __future__ import annotations

import inspect
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from seqlab.data.base import Batch
from seqlab.data.streams import StreamBatches, TokenStreams, cut_streams
from seqlab.metrics import neural_cache
from seqlab.metrics.neural_cache import NeuralCache

V, THETAS, LAMBDAS = 5, (0.0, 0.3, 2.0), (0.0, 0.1, 0.6)
SIZES = (23, 2, 31, 9)  # of documents


class Reading:
    """A model that has read four documents: what its head reads at each position, the words, and −log p of the word after each."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        total = sum(SIZES)
        self.h = torch.randn(total, 4, generator=generator, dtype=torch.float64)
        self.words = torch.randint(V, (total,), generator=generator)
        self.losses = -torch.rand(total, generator=generator, dtype=torch.float64).log()
        self.h_list, self.word_list, self.loss_list = self.h.tolist(), self.words.tolist(), self.losses.tolist()
        self.streams = TokenStreams(list(torch.arange(total).split(SIZES)))  # a token is its own position

    def batches(self, num_streams: int, chunk_length: int) -> list[Batch]:
        """inputs and targets are positions."""
        return [self.streams.__getitems__(chunks) for chunks in StreamBatches(self.streams.spans, num_streams, chunk_length, False, 0)]

    def read(self, cache: NeuralCache, num_streams: int, chunk_length: int) -> Tensor:
        """The cache's mean losses (A, L)."""
        for batch in self.batches(num_streams, chunk_length):
            counted = torch.ones_like(batch.inputs, dtype=torch.bool)
            if batch.lengths is not None:
                counted = torch.arange(batch.inputs.shape[1]) < batch.lengths[:, None]
            h = torch.where(counted[..., None], self.h[batch.inputs], torch.nan)  # padding may hold anything
            cache.read(h, self.words[batch.targets], self.losses[batch.inputs][counted], batch.lengths, batch.reset)
        return cache.sums / cache.count

    def expected(self, window: int, num_streams: int) -> Tensor:
        """The same, by loops over positions."""
        table = torch.zeros(len(THETAS), len(LAMBDAS), dtype=torch.float64)
        pieces = [piece for stream in cut_streams(self.streams.spans, num_streams) for piece in stream]
        for a, theta in enumerate(THETAS):
            for b, share in enumerate(LAMBDAS):
                for start, stop in pieces:
                    for t in range(start, stop):
                        table[a, b] -= math.log(self.probability(start, t, window, theta, share))
        return table / sum(stop - start for start, stop in pieces)

    def probability(self, start: int, t: int, window: int, theta: float, share: float) -> float:
        """p of the word after position t in a piece that began at `start`."""
        h, words = self.h_list, self.word_list
        right = total = 0.0
        for i in range(max(start, t - window), t):
            weight = math.exp(theta * sum(a * b for a, b in zip(h[t], h[i], strict=True)))
            total += weight
            if words[i + 1] == words[t + 1]:
                right += weight
        from_model = math.exp(-self.loss_list[t])
        return (1 - share) * from_model + share * (right / total if total else from_model)


@pytest.mark.parametrize(("num_streams", "chunk_length", "window"), [(1, 1, 3), (1, 7, 10), (1, 50, 1), (3, 4, 6), (3, 9, 100), (2, 50, 5)])
def test_equals_the_equations(num_streams: int, chunk_length: int, window: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neural_cache, "BLOCK", 6)  # chunks of several blocks, whole and not
    reading = Reading()
    found = reading.read(NeuralCache(window, THETAS, LAMBDAS), num_streams, chunk_length)
    torch.testing.assert_close(found, reading.expected(window, num_streams), rtol=1e-12, atol=0)


BUGS = {
    "the target itself is in the cache": ("places < steps", "places <= steps"),
    "one step too many": (">= steps - self.window", ">= steps - self.window - 1"),
    "one step too few": (">= steps - self.window", "> steps - self.window"),
    "h with the word that led to it": ("torch.cat([self.past[1], targets], 1)", "torch.cat([self.past[1], targets], 1).roll(1, 1)"),
    "one step is forgotten between chunks": ("self.past = keys[:, -self.window :]", "keys[:, :1] = 0\n        self.past = keys[:, -self.window :]"),
    "not cleared at the end of a document": ("known & ~reset[:, None]", "known"),
    "an empty cache counts as p = 0": ("torch.where(from_cache.isnan(), from_model, from_cache)", "from_cache.nan_to_num(0.0)"),
    "lambda is the model's share": ("(1 - lambdas) * from_model + lambdas * from_cache", "lambdas * from_model + (1 - lambdas) * from_cache"),
}


@pytest.mark.parametrize("bug", BUGS)
def test_seeded_bugs_are_caught(bug: str) -> None:
    right, wrong = BUGS[bug]
    source = inspect.getsource(neural_cache)
    assert source.count(right) == 1
    names: dict[str, Any] = {"__name__": "seeded"}
    exec(compile(source.replace(right, wrong), "seeded", "exec", dont_inherit=True), names)
    reading = Reading()
    found = reading.read(names["NeuralCache"](6, THETAS, LAMBDAS), 2, 4)
    assert not torch.allclose(found, reading.expected(6, 2), rtol=1e-9, atol=0)


@pytest.mark.parametrize("length", [1, 2, 9])
def test_probabilities_sum_to_one(length: int) -> None:
    reading, total = Reading(), torch.zeros(len(THETAS), len(LAMBDAS), dtype=torch.float64)
    from_model = torch.randn(V, dtype=torch.float64).softmax(0)
    for word in range(V):
        cache = NeuralCache(4, THETAS, LAMBDAS)
        targets = torch.cat([reading.words[1:length], torch.tensor([word])])[None]
        if length > 1:
            cache.read(reading.h[None, : length - 1], targets[:, :-1], reading.losses[: length - 1], None, torch.tensor([True]))
        before = cache.sums.clone()
        cache.read(reading.h[None, length - 1 : length], targets[:, -1:], -from_model[word].log()[None], None, torch.tensor([length == 1]))
        total += (before - cache.sums).exp()
    torch.testing.assert_close(total, torch.ones_like(total))


def test_half_precision_is_looked_up_in_single() -> None:
    h, targets, losses = torch.randn(2, 9, 4).bfloat16(), torch.randint(V, (2, 9)), torch.rand(18)
    plain, cast = NeuralCache(5, THETAS, LAMBDAS), NeuralCache(5, THETAS, LAMBDAS)
    plain.read(h.float(), targets, losses)
    with torch.autocast("cpu", torch.bfloat16):
        cast.read(h, targets, losses)
    torch.testing.assert_close(cast.sums, plain.sums, rtol=0, atol=0)  # the very same arithmetic


def test_large_products_do_not_overflow() -> None:
    cache = NeuralCache(5, [2.0], [0.5])
    cache.read(100 * torch.randn(1, 20, 8), torch.randint(V, (1, 20)), torch.rand(20))
    assert math.isfinite(cache.best().loss)


def test_rows_beyond_those_remembered_begin_empty() -> None:
    """Streams come in falling length, so that no data set does this; the states of the model are carried in the same way."""
    h, targets, losses = torch.randn(2, 6, 3), torch.randint(V, (2, 6)), torch.rand(12)
    grown, apart = NeuralCache(9, THETAS, LAMBDAS), NeuralCache(9, THETAS, LAMBDAS)
    grown.read(h[:1, :3], targets[:1, :3], losses[:3], None, torch.tensor([True]))
    grown.read(h[:, 3:], targets[:, 3:], losses[3:9], None, torch.tensor([False, True]))
    apart.read(h[:1], targets[:1], losses[:6], None, torch.tensor([True]))
    apart.read(h[1:, 3:], targets[1:, 3:], losses[6:9], None, torch.tensor([True]))
    torch.testing.assert_close(grown.sums, apart.sums)


def test_the_best_is_that_with_the_least_loss() -> None:
    cache = NeuralCache(3, THETAS, LAMBDAS)
    with pytest.raises(ValueError, match="the cache has read no word"):
        cache.best()
    cache.sums = torch.tensor([[9.0, 8, 7], [6, 5, 4], [2, 3, 8]], dtype=torch.float64)
    cache.count = 4
    assert cache.best() == (2.0, 0.0, 0.5)


def test_values_out_of_range_are_refused() -> None:
    for window in (0, -3):
        with pytest.raises(ValueError, match=rf"cache is {window}; expected at least 1 step\."):
            NeuralCache(window, THETAS, LAMBDAS)
    for theta in (-0.1, math.inf, math.nan):
        with pytest.raises(ValueError, match=rf"cache_theta is {theta}; expected finite numbers from 0\."):
            NeuralCache(5, [0.1, theta], LAMBDAS)
    for share in (-0.1, 1.0, math.nan):
        with pytest.raises(ValueError, match=rf"cache_lambda is {share}; expected numbers in \[0, 1\)\."):
            NeuralCache(5, THETAS, [share])
    with pytest.raises(ValueError, match="cache_theta is empty"):
        NeuralCache(5, [], LAMBDAS)
