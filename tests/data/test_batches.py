"""Batches of a budget of steps: everything once, nothing over, one order for one (seed, epoch)."""

from __future__ import annotations

import pytest

from seqlab.data.batches import BudgetBatches

LENGTHS = [(index * 7919) % 23 + 1 for index in range(200)]


def drawn(seed: int, epoch: int, shuffle: bool = True) -> list[list[int]]:
    batches = BudgetBatches(LENGTHS, 60, shuffle, seed)
    batches.set_epoch(epoch)
    found = list(batches)
    assert len(found) == len(batches)
    return found


@pytest.mark.parametrize("shuffle", [True, False])
def test_every_sequence_is_in_one_batch_within_the_budget(shuffle: bool) -> None:
    found = drawn(0, 0, shuffle)
    assert sorted(index for batch in found for index in batch) == list(range(200))
    assert all(len(batch) * max(LENGTHS[index] for index in batch) <= 60 for batch in found)
    padding = sum(len(batch) * max(LENGTHS[index] for index in batch) for batch in found) / sum(LENGTHS)
    assert padding < 1.1, "texts of one length stand together"


def test_the_order_is_a_function_of_seed_and_epoch_alone() -> None:
    orders = {(seed, epoch): drawn(seed, epoch) for seed in range(2) for epoch in range(3)}
    assert all(drawn(*key) == found for key, found in orders.items())
    assert len({str(found) for found in orders.values()}) == 6
    members = {str(sorted(map(sorted, found))) for found in orders.values()}
    assert len(members) == 6, "texts of one length meet others from epoch to epoch"
    assert len({len(found) for found in orders.values()}) == 1
    assert drawn(0, 0, shuffle=False) == drawn(5, 3, shuffle=False)


def test_a_sequence_longer_than_the_budget_is_alone() -> None:
    assert list(BudgetBatches([3, 100, 4, 5], 10, False, 0)) == [[0, 2], [3], [1]]
    assert list(BudgetBatches([], 10, True, 0)) == []
