"""Segments against the map written out; padding and what comes later change nothing."""

from __future__ import annotations

import pytest
import torch

from seqlab.frontends.segments import Segments


def test_each_segment_is_one_map_of_its_steps() -> None:
    torch.manual_seed(0)
    front = Segments(2, length=3, output_size=5)
    x = torch.randn(4, 7, 2)
    y = front(x)
    assert y.shape == (4, 3, 5)
    weight, bias = front.linear.weight, front.linear.bias
    torch.testing.assert_close(y[:, 1], torch.relu(x[:, 3:6].reshape(4, 6) @ weight.T + bias))
    torch.testing.assert_close(y[:, 2], torch.relu(x[:, 6] @ weight[:, :2].T + bias))


def test_padding_counts_for_nothing() -> None:
    torch.manual_seed(0)
    front = Segments(2, length=3, output_size=5)
    x = torch.randn(2, 7, 2)
    lengths = torch.tensor([7, 4])
    alone = front(x[1:, :4])
    x[1, 4:] = torch.nan
    assert front.output_lengths(lengths).tolist() == [3, 2]
    torch.testing.assert_close(front(x, lengths)[1:, :2], alone)


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"frontend length is 0; expected at least 1"):
        Segments(2, length=0)
    with pytest.raises(ValueError, match=r"dropout is 1.0; expected a probability"):
        Segments(2, dropout=1.0)


def test_a_segment_knows_the_steps_after_its_first() -> None:
    assert Segments.mixes_steps  # so that a language model refuses it
