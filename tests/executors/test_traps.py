"""What has gone wrong in engines like this one, each as a test."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections import OrderedDict
from typing import Any

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from seqlab import Bidirectional, Layer, make_cell
from seqlab.cells.weight_drop import WeightDrop
from seqlab.executors.compiled import deferral, function, plan, program, tape
from seqlab.executors.toolchain import compiler
from tests.executors import plugins
from tests.executors.agreement import expect_agreement, observe

pytestmark = pytest.mark.skipif(compiler() is None, reason="no C++ compiler on this machine")


@pytest.fixture
def layer() -> Layer:
    torch.manual_seed(0)
    return Layer(plugins.Odd(3, 7).double(), "compiled")


X = torch.linspace(-1, 1, 2 * 6 * 3, dtype=torch.float64).view(2, 6, 3)


def test_a_second_derivative_is_refused(layer: Layer) -> None:
    x = X.clone().requires_grad_()
    with pytest.raises(RuntimeError, match=r"no second derivative.*Use executor='loop'"):
        torch.autograd.grad(layer(x)[0].sum(), x, create_graph=True)


def test_a_second_backward_is_refused_unless_the_graph_is_kept(layer: Layer) -> None:
    y, _ = layer(X)
    y.sum().backward(retain_graph=True)
    first = layer.cell.recurrent_weight.grad.clone()  # type: ignore[union-attr]
    y.sum().backward()
    torch.testing.assert_close(layer.cell.recurrent_weight.grad, 2 * first)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="second time"):
        y.sum().backward()


def test_a_plain_attribute_that_changes_makes_another_plan() -> None:
    cell = plugins.Scaled().double()
    first, _ = Layer(cell, "compiled")(X)
    cell.factor = 0.25
    second, _ = Layer(cell, "compiled")(X)
    expected, _ = Layer(cell, "loop")(X)
    assert not torch.allclose(first, second)
    torch.testing.assert_close(second, expected)


def test_what_a_step_reads_beside_its_weights_and_how_they_lie_make_another_plan() -> None:
    torch.manual_seed(0)
    cell = plugins.Configured().double()
    compiled, loop = Layer(cell, "compiled"), Layer(cell, "loop")

    def agrees() -> None:
        with torch.no_grad():
            torch.testing.assert_close(compiled(X)[0], loop(X)[0])

    hook = cell.squash.register_forward_hook(lambda module, given, result: result / 2)
    agrees()
    hook.remove()
    cell.squash.register_forward_hook(lambda module, given, result: result / 4)
    agrees()
    cell.options.factor = 0.25
    agrees()
    cell.recurrent_weight.data = cell.recurrent_weight.data.T.contiguous().T  # the same matrix, column by column
    agrees()


def test_one_thread_records_at_a_time(layer: Layer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recording puts recorders into the globals of the generated code, where another thread would call them."""
    busy, met, record = threading.Lock(), [], program.record

    def slow(*arguments: Any) -> tape.Tape:
        if not busy.acquire(blocking=False):
            met.append(True)
            return record(*arguments)
        time.sleep(0.05)
        made = record(*arguments)
        busy.release()
        return made

    with torch.no_grad():
        layer(X)
    monkeypatch.setattr(program, "record", slow)

    def call(batch_size: int) -> None:
        with torch.no_grad():
            layer(torch.zeros(batch_size, 2, 3, dtype=torch.float64))

    threads = [threading.Thread(target=call, args=(batch_size,)) for batch_size in (21, 27)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not met


def test_writing_to_y_does_not_spoil_what_was_saved(layer: Layer) -> None:
    (layer(X)[0] * 1).sum().backward()
    expected = layer.cell.recurrent_weight.grad.clone()  # type: ignore[union-attr]
    layer.zero_grad()
    y, _ = layer(X)
    total = y.sum()
    with torch.no_grad():
        y.zero_()
    total.backward()
    torch.testing.assert_close(layer.cell.recurrent_weight.grad, expected)  # type: ignore[arg-type]


def test_nothing_is_kept_alive_after_the_graph_is_gone(layer: Layer, monkeypatch: pytest.MonkeyPatch) -> None:
    stacked = []
    stack = function.stack
    monkeypatch.setattr(function, "stack", lambda *arguments: stacked.append(weakref.ref(made := stack(*arguments))) or made)
    gc.disable()  # a circle of references would live until the next collection
    try:
        y, _ = layer(X.clone().requires_grad_())
        assert any(tensor() is not None for tensor in stacked)
        y.sum().backward()
        del y
        assert all(tensor() is None for tensor in stacked)
    finally:
        gc.enable()


def test_an_expanded_gradient_and_strided_inputs(layer: Layer) -> None:
    x = X.transpose(0, 1).contiguous().transpose(0, 1)
    state = {name: torch.ones(7, 2, dtype=torch.float64).T for name in ("h", "c")}
    layer(x, state=state)[0].sum().backward()
    found = layer.cell.recurrent_weight.grad.clone()  # type: ignore[union-attr]
    layer.zero_grad()
    Layer(layer.cell, "loop")(x, state=state)[0].sum().backward()
    torch.testing.assert_close(found, layer.cell.recurrent_weight.grad)  # type: ignore[arg-type]


def test_a_call_inside_a_checkpoint_traces_and_agrees() -> None:
    cell = plugins.Odd(3, 6).double()
    x = X.clone().requires_grad_()
    y = checkpoint(lambda x: Layer(cell, "compiled")(x)[0], x, use_reentrant=False)
    assert isinstance(y, torch.Tensor)
    (found,) = torch.autograd.grad(y.square().sum(), x)
    (expected,) = torch.autograd.grad(Layer(cell, "loop")(x)[0].square().sum(), x)
    torch.testing.assert_close(found, expected)


def test_nan_in_the_padding_reaches_nothing(layer: Layer) -> None:
    x = X.clone()
    x[1, 4:] = torch.nan
    y, _ = layer(x, torch.tensor([6, 4]))
    y.sum().backward()
    assert y.isfinite().all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in layer.parameters())


