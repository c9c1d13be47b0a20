"""Initialisation by roles: what each scheme promises, held exactly, for every built-in cell."""

import math
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from seqlab import Stack, make_cell
from seqlab.cells.init import Initialise, role
from seqlab.cells.output_norm import OutputNorm
from seqlab.cells.zoneout import Zoneout
from seqlab.registry import list_cells
from tests.cells.instances import random_cell

NAMES = [info.name for info in list_cells() if info.origin == "seqlab"]
CONF = Path(__file__).parents[2] / "conf" / "init"
WITH_RECURRENT_WEIGHT = [name for name in NAMES if name not in ("min_gru", "min_lstm", "lru")]
KEEPING = {  # which rows of bias keep the old state, in units of the gate's width, and the sign: read off the papers' equations
    "lstm": (1, +1),
    "lstm_peephole": (1, +1),
    "lstm_coupled": (0, +1),
    "lstm_layer_norm": (1, +1),
    "gru": (1, -1),
    "gru_layer_norm": (1, -1),
    "gru_reset_after": (1, +1),
    "min_gru": (0, -1),
    "min_lstm": (0, +1),
}
INPUT_GATE = {"lstm": 0, "lstm_peephole": 0, "lstm_layer_norm": 0, "min_lstm": 1}


def blocks(cell, name):
    return dict(cell.named_parameters())[name].detach().chunk(len(cell.gates))


@pytest.mark.parametrize("name", NAMES)
def test_roles_name_the_parameters_they_should(name):
    cell = make_cell(name, 3, 6)
    roles = {key: role(key) for key, _ in cell.named_parameters()}
    assert roles["input_weight"] == "input"
    assert roles.get("recurrent_weight") == ("recurrent" if name in WITH_RECURRENT_WEIGHT else None)
    assert all((value == "bias") == (key in ("bias", "recurrent_bias", "output_bias")) for key, value in roles.items())
    assert role("cell.cell.recurrent_weight_2") == "recurrent"
    assert role("cell.input_gain") is None


