"""How cells start, and what they refuse to be built from."""

import math

import pytest
import torch

from seqlab import make_cell


def test_irnn_starts_as_the_identity():
    torch.manual_seed(0)
    cell = make_cell("irnn", 300, 40)
    assert torch.equal(cell.recurrent_weight, torch.eye(40))
    assert (cell.bias == 0).all()
    # 12,000 draws: the standard deviation is known to 1 / √24,000 = 0.65 %, times five
    assert cell.input_weight.std().item() == pytest.approx(0.001, rel=0.033)
    scaled = make_cell("irnn", 3, 4, scale=0.5, input_std=2.0)
    assert torch.equal(scaled.recurrent_weight, 0.5 * torch.eye(4))
    assert scaled.input_weight.abs().max() > 0.01


@pytest.mark.parametrize("name", ["rnn", "lstm", "lstm_1997", "lstm_coupled", "lstm_peephole", "gru", "gru_reset_after", "rnn_concat"])
def test_each_gates_recurrent_block_is_orthogonal(name):
    cell = make_cell(name, 3, 8)
    for block in cell.recurrent_weight.chunk(len(cell.gates)):
        torch.testing.assert_close(block @ block.T, torch.eye(8), rtol=0, atol=1e-5)  # float32 QR of 8 × 8


@pytest.mark.parametrize("name", ["rnn", "lstm", "lstm_1997", "lstm_coupled", "lstm_peephole", "gru", "gru_reset_after", "min_gru", "min_lstm"])
def test_each_gates_input_block_is_glorot(name):
    torch.manual_seed(0)
    cell = make_cell(name, 40, 60)
    bound = math.sqrt(6 / 100)
    for block in cell.input_weight.chunk(len(cell.gates)):
        assert 0.98 * bound < block.abs().max().item() <= bound  # of 2,400 uniform draws, all below 98 % has chance 1e-21


def test_lru_starts_on_the_ring_uniformly():
    torch.manual_seed(0)
    cell = make_cell("lru", 4, 4, state_size=4000, r_min=0.4, r_max=0.9, max_phase=1.0).double()
    re, im = cell.decay().chunk(2)
    squared, phase = re**2 + im**2, torch.atan2(im, re)
    assert squared.min() >= 0.16 - 1e-6  # float32 rounding of the logarithms
    assert squared.max() <= 0.81 + 1e-6
    # uniform by area, so |λ|² is uniform; the mean of 4,000 uniform draws has a deviation of 0.46 % of the range, times five
    assert squared.mean().item() == pytest.approx((0.16 + 0.81) / 2, abs=0.023 * 0.65)
    assert phase.mean().item() == pytest.approx(0.5, abs=0.023)
    assert phase.min() >= 0
    assert phase.max() <= 1


def test_lru_keeps_the_variance_of_white_noise():
    """γ = √(1 − |λ|²): the state's variance is that of B x, however near |λ| is to 1."""
    torch.manual_seed(0)
    cell = make_cell("lru", 1, 1, state_size=64, r_min=0.8, r_max=0.99).double()
    re, im = cell.decay().chunk(2)
    new, _ = cell.project(torch.ones(1, 1, dtype=torch.float64))
    gamma = new[0, :64] / cell.input_weight[:64, 0]
    torch.testing.assert_close(gamma**2, 1 - re**2 - im**2, rtol=1e-9, atol=0)  # 1 − |λ|² loses two digits at |λ| = 0.99


def test_lru_skips_by_a_vector_only_when_the_widths_agree():
    assert make_cell("lru", 4, 4).skip_weight.shape == (4,)
    assert make_cell("lru", 4, 6).skip_weight.shape == (6, 4)
    assert make_cell("lru", 4, 6, state_size=9).state_shapes == {"h": (18,)}


@pytest.mark.parametrize("limits", [{"r_min": 0.0, "r_max": 0.0}, {"r_min": 1.0, "r_max": 1.0}])
def test_lru_is_finite_at_the_ends_of_the_ring(limits):
    cell = make_cell("lru", 4, 64, **limits)
    y, _ = cell.step(cell.project(torch.ones(1, 4)), cell.initial_state(1))
    y.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in cell.parameters())


def test_lru_has_no_complex_tensor():
    cell = make_cell("lru", 4, 6)
    tensors = [*cell.parameters(), *cell.buffers(), *cell.initial_state(2).values(), *cell.project(torch.ones(2, 4))]
    assert not any(t.is_complex() for t in tensors)


@pytest.mark.parametrize(
    ("name", "size", "options", "message"),
    [
        ("rnn", 4, {"activation": "tahn"}, "activation is 'tahn'; no activation is named 'tahn'. Did you mean 'tanh'"),
        ("lstm_1997", 4, {"input_activation": "softmax"}, "input_activation is 'softmax'"),
        ("lstm_peephole", 4, {"gate_activation": "softmax"}, "gate_activation is 'softmax'"),
        ("lstm_peephole", 6, {"cells_per_block": 4}, "cells_per_block is 4; expected a divisor of hidden_size=6"),
        ("lstm_peephole", 6, {"cells_per_block": 0}, "cells_per_block is 0"),
        ("rnn_concat", 6, {"output_size": 0}, "output_size is 0"),
        ("rnn_concat", 0, {"output_size": 3}, "hidden_size of cell 'rnn_concat' is 0; expected a whole number of at least 1"),
        ("lru", 6, {"state_size": 0}, r"state 'h' has the shape \(0,\); expected whole numbers of at least 1"),
        ("lru", 6, {"r_min": 0.9, "r_max": 0.5}, "r_min is 0.9 and r_max 0.5; expected 0 <= r_min <= r_max <= 1"),
        ("lru", 6, {"max_phase": 0.0}, "max_phase is 0.0"),
    ],
)
def test_what_cannot_be_built_is_an_error(name, size, options, message):
    with pytest.raises(ValueError, match=message):
        make_cell(name, 4, size, **options)
