"""Penalties, clipping, accumulation and what happens when a loss is no number, against computations by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback

from seqlab.build import build_data, build_task
from seqlab.data.base import Batch
from seqlab.tasks import Task
from tests.train.conftest import Run, small_config

BIASED = ["cell=lstm", "cell.hidden_size=3", "head.bias=true", "optimizer=sgd", "optimizer.lr=0.5", "trainer.precision=64-true"]


def built(*overrides: str) -> tuple[Task, Batch]:
    """The task of a config in float64 and its first batch."""
    config = small_config(*overrides)
    torch.manual_seed(0)
    data = build_data(config)
    task = build_task(config, data.spec).double()
    batch = next(iter(data.train_dataloader()))
    return task, Batch(batch.inputs.double(), batch.targets.double())


def test_penalties_are_those_of_the_formula_and_leave_biases_out() -> None:
    task, batch = built(*BIASED, "task.l1=0.01", "task.l2=0.3")
    plain, _ = built(*BIASED)
    plain.load_state_dict(task.state_dict())
    with_penalty, without = task.training_step(batch, 0), plain.training_step(batch, 0)
    weights = [p for name, p in task.model.named_parameters() if not name.endswith("bias")]
    biases = [p for name, p in task.model.named_parameters() if name.endswith("bias")]
    assert weights
    assert biases
    expected = sum(0.01 * w.abs().sum() + 0.15 * (w * w).sum() for w in weights)
    torch.testing.assert_close(with_penalty["loss"] - without["loss"], expected, rtol=1e-12, atol=1e-12)
    assert with_penalty["data_loss"] == without["loss"]  # what is reported and compared with validation
    with_penalty["loss"].backward()
    without["loss"].backward()
    for (name, p), q in zip(task.model.named_parameters(), plain.model.parameters(), strict=True):
        assert p.grad is not None
        assert q.grad is not None
        slope = torch.zeros_like(p) if name.endswith("bias") else 0.01 * p.detach().sign() + 0.3 * p.detach()
        torch.testing.assert_close(p.grad - q.grad, slope, rtol=1e-10, atol=1e-12)


def test_the_loss_that_is_reported_is_that_of_the_data(run: Callable[..., Run]) -> None:
    """At rate 0 the penalty changes nothing that the data's loss depends on."""
    plain, penalised = run("optimizer.lr=0"), run("optimizer.lr=0", "task.l2=100")
    assert plain.column("train/loss") == penalised.column("train/loss")
    assert plain.column("gradient_norm") != penalised.column("gradient_norm")


def test_a_vector_of_weights_is_penalised_too() -> None:
    """Biases are known by name: peepholes are vectors and no biases."""
    task, _ = built("cell=lstm_peephole", "cell.hidden_size=3", "head.bias=false", "task.l2=2.0")
    peepholes = [p for name, p in task.model.named_parameters() if "peephole" in name]
    assert peepholes
    task.penalty().backward()
    for p in peepholes:
        torch.testing.assert_close(p.grad, 2.0 * p.detach())


class Watch(Callback):
    """Keeps the gradients and weights that the optimizer's steps see."""

    def __init__(self) -> None:
        self.gradients: list[dict[str, torch.Tensor]] = []
        self.before: list[dict[str, torch.Tensor]] = []

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:  # before clipping
        self.before.append({name: p.detach().clone() for name, p in pl_module.model.named_parameters()})
        self.gradients.append({name: p.grad.clone() for name, p in pl_module.model.named_parameters()})


