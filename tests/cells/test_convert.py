"""Weights of torch.nn's recurrent modules in our cells: the same outputs, final states and gradients."""

import pytest
import torch
from torch import nn

from seqlab import Layer, make_cell
from seqlab.cells.convert import load_torch_weights
from seqlab.layers.convert import stack_from_torch

MODULES = {
    "rnn tanh": (nn.RNN, {}, "rnn", {}),
    "rnn relu": (nn.RNN, {"nonlinearity": "relu"}, "rnn", {"activation": "relu"}),
    "irnn": (nn.RNN, {"nonlinearity": "relu"}, "irnn", {}),
    "lstm": (nn.LSTM, {}, "lstm", {}),
    "gru": (nn.GRU, {}, "gru_reset_after", {}),
}
# float64 rounding: the two biases are summed first here and last there
CLOSE = {"rtol": 1e-11, "atol": 1e-12}


def by_torch(module, x):
    """y, (h, c) or (h,) of a batch-first module from a zero state."""
    y, last = module(x)
    return y, last if isinstance(last, tuple) else (last,)


@pytest.mark.parametrize("executor", ["loop", "native"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", MODULES)
def test_a_cell_with_torchs_weights_is_torchs_module(kind, bias, executor):
    torch.manual_seed(0)
    make, how, name, options = MODULES[kind]
    module = make(5, 7, bias=bias, batch_first=True, **how).double()
    cell = make_cell(name, 5, 7, bias=bias, **options).double()
    load_torch_weights(cell, module)
    x = torch.randn(3, 6, 5, dtype=torch.float64)
    x_ours, x_theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    y, last = Layer(cell, executor)(x_ours)
    expected, expected_last = by_torch(module, x_theirs)
    torch.testing.assert_close(y, expected, **CLOSE)
    for leaf, value in zip(("h", "c"), expected_last, strict=False):
        torch.testing.assert_close(last[leaf], value[0], **CLOSE)
    y.square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(x_ours.grad, x_theirs.grad, **CLOSE)
    torch.testing.assert_close(cell.recurrent_weight.grad, module.weight_hh_l0.grad, **CLOSE)
    if kind == "gru" and bias:
        torch.testing.assert_close(cell.recurrent_bias.grad, module.bias_hh_l0.grad[14:], **CLOSE)


def test_one_layer_and_direction_of_many():
    torch.manual_seed(0)
    module = nn.LSTM(5, 7, num_layers=2, bidirectional=True)
    cell = make_cell("lstm", 14, 7)
    load_torch_weights(cell, module, layer=1, reverse=True)
    assert torch.equal(cell.input_weight, module.weight_ih_l1_reverse)
    assert torch.equal(cell.recurrent_weight, module.weight_hh_l1_reverse)
    assert torch.equal(cell.bias, module.bias_ih_l1_reverse + module.bias_hh_l1_reverse)


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("kind", ["rnn relu", "lstm", "gru"])
def test_a_whole_module_becomes_a_stack(kind, bidirectional):
    torch.manual_seed(0)
    make, how, _, _ = MODULES[kind]
    module = make(5, 7, num_layers=3, bidirectional=bidirectional, dropout=0.5, **how).double().eval()  # time first
    stack = stack_from_torch(module)
    assert stack.dropout == 0.5
    assert not stack.training
    x = torch.randn(3, 6, 5, dtype=torch.float64)
    y, last = stack(x)
    expected, expected_last = by_torch(module, x.transpose(0, 1))
    torch.testing.assert_close(y, expected.transpose(0, 1), **CLOSE)
    order = [f"{depth}.{way}" for depth in range(3) for way in (("forward.", "backward.") if bidirectional else ("",))]
    for leaf, value in zip(("h", "c"), expected_last, strict=False):
        torch.testing.assert_close(torch.stack([last[part + leaf] for part in order]), value, **CLOSE)


def test_the_stack_owns_its_weights():
    module = nn.GRU(2, 3)
    stack = stack_from_torch(module)
    with torch.no_grad():
        module.weight_ih_l0.zero_()
    assert stack.parts[0].cell.input_weight.abs().min() > 0


@pytest.mark.parametrize(
    ("cell", "module", "where", "error", "message"),
    [
        (("lstm", 5, 7), nn.Linear(5, 7), {}, TypeError, "module is a Linear; expected torch.nn.RNN, LSTM or GRU"),
        (("lstm", 5, 7), nn.LSTM(5, 7, proj_size=3), {}, ValueError, "proj_size=3"),
        (("gru", 5, 7), nn.GRU(5, 7), {}, TypeError, "cell is a GRU; expected the cell 'gru_reset_after'"),
        (("lstm", 5, 7), nn.GRU(5, 7), {}, ValueError, "LSTM is no match for a module of mode GRU.*'gru_reset_after'"),
        (("rnn", 5, 7), nn.RNN(5, 7, nonlinearity="relu"), {}, ValueError, "no match for a module of mode RNN_RELU: rnn_tanh"),
        (("lstm", 5, 8), nn.LSTM(5, 7), {}, ValueError, r"\(5, 7\) but the cell has \(5, 8\)"),
        (("lstm", 5, 7), nn.LSTM(5, 7, bias=False), {}, ValueError, "bias=False but the cell bias=True"),
        (("lstm", 5, 7), nn.LSTM(5, 7), {"layer": 1}, ValueError, "layer is 1; expected 0..0"),
        (("lstm", 5, 7), nn.LSTM(5, 7), {"reverse": True}, ValueError, "not bidirectional"),
    ],
)
def test_what_does_not_fit_is_an_error(cell, module, where, error, message):
    with pytest.raises(error, match=message):
        load_torch_weights(make_cell(*cell), module, **where)


def test_a_projection_or_another_module_makes_no_stack():
    with pytest.raises(ValueError, match="proj_size=3"):
        stack_from_torch(nn.LSTM(5, 7, proj_size=3))
    with pytest.raises(TypeError, match="module is a Linear"):
        stack_from_torch(nn.Linear(5, 7))
