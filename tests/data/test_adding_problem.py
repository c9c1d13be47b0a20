"""The adding problem is what its docstring says, and its baseline is what its README calls it."""

import pytest
import torch

from seqlab.data.adding_problem import MEAN_BASELINE, AddingProblem


def make(**options) -> AddingProblem:
    data = AddingProblem(**{"num_train": 400, "num_val": 30, "num_test": 30, **options})
    data.setup()
    return data


@pytest.mark.parametrize("num_steps", [2, 7, 20])
def test_one_marker_in_each_half_and_their_sum_as_target(num_steps: int) -> None:
    split = make(num_steps=num_steps).splits["train"]
    numbers, markers = split.inputs.unbind(-1)
    assert split.inputs.shape == (400, num_steps, 2)
    assert set(markers.unique().tolist()) <= {0.0, 1.0}
    half = num_steps // 2
    assert (markers[:, :half].sum(1) == 1).all()
    assert (markers[:, half:].sum(1) == 1).all()
    torch.testing.assert_close((numbers * markers).sum(1, keepdim=True), split.targets)
    assert (markers.sum(0) > 0).all()  # every step is marked in some of 400 sequences
    assert 0 <= numbers.min() < 0.01 < 0.99 < numbers.max() <= 1


def test_always_answering_one_has_the_error_of_the_baseline() -> None:
    targets = make(num_train=40_000, num_steps=4).splits["train"].targets
    # 40,000 squared errors of standard deviation 0.2: the mean lies within 0.005 = 5 standard errors
    assert (targets - 1).square().mean().item() == pytest.approx(MEAN_BASELINE, abs=0.005)


def test_splits_differ_and_a_seed_repeats_them() -> None:
    data, again, other = make(), make(), make(seed=1)
    assert torch.equal(data.splits["test"].inputs, again.splits["test"].inputs)
    assert not torch.equal(data.splits["test"].inputs, other.splits["test"].inputs)
    assert not torch.equal(data.splits["test"].inputs, data.splits["val"].inputs)


def test_too_short_is_an_error() -> None:
    with pytest.raises(ValueError, match="num_steps is 1; expected at least 2"):
        AddingProblem(num_steps=1)