@pytest.mark.parametrize("name", WITH_RECURRENT_WEIGHT)
def test_orthogonal_blocks_are_orthogonal(name):
    cell = random_cell(name, 3, 6)
    Initialise(recurrent="orthogonal", recurrent_scale=1.5)(cell)
    for block in blocks(cell, "recurrent_weight"):
        torch.testing.assert_close(block @ block.T, 1.5**2 * torch.eye(6, dtype=block.dtype), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", WITH_RECURRENT_WEIGHT)
def test_identity_blocks_are_the_identity(name):
    cell = random_cell(name, 3, 6)
    Initialise(recurrent="identity", recurrent_scale=0.5)(cell)
    assert all(torch.equal(block, 0.5 * torch.eye(6, dtype=block.dtype)) for block in blocks(cell, "recurrent_weight"))


@pytest.mark.parametrize("name", NAMES)
def test_glorot_fills_its_bounds_for_each_gate(name):
    cell = random_cell(name, 40, 60)
    Initialise(input="glorot")(cell)
    bound = math.sqrt(6 / (60 + 40))
    for block in blocks(cell, "input_weight"):
        assert block.shape == (60, 40)
        assert block.abs().max() <= bound
        assert block.abs().max() > 0.99 * bound  # of 2,400 uniform draws: missed with probability 0.99^2400 = 3e-11
        assert abs(block.mean()) < 0.1 * bound  # eight standard deviations of the mean, bound / √(3 · 2400)


@pytest.mark.parametrize("name", WITH_RECURRENT_WEIGHT)
def test_uniform_is_the_classic_start(name):
    cell = random_cell(name, 20, 30)
    instantiate(OmegaConf.load(CONF / "classic.yaml").init)(cell)
    for key in ("input_weight", "recurrent_weight"):
        weight = dict(cell.named_parameters())[key]
        assert 0.97 < weight.abs().max() <= 1.0  # of at least 600 draws: missed with probability 0.97^600 = 1e-8
        assert weight.min() < 0 < weight.max()


def test_every_weight_of_a_cell_with_names_of_its_own_is_reached():
    lru = make_cell("lru", 20, 30)  # output_weight has no role
    before = lru.nu.clone()
    Initialise(every="uniform", every_scale=0.5)(lru)
    for weight in (lru.input_weight, lru.output_weight, lru.skip_weight):
        assert 0.48 < weight.abs().max() <= 0.5  # of at least 600 draws: missed with probability 0.96^600 = 2e-11
    assert torch.equal(lru.nu, before)


def test_a_weight_that_is_not_one_block_for_each_gate_is_one_block():
    cell = random_cell("lstm_peephole", 3, 6)  # four gates, and peepholes of three of them
    Initialise(every="orthogonal")(cell)
    torch.testing.assert_close(cell.peephole @ cell.peephole.T, torch.eye(3, dtype=torch.float64), rtol=0, atol=1e-6)


def test_normal_has_the_scale_as_its_deviation():
    cell = random_cell("lstm", 50, 50)
    Initialise(input="normal", input_scale=0.001, bias="uniform", bias_scale=0.1)(cell)
    assert 0.00095 < cell.input_weight.std() < 0.00105  # 10,000 draws: seven standard deviations of the estimate
    assert 0.09 < cell.bias.abs().max() <= 0.1


@pytest.mark.parametrize("name", KEEPING)
def test_chrono_spreads_the_time_in_which_a_gate_forgets(name):
    cell = random_cell(name, 3, 200)
    before = cell.bias.detach().clone()
    Initialise(chrono=50)(cell)
    block, sign = KEEPING[name]
    rows = cell.bias.detach().chunk(len(cell.gates))
    time = (sign * rows[block]).exp()
    assert 1 <= time.min() < 3  # U(1, 49), 200 draws: missed with probability (1 − 2/48)^200 = 2e-4, and the seed is fixed
    assert 47 < time.max() <= 49
    assert 20 < time.mean() < 30  # 25 ± five standard deviations of the mean: uniform in the time, not in its logarithm
    if name in INPUT_GATE:
        assert torch.equal(rows[INPUT_GATE[name]], -rows[block])
    untouched = [i for i in range(len(rows)) if i not in (block, INPUT_GATE.get(name))]
    assert all(torch.equal(rows[i], before.chunk(len(rows))[i]) for i in untouched)


@pytest.mark.parametrize("name", KEEPING)
def test_forget_bias_opens_the_gate_that_keeps(name):
    """A large forget_bias and zero weights: the state stays what it was, whatever the convention of the cell."""
    cell = make_cell(name, 3, 4).double()
    Initialise(input="zeros", recurrent="zeros" if name in WITH_RECURRENT_WEIGHT else None, bias="zeros", forget_bias=25.0)(cell)
    state = {key: torch.randn(2, *shape, dtype=torch.float64) for key, shape in cell.state_shapes.items()}
    _, new = cell.step(cell.project(torch.randn(2, 3, dtype=torch.float64)), state)
    kept = "c" if "c" in state else "h"
    expected = state[kept]
    if name == "min_lstm":  # f / (f + i) with i = ½: a third of the candidate, g(0) = ½, comes in
        expected = (2 * expected + 0.5) / 3
    torch.testing.assert_close(new[kept], expected, rtol=0, atol=1e-9)  # σ(−25) = 1.4e-11


def test_null_leaves_what_the_cell_says():
    torch.manual_seed(1)
    plain = make_cell("lstm", 3, 4)
    torch.manual_seed(1)
    cell = Initialise(bias="zeros")(make_cell("lstm", 3, 4))
    assert torch.equal(cell.input_weight, plain.input_weight)
    assert torch.equal(cell.recurrent_weight, plain.recurrent_weight)
    assert not cell.bias.any()
    assert plain.bias.any()


def test_bias_scheme_reaches_every_bias():
    cell = random_cell("gru_reset_after", 3, 4)
    Initialise(bias="zeros")(cell)
    assert not cell.bias.any()
    assert not cell.recurrent_bias.any()


def test_a_cell_in_wrappers_starts_as_it_would_without():
    """Its gates are hidden in there: taken for one block, the four of an LSTM would not be orthogonal."""
    options = {"input": "glorot", "recurrent": "orthogonal", "bias": "uniform", "chrono": 20.0}
    torch.manual_seed(1)
    bare = Initialise(**options)(make_cell("lstm", 3, 6))
    wrapped = OutputNorm(Zoneout(make_cell("lstm", 3, 6)))
    torch.manual_seed(1)
    make_cell("lstm", 3, 6)
    assert Initialise(**options)(wrapped) is wrapped
    torch.testing.assert_close(dict(wrapped.cell.cell.named_parameters()), dict(bare.named_parameters()), rtol=0, atol=0)


def test_stack_applies_it_to_every_cell_before_it_is_wrapped():
    stack = Stack.of("rnn", 4, 4, num_layers=2, bidirectional=True, initialise=Initialise(recurrent="identity"), wrappers=[OutputNorm])
    found = [weight for name, weight in stack.named_parameters() if role(name) == "recurrent"]
    assert len(found) == 4
    assert all(torch.equal(weight, torch.eye(4)) for weight in found)


@pytest.mark.parametrize("file", sorted(CONF.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_config_starts_an_lstm(file):
    config = OmegaConf.load(file)
    assert list(config) == ["init"]
    if file.stem == "default":
        assert config.init is None
        return
    before = make_cell("lstm", 3, 5)
    with torch.no_grad():
        for parameter in before.parameters():
            parameter.fill_(9.0)
    assert instantiate(config.init)(before) is before
    assert any((parameter != 9.0).any() for parameter in before.parameters())


@pytest.mark.parametrize(
    ("cell", "options", "asked", "message"),
    [
        ("min_gru", {}, {"recurrent": "orthogonal"}, "recurrent 'orthogonal' fits no parameter of MinGRU; it has input_weight, bias"),
        ("lstm", {"bias": False}, {"bias": "zeros"}, "bias 'zeros' fits no parameter of LSTM; it has input_weight, recurrent_weight"),
        ("lstm", {"bias": False}, {"chrono": 9}, "chrono fits no parameter of LSTM; it has input_weight, recurrent_weight"),
        ("lstm_1997", {}, {"chrono": 9}, "chrono finds no gate in LSTM1997 that keeps the old state; its gates are input, cell, output"),
        ("rnn", {}, {"forget_bias": 1.0}, "forget_bias finds no gate in RNN that keeps the old state; its gates are hidden"),
        ("rnn", {}, {"input": "identity"}, r"a block of shape \(4, 3\) cannot be the identity; expected as many rows as columns"),
    ],
)
def test_what_the_cell_does_not_have_is_an_error(cell, options, asked, message):
    with pytest.raises(ValueError, match=message):
        Initialise(**asked)(make_cell(cell, 3, 4, **options))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"input": "glorrot"}, "no input initialisation is named 'glorrot'. Did you mean 'glorot'"),
        ({"bias": "orthogonal"}, "no bias initialisation is named 'orthogonal'. .*Known: zeros, uniform, normal"),
        ({"recurrent_scale": 2.0}, "recurrent_scale is 2.0 but recurrent is None; expected a scheme"),
        ({"forget_bias": 1.0, "chrono": 9}, "forget_bias is 1.0 and chrono 9; expected one of them"),
        ({"chrono": 1}, "chrono is 1; expected the longest time to be remembered, at least 2 steps"),
    ],
)
def test_values_that_do_not_go_together_are_errors(asked, message):
    with pytest.raises(ValueError, match=message):
        Initialise(**asked)
