"""Splits: nothing lost, nothing on both sides, shares as asked for."""

from __future__ import annotations

import pytest

from seqlab.data.splits import split_documents, split_points


@pytest.mark.parametrize("size", [0, 1, 19, 1000])
def test_one_sequence_is_cut_in_order_without_gaps(size: int) -> None:
    parts = split_points(size, (0.8, 0.1, 0.1))
    assert [index for part in parts.values() for index in range(size)[part]] == list(range(size))
    assert list(parts) == ["train", "val", "test"]
    if size == 1000:
        assert parts["val"] == slice(800, 900)


def test_documents_are_dealt_out_whole_by_size() -> None:
    sizes = [1 + (index * 37) % 91 for index in range(300)]
    parts = split_documents(sizes, (0.8, 0.15, 0.05), seed=3)
    assert sorted(index for indices in parts.values() for index in indices) == list(range(300))
    shares = [sum(sizes[index] for index in indices) / sum(sizes) for indices in parts.values()]
    assert shares == pytest.approx([0.8, 0.15, 0.05], abs=91 / sum(sizes))  # off by one document at most


def test_the_seed_decides_which_documents_go_where() -> None:
    sizes = [10] * 100
    assert split_documents(sizes, (0.8, 0.1, 0.1), 0) == split_documents(sizes, (0.8, 0.1, 0.1), 0)
    assert split_documents(sizes, (0.8, 0.1, 0.1), 0) != split_documents(sizes, (0.8, 0.1, 0.1), 1)


@pytest.mark.parametrize("fractions", [(0.9, 0.1), (0.9, 0.1, 0.0), (0.9, 0.05, 0.06), (1.1, -0.05, -0.05)])
def test_shares_must_make_up_the_whole(fractions: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"add up to 1\. Give data\.fractions"):
        split_points(100, fractions)
