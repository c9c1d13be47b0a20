"""Tasks whose head computes its own loss, and tags that mark entities."""

from __future__ import annotations

import pytest
import torch

from seqlab import Stack
from seqlab.data.base import Batch
from seqlab.frontends import Features, NGrams, Tokens, Words
from seqlab.heads import AdaptiveHead, CRFHead, PooledHead, StepHead, TiedHead
from seqlab.model import SequenceModel
from seqlab.registry import list_cells
from seqlab.search import Sampling
from seqlab.tasks import BitLabelling, LanguageModelling, SequenceClassification, StepLabelling
from tests.tasks.models import SGD

LABELS = ("O", "B-ship", "I-ship", "B-port", "I-port")
CELLS = [info.name for info in list_cells() if not info.error and info.origin == "seqlab"]
LENGTHS = torch.tensor([4, 1, 3])


def tagger(head: str = "crf") -> StepLabelling:
    torch.manual_seed(0)
    heads = {"crf": CRFHead(4, 5, LABELS, "auto"), "steps": StepHead(4, 5), "adaptive": AdaptiveHead(4, 5, [2], 2.0)}
    return StepLabelling(SequenceModel(Features(3), Stack.of("gru", 3, 4), heads[head]), SGD, labels=LABELS)


def tags() -> Batch:
    targets = torch.tensor([[1, 2, 0, 3], [0, 99, 99, 99], [3, 4, 4, 99]])  # 99: padding may hold anything
    return Batch(torch.randn(3, 4, 3), targets, LENGTHS)


def test_the_loss_of_a_tagger_is_the_mean_over_the_losses_of_its_head() -> None:
    task, batch = tagger(), tags()
    y, _, _ = task.model.encode(batch.inputs, LENGTHS)
    expected = torch.stack([task.model.head.losses(y[i : i + 1, :n], batch.targets[i : i + 1, :n])[0] for i, n in enumerate(LENGTHS)])
    result = task.eval().outcome(batch)
    torch.testing.assert_close(result.loss, expected.mean())
    assert result.count == 3
    assert torch.equal(result.predictions, task.model.head.predict(y, LENGTHS))
    assert not task.train().outcome(batch).predictions.numel()


def test_only_legal_tags_come_out_of_the_crf_of_labels_that_are_tags() -> None:
    task = tagger()
    assert task.model.head.crf.legal[0].tolist() == [True, True, False, True, False]
    with torch.no_grad():
        task.model.head.linear.bias[2] = 99.0  # I-ship, everywhere: yet the first tag has to open it
    assert task.predict(tags())[0, 0] == 1
    assert CRFHead(4, 3, ("NOUN", "VERB", "X"), "auto").crf.legal.all()


@pytest.mark.parametrize("head", ["crf", "steps", "adaptive"])
def test_entities_are_counted_in_whatever_head_found_them(head) -> None:
    task, batch = tagger(head).eval(), tags()
    with torch.no_grad():
        task._evaluate("val", batch)
        task._evaluate("test", batch)
    values = task.metrics["val"].compute()
    assert set(values) == {"val/accuracy", "val/entity_precision", "val/entity_recall", "val/entity_f1"}
    assert task.confusion.compute().sum() == LENGTHS.sum()  # no padding in it
    if head == "crf":
        task.metrics["val"].reset()
        outcome = task.outcome(batch)
        task.metrics["val"].update(outcome.targets, outcome.targets)
        assert task.metrics["val"].compute()["val/entity_f1"] == 1


@pytest.mark.parametrize("head", ["crf", "steps"])
def test_answers_are_the_tags_of_the_steps_that_are_there(head) -> None:
    task, batch = tagger(head).eval(), tags()
    found = task.outcome(batch).predictions
    expected = [{"tags": [LABELS[tag] for tag in row[:n]]} for row, n in zip(found.tolist(), LENGTHS.tolist(), strict=True)]
    assert task.answer(batch) == expected


