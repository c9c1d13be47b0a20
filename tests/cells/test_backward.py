"""Autograd against back-propagation through time written by hand, in float64."""

import numpy as np
import pytest
import torch
from torch import nn

from seqlab import Layer
from tests.cells.instances import arrays, random_cell, random_state, row, weights_of
from tests.oracles.gru import gru_backward
from tests.oracles.lstm import lstm_backward
from tests.oracles.lstm_peephole import lstm_peephole_backward
from tests.oracles.rnn import rnn_backward, softmax_cross_entropy, squared_error_through_sigmoid

# Both sides round the same few hundred float64 terms, in another order; gradients over 7 steps neither vanish nor explode.
CLOSE = {"rtol": 1e-10, "atol": 1e-12}
SQUASHERS = {"gate_activation": "bipolar_sigmoid", "input_activation": "bipolar_sigmoid_2", "output_activation": "bipolar_sigmoid"}
CASES = [
    ("rnn", rnn_backward, {}),
    *[("rnn", rnn_backward, {"activation": name}) for name in ("relu", "sigmoid", "leaky_relu", "elu", "identity")],
    ("lstm", lstm_backward, {}),
    ("lstm_peephole", lstm_peephole_backward, {}),
    ("lstm_peephole", lstm_peephole_backward, {"cells_per_block": 2}),
    ("lstm_peephole", lstm_peephole_backward, {"cells_per_block": 2, **SQUASHERS}),
    ("gru", gru_backward, {}),
]


def gradients(loss, cell, x, state):
    """Autograd's, as (weights, x, state) with the cell's own names."""
    weights = dict(cell.named_parameters())
    got = torch.autograd.grad(loss, [*weights.values(), x, *state.values()])
    return arrays(dict(zip(weights, got, strict=False))), got[len(weights)].numpy(), arrays(dict(zip(state, got[len(weights) + 1 :], strict=True)))


def inputs(cell, batch_size, num_steps):
    x = torch.randn(batch_size, num_steps, cell.input_size, dtype=torch.float64, requires_grad=True)
    return x, {name: leaf.requires_grad_() for name, leaf in random_state(cell, batch_size).items()}


@pytest.mark.parametrize("num_steps", [1, 7])
@pytest.mark.parametrize(("name", "backward", "options"), CASES, ids=lambda v: str(v) if not callable(v) else "")
def test_gradients_of_a_cell(name, backward, options, num_steps):
    cell = random_cell(name, 3, 6, **options)
    x, state = inputs(cell, 2, num_steps)
    y, last = Layer(cell, executor="loop")(x, state=state)
    to_y, to_last = torch.randn_like(y), {leaf: torch.randn_like(value) for leaf, value in last.items()}
    loss = (y * to_y).sum() + sum((value * to_last[leaf]).sum() for leaf, value in last.items())
    of_weights, of_x, of_state = gradients(loss, cell, x, state)
    told = {option: value for option, value in options.items() if option != "bias"}
    by_row = [backward(weights_of(cell), x[b].detach().numpy(), row(arrays(state), b), to_y[b].numpy(), row(arrays(to_last), b), **told) for b in range(2)]
    for weight, value in of_weights.items():
        assert np.abs(value).max() > 1e-3, f"{weight} is not exercised"
        np.testing.assert_allclose(value, sum(weights[weight] for weights, _, _ in by_row), err_msg=weight, **CLOSE)
    for b, (_, d_x, d_state) in enumerate(by_row):
        np.testing.assert_allclose(of_x[b], d_x, **CLOSE)
        for leaf, value in d_state.items():
            np.testing.assert_allclose(of_state[leaf][b], value, err_msg=leaf, **CLOSE)


def check_loss(loss, expected, cell, head, x, state):
    """One row: loss and the gradients of the head's weights, the cell's, x and the state against the oracle's."""
    expected_loss, (*d_head, d_weights, d_x, d_state) = expected
    np.testing.assert_allclose(loss.item(), expected_loss, **CLOSE)
    for weight, value in zip(torch.autograd.grad(loss, head, retain_graph=True), d_head, strict=True):
        np.testing.assert_allclose(weight.numpy(), value, **CLOSE)
    of_weights, of_x, of_state = gradients(loss, cell, x, state)
    for weight, value in of_weights.items():
        np.testing.assert_allclose(value, d_weights[weight], err_msg=weight, **CLOSE)
    np.testing.assert_allclose(of_x[0], d_x, **CLOSE)
    np.testing.assert_allclose(of_state["h"][0], d_state["h"], **CLOSE)


def test_softmax_cross_entropy_at_each_step_of_an_rnn():
    """A language model over 5 words: the targets are the inputs shifted by one."""
    cell = random_cell("rnn", 5, 4)
    sentence = torch.tensor([0, 3, 1, 1, 4, 2])
    x = nn.functional.one_hot(sentence[:-1], 5).double()[None].requires_grad_()
    state = {"h": torch.randn(1, 4, dtype=torch.float64, requires_grad=True)}
    head = nn.Linear(4, 5).double()
    y, _ = Layer(cell, executor="loop")(x, state=state)
    loss = nn.functional.cross_entropy(head(y[0]), sentence[1:], reduction="sum")
    V, c = (p.detach().numpy() for p in head.parameters())
    expected = softmax_cross_entropy(weights_of(cell), V, c, x[0].detach().numpy(), row(arrays(state), 0), sentence[1:].numpy())
    check_loss(loss, expected, cell, list(head.parameters()), x, state)


def test_squared_error_through_a_sigmoid_as_in_the_binary_adder():
    """102 + 25 = 127, least significant bit first; sigmoid units, no biases."""
    cell = random_cell("rnn", 2, 16, activation="sigmoid", bias=False)
    bits = np.array([[n >> t & 1 for n in (102, 25, 127)] for t in range(8)], dtype=float)
    x = torch.tensor(bits[None, :, :2], requires_grad=True)
    state = {"h": torch.zeros(1, 16, dtype=torch.float64, requires_grad=True)}
    head = nn.Linear(16, 1, bias=False).double()
    y, _ = Layer(cell, executor="loop")(x, state=state)
    loss = 0.5 * ((torch.sigmoid(head(y[0])) - torch.tensor(bits[:, 2:])) ** 2).sum()
    expected = squared_error_through_sigmoid(weights_of(cell), head.weight.detach().numpy(), bits[:, :2], row(arrays(state), 0), bits[:, 2:])
    check_loss(loss, expected, cell, [head.weight], x, state)
