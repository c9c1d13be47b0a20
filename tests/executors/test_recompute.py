"""Segments of time that are computed again for their gradients."""

from __future__ import annotations

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from seqlab import Cell, Layer, Stack, make_cell
from seqlab.bench.memory import peak_bytes
from seqlab.cells.variational_dropout import VariationalDropout
from seqlab.cells.weight_drop import WeightDrop
from seqlab.cells.zoneout import Zoneout
from seqlab.executors.toolchain import compiler
from tests.executors.agreement import expect_agreement, observe


def noisy() -> Cell:
    return Zoneout(VariationalDropout(WeightDrop(make_cell("lstm_peephole", 3, 4), 0.3), 0.3), 0.3).double()


@pytest.mark.parametrize("executor", ["loop", "scan", pytest.param("compiled", marks=pytest.mark.skipif(compiler() is None, reason="no C++ compiler"))])
def test_segments_are_the_whole(executor: str) -> None:
    torch.manual_seed(0)
    cell = make_cell("min_gru", 3, 5).double()
    for padded in (False, True):
        expect_agreement(cell, executor, 50, 3, padded, recompute=True)


def test_one_noise_for_all_segments_and_the_same_noise_again() -> None:
    cell, x = noisy(), torch.randn(2, 30, 3, dtype=torch.float64)
    whole, again = observe(cell, "loop", x, recompute=True), observe(cell, "loop", x, recompute=True)
    for name, value in whole.items():
        torch.testing.assert_close(value, again[name], atol=0, rtol=0)
    masks = []
    inner = cell.draw_masks
    cell.draw_masks = lambda batch_size: masks.append(inner(batch_size)) or masks[-1]  # type: ignore[method-assign]
    Layer(cell, "loop", recompute=True)(x)[0].sum().backward()
    assert len(masks) == 1


def kept_bytes(layer: Layer, num_steps: int) -> int:
    kept: dict[int, int] = {}
    with saved_tensors_hooks(lambda t: kept.update({t.untyped_storage().data_ptr(): t.untyped_storage().nbytes()}) or t, lambda t: t):
        y, _ = layer(torch.randn(2, num_steps, 8))
    del y
    return sum(kept.values())


def test_what_is_kept_is_a_small_part() -> None:
    cell = make_cell("lstm_peephole", 8, 16)
    plain, recomputed = kept_bytes(Layer(cell, "loop"), 100), kept_bytes(Layer(cell, "loop", recompute=True), 100)
    # x and y are kept either way; of the rest only the state between ten segments
    assert recomputed < plain / 4


@pytest.mark.slow
@pytest.mark.skipif(compiler() is None, reason="no C++ compiler")
def test_twenty_thousand_steps_in_a_small_part_of_the_memory() -> None:
    size = "20000,4,16,64"
    plain, recomputed = peak_bytes("lstm:compiled", size, "training", "cpu"), peak_bytes("lstm:compiled:recompute", size, "training", "cpu")
    if plain is None or recomputed is None:
        pytest.skip("this system keeps no high-water mark")
    # y is made in parts and joined, so twice T · B · H is the least; a plain run keeps about twelve times that
    assert recomputed < plain / 4
    torch.manual_seed(0)
    cell, x = make_cell("lstm", 4, 6).double(), torch.randn(2, 20_000, 4, dtype=torch.float64)
    whole, parts = observe(cell, "compiled", x), observe(cell, "compiled", x, recompute=True)
    for name, value in whole.items():
        assert value is not None
        # equal steps; only the sums over time of weight gradients are taken in another order, of 40,000 terms
        torch.testing.assert_close(parts[name], value, atol=1e-11 * max(1.0, value.abs().max().item()), rtol=0)


def test_stack_passes_it_on() -> None:
    stack = Stack.of("rnn", input_size=3, hidden_size=4, num_layers=2, recompute=True)
    assert all(layer.recompute for layer in stack.modules() if isinstance(layer, Layer))
