"""The probe's gradients against closed forms, and that a probe leaves no trace."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from seqlab import Layer
from seqlab.callbacks.probe import Reading, fresh_rows, probe
from seqlab.cells.rnn import RNN
from seqlab.data.base import Batch
from seqlab.layers import Bidirectional, Stack
from seqlab.tasks import SequenceClassification, SequenceRegression, StepLabelling
from tests.tasks.models import make_task

RTOL = 1e-9  # float64, products of at most 60 factors


def linear_task(u: float, pool: str, bidirectional: bool = False) -> SequenceRegression:
    """One linear unit h_t = x_t + u h_{t−1}, read with the weight 2 and no bias; both directions alike."""
    task = make_task(SequenceRegression, "rnn", input_size=1, hidden_size=1, output_size=1, pool=pool, bidirectional=bidirectional)
    for cell in (m for m in task.modules() if isinstance(m, RNN)):
        cell.activation = "identity"
        assert cell.bias is not None
        for parameter, value in ((cell.input_weight, 1.0), (cell.recurrent_weight, u), (cell.bias, 0.0)):
            nn.init.constant_(parameter, value)
    nn.init.constant_(task.model.head.linear.weight, 2.0)
    nn.init.zeros_(task.model.head.linear.bias)
    return task


def error_signal(task: SequenceRegression, batch: Batch) -> np.ndarray:
    """2 (score − target) · 2 / B for each row: ∂L/∂(pooled vector)."""
    scores, _ = task.model(batch.inputs.float(), batch.lengths)
    return (2 * (scores[:, 0].double() - batch.targets[:, 0]) * 2 / len(scores)).abs().detach().numpy()


@pytest.mark.parametrize("u", [0.5, 1.0, 1.125])
def test_gradient_of_a_linear_unit_is_a_power_of_u(u: float) -> None:
    task, length = linear_task(u, "last"), 60
    batch = fresh_rows(Batch(torch.rand(1, length, 1), torch.full((1, 1), 3.0)), 1)
    norms = probe(task, batch).states["0.h"]
    np.testing.assert_allclose(norms / norms[-1], u ** np.arange(length - 1, -1, -1.0), rtol=RTOL)
    np.testing.assert_allclose(norms[-1], error_signal(task, batch)[0], rtol=1e-5)  # the scores are taken in float32


def test_a_vanished_gradient_is_measured_below_float32() -> None:
    norms = probe(linear_task(2**-7, "last"), fresh_rows(Batch(torch.rand(1, 60, 1), torch.ones(1, 1)), 1)).states["0.h"]
    np.testing.assert_allclose(norms[0] / norms[-1], 2.0**-413, rtol=RTOL)


def test_both_directions_are_shown_in_the_time_of_the_input() -> None:
    u, lengths = 0.5, torch.tensor([6, 4])
    task = linear_task(u, "mean", bidirectional=True)
    batch = fresh_rows(Batch(torch.rand(2, 6, 1), torch.tensor([[3.0], [-2.0]]), lengths), 2)
    signal = error_signal(task, batch)
    states = probe(task, batch).states
    for name, steps_ahead in (("0.forward.h", lambda t, n: n - t), ("0.backward.h", lambda t, n: t - 1)):
        rows = np.zeros((2, 6))
        for b, n in enumerate(lengths.tolist()):
            for t in range(1, n + 1):  # h_t reaches its own output and those of all steps that come after it in reading order
                rows[b, t - 1] = signal[b] / n * sum(u**k for k in range(steps_ahead(t, n) + 1))
        np.testing.assert_allclose(states[name], np.sqrt((rows**2).sum(0)), rtol=1e-5)


def test_a_backward_part_inside_a_backward_part_reads_forward() -> None:
    torch.manual_seed(0)
    layer = Layer(RNN(1, 1, activation="identity"))
    nested = Bidirectional(Stack([Layer(RNN(1, 1))]), Bidirectional(Layer(RNN(1, 1)), layer, merge="sum"))
    task = linear_task(1.0, "mean", bidirectional=True)
    task.model.encoder = nested
    batch = fresh_rows(Batch(torch.rand(1, 5, 1), torch.ones(1, 1)), 1)
    nn.init.constant_(layer.cell.recurrent_weight, 1.0)
    norms = probe(task, batch).states["backward.backward.h"]
    np.testing.assert_allclose(norms / norms[-1], [5, 4, 3, 2, 1], rtol=RTOL)  # u = 1 and the mean: as many terms as steps to come


def test_parameter_norms_are_those_of_autograd() -> None:
    task = make_task(StepLabelling, "lstm", num_layers=2)
    batch = Batch(torch.randn(3, 7, 3), torch.randint(3, (3, 7)), torch.tensor([7, 2, 5]))
    reading = probe(task, fresh_rows(batch, 2))
    double = copy.deepcopy(task).double()
    double.outcome(fresh_rows(batch, 2)).loss.backward()
    expected = {name: p.grad.norm().item() for name, p in double.model.named_parameters() if p.grad is not None}
    assert reading.parameters == pytest.approx(expected, rel=1e-9)  # the kernel and the loop round differently
    assert set(reading.states) == {"0.h", "0.c", "1.h", "1.c"}


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru", "lstm_peephole", "min_gru", "lru"])
def test_the_last_h_has_the_gradient_that_the_head_sends(cell: str) -> None:
    """Any cell, wherever its state stands in the graph: only the last step is pooled, so h_T gets W_y ∂L/∂scores and no more."""
    task = make_task(SequenceRegression, cell, output_size=1, pool="last")
    batch = fresh_rows(Batch(torch.randn(1, 6, 3), torch.ones(1, 1)), 1)
    reading = probe(task, batch)
    assert set(reading.states) == {f"0.{leaf}" for leaf in task.model.encoder.parts[0].cell.state_shapes}
    if task.model.encoder.parts[0].cell.output_key != "h":
        return
    scores, _ = task.model.double()(batch.inputs)
    expected = (2 * (scores - 1) * task.model.head.linear.weight).norm()
    assert reading.states["0.h"][-1] == pytest.approx(expected.item(), rel=1e-9)


def test_dead_units_and_means_leave_the_padding_out() -> None:
    task = make_task(SequenceClassification, "rnn", hidden_size=4, pool="last")
    cell = task.model.encoder.parts[0].cell
    cell.activation = "relu"
    nn.init.zeros_(cell.input_weight)
    nn.init.zeros_(cell.recurrent_weight)
    with torch.no_grad():
        cell.bias.copy_(torch.tensor([-1.0, 1.0, 2.0, 3.0]))
    batch = Batch(torch.randn(2, 5, 3), torch.zeros(2, dtype=torch.long), torch.tensor([5, 1]))
    reading = probe(task, fresh_rows(batch, 2))
    assert reading.dead == {"0": 0.25}
    assert reading.mean["0"] == pytest.approx(6 / 4)  # 0, 1, 2 and 3 at every valid step
    assert reading.spread["0"] == pytest.approx(np.std([0, 1, 2, 3]))
    assert reading.silent == ["0"]


def test_a_unit_that_fires_once_is_alive() -> None:
    task = make_task(SequenceClassification, "rnn", input_size=2, hidden_size=2, pool="last")
    cell = task.model.encoder.parts[0].cell
    cell.activation = "relu"
    for parameter, value in ((cell.input_weight, torch.eye(2)), (cell.recurrent_weight, torch.zeros(2, 2)), (cell.bias, torch.zeros(2))):
        with torch.no_grad():
            parameter.copy_(value)
    x = -torch.ones(2, 4, 2)
    x[1, 2, 0] = 1.0  # of 8 steps one
    assert probe(task, fresh_rows(Batch(x, torch.tensor([0, 1])), 2)).dead == {"0": 0.5}


def test_frozen_and_unused_parameters_do_no_harm() -> None:
    task = make_task(SequenceClassification, "lstm", pool="last")
    before = probe(task, batch := fresh_rows(Batch(torch.randn(2, 5, 3), torch.tensor([0, 2])), 2))
    for parameter in task.model.encoder.parameters():
        parameter.requires_grad_(False)
    task.model.unused = nn.Parameter(torch.zeros(2))
    reading = probe(task, batch)
    assert reading.parameters["unused"] == 0
    assert set(reading.parameters) == {"unused", "head.linear.weight", "head.linear.bias"}
    np.testing.assert_allclose(reading.states["0.c"], before.states["0.c"], rtol=RTOL)


def test_a_layer_that_is_not_called_or_that_recomputes() -> None:
    task = make_task(SequenceClassification, "lstm", pool="last")
    batch = fresh_rows(Batch(torch.randn(2, 5, 3), torch.tensor([0, 2])), 2)
    plain = probe(task, batch)
    task.model.spare = Layer(RNN(3, 2))
    task.model.encoder.parts[0].recompute = True
    reading = probe(task, batch)
    assert set(reading.states) == set(plain.states) == {"0.h", "0.c"}
    np.testing.assert_array_equal(reading.states["0.c"], plain.states["0.c"])
    assert reading.parameters["spare.cell.recurrent_weight"] == 0


def test_a_probe_leaves_no_trace() -> None:
    task = make_task(StepLabelling, "gru", num_layers=2, dropout=0.5, bidirectional=True).train()
    batch = Batch(torch.randn(3, 7, 3), torch.randint(3, (3, 7)), torch.tensor([7, 2, 5]))
    task.outcome(batch).loss.backward()
    weights = copy.deepcopy(task.state_dict())
    grads = [p.grad.clone() for p in task.parameters() if p.grad is not None]
    kinds = [type(module) for module in task.modules()]
    held = {name: id(value) for name, value in vars(task).items()}
    generator = torch.get_rng_state()
    assert isinstance(probe(task, fresh_rows(batch, 2)), Reading)
    assert torch.equal(torch.get_rng_state(), generator)
    assert all(torch.equal(weights[name], value) for name, value in task.state_dict().items())
    assert all(torch.equal(a, p.grad) for a, p in zip(grads, task.parameters(), strict=True) if p.grad is not None)
    assert [type(module) for module in task.modules()] == kinds
    assert all(module.training for module in task.model.modules())
    assert {name: id(value) for name, value in vars(task).items()} == held
    assert all(len(module._forward_hooks) == 0 for module in task.modules())
