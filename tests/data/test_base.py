"""What every data set shares: the order of batches, padding, and the spec as plain data."""

import pytest
import torch

from seqlab.data.base import DataSpec, Example, pad_batch
from seqlab.data.batches import SeededBatches


def order(seed, epoch, **options):
    batches = SeededBatches(10, 3, shuffle=True, seed=seed, **options)
    batches.set_epoch(epoch)
    return list(batches)


def test_the_order_is_a_function_of_seed_and_epoch_alone():
    orders = {(seed, epoch): order(seed, epoch) for seed in range(3) for epoch in range(3)}
    assert all(order(*key) == found for key, found in orders.items())
    flat = [tuple(index for part in found for index in part) for found in orders.values()]
    assert len(set(flat)) == 9  # of 10! orders; the next epoch of one seed is no epoch of the next seed
    assert all(sorted(found) == list(range(10)) for found in flat)


@pytest.mark.parametrize(("drop_last", "sizes"), [(False, [3, 3, 3, 1]), (True, [3, 3, 3])])
def test_the_last_batch_is_short_or_dropped(drop_last, sizes):
    batches = SeededBatches(10, 3, shuffle=False, seed=0, drop_last=drop_last)
    assert [len(part) for part in batches] == sizes
    assert len(batches) == len(sizes)
    assert next(iter(batches)) == [0, 1, 2]


def test_sequences_are_padded_with_zeros_and_their_lengths_told():
    steps = [torch.ones(4, 2), torch.ones(2, 2)]
    made = pad_batch([Example(x, torch.arange(len(x))) for x in steps])
    assert made.inputs.sum((1, 2)).tolist() == [8.0, 4.0]
    assert made.targets.tolist() == [[0, 1, 2, 3], [0, 1, 0, 0]]
    assert made.lengths is not None
    assert made.lengths.tolist() == [4, 2]
    whole = pad_batch([Example(x, torch.tensor(7)) for x in (steps[0], steps[0])])
    assert whole.targets.tolist() == [7, 7]
    assert whole.lengths is None  # which spares the encoder its masks


def test_a_spec_comes_back_from_its_text():
    spec = DataSpec(inputs="tokens", input_size=5, targets="sequence", output_size=2, labels=("ja", "nö"))
    assert DataSpec.from_json(spec.to_json()) == spec