def norm(gradients: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.stack([g.square().sum() for g in gradients.values()]).sum().sqrt()


def test_clipping_by_norm_scales_all_gradients_together(run: Callable[..., Run]) -> None:
    watch = Watch()
    done = run(*BIASED, "trainer.max_steps=3", "trainer.gradient_clip_val=0.01", watch=watch)
    for gradients, before, after in zip(watch.gradients, watch.before, watch.before[1:], strict=False):
        assert norm(gradients) > 0.01
        for name, g in gradients.items():
            # Lightning's torch function divides by norm + 1e-6, so the step is smaller by up to 1e-4 of itself
            torch.testing.assert_close(before[name] - after[name], 0.5 * g * 0.01 / (norm(gradients) + 1e-6), rtol=1e-9, atol=1e-15)
    assert done.column("gradient_norm") == pytest.approx([float(norm(g)) for g in watch.gradients], rel=1e-9)  # reported as it was before clipping


def test_clipping_by_value_cuts_each_gradient(run: Callable[..., Run]) -> None:
    watch = Watch()
    options = [*BIASED, "trainer.max_steps=3", "trainer.gradient_clip_val=0.002", "trainer.gradient_clip_algorithm=value"]
    run(*options, watch=watch)
    for gradients, before, after in zip(watch.gradients, watch.before, watch.before[1:], strict=False):
        assert max(float(g.abs().max()) for g in gradients.values()) > 0.002
        for name, g in gradients.items():
            torch.testing.assert_close(before[name] - after[name], 0.5 * g.clamp(-0.002, 0.002), rtol=1e-9, atol=1e-15)


def test_two_half_batches_make_the_step_of_one_batch(run: Callable[..., Run]) -> None:
    """The adder's loss here is a mean over rows of equal length, so the mean of two halves is the mean of all."""
    whole = run(*BIASED, "data.batch_size=8", "trainer.max_epochs=2")
    halves = run(*BIASED, "data.batch_size=4", "trainer.max_epochs=2", "trainer.accumulate_grad_batches=2")
    assert whole.summary["steps"] == halves.summary["steps"] == 6
    for name, value in whole.checkpoint("last")["state_dict"].items():
        torch.testing.assert_close(halves.checkpoint("last")["state_dict"][name], value, rtol=1e-12, atol=1e-14)  # float64, other order of sums


@pytest.mark.parametrize("spoilt", ["loss", "gradient"])
def test_a_number_that_is_none_stops_before_the_weights_change(spoilt: str, run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The 8th step, in the second epoch, fails. What was saved after the first epoch stays."""
    honest, calls = Task.training_step, []

    def spoil(self: Task, batch: Batch, batch_index: int) -> dict[str, torch.Tensor]:
        calls.append(batch_index)
        if len(calls) == 8 and spoilt == "loss":
            batch.inputs[0, 0, 0] = float("nan")
        losses = honest(self, batch, batch_index)
        if len(calls) == 8 and spoilt == "gradient":
            losses["loss"].register_hook(lambda gradient: gradient * float("inf"))
        return losses

    monkeypatch.setattr(Task, "training_step", spoil)
    seen: dict[str, Any] = {}

    class Last(Callback):
        def on_train_batch_end(self, trainer: Any, pl_module: Any, *rest: Any) -> None:
            seen["weights"] = {name: p.detach().clone() for name, p in pl_module.model.named_parameters()}
            seen["task"] = pl_module

    what = "loss is nan" if spoilt == "loss" else "norm of the gradient is (inf|nan)"
    with pytest.raises(FloatingPointError, match=rf"the training {what} at step 8; .*not changed.*Lower the learning rate"):
        run("trainer.max_epochs=2", directory=tmp_path / "run", watch=Last())
    assert len(calls) == 8
    for name, p in seen["task"].model.named_parameters():
        assert torch.equal(p, seen["weights"][name])
    done = Run(tmp_path / "run", None)
    assert done.checkpoint("last")["global_step"] == done.checkpoint("best")["global_step"] == 6
    assert done.summary["status"] == "failed"
    assert done.summary["steps"] == 7
    assert [int(row["step"]) for row in done.rows] == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("spoilt", ["loss", "gradient"])
def test_a_number_that_is_none_before_any_validation_leaves_the_weights_before_its_step(
    spoilt: str, run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    honest = Task.training_step

    def spoil(self: Task, batch: Batch, batch_index: int) -> dict[str, torch.Tensor]:
        losses = honest(self, batch, batch_index)
        if batch_index == 2 and spoilt == "loss":
            self._check_finite("loss", torch.tensor(float("nan")))
        if batch_index == 2:
            losses["loss"].register_hook(lambda gradient: gradient * float("inf"))
        return losses

    monkeypatch.setattr(Task, "training_step", spoil)
    weights: list[dict[str, torch.Tensor]] = []

    class Last(Callback):
        def on_train_batch_end(self, trainer: Any, pl_module: Any, *rest: Any) -> None:
            weights.append({name: p.detach().clone() for name, p in pl_module.state_dict().items()})

    with pytest.raises(FloatingPointError, match="at step 3"):
        run(directory=tmp_path / "run", watch=Last())
    left = Run(tmp_path / "run", None).checkpoint("last")
    assert left["global_step"] == len(weights) == 2
    assert all(torch.equal(value, weights[-1][name]) for name, value in left["state_dict"].items())
    monkeypatch.setattr(Task, "training_step", honest)
    assert run("trainer.max_epochs=2", f"ckpt_path={tmp_path}/run/checkpoints/last.ckpt").summary["status"] == "finished"