def test_neither_steps_nor_batch_compile_again(layer: Layer, monkeypatch: pytest.MonkeyPatch) -> None:
    layer(X)[0].sum().backward()
    monkeypatch.setattr(plan, "Plan", None)  # another plan would fail to be made
    for batch_size, num_steps in ((1, 6), (5, 6), (2, 17)):
        layer(torch.randn(batch_size, num_steps, 3, dtype=torch.float64))[0].sum().backward()


def test_weights_are_inputs_so_hooks_fire_and_raw_weights_learn() -> None:
    cell = WeightDrop(make_cell("lstm", 3, 5), 0.3).double()
    seen = []
    for name, parameter in cell.named_parameters():
        parameter.register_post_accumulate_grad_hook(lambda _, name=name: seen.append(name))
    Layer(cell, "compiled")(X)[0].sum().backward()
    assert sorted(seen) == sorted(name for name, _ in cell.named_parameters())


def test_bfloat16_autocast_agrees_and_the_carry_keeps_its_type() -> None:
    torch.manual_seed(0)
    cell = plugins.Odd(3, 7)
    with torch.autocast("cpu", torch.bfloat16):
        found, state = Layer(cell, "compiled")(X.float())
        expected, _ = Layer(cell, "loop")(X.float())
    torch.testing.assert_close(found, expected, atol=3e-2, rtol=0)  # a few roundings to eight bits
    assert state["c"].dtype == torch.float32


