"""Parts that shorten time say their output_lengths, and everything that holds them follows."""

import pytest
import torch

from seqlab import Bidirectional, Layer, Stack
from seqlab.frontends import Features
from seqlab.heads import PooledHead
from seqlab.layers import SequenceModule
from seqlab.model import SequenceModel
from tests.cells.instances import random_cell
from tests.layers.alone import DOUBLE, LENGTHS, batch


class EveryOtherStep(SequenceModule):
    """A layer over the steps 0, 2, 4, … of x."""

    def __init__(self, layer):
        super().__init__(layer.input_size, layer.output_size)
        self.layer = layer

    def forward(self, x, lengths=None, state=None):
        return self.layer(x[:, ::2], None if lengths is None else self.output_lengths(torch.as_tensor(lengths)), state)

    def initial_state(self, batch_size):
        return self.layer.initial_state(batch_size)

    def output_lengths(self, lengths):
        return (lengths + 1) // 2


def shorter(input_size, hidden_size):
    return EveryOtherStep(Layer(random_cell("gru", input_size, hidden_size), "loop"))


PARTS = {
    "stack": lambda: Stack([shorter(3, 4), shorter(4, 4), Layer(random_cell("lstm", 4, 5), "loop")]),
    "bidirectional": lambda: Bidirectional(shorter(3, 4), shorter(3, 4)),
    "stacked bidirectional": lambda: Stack([Bidirectional(shorter(3, 4), shorter(3, 4)), Bidirectional(shorter(8, 2), shorter(8, 2))]),
}


@pytest.mark.parametrize("name", PARTS)
def test_a_padded_row_is_the_row_alone(name):
    part, x = PARTS[name](), batch(3)
    y, final = part(x, LENGTHS)
    ends = part.output_lengths(torch.tensor(LENGTHS)).tolist()
    for row, (length, end) in enumerate(zip(LENGTHS, ends, strict=True)):
        alone, last = part(x[row : row + 1, :length])
        assert alone.shape[1] == end
        torch.testing.assert_close(y[row, :end], alone[0], **DOUBLE)
        assert not y[row, end:].any()
        for key, leaf in last.items():
            torch.testing.assert_close(final[key][row], leaf[0], **DOUBLE)


def test_the_head_pools_over_the_steps_that_are_left():
    model = SequenceModel(Features(3), PARTS["stack"](), PooledHead(5, 2, "mean").double())
    x, lengths = batch(3), torch.tensor(LENGTHS)
    scores, _ = model(x, lengths)
    for row, length in enumerate(LENGTHS):
        torch.testing.assert_close(scores[row], model(x[row : row + 1, :length])[0][0], **DOUBLE)
