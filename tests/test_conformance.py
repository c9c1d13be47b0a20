"""Every registered cell, its other equations, and every wrapper are under the conformance suite.

A new cell is found by its registration. A new wrapper, and an option that changes the equations, need a line here.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from functools import partial

import pytest

import seqlab.cells
from seqlab import Cell, make_cell
from seqlab.cells.base import WrapperCell
from seqlab.cells.output_norm import OutputNorm
from seqlab.cells.variational_dropout import VariationalDropout
from seqlab.cells.weight_drop import WeightDrop
from seqlab.cells.zoneout import Zoneout
from seqlab.registry import list_cells, resolve_cell
from seqlab.testing import CHECKS, QUICK_CHECKS, parametrize_cells

BUILT_IN = [info.name for info in list_cells() if info.location.startswith("seqlab.cells.")]  # other tests may register cells of their own
OPTIONS = {  # id: registered name and the options that choose other equations or other parameters
    "rnn-relu": ("rnn", {"activation": "relu"}),
    "rnn-sigmoid": ("rnn", {"activation": "sigmoid", "bias": False}),
    "rnn_concat-output_size": ("rnn_concat", {"output_size": 2, "bias": False}),
    "lstm-no_bias": ("lstm", {"bias": False}),
    "lstm_peephole-blocks": ("lstm_peephole", {"cells_per_block": 2}),
    "gru_reset_after-no_bias": ("gru_reset_after", {"bias": False}),
    "lru-state_size": ("lru", {"state_size": 5}),
}
WRAPPERS: dict[type[WrapperCell], Callable[[Cell], Cell]] = {  # at rates that leave noise in every example
    Zoneout: partial(Zoneout, rate=0.3),
    VariationalDropout: partial(VariationalDropout, rate=0.3),
    WeightDrop: partial(WeightDrop, rate=0.3),
    OutputNorm: OutputNorm,
}


def wrapped(name: str, *wrappers: Callable[[Cell], Cell]) -> Cell:
    """The registered cell in wrappers, the first innermost."""
    cell = make_cell(name, 3, 4)
    for wrap in wrappers:
        cell = wrap(cell)
    return cell


CELLS: dict[str, Callable[[], Cell]] = {name: partial(make_cell, name, 3, 4) for name in BUILT_IN}
CELLS |= {case: partial(make_cell, name, 3, 4, **options) for case, (name, options) in OPTIONS.items()}
CELLS |= {"lru-square": partial(make_cell, "lru", 3, 3)}  # D is a vector there
CELLS |= {f"{cls.__name__}-{name}": partial(wrapped, name, wrap) for cls, wrap in WRAPPERS.items() for name in ("lstm", "gru")}
CELLS |= {"nested-lstm": partial(wrapped, "lstm", *(WRAPPERS[cls] for cls in (WeightDrop, VariationalDropout, Zoneout, OutputNorm)))}


@parametrize_cells(CELLS, checks=QUICK_CHECKS)
def test_conformance(check: Callable[[], str]) -> None:
    check()


@pytest.mark.slow
@parametrize_cells(CELLS, checks=[check for check in CHECKS if check not in QUICK_CHECKS])
def test_conformance_of_compiled(check: Callable[[], str]) -> None:
    check()


def test_every_cell_class_is_under_the_suite() -> None:
    """A class of seqlab.cells that can be built is registered or among WRAPPERS; one that is neither goes untested."""
    for module in pkgutil.iter_modules(seqlab.cells.__path__, "seqlab.cells."):
        importlib.import_module(module.name)
    found, open_classes = set(), [Cell]
    while open_classes:
        for cls in open_classes.pop().__subclasses__():
            open_classes.append(cls)
            if cls.__module__.startswith("seqlab.cells.") and not inspect.isabstract(cls) and cls is not WrapperCell:
                found.add(cls)
    missing = found - {resolve_cell(name) for name in BUILT_IN} - set(WRAPPERS)
    assert not missing, f"not under the conformance suite: {missing}. Register the cell, or give the wrapper a line in WRAPPERS."