def test_without_gradients_nothing_is_stacked(layer: Layer, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds: list[str] = []
    run = program.Program.run

    def spy(self: program.Program, slots: dict, outputs: dict, steps: int, batch: int, reverse: bool) -> None:
        kinds.extend(slot.kind for place, slot in outputs.items() if place != ("y", 0))
        run(self, slots, outputs, steps, batch, reverse)

    monkeypatch.setattr(program.Program, "run", spy)
    with torch.no_grad():
        found, _ = layer(X)
        expected, _ = Layer(layer.cell, "loop")(X)
    torch.testing.assert_close(found, expected)
    assert set(kinds) == {"swing"}
    with torch.inference_mode():
        torch.testing.assert_close(layer(X)[0], expected)


def test_the_gradient_of_a_recurrent_weight_leaves_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    defer = deferral.defer_weight_gradients
    monkeypatch.setattr(plan, "defer_weight_gradients", lambda joint: made.append(defer(joint)) or made[-1])
    cell = plugins.Odd(3, 9).double()
    Layer(cell, "compiled")(X)
    (epilogue,) = made
    assert [place[0] for place in epilogue.inputs].count("dp") == 1  # read from what is stacked anyway
    assert not epilogue.extra_forward
    assert not epilogue.extra_backward
    assert len(epilogue.weights) == 2  # recurrent_weight and peephole


def test_an_epilogue_in_parts_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    cell = plugins.RowProducts().double()
    whole = observe(cell, "compiled", X)
    monkeypatch.setattr(plan, "EPILOGUE_BYTES", 1000)
    parts = observe(cell, "compiled", X)
    torch.testing.assert_close(parts["d recurrent_weight"], whole["d recurrent_weight"])


def test_what_is_only_summed_is_summed_in_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    defer = deferral.defer_weight_gradients
    monkeypatch.setattr(plan, "defer_weight_gradients", lambda joint: made.append(defer(joint)) or made[-1])
    monkeypatch.setattr(plan, "_plans", OrderedDict())
    monkeypatch.setattr(plan, "EPILOGUE_BYTES", 1000)
    monkeypatch.setattr(plan, "_bytes_of_a_row", lambda node: 1000)  # a step at a time, of which only one may take the sums
    torch.manual_seed(0)
    expect_agreement(make_cell("lstm_layer_norm", 3, 7).double(), "compiled", 9, 3)
    (epilogue,) = made
    assert len(epilogue.sums) == 3  # recurrent gain, cell gain and cell shift
    assert len(epilogue.extra_backward) == 1  # what the recurrent weight's product reads


@pytest.mark.parametrize("name", ["lstm", "lstm_layer_norm"])
def test_the_backward_writes_over_what_it_alone_reads_unless_the_graph_is_kept(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stacked = []
    stack = function.stack
    monkeypatch.setattr(function, "stack", lambda steps, *rest: stacked.append(steps) or stack(steps, *rest))
    torch.manual_seed(0)
    layer = Layer(make_cell(name, 3, 7).double(), "compiled")
    y, _ = layer(X)
    stacked.clear()
    first, second = (torch.autograd.grad(y.square().sum(), list(layer.parameters()), retain_graph=keep) for keep in (True, False))
    outputs = 1 if name == "lstm" else 2  # dp; and what the recurrent weight's product reads
    assert stacked.count(X.shape[1]) == outputs  # of the first backward alone
    expected = torch.autograd.grad(Layer(layer.cell, "loop")(X)[0].square().sum(), list(layer.parameters()))
    for value, again, reference in zip(first, second, expected, strict=True):
        torch.testing.assert_close(value, reference)
        torch.testing.assert_close(again, reference)


def test_a_step_of_an_lstm_is_one_kernel_and_one_product() -> None:
    layer = Layer(make_cell("lstm", 3, 8), "compiled")
    layer(X.float())[0].sum().backward()
    *_, made = plan._plans.values()
    assert isinstance(made, plan.Plan)
    assert made.backward is not None
    found = []
    for part in (made.forward, made.backward):
        (recorded, *_) = part.tapes.values()
        words, at, operations = recorded.program, 0, []
        while at < len(words):
            operations.append(words[at])
            at += words[at + 1]
        found.append(operations)
    ahead, back = found
    assert sorted(ahead) == [tape.KERNEL, tape.PACKED]
    assert sorted(back) == [tape.KERNEL, tape.PACKED, tape.COPY]  # the gradient of p, written over the gates


def test_two_directions_with_lengths(layer: Layer) -> None:
    lengths = torch.tensor([6, 2])
    found, _ = Bidirectional(layer, layer)(X, lengths)
    reference = Layer(layer.cell, "loop")
    expected, _ = Bidirectional(reference, reference)(X, lengths)
    torch.testing.assert_close(found, expected)


def test_a_step_that_cannot_be_recorded_runs_in_python(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "seqlab")
    torch.manual_seed(0)
    cell = plugins.Complex(3, 4).double()
    Layer(cell, "compiled")(X)
    assert "the forward step of Complex runs in a Python loop: it calls" in caplog.text
