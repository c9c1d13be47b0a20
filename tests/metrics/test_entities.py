"""Entity F1 against a reader of tags that goes token by token, and by hand where reading is a matter of convention."""

from __future__ import annotations

import random

import pytest
import torch

from seqlab.metrics import EntityF1

LABELS = ["O", "B-per", "I-per", "B-loc", "I-loc"]


def entities(tags: list[str]) -> set[tuple[int, int, str]]:
    """(first, last, type) as conlleval reads them: token by token, with the entity that is open."""
    found, opened = set(), None
    for t, tag in enumerate([*tags, "O"]):
        kind = tag[2:]
        if opened is not None and (tag[0] != "I" or kind != opened[1]):
            found.add((opened[0], t - 1, opened[1]))
            opened = None
        if tag != "O" and opened is None:
            opened = (t, kind)
    return found


def score(predicted: list[list[str]], expected: list[list[str]], labels: list[str] = LABELS) -> list[float]:
    """precision, recall, F1 of the metric, rows padded with tags that must not count."""
    width = max(map(len, expected)) + 1
    targets = torch.tensor([[labels.index(tag) for tag in row] + [-1] * (width - len(row)) for row in expected])
    predictions = torch.tensor([[labels.index(tag) for tag in row] + [1] * (width - len(row)) for row in predicted])
    metric = EntityF1(labels)
    metric.update(predictions, targets)
    return [float(value) for value in metric.compute().values()]


def test_any_sequences_of_tags_score_as_their_sets_of_entities() -> None:
    draw = random.Random(0)
    for _ in range(100):
        expected = [[draw.choice(LABELS) for _ in range(draw.randint(1, 9))] for _ in range(3)]
        predicted = [[tag if draw.random() < 0.7 else draw.choice(LABELS) for tag in row] for row in expected]
        pairs = [(entities(p), entities(e)) for p, e in zip(predicted, expected, strict=True)]
        correct, found, gold = (sum(map(len, sets)) for sets in ([p & e for p, e in pairs], [p for p, _ in pairs], [e for _, e in pairs]))
        reference = [correct / max(found, 1), correct / max(gold, 1), 2 * correct / max(found + gold, 1)]
        assert score(predicted, expected) == pytest.approx(reference)


@pytest.mark.parametrize(
    ("tags", "same"),
    [
        ("I-per I-per O", "B-per I-per O"),  # an I that opens: IOB1, or illegal BIO
        ("B-per I-loc I-loc", "B-per B-loc I-loc"),  # another type opens without B
        ("I-per I-loc", "B-per B-loc"),
        ("O I-per", "O B-per"),
        ("I-per B-per I-per", "B-per B-per I-per"),  # adjacent entities of one type, in IOB1 and in BIO
    ],
)
def test_other_ways_to_write_the_same_entities(tags: str, same: str) -> None:
    assert score([tags.split()], [same.split()]) == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("predicted", "expected", "precision", "recall"),
    [
        ("B-per I-per I-per", "B-per I-per O", 0.0, 0.0),  # too long
        ("B-per O", "B-per I-per", 0.0, 0.0),  # too short
        ("B-per I-per", "B-per B-per", 0.0, 0.0),  # two taken for one
        ("B-per B-per", "B-per I-per", 0.0, 0.0),
        ("B-loc I-loc O", "B-per I-per O", 0.0, 0.0),  # right tokens, wrong type
        ("B-per I-loc", "B-per I-per", 0.0, 0.0),
        ("B-per O B-loc", "B-per O O", 0.5, 1.0),
        ("B-per O O", "B-per O B-loc", 1.0, 0.5),
        ("O O", "O O", 0.0, 0.0),  # nothing there: 0, as conlleval says
    ],
)
def test_by_hand(predicted: str, expected: str, precision: float, recall: float) -> None:
    f1 = 2 * precision * recall / max(precision + recall, 1e-9)
    assert score([predicted.split()], [expected.split()]) == pytest.approx([precision, recall, f1])


def test_entities_end_with_their_row() -> None:
    assert score([["B-per"], ["I-per"]], [["B-per"], ["B-per"]]) == [1.0, 1.0, 1.0]


def test_types_with_hyphens_and_spans_without_type() -> None:
    assert score([["B-a-b", "I-a-c"]], [["B-a-b", "I-a-b"]], ["O", "B-a-b", "I-a-b", "I-a-c"])[2] == 0.0
    assert score([["B", "I"]], [["B", "I"]], ["O", "B", "I"])[2] == 1.0


def test_counts_add_up_over_batches_and_processes() -> None:
    one, other, whole = EntityF1(LABELS), EntityF1(LABELS), EntityF1(LABELS)
    torch.manual_seed(0)
    tags = torch.randint(5, (2, 2, 4, 7))
    for metric, (predictions, targets) in zip((one, other), tags, strict=True):
        metric.update(predictions, targets)
        whole.update(predictions, targets)
    one.merge_state(other)
    assert one.compute() == whole.compute()
    assert 0 < whole.compute()["entity_f1"] < 1


def test_errors_say_what_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"'S-per' is no tag of a span"):
        EntityF1(["O", "S-per"])
    with pytest.raises(ValueError, match=r"shapes \(2, 3\) and \(2, 4\); expected one shape"):
        EntityF1(LABELS).update(torch.zeros(2, 3), torch.zeros(2, 4))