@pytest.mark.parametrize("kind", ["tied", "adaptive"])
def test_a_language_model_with_another_softmax_has_its_loss_and_writes(kind) -> None:
    torch.manual_seed(0)
    frontend, encoder = Tokens(6, 4), Stack.of("lstm", 4, 5)
    head = TiedHead(5, 6, frontend.embedding) if kind == "tied" else AdaptiveHead(5, 6, [2, 4], 1.5)
    task = LanguageModelling(SequenceModel(frontend, encoder, head), SGD, unit="characters")
    ids = torch.randint(6, (3, 5))
    batch = Batch(ids[:, :-1], ids[:, 1:].clone(), LENGTHS)
    result = task.outcome(batch)
    log_p = task.model(batch.inputs)[0].log_softmax(-1)
    expected = torch.cat([-log_p[i, :n].gather(1, batch.targets[i, :n, None]) for i, n in enumerate(LENGTHS)]).mean()
    torch.testing.assert_close(result.loss, expected)
    assert result.count == LENGTHS.sum()
    written = list(task.sample(torch.tensor([1, 2]), Sampling(), torch.Generator().manual_seed(0), 7))
    assert len(written) == 7
    optimizer = torch.optim.Adam(task.parameters(), lr=0.05)
    for _ in range(100):
        loss = task.outcome(batch).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.3 * result.loss.item()  # three rows are learned by heart
    if kind == "tied":
        assert task.model.head.weight is task.model.frontend.embedding.weight


@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_tags_words_and_classifies_n_grams(cell) -> None:
    torch.manual_seed(0)
    words = Words(5, 6, 3, spelling="rnn", spelling_size=4, character_size=2, spelling_cell=cell)
    both = Stack.of(cell, words.output_size, 4, bidirectional=True)
    task = StepLabelling(SequenceModel(words, both, CRFHead(both.output_size, 5, LABELS, "auto")), SGD, labels=LABELS)
    inputs = torch.cat([torch.randint(5, (3, 4, 1)), torch.randint(1, 6, (3, 4, 3))], -1)
    task.outcome(Batch(inputs, tags().targets, LENGTHS)).loss.backward()
    grams = NGrams(5, [2, 3], 4, 3)
    encoder = Stack.of(cell, grams.output_size, 4)
    other = SequenceClassification(SequenceModel(grams, encoder, PooledHead(encoder.output_size, 3)), SGD)
    other.outcome(Batch(inputs[..., 0], torch.tensor([0, 2, 1]), LENGTHS)).loss.backward()
    for one in (task, other):
        assert [name for name, p in one.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: SequenceClassification(SequenceModel(Features(3), Stack.of("gru", 3, 4), CRFHead(4, 5)), SGD),
            "the head is a CRFHead, with a loss of its own over steps, which SequenceClassification has no use for",
        ),
        (lambda: LanguageModelling(SequenceModel(Tokens(5, 3), Stack.of("gru", 3, 4), CRFHead(4, 5)), SGD), "the head is a CRF"),
        (lambda: LanguageModelling(SequenceModel(NGrams(5, [2], 3, 3), Stack.of("gru", 3, 4), StepHead(4, 5)), SGD), "the front end NGrams looks ahead"),
    ],
)
def test_what_does_not_go_together_is_refused(call, message) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_notes_of_a_chord_are_labels_of_one_step() -> None:
    torch.manual_seed(0)
    task = BitLabelling(SequenceModel(Features(88), Stack.of("lstm", 88, 4), StepHead(4, 88)), SGD)
    roll = (torch.rand(2, 6, 88) < 0.05).float()
    batch = Batch(roll[:, :-1], roll[:, 1:], torch.tensor([5, 3]))
    result = task.outcome(batch)
    assert result.count == (5 + 3) * 88
    said = torch.zeros_like(result.targets)
    said[..., 40] = 1
    task.metrics["val"].update(said, result.targets)
    true = torch.cat([batch.targets[0], batch.targets[1, :3]])
    assert task.metrics["val"].compute()["val/bit_f1"] == pytest.approx(float(2 * true[:, 40].sum() / (8 + true.sum())))
