"""Splits: nothing lost, nothing on both sides, shares as asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from seqlab.data.splits import (
    group_by_name,
    hold_out,
    leave_group_out,
    split_documents,
    split_examples,
    split_points,
    stratified_folds,
    warn_of_duplicates,
)


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


@pytest.mark.parametrize("sizes", [[1] * 3, [1] * 4, [7] * 6, [1, 1, 90]])
def test_no_split_is_empty_where_there_are_enough(sizes: list[int]) -> None:
    for seed in range(8):
        parts = split_documents(sizes, (0.8, 0.1, 0.1), seed)
        assert sorted(index for indices in parts.values() for index in indices) == list(range(len(sizes)))
        assert all(parts.values())


@pytest.mark.parametrize("fractions", [(0.9, 0.1), (0.9, 0.1, 0.0), (0.9, 0.05, 0.06), (1.1, -0.05, -0.05)])
def test_shares_must_make_up_the_whole(fractions: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"add up to 1\. Give data\.fractions"):
        split_points(100, fractions)


GROUPS = [f"person {index % 7}" for index in range(70)]


@pytest.mark.parametrize("groups", [None, GROUPS])
def test_every_example_is_in_one_split_and_a_group_on_one_side(groups: list[str] | None) -> None:
    parts = split_examples(70, (0.6, 0.2, 0.2), 0, groups)
    assert sorted(index for part in parts.values() for index in part) == list(range(70))
    assert len(parts["train"]) == pytest.approx(42, abs=0 if groups is None else 10)  # off by one group at most
    if groups is not None:
        assert sum(len({groups[index] for index in part}) for part in parts.values()) == 7


def test_a_share_is_held_out() -> None:
    kept, held = hold_out(100, 0.1, 3)
    assert (len(kept), len(held)) == (90, 10)
    assert sorted(kept + held) == list(range(100))
    assert hold_out(100, 0.1, 4)[1] != held
    kept, held = hold_out(70, 0.25, 0, GROUPS)
    assert not {GROUPS[index] for index in kept} & {GROUPS[index] for index in held}
    assert len(held) == 20
    kept, held = hold_out(70, 0.01, 0, GROUPS)  # less than a group
    assert (len(kept), len({GROUPS[index] for index in held}), len(held)) == (60, 1, 10)
    assert hold_out(5, 0.1, 0, [0, 0, 0, 1, 1])[1] == [3, 4]
    assert len(hold_out(5, 0.9, 0, [0, 0, 0, 1, 1])[0]) in (2, 3)
    assert len(hold_out(3, 0.1, 0)[1]) == 1
    with pytest.raises(ValueError, match=r"there are 3 examples in 1 groups to hold out 0\.1 of; expected two groups at least"):
        hold_out(3, 0.1, 0, ["a"] * 3)


def test_folds_have_their_share_of_every_label() -> None:
    labels = ["a"] * 23 + ["b"] * 7 + ["c"] * 20
    folds = stratified_folds(labels, 5, 0)
    assert sorted(index for fold in folds for index in fold) == list(range(50))
    for label, count in (("a", 23), ("b", 7), ("c", 20)):
        assert all(sum(labels[index] == label for index in fold) in (count // 5, -(-count // 5)) for fold in folds)
    assert {len(fold) for fold in folds} == {10}
    assert stratified_folds(labels, 5, 1) != folds == stratified_folds(labels, 5, 0)


def test_folds_of_groups_keep_them_whole() -> None:
    labels = [index % 2 for index in range(70)]
    folds = stratified_folds(labels, 3, 0, GROUPS)
    assert sum(len({GROUPS[index] for index in fold}) for fold in folds) == 7
    assert sorted(len(fold) for fold in folds) == [20, 20, 30]


def test_one_group_is_left_out() -> None:
    others, left = leave_group_out([1, 2, 1, 3], 1)
    assert (others, left) == ([1, 3], [0, 2])
    assert leave_group_out(["1", "2"], 1)[1] == [0], "a config may read the name of a group as a number"
    with pytest.raises(ValueError, match=r"no group 4 .* expected one of 1, 2, 3"):
        leave_group_out([1, 2, 1, 3], 4)


def test_a_pattern_names_the_group_of_a_file() -> None:
    files = [Path("walk_anna_1.csv"), Path("walk_ben_2.csv")]
    assert group_by_name(files, r"_([a-z]+)_") == ["anna", "ben"]
    assert group_by_name(files, r"\d") == ["1", "2"]
    with pytest.raises(ValueError, match="finds nothing in the name of walk_anna"):
        group_by_name(files, "ben")
    with pytest.raises(ValueError, match="no regular expression"):
        group_by_name(files, "(")


def test_examples_in_two_splits_are_counted_and_said(caplog: pytest.LogCaptureFixture) -> None:
    splits = {"train": ["a", "b", "b"], "val": ["b", "b", "c"], "test": ["c", "d", "a"]}
    assert warn_of_duplicates(splits) == {"val in train": 2, "test in train": 1, "test in val": 1}
    assert "2 of val in train" in caplog.text
    caplog.clear()
    assert warn_of_duplicates({"train": ["a", "a"], "test": ["b"]}) == {}
    assert not caplog.text


@pytest.mark.parametrize("num_folds", [1, 8])
def test_folds_that_cannot_be_are_refused(num_folds: int) -> None:
    with pytest.raises(ValueError, match=f"num_folds is {num_folds}; expected 2 to 7, the number of groups"):
        stratified_folds([0] * 70, num_folds, 0, GROUPS)


def test_groups_too_few_for_the_splits_are_refused() -> None:
    with pytest.raises(ValueError, match=r"2 groups \(a, b\)"):
        split_examples(4, (0.5, 0.25, 0.25), 0, ["a", "b", "a", "b"])
