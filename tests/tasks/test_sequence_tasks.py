"""Classification, labelling of steps and regression: loss and metrics against sums written out; what is wrong is named."""

import math

import pytest
import torch

from seqlab.data.base import Batch
from seqlab.tasks import SequenceClassification, SequenceRegression, StepLabelling
from tests.tasks.models import make_task, outcome


def metrics(task, result) -> dict[str, float]:
    found = task.metrics["val"]
    found.update(result.predictions, result.targets)
    return {name.removeprefix("val/"): float(value) for name, value in found.compute().items()}


def test_classification_by_hand() -> None:
    scores = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 1.0]])
    targets = torch.tensor([0, 1, 0, 2])
    task, result = outcome(SequenceClassification, scores, targets)
    expected = [math.log(math.exp(row[t]) ** -1 * sum(math.exp(s) for s in row)) for row, t in zip(scores.tolist(), targets.tolist(), strict=True)]
    assert result.loss.item() == pytest.approx(sum(expected) / 4, rel=1e-6)  # float32
    assert result.count == 4
    # class 0: precision 1, recall 1/2; class 1: 1/2, 1; class 2: 1, 1
    assert metrics(task, result) == pytest.approx({"accuracy": 3 / 4, "macro_f1": (2 / 3 + 2 / 3 + 1) / 3})


def test_step_labelling_weighs_every_valid_step_alike() -> None:
    torch.manual_seed(0)
    scores = torch.randn(2, 4, 3)
    targets = torch.randint(3, (2, 4))
    lengths = torch.tensor([4, 1])
    scores[1, 1:] = 1e6
    targets[1, 1:] = 99  # padding may hold anything
    task, result = outcome(StepLabelling, scores, targets, lengths)
    flat, labels = torch.cat([scores[0], scores[1, :1]]), torch.cat([targets[0], targets[1, :1]])
    assert result.count == 5
    torch.testing.assert_close(result.loss, -flat.log_softmax(-1)[torch.arange(5), labels].mean())
    assert metrics(task, result)["accuracy"] == pytest.approx(float((flat.argmax(-1) == labels).double().mean()))


def test_step_labelling_ignores_features_in_the_padding() -> None:
    task = make_task(StepLabelling)
    x, targets = torch.randn(2, 5, 3), torch.randint(3, (2, 5))
    lengths = torch.tensor([5, 2])
    loss = task.outcome(Batch(x, targets, lengths)).loss
    x[1, 2:], targets[1, 2:] = float("nan"), 0
    assert torch.equal(task.outcome(Batch(x, targets, lengths)).loss, loss)


def test_regression_by_hand() -> None:
    scores = torch.tensor([[1.0, 2.0], [0.0, -1.0]])
    targets = torch.tensor([[1.5, 2.0], [3.0, 0.0]])
    task, result = outcome(SequenceRegression, scores, targets)
    assert result.loss.item() == (0.25 + 0 + 9 + 1) / 4
    assert metrics(task, result) == pytest.approx({"absolute_error": (0.5 + 0 + 3 + 1) / 4})


@pytest.mark.parametrize(
    ("kind", "pool", "targets", "message"),
    [
        (SequenceClassification, "last", torch.tensor([0, 3]), r"label 3 in row 1 of the batch is no class; expected 0\.\.2"),
        (SequenceClassification, "last", torch.tensor([-1, 0]), r"label -1 in row 0 of the batch is no class; expected 0\.\.2"),
        (StepLabelling, None, torch.tensor([[0, 1], [2, 7]]), r"label 7 in row 1, step 1 of the batch is no class; expected 0\.\.2"),
        (SequenceClassification, None, torch.tensor([0, 1]), r"scores have shape \(2, 2, 3\); expected \(batch, classes\). Choose head=pooled."),
        (StepLabelling, "last", torch.tensor([[0, 1], [1, 1]]), r"scores have shape \(2, 3\); expected \(batch, time, classes\). Choose head=steps."),
        (SequenceClassification, "last", torch.tensor([[0, 1], [1, 1]]), r"targets have shape \(2, 2\); expected \(batch\)"),
        (StepLabelling, None, torch.tensor([0, 1]), r"targets have shape \(2,\); expected \(batch, time\)"),
        (SequenceRegression, "last", torch.tensor([0.0, 1.0]), r"targets have shape \(2,\); expected \(2, 3\), as the model gives"),
        (SequenceRegression, None, torch.zeros(2, 3), r"scores have shape \(2, 2, 3\); expected \(batch, values\). Choose head=pooled."),
    ],
)
def test_wrong_targets_and_heads_are_named(kind, pool, targets, message) -> None:
    with pytest.raises(ValueError, match=message):
        make_task(kind, pool=pool).outcome(Batch(torch.zeros(2, 2, 3), targets))


@pytest.mark.parametrize(("kind", "pool"), [(SequenceClassification, "attention"), (StepLabelling, None), (SequenceRegression, "max")])
def test_overfits_one_batch(kind, pool) -> None:
    task = make_task(kind, hidden_size=16, pool=pool)
    x = torch.randn(4, 5, 3)
    lengths = torch.tensor([5, 3, 4, 2])
    shape = {StepLabelling: (4, 5)}.get(kind, (4,))
    targets = torch.randn(4, 3) if kind is SequenceRegression else torch.randint(3, shape)
    optimizer = torch.optim.Adam(task.parameters(), lr=0.03)
    first = None
    for _ in range(150):
        loss = task.outcome(Batch(x, targets, lengths)).loss
        first = first or loss.item()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert first is not None
    assert loss.item() < 0.05 * first
