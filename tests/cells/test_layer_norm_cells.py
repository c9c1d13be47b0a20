"""The layer-normalised LSTM and GRU: equations, where each norm sits, and what follows from it."""

import pytest
import torch

from seqlab import Layer, make_cell
from tests.oracles import ORACLES

NAMES = ("lstm_layer_norm", "gru_layer_norm")
DOUBLE = {"rtol": 1e-10, "atol": 1e-12}  # the same sums in another order, in float64


def scrambled(name, **options):
    """A cell in float64 whose every parameter, gains and shifts too, differs from its start."""
    cell = make_cell(name, 3, 5, **options).double()
    for parameter in cell.parameters():
        torch.nn.init.normal_(parameter)
    return cell


def sequence(cell, num_steps=6, batch=2):
    x = torch.randn(batch, num_steps, 3, dtype=torch.float64)
    return x, {name: torch.randn(batch, *shape, dtype=torch.float64) for name, shape in cell.state_shapes.items()}


@pytest.mark.parametrize("options", [{}, {"bias": False}, {"epsilon": 0.3}], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_equals_the_oracle(name, options):
    torch.manual_seed(0)
    cell = scrambled(name, **options)
    x, state = sequence(cell)
    y, final = Layer(cell)(x, state=state)
    weights = {key: value.detach().numpy() for key, value in cell.named_parameters()}
    epsilon = {key: value for key, value in options.items() if key == "epsilon"}
    for row in range(2):
        expected, last = ORACLES[name](weights, x[row].numpy(), {key: leaf[row].numpy() for key, leaf in state.items()}, **epsilon)
        torch.testing.assert_close(y[row], torch.from_numpy(expected), **DOUBLE)
        for key, leaf in last.items():
            torch.testing.assert_close(final[key][row], torch.from_numpy(leaf), **DOUBLE)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_equal_finite_differences(name):
    torch.manual_seed(0)
    cell = scrambled(name)
    x, state = sequence(cell, num_steps=3)
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
    torch.manual_seed(0)
    cell = scrambled(name, epsilon=1e-14)
    x, state = sequence(cell)
    y, _ = Layer(cell)(x, state=state)
    with torch.no_grad():
        getattr(cell, weight).mul_(7.0)
    scaled, _ = Layer(cell)(x, state=state)
    torch.testing.assert_close(scaled, y, rtol=1e-7, atol=1e-7)  # epsilon against the variance is what remains


@pytest.mark.parametrize("name", NAMES)
def test_gates_share_one_norm(name):
    """One gate's rows alone do change what the others see: the norm is over all gates at once."""
    torch.manual_seed(0)
    cell = scrambled(name, epsilon=1e-14)
    x, _ = sequence(cell)
    p = cell.project(x)
    with torch.no_grad():
        cell.input_weight[:5].mul_(7.0)
    changed = (cell.project(x) - p).abs().amax((0, 1)) > 1e-3
    assert changed[5:10].all()
    assert changed[10:].any() == (name == "lstm_layer_norm")  # the GRU's candidate has a norm of its own


def test_memory_cell_is_carried_on_without_its_norm():
    torch.manual_seed(0)
    cell = scrambled("lstm_layer_norm")
    x, state = sequence(cell)
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
