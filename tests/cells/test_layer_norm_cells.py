"""The layer-normalised LSTM and GRU: where each norm sits, and what follows from it. test_oracles.py holds the equations."""

import pytest
import torch

from seqlab import Layer, make_cell
from tests.cells.instances import random_cell, random_state

NAMES = ("lstm_layer_norm", "gru_layer_norm")


@pytest.mark.parametrize("name", NAMES)
def test_gradients_equal_finite_differences(name):
    cell = random_cell(name, 3, 5)
    x, state = torch.randn(2, 3, 3, dtype=torch.float64), random_state(cell, 2)
    layer, keys = Layer(cell, "loop"), list(state)
    names = [key for key, _ in cell.named_parameters()]

    def function(x, *rest):
        leaves, values = rest[: len(keys)], rest[len(keys) :]
        weights = {f"cell.{key}": value for key, value in zip(names, values, strict=True)}
        y, final = torch.func.functional_call(layer, weights, (x,), {"state": dict(zip(keys, leaves, strict=True))})
        return y, *final.values()

    arguments = [x, *state.values(), *cell.parameters()]
    assert torch.autograd.gradcheck(function, [a.detach().requires_grad_() for a in arguments], fast_mode=True)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("weight", ["input_weight", "recurrent_weight"])
def test_each_product_is_normalised_by_itself(name, weight):
    """The size of one weight does not matter, whatever the other is: their sum is not what is normalised."""
    cell = random_cell(name, 3, 5, epsilon=1e-14)
    x, state = torch.randn(2, 6, 3, dtype=torch.float64), random_state(cell, 2)
    y, _ = Layer(cell, "loop")(x, state=state)
    with torch.no_grad():
        getattr(cell, weight).mul_(7.0)
    scaled, _ = Layer(cell, "loop")(x, state=state)
    torch.testing.assert_close(scaled, y, rtol=1e-7, atol=1e-7)  # epsilon against the variance is what remains


@pytest.mark.parametrize("name", NAMES)
def test_gates_share_one_norm(name):
    """One gate's rows alone do change what the others see: the norm is over all gates at once."""
    cell = random_cell(name, 3, 5, epsilon=1e-14)
    x = torch.randn(2, 6, 3, dtype=torch.float64)
    p = cell.project(x)
    with torch.no_grad():
        cell.input_weight[:5].mul_(7.0)
    changed = (cell.project(x) - p).abs().amax((0, 1)) > 1e-3
    assert changed[5:10].all()
    assert changed[10:].any() == (name == "lstm_layer_norm")  # the GRU's candidate has a norm of its own


def test_memory_cell_is_carried_on_without_its_norm():
    cell = random_cell("lstm_layer_norm", 3, 5)
    x, state = torch.randn(2, 6, 3, dtype=torch.float64), random_state(cell, 2)
    _, before = cell.step(cell.project(x[:, 0]), state)
    with torch.no_grad():
        cell.cell_gain.mul_(3.0)
    _, after = cell.step(cell.project(x[:, 0]), state)
    assert torch.equal(after["c"], before["c"])
    assert not torch.allclose(after["h"], before["h"])


def test_defaults():
    cell = make_cell("lstm_layer_norm", 3, 4, forget_bias=1.5)
    assert cell.bias is not None
    assert cell.bias.tolist() == [0] * 4 + [1.5] * 4 + [0] * 8
    assert all((gain == 1).all() for gain in (cell.input_gain, cell.recurrent_gain, cell.cell_gain))
    gru = make_cell("gru_layer_norm", 3, 4)
    assert sorted(name for name, _ in gru.named_parameters()) == [
        "bias", "input_gain", "input_weight", "recurrent_bias", "recurrent_gain", "recurrent_weight",
    ]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_one_unit_is_an_error(name):
    with pytest.raises(ValueError, match=f"hidden_size of cell '{name}' is 1; expected at least 2"):
        make_cell(name, 3, 1)
