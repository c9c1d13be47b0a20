"""debug=gradcheck finds a wrong gradient, passes right ones, and trains nothing."""

from pathlib import Path

import pytest
import torch

from seqlab import cli
from seqlab.callbacks.probe import fresh_rows
from seqlab.data.base import Batch
from seqlab.gradcheck import check_gradient
from seqlab.heads import PooledHead
from seqlab.tasks import SequenceClassification, SequenceRegression, StepLabelling
from tests.tasks.models import make_task

WRONG = '''
import torch
from torch import nn
from seqlab import Cell, register_cell

@register_cell("cut")
class Cut(Cell):
    """A recurrence whose gradient is cut between the steps."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size, {"h": (hidden_size,)}, output_key="h")
        self.input_weight = nn.Parameter(torch.randn(hidden_size, input_size))
        self.recurrent_weight = nn.Parameter(torch.randn(hidden_size, hidden_size))

    def step(self, p, state):
        h = torch.tanh(p @ self.input_weight.T + state["h"].detach() @ self.recurrent_weight.T)
        return h, {"h": h}
'''


def batch_for(kind: type) -> Batch:
    torch.manual_seed(1)
    lengths = torch.tensor([5, 2, 4])
    if kind is SequenceRegression:
        return fresh_rows(Batch(torch.randn(3, 5, 3), torch.randn(3, 3), lengths), 3)
    return fresh_rows(Batch(torch.randn(3, 5, 3), torch.randint(3, (3,) if kind is SequenceClassification else (3, 5)), lengths), 3)


@pytest.mark.parametrize(
    ("kind", "pool", "cell"),
    [(SequenceClassification, "attention", "lstm"), (SequenceRegression, "max", "irnn"), (StepLabelling, None, "gru")],
)
def test_right_gradients_pass_and_the_task_stays_as_it_is(kind, pool, cell) -> None:
    task = make_task(kind, cell, pool=pool, num_layers=2, bidirectional=True, dropout=0.5).train()
    task.l1, task.l2 = 0.01, 0.02
    before = {name: value.clone() for name, value in task.state_dict().items()}
    rows = check_gradient(task, batch_for(kind))
    assert len(rows) == len(list(task.model.parameters()))
    assert {row.verdict for row in rows} == {"ok"}
    assert max(row.relative_error for row in rows) <= 1e-5
    assert all(torch.equal(value, before[name]) for name, value in task.state_dict().items())
    assert all(p.grad is None for p in task.parameters())
    assert task.training


class ScaledBackward(torch.autograd.Function):
    """The identity, whose backward pass is off by a relative `error` in one of its entries."""

    @staticmethod
    def forward(ctx, x: torch.Tensor, error: float) -> torch.Tensor:
        ctx.error = error
        return x.clone()

    @staticmethod
    def backward(ctx, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        grad = grads[0].clone()
        grad[0, 0] *= 1 + ctx.error
        return grad, None


class OffHead(PooledHead):
    """A head whose weight gets a wrong gradient in one entry."""

    def __init__(self, input_size: int, output_size: int, error: float) -> None:
        super().__init__(input_size, output_size)
        self.error = error

    def forward(self, y: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        return torch.nn.functional.linear(y.sum(1), ScaledBackward.apply(self.linear.weight, self.error), self.linear.bias)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(("error", "passed"), [(0.5, False), (1e-3, False), (1e-9, True)])
def test_one_wrong_entry_is_found(error: float, passed: bool) -> None:
    task = make_task(SequenceClassification, "rnn", pool="last")
    task.model.head = OffHead(4, 3, error)
    verdicts = {row.name: row.verdict for row in check_gradient(task, batch_for(SequenceClassification))}
    assert verdicts.pop("head.linear.weight") == ("ok" if passed else "wrong")
    assert set(verdicts.values()) == {"ok"}


def test_a_parameter_that_nothing_reads_is_right_with_gradient_zero() -> None:
    task = make_task(SequenceClassification, pool="last")
    task.model.unused = torch.nn.Parameter(torch.ones(3))
    row = next(row for row in check_gradient(task, batch_for(SequenceClassification)) if row.name == "unused")
    assert row.verdict == "ok, zero"


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", "debug=gradcheck", "data.num_pairs=10", "data.max_eval_pairs=10"]) == 0
    shown = capsys.readouterr().out
    assert "encoder.parts.0.cell.recurrent" in shown  # the rest of the name is on the next line
    assert "the gradient of 3 parameters is right; nothing was trained" in shown
    assert list(tmp_path.iterdir()) == []


def test_the_command_fails_on_a_wrong_gradient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cut.py").write_text(WRONG)
    options = ["plugins=[cut.py]", "cell=plugin", "cell.name=cut", "init=default", "data.num_pairs=10", "data.max_eval_pairs=10"]
    assert cli.main(["train", "debug=gradcheck", *options]) == 1
    streams = capsys.readouterr()
    assert "wrong" in streams.out
    assert "is not the slope of the loss" in streams.err
    assert "encoder.parts.0.cell.recurrent_weight" in streams.err
