"""The convolutions of a CRNN: sizes, and padded rows against rows alone."""

from __future__ import annotations

import pytest
import torch

from seqlab.frontends import ImageConvolutions


@pytest.mark.parametrize("pools", [((2, 2), (2, 2)), ((1, 2), (3, 1))])
def test_a_padded_row_is_the_row_alone(pools: tuple[tuple[int, int], ...]) -> None:
    torch.manual_seed(0)
    frontend = ImageConvolutions(9, (3, 4), pools).double()
    x, lengths = torch.rand(3, 11, 9).double(), torch.tensor([11, 6, 1])
    frontend(x, lengths)  # moves the averages of batch normalisation away from 0 and 1
    frontend.eval()
    x[torch.arange(11) >= lengths[:, None]] = torch.nan
    y, ends = frontend(x, lengths), frontend.output_lengths(lengths)
    assert y.shape[2] == frontend.output_size
    assert ends.tolist() == ([3, 2, 1] if pools[0][0] == 2 else [4, 2, 1])
    for row, length in enumerate(lengths.tolist()):
        alone = frontend(x[row : row + 1, :length])
        assert alone.shape[1] == ends[row]
        torch.testing.assert_close(y[row, : ends[row]], alone[0], rtol=1e-10, atol=1e-12)  # float64 rounding


def test_a_step_sees_its_own_columns() -> None:
    frontend = ImageConvolutions(4, (2,), ((2, 2),)).eval()
    x = torch.rand(1, 8, 4, requires_grad=True)
    frontend(x)[0, 1].sum().backward()
    assert x.grad is not None
    seen = x.grad.abs().sum(-1)[0] > 0
    assert not seen[:1].any()  # columns 2 and 3 with one on either side
    assert not seen[5:].any()


def test_layers_and_pools_must_agree() -> None:
    with pytest.raises(ValueError, match="expected at least one layer"):
        ImageConvolutions(28, (4, 4), ((2, 2),))
