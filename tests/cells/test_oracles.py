"""Every built-in cell against its NumPy oracle, forward. Swapped gates are seen here and nowhere else."""

import numpy as np
import pytest
import torch

from seqlab import Layer
from seqlab.registry import list_cells
from tests.cells.instances import OPTIONS, arrays, random_cell, random_state, row, weights_of
from tests.oracles import ORACLES

BUILTIN = [info.name for info in list_cells() if info.origin == "seqlab"]
CHANGES_EQUATIONS = {"activation", "cells_per_block", "epsilon", "gate_activation", "input_activation", "output_activation"}
SIZES = [(1, 2, 7), (3, 9, 7), (9, 6, 7), (9, 9, 7), (4, 15, 1)]  # input_size, hidden_size, T


def test_every_builtin_cell_has_an_oracle():
    missing = sorted(set(BUILTIN) - set(ORACLES))
    assert not missing, f"no oracle in tests/oracles for {missing}; write one from the equations of its source and name it in ORACLES."
    assert not set(ORACLES) - set(BUILTIN), "an oracle for a cell that is not registered"


def check_forward(name, sizes, options):
    input_size, hidden_size, num_steps = sizes
    cell = random_cell(name, input_size, hidden_size, **options)
    x = torch.randn(2, num_steps, input_size, dtype=torch.float64)
    state = random_state(cell, 2)
    y, last = Layer(cell, executor="loop")(x, state=state)
    told = {option: value for option, value in options.items() if option in CHANGES_EQUATIONS}
    for b in range(2):
        expected_y, expected_last = ORACLES[name](weights_of(cell), x[b].numpy(), row(arrays(state), b), **told)
        # float64 rounding of sums of at most 15 terms over 7 steps, none of which grows: 1e-12 leaves two digits
        np.testing.assert_allclose(y[b].detach().numpy(), expected_y, rtol=1e-12, atol=1e-12)
        assert set(last) == set(expected_last)
        for leaf, value in expected_last.items():
            np.testing.assert_allclose(last[leaf][b].detach().numpy(), value, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("sizes", SIZES, ids=lambda s: f"I{s[0]}-H{s[1]}-T{s[2]}")
@pytest.mark.parametrize("name", BUILTIN)
def test_forward(name, sizes):
    check_forward(name, sizes, {})


@pytest.mark.parametrize(("name", "options"), [(name, o) for name, sets in OPTIONS.items() for o in sets], ids=str)
def test_forward_with_options(name, options):
    check_forward(name, (4, 9, 7), options)
