"""The loss against a sum written out, the written rows against rows alone, and one batch learned by heart."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from seqlab import Stack
from seqlab.attention import AdditiveAttention
from seqlab.data.reverse import Reverse
from seqlab.frontends import Tokens
from seqlab.heads import StepHead
from seqlab.model import SequenceModel
from seqlab.search import Beam
from seqlab.seq2seq import Decoder, TeacherForcing
from seqlab.tasks import SequenceToSequence


def build(head: torch.nn.Module | None = None, **options) -> SequenceToSequence:
    torch.manual_seed(0)
    encoder = Stack.of("gru", 8, 16, bidirectional=True)
    layers = partial(Stack.of, "gru", hidden_size=16)
    head = head or Decoder(6, encoder, layers, partial(AdditiveAttention, attention_size=8), embedding_size=8)
    return SequenceToSequence(SequenceModel(Tokens(6, 8), encoder, head), partial(torch.optim.Adam, lr=0.02), **options)


def batch():
    data = Reverse(num_symbols=3, max_length=5, num_train=8, num_val=1, num_test=1, batch_size=8)
    data.setup()
    return next(iter(data.train_dataloader()))


def test_the_loss_is_the_mean_over_all_symbols() -> None:
    task, given = build().eval(), batch()
    outcome = task.outcome(given)
    total = count = 0.0
    for source, target, length in zip(given.inputs, given.targets, given.lengths, strict=True):
        right = target[target != 0]
        y, _, final = task.model.encode(source[None, :length])
        state, before = task.decoder.start(y, None, final), 1
        for symbol in right.tolist():
            scores, state = task.decoder.step(torch.tensor([before]), state)
            total -= scores.log_softmax(-1)[0, symbol].item()
            count, before = count + 1, symbol
    assert outcome.count == count
    assert outcome.loss.item() == pytest.approx(total / count, rel=1e-5)  # float32


@pytest.mark.parametrize("beam", [Beam(1), Beam(3, length_penalty=1.0)], ids=["greedy", "beam"])
def test_one_batch_is_learned_by_heart_and_written(beam: Beam) -> None:
    task, given = build(beam=beam, label_smoothing=0.02), batch()
    optimizer = task.make_optimizer(task.parameters())
    task.train()
    for _ in range(120):
        optimizer.zero_grad()
        task.outcome(given).loss.backward()
        optimizer.step()
    outcome = task.eval().outcome(given)
    metric = task.metrics["val"]
    metric.update(outcome.predictions, outcome.targets)
    assert metric.compute()["val/exact_match"] == 1
    written, weights = task.attention(given)
    assert weights is not None
    torch.testing.assert_close(weights.sum(-1), torch.ones(written.shape))  # also past a row's end: the decoder goes on


def test_smoothing_and_scheduled_sampling_are_of_training_alone() -> None:
    given = batch()
    plain, other = (build(**options).eval().outcome(given).loss for options in ({}, {"label_smoothing": 0.3, "teacher_forcing": TeacherForcing(start=0.0)}))
    assert plain.item() == other.item()
    assert build().train().outcome(given).loss.item() != build(label_smoothing=0.3).train().outcome(given).loss.item()
    assert build().train().outcome(given).loss.item() != build(teacher_forcing=TeacherForcing(start=0.0)).train().outcome(given).loss.item()


def test_targets_that_are_longer_than_what_may_be_written_are_said(caplog: pytest.LogCaptureFixture) -> None:
    data = Reverse(num_symbols=3, max_length=5, num_train=8, num_val=1, num_test=1, test_min_length=5, test_max_length=5)
    data.setup()
    with caplog.at_level("WARNING", logger="seqlab"):
        build(max_ratio=1.0, max_extra=1).prepare(data)
        assert not caplog.text  # as long as the source, and the end
        build(max_ratio=0.5, max_extra=3).prepare(data)
    assert "1 of 1 targets of test are longer than what may be written" in caplog.text
    assert "the first is row 0 of the test split with 6 symbols, its end among them, where 5 may be written. Raise task.max_extra=3" in caplog.text


def test_texts_are_exact_and_not_the_symbols_that_they_are_cut_into() -> None:
    scores = build().text_metrics(["ein <unk>", "zwei Hunde"], ["ein Fuchs", "zwei  Hunde"])
    assert scores["exact_match"] == 0.5


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(ValueError, match="the head is a StepHead, which writes no sequence"):
        build(StepHead(32, 6))
    with pytest.raises(ValueError, match="beam size is 7 but the vocabulary has 6 symbols"):
        build(beam=Beam(7))
    with pytest.raises(ValueError, match="label_smoothing is 1"):
        build(label_smoothing=1.0)
