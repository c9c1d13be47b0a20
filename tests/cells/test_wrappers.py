"""Wrapper cells nest in any order over any cell, conform, and are off in evaluation. test_wrapper_steps.py holds each to its equations."""

from functools import partial
from itertools import permutations
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from seqlab import Layer, Stack, make_cell
from seqlab.cells.output_norm import OutputNorm
from seqlab.cells.variational_dropout import VariationalDropout
from seqlab.cells.weight_drop import WeightDrop
from seqlab.cells.zoneout import Zoneout
from seqlab.registry import list_cells
from seqlab.testing import QUICK_CHECKS, parametrize_cells
from tests.cells.counter import inputs
from tests.cells.instances import random_cell

NAMES = [info.name for info in list_cells() if info.origin == "seqlab"]
CONF = Path(__file__).parents[2] / "conf" / "wrap"
DOUBLE = {"rtol": 1e-12, "atol": 1e-12}  # the same few operations in another order, in float64
WRAPPERS = {
    "zoneout": lambda cell: Zoneout(cell, rate=0.2),
    "variational_dropout": lambda cell: VariationalDropout(cell, rate=0.3, rescale=False),
    "weight_drop": lambda cell: WeightDrop(
        cell, rate=0.3, names=None if any("recurrent_weight" in n for n, _ in cell.named_parameters()) else ["input_weight"]
    ),
    "output_norm": OutputNorm,
}


Z, V, W, N = WRAPPERS
ORDERS = [(Z, V, W, N), (V, N, Z, W), (W, Z, N, V), (N, W, V, Z)]  # each wrapper directly around each other one


def nest(cell, order):
    for name in order:
        cell = WRAPPERS[name](cell)
    return cell


@parametrize_cells(
    {
        **{f"{name} around lstm": partial(lambda name: nest(make_cell("lstm", 3, 4), [name]), name) for name in WRAPPERS},
        "all around lru": lambda: nest(make_cell("lru", 3, 4), WRAPPERS),
    },
    checks=QUICK_CHECKS,
)
def test_conformance(check):
    check()


@pytest.mark.parametrize("name", NAMES)
def test_every_order_over_every_cell(name):
    x = inputs(num_steps=5)
    lengths = torch.tensor([5, 2, 4])
    padded = torch.where((torch.arange(5) < lengths[:, None])[..., None], x, torch.nan)
    for order in permutations(WRAPPERS) if name == "lstm" else ORDERS:
        wrapped = nest(random_cell(name, 3, 4), order).double()
        layer = Layer(wrapped, "loop")
        y, final = layer(padded, lengths)
        (y.square().sum() + sum(leaf.square().sum() for leaf in final.values())).backward()
        assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in wrapped.parameters()), order
        assert not torch.allclose(y, layer(padded, lengths)[0]), order

        layer.eval()
        y, final = layer(padded, lengths)
        for row, length in enumerate(lengths):
            alone, last = layer(x[row : row + 1, :length])
            torch.testing.assert_close(y[row, :length], alone[0], **DOUBLE)
            assert all(torch.allclose(final[key][row], last[key][0], rtol=1e-12) for key in last), order
        head, state = layer(x[:, :2])
        tail, _ = layer(x[:, 2:], state=state)
        torch.testing.assert_close(torch.cat([head, tail], 1), layer(x)[0], **DOUBLE)


@pytest.mark.parametrize("name", NAMES)
def test_dropout_is_off_in_evaluation(name):
    cell = random_cell(name, 3, 4)
    y, final = Layer(nest(cell, ["weight_drop", "variational_dropout"]), "loop").eval()(inputs())
    bare, last = Layer(cell, "loop")(inputs())
    torch.testing.assert_close(y, bare, **DOUBLE)
    torch.testing.assert_close(final, last, **DOUBLE)


def test_in_stacks_of_both_directions():
    torch.manual_seed(0)
    stack = Stack.of("lstm", 3, 4, num_layers=2, bidirectional=True, wrappers=list(WRAPPERS.values()), executor="loop").double()
    x, lengths = inputs(num_steps=5), [5, 2, 4]
    y, final = stack(x, lengths)
    assert y.shape == (3, 5, 8)
    assert sorted(final)[:2] == ["0.backward.c", "0.backward.h"]
    y.square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in stack.parameters())
    copy = Stack.of("lstm", 3, 4, num_layers=2, bidirectional=True, wrappers=list(WRAPPERS.values()), executor="loop").double()
    copy.load_state_dict(stack.state_dict())
    assert torch.equal(copy.eval()(x, lengths)[0], stack.eval()(x, lengths)[0])


@pytest.mark.parametrize("file", sorted(CONF.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_config_wraps_a_cell(file):
    config = OmegaConf.load(file)
    assert list(config) == [file.stem]  # the key under which several are merged: wrap=[zoneout,weight_drop]
    wrapped = instantiate(config[file.stem])(random_cell("lstm", 3, 4))
    given = {key: value for key, value in config[file.stem].items() if not str(key).startswith("_")}
    shown = {key: getattr(wrapped, key) for key, value in given.items() if value is not None and hasattr(wrapped, key)}
    assert all(given[key] == value for key, value in shown.items())
    assert Layer(wrapped.double(), "loop")(inputs())[0].shape == (3, 7, 4)
