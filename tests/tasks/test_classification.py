"""Weights of classes, smoothed labels, and the matrix of what was taken for what."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from seqlab.data.base import Batch
from seqlab.summary import class_table
from seqlab.tasks import SequenceClassification
from tests.tasks.models import SGD, make_task

SCORES = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 1.0]])
TARGETS = torch.tensor([0, 1, 0, 2])


def made(**options) -> SequenceClassification:
    return SequenceClassification(make_task(SequenceClassification, pool="last").model, SGD, labels=("岸", "海", "船"), **options)


class Given:
    def __init__(self, targets: list[int]) -> None:
        self.targets = torch.tensor(targets)
        self.frontend = None

    def train_dataloader(self):
        for part in self.targets.split(4):
            yield Batch(torch.zeros(len(part), 2, 3), part)


def test_balanced_weights_come_from_the_training_split_and_stay_in_the_checkpoint() -> None:
    task = made(class_weights="balanced")
    task.prepare(Given([0, 0, 0, 1, 0, 0, 2, 1]))  # pyright: ignore[reportArgumentType]
    assert task.class_weights.tolist() == pytest.approx([8 / 15, 8 / 6, 8 / 3])  # N / (V N_class), as scikit-learn defines it
    assert "class_weights" in task.state_dict()
    assert "class_weights" not in made().state_dict()


def test_losses_count_by_their_class() -> None:
    task = made(class_weights=[1.0, 2.0, 5.0])
    x = torch.randn(4, 2, 3)
    scores = task.model(x)[0]
    result = task.outcome(Batch(x, TARGETS))
    each = cross_entropy(scores, TARGETS, reduction="none")
    torch.testing.assert_close(result.loss, (each * torch.tensor([1.0, 2.0, 1.0, 5.0])).sum() / 9)
    assert result.count == 9


def test_labels_are_smoothed_in_training_alone() -> None:
    task = made(label_smoothing=0.3)
    x = torch.randn(4, 2, 3)
    log_p = task.model(x)[0].log_softmax(-1)
    plain = -log_p.gather(1, TARGETS[:, None]).mean()
    torch.testing.assert_close(task.train().outcome(Batch(x, TARGETS)).loss, 0.7 * plain - 0.3 * log_p.mean())
    torch.testing.assert_close(task.eval().outcome(Batch(x, TARGETS)).loss, plain)


def test_the_test_keeps_what_was_taken_for_what() -> None:
    task = made()
    task.confusion.update(SCORES.argmax(-1), TARGETS)
    table = class_table(task.confusion.compute(), task.labels)
    assert table[0] == {"label": "岸", "precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3), "count": 2}
    assert table[1] == {"label": "海", "precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3), "count": 1}


def test_answers_are_labels_with_their_probability() -> None:
    task = made().eval()
    x = torch.randn(2, 4, 3)
    p, index = task.model(x)[0].softmax(-1).max(-1)
    assert task.answer(Batch(x, torch.zeros(2))) == [
        {"label": "岸海船"[i], "probability": pytest.approx(q)} for i, q in zip(index.tolist(), p.tolist(), strict=True)
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"class_weights": "balance"}, "class_weights are 'balance'; expected none, balanced, or a list of 3 positive numbers"),
        ({"class_weights": [1, 2]}, r"class_weights are \[1, 2\]; expected none, balanced, or a list of 3"),
        ({"class_weights": [1, 2, 0]}, r"class_weights are \[1, 2, 0\]"),
        ({"label_smoothing": 1.0}, r"label_smoothing is 1.0; expected a share in \[0, 1\)"),
    ],
)
def test_wrong_options_are_named(options, message) -> None:
    with pytest.raises(ValueError, match=message):
        made(**options)
