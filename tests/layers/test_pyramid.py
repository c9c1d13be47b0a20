"""A pyramid against the layer over pairs put together by hand; padded rows against rows alone."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from seqlab import Layer, Stack, make_cell
from seqlab.layers.pyramid import Shortened, pyramid

LENGTHS = torch.tensor([7, 4, 1])


def test_neighbours_stand_side_by_side() -> None:
    inner = Layer(make_cell("gru", 6, 4))
    x = torch.randn(2, 5, 3)
    y, _ = Shortened(inner)(x)
    pairs = torch.stack([torch.cat([x[:, 0], x[:, 1]], -1), torch.cat([x[:, 2], x[:, 3]], -1), torch.cat([x[:, 4], torch.zeros(2, 3)], -1)], 1)
    torch.testing.assert_close(y, inner(pairs)[0])


@pytest.mark.parametrize("factor", [2, 3])
def test_a_padded_row_is_the_row_alone(factor: int) -> None:
    part = Stack([pyramid(partial(make_cell, "lstm", hidden_size=3), 2, 3, factor), Layer(make_cell("gru", 6, 2))]).double()
    x = torch.randn(3, 7, 2).double()
    x[torch.arange(7) >= LENGTHS[:, None]] = torch.nan
    y, final = part(x, LENGTHS)
    ends = part.output_lengths(LENGTHS)
    assert ends.tolist() == ([2, 1, 1] if factor == 2 else [1, 1, 1])
    for row, length in enumerate(LENGTHS.tolist()):
        alone, last = part(x[row : row + 1, :length])
        assert alone.shape[1] == ends[row]
        torch.testing.assert_close(y[row, : ends[row]], alone[0], rtol=1e-10, atol=1e-12)  # float64 rounding
        assert all(torch.allclose(final[name][row], leaf[0], rtol=1e-10, atol=1e-12) for name, leaf in last.items())


def test_chunks_of_whole_groups_resume() -> None:
    part, x = Shortened(Layer(make_cell("gru", 4, 3))), torch.randn(1, 6, 2)
    first, state = part(x[:, :4])
    second, _ = part(x[:, 4:], None, state)
    torch.testing.assert_close(torch.cat([first, second], 1), part(x)[0])


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(ValueError, match="factor is 2 and the part takes 3 features"):
        Shortened(Layer(make_cell("gru", 3, 4)))
    with pytest.raises(ValueError, match="num_layers is 0"):
        pyramid(partial(make_cell, "gru", hidden_size=3), 2, 0)
