"""The binary adder's data: bits against Python's own integers."""

import pytest
import torch

from seqlab.data.binary_addition import BinaryAddition, add_bits, draw_pairs, to_bits, to_number


@pytest.mark.parametrize("num_bits", [2, 8, 64])
def test_sums_are_those_of_python_integers(num_bits):
    pairs = draw_pairs(50, num_bits, torch.Generator().manual_seed(0))
    for (a, b), total in zip(pairs, add_bits(pairs), strict=True):
        assert to_number(total) == to_number(a) + to_number(b) < 2**num_bits


def test_bits_come_least_significant_first():
    assert to_bits(torch.tensor(6), 4).tolist() == [0, 1, 1, 0]
    assert to_number(torch.tensor([0, 1, 1, 0])) == 6


def test_evaluation_covers_every_pair_once():
    data = BinaryAddition(num_pairs=3)
    data.setup()
    pairs = {tuple(row) for row in data.splits["test"].inputs.flatten(1).tolist()}
    assert len(data.splits["test"]) == len(pairs) == 16_384


def test_longer_numbers_in_the_test_split_alone():
    data = BinaryAddition(num_pairs=3, test_num_bits=64, max_eval_pairs=100)
    data.setup()
    assert data.splits["val"].inputs.shape == (100, 8, 2)
    assert data.splits["test"].inputs.shape == (100, 64, 2)


def test_closing_lines_show_the_sum_and_say_when_it_is_wrong():
    data = BinaryAddition(num_pairs=3)
    data.setup()
    right = data.examples(lambda batch: batch.targets)
    wrong = data.examples(lambda batch: 1 - batch.targets)
    for line in right:
        a, _, b, _, total = line.split()
        assert int(a) + int(b) == int(total)
    assert all("wrong" in line for line in wrong)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_bits": 1}, "num_bits is 1; expected at least 2"),
        ({"test_num_bits": 0}, "test_num_bits is 0; expected at least 2"),
        ({"num_pairs": -1}, "num_pairs is -1; expected at least 0"),
        ({"max_eval_pairs": 0}, "max_eval_pairs is 0; expected at least 1"),
        ({"batch_size": 0}, "^batch_size is 0; expected at least 1"),
        ({"eval_batch_size": 0}, "eval_batch_size is 0; expected at least 1"),
        ({"eval_batch_size": -3}, "eval_batch_size is -3; expected at least 1"),
    ],
)
def test_sizes_that_make_no_data_are_refused(options, message):
    """Taken as given, they would leave validation out or test on something else without a word."""
    with pytest.raises(ValueError, match=message):
        BinaryAddition(**options)
