"""Words by their spelling: against sums written out, at any padding, with any cell."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seqlab import Layer
from seqlab.frontends import Words
from seqlab.registry import list_cells

# 0 past the end of a word; the last word of row 0 has no characters, row 1 is one word long
INPUTS = torch.tensor([[[4, 2, 5, 1, 3], [2, 1, 0, 0, 0], [0, 0, 0, 0, 0]], [[1, 5, 5, 0, 0], [3, 1, 2, 3, 4], [2, 4, 0, 0, 0]]])
LENGTHS = torch.tensor([3, 1])


def made(**options) -> Words:
    torch.manual_seed(0)
    return Words(5, num_characters=6, embedding_size=3, character_size=2, **options).double()


def test_a_spelling_is_the_maximum_over_its_windows() -> None:
    words = made(spelling_size=4, widths=[3, 2])
    y = words(INPUTS, LENGTHS).detach().numpy()
    assert y.shape == (2, 3, words.output_size) == (2, 3, 3 + 2 * 4)
    table = words.characters.weight.detach().numpy()
    for row, column in ((0, 0), (0, 1), (1, 0)):
        letters = table[[c for c in INPUTS[row, column, 1:].tolist() if c]]
        expected = []
        for window in words.spelling.windows:
            weight, bias = window.weight.detach().numpy(), window.bias.detach().numpy()
            before = (weight.shape[2] - 1) // 2
            around = np.concatenate([np.zeros((before, 2)), letters, np.zeros((weight.shape[2] - 1 - before, 2))])
            each = [np.tanh(bias + np.einsum("fck,kc->f", weight, around[t : t + weight.shape[2]])) for t in range(len(letters))]
            expected += list(np.max(each, 0))
        np.testing.assert_allclose(y[row, column, 3:], expected, atol=1e-12)  # float64
        np.testing.assert_array_equal(y[row, column, :3], words.embedding.weight[INPUTS[row, column, 0]].detach())
    assert not y[0, 2, 3:].any()
    assert not y[1, 1:, 3:].any()  # padding


@pytest.mark.parametrize("cell", [info.name for info in list_cells() if not info.error and info.origin == "seqlab"])
def test_any_cell_reads_a_word_in_both_directions(cell: str) -> None:
    words = made(spelling="rnn", spelling_size=6, spelling_cell=cell)
    y = words(INPUTS, LENGTHS)
    ahead, back = words.spelling.directions.forward_part, words.spelling.directions.backward_part
    assert isinstance(ahead, Layer)
    letters = words.characters(torch.tensor([[2, 5, 1, 3]]))
    torch.testing.assert_close(y[0, 0, 3:], torch.cat([ahead(letters)[0][0, -1], back(letters.flip(1))[0][0, -1]]))
    assert not y[0, 2, 3:].any()


@pytest.mark.parametrize("options", [{}, {"spelling": "rnn"}, {"spelling": "none"}], ids=["cnn", "rnn", "none"])
def test_a_padded_word_in_a_padded_row_is_as_it_is_alone(options) -> None:
    words = made(**options)
    y = words(INPUTS, LENGTHS)
    torch.testing.assert_close(words(INPUTS[1:, :1, :3])[0], y[1, :1])
    wider = torch.nn.functional.pad(INPUTS, (0, 4))
    wider[1, 2, 1:] = 5  # what stands past a row's length must not matter
    torch.testing.assert_close(words(wider, LENGTHS)[1, :1], y[1, :1])
    torch.testing.assert_close(words(wider, LENGTHS)[0], y[0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: made(spelling="cn"), "no spelling is named 'cn'. Did you mean 'cnn'"),
        (lambda: made(spelling="rnn", spelling_size=5), "spelling_size is 5 with spelling=rnn; expected an even number"),
        (lambda: made()(INPUTS[..., 0]), r"inputs have shape \(2, 3\); expected \(batch, time, 1 \+ characters\)"),
    ],
)
def test_errors_name_the_value_and_what_was_expected(call, message) -> None:
    with pytest.raises(ValueError, match=message):
        call()
