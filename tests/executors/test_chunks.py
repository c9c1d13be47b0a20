"""Chunks of steps, the way of a GPU, held against the loop: on a CPU without recording, on a GPU as CUDA graphs."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import pytest
import torch

from seqlab import Cell, Layer, make_cell
from seqlab.cells.variational_dropout import VariationalDropout
from seqlab.cells.zoneout import Zoneout
from seqlab.executors.compiled import chunks, plan, program
from seqlab.executors.toolchain import compiler
from seqlab.registry import known_names
from tests.executors import plugins
from tests.executors.agreement import expect_agreement

pytestmark = pytest.mark.skipif(compiler() is None, reason="no C++ compiler on this machine")


@pytest.fixture(autouse=True)
def in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "IN_CHUNKS", {"cpu", "cuda"})
    monkeypatch.setattr(plan, "_plans", OrderedDict())


def test_chunks_of_all_sizes_are_the_loop() -> None:
    torch.manual_seed(0)
    cell = plugins.Odd(3, 7).double()
    for num_steps, batch_size in ((1, 1), (2, 3), (63, 1), (100, 3)):  # 100 = 3 · 32 + 4 · 1, 63 = 32 + 3 · 8 + 7 · 1
        expect_agreement(cell, "compiled", num_steps, batch_size, padded=True)


def test_what_is_recorded_is_replayed_for_any_number_of_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded: list[chunks.Body] = []
    monkeypatch.setattr(chunks, "as_it_is", lambda body, name: recorded.append(body) or body)
    layer = Layer(plugins.Odd(3, 7), "compiled")
    with torch.no_grad():
        for num_steps in (41, 82, 9, 33):
            layer(torch.randn(2, num_steps, 3))
        assert len(recorded) == len(chunks.SIZES)
        layer(torch.randn(4, 41, 3))  # another batch is recorded again, not compiled again
    assert len(recorded) == 2 * len(chunks.SIZES)
    assert len(plan._plans) == 1


def test_autocast_no_grad_and_carried_state() -> None:
    torch.manual_seed(0)
    layer = Layer(plugins.Odd(3, 7), "compiled")
    reference = Layer(layer.cell, "loop")
    x = torch.randn(3, 41, 3)
    with torch.inference_mode():
        first, state = layer(x[:, :30])
    with torch.no_grad():
        second, _ = layer(x[:, 30:], state=state)
        expected, _ = reference(x)
    torch.testing.assert_close(torch.cat([first, second], 1), expected)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        found, state = layer(x)
        expected, _ = reference(x)
    torch.testing.assert_close(found, expected, atol=3e-2, rtol=0)  # a few roundings to eight bits
    assert state["c"].dtype == torch.float32


def test_staging_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "MAX_CHUNKS", 2)
    layer = Layer(plugins.Odd(3, 7), "compiled")
    with torch.no_grad():
        for batch_size in (2, 3, 4, 2):
            x = torch.randn(batch_size, 3, 3)
            torch.testing.assert_close(layer(x)[0], Layer(layer.cell, "loop")(x)[0])
    (made,) = plan._plans.values()
    assert isinstance(made, plan.Plan)
    assert made.forward.chunks is not None
    assert len(made.forward.chunks._chunks) == 2


CELLS: list[Callable[[], Cell]] = [
    *(lambda name=name: make_cell(name, 3, 7) for name in known_names()),
    lambda: Zoneout(VariationalDropout(make_cell("lstm_peephole", 3, 5), 0.3), 0.3),
    plugins.Tied,
    plugins.Attends,
    plugins.Counts,
    plugins.RowProducts,
    plugins.Complex,
    plugins.StraightThrough,
]


@pytest.mark.slow
@pytest.mark.parametrize("make", CELLS, ids=[*known_names(), "wrapped", *(cell.__name__ for cell in CELLS[-6:])])
def test_every_cell_in_chunks(make: Callable[[], Cell]) -> None:
    torch.manual_seed(0)
    cell = make().double()
    for num_steps, batch_size, padded in ((43, 3, True), (2, 1, False)):
        expect_agreement(cell, "compiled", num_steps, batch_size, padded)
