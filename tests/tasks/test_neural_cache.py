"""Language models with a neural cache: any head and cell, read in chunks, against the equations on the whole text."""

from __future__ import annotations

import math

import pytest
import torch

from seqlab import Stack
from seqlab.data.streams import StreamBatches, TokenStreams
from seqlab.frontends import Tokens
from seqlab.heads import AdaptiveHead, StepHead, TiedHead
from seqlab.metrics.neural_cache import NeuralCache
from seqlab.model import SequenceModel
from seqlab.tasks import LanguageModelling
from tests.tasks.models import SGD

V, WINDOW, THETA, SHARE = 11, 6, 0.4, 0.3


def language_model(cell: str, head: str) -> LanguageModelling:
    torch.manual_seed(0)
    frontend, encoder = Tokens(V, 5, uniform=1.0), Stack.of(cell, 5, 6)
    heads = {
        "steps": lambda: StepHead(6, V, dropout=0.5),
        "tied": lambda: TiedHead(6, V, frontend.embedding, dropout=0.5),
        "adaptive": lambda: AdaptiveHead(6, V, [4], 2.0, dropout=0.5),
    }
    return LanguageModelling(SequenceModel(frontend, encoder, heads[head]()), SGD).double().eval()


@pytest.mark.parametrize(("cell", "head"), [("lstm", "steps"), ("gru", "tied"), ("lstm_peephole", "adaptive")])
def test_a_model_read_in_chunks_equals_the_equations(cell: str, head: str) -> None:
    task = language_model(cell, head)
    documents = [torch.randint(V, (size,), generator=torch.Generator().manual_seed(size)) for size in (20, 12)]
    data = TokenStreams(documents)
    task.cache = NeuralCache(WINDOW, [THETA], [SHARE])
    with torch.no_grad():
        for chunks in StreamBatches(data.spans, 2, 7, False, 0):  # of 15 words each: the first document goes on in the second stream
            task._evaluate("val", data.__getitems__(chunks))
        losses = []
        for piece in (documents[0][:16], documents[0][15:], documents[1]):
            y, _, _ = task.model.encode(piece[None, :-1])
            logs = task.model.head(y)[0].log_softmax(-1)
            for t in range(len(piece) - 1):
                past = [(float(torch.exp(THETA * y[0, t] @ y[0, i])), piece[i + 1]) for i in range(max(0, t - WINDOW), t)]
                model = float(logs[t, piece[t + 1]].exp())
                cache = sum(w for w, word in past if word == piece[t + 1]) / sum(w for w, _ in past) if past else model
                losses.append(-math.log((1 - SHARE) * model + SHARE * cache))
    assert task.cache.count == len(losses) == 30
    mean = sum(losses) / 30
    assert task.cache.best().loss == pytest.approx(mean, rel=1e-9)
    figures = task.closing_metrics("val")
    assert figures["cache_loss"].item() == pytest.approx(mean, rel=1e-6)  # figures are kept in float32
    assert figures["cache_perplexity"].item() == pytest.approx(math.exp(mean), rel=1e-5)
    assert set(figures) == {"cache_loss", "cache_perplexity", "cache_bits_per_character"}


def test_without_a_cache_there_is_no_further_figure() -> None:
    assert language_model("gru", "steps").closing_metrics("val") == {}
