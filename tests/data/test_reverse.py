"""Targets are the inputs backwards, splits differ, and lengths are as asked for."""

from __future__ import annotations

import pytest
import torch

from seqlab.data.reverse import Reverse


def test_targets_are_the_inputs_backwards_and_end() -> None:
    data = Reverse(num_symbols=3, max_length=4, test_min_length=5, test_max_length=9, num_train=40, num_val=40, num_test=40, eval_batch_size=40)
    data.setup()
    (batch,) = data.test_dataloader()
    lengths = batch.lengths
    assert (int(lengths.min()), int(lengths.max())) == (5, 9)
    for source, target, length in zip(batch.inputs, batch.targets, lengths, strict=True):
        assert target.tolist() == [*reversed(source[:length].tolist()), 2, *[0] * (9 - length)]
        assert not source[length:].any()
    assert {len(example.inputs) for example in (data.splits["train"][row] for row in range(40))} == {1, 2, 3, 4}
    assert batch.inputs.max() < data.spec.input_size == len(data.spec.labels) == 6
    assert not torch.equal(data.splits["train"][0].inputs, data.splits["val"][0].inputs)
    assert data.text(torch.tensor([1, 3, 5, 2, 0])) == "ac"


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(ValueError, match="num_symbols is 27"):
        Reverse(num_symbols=27)
    with pytest.raises(ValueError, match="the test has 4 to 3"):
        Reverse(test_min_length=4, test_max_length=3)
