"""The loss of a share of a batch: the mean of the processes' gradients is the gradient of the whole batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from seqlab.data.base import Batch
from seqlab.data.order import Share
from seqlab.tasks import BitLabelling, SequenceClassification, StepLabelling, Task
from tests.tasks.models import make_task

RANKS = 2


def gradients(task: Task, batch: Batch) -> tuple[list[torch.Tensor], dict[str, float]]:
    task.zero_grad()
    found = task.training_step(batch, 0)
    found["loss"].backward()
    return [p.grad.clone() for p in task.parameters() if p.grad is not None], {name: float(found[name]) for name in ("data_loss", "tokens")}


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> Callable[[Task, list[Batch]], tuple[list[torch.Tensor], list[dict[str, float]]]]:
    """together(task, shares) -> the mean gradient of steps on these shares, and what each process reports."""

    def step(task: Task, shares: list[Batch]) -> tuple[list[torch.Tensor], list[dict[str, float]]]:
        sums: list[torch.Tensor] = []
        monkeypatch.setattr(torch.distributed, "all_reduce", lambda own: sums.append(own.clone()))
        task.num_ranks = len(shares)
        for share in shares:
            gradients(task, share)
        total = torch.stack(sums).sum(0)
        monkeypatch.setattr(torch.distributed, "all_reduce", lambda own: own.copy_(total))
        found = [gradients(task, share) for share in shares]
        return [torch.stack(parts).mean(0) for parts in zip(*(grads for grads, _ in found), strict=True)], [reported for _, reported in found]

    return step


def cases() -> dict[str, tuple[Task, Batch]]:
    torch.manual_seed(1)
    x, lengths = torch.randn(5, 7, 3), torch.tensor([7, 1, 5, 2, 1])
    steps, bits, classes = torch.randint(3, (5, 7)), torch.randint(2, (5, 7, 3)).double(), torch.randint(3, (5,))
    weighted = make_task(SequenceClassification, pool="mean")
    weighted.weighted = True
    weighted.register_buffer("class_weights", torch.tensor([0.1, 1.0, 5.0]))
    regular = make_task(StepLabelling)
    regular.l1, regular.l2 = 0.1, 0.2
    found = {
        "steps": (make_task(StepLabelling), Batch(x, steps, lengths)),
        "bits": (make_task(BitLabelling), Batch(x, bits, lengths)),
        "class weights": (weighted, Batch(x, classes, lengths)),
        "penalties": (regular, Batch(x, steps, lengths)),
        "an empty share": (make_task(StepLabelling), Batch(x[:1], steps[:1], lengths[:1])),
    }
    return {name: (task.double(), replace(batch, inputs=batch.inputs.double())) for name, (task, batch) in found.items()}


@pytest.mark.parametrize("name", cases())
def test_two_processes_make_the_step_of_one(name: str, together: Callable[..., tuple[list[torch.Tensor], list[dict[str, float]]]]) -> None:
    task, batch = cases()[name]
    whole, reported = gradients(task, batch)
    found, by_rank = together(task, [batch.part(Share(rank, RANKS)) for rank in range(RANKS)])
    torch.testing.assert_close(found, whole, atol=1e-13, rtol=1e-12)  # rounding in float64
    assert by_rank == [pytest.approx(reported)] * RANKS


def test_a_batch_without_any_target_moves_nothing(together: Callable[..., tuple[list[torch.Tensor], list[dict[str, float]]]]) -> None:
    task, batch = cases()["steps"]
    shares = [replace(batch.part(Share(rank, RANKS)), spare=True) for rank in range(RANKS)]
    found, reported = together(task, shares)
    assert not any(grad.any() for grad in found)
    assert reported[0] == {"data_loss": 0, "tokens": 0}


def test_what_one_process_says_yes_to_all_of_them_hear(monkeypatch: pytest.MonkeyPatch) -> None:
    task, batch = cases()["steps"]
    task.num_ranks = RANKS
    task.asked_of_all = {"stop": lambda: False, "save": lambda: False, "both": lambda: True}
    other = torch.tensor([0.0, 1.0, 1.0])  # what the other process says
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda own: own[-3:].add_(other))
    assert task.training_step(batch, 0)["agreed"] == {"stop": False, "save": True, "both": True}
