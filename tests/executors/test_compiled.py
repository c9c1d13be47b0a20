"""The compiled executor against the loop, on cells that it knows and cells that it has never seen."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from seqlab import Cell, make_cell
from seqlab.cells.variational_dropout import VariationalDropout
from seqlab.cells.weight_drop import WeightDrop
from seqlab.cells.zoneout import Zoneout
from seqlab.executors.toolchain import compiler
from seqlab.registry import known_names
from tests.executors import plugins
from tests.executors.agreement import expect_agreement

pytestmark = pytest.mark.skipif(compiler() is None, reason="no C++ compiler on this machine")

PLUGINS: list[Callable[[], Cell]] = [plugins.Tied, plugins.Attends, plugins.Counts, plugins.RowProducts, plugins.Complex, plugins.StraightThrough]
WRAPPED: list[Callable[[], Cell]] = [
    lambda: Zoneout(make_cell("lstm", 3, 5), 0.3),
    lambda: WeightDrop(make_cell("gru", 3, 5), 0.3),
    lambda: Zoneout(VariationalDropout(make_cell("lstm_peephole", 3, 5), 0.3), 0.3),
    lambda: Zoneout(make_cell("lstm", 3, 5), 0.3).eval(),
]


@pytest.mark.parametrize("padded", [False, True])
def test_a_cell_never_seen_at_its_real_size(padded: bool) -> None:
    torch.manual_seed(0)
    expect_agreement(plugins.Odd(64, 64), "compiled", 512, 16, padded)


@pytest.mark.parametrize(("num_steps", "batch_size"), [(1, 1), (2, 3), (63, 1), (100, 3)])
@pytest.mark.parametrize("padded", [False, True])
def test_awkward_sizes_share_one_plan(num_steps: int, batch_size: int, padded: bool) -> None:
    torch.manual_seed(0)
    expect_agreement(plugins.Odd(3, 7).double(), "compiled", num_steps, batch_size, padded)


@pytest.mark.parametrize("make", PLUGINS, ids=lambda make: make.__name__)
def test_plugins_with_something_odd(make: Callable[[], Cell]) -> None:
    torch.manual_seed(0)
    expect_agreement(make().double(), "compiled", 9, 4, padded=True)


@pytest.mark.parametrize("make", WRAPPED[2:3], ids=["wrappers nest"])
def test_wrappers(make: Callable[[], Cell]) -> None:
    torch.manual_seed(0)
    expect_agreement(make().double(), "compiled", 9, 4)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("name", [*known_names(), *(f"wrapped {i}" for i in range(len(WRAPPED)))])
def test_every_cell_at_every_awkward_size(name: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    cell = (WRAPPED[int(name.split()[1])]() if name.startswith("wrapped") else make_cell(name, 3, 7)).to(dtype)
    for num_steps in (1, 2, 63, 100):
        for batch_size in (1, 3):
            for padded in (False, True):
                expect_agreement(cell, "compiled", num_steps, batch_size, padded)
