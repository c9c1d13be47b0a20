"""The temporal order problem is what its docstring says; its sequences are padded and their labels right."""

import pytest
import torch

from seqlab.data.temporal_order import SYMBOLS, TemporalOrder


def make(**options) -> TemporalOrder:
    data = TemporalOrder(**{"num_train": 300, "num_val": 20, "num_test": 20, "batch_size": 50, **options})
    data.setup()
    return data


@pytest.mark.parametrize(("shortest", "longest"), [(10, 10), (20, 26), (100, 110)])
def test_the_symbols_that_matter_stand_where_they_should(shortest: int, longest: int) -> None:
    data = make(min_length=shortest, max_length=longest)
    seen = set()
    for example in data.splits["train"].examples:
        word = "".join(SYMBOLS[i] for i in example.inputs.argmax(-1).tolist())
        assert (example.inputs.sum(-1) == 1).all()
        assert shortest <= len(word) <= longest
        assert word[0] == "E"
        assert word[-1] == "B"
        assert set(word[1:-1]) <= set("abcdXY")
        marked = [t for t, symbol in enumerate(word) if symbol in "XY"]
        assert len(marked) == 2
        assert shortest // 10 <= marked[0] <= shortest // 5
        assert shortest // 2 <= marked[1] <= 6 * shortest // 10
        assert data.spec.labels[int(example.targets)] == word[marked[0]] + word[marked[1]]
        seen.add((len(word), int(example.targets)))
    assert {length for length, _ in seen} == set(range(shortest, longest + 1))
    assert {label for _, label in seen} == {0, 1, 2, 3}


def test_batches_are_padded_with_zeros() -> None:
    batch = next(iter(make(min_length=10, max_length=30).loader("train")))
    assert batch.lengths is not None
    assert batch.inputs.shape == (50, int(batch.lengths.max()), 8)
    for row, length in zip(batch.inputs, batch.lengths, strict=True):
        assert (row[:length].sum(-1) == 1).all()
        assert (row[length:] == 0).all()
    assert batch.targets.shape == (50,)


def test_a_seed_repeats_the_data() -> None:
    first, again = (make().splits["test"].examples[3].inputs for _ in range(2))
    assert torch.equal(first, again)


def test_too_short_is_an_error() -> None:
    with pytest.raises(ValueError, match="min_length is 9 and max_length 110; expected 10 <= min_length <= max_length"):
        TemporalOrder(min_length=9)
