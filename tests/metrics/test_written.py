"""Exact match and error rate by hand; the edit distance against a search through every edit."""

from __future__ import annotations

import itertools
from functools import cache

import pytest
import torch

from seqlab.metrics.written import WrittenMetrics, edit_distance


@cache
def by_recursion(found: tuple[int, ...], right: tuple[int, ...]) -> int:
    if not found or not right:
        return len(found) + len(right)
    if found[0] == right[0]:
        return by_recursion(found[1:], right[1:])
    return 1 + min(by_recursion(found[1:], right), by_recursion(found, right[1:]), by_recursion(found[1:], right[1:]))


def test_edit_distance_equals_every_edit_tried() -> None:
    rows = [row for length in range(4) for row in itertools.product((1, 2), repeat=length)]
    for found, right in itertools.product(rows, rows):
        assert edit_distance(found, right) == by_recursion(found, right)
    assert edit_distance("kitten", "sitting") == 3


def test_rates_are_of_the_whole_corpus() -> None:
    metric = WrittenMetrics()
    metric.update(torch.tensor([[3, 4, 0], [3, 3, 3]]), torch.tensor([[3, 4], [3, 4]]))
    metric.update(torch.zeros(1, 0, dtype=torch.long), torch.tensor([[5, 5, 5, 5, 0]]))
    assert {name: float(value) for name, value in metric.compute().items()} == pytest.approx({"exact_match": 1 / 3, "symbol_error_rate": 6 / 8})
    with pytest.raises(ValueError, match="expected as many rows"):
        metric.update(torch.zeros(1, 2), torch.zeros(2, 2))
